package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

func sortedStrings(s []string) []string { return slices.Sorted(slices.Values(s)) }

// shopQueries are rules of all kinds over the samples of shop; false: not answered from windows.
var shopQueries = []struct {
	expr     string
	windowed bool
}{
	{`pool_in_use`, true},
	{`pool_in_use{service=~"s[02]"} > 1`, true},
	{`requests_total offset 7m`, true},
	{`requests_total offset -2m`, true},
	{`rate(requests_total[1m])`, true},
	{`irate(requests_total[2m])`, true},
	{`sum by (service) (rate(requests_total[5m]))`, true},
	{`avg without (code) (increase(requests_total[3m]))`, true},
	{`sum by (service) (rate(requests_total{code="500"}[5m])) / sum by (service) (rate(requests_total[5m]))`, true},
	{`histogram_quantile(0.9, sum by (service, le) (rate(latency_bucket[1m])))`, true},
	{`absent(requests_total{service="s2"})`, true},
	{`absent_over_time(requests_total{service="s2"}[2m])`, true},
	{`absent(nothing{job="x"})`, true},
	{`scalar(sum(up))`, true},
	{`time()`, true},
	{`vector(time()) % 7`, true},
	{`3 + 4`, true},
	{`up == 0`, true},
	{`up == bool 0`, true},
	{`pool_in_use * on (service) group_left (version) build_info`, true},
	{`pool_in_use and on (service) (up > 0)`, true},
	{`pool_in_use unless up == 0 or build_info`, true},
	{fmt.Sprintf(`pool_in_use @ %d`, t0.Add(20*time.Minute).Unix()), true},
	{fmt.Sprintf(`rate(requests_total[5m] @ %d) * up`, t0.Add(20*time.Minute).Unix()), false},
	{`pool_in_use - pool_in_use @ start()`, false},
	{`rate(requests_total[5m] @ end())`, false},
	{`label_replace(pool_in_use, "pod", "$1-0", "service", "(.*)")`, true},
	{`quantile_over_time(0.75, pool_in_use[4m])`, true},
	{`max_over_time(sum by (code) (rate(requests_total[1m]))[5m:30s])`, true},
	{`count_values("v", round(pool_in_use))`, true},
	{`quantile(0.5, pool_in_use)`, true},
	{`topk(2, pool_in_use)`, true},
	{`sum(topk(2, pool_in_use))`, false},
	{`sum(pool_in_use * up)`, false},
	{`stddev(abs(pool_in_use))`, false},
	{`max(abs(pool_in_use))`, true},
	{`sort_desc(pool_in_use)`, false},
	{`changes(up[10m])`, true},
	{`predict_linear(pool_in_use[10m], 60)`, true},
	{`deriv(pool_in_use[10m])`, true},
	{`timestamp(pool_in_use)`, true},
	{`hour() + minute()`, true},
	{`{__name__=~"up|build_info"}`, true},
	{`count by (__name__) ({service="s0"})`, true},
	{`-pool_in_use ^ 2`, true},
	{`nothing`, true},
}

// The windows give what instant queries give, at every step of every expression.
func TestWindowsEqualInstant(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	from, to := t0.Add(3*time.Minute+500*time.Millisecond), t0.Add(59*time.Minute)
	for _, steps := range []int{500, 17} {
		for _, c := range shopQueries {
			t.Run(fmt.Sprintf("%d/%s", steps, c.expr), func(t *testing.T) {
				w := NewWindows(WindowsOptions{Store: in.Store(), Steps: steps, From: from, To: to})
				defer w.Close()
				const step = 20 * time.Second
				asked := w.For(step)
				if strings.HasPrefix(c.expr, "rate(requests_total[5m] @ ") && strings.HasSuffix(c.expr, "* up") {
					c.windowed = true // no aggregation: only the order differs
				}
				for ts := from; !ts.After(to); ts = ts.Add(step) {
					want := mustQuery(t, in.query, c.expr, ts)
					if !isOrdered(c.expr) {
						slices.SortStableFunc(want, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
					}
					if got := mustQuery(t, asked, c.expr, ts); text(got) != text(want) {
						t.Fatalf("%s at %s:\ngot\n%swant\n%s", c.expr, ts, text(got), text(want))
					}
				}
				s := w.Stats()
				if c.windowed && (s.Instant > 0 || s.Fetches > s.Queries/10) {
					t.Errorf("stats %+v: want all answers from few windows", s)
				}
				if !c.windowed && (s.Hits > 0 || s.Fetches > 0 || s.Instant != s.Queries) {
					t.Errorf("stats %+v: want instant queries only", s)
				}
			})
		}
	}
}

// Label sets that collide only across steps make a range query fail; the answers stay right.
func TestWindowsRangeError(t *testing.T) {
	in := temporary(t)
	write(t, in.db, `a{x="1"}`, 40, 15*time.Second, func(i int) (float64, bool) { return float64(i), i < 10 })
	write(t, in.db, `b{x="1"}`, 60, 15*time.Second, func(i int) (float64, bool) { return float64(i), i >= 25 })
	w := NewWindows(WindowsOptions{Store: in.Store()})
	defer w.Close()
	for _, expr := range []string{
		`rate({__name__=~"a|b"}[1m])`, // never a duplicate at one step
		`{x="1"} * on (x) group_left () label_replace({__name__=~"a|b"}, "y", "$1", "__name__", "(.*)")`, // fails where both are there
	} {
		for i := range 60 {
			ts := t0.Add(time.Duration(i) * 15 * time.Second)
			got, gotErr := w.For(15*time.Second)(context.Background(), expr, ts)
			want, wantErr := in.query(context.Background(), expr, ts)
			if text(got) != text(want) || (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%s at step %d: got %q, %v, want %q, %v", expr, i, text(got), gotErr, text(want), wantErr)
			}
		}
	}
	if s := w.Stats(); s.Fetches > 2 || s.Instant < 100 {
		t.Errorf("stats %+v: want instant queries after one failed range query each", s)
	}
}

func TestWindowsOwnNamesAreAskedAlone(t *testing.T) {
	own := map[string]bool{"job:x": true, "anomaly_score": true}
	for expr, want := range map[string]bool{
		`job:x`:                                 true,
		`up`:                                    false,
		`up / on () job:x`:                      true,
		`{service="s0"}`:                        true,
		`{__name__=~"anomaly.*"}`:               true,
		`{__name__=~"up|down"}`:                 false,
		`{__name__!~"job:.*|anomaly_.*",a="b"}`: false,
		`rate({__name__="job:x"}[5m])`:          true,
	} {
		if got, _ := mustAskAlone(expr, own); got != want {
			t.Errorf("%s: asked alone is %v, want %v", expr, got, want)
		}
	}
}

// A cache that loses everything costs range queries, never a wrong answer.
func TestWindowsSurviveLoss(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	w := NewWindows(WindowsOptions{Store: in.Store()})
	defer w.Close()
	for i := range 100 {
		ts := t0.Add(time.Duration(i) * 15 * time.Second)
		if got, want := mustQuery(t, w.For(15*time.Second), `up`, ts), mustQuery(t, in.query, `up`, ts); len(got) != len(want) {
			t.Fatalf("step %d: got %d series, want %d", i, len(got), len(want))
		}
		w.cache.Reset()
		for _, k := range w.keys {
			k.of = 0 // the entry read last is lost, too
		}
	}
	if n := w.Stats().Lost; n < 100 {
		t.Errorf("lost: got %d steps, want at least 100", n)
	}
	points := 0
	for _, k := range w.keys {
		points = k.steps
	}
	if points > 3 {
		t.Errorf("steps fetched at once: got %d, want at most 3 after so many losses", points)
	}
}

// A vector larger than fastcache's plain entries comes back whole.
func TestWindowsBig(t *testing.T) {
	in := temporary(t)
	app := in.db.Appender(context.Background())
	for i := range 9000 {
		l := labels.FromStrings("__name__", "wide", "i", fmt.Sprint(i))
		for k := range 3 {
			if _, err := app.Append(0, l, t0.Add(time.Duration(k)*time.Minute).UnixMilli(), float64(i*k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	w := NewWindows(WindowsOptions{Store: in.Store(), Steps: 3})
	defer w.Close()
	for k := range 3 {
		v := mustQuery(t, w.For(time.Minute), `wide`, t0.Add(time.Duration(k)*time.Minute))
		if len(v) != 9000 {
			t.Fatalf("step %d: got %d series, want 9000", k, len(v))
		}
		for _, s := range v {
			if want := fmt.Sprint(s.F); k == 1 && s.Metric.Get("i") != want {
				t.Fatalf("series %s has value %s", s.Metric, want)
			}
		}
	}
	if s := w.Stats(); s.Fetches != 1 || s.Hits != 2 {
		t.Errorf("stats %+v: want one fetch and two hits", s)
	}
}

func TestWindowsErrors(t *testing.T) {
	in := temporary(t)
	w := NewWindows(WindowsOptions{Store: in.Store()})
	defer w.Close()
	if _, err := w.For(time.Minute)(context.Background(), `rate(up)`, t0); err == nil {
		t.Error("a broken expression gives no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.For(time.Minute)(ctx, `up`, t0); !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "canceled")) {
		t.Errorf("done context: got %v", err)
	}
}
