package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/starter"
)

// maxValues is how many values of a label a starter is told.
const maxValues = 100

// start writes a configuration from the metrics of the set's cases, and returns
// its path.
func (s *system) start(dir string) (string, error) {
	sys := starter.System{Interval: s.interval(), Mode: "page"}
	known := map[string]*starter.Metric{}
	for _, c := range s.cases {
		rec, err := readRecording(c.Input.Files)
		if err != nil {
			return "", err
		}
		rec.describe(known)
		g := c.graph(rec)
		for _, n := range g.Services() {
			if name := label(n); g.IsEntry(n) && !slices.Contains(sys.Entries, name) {
				sys.Entries = append(sys.Entries, name)
			}
		}
		// What is known when grading begins, of the case that has least.
		if h := c.Truth.From.Sub(c.From); sys.History == 0 || h < sys.History {
			sys.History = max(h, time.Second)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		sys.Metrics = append(sys.Metrics, *known[name])
	}
	files, err := starter.Write(sys)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "foreshock.yml")
	if err := os.WriteFile(path, []byte(files.Config), 0o644); err != nil {
		return "", err
	}
	return path, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(files.Rules), 0o644)
}

// describe adds the metrics of a recording to what is known.
func (r *recording) describe(known map[string]*starter.Metric) {
	for _, s := range r.series {
		name := s.labels.Get(model.MetricNameLabel)
		m := known[name]
		if m == nil {
			typ := r.types[name]
			for _, suffix := range []string{"_total", "_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(name, suffix); ok && typ == "" {
					typ = r.types[base]
				}
			}
			m = &starter.Metric{Name: name, Type: typ, Labels: map[string][]string{}}
			known[name] = m
		}
		s.labels.Range(func(l labels.Label) {
			if v := m.Labels[l.Name]; l.Name != model.MetricNameLabel && len(v) < maxValues && !slices.Contains(v, l.Value) {
				m.Labels[l.Name] = append(v, l.Value)
			}
		})
	}
}
