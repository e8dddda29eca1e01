// Package examples holds one folder per story; this test runs them all.
package examples

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/foreshock/foreshock/internal/app"
	"github.com/foreshock/foreshock/internal/demo"
	"github.com/foreshock/foreshock/internal/source"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what the stories give into their pages.jsonl; read the diff")
	record  = flag.Bool("record", false, "simulate the stories again and write their metrics.om.gz")
)

// stories are folders with a recorded past; the name is that of the fault.
var stories = []string{demo.BadDeploy, demo.DeadService}

// begin is when the recorded past of the stories begins, and long how long it is.
var begin = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

const long = 27 * time.Hour

// TestStories runs `foreshock backtest` over each story, with the very files
// that a user would give it.
func TestStories(t *testing.T) {
	for _, name := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if *record {
				recordStory(t, name)
			}
			pages := filepath.Join(t.TempDir(), "pages.jsonl")
			err := app.Backtest(t.Context(), app.BacktestOptions{
				Cases: []string{name}, ConfigFile: filepath.Join(name, "foreshock.yml"), Pages: pages,
				Query: source.QueryOptions{}, Stdout: t.Output(), Out: t.Output(),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(pages)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join(name, "pages.jsonl")
			if *rewrite {
				if err := os.WriteFile(golden, got, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// Every configuration in the examples is valid.
func TestConfigurations(t *testing.T) {
	var found []string
	for _, pattern := range []string{"*/foreshock.yml", "cases/*/foreshock.yml"} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) < 3 {
			t.Fatalf("%s: found %v, %v", pattern, some, err)
		}
		found = append(found, some...)
	}
	for _, path := range found {
		var out bytes.Buffer
		if err := app.Check(path, &out); err != nil {
			t.Error(err)
		}
	}
}

// recordStory simulates the shop with a fault near the end and writes the
// series that the story's rules read, one sample a minute.
func recordStory(t *testing.T, name string) {
	story, err := demo.NewStory(name, 7, demo.StoryOptions{Quiet: 2 * time.Minute, Lead: 6 * time.Minute, Lasts: 20 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	at := begin.Add(long - time.Hour)
	w := &recorder{lines: map[string][]string{}, keep: []string{
		"http_requests_total", "http_request_duration_seconds_bucket", "http_client_requests_total", "db_query_duration_seconds_sum",
		"db_pool_size", "db_rows_examined_total", "db_queries_total", "build_info", "up",
	}}
	_, err = demo.Simulate(context.Background(), demo.SimulationOptions{
		Spec: demo.NewSpec(), From: begin, To: begin.Add(long), Step: time.Minute, Seed: 7, Events: story.From(at), Sink: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.write(filepath.Join(name, "metrics.om.gz")); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: the fault begins at %s", name, at.Add(story.Start).Format(time.RFC3339))
}

// recorder writes OpenMetrics text, series by series.
type recorder struct {
	keep  []string
	lines map[string][]string // by metric name and labels
}

func (r *recorder) Append(_ uint64, l labels.Labels, t int64, v float64) (uint64, error) {
	name := l.Get(model.MetricNameLabel)
	if !slices.Contains(r.keep, name) || value.IsStaleNaN(v) {
		return 0, nil
	}
	k := name + labels.NewBuilder(l).Del(model.MetricNameLabel, "job", "instance").Labels().String()
	k = strings.ReplaceAll(k, ", ", ",")
	r.lines[k] = append(r.lines[k], fmt.Sprintf("%s %d", strconv.FormatFloat(v, 'g', -1, 64), t/1000))
	return 0, nil
}

func (r *recorder) Commit(int64) error { return nil }

func (r *recorder) write(path string) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(z)
	for _, k := range slices.Sorted(maps.Keys(r.lines)) {
		for _, line := range r.lines[k] {
			fmt.Fprintf(w, "%s %s\n", k, line)
		}
	}
	fmt.Fprintln(w, "# EOF")
	if err := w.Flush(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}
