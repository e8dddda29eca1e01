package rules

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/detectors"
)

// pod is one member of a service: it lives from one minute to another, and
// measures factor times what is usual.
type pod struct {
	name     string
	from, to int // minutes; to 0 = for ever
	factor   func(minute int) float64
}

func steady(factor float64) func(int) float64 { return func(int) float64 { return factor } }

// fleet answers queries with the pods' values: a daily wave of the given size
// with noise in proportion.
type fleet struct {
	pods   []pod
	height float64
	noise  float64
}

func (f *fleet) query(_ context.Context, _ string, at time.Time) (promql.Vector, error) {
	minute := int(at.Unix() / 60)
	var out promql.Vector
	for i, p := range f.pods {
		if minute < p.from || (p.to != 0 && minute >= p.to) {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(minute), uint64(i)))
		wave := 1 + 0.4*math.Sin(2*math.Pi*float64(minute)/1440)
		v := f.height * p.factor(minute) * wave * (1 + f.noise*r.NormFloat64())
		out = append(out, promql.Sample{T: at.UnixMilli(), F: v, Metric: labels.FromStrings("service", "shop", "pod", p.name)})
	}
	return out, nil
}

// churn evaluates a rule minute by minute and returns the readings by pod.
func churn(t *testing.T, f *fleet, rule string, minutes int, each func(b *bench, minute int)) map[string]map[int]Reading {
	t.Helper()
	b := newBench(t, "load 1m\n  up 1\n", fmt.Sprintf(oneRule, ""), func(o *Options) { o.Query, o.SkipOutputs = f.query, true })
	b.updateReal(rule)
	out := map[string]map[int]Reading{}
	for i := range minutes {
		if each != nil {
			each(b, i)
		}
		e := b.eval(time.Duration(i) * time.Minute)
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		for _, r := range e.Readings {
			name := r.Series.Get("pod")
			if out[name] == nil {
				out[name] = map[int]Reading{}
			}
			out[name][i] = r
		}
	}
	return out
}

// anomalies returns the first anomalous minute of a pod, and how many there are.
func anomalies(readings map[int]Reading, from int) (first, n int) {
	first = -1
	for i := range readings {
		if readings[i].Anomalous && i >= from {
			n++
			if first < 0 || i < first {
				first = i
			}
		}
	}
	return first, n
}

const byRule = `groups:
- name: g
  interval: 1m
  rules:
  - {detect: D, expr: x, signal: %s, detector: %s, by: [service], false_alarms: 1 per 30d}
`

// days of history before a rollout, in minutes, and the rollout's begin.
const rollout = 3*1440 + 600

// rolling are three pods of a version that are replaced, two minutes apart, by
// three of another one that measure factor times as much.
func rolling(factor float64) []pod {
	var out []pod
	for i := range 3 {
		out = append(out,
			pod{fmt.Sprintf("v1-%d", i), 0, rollout + 4 + 2*i, steady(1)},
			pod{fmt.Sprintf("v2-%d", i), rollout + 2*i, 0, steady(factor)})
	}
	return out
}

// TestRollingUpdate: pods that are replaced by their like are no anomaly, go on
// with the group's day and say so for a day.
func TestRollingUpdate(t *testing.T) {
	for _, c := range []struct{ signal, detector string }{
		{"latency", "level_shift"}, {"traffic", "level_shift"}, {"latency", "ewma"}, {"traffic", "[spike, seasonality]"}, {"errors", "rate"},
	} {
		got := churn(t, &fleet{pods: rolling(1), height: 100, noise: 0.05}, fmt.Sprintf(byRule, c.signal, c.detector), rollout+1500, nil)
		for i := range 3 {
			name, born := fmt.Sprintf("v2-%d", i), rollout+2*i
			if first, n := anomalies(got[name], 0); n > 0 {
				t.Errorf("%s, %s: pod %s is anomalous %d times, first %d minutes after it came", c.signal, c.detector, name, n, first-born)
			}
			for _, e := range []struct {
				after     int
				inherited bool
			}{{0, false}, {5, true}, {1439, true}, {1440, false}} {
				r := got[name][born+e.after]
				if has := r.Verdict.Doubts&detectors.DoubtInherited != 0; has != e.inherited {
					t.Errorf("%s, %s: pod %s after %d minutes: doubts %q", c.signal, c.detector, name, e.after, r.Verdict.Doubts)
				}
			}
		}
	}
}

// TestBadCanary: a version that is ten times slower from its first sample on is
// found within minutes, however short it has been there.
func TestBadCanary(t *testing.T) {
	for _, detector := range []string{"spike", "seasonality", "[spike, ewma]"} {
		f := &fleet{height: 0.1, noise: 0.05, pods: []pod{
			{"a", 0, 0, steady(1)}, {"b", 0, 0, steady(1.1)}, {"c", 0, 0, steady(0.9)},
			{"bad", rollout, 0, steady(10)}, {"good", rollout, 0, steady(1.1)},
		}}
		got := churn(t, f, fmt.Sprintf(byRule, "latency", detector), rollout+60, nil)
		first, _ := anomalies(got["bad"], 0)
		if first < 0 || first > rollout+5 {
			t.Errorf("%s: the bad canary is found at minute %d after it came, want within 5", detector, first-rollout)
			continue
		}
		v := got["bad"][first].Verdict
		if v.Doubts&detectors.DoubtInherited == 0 || !v.Up || v.Expected > 0.3 {
			t.Errorf("%s: verdict on the bad canary %+v", detector, v)
		}
		if first, n := anomalies(got["good"], 0); n > 0 {
			t.Errorf("%s: the good canary is anomalous %d times, first after %d minutes", detector, n, first-rollout)
		}
		for _, name := range []string{"a", "b", "c"} {
			if _, n := anomalies(got[name], rollout); n > 0 {
				t.Errorf("%s: pod %s is anomalous %d times", detector, name, n)
			}
		}
	}
}

// TestUnequalTraffic: what a member gets of the traffic is its own level.
func TestUnequalTraffic(t *testing.T) {
	for _, detector := range []string{"spike", "level_shift", "[spike, seasonality]"} {
		for _, share := range []float64{0.1, 0.5, 2} {
			f := &fleet{height: 100, noise: 0.05, pods: []pod{
				{"a", 0, 0, steady(1)}, {"b", 0, 0, steady(1)}, {"new", rollout, 0, steady(share)},
			}}
			got := churn(t, f, fmt.Sprintf(byRule, "traffic", detector), rollout+1440, nil)
			if first, n := anomalies(got["new"], 0); n > 0 {
				t.Errorf("%s: a pod with %g of the traffic of its siblings is anomalous %d times, first after %d minutes", detector, share, n, first-rollout)
			}
		}
		// What it learns at first is its level: losing half of that is seen.
		f := &fleet{height: 100, noise: 0.05, pods: []pod{{"a", 0, 0, steady(1)}, {"new", rollout, 0, func(minute int) float64 {
			if minute >= rollout+60 {
				return 0.1
			}
			return 0.7
		}}}}
		got := churn(t, f, fmt.Sprintf(byRule, "traffic", detector), rollout+240, nil)
		first, _ := anomalies(got["new"], 0)
		if first < rollout+60 || (detector == "spike" && first > rollout+70) {
			t.Errorf("%s: a fall to a seventh an hour after the pod came is found after %d minutes", detector, first-rollout)
		}
	}
}

// TestSharedTraffic: members that only share their traffic in another way are
// no anomaly; together they may be.
func TestSharedTraffic(t *testing.T) {
	from := func(before, after float64) func(int) float64 {
		return func(minute int) float64 {
			if minute >= rollout {
				return after
			}
			return before
		}
	}
	for _, c := range []struct {
		name string
		pods []pod
		by   string
		want string
	}{
		{"scaled out", []pod{{"a", 0, 0, from(1, 0.5)}, {"b", 0, 0, from(1, 0.5)}, {"c", rollout, 0, steady(0.5)}, {"d", rollout, 0, steady(0.5)}}, ", by: [service]", "[]"},
		{"scaled in", []pod{{"a", 0, 0, from(1, 2)}, {"b", 0, rollout, steady(1)}}, ", by: [service]", "[]"},
		{"scaled in, no group", []pod{{"a", 0, 0, from(1, 2)}, {"b", 0, rollout, steady(1)}}, "", "[a]"},
		{"one loses its share", []pod{{"a", 0, 0, from(1, 0)}, {"b", 0, 0, from(1, 2)}}, ", by: [service]", "[]"},
		{"half of all is lost", []pod{{"a", 0, 0, from(1, 0)}, {"b", 0, 0, steady(1)}}, ", by: [service]", "[a]"},
		{"all is doubled", []pod{{"a", 0, 0, from(1, 2)}, {"b", 0, 0, from(1, 2)}}, ", by: [service]", "[a b]"},
	} {
		rule := "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {detect: D, expr: x, signal: traffic" + c.by + "}\n"
		got := churn(t, &fleet{pods: c.pods, height: 100, noise: 0.03}, rule, rollout+60, nil)
		departed := []string{}
		for _, name := range sortedKeys(got) {
			if _, n := anomalies(got[name], rollout); n > 0 {
				departed = append(departed, name)
			}
		}
		if fmt.Sprint(departed) != c.want {
			t.Errorf("%s: anomalous are %v, want %s", c.name, departed, c.want)
		}
	}
}

// TestElders: who hands on, and who does not.
func TestElders(t *testing.T) {
	slow := func(since int) func(int) float64 {
		return func(minute int) float64 {
			if minute >= since {
				return 10
			}
			return 1
		}
	}
	for _, c := range []struct {
		name string
		pods []pod
		hold bool
		want bool // it inherits
	}{
		{name: "a member of a day", pods: []pod{{"a", rollout - 1500, 0, steady(1)}}, want: true},
		{name: "a member of hours", pods: []pod{{"a", rollout - 600, 0, steady(1)}}},
		{name: "a member that is gone", pods: []pod{{"a", 0, rollout - 10, steady(1)}}},
		{name: "a member that left just now", pods: []pod{{"a", 0, rollout - 1, steady(1)}}, want: true},
		{name: "a held one", pods: []pod{{"a", 0, 0, steady(1)}}, hold: true},
		{name: "one that departs", pods: []pod{{"a", 0, 0, slow(rollout - 2)}}, want: true},
	} {
		f := &fleet{pods: append(c.pods, pod{"new", rollout, 0, steady(1)}), height: 100, noise: 0.05}
		got := churn(t, f, fmt.Sprintf(byRule, "latency", "spike"), rollout+9, func(b *bench, minute int) {
			if c.hold && minute == rollout-5 {
				b.Hold([]Hold{{Rule: "D", Series: `{pod="a", service="shop"}`, Since: at(time.Duration(minute) * time.Minute)}})
			}
		})
		v := got["new"][rollout+8].Verdict
		if inherited := v.Doubts&detectors.DoubtInherited != 0; inherited != c.want || math.IsNaN(v.Score) == c.want {
			t.Errorf("%s: inherited %v, score %g; want %v", c.name, inherited, v.Score, c.want)
		}
		if _, n := anomalies(got["new"], 0); n > 0 {
			t.Errorf("%s: the new one is anomalous", c.name)
		}
	}
}

// TestInheritOverReload: neither a reload nor a restart between the first samples
// and the inheritance changes anything.
func TestInheritOverReload(t *testing.T) {
	rule := fmt.Sprintf(byRule, "latency", "spike")
	run := func(each func(b *bench, minute int)) map[string]map[int]Reading {
		return churn(t, &fleet{pods: rolling(1), height: 100, noise: 0.05}, rule, rollout+30, each)
	}
	want := run(nil)
	got := run(func(b *bench, minute int) {
		if minute == rollout+1 || minute == rollout+6 {
			b.updateReal(rule + fmt.Sprintf("  - {record: r%d, expr: vector(1)}\n", minute))
		}
		if minute == rollout+2 || minute == rollout+7 {
			frames := b.snapshot()
			b.Manager = b.manager(func(o *Options) {
				o.Query, o.SkipOutputs = (&fleet{pods: rolling(1), height: 100, noise: 0.05}).query, true
			})
			b.updateReal(rule)
			if err := b.Restore(framesOf(frames)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, readings := range want {
		for i, r := range readings {
			if g := got[name][i]; fmt.Sprint(g.Verdict) != fmt.Sprint(r.Verdict) {
				t.Fatalf("pod %s, minute %d: got %+v, want %+v", name, i, g.Verdict, r.Verdict)
			}
		}
	}
}
