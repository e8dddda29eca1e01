package docscheck

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/foreshock/foreshock/internal/app"
	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

// nowhere is a field that no parser knows and that is near to none.
const nowhere = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"

var knownAre = regexp.MustCompile(`unknown \w+ "` + nowhere + `"; known are (.*)`)

// known are the fields that a parser lists when it meets one that it does not know.
func known(err error) []string {
	if err == nil {
		return nil
	}
	m := knownAre.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	return strings.Split(m[1], ", ")
}

// step is one way down into a file: a field, whose value is a mapping or a list of mappings.
type step struct {
	name string
	list bool
}

// place is a mapping in a kind of file, and the fields that it may have.
type place struct {
	path   []step
	fields []string
}

func (p place) name() string {
	var names []string
	for _, s := range p.path {
		names = append(names, s.name)
	}
	return strings.Join(names, ".")
}

// reader reads a text that stands at a path, from whose folder it takes other files.
type reader func(path string, text []byte) error

func identity() topology.Identity {
	id, err := topology.NewIdentity([]string{"cluster", "namespace", "service"})
	if err != nil {
		panic(err) // the default of foreshock.yml
	}
	return id
}

func parseConfig(path string, text []byte) error {
	_, err := app.ParseConfig(path, text)
	return err
}

func parseRules(path string, text []byte) error {
	_, err := rules.ParseFile(path, text)
	return err
}

func parseTopology(path string, text []byte) error {
	_, err := topology.ParseFile(path, text, identity())
	return err
}

func parseChanges(path string, text []byte) error {
	_, err := change.ParseFile(path, text, identity())
	return err
}

// places asks a parser for all mappings of its files whose fields it checks,
// outermost first. The parsers are asked, rather than their structs, so that
// what is found is what users meet.
func places(parse reader, path []step) []place {
	text := nowhere + ": 1"
	if len(path) > 0 {
		text = "{" + text + "}"
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i].list {
			text = "[" + text + "]"
		}
		text = path[i].name + ": " + text
		if i > 0 {
			text = "{" + text + "}"
		}
	}
	fields := known(parse(filepath.Join("nowhere", "file.yml"), []byte(text+"\n")))
	if fields == nil {
		return nil
	}
	out := []place{{path, fields}}
	for _, f := range fields {
		for _, list := range []bool{false, true} {
			out = append(out, places(parse, append(slices.Clone(path), step{f, list}))...)
		}
	}
	return out
}

// ruleFields are the fields of a detection rule.
func ruleFields() []string {
	return known(parseRules("rules.yml", fmt.Appendf(nil, "groups: [{name: a, rules: [{detect: A, expr: up, signal: traffic, %s: 1}]}]", nowhere)))
}

// groupFields are the fields of a rule group.
func groupFields() []string {
	return known(parseRules("rules.yml", fmt.Appendf(nil, "groups: [{name: a, %s: 1}]", nowhere)))
}

// serviceFields are the fields of a service in a topology file.
func serviceFields() []string {
	return known(parseTopology("topology.yml", fmt.Appendf(nil, "services: [{name: a, %s: 1}]", nowhere)))
}

// changeFields are the fields of a change in a file.
func changeFields() []string {
	return known(parseChanges("changes.yml", fmt.Appendf(nil, "changes: [{service: a, %s: 1}]", nowhere)))
}
