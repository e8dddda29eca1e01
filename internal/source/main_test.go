package source

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// t0 is when the tests' samples begin.
var t0 = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func temporary(t testing.TB) *Local {
	t.Helper()
	l, err := OpenTemporary(TemporaryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// write appends one sample per step; f returns false where there is none.
func write(t testing.TB, app storage.Appendable, series string, n int, step time.Duration, f func(i int) (float64, bool)) {
	t.Helper()
	l, err := newParser().ParseMetric(series)
	if err != nil {
		t.Fatal(err)
	}
	a := app.Appender(context.Background())
	for i := range n {
		if v, ok := f(i); ok {
			if _, err := a.Append(0, l, t0.Add(time.Duration(i)*step).UnixMilli(), v); err != nil {
				t.Fatalf("%s: %v", series, err)
			}
		}
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
}

// shop writes an hour of samples every 15 s: counters that reset, histograms,
// gaps, stale markers and NaN.
func shop(t testing.TB, app storage.Appendable) {
	t.Helper()
	const n, step = 240, 15 * time.Second
	for s := range 4 {
		for code := range 2 {
			name := fmt.Sprintf(`requests_total{service="s%d",code="%d"}`, s, 200+300*code)
			sum := 0.0
			write(t, app, name, n, step, func(i int) (float64, bool) {
				if s == 1 && i == 100 {
					sum = 0 // a restart
				}
				sum += float64((i*7+s*13+code*5)%11) / float64(1+3*code)
				switch {
				case s == 2 && i == 60:
					return math.Float64frombits(value.StaleNaN), true
				case s == 2 && i > 60 && i < 110:
					return 0, false // gone, then back
				case s == 3 && code == 1 && i < 150:
					return 0, false // comes late
				}
				return sum, true
			})
		}
		for b, le := range []string{"0.1", "0.5", "1", "+Inf"} {
			sum := 0.0
			write(t, app, fmt.Sprintf(`latency_bucket{service="s%d",le="%s"}`, s, le), n, step, func(i int) (float64, bool) {
				sum += float64((b + 1) * (1 + (i+s)%3))
				return sum, true
			})
		}
		write(t, app, fmt.Sprintf(`pool_in_use{service="s%d"}`, s), n, step, func(i int) (float64, bool) {
			if s == 0 && i%50 == 7 {
				return math.NaN(), true
			}
			return float64(s) + math.Sin(float64(i)/9), i%(40+s) < 36
		})
		write(t, app, fmt.Sprintf(`up{service="s%d"}`, s), n, step, func(i int) (float64, bool) {
			return float64(min(1, (i+s)%37)), true
		})
	}
	write(t, app, `build_info{service="s0",version="v1"}`, n, step, func(i int) (float64, bool) {
		if i == 120 {
			return math.Float64frombits(value.StaleNaN), true
		}
		return 1, i < 120
	})
	write(t, app, `build_info{service="s0",version="v2"}`, n, step, func(i int) (float64, bool) { return 1, i >= 120 })
}

// text shows a vector in the order that it has.
func text(v promql.Vector) string {
	var b strings.Builder
	for _, s := range v {
		fmt.Fprintf(&b, "%s %x @%d\n", s.Metric, math.Float64bits(s.F), s.T)
	}
	return b.String()
}

func mustQuery(t *testing.T, q QueryFunc, expr string, ts time.Time) promql.Vector {
	t.Helper()
	v, err := q(context.Background(), expr, ts)
	if err != nil {
		t.Fatalf("query %s: %v", expr, err)
	}
	return v
}

// wantValues compares a query's values, by label sets, with lines such as `{service="s0"} 3`.
func wantValues(t *testing.T, q QueryFunc, expr string, ts time.Time, want ...string) {
	t.Helper()
	var got []string
	for _, s := range mustQuery(t, q, expr, ts) {
		got = append(got, fmt.Sprintf("%s %v", s.Metric, s.F))
		if s.T != ts.UnixMilli() {
			t.Errorf("%s: time is %d, want %d", expr, s.T, ts.UnixMilli())
		}
	}
	if g, w := strings.Join(sortedStrings(got), "\n"), strings.Join(sortedStrings(want), "\n"); g != w {
		t.Errorf("%s at %s:\ngot\n%s\nwant\n%s", expr, ts, g, w)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not contain %q", err, p)
		}
	}
}

func mustLabels(s string) labels.Labels {
	l, err := newParser().ParseMetric(s)
	if err != nil {
		panic(err)
	}
	return l
}

func sorted(v promql.Vector) promql.Vector {
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	return v
}
