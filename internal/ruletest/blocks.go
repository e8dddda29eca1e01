package ruletest

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// incidentsBlock is the block `incidents:` with the defaults of a configuration.
type incidentsBlock struct {
	Mode     string        `yaml:"mode"`
	Interval time.Duration `yaml:"interval"`
	Settle   time.Duration `yaml:"settle"`
	Hold     time.Duration `yaml:"hold"`
}

// config is what the file says beside its tests: its configuration, or the
// defaults of one, with the file's own blocks over it. Rules are those of the
// configuration.
func (r *runner) config(f *testFile) (engine.Config, error) {
	c := engine.Config{
		Mode: incident.ModePage, Interval: 15 * time.Second, Settle: 45 * time.Second, Hold: 15 * time.Minute,
	}
	at := func(name string) *yaml.Node { return yamlfile.Field(f.root, name) }
	if f.Config != "" {
		if r.LoadConfig == nil {
			return c, yamlfile.At(r.path, at("config"), "config: no configuration can be loaded here")
		}
		path := f.Config
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(r.path), path)
		}
		var err error
		if c, err = r.LoadConfig(path); err != nil {
			return c, err
		}
		// Alerts are those of the rules under test.
		c.ReadAlerts = false
	}
	if f.Identity != nil || f.Config == "" {
		id, err := topology.NewIdentity(f.Identity)
		if err != nil {
			return c, yamlfile.At(r.path, at("identity"), "identity: %v", err)
		}
		c.Identity = id
	}
	b := incidentsBlock{Mode: string(c.Mode), Interval: c.Interval, Settle: c.Settle, Hold: c.Hold}
	if err := yamlfile.Decode(r.path, &f.Incidents, &b); err != nil {
		return c, err
	}
	var errs []error
	switch incident.Mode(b.Mode) {
	case incident.ModeShadow, incident.ModeTicket, incident.ModePage:
	default:
		errs = append(errs, yamlfile.At(r.path, yamlfile.Field(&f.Incidents, "mode"), "mode %q: want shadow, ticket or page", b.Mode))
	}
	for name, d := range map[string]time.Duration{"interval": b.Interval, "settle": b.Settle, "hold": b.Hold} {
		if d <= 0 {
			errs = append(errs, yamlfile.At(r.path, yamlfile.Field(&f.Incidents, name), "%s: it must be more than zero", name))
		}
	}
	c.Mode, c.Interval, c.Settle, c.Hold = incident.Mode(b.Mode), b.Interval, b.Settle, b.Hold
	return c, errors.Join(errs...)
}

// topology reads a block `topology:`, whose content is that of a topology file.
func (r *runner) topology(n *yaml.Node, id topology.Identity) (topology.Declared, error) {
	var out topology.Declared
	err := r.inline(n, nil, func(text []byte) (err error) {
		out, err = topology.ParseFile(r.path, text, id)
		return err
	})
	return out, err
}

// changes reads a list `changes:`, as it stands in a file of changes; a time
// may also be a duration from the start of the test.
func (r *runner) changes(n *yaml.Node, id topology.Identity, start time.Time) ([]change.Change, error) {
	if n.Kind == 0 {
		return nil, nil
	}
	var out []change.Change
	file := &yaml.Node{
		Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column,
		Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "changes", Line: n.Line, Column: n.Column}, n},
	}
	err := r.inline(file, func(field string, v *yaml.Node) {
		if d, err := model.ParseDuration(v.Value); field == "time" && err == nil {
			v.Tag, v.Value, v.Style = "!!str", start.Add(time.Duration(d)).UTC().Format(time.RFC3339Nano), yaml.DoubleQuotedStyle
		}
	}, func(text []byte) (err error) {
		out, err = change.ParseFile(r.path, text, id)
		return err
	})
	return out, err
}

// maxInline bounds the nodes of a block, aliases followed.
const maxInline = 200_000

// inline gives a part of the test file to a parser of whole files, as a text of
// its own, and puts the parser's errors back into their places. edit, if given, may
// change the value of a field.
func (r *runner) inline(n *yaml.Node, edit func(field string, v *yaml.Node), parse func(text []byte) error) error {
	if n.Kind == 0 {
		return nil
	}
	c := &copier{edit: edit}
	tree := c.copy("", n, 0)
	if c.tooLarge {
		return yamlfile.At(r.path, n, "this block is too large, or an anchor holds itself")
	}
	writable(tree, 0)
	text, err := yaml.Marshal(tree)
	if err != nil {
		return yamlfile.At(r.path, n, "%v", err)
	}
	failed := parse(text)
	if failed == nil {
		return nil
	}
	again, err := yamlfile.Parse(r.path, text)
	if err != nil {
		return yamlfile.At(r.path, n, "%v", err)
	}
	places := map[[2]int]*yaml.Node{}
	pairUp(places, again, tree, c.origin)
	return replaced(failed, r.path, n, places)
}

// copier copies a tree without anchors and aliases, and remembers where each node came from.
type copier struct {
	edit     func(field string, v *yaml.Node)
	origin   map[*yaml.Node]*yaml.Node
	tooLarge bool
}

func (c *copier) copy(field string, n *yaml.Node, depth int) *yaml.Node {
	if c.origin == nil {
		c.origin = map[*yaml.Node]*yaml.Node{}
	}
	if len(c.origin) > maxInline || depth > 100 {
		c.tooLarge = true
		return &yaml.Node{Kind: yaml.ScalarNode}
	}
	from := yamlfile.Resolve(n)
	out := &yaml.Node{Kind: from.Kind, Tag: from.Tag, Value: from.Value, Style: from.Style}
	c.origin[out] = from
	for i, child := range from.Content {
		name := ""
		if from.Kind == yaml.MappingNode && i%2 == 1 {
			name = from.Content[i-1].Value
		}
		out.Content = append(out.Content, c.copy(name, child, depth+1))
	}
	if c.edit != nil && out.Kind == yaml.ScalarNode {
		c.edit(field, out)
	}
	return out
}

// pairUp finds for each place of the written text the node that it was written from.
func pairUp(places map[[2]int]*yaml.Node, written, tree *yaml.Node, origin map[*yaml.Node]*yaml.Node) {
	if written == nil || tree == nil {
		return
	}
	k := [2]int{written.Line, written.Column}
	if _, ok := places[k]; !ok {
		places[k] = origin[tree]
	}
	for i := range min(len(written.Content), len(tree.Content)) {
		pairUp(places, written.Content[i], tree.Content[i], origin)
	}
}

// replaced returns the errors with their places in the test file.
func replaced(err error, path string, block *yaml.Node, places map[[2]int]*yaml.Node) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, replaced(e, path, block, places))
		}
		return errors.Join(out...)
	}
	var placed *yamlfile.Error
	if !errors.As(err, &placed) {
		return fmt.Errorf("%s:%d:%d: %w", path, block.Line, block.Column, err)
	}
	at := block
	if n, ok := places[[2]int{placed.Line, placed.Column}]; ok {
		at = n
	}
	return yamlfile.At(path, at, "%s", placed.Msg)
}
