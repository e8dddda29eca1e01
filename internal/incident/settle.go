package incident

import (
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// last keeps the time since when an incident has asked for something, or would
// have but for what excuses it. Gaps shorter than settle do not begin it anew:
// what comes and goes hurts as well.
func (c *Correlator) last(now time.Time, t *thread, asks bool) {
	switch {
	case asks && (t.since.IsZero() || now.Sub(t.wanted) > c.o.Settle):
		t.since, t.wanted, t.times = now, now, 1
	case asks:
		t.wanted = now
		t.times++
	case now.Sub(t.wanted) > c.o.Settle:
		t.since, t.times = time.Time{}, 0
	}
}

// due reports whether a claim has waited long enough for its cause to be stable.
func (c *Correlator) due(now time.Time, t *thread, wait time.Duration) bool {
	if t.State == Forming {
		wait += c.o.Wait
	}
	// It has to be there most of the time, not all of it.
	return t.wants != None && now.Sub(t.since) >= wait && 2*time.Duration(t.times)*c.o.Interval > now.Sub(t.since)
}

// patience is how long a claim waits for its cause to become stable.
func (c *Correlator) patience(now time.Time, t *thread, asks claim, current []*evidence, g *topology.Graph) time.Duration {
	switch {
	case t.wants == Page && asks.known && c.confirms(now, current, g):
		return 0
	case t.wants == Ticket && asks.lone:
		return 2 * c.o.Settle // nothing is on fire, and what else departs may tell more
	}
	return c.o.Settle
}

// confirms reports whether the alerts of the team's own say no more than what
// readings have shown for settle already: all that departs has done so for that
// long, also on the alerts' services, and the alerts' conditions have held for
// that long, too. Nothing is on its way then that would tell more of the cause.
// Where no calls of a service are known more may always come.
func (c *Correlator) confirms(now time.Time, current []*evidence, g *topology.Graph) bool {
	for _, e := range current {
		if len(e.anomalies) == 0 || edgeless(g, e.service) {
			return false // what the readings say may come, of it or of others
		}
		for _, a := range e.anomalies {
			if now.Sub(a.seen()) < c.o.Settle {
				return false
			}
		}
		for _, a := range e.alerts {
			if now.Sub(a.Since) < c.o.Settle {
				return false
			}
		}
	}
	return true
}

// seen is when the anomaly was first observed, which may be later than its onset.
func (a *Anomaly) seen() time.Time {
	if len(a.Trail) == 0 {
		return a.Onset
	}
	return a.Trail[0].Time
}
