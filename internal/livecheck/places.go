package livecheck

import (
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// texts are the places of a rule file's rules and expressions.
type texts struct {
	file  string
	data  []byte
	rules [][]*yaml.Node // by group and rule
}

// readTexts reads a rule file for its places. One that cannot be read, such as
// a pack, has none.
func readTexts(path string) texts {
	t := texts{file: path}
	data, err := os.ReadFile(path)
	if err != nil {
		return t
	}
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return t
	}
	t.data = data
	for _, g := range items(yamlfile.Field(root, "groups")) {
		t.rules = append(t.rules, items(yamlfile.Field(g, "rules")))
	}
	return t
}

// items are those of a list that are something: rule files may have empty ones.
func items(n *yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	if n = yamlfile.Resolve(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	for _, i := range n.Content {
		if i = yamlfile.Resolve(i); i.ShortTag() != "!!null" {
			out = append(out, i)
		}
	}
	return out
}

func (t texts) node(at [2]int) *yaml.Node {
	if at[0] >= len(t.rules) || at[1] >= len(t.rules[at[0]]) {
		return nil
	}
	return t.rules[at[0]][at[1]]
}

// rule is where a rule begins.
func (t texts) rule(at [2]int) Place {
	n := t.node(at)
	if n == nil {
		return Place{}
	}
	for _, name := range []string{"detect", "alert", "record"} {
		if v := yamlfile.Field(n, name); v != nil {
			n = v
		}
	}
	return Place{File: t.file, Line: n.Line, Column: n.Column}
}

// inside is a character of an expression, or where that is not known the rule.
func (a *asked) inside(field string, offset int) Place {
	n := a.texts.node(a.at)
	if n == nil {
		return a.place
	}
	v := yamlfile.Field(n, field)
	if v == nil {
		return a.place
	}
	line, column := yamlfile.Position(a.texts.data, v, offset)
	return Place{File: a.texts.file, Line: line, Column: column}
}
