package rules

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestOf: the share of two results, joined by the labels of the second.
func TestOf(t *testing.T) {
	b := newBench(t, `
load 1m
  failed{service="a",code="500"} 1x10
  failed{service="a",code="503"} 2x10
  failed{service="b",code="500"} 0x10
  failed{service="c",code="500"} 1x10
  requests{service="a"} 10x10
  requests{service="b"} 20x4 0x10
  requests{service="d"} 20x10
`, fmt.Sprintf(oneRule, ""))
	b.updateReal(`groups:
- name: g
  interval: 1m
  rules:
  - {detect: E, expr: failed, of: requests, signal: errors}
  - {detect: F, expr: failed, of: requests, signal: errors, detector: spike}
`)
	for _, minute := range []int{2, 6} {
		b.eval(time.Duration(minute) * time.Minute)
		for _, e := range b.evaluations {
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			got := map[string]float64{}
			for _, r := range e.Readings {
				got[r.Key] = r.Verdict.Value
			}
			want := map[string]float64{
				`{code="500", service="a"}`: 0.1, `{code="503", service="a"}`: 0.2, `{code="500", service="b"}`: 0, `{code="500", service="c"}`: math.NaN(),
			}
			if minute == 6 {
				want[`{code="500", service="b"}`] = math.NaN() // no requests
			}
			same(t, fmt.Sprintf("%s at minute %d", e.Rule.Name(), minute), fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

func TestOfErrors(t *testing.T) {
	for _, c := range []struct{ name, of, want string }{
		{"different labels", "load", `of: series {__name__="load", a="1"} and {__name__="load", b="1"} have different labels: aggregate them by the labels that they share`},
		{"twice", `{__name__=~"load|more",a="1"}`, `of: two series are both {a="1"} once their names are dropped: aggregate them, or select one name`},
	} {
		b := newBench(t, "load 1m\n  load{a=\"1\"} 1\n  load{b=\"1\"} 1\n  more{a=\"1\"} 1\n  x 1\n", fmt.Sprintf(oneRule, ""))
		b.updateReal("groups: [{name: g, rules: [{detect: E, expr: x, of: '" + c.of + "', signal: errors}]}]")
		if e := b.eval(0); e.Err == nil || e.Err.Error() != c.want {
			t.Errorf("%s: got error %v, want %s", c.name, e.Err, c.want)
		}
	}
}

// TestOfAlarm: a tenfold share of errors is found, and none before.
func TestOfAlarm(t *testing.T) {
	b := newBench(t, `
load 1m
  errors_total{service="a"} 0+1x2000 2050+50x30
  requests_total{service="a"} 0+100x2040
`, fmt.Sprintf(oneRule, ""))
	b.updateReal(`groups:
- name: g
  interval: 1m
  rules:
  - {detect: E, expr: 'rate(errors_total[5m])', of: 'rate(requests_total[5m])', signal: errors, false_alarms: 1 per 7d}
`)
	first := 0
	for i := range 2030 {
		for _, r := range b.eval(time.Duration(i) * time.Minute).Readings {
			if r.Anomalous && first == 0 {
				first = i
			}
		}
	}
	if first < 2001 || first > 2004 {
		t.Errorf("anomalous first at minute %d, want 2001 to 2004", first)
	}
}
