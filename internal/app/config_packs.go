package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/packs"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
	"github.com/foreshock/foreshock/rules"
)

// packFile is the path that rules of a pack have in messages and in the API.
// No file has it.
func packFile(name string) string { return "pack:" + name }

// packBlock are the fields of an item `- http: {…}` of packs.
type packBlock struct {
	Labels map[string]string `yaml:"labels"`
	Match  string            `yaml:"match"`
}

// addPacks adds what the packs of the block at n have to the configuration.
func (c *Config) addPacks(n *yaml.Node, own ours) error {
	if len(own.Packs) == 0 {
		return nil
	}
	relabel, err := relabelConfigs(c.File, nil, own.Topology.Relabel)
	errs := []error{err}
	c.packAt = map[string]*yaml.Node{}
	var files []*rules.File
	for i := range own.Packs {
		place := item(n, i)
		p, err := c.pack(place, &own.Packs[i])
		if err == nil && slices.ContainsFunc(c.Packs, func(o packs.Pack) bool { return o.Name == p.pack.Name }) {
			err = at(c.File, place, fmt.Sprintf("packs: %s stands twice", p.pack.Name))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f, err := rules.ParseFile(packFile(p.pack.Name), p.pack.Rules)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.Optional = true
		files = append(files, f)
		c.Packs = append(c.Packs, p.pack)
		c.packAt[packFile(p.pack.Name)] = p.place
		errs = append(errs, c.addEdges(p, topology.RecipeOptions{Match: p.block.Match, Relabel: relabel}))
		for _, v := range p.pack.Versions {
			c.Engine.Versions = append(c.Engine.Versions, change.Discovery{Kind: v.Kind, Versions: v.Query, VersionLabel: v.Label})
		}
	}
	// First, so that a name that is taken is said where the user can change it.
	c.Engine.Rules = append(files, c.Engine.Rules...)
	return errors.Join(append(errs, rules.Unique(c.Engine.Rules))...)
}

// chosen is a pack with what the user says about it.
type chosen struct {
	pack  packs.Pack
	block packBlock
	place *yaml.Node
}

// pack reads an item of packs: a name, or a name with options.
func (c *Config) pack(place, n *yaml.Node) (chosen, error) {
	n = yamlfile.Resolve(n)
	out := chosen{place: place}
	var name string
	switch {
	case n.Kind == yaml.ScalarNode:
		name = n.Value
	case n.Kind == yaml.MappingNode && len(n.Content) == 2:
		name, out.place = n.Content[0].Value, n.Content[0]
		if err := yamlfile.Decode(c.File, n.Content[1], &out.block); err != nil {
			return out, err
		}
	default:
		return out, at(c.File, place, "packs: want the name of a pack, or its name with options, such as http: {labels: {service: app}}")
	}
	g := c.Prometheus.GlobalConfig
	var err error
	out.pack, err = packs.Load(name, packs.Options{
		Identity: c.Engine.Identity.Names(), Labels: out.block.Labels, Match: out.block.Match,
		Interval: time.Duration(max(g.ScrapeInterval, g.EvaluationInterval)),
	})
	if err != nil {
		return out, at(c.File, out.place, fmt.Sprintf("packs: %v", err))
	}
	return out, nil
}

// addEdges adds the edge recipes of a pack, but for queries that are there already.
func (c *Config) addEdges(p chosen, o topology.RecipeOptions) error {
	for _, name := range p.pack.Recipes {
		list, err := topology.Recipe(name, c.Engine.Identity, o)
		if err != nil {
			return at(c.File, p.place, fmt.Sprintf("packs: %s: %v", p.pack.Name, err))
		}
		for _, d := range list {
			if !slices.ContainsFunc(c.Engine.Edges, func(e topology.Discovery) bool { return e.Edges == d.Edges }) {
				c.Engine.Edges = append(c.Engine.Edges, d)
			}
		}
	}
	return nil
}
