package docscheck

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// page returns a page by its path; the test fails when there is none.
func (c *checker) page(t *testing.T, path string) *page {
	t.Helper()
	for _, p := range c.pages {
		if p.path == path {
			return p
		}
	}
	t.Fatalf("got no page %s, want one", path)
	return nil
}

var flagOfText = regexp.MustCompile(`(?:^|[\s\[(])--([a-z][\w.-]*)`)

// testFlags holds docs/cli.md against the binary: the flags of a command stand
// in the section with its name, or outside of the commands' sections.
func (c *checker) testFlags(t *testing.T) {
	cli := c.page(t, "docs/cli.md")
	named := map[string][]string{} // by section, "" for those of no command
	words := map[string]bool{}
	for _, p := range c.pages {
		for _, s := range p.spans() {
			words[s.text] = words[s.text] || p == cli
			for _, m := range flagOfText.FindAllStringSubmatch(s.text, -1) {
				if p == cli {
					section := cli.section(s.line, 2)
					if _, ok := c.commands[section]; !ok {
						section = ""
					}
					named[section] = append(named[section], m[1])
				}
				if strings.HasPrefix(s.text, "--") && !c.anyCommandHas(m[1]) {
					t.Errorf("%s:%d: got --%s, want a flag of some command of foreshock", p.path, s.line, m[1])
				}
			}
		}
	}
	for _, b := range cli.blocks { // a command's own examples count as well
		section := cli.section(b.line, 2)
		for _, cmd := range commandsOf(b) {
			for _, m := range flagOfText.FindAllStringSubmatch(strings.Join(cmd.args, " "), -1) {
				named[section] = append(named[section], m[1])
			}
		}
	}
	for _, name := range sortedKeys(c.commands) {
		if !words[name] {
			t.Errorf("docs/cli.md: the command %s is not there, want it in code", name)
		}
		for _, f := range sortedKeys(c.commands[name]) {
			if f != "help" && !slices.Contains(named[name], f) && !slices.Contains(named[""], f) {
				t.Errorf("docs/cli.md: section %q: --%s (%s) is missing; the section has %v", name, f, c.commands[name][f].usage, named[name])
			}
		}
	}
}

func (c *checker) anyCommandHas(name string) bool {
	for _, flags := range c.commands {
		if _, ok := flags[name]; ok || name == "help" || name == "version" {
			return true
		}
	}
	return false
}

// testConfiguration holds docs/configuration.md against what the parser
// accepts: each block has a section, in which its fields are named; what the
// tables name is accepted.
func (c *checker) testConfiguration(t *testing.T) {
	p := c.page(t, "docs/configuration.md")
	named := map[string][]string{}
	for _, s := range p.spans() {
		named[""] = append(named[""], s.text)
		section := p.section(s.line, 2)
		named[section] = append(named[section], s.text)
	}
	accepted := map[string][]string{"Prometheus's blocks": c.config[0].fields}
	for _, pl := range c.config[1:] {
		block := pl.path[0].name
		accepted[block] = append(accepted[block], pl.fields...)
		for _, f := range pl.fields {
			if !slices.Contains(named[block], f) {
				t.Errorf("docs/configuration.md: section %q: the field %s.%s is missing; it names %v", block, pl.name(), f, named[block])
			}
		}
	}
	for _, block := range c.config[0].fields {
		if !slices.Contains(named[""], block) && !slices.ContainsFunc(p.headings, func(h heading) bool { return h.text == block }) {
			t.Errorf("docs/configuration.md: the block %s is missing", block)
		}
	}
	c.checkTables(t, p, accepted)
}

// checkTables wants the code of the first column of the tables of sections to
// be among what is accepted there.
func (c *checker) checkTables(t *testing.T, p *page, accepted map[string][]string) {
	t.Helper()
	rows := p.rows()
	seen := map[string]bool{}
	for _, line := range sortedKeys(rows) {
		section := p.section(line, 2)
		want, ok := accepted[section]
		if !ok {
			continue
		}
		seen[section] = true
		for _, name := range code(rows[line][0]) {
			if !slices.Contains(want, name) {
				t.Errorf("%s:%d: got %s, want one of %s", p.path, line, name, strings.Join(want, ", "))
			}
		}
	}
	for _, section := range sortedKeys(accepted) {
		if !seen[section] && slices.ContainsFunc(p.headings, func(h heading) bool { return h.text == section }) && len(accepted[section]) > 1 {
			t.Errorf("%s: the section %q has no table", p.path, section)
		}
	}
}

// testRules holds docs/rules.md and docs/topology.md against their parsers.
func (c *checker) testRules(t *testing.T) {
	p := c.page(t, "docs/rules.md")
	const detection, group = "Fields of a detection rule", "Groups"
	c.checkTables(t, p, map[string][]string{detection: c.rule, group: c.group})
	rows := p.rows()
	named := map[string][]string{}
	for _, line := range sortedKeys(rows) {
		section := p.section(line, 2)
		named[section] = append(named[section], code(rows[line][0])...)
	}
	for _, f := range c.rule {
		if !slices.Contains(named[detection], f) {
			t.Errorf("docs/rules.md: section %q: the field %s is missing; the table has %v", detection, f, named[detection])
		}
	}
	for _, f := range c.group {
		if f != "rules" && !slices.Contains(named[group], f) {
			t.Errorf("docs/rules.md: section %q: the field %s is missing; the table has %v", group, f, named[group])
		}
	}
}

// testDetectors holds the pages of the detectors against the catalogue: their
// options, with their defaults.
func (c *checker) testDetectors(t *testing.T) {
	var pages []string
	for _, d := range detectors.All() {
		path := "docs/detectors/" + d.Name + ".md"
		pages = append(pages, path)
		if !c.exists(path) {
			t.Errorf("got no page %s, want one for the detector", path)
			continue
		}
		p := c.page(t, path)
		options := d.Options()
		names := yamlfile.Fields(options)
		c.checkTables(t, p, map[string][]string{"Options": names})
		defaults := map[string][]string{}
		for line, cells := range p.rows() {
			if name := code(cells[0]); len(name) == 1 && p.section(line, 2) == "Options" && len(cells) > 1 {
				defaults[name[0]] = []string{fmt.Sprint(line), strings.Trim(cells[1], "`")}
			}
		}
		value := reflect.Indirect(reflect.ValueOf(options))
		for i, name := range names {
			row, ok := defaults[name]
			if !ok {
				t.Errorf("%s: the option %s is missing in the table of section Options", path, name)
				continue
			}
			if want := value.Field(i).Interface(); !sameValue(row[1], want) {
				t.Errorf("%s:%s: default of %s: got %s, want %v", path, row[0], name, row[1], want)
			}
		}
	}
	for _, p := range c.pages {
		if strings.HasPrefix(p.path, "docs/detectors/") && !slices.Contains(pages, p.path) {
			t.Errorf("%s: got a page of no detector, want one of %s", p.path, strings.Join(pages, ", "))
		}
	}
}

// sameValue compares a default as a page writes it with the one of the program.
func sameValue(text string, want any) bool {
	if d, ok := want.(time.Duration); ok {
		got, err := time.ParseDuration(text)
		return err == nil && got == d
	}
	return text == fmt.Sprint(want)
}
