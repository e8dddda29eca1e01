package ruletest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
	"github.com/foreshock/foreshock/rules"
)

// ruleFiles finds the files that the patterns match, in the order of the
// patterns and each once. A pattern that matches none is a warning.
func ruleFiles(patterns []string, dir string) (paths, warnings []string, err error) {
	for _, p := range patterns {
		if p != "" && !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, nil, fmt.Errorf("rule file pattern %q: %w", p, err)
		}
		if len(found) == 0 {
			warnings = append(warnings, fmt.Sprintf("no file matches the pattern %s", p))
		}
		for _, f := range found {
			if !slices.Contains(paths, f) {
				paths = append(paths, f)
			}
		}
	}
	return paths, warnings, nil
}

// loadRules reads rule files in the given order.
func loadRules(paths []string, ignoreUnknownFields bool) ([]*rules.File, error) {
	var files []*rules.File
	var errs []error
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule file: %w", err))
			continue
		}
		if ignoreUnknownFields {
			if data, err = withoutUnknown(path, data); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		f, err := rules.ParseFile(path, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	return files, errors.Join(errs...)
}

// withoutUnknown returns the text of a rule file without the fields that
// Prometheus does not know. Those of detection rules stay, since they are ours.
// Lines keep their numbers where the fields stand on lines of their own; else,
// as with a field in braces, the file is written anew.
func withoutUnknown(path string, data []byte) ([]byte, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil || root == nil {
		return data, err
	}
	s := &stripper{lines: bytes.SplitAfter(data, []byte("\n"))}
	s.mapping(root, []string{"groups"}, len(s.lines)+1)
	s.list(root, "groups", len(s.lines)+1, func(g *yaml.Node, end int) {
		s.mapping(g, yamlfile.Fields(rulefmt.RuleGroup{}), end)
		s.list(g, "rules", end, func(r *yaml.Node, end int) {
			if yamlfile.Field(r, "detect") == nil {
				s.mapping(r, yamlfile.Fields(rulefmt.Rule{}), end)
			}
		})
	})
	if !s.anew {
		// What stands where a line is emptied is known by rules of thumb, so look.
		text := bytes.Join(s.lines, nil)
		if again, err := yamlfile.Parse(path, text); err == nil && sameTree(again, root, 0) {
			return text, nil
		}
	}
	writable(root, 0)
	out, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("%s: without its unknown fields: %w", path, err)
	}
	return out, nil
}

// writable gives texts of several lines a style that the yaml package writes
// truly: it breaks block scalars that begin with an empty line.
func writable(n *yaml.Node, depth int) {
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "\n\r") {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		if depth < 100 {
			writable(c, depth+1)
		}
	}
}

// sameTree compares what two nodes say.
func sameTree(a, b *yaml.Node, depth int) bool {
	if a == nil || b == nil || depth > 100 {
		return a == b
	}
	a, b = yamlfile.Resolve(a), yamlfile.Resolve(b)
	return a.Kind == b.Kind && a.ShortTag() == b.ShortTag() && a.Value == b.Value &&
		slices.EqualFunc(a.Content, b.Content, func(x, y *yaml.Node) bool { return sameTree(x, y, depth+1) })
}

type stripper struct {
	lines [][]byte
	anew  bool
}

// mapping removes the fields that are not known, from the node and from the
// lines; the node's text ends before the line end.
func (s *stripper) mapping(n *yaml.Node, known []string, end int) {
	n = yamlfile.Resolve(n)
	if n.Kind != yaml.MappingNode {
		return
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if slices.Contains(known, key.Value) || key.Value == "<<" {
			kept = append(kept, key, value)
			continue
		}
		if n.Style&yaml.FlowStyle != 0 || value.Anchor != "" {
			s.anew = true
			continue
		}
		last := end
		if i+2 < len(n.Content) {
			last = n.Content[i+2].Line
		}
		s.blank(key.Line, key.Column, last)
	}
	n.Content = kept
}

// blank empties the lines from a place on to before the line end.
func (s *stripper) blank(line, column, end int) {
	for i := line; i < end && i <= len(s.lines); i++ {
		text := bytes.TrimRight(s.lines[i-1], "\r\n")
		tail := s.lines[i-1][len(text):]
		keep := 0
		if i == line {
			// Columns count characters; what stands before a key is spaces and dashes.
			keep = min(column-1, len(text))
		}
		s.lines[i-1] = slices.Concat(text[:keep:keep], tail)
	}
}

// list visits the items of a list field with the line before which each ends.
func (s *stripper) list(n *yaml.Node, name string, end int, visit func(item *yaml.Node, end int)) {
	_, list := yamlfile.Lookup(n, name)
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	n = yamlfile.Resolve(n)
	for i := 0; i+3 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			end = n.Content[i+2].Line
		}
	}
	for i, item := range list.Content {
		last := end
		if i+1 < len(list.Content) {
			last = list.Content[i+1].Line
		}
		visit(item, last)
	}
}
