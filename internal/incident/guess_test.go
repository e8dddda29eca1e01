package incident

import (
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// TestSuspicions: of services among which no calls are known, which one is
// suspected, and for what.
func TestSuspicions(t *testing.T) {
	latency := func(v, e, score float64) *Anomaly {
		return &Anomaly{Signal: Latency, Unit: "seconds", Up: true, Onset: day, Value: v, Expected: e, Score: score}
	}
	failing := func(v, score float64) *Anomaly {
		return &Anomaly{Signal: Errors, Unit: "ratio", Up: true, Onset: day, Value: v, Expected: 0.001, Score: score}
	}
	busy := func(v, score float64) *Anomaly {
		return &Anomaly{Signal: Saturation, Unit: "ratio", Up: true, Onset: day, Value: v, Expected: 0.2, Score: score}
	}
	more := &Anomaly{Signal: Traffic, Up: true, Onset: day, Value: 300, Expected: 50, Score: 3}
	is := func(s string, as ...*Anomaly) *evidence {
		e := &evidence{service: topology.Service(s)}
		for _, a := range as {
			a.Service = e.service
			e.add(a)
		}
		return e
	}
	paged := func(e *evidence) *evidence {
		e.addAlert(Alert{Name: "Slow", Service: e.service, Since: day, Severity: "page"})
		return e
	}
	warned := is("filling")
	warned.addAlert(Alert{Name: "NearlyFull", Service: "filling", Since: day, Severity: "warning"})
	for _, tt := range []struct {
		name string
		ev   []*evidence
		want topology.Service
	}{
		{"the larger factor, not more seconds", []*evidence{is("far", latency(0.5, 0.3, 3)), is("near", latency(0.09, 0.01, 3))}, "near"},
		{"the larger share of failures", []*evidence{is("passes on", failing(0.2, 4)), is("fails", failing(0.6, 3))}, "fails"},
		{"trouble inside too", []*evidence{is("waits", latency(0.2, 0.1, 4)), is("works", latency(0.2, 0.1, 3), busy(0.9, 3))}, "works"},
		{"work that requests explain is none", []*evidence{is("asked more", more, busy(0.9, 3)), is("slow", latency(1, 0.1, 3))}, "slow"},
		{"what one alone shows explains least", []*evidence{is("apart", failing(0.01, 3)), is("waits", latency(0.3, 0.2, 3)), is("slow", latency(0.1, 0.01, 3))}, "slow"},
		{"who is paged for suffers from what is slow as well", []*evidence{paged(is("shop", latency(0.9, 0.1, 3))), is("search", latency(0.7, 0.1, 3))}, "search"},
		{"where the team looks when users suffer", []*evidence{paged(is("shop", failing(0.2, 3))), warned}, "filling"},
	} {
		c := Case{evidence: tt.ev, graph: topology.NewGraph(nil, nil)}
		w := c.suspicions()
		best := 0
		for i := range w {
			if w[i] > w[best] {
				best = i
			}
		}
		if got := tt.ev[best].service; got != tt.want {
			t.Errorf("%s: suspects %s (%v), want %s", tt.name, got, w, tt.want)
		}
	}
}

// TestSuspicionUsesTheMedianOfTheLastValues: one sample far off makes no cause,
// and neither does what came after the end.
func TestSuspicionUsesTheMedianOfTheLastValues(t *testing.T) {
	step := testOptions().Interval
	a := Anomaly{Signal: Latency, Up: true, Onset: day, Value: 9, Expected: 1, End: day.Add(5 * step)}
	for k, v := range []float64{1, 2, 9, 2, 2, 2, 1, 1, 1, 1} {
		a.Trail = append(a.Trail, Point{Time: day.Add(time.Duration(k-1) * step), Value: v, Expected: 1, Upper: 1.5})
	}
	if got := a.rise(); got != 2 {
		t.Errorf("rise %v, want 2: 2 lies two widths of 0.5 above 1", got)
	}
}
