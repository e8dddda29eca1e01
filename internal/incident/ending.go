package incident

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// resolve ends an incident that is over: quiet for the hold, closed by an
// operator, or lasting so long that its level is the new one.
func (c *Correlator) resolve(now time.Time, t *thread, in Input) {
	if t.State != Open {
		return
	}
	for _, a := range in.Acts {
		if a.Incident != t.ID {
			continue
		}
		switch a.Kind {
		case "accept":
			t.end(now, WhyNewLevel)
		case "false":
			t.end(now, WhyFalse)
		case "close":
			t.end(now, WhyClosed)
		}
		return
	}
	switch {
	case now.Sub(t.Opened) >= longest:
		t.end(now, WhyNewLevel)
	case now.Sub(t.asked) >= max(t.hold, c.o.Hold):
		t.end(now, WhyQuiet)
	case c.rolledOut(now, t, in.Graph):
		t.end(now, WhyNewLevel)
	}
}

const (
	// acceptedAfter is how long after a rollout a shift that hurts nobody is
	// taken as the new level, after law 3.
	acceptedAfter = 30 * time.Minute
	// worsening is how many times as far off as before a departure may be to
	// count as a shift, which stays as it is, and not as a leak.
	worsening = 1.25
)

// rolledOut reports whether all that is left of a ticket is what the suspected
// rollout made of its own service, is no error and no latency that people wait
// for, is not getting worse, and has been so for long enough.
func (c *Correlator) rolledOut(now time.Time, t *thread, g *topology.Graph) bool {
	s := t.Suspect()
	if t.Severity != Ticket || len(t.Harm) > 0 || !t.Known || s == nil || !rollout(s.Change) ||
		now.Sub(s.Time) < c.o.Rollout+acceptedAfter {
		return false
	}
	node, _ := g.Node(s.Service)
	people := g.IsEntry(s.Service) || node.Critical
	left := 0
	for _, a := range c.ordered(t) {
		switch {
		case !a.End.IsZero():
		case a.Service != s.Service || !replacing(a, people) || a.Limit != (Forecast{}) || !a.steady(now):
			return false
		default:
			left++
		}
	}
	return left > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(t.alerts)), func(k string) bool { _, firing := c.alerts[k]; return firing })
}

// steady reports whether a departure was seen within the last ten minutes, and is
// not much further off than it was before them.
func (a *Anomaly) steady(now time.Time) bool {
	var late, early []float64
	for _, p := range a.Trail {
		off := math.Abs(p.Value - p.Expected)
		switch {
		case math.IsNaN(off):
		case now.Sub(p.Time) < 10*time.Minute:
			late = append(late, off)
		default:
			early = append(early, off)
		}
	}
	if len(late) == 0 || len(early) == 0 {
		return false // missing data resolve nothing
	}
	slices.Sort(late)
	slices.Sort(early)
	return late[len(late)/2] <= worsening*early[len(early)/2]
}

// Reasons why an incident was resolved.
const (
	WhyQuiet    = "quiet"
	WhyNewLevel = "new level"
	WhyFalse    = "marked as false"
	WhyClosed   = "closed by an operator"
	whyMerged   = "merged into " // and the name of the other incident
)

// spend counts what an incident that ended asked for.
func (c *Correlator) spend(now time.Time, t *thread) {
	if t.merged {
		return
	}
	if t.State == Resolved {
		c.used[t.ID] = now
		maps.DeleteFunc(c.used, func(_ string, at time.Time) bool { return now.Sub(at) > 2*longest })
		c.ended = slices.DeleteFunc(c.ended, func(r relapse) bool { return now.Sub(r.at) > longestHold })
		if t.Why == WhyQuiet && len(t.Causes) > 0 {
			c.ended = append(c.ended, relapse{at: now, cause: t.Causes[0].Service, hold: max(t.hold, c.o.Hold)})
		}
	}
	c.pages.add(now, t.peaks[Page])
	c.tickets.add(now, max(t.peaks[Ticket], t.peaks[Page]))
}

// relapse is an incident that ended a short while ago.
type relapse struct {
	at    time.Time
	cause topology.Service
	hold  time.Duration
}

// longestHold bounds how long an incident that comes back has to be quiet.
const longestHold = 2 * time.Hour

// holdOf is how long an incident with the cause has to be quiet to be over:
// twice as long as the last time when it came back within half of that, since
// "resolved" was wrong then.
func (c *Correlator) holdOf(now time.Time, cause topology.Service) time.Duration {
	hold := c.o.Hold
	for _, r := range c.ended {
		if r.cause == cause && now.Sub(r.at) <= r.hold/2 {
			hold = max(hold, min(longestHold, 2*r.hold))
		}
	}
	return hold
}

// drop forgets the anomalies of an incident that ended. One that still runs
// (new level, closed, hurting nobody any more) was accepted. Those of an
// incident that became part of another one live on in it.
func (c *Correlator) drop(t *thread) {
	if t.merged {
		return
	}
	for k := range t.keys {
		tr := c.tracks.get(k)
		if tr == nil {
			continue
		}
		if tr.running() && t.State == Resolved {
			a := tr.anomaly
			tr.accepted = &acceptance{at: t.Resolved, up: a.Up, from: a.Expected, last: tr.last.Value, worst: a.Value}
		}
		tr.anomaly = nil
	}
	if t.State == Resolved && t.Why != WhyQuiet {
		for k := range t.alerts {
			if _, firing := c.alerts[k]; firing {
				c.heard[k] = true
			}
		}
	}
}

// holds asks that no series of a service in a sent incident learns, nor what
// departs under maintenance.
func (c *Correlator) holds(now time.Time) []Hold {
	since := map[topology.Service]time.Time{}
	for _, t := range c.open {
		if t.State != Open {
			continue
		}
		for s := range t.services {
			if o, ok := since[s]; !ok || t.Onset.Before(o) {
				since[s] = t.Onset
			}
		}
	}
	out := c.maintenanceHolds(now)
	out = slices.DeleteFunc(out, func(h Hold) bool {
		_, sent := since[c.tracks.get(seriesKey{h.Rule, h.Series}).last.Service]
		return sent
	})
	held, series := slices.Sorted(maps.Keys(since)), 0
	for _, s := range held {
		series += len(c.tracks.byService[s])
	}
	out = slices.Grow(out, series)
	for _, s := range held {
		for _, tr := range c.tracks.byService[s] {
			out = append(out, Hold{Rule: tr.key.rule, Series: tr.key.series, Since: since[s]})
		}
	}
	return out
}

// releases ends the holds of a resolved incident. Where the level was accepted
// they say so. After a quiet end they do for what still departs: nobody suffers
// from it any more, so it is the new level and not the next incident.
func (c *Correlator) releases(t *thread) []Hold {
	accepted := t.Why == WhyNewLevel || t.Why == WhyFalse
	if !accepted && t.Why != WhyQuiet {
		return nil
	}
	var out []Hold
	for _, k := range slices.SortedFunc(maps.Keys(t.keys), func(a, b seriesKey) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.series, b.series))
	}) {
		if tr := c.tracks.get(k); accepted || tr != nil && tr.running() {
			out = append(out, Hold{Rule: k.rule, Series: k.series, Accept: true})
		}
	}
	return out
}
