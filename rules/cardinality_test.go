package rules

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/promql"
)

// When one rule's series become ten times as many, its known series stay judged
// up to the limit, the other rule is as if nothing had happened, and it is
// counted and said once.
func TestTenTimesTheSeriesInOneRule(t *testing.T) {
	count := 100
	many := make([]float64, 1000)
	var said bytes.Buffer
	reg := prometheus.NewRegistry()
	b := newBench(t, "", `groups:
- name: g
  interval: 1m
  rules:
  - {detect: Load, expr: load, signal: saturation}
  - {detect: Queue, expr: queue, signal: saturation}
`, func(o *Options) {
		o.SeriesLimit, o.Registerer, o.Logger = 150, reg, slog.New(slog.NewTextHandler(&said, nil))
		o.Query = func(_ context.Context, expr string, _ time.Time) (promql.Vector, error) {
			if expr == "load" {
				return vector(many[:count]...), nil
			}
			return vector(1, 2, 3), nil
		}
	})
	judged := func(rule string) (n int) {
		for _, e := range b.evaluations[len(b.evaluations)-2:] {
			if e.Rule.Name() == rule {
				n = len(e.Readings)
			}
		}
		return n
	}
	for k := range 20 {
		switch k {
		case 5:
			count = 1000
		case 15:
			count = 100
		}
		b.eval(time.Duration(k) * time.Minute)
		want := min(count, 150)
		if got := judged("Load"); got != want {
			t.Fatalf("evaluation %d with %d series: %d are judged, want %d", k, count, got, want)
		}
		if got := judged("Queue"); got != 3 {
			t.Fatalf("evaluation %d: %d series of the other rule are judged, want 3", k, got)
		}
	}
	figures := fmt.Sprintf(`
# HELP foreshock_rule_series_refused_total Series that a detection rule did not judge because of its limit, counted at each evaluation.
# TYPE foreshock_rule_series_refused_total counter
foreshock_rule_series_refused_total{rule="Load"} %d
foreshock_rule_series_refused_total{rule="Queue"} 0
`, 10*850)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(figures), "foreshock_rule_series_refused_total"); err != nil {
		t.Error(err)
	}
	if n, back := strings.Count(said.String(), "more series than the rule's limit"), strings.Count(said.String(), "within its limit again"); n != 1 || back != 1 || !strings.Contains(said.String(), "rule=Load") {
		t.Errorf("said %d times, and %d times that it is over, want once each, of Load:\n%s", n, back, &said)
	}
}
