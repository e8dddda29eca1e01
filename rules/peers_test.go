package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// TestPeers: of each service the replica that becomes slow is named, whatever
// the others of its service or another service do.
func TestPeers(t *testing.T) {
	const day = 1440
	r := rand.New(rand.NewPCG(1, 1))
	var load strings.Builder
	load.WriteString("load 1m\n")
	add := func(name string, value func(i int) float64) {
		fmt.Fprintf(&load, "  %s", name)
		for i := range 2*day + 60 {
			if v := value(i); math.IsInf(v, 0) {
				load.WriteString(" _")
			} else {
				fmt.Fprintf(&load, " %.4g", v)
			}
		}
		load.WriteString("\n")
	}
	usual := func(level float64) float64 { return level * (1 + 0.02*r.NormFloat64()) }
	for _, pod := range []string{"1", "2", "3", "4"} {
		add(`seconds{service="a",pod="`+pod+`"}`, func(i int) float64 {
			if pod == "3" && i >= 2*day {
				return usual(2)
			}
			return usual(1)
		})
		add(`seconds{service="b",pod="`+pod+`"}`, func(i int) float64 { // all of them get slow, and one vanishes
			switch {
			case pod == "4" && i >= 2*day-30:
				return math.Inf(1)
			case i >= 2*day:
				return usual(9)
			}
			return usual(3)
		})
	}
	add(`seconds{service="two",pod="1"}`, func(int) float64 { return usual(1) })
	add(`seconds{service="two",pod="2"}`, func(i int) float64 { return usual(float64(1 + i/(2*day))) })
	b := newBench(t, load.String(), fmt.Sprintf(oneRule, ""))
	b.updateReal(`groups:
- name: g
  interval: 1m
  rules:
  - {detect: P, expr: seconds, signal: latency, detector: peers, by: [service], min_change: {relative: 30%}}
`)
	found, few := map[string]string{}, map[string]bool{}
	for i := day; i < 2*day+60; i++ {
		e := b.eval(time.Duration(i) * time.Minute)
		if e.Err != nil {
			t.Fatal(e.Err)
		}
		for _, x := range e.Readings {
			if x.Anomalous {
				found[x.Key] = fmt.Sprintf("%s up=%v since %d", x.Verdict.Kind, x.Verdict.Up, int(x.Onset.Sub(at(0)).Minutes())-2*day)
			}
			if x.Verdict.Doubts&detectors.DoubtFewPeers != 0 {
				few[x.Key] = true
			}
		}
	}
	same(t, "anomalies", fmt.Sprint(found), `map[{pod="3", service="a"}:peer up=true since 0]`)
	same(t, "few peers", fmt.Sprint(few), `map[{pod="1", service="two"}:true {pod="2", service="two"}:true]`)
}

// TestPeersTraffic: a member that loses its traffic to the others is unlike
// them, though the group has what it usually has.
func TestPeersTraffic(t *testing.T) {
	f := &fleet{height: 100, noise: 0.05}
	for _, name := range []string{"a", "b", "c", "d"} {
		f.pods = append(f.pods, pod{name, 0, 0, func(minute int) float64 {
			switch {
			case minute < rollout:
				return 1
			case name == "d":
				return 0.1
			}
			return 1.3
		}})
	}
	got := churn(t, f, fmt.Sprintf(byRule, "traffic", "peers"), rollout+30, nil)
	for _, name := range []string{"a", "b", "c", "d"} {
		first, n := anomalies(got[name], rollout)
		if (n > 0) != (name == "d") || first > rollout+5 {
			t.Errorf("pod %s: %d anomalies, first after %d minutes; want some of d alone, within 5", name, n, first-rollout)
		}
	}
}

// TestPeersOf: members are compared by their share of another value.
func TestPeersOf(t *testing.T) {
	b := newBench(t, `
load 1m
  failed{pod="1",app="x"} 1x10
  failed{pod="2",app="x"} 2x10
  failed{pod="3",app="x"} 3x10
  failed{pod="4",app="x"} 3x10
  requests{pod="1"} 10x10
  requests{pod="2"} 20x10
  requests{pod="3"} 30x10
`, fmt.Sprintf(oneRule, ""))
	b.updateReal("groups: [{name: g, interval: 1m, rules: [{detect: P, expr: failed, of: requests, signal: errors, detector: peers, by: [app]}]}]")
	b.eval(0)
	got := ""
	for _, r := range b.eval(time.Minute).Readings {
		got += fmt.Sprintf("%g of %g, ", r.Verdict.Value, r.Verdict.Expected)
	}
	same(t, "values", got, "0.1 of 0.1, 0.1 of 0.1, 0.1 of 0.1, NaN of NaN, ")
}

func TestPeersFields(t *testing.T) {
	for _, c := range []struct{ fields, want, wrong string }{
		{"by: [service], detector: peers", "both [service]", ""},
		{"by: [b, a], direction: up, detector: peers", "up [a b]", ""},
		{"direction: up, detector: peers", "", "by: detector peers compares the members of a group: by must list the labels that they have in common, such as [service]"},
		{"by: [], detector: peers", "", "by must list the labels"},
		{"by: [a, a], detector: peers", "", `label "a" is there twice`},
		{"by: [a], up: up, detector: peers", "", "up: says why series are missing, which detector peers does not judge"},
		{"by: [a], detector: [spike, peers]", "", "detector peers has no place in a mean: it judges the members of a group together"},
	} {
		f, err := ParseFile("a.yml", []byte("groups: [{name: g, rules: [{detect: P, expr: e, signal: latency, "+c.fields+"}]}]"))
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: got %v, want %q", c.fields, err, c.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", c.fields, err)
		default:
			d := f.Groups[0].Rules[0].Detection
			same(t, c.fields, fmt.Sprint(d.Direction, " ", d.By), c.want)
		}
	}
}
