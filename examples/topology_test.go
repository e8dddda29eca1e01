package examples

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/app"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// recording is series as something real exposes them, one sample a minute in
// promtool's notation, and the graph that a configuration finds in them.
type recording struct {
	Config yaml.Node `yaml:"config"`
	Series string    `yaml:"series"`
	Graph  string    `yaml:"graph"`
}

// TestTopologyRecipes lets Prometheus's engine evaluate the queries of
// configurations over recordings.
func TestTopologyRecipes(t *testing.T) {
	found, err := filepath.Glob("topology/recordings/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	untested := topology.Recipes()
	for _, path := range found {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var r recording
			if err := yaml.Unmarshal(data, &r); err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(&r.Config)
			if err != nil {
				t.Fatal(err)
			}
			untested = slices.DeleteFunc(untested, func(name string) bool { return strings.Contains(string(text), "recipe: "+name) })
			config, err := app.ParseConfig("foreshock.yml", text)
			if err != nil {
				t.Fatal(err)
			}
			store, now := recordSeries(t, r.Series)
			top, err := topology.New(topology.Options{Identity: config.Engine.Identity})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range config.Engine.Edges {
				v, err := store.Query(t.Context(), d.Edges, now)
				if err != nil {
					t.Fatalf("%s: %v", d.Edges, err)
				}
				if err := top.Discover(now, d, v); err != nil {
					t.Errorf("%s: %v", d.Edges, err)
				}
			}
			if diff := gocmp.Diff(r.Graph, showGraph(top.At(now))); diff != "" {
				t.Errorf("graph (-want +got):\n%s", diff)
			}
		})
	}
	if len(untested) > 0 {
		t.Errorf("recipes without a recording: %v", untested)
	}
}

// recordSeries fills a store and returns it with the time of the last sample.
func recordSeries(t *testing.T, text string) (source.Store, time.Time) {
	t.Helper()
	db, err := source.OpenTemporary(source.TemporaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	type sample struct {
		series labels.Labels
		minute int
		value  float64
	}
	var samples []sample
	last := 0
	for line := range strings.Lines(text) {
		ls, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for minute, v := range values {
			if !v.Omitted {
				samples = append(samples, sample{ls, minute, v.Value})
				last = max(last, minute)
			}
		}
	}
	slices.SortStableFunc(samples, func(a, b sample) int { return cmp.Compare(a.minute, b.minute) })
	h, err := db.WriteHistory(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if _, err := h.Append(0, s.series, begin.Add(time.Duration(s.minute)*time.Minute).UnixMilli(), s.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return db.Store(), begin.Add(time.Duration(last) * time.Minute)
}

// showGraph writes one line for each edge, and the services whose users are people.
func showGraph(g *topology.Graph) string {
	show := func(s topology.Service) string {
		if n, _ := g.Node(s); n.Kind != "" {
			return fmt.Sprintf("%s (%s)", s, n.Kind)
		}
		return string(s)
	}
	var b strings.Builder
	entries := map[string]bool{}
	for _, e := range g.Edges() {
		fmt.Fprintf(&b, "%s -> %s", show(e.Caller), show(e.Callee))
		if e.Rate > 0 {
			fmt.Fprintf(&b, " %.4g/s", e.Rate)
		}
		b.WriteByte('\n')
		if g.IsEntry(e.Caller) {
			entries[string(e.Caller)] = true
		}
	}
	if len(entries) == 0 {
		entries["none"] = true
	}
	fmt.Fprintf(&b, "entries: %s\n", strings.Join(slices.Sorted(maps.Keys(entries)), " "))
	return b.String()
}
