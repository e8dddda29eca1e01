package incident

import (
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// watch steps through a time in which the team's alert of a service fires or not.
func watch(c *Correlator, from, to time.Time, firing bool, services ...topology.Service) (now time.Time, out []*Incident) {
	for now = from; now.Before(to); now = now.Add(15 * time.Second) {
		in := Input{Graph: topology.NewGraph(nil, nil)}
		for _, s := range services {
			if firing {
				in.Alerts = append(in.Alerts, Alert{Name: "Down", Service: s, Severity: "page", Since: from, Labels: map[string]string{"service": string(s)}})
			}
		}
		out = c.Step(now, in).Incidents
	}
	return now, out
}

// When the clock jumps, rules find nothing at first: that is no quiet hour: it ends nothing.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, 20 * time.Minute, -time.Hour, -time.Minute} {
		c := mustNew(t, testOptions())
		now, open := watch(c, day, day.Add(5*time.Minute), true, "a")
		if len(open) != 1 || open[0].State != Open {
			t.Fatalf("before the jump: %v, want one open", open)
		}
		now = now.Add(jump)
		now, still := watch(c, now, now.Add(time.Minute), false, "a")
		if len(still) != 1 || still[0].ID != open[0].ID || still[0].State != Open {
			t.Fatalf("jump of %s: after a minute %+v, want %s open", jump, still, open[0].ID)
		}
		now, again := watch(c, now, now.Add(2*time.Minute), true, "a")
		if len(again) != 1 || again[0].State != Open || len(again[0].Sent) != 1 {
			t.Fatalf("jump of %s: %+v, want one open that was sent once", jump, again)
		}
		quiet := now
		var ended int
		for last := now; last.Sub(quiet) < 10*time.Minute; {
			var step []*Incident
			last, step = watch(c, last, last.Add(15*time.Second), false)
			for _, i := range step {
				if i.State == Resolved {
					if ended++; i.Resolved.Sub(quiet) < 4*time.Minute {
						t.Errorf("jump of %s: resolved after %s", jump, i.Resolved.Sub(quiet))
					}
				}
			}
		}
		if ended != 1 {
			t.Errorf("jump of %s: %d incidents ended after ten quiet minutes, want 1", jump, ended)
		}
	}
}

// What is new does not wait until a clock that was set back has caught up.
func TestClockSetBackWhileForming(t *testing.T) {
	c := mustNew(t, testOptions())
	now, _ := watch(c, day, day.Add(30*time.Second), true, "a")
	now = now.Add(-time.Hour)
	if _, open := watch(c, now, now.Add(2*time.Minute), true, "a"); len(open) != 1 || open[0].State != Open {
		t.Errorf("two minutes later: %+v, want one open", open)
	}
}
