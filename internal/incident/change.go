package incident

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// changedBefore returns the last change of the service that came before its
// trouble, or at most the slack after it (an onset is known to a step or two).
func (c Case) changedBefore(e *evidence) *change.Change {
	for i := len(c.changes) - 1; i >= 0; i-- {
		ch := &c.changes[i]
		if ch.Service == e.service && !ch.Time.After(e.onset.Add(c.slack)) {
			return ch
		}
	}
	return nil
}

// rank brings causes, effects, changes and anomalies of an incident up to date.
func (c *Correlator) rank(now time.Time, t *thread, in Input) {
	// What departed long before the rest is old trouble of its own.
	oldest := t.since.Add(-c.o.ChangeWindow)
	if t.State == Open {
		oldest = t.Onset.Add(-2 * c.o.Interval)
	}
	ev := c.evidenceOf(t, func(a *Anomaly) bool { return !a.Onset.Before(oldest) }, nil)
	if len(ev) == 0 {
		ev = c.evidenceOf(t, func(*Anomaly) bool { return true }, nil)
	}
	if len(ev) == 0 {
		return
	}
	if t.State == Forming {
		t.Onset = ev[0].onset
	}
	k := Case{evidence: ev, graph: in.Graph, slack: 2 * c.o.Interval}
	for _, ch := range c.changes {
		if !ch.Time.Before(t.Onset.Add(-c.o.ChangeWindow)) && !ch.Time.After(later(t.Opened, now)) {
			k.changes = append(k.changes, ch)
		}
	}
	t.Causes = c.o.Rank(k)
	t.Known = known(t.Causes)
	t.Services = t.Services[:0:0]
	t.Effects, t.Anomalies = nil, nil
	for _, e := range ev {
		t.Services = append(t.Services, e.service)
		for _, a := range e.anomalies {
			t.Anomalies = append(t.Anomalies, *a)
		}
		if t.Known && e.service == t.Causes[0].Service {
			continue
		}
		t.Effects = append(t.Effects, Effect{
			Service: e.service, Onset: e.onset, Offset: e.onset.Sub(t.Onset), What: e.describe(),
		})
	}
	slices.Sort(t.Services)
	slices.SortFunc(t.Anomalies, func(a, b Anomaly) int { return compareAnomalies(&a, &b) })
	t.NotPaged = k.notPaged(t)
	t.Changes = k.attribute(t)
	t.Blind = nil
	for _, b := range in.Blind {
		if b.Reason == "failed" {
			t.Blind = append(t.Blind, fmt.Sprintf("%s: %s", b.Rule, b.Error))
		}
	}
	slices.Sort(t.Blind)
	t.Blind = slices.Compact(t.Blind)
}

// Below this share of the blame the cause counts as not known.
const leastConfidence = 0.4

func known(cs []Candidate) bool {
	return len(cs) > 0 && cs[0].Service != "" && cs[0].Confidence >= leastConfidence &&
		(len(cs) == 1 || cs[0].Confidence >= 1.2*cs[1].Confidence)
}

// notPaged lists the team's own alerts on services that are only effects.
func (c Case) notPaged(t *thread) []string {
	var out []string
	for _, e := range c.evidence {
		if t.Known && e.service == t.Causes[0].Service {
			continue
		}
		for _, a := range e.alerts {
			out = append(out, fmt.Sprintf("%s on %s", a.Name, name(a.Service)))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ahead says how long before something a change came. Within a second, and
// after it by less than the times are known, it came at the same time.
func ahead(d time.Duration) string {
	if d < time.Second {
		return "just when"
	}
	return round(d) + " before"
}

// outside reports whether the trouble of a service began with more requests
// from outside the system.
func (c Case) outside(e *evidence) bool {
	more := e.find(demand)
	if more == nil || len(c.graph.Callers(e.service)) > 0 {
		return false
	}
	first := e.find(symptom)
	return first == nil || !first.Onset.Before(more.Onset.Add(-c.slack))
}

// attribute says of each change near the onset whether it is suspected, and why.
func (c Case) attribute(t *thread) []Attribution {
	var out []Attribution
	cause := topology.Service("")
	if t.Known {
		cause = t.Causes[0].Service
	}
	for _, ch := range c.changes {
		a := Attribution{Change: ch}
		i := slices.IndexFunc(c.evidence, func(e *evidence) bool { return e.service == ch.Service })
		switch {
		case i < 0:
			a.Reason = fmt.Sprintf("acquitted: %s itself did not move", name(ch.Service))
		case ch.Time.After(c.evidence[i].onset.Add(c.slack)) || ch.Time.After(t.Onset.Add(c.slack)) && ch.Service != cause:
			a.Reason = fmt.Sprintf("acquitted: it came %s after the first departure", round(ch.Time.Sub(t.Onset)))
		case ch.Service == cause && c.outside(c.evidence[i]):
			a.Reason = fmt.Sprintf("acquitted: what rose first at %s is the traffic from outside", name(ch.Service))
		case (ch.Service == cause || cause == "") && c.evidence[i].onset.Sub(ch.Time) > c.ranWell(ch):
			a.Reason = fmt.Sprintf("acquitted: %s ran well for %s after it", name(ch.Service), round(c.evidence[i].onset.Sub(ch.Time)))
		case ch.Service == cause:
			a.Suspect = true
			a.Reason = fmt.Sprintf("%s %s departed", ahead(c.evidence[i].onset.Sub(ch.Time)), name(ch.Service))
		case cause == "":
			a.Suspect = true
			a.Reason = fmt.Sprintf("%s %s departed; the cause is not known", ahead(c.evidence[i].onset.Sub(ch.Time)), name(ch.Service))
		default:
			a.Reason = fmt.Sprintf("acquitted: the trouble of %s is explained by %s", name(ch.Service), name(cause))
		}
		out = append(out, a)
	}
	slices.SortStableFunc(out, func(a, b Attribution) int {
		if a.Suspect != b.Suspect {
			if a.Suspect {
				return -1
			}
			return 1
		}
		if a.Suspect && cause != "" {
			// Which of several it was, nobody can tell from the outside; before
			// the first of them all was well, and there one can go back to.
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// ranWell is how long a service has to run without trouble after a change for
// the change to be acquitted: what a change breaks shows within minutes, as
// soon as it is rolled out and the queries' ranges are filled with it. A flag
// is not rolled out, it acts at once.
func (c Case) ranWell(ch change.Change) time.Duration {
	if ch.Kind == "flag" {
		return max(3*time.Minute, 2*c.slack)
	}
	return max(10*time.Minute, 5*c.slack)
}
