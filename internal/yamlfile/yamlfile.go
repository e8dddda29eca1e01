// Package yamlfile decodes YAML strictly, with errors that carry file, line,
// column and the nearest right name.
//
// It keeps to the meaning that go.yaml.in/yaml/v3 gives to nulls, anchors and
// merge keys, and refuses what that package lets pass: unknown fields,
// repeated keys, more than one document.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one thing that is wrong at one place of a file. Line and Column
// count from 1; a column counts characters.
type Error struct {
	File         string
	Line, Column int
	Msg          string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// At returns an [Error] at the place of the node; a nil node stands for the
// beginning of the file.
func At(file string, n *yaml.Node, format string, args ...any) *Error {
	e := &Error{File: file, Line: 1, Column: 1, Msg: fmt.Sprintf(format, args...)}
	if n != nil && n.Line > 0 {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}

// Parse reads the one document of a file. It returns the root of the
// document's content, or nil when the file is empty or holds nothing but
// comments and null. All errors are *[Error].
func Parse(file string, data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	root, err := document(file, dec)
	if err != nil || root == nil {
		return nil, noEOF(err)
	}
	for {
		next, err := document(file, dec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if next != nil && !isNull(next) {
			return nil, At(file, next, "a second YAML document begins here and would be ignored: put it into a file of its own")
		}
	}
	if isNull(root) {
		return nil, nil
	}
	return root, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// document reads the next document; the error is io.EOF when there is none.
func document(file string, dec *yaml.Decoder) (*yaml.Node, error) {
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, syntaxError(file, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var lineOfError = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// syntaxError gives an error of the yaml package its place, as far as its text says one.
func syntaxError(file string, err error) *Error {
	text := err.Error()
	m := lineOfError.FindStringSubmatch(text)
	e := &Error{File: file, Line: 1, Column: 1, Msg: strings.TrimSpace(text[len(m[0]):])}
	if line, convErr := strconv.Atoi(m[1]); convErr == nil {
		e.Line = line
	}
	return e
}

// Field returns the value of a mapping's key, through aliases and merge keys;
// nil when there is none or n is no mapping.
func Field(n *yaml.Node, name string) *yaml.Node {
	_, value := Lookup(n, name)
	return value
}

// Lookup is [Field] with the key's own node, for its place.
func Lookup(n *yaml.Node, name string) (key, value *yaml.Node) {
	n = Resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	// What a mapping says badly is reported when it is decoded.
	list, _ := pairs(n)
	for _, p := range list {
		if p.name == name {
			return p.key, Resolve(p.value)
		}
	}
	return nil, nil
}

// Resolve follows an alias to the node that it stands for.
func Resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
