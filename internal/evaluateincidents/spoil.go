package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// A spoiler says what is spoilt of a system before it is replayed. Services and
// edges are chosen by their names and the seed, so they are the same in all cases.
type spoiler struct {
	name   string
	chance bool // depends on the seed
	// skewed services have clocks a sample early or late, one in three each.
	skewed bool
	// edges and nodes are the shares of edges and services that are not known or
	// not measured; the alerting service is always measured.
	edges, nodes float64
	noCounts     bool // no metric of requests
	late         bool // a detection has to last for a sample more
}

func spoilers() []spoiler {
	return []spoiler{
		{name: "clocks that differ by a sample", chance: true, skewed: true},
		{name: "20 % of edges missing", chance: true, edges: 0.2},
		{name: "20 % of services not measured", chance: true, nodes: 0.2},
		{name: "no request counts", noCounts: true},
		{name: "no graph", edges: 1},
		{name: "detection a sample late", late: true},
	}
}

// spoilt makes one copy.
type spoilt struct {
	spoiler
	seed     uint64
	interval time.Duration
	keep     []string // services that stay measured
	promql   parser.Parser
	lines    map[string]decision
}

// decision is what becomes of a series.
type decision struct {
	drop  bool
	shift float64 // seconds
}

// draw is a number in [0, 1) that belongs to a name.
func (s *spoilt) draw(parts ...string) float64 {
	h := s.seed
	for _, c := range strings.Join(parts, "\x00") {
		h = h*0x100000001b3 ^ uint64(c)
	}
	return rand.New(rand.NewPCG(s.seed, h)).Float64()
}

func (s *spoilt) lostEdge(caller, callee string) bool {
	return s.edges > 0 && s.draw("edge", caller, callee) < s.edges
}

// decide says what becomes of a series.
func (s *spoilt) decide(text string) (decision, error) {
	ls, err := s.promql.ParseMetric(text)
	if err != nil {
		return decision{}, err
	}
	name, owner := ls.Get(model.MetricNameLabel), ls.Get(identity.Last())
	client, server := ls.Get("client"), ls.Get("server")
	if client != "" && server != "" {
		owner = client // who reports a call
		if ls.Get("reporter") == "destination" || ls.Get("reporter") == "server" {
			owner = server
		}
		if s.lostEdge(client, server) {
			return decision{drop: true}, nil
		}
	}
	var d decision
	if s.nodes > 0 && owner != "" && !slices.Contains(s.keep, owner) && s.draw("node", owner) < s.nodes {
		d.drop = true
	}
	if s.noCounts && strings.Contains(name, "request") && !strings.Contains(name, "ratio") && !strings.Contains(name, "seconds") {
		d.drop = true
	}
	if s.skewed && owner != "" {
		d.shift = float64(int(3*s.draw("clock", owner))-1) * s.interval.Seconds()
	}
	return d, nil
}

// copySet writes a spoilt copy of a set's folder.
func (s *spoilt) copySet(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		switch name := d.Name(); {
		case strings.HasSuffix(name, ".om.gz"), strings.HasSuffix(name, ".om"):
			return s.copyMetrics(path, target)
		case name == "topology.yml":
			return s.copyTopology(path, target)
		case strings.HasSuffix(name, ".yml"):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, data, 0o644)
		}
		return nil
	})
}

func (s *spoilt) copyMetrics(from, to string) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(z)
	err = eachLine(from, func(line string) error {
		text, _, at, ok := sample(line)
		if !ok {
			_, err := w.WriteString(line + "\n")
			return err
		}
		d, known := s.lines[text]
		if !known {
			var err error
			if d, err = s.decide(text); err != nil {
				return err
			}
			s.lines[text] = d
		}
		if d.drop {
			return nil
		}
		if d.shift != 0 {
			k := strings.LastIndexByte(line, ' ')
			line = line[:k+1] + strconv.FormatFloat(float64(at)/1000+d.shift, 'f', -1, 64)
		}
		_, err := w.WriteString(line + "\n")
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// copyTopology leaves out the calls that are lost.
func (s *spoilt) copyTopology(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var file struct {
		Services []map[string]any `yaml:"services"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for _, one := range file.Services {
		calls, ok := one["calls"].([]any)
		if !ok {
			continue
		}
		one["calls"] = slices.DeleteFunc(calls, func(c any) bool { return s.lostEdge(fmt.Sprint(one["name"]), fmt.Sprint(c)) })
	}
	if data, err = yaml.Marshal(file); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// copyConfig writes the configuration with the calls that are left, and with
// detections that wait for a sample more. It returns the path of the copy.
func (s *spoilt) copyConfig(config, to string) (string, error) {
	dir := filepath.Dir(config)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	for _, e := range entries {
		from, target := filepath.Join(dir, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.Name() == "topology.yml":
			err = s.copyTopology(from, target)
		case strings.HasSuffix(e.Name(), ".yml"):
			err = s.copyRules(from, target)
		}
		if err != nil {
			return "", err
		}
	}
	return filepath.Join(to, filepath.Base(config)), nil
}

func (s *spoilt) copyRules(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if s.late {
		var root yaml.Node
		if err := yaml.Unmarshal(data, &root); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		delay(&root, s.interval)
		if data, err = yaml.Marshal(&root); err != nil {
			return err
		}
	}
	return os.WriteFile(to, data, 0o644)
}

// delay sets `for` in all detection rules below a node.
func delay(n *yaml.Node, by time.Duration) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == "detect" {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "for"}, &yaml.Node{Kind: yaml.ScalarNode, Value: by.String()})
				break
			}
		}
	}
	for _, c := range n.Content {
		delay(c, by)
	}
}
