package docscheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/backtest"
	"github.com/foreshock/foreshock/internal/peers"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// kind is a kind of YAML that pages show, whole or in part.
type kind struct {
	name string
	// is says whether a document with these keys, those of its items if it is a list, is of the kind.
	is func(keys []string, root *yaml.Node) bool
	// around is what stands around a part: the last line's indentation and two more columns are the part's.
	around []string
	// item: the part is an item of a list, unless it is a list itself.
	item  bool
	parse reader
}

// keysOf returns the keys of a mapping, or all keys of a list of mappings.
func keysOf(n *yaml.Node) []string {
	var keys []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			keys = append(keys, n.Content[i].Value)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			keys = append(keys, keysOf(item)...)
		}
	}
	return keys
}

// has says whether one of the keys is among the names.
func has(names ...string) func([]string, *yaml.Node) bool {
	return func(keys []string, _ *yaml.Node) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(names, k) })
	}
}

// among says whether all keys are among the names.
func among(names []string) func([]string, *yaml.Node) bool {
	return func(keys []string, _ *yaml.Node) bool {
		return len(keys) > 0 && !slices.ContainsFunc(keys, func(k string) bool { return !slices.Contains(names, k) })
	}
}

func list(name string) func([]string, *yaml.Node) bool {
	return func(_ []string, root *yaml.Node) bool {
		v := yamlfile.Field(root, name)
		return v != nil && v.Kind == yaml.SequenceNode
	}
}

// whole are the kinds of whole files, the most telling first.
func (c *checker) whole(t *testing.T) []kind {
	theirs := []string{"remote_write", "remote_read", "tracing", "otlp", "runtime"}
	return []kind{
		{name: "rule file", is: has("groups"), parse: parseRules},
		{name: "rule tests", is: has("tests"), parse: c.program(t, c.binary, "test")},
		{name: "case", is: has("data_start", "interval_seconds"), parse: parseCase},
		{name: "topology file", is: list("services"), parse: parseTopology},
		{name: "changes file", is: list("changes"), parse: parseChanges},
		{name: "labelled incidents", is: list("incidents"), parse: parseCase,
			around: []string{"data_start: 2026-01-01T00:00:00Z", "data_end: 2026-02-01T00:00:00Z", "files: [metrics.om]", ""}},
		{name: "web configuration", is: has("tls_server_config", "http_server_config", "basic_auth_users"), parse: c.program(t, "promtool", "check", "web-config")},
		{name: "Alertmanager's configuration", is: has("route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals"),
			parse: alertmanager(c.program(t, "amtool", "check-config"))},
		{name: "Prometheus's configuration", is: has(theirs...), parse: c.program(t, "promtool", "check", "config", "--syntax-only")},
		{name: "foreshock.yml", is: has(c.config[0].fields...), parse: parseConfig},
	}
}

// parts are the kinds of what stands inside a file.
func (c *checker) parts(t *testing.T) []kind {
	kinds := []kind{
		{name: "rule", is: has("detect", "record", "alert"), around: []string{"groups:", "  - name: example", "    rules:"}, item: true, parse: parseRules},
		{name: "rule group", is: has("rules"), around: []string{"groups:"}, item: true, parse: parseRules},
		{name: "fields of a detection rule", is: among(c.rule), parse: parseRules,
			around: []string{"groups:", "  - name: example", "    rules:", "      - &rule {detect: Example, expr: up, signal: traffic}", "      - detect: Part", "        <<: *rule"}},
	}
	// Of parts of rule tests no group is run, since what they test is not there.
	read := c.program(t, c.binary, "test", "--run=^no group has this name$")
	kinds = append(kinds,
		kind{name: "group of rule tests", is: has("input_series"), around: []string{"tests:"}, item: true, parse: read},
		kind{name: "input series", is: has("series", "generate"), around: []string{"tests:", "  - interval: 1m", "    input_series:"}, item: true, parse: read})
	for _, names := range [][2]string{
		{"exp_alerts", "alert_rule_test"}, {"exp_samples", "promql_expr_test"}, {"exp_anomalies", "detection_test"}, {"exp_incidents", "incident_test"},
	} {
		field, test := names[0], names[1]
		kinds = append(kinds,
			kind{name: test, is: has(field), around: []string{"tests:", "  - interval: 1m", "    " + test + ":"}, item: true, parse: read},
			kind{name: test, is: among([]string{test}), around: []string{"tests:", "  - interval: 1m", "    input_series: []"}, parse: read})
	}
	for _, p := range c.config[1:] {
		var around []string
		indent := ""
		last := p.path[len(p.path)-1]
		for _, s := range p.path {
			around = append(around, indent+s.name+":")
			indent += "  "
		}
		kinds = append(kinds, kind{name: "part of " + p.name(), is: among(p.fields), around: around, item: last.list, parse: parseConfig})
	}
	return append(kinds,
		kind{name: "service", is: among(c.service), around: []string{"services:"}, item: true, parse: parseTopology},
		kind{name: "change", is: among(c.change), around: []string{"changes:"}, item: true, parse: parseChanges},
		kind{name: "scrape configuration", is: has("job_name"), around: []string{"scrape_configs:"}, item: true, parse: parseConfig},
	)
}

// testYAML reads each yaml block of all pages by the parser of its kind.
func (c *checker) testYAML(t *testing.T) {
	whole, parts := c.whole(t), c.parts(t)
	n := 0
	for _, p := range c.pages {
		for _, b := range p.blocks {
			if b.lang == "yaml" || b.lang == "yml" {
				n++
				c.checkYAML(t, b, whole, parts)
			}
		}
	}
	if n == 0 {
		t.Error("got no yaml block in any page, want some")
	}
}

func (c *checker) checkYAML(t *testing.T, b *block, whole, parts []kind) {
	if b.file != "" {
		want, err := os.ReadFile(filepath.Join(c.root, b.file))
		if err == nil && string(want) != b.text {
			t.Errorf("%s: the block is not what %s holds\ngot:\n%s\nwant:\n%s", b.at(0), b.file, b.text, want)
		}
	}
	root, err := yamlfile.Parse(b.page.path, []byte(strings.Repeat("\n", b.line-1)+b.text))
	if err != nil || root == nil {
		t.Errorf("%s: the block is no YAML: %v", b.at(0), err)
		return
	}
	keys := keysOf(root)
	dir := filepath.Dir(filepath.Join(c.workspace(t, b.page), b.file))
	if b.file == "" {
		dir = c.workspace(t, b.page)
	}
	for _, k := range whole {
		if root.Kind == yaml.MappingNode && k.is(keys, root) {
			if err := k.check(b, root, dir); err != nil {
				t.Errorf("%s: %s: %v", b.at(0), k.name, err)
			}
			return
		}
	}
	var first error
	for _, k := range parts {
		if !k.is(keys, root) {
			continue
		}
		err := k.check(b, root, dir)
		if err == nil {
			return
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if first == nil {
		first = fmt.Errorf("no kind of file has all of the keys %s; mend them, or teach internal/docscheck the kind", strings.Join(keys, ", "))
	}
	t.Errorf("%s: %v", b.at(0), first)
}

// check reads the block, with what stands around it, at the lines that it has in its page.
func (k kind) check(b *block, root *yaml.Node, dir string) error {
	path := filepath.Join(dir, "block-of-a-page.yml")
	text := b.text
	if len(k.around) > 0 {
		text = k.wrap(text, root.Kind == yaml.SequenceNode)
	}
	if pad := b.line - 1 - len(k.around); pad > 0 {
		text = strings.Repeat("\n", pad) + text
	}
	err := k.parse(path, []byte(text))
	if err == nil {
		return nil
	}
	said := strings.ReplaceAll(err.Error(), path, b.page.path)
	return errors.New(strings.ReplaceAll(said, dir+string(filepath.Separator), ""))
}

func (k kind) wrap(text string, isList bool) string {
	last := k.around[len(k.around)-1]
	indent := ""
	if last != "" {
		indent = last[:len(last)-len(strings.TrimLeft(last, " "))]
		if strings.HasSuffix(last, ":") {
			indent += "  "
		}
	}
	var out strings.Builder
	for _, line := range k.around {
		out.WriteString(line + "\n")
	}
	first := true
	for line := range strings.Lines(text) {
		switch {
		case strings.TrimSpace(line) == "":
			out.WriteString(line)
		case k.item && !isList && first && !strings.HasPrefix(line, "#"):
			out.WriteString(indent + "- " + line)
			first = false
		case k.item && !isList:
			out.WriteString(indent + "  " + line)
		default:
			out.WriteString(indent + line)
		}
	}
	return out.String()
}

// parseCase reads the header of a case; its files need not be there.
func parseCase(path string, text []byte) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "case")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "incidents.yml"), text, 0o666); err != nil {
		return err
	}
	others, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.yml"))
	if err != nil {
		return err
	}
	for _, other := range others {
		if filepath.Base(other) == "incidents.yml" {
			continue
		}
		if err := os.Link(other, filepath.Join(dir, filepath.Base(other))); err != nil {
			return err
		}
	}
	var header struct {
		Files             []string
		Topology, Changes string
	}
	if err := yaml.Unmarshal(text, &header); err != nil {
		return err
	}
	// What the page does not show is there, and empty.
	for _, name := range append(header.Files, header.Topology, header.Changes) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if err == nil {
			err = f.Close()
		}
		if name != "" && err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	_, err = backtest.LoadCase(dir, identity())
	return err
}

// alertmanager completes a part of Alertmanager's configuration by what its
// check asks for: a root receiver, and the receivers that routes name.
func alertmanager(check reader) reader {
	return func(path string, text []byte) error {
		var doc map[string]any
		if err := yaml.Unmarshal(text, &doc); err != nil {
			return err
		}
		route, _ := doc["route"].(map[string]any)
		if route == nil {
			route = map[string]any{}
		}
		if _, ok := route["receiver"]; !ok {
			route["receiver"] = "example"
		}
		doc["route"] = route
		if _, ok := doc["receivers"]; !ok {
			var receivers []map[string]string
			for _, name := range receiversOf(route, nil) {
				receivers = append(receivers, map[string]string{"name": name})
			}
			doc["receivers"] = receivers
		}
		full, err := yaml.Marshal(doc)
		if err != nil {
			return err
		}
		return check(path, full)
	}
}

func receiversOf(route map[string]any, names []string) []string {
	if name, ok := route["receiver"].(string); ok && !slices.Contains(names, name) {
		names = append(names, name)
	}
	routes, _ := route["routes"].([]any)
	for _, r := range routes {
		if r, ok := r.(map[string]any); ok {
			names = receiversOf(r, names)
		}
	}
	return names
}

// program is a parser that is a command line: foreshock's, or that of a real
// program in tools/bin.
func (c *checker) program(t *testing.T, name string, args ...string) reader {
	if name != c.binary {
		name = peers.Path(t, name)
	}
	return func(path string, text []byte) error {
		if err := os.WriteFile(path, text, 0o666); err != nil {
			return err
		}
		defer os.Remove(path)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, append(slices.Clone(args), path)...)
		cmd.Dir = filepath.Dir(path)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		return nil
	}
}
