package app

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// at is an error at a place of a YAML file; a missing node stands for its beginning.
func at(file string, n *yaml.Node, msg string) error {
	e := &yamlfile.Error{File: file, Line: 1, Column: 1, Msg: msg}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}

// field follows a path of mapping keys; where one is missing it returns the
// last node found, so that an error still points near the place.
func field(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		next := lookup(n, name)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

func lookup(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// item returns the i-th item of a sequence, or where there is none the node itself.
func item(n *yaml.Node, i int) *yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode || i >= len(n.Content) {
		return n
	}
	return n.Content[i]
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
