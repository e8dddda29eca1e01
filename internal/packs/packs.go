// Package packs holds ready-made detection rules, edge recipes and version
// queries for well-known exporters, and writes them for the labels that name a
// configuration's services.
//
// A pack is a file of its own in rules/. In its expressions the label
// `identity` stands for all labels that name a service: `sum by (identity, le)`.
// Where a series has them under other names, such as Istio's
// destination_canonical_service, the file says so once, and the expressions are
// relabelled on the way.
package packs

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

//go:embed rules/*.yml
var files embed.FS

// Options say for which configuration a pack is written.
type Options struct {
	// Identity are the labels that name a service, the most general first. At least one.
	Identity []string
	// Labels are, by identity label, those of the pack's series that hold it,
	// instead of the pack's own idea; "" is no label. Other keys are an error.
	Labels map[string]string
	// Match are further label matchers of all selectors, in PromQL, such as env="prod".
	Match string
	// Interval is the longest distance of samples: rates range over four of them at
	// least, and never over less than the pack's own. 0: the pack's own.
	Interval time.Duration
}

// Pack is what one pack adds to a configuration.
type Pack struct {
	Name  string
	About string // one or two sentences: for what it is
	// Rules is a rule file with one group, named after the pack.
	Rules []byte
	// Recipes are names of edge recipes.
	Recipes  []string
	Versions []Versions
	// Metrics are what the rules read, sorted.
	Metrics []string
	// ServiceLabels are the labels of which one at least has to be on a series, so
	// that it has a service.
	ServiceLabels []string
}

// Versions is a query that finds deploys.
type Versions struct {
	Kind  string
	Query string // PromQL; one series per service and version
	Label string // holds the version
}

// packFile is a pack as it is written.
type packFile struct {
	Service   *[]place    `yaml:"service"`   // where the service's own name stands, the first that is there counts; nil: under its own label
	Namespace *[]place    `yaml:"namespace"` // the same of the identity label namespace; empty: it has none
	Edges     []string    `yaml:"edges"`
	Versions  []versions  `yaml:"versions"`
	Rules     []yaml.Node `yaml:"rules"`
}

// versions is [Versions] as it is written.
type versions struct {
	Kind         string `yaml:"kind"`
	Versions     string `yaml:"versions"`
	VersionLabel string `yaml:"version_label"`
}

// place is a label of series that holds a label of the identity.
type place struct {
	Label string `yaml:"label"`
	Regex string `yaml:"regex"` // whose first group is the value; "": all of it
	Not   string `yaml:"not"`   // a value that stands for none
}

// Names returns the names of all packs, sorted.
func Names() []string {
	entries, err := files.ReadDir("rules")
	if err != nil {
		return nil // cannot be: the folder is embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yml"))
	}
	return names
}

// Load writes a pack for a configuration. An unknown name is an error that
// names the nearest one, or all.
func Load(name string, o Options) (Pack, error) {
	if !slices.Contains(Names(), name) {
		return Pack{}, errors.New(yamlfile.Unknown("pack", name, Names()))
	}
	file := path.Join("rules", name+".yml")
	data, err := files.ReadFile(file)
	if err != nil {
		return Pack{}, fmt.Errorf("pack %s: %w", name, err)
	}
	root, err := yamlfile.Parse(file, data)
	if err != nil {
		return Pack{}, fmt.Errorf("pack %s: %w", name, err)
	}
	var f packFile
	if err := yamlfile.Decode(file, root, &f); err != nil {
		return Pack{}, fmt.Errorf("pack %s: %w", name, err)
	}
	w, err := newWriter(f, o)
	if err != nil {
		return Pack{}, fmt.Errorf("pack %s: %w", name, err)
	}
	p := Pack{Name: name, About: about(data), Recipes: f.Edges, ServiceLabels: w.serviceLabels()}
	for _, v := range f.Versions {
		query, err := w.query(v.Versions)
		if err != nil {
			return Pack{}, fmt.Errorf("pack %s: versions: %w", name, err)
		}
		p.Versions = append(p.Versions, Versions{Kind: cmp.Or(v.Kind, "deploy"), Query: query, Label: v.VersionLabel})
	}
	for i := range f.Rules {
		if err := w.rule(yamlfile.Resolve(&f.Rules[i])); err != nil {
			return Pack{}, fmt.Errorf("pack %s: %s:%d: %w", name, file, f.Rules[i].Line, err)
		}
	}
	p.Metrics = slices.Compact(slices.Sorted(slices.Values(w.metrics)))
	p.Rules, err = ruleFile(name, f.Rules)
	return p, err
}

// about is the comment at the file's beginning.
func about(data []byte) string {
	var lines []string
	for line := range bytes.Lines(data) {
		text, ok := bytes.CutPrefix(line, []byte("#"))
		if !ok {
			break
		}
		lines = append(lines, string(bytes.TrimSpace(text)))
	}
	return strings.Join(lines, " ")
}

// ruleFile writes rules as a file with one group.
func ruleFile(name string, rules []yaml.Node) ([]byte, error) {
	type group struct {
		Name  string      `yaml:"name"`
		Rules []yaml.Node `yaml:"rules"`
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(map[string][]group{"groups": {{Name: name, Rules: rules}}})
	return b.Bytes(), errors.Join(err, e.Close())
}

// check says what is wrong with the options.
func (o Options) check() error {
	if len(o.Identity) == 0 {
		return errors.New("no label names a service")
	}
	var unknown []string
	for label := range o.Labels {
		if !slices.Contains(o.Identity, label) {
			unknown = append(unknown, label)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("labels: %s", yamlfile.Unknown("identity label", slices.Min(unknown), o.Identity))
	}
	for _, name := range o.Identity {
		if l := o.Labels[name]; l != "" && (!model.UTF8Validation.IsValidLabelName(l) || l == model.MetricNameLabel) {
			return fmt.Errorf("labels: %s: %q is no label name", name, l)
		}
	}
	return nil
}
