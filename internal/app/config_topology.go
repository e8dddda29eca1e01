package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/topology"
)

// topologyBlock is the block `topology:`.
type topologyBlock struct {
	Files    []string        `yaml:"files"`
	Discover []discoverBlock `yaml:"discover"`
	Relabel  []relabelBlock  `yaml:"relabel"`
}

// discoverBlock is one way to find edges: a recipe by its name, or a query.
type discoverBlock struct {
	Recipe       string            `yaml:"recipe"`
	Metric       string            `yaml:"metric"`
	Match        string            `yaml:"match"`
	Edges        string            `yaml:"edges"`
	Caller       string            `yaml:"caller"`
	Callee       string            `yaml:"callee"`
	CallerLabels map[string]string `yaml:"caller_labels"`
	CalleeLabels map[string]string `yaml:"callee_labels"`
	Kind         string            `yaml:"kind"`
	Relabel      []relabelBlock    `yaml:"relabel"`
}

// relabelBlock has the fields of Prometheus's relabel_config, which its own
// type reads without a complaint about unknown ones.
type relabelBlock struct {
	SourceLabels []string `yaml:"source_labels"`
	Separator    *string  `yaml:"separator"`
	Regex        *string  `yaml:"regex"`
	Modulus      uint64   `yaml:"modulus"`
	TargetLabel  string   `yaml:"target_label"`
	Replacement  *string  `yaml:"replacement"`
	Action       string   `yaml:"action"`
}

// edgeDiscoveries checks the queries for edges and makes those of recipes. n is the block.
func edgeDiscoveries(path string, data []byte, n *yaml.Node, b topologyBlock, id topology.Identity) ([]topology.Discovery, error) {
	var errs []error
	common, err := relabelConfigs(path, field(n, "relabel"), b.Relabel)
	errs = append(errs, err)
	var out []topology.Discovery
	for i, d := range b.Discover {
		c := discoverCheck{path: path, data: data, n: item(field(n, "discover"), i), id: id, relabel: common}
		some, err := c.read(d)
		errs = append(errs, err)
		out = append(out, some...)
	}
	return out, errors.Join(errs...)
}

// discoverCheck reads one item of discover.
type discoverCheck struct {
	path    string
	data    []byte
	n       *yaml.Node // the item
	id      topology.Identity
	relabel []*relabel.Config // of all items, after its own
	errs    []error
}

func (c *discoverCheck) fail(err error) {
	if err != nil {
		c.errs = append(c.errs, err)
	}
}

func (c *discoverCheck) at(name, format string, args ...any) {
	c.fail(at(c.path, field(c.n, name), fmt.Sprintf(format, args...)))
}

func (c *discoverCheck) read(d discoverBlock) ([]topology.Discovery, error) {
	own, err := relabelConfigs(c.path, field(c.n, "relabel"), d.Relabel)
	c.fail(err)
	kind, err := topology.ParseKind(d.Kind)
	if err != nil {
		c.at("kind", "%v", err)
	}
	c.endLabels("caller_labels", d.CallerLabels)
	c.endLabels("callee_labels", d.CalleeLabels)
	rules := slices.Concat(own, c.relabel)
	if d.Recipe != "" {
		return c.recipe(d, topology.RecipeOptions{
			Metric: d.Metric, Match: d.Match, Caller: d.Caller, Callee: d.Callee,
			CallerLabels: d.CallerLabels, CalleeLabels: d.CalleeLabels, Kind: kind, Relabel: rules,
		})
	}
	for _, f := range [][2]string{{"metric", d.Metric}, {"match", d.Match}} {
		if f[1] != "" {
			c.at(f[0], "%s: only a recipe has it: write it into the query", f[0])
		}
	}
	c.fail(checkQuery(c.path, c.data, field(c.n, "edges"), "edges", d.Edges))
	c.fail(checkLabel(c.path, field(c.n, "caller"), "caller", d.Caller))
	c.fail(checkLabel(c.path, field(c.n, "callee"), "callee", d.Callee))
	return []topology.Discovery{{
		Edges: d.Edges, Caller: d.Caller, Callee: d.Callee,
		CallerLabels: lists(d.CallerLabels), CalleeLabels: lists(d.CalleeLabels), Kind: kind, Relabel: rules,
	}}, errors.Join(c.errs...)
}

func (c *discoverCheck) recipe(d discoverBlock, o topology.RecipeOptions) ([]topology.Discovery, error) {
	if d.Edges != "" {
		c.at("edges", "edges: the recipe %s has its own queries: leave out one of the two", d.Recipe)
	}
	if d.Metric != "" && !model.UTF8Validation.IsValidMetricName(d.Metric) {
		c.at("metric", "metric: %q is no metric name", d.Metric)
	}
	if d.Match != "" {
		if _, err := parser.NewParser(parser.Options{}).ParseMetricSelector("{" + strings.Trim(d.Match, "{} ,") + "}"); err != nil {
			c.at("match", "match: %q is no list of label matchers such as env=\"prod\": %v", d.Match, err)
		}
	}
	for _, f := range [][2]string{{"caller", d.Caller}, {"callee", d.Callee}} {
		if f[1] != "" {
			c.fail(checkLabel(c.path, field(c.n, f[0]), f[0], f[1]))
		}
	}
	out, err := topology.Recipe(d.Recipe, c.id, o)
	if err != nil {
		c.at("recipe", "%v", err)
	}
	return out, errors.Join(c.errs...)
}

// endLabels checks labels by identity label.
func (c *discoverCheck) endLabels(name string, m map[string]string) {
	names := c.id.Names()
	for _, identity := range slices.Sorted(maps.Keys(m)) {
		place := field(c.n, name, identity)
		if !slices.Contains(names[:len(names)-1], identity) {
			c.fail(at(c.path, place, fmt.Sprintf("%s: %q is none of the identity labels before %s, which %s gives: %q",
				name, identity, c.id.Last(), strings.TrimSuffix(name, "_labels"), names[:len(names)-1])))
			continue
		}
		if label := m[identity]; label != "" {
			c.fail(checkLabel(c.path, place, name, label))
		}
	}
}

func lists(m map[string]string) map[string][]string {
	if m == nil {
		return nil
	}
	out := make(map[string][]string, len(m))
	for name, label := range m {
		out[name] = []string{}
		if label != "" {
			out[name] = []string{label}
		}
	}
	return out
}

// relabelConfigs makes Prometheus's own type of a list that stands at n.
func relabelConfigs(path string, n *yaml.Node, list []relabelBlock) ([]*relabel.Config, error) {
	var errs []error
	var out []*relabel.Config
	for i, b := range list {
		c := relabel.DefaultRelabelConfig
		if b.Action != "" {
			if err := c.Action.UnmarshalYAML(func(into any) error { *into.(*string) = b.Action; return nil }); err != nil {
				errs = append(errs, at(path, field(item(n, i), "action"), fmt.Sprintf("relabel: %v", err)))
				continue
			}
		}
		c.TargetLabel, c.Modulus = b.TargetLabel, b.Modulus
		for _, l := range b.SourceLabels {
			c.SourceLabels = append(c.SourceLabels, model.LabelName(l))
		}
		if b.Separator != nil {
			c.Separator = *b.Separator
		}
		if b.Replacement != nil {
			c.Replacement = *b.Replacement
		}
		if b.Regex != nil {
			re, err := relabel.NewRegexp(*b.Regex)
			if err != nil {
				errs = append(errs, at(path, field(item(n, i), "regex"), fmt.Sprintf("relabel: regex: %v", err)))
				continue
			}
			c.Regex = re
		}
		if err := c.Validate(model.UTF8Validation); err != nil {
			errs = append(errs, at(path, item(n, i), fmt.Sprintf("relabel: %v", err)))
			continue
		}
		out = append(out, &c)
	}
	return out, errors.Join(errs...)
}
