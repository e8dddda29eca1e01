package rules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
)

const oneRule = `groups:
- name: g
  interval: 1m
  rules:
  - {detect: D, expr: load, signal: saturation%s}
`

func TestEval(t *testing.T) {
	b := newBench(t, `
load 1m
  load{host="b"} 5 5 6 6 6
  load{host="a"} 1 2 40 41 80
`, fmt.Sprintf(oneRule, ", labels: {team: x}"))
	b.eval(0)
	e := b.eval(time.Minute)
	same(t, "readings", readings(e), `
{host="a", team="x"}=2 score 0.1
{host="b", team="x"}=5 score 0.0`)
	e = b.eval(2 * time.Minute)
	same(t, "readings", readings(e), `
{host="a", team="x"}=40 score 3.8 anomalous since 120
{host="b", team="x"}=6 score 0.1`)
	if e.Rule.Name() != "D" || e.Group.Name() != "g" || !e.Time.Equal(at(2*time.Minute)) || e.Err != nil {
		t.Errorf("evaluation: got %+v", e)
	}
	same(t, "written", b.stored(`{__name__=~".+",rule="D"}`), `
{__name__="anomaly_score", host="a", rule="D", team="x"} 60:0.1 120:3.8
{__name__="anomaly_score", host="b", rule="D", team="x"} 60:0 120:0.1
{__name__="yhat_lower", host="a", rule="D", team="x"} 60:-9 120:-8
{__name__="yhat_lower", host="b", rule="D", team="x"} 60:-5 120:-5
{__name__="yhat_upper", host="a", rule="D", team="x"} 60:11 120:12
{__name__="yhat_upper", host="b", rule="D", team="x"} 60:15 120:15`)
	d := e.Rule
	if d.Health() != promrules.HealthGood || d.LastError() != nil || d.Series() != 2 || d.Anomalies() != 1 {
		t.Errorf("got health %s, error %v, %d series, %d anomalies; want ok, none, 2, 1", d.Health(), d.LastError(), d.Series(), d.Anomalies())
	}
	h := d.History()
	if len(h) != 3 || !h[2].Time.Equal(at(2*time.Minute)) || h[2].Anomalies != 1 || h[2].Series != 2 || h[2].Duration <= 0 {
		t.Errorf("history: got %+v", h)
	}
	for i := range 30 {
		b.eval(time.Duration(i+3) * time.Minute)
	}
	if h := d.History(); len(h) != maxHistory || !h[maxHistory-1].Time.Equal(at(32*time.Minute)) {
		t.Errorf("history: got %d entries to %v, want 20 to 32m", len(h), h[len(h)-1].Time)
	}
}

func TestEvalQueryOffset(t *testing.T) {
	b := newBench(t, "load 1m\n  load 1 2 30 4\n", `groups: [{name: g, query_offset: 1m, rules: [{detect: D, expr: load, signal: traffic, write: [score]}]}]`)
	b.eval(2 * time.Minute)
	e := b.eval(3 * time.Minute)
	same(t, "readings", readings(e), "{}=30 score 2.8 anomalous since 120")
	if !e.Readings[0].Time.Equal(at(2*time.Minute)) || !e.Time.Equal(at(3*time.Minute)) {
		t.Errorf("got a reading of %v in an evaluation of %v, want 2m and 3m", e.Readings[0].Time, e.Time)
	}
	same(t, "written", b.stored(`{rule="D"}`), `{__name__="anomaly_score", rule="D"} 120:2.8`)
}

func TestEvalDecision(t *testing.T) {
	for _, tc := range []struct{ fields, values, want string }{
		// The minutes at which the series is anomalous.
		{"", "0 50 0 50", "1 3"}, // up only
		{", direction: both", "0 50 0 50", "1 2 3"},
		{", direction: down", "0 50 0 50", "2"},
		{", min_change: {absolute: 50}", "0 50 101", "2"},
		{", min_change: {relative: 100%}", "10 20 41", "2"},
		{", for: 2m", "0 20 40 60 80 80 100 120 140", "3 4 8"},
		// A missing sample does not end what departs, a long gap does.
		{", for: 2m", "0 20 40 stale 60", "4"},
		{", for: 2m", "0 20 40 stale _ _ _ _ _ 60 80 100", "11"},
	} {
		t.Run(tc.fields+" "+tc.values, func(t *testing.T) {
			b := newBench(t, "load 1m\n  load "+tc.values+"\n", fmt.Sprintf(oneRule, tc.fields))
			var got []string
			for i := range strings.Fields(tc.values) {
				for _, r := range b.eval(time.Duration(i) * time.Minute).Readings {
					if r.Anomalous {
						got = append(got, fmt.Sprint(i))
					}
				}
			}
			same(t, "anomalous", strings.Join(got, " "), tc.want)
		})
	}
}

// A rule sees what the rules before it wrote in the same evaluation.
func TestEvalOrder(t *testing.T) {
	b := newBench(t, "load 1m\n  raw 1 2 30\n", `groups:
- name: g
  rules:
  - {record: double, expr: raw * 2}
  - {detect: D, expr: double, signal: saturation, write: [score]}
  - {alert: A, expr: 'anomaly_score{rule="D"} >= 1'}
`)
	b.SetRestored()
	b.eval(0)
	b.eval(time.Minute)
	e := b.eval(2 * time.Minute)
	same(t, "readings", readings(e), `{}=60 score 5.6 anomalous since 120`)
	same(t, "alerts", b.stored(`ALERTS`), `{__name__="ALERTS", alertname="A", alertstate="firing", rule="D"} 120:1`)
	active := b.ActiveAlerts()
	if len(active) != 1 || active[0].Rule.Name() != "A" || active[0].State != promrules.StateFiring || active[0].Group.Name() != "g" {
		t.Errorf("active alerts: got %+v", active)
	}
}

func TestEvalStaleness(t *testing.T) {
	b := newBench(t, `
load 1m
  load{h="a"} 1 2 3 4 5
  load{h="b"} 1 2 stale _ 30
`, fmt.Sprintf(oneRule, ", write: [score]"))
	for i := range 5 {
		b.eval(time.Duration(i) * time.Minute)
	}
	same(t, "written", b.stored(`anomaly_score`), `
{__name__="anomaly_score", h="a", rule="D"} 60:0.1 120:0.1 180:0.1 240:0.1
{__name__="anomaly_score", h="b", rule="D"} 60:0.1 120:stale 240:2.8`)
}

func TestEvalForget(t *testing.T) {
	reg := prometheus.NewRegistry()
	b := newBench(t, `
load 1m
  load{h="a"} 1x20
  load{h="b"} 1 stale
`, fmt.Sprintf(oneRule, ""), func(o *Options) { o.ForgetAfter = 10 * time.Minute; o.Registerer = reg })
	figures := func(states, forgotten int) string {
		return fmt.Sprintf(`
# HELP foreshock_detector_state_bytes Memory of the states of series, without their labels.
# TYPE foreshock_detector_state_bytes gauge
foreshock_detector_state_bytes{detector="spike"} %d
# HELP foreshock_detector_states States of series that a detector holds.
# TYPE foreshock_detector_states gauge
foreshock_detector_states{detector="spike"} %d
# HELP foreshock_rule_series_forgotten_total Series that vanished and whose state a detection rule forgot.
# TYPE foreshock_rule_series_forgotten_total counter
foreshock_rule_series_forgotten_total{rule="D"} %d
`, states*8, states, forgotten)
	}
	names := []string{"foreshock_detector_state_bytes", "foreshock_detector_states", "foreshock_rule_series_forgotten_total"}
	for i := range 11 {
		b.eval(time.Duration(i) * time.Minute)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(figures(2, 0)), names...); err != nil {
		t.Error(err)
	}
	b.eval(11 * time.Minute)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(figures(1, 1)), names...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg, names...); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// results is a query function that answers with the next of its results.
func results(list ...any) promrules.QueryFunc {
	return func(context.Context, string, time.Time) (promql.Vector, error) {
		next := list[0]
		list = list[1:]
		switch r := next.(type) {
		case error:
			return nil, r
		case promql.Vector:
			return r, nil
		}
		panic("neither a vector nor an error")
	}
}

func withQuery(list ...any) func(*Options) {
	return func(o *Options) { o.Query = results(list...) }
}

func TestEvalLimit(t *testing.T) {
	all := vector(1, 2, 3, 4)
	reversed := promql.Vector{all[3], all[2], all[1], all[0]}
	b := newBench(t, "", fmt.Sprintf(oneRule, ""), func(o *Options) { o.SeriesLimit = 2 },
		withQuery(reversed, all, vector(1), promql.Vector{all[3], all[0]}))
	e := b.eval(0)
	same(t, "the first in the order of labels are taken", readings(e), "{i=\"0\"}=1 score NaN\n{i=\"1\"}=2 score NaN")
	if e.Refused != 2 {
		t.Errorf("got %d refused, want 2", e.Refused)
	}
	e = b.eval(time.Minute)
	same(t, "known ones stay", readings(e), "{i=\"0\"}=1 score 0.0\n{i=\"1\"}=2 score 0.0")
	b.eval(2 * time.Minute)
	e = b.eval(3 * time.Minute)
	same(t, "a vanished one makes room", readings(e), "{i=\"0\"}=1 score 0.0\n{i=\"3\"}=4 score NaN")
	if st := e.Rule.figures(); e.Refused != 0 || st.refused != 4 || st.forgotten != 1 || st.states != 2 {
		t.Errorf("got %d refused and figures %+v, want 0, 4 refused in all, 1 forgotten, 2 states", e.Refused, st)
	}
}

func TestEvalErrors(t *testing.T) {
	series := func(value float64, names ...string) promql.Sample {
		return promql.Sample{F: value, Metric: labels.FromStrings(names...)}
	}
	down := errors.New("server is down")
	for _, tc := range []struct {
		name   string
		fields string
		result any
		want   string
	}{
		{"query", "", down, "server is down"},
		{"histogram", "", promql.Vector{{H: &histogram.FloatHistogram{}, Metric: labels.FromStrings("a", "b")}}, `series {a="b"} is a native histogram`},
		{"names dropped", "", promql.Vector{series(1, "__name__", "x", "a", "b"), series(1, "__name__", "y", "a", "b")}, `two series are both {a="b"} once their names are dropped`},
		{"rule's label", ", labels: {a: z}", promql.Vector{series(1, "a", "b"), series(1, "a", "c")}, `series {a="b"} and {a="c"} have the same result`},
		{"label rule", "", promql.Vector{series(1, "rule", "b"), series(1, "a", "")}, `have the same result {__name__="anomaly_score", rule="D"}`},
		{"panic", "", promql.Vector{series(1, "a", "a"), series(666, "a", "b")}, `detector spike panicked on the series {a="b"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "", fmt.Sprintf(oneRule, tc.fields), withQuery(tc.result, tc.result, vector(1)))
			for i := range 2 {
				e := b.eval(time.Duration(i) * time.Minute)
				if e.Err == nil || !strings.Contains(e.Err.Error(), tc.want) || len(e.Readings) != 0 {
					t.Fatalf("got error %v and %d readings, want %q and none", e.Err, len(e.Readings), tc.want)
				}
				if e.Rule.Health() != promrules.HealthBad || e.Rule.LastError() == nil || e.Rule.History()[i].Err == nil {
					t.Errorf("got health %s and error %v, want err", e.Rule.Health(), e.Rule.LastError())
				}
			}
			if e := b.eval(2 * time.Minute); e.Err != nil || len(e.Readings) != 1 || e.Rule.Health() != promrules.HealthGood {
				t.Errorf("afterwards: got %v, %d readings and health %s; want a good evaluation", e.Err, len(e.Readings), e.Rule.Health())
			}
			same(t, "written", b.stored(`{rule="D"}`), "")
		})
	}
}

// The order of a query's result changes nothing.
func TestEvalDeterministic(t *testing.T) {
	v := vector(1, 2, 30, 4, 5)
	mixed := promql.Vector{v[3], v[0], v[4], v[2], v[1]}
	run := func(list ...any) string {
		b := newBench(t, "", fmt.Sprintf(oneRule, ""), withQuery(list...))
		return readings(b.eval(0)) + readings(b.eval(time.Minute)) + b.stored(`{rule="D"}`)
	}
	same(t, "order", run(mixed, v), run(v, mixed))
	if e := newBench(t, "", fmt.Sprintf(oneRule, ""), withQuery(vector(math.NaN()))).eval(0); e.Err != nil || len(e.Readings) != 1 {
		t.Errorf("NaN: got %v and %d readings, want one reading", e.Err, len(e.Readings))
	}
}

// TestOnlyNaN: series without a number are neither none nor judged.
func TestOnlyNaN(t *testing.T) {
	nan := math.NaN()
	b := newBench(t, "", fmt.Sprintf(oneRule, ""), withQuery(vector(), vector(nan), vector(nan, nan), vector(nan, 3)))
	for i, want := range []struct {
		only        bool
		series, nan int
	}{{false, 0, 0}, {true, 1, 1}, {true, 2, 2}, {false, 2, 1}} {
		e := b.eval(time.Duration(i) * time.Minute)
		h := e.Rule.History()
		last := h[len(h)-1]
		if e.OnlyNaN() != want.only || last.Series != want.series || last.NaN != want.nan {
			t.Errorf("evaluation %d: only NaN %v, %d series, %d without a number; want %+v", i, e.OnlyNaN(), last.Series, last.NaN, want)
		}
	}
}

func TestScalar(t *testing.T) {
	b := newBench(t, "", `groups: [{name: g, rules: [{detect: D, expr: time(), signal: traffic}]}]`)
	b.eval(0)
	same(t, "readings", readings(b.eval(time.Minute)), `{}=60 score 6.0 anomalous since 60`)
}

// Readings of an incomplete answer say so, and nobody is missing in it.
func TestEvalPartial(t *testing.T) {
	b := newBench(t, "load 1m\n  load{host=\"a\"} 1 2 30\n  load{host=\"b\"} 1 1 1\n", fmt.Sprintf(oneRule, ""), func(o *Options) {
		n := 0
		o.Partial = func(ctx context.Context) (context.Context, func() bool) {
			n++
			return ctx, func() bool { return n == 3 }
		}
	})
	for i, want := range []string{"", "", "partial"} {
		for _, r := range b.eval(time.Duration(i) * time.Minute).Readings {
			if got := strings.Join(r.Verdict.Doubts.Strings(), ","); got != want {
				t.Errorf("evaluation %d: %s has doubts %q, want %q", i, r.Key, got, want)
			}
		}
	}
}
