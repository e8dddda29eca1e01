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
		if ch.Service == e.service && !ch.Time.After(e.departed().Add(c.slack)) {
			return ch
		}
	}
	return nil
}

// rank brings causes, effects, changes and anomalies of an incident up to date.
func (c *Correlator) rank(now time.Time, t *thread, in Input) {
	ev, begin := c.fresh(t)
	if len(ev) == 0 {
		return
	}
	if t.State == Forming {
		t.Onset = begin
	}
	k := Case{evidence: ev, graph: in.Graph, slack: 2 * c.o.Interval, watched: c.tracks.watched,
		well: func(s topology.Service) bool { return c.tracks.well(now, s, c.o.Hold) },
		excess: func(s topology.Service, signal Signal, unit string) float64 {
			return c.tracks.excess(now, s, signal, unit, c.o.Hold)
		}}
	for _, ch := range slices.Concat(c.changes, c.asChanges(ev)) {
		from := begin
		if e := k.of(ch.Service); e != nil && e.departed().Before(begin) {
			from = e.departed()
		}
		if ch.Before(from) <= c.o.ChangeWindow && !ch.Time.After(later(t.Opened, now)) {
			k.changes = append(k.changes, ch)
		}
	}
	slices.SortStableFunc(k.changes, func(a, b change.Change) int { return a.Time.Compare(b.Time) })
	t.Causes = c.o.Rank(k)
	k.calibrate(t.Causes)
	t.Guess = k.guessed()
	t.Known = known(t.Causes) && !t.Guess
	// Earlier outputs hold the lists of earlier steps.
	t.Services, t.Effects = make([]topology.Service, 0, len(ev)), slices.Grow([]Effect(nil), len(ev)-1)
	var involved []*Anomaly
	for _, e := range ev {
		t.Services = append(t.Services, e.service)
		involved = append(involved, e.anomalies...)
		if t.Known && e.service == t.Causes[0].Service {
			continue
		}
		t.Effects = append(t.Effects, Effect{
			Service: e.service, Onset: e.onset, Offset: e.onset.Sub(begin), What: e.describe(),
			Suffers: e.best(aSymptom) != nil || e.best(aInternal) != nil || len(e.alerts) > 0,
		})
	}
	slices.Sort(t.Services)
	if all := c.ordered(t); len(involved) == len(all) {
		involved = all
	} else {
		slices.SortFunc(involved, compareAnomalies)
	}
	t.Anomalies = slices.Grow([]Anomaly(nil), len(involved))
	for _, a := range involved {
		t.Anomalies = append(t.Anomalies, *a)
	}
	t.NotPaged = k.notPaged(t)
	t.Changes = k.attribute(t, begin)
	t.Demand = k.demanded(t)
	t.Rollback = c.rollback(t)
	t.Blind = nil
	for _, b := range in.Blind {
		if b.Reason == "failed" {
			t.Blind = append(t.Blind, fmt.Sprintf("%s: %s", b.Rule, b.Error))
		}
	}
	slices.Sort(t.Blind)
	t.Blind = slices.Compact(t.Blind)
}

// fresh is the evidence that an incident is ranked by, and when it began. What
// departed long before the rest is old trouble of its own: before the claim was
// first made, and, when a ticket becomes a page, before users began to suffer.
func (c *Correlator) fresh(t *thread) ([]*evidence, time.Time) {
	if t.Severity == Ticket && t.wants == Page && t.focus.IsZero() {
		t.focus = t.sincePg.Add(-c.o.ChangeWindow)
		recent := c.evidenceOf(t, func(a *Anomaly) bool { return !a.Onset.Before(t.focus) }, nil)
		if len(recent) < 2 { // only who suffers: what was there before explains it
			t.focus = t.Onset.Add(-2 * c.o.Interval)
		}
	}
	oldest := t.since.Add(-c.o.ChangeWindow)
	switch {
	case !t.focus.IsZero():
		oldest = t.focus
	case t.State == Open:
		oldest = t.Onset.Add(-2 * c.o.Interval)
	}
	ev := c.evidenceOf(t, func(a *Anomaly) bool { return !a.Onset.Before(oldest) }, nil)
	if len(ev) == 0 {
		ev = c.evidenceOf(t, func(*Anomaly) bool { return true }, nil)
	}
	if len(ev) == 0 {
		return nil, time.Time{}
	}
	if !t.focus.IsZero() {
		c.remember(t, ev)
		t.gathered = nil // it is more than was collected
	}
	return ev, ev[0].onset
}

// remember adds to services that suffer now what fills up in them since long
// ago and is not over: the disk, the pool, the memory that is at its end.
func (c *Correlator) remember(t *thread, ev []*evidence) {
	old := c.evidenceOf(t, func(a *Anomaly) bool { return internal(a) && a.End.IsZero() && a.Onset.Before(t.focus) }, map[string]Alert{})
	for _, e := range ev {
		for _, o := range old {
			if o.service == e.service && e.best(aSymptom) != nil {
				e.anomalies = append(o.anomalies, e.anomalies...)
				e.bests, e.known = [kinds]*Anomaly{}, 0
				e.score = max(e.score, o.score)
			}
		}
	}
}

// notPaged lists the team's own alerts on services that are only effects.
func (c Case) notPaged(t *thread) []string {
	var out []string
	for _, e := range c.evidence {
		if t.Known && e.service == t.Causes[0].Service {
			continue
		}
		for _, a := range e.alerts {
			text := fmt.Sprintf("%s on %s", a.Name, name(a.Service))
			if a.Muted != NotMuted {
				text += " (" + string(a.Muted) + ")"
			}
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ahead says how long before the onset of something a change came. Within a
// second, and after it by less than the times are known, it came at the same time.
func ahead(ch change.Change, onset time.Time, what string) string {
	switch d := ch.Before(onset); {
	case !ch.Until.IsZero() && d <= 0 && onset.After(ch.Time):
		return fmt.Sprintf("%s, %s into it", what, round(onset.Sub(ch.Time)))
	case !ch.Until.IsZero() && d >= time.Second:
		return fmt.Sprintf("it ended %s before %s", round(d), what)
	case d >= time.Second:
		return round(d) + " before " + what
	}
	return "just when " + what
}

// outside reports whether the trouble of a service began with more requests
// from outside the system.
func (c Case) outside(e *evidence) bool {
	more := e.best(aDemand)
	if more == nil || c.graph.HasCallers(e.service) {
		return false
	}
	first := e.best(aSymptom)
	return first == nil || !first.Onset.Before(more.Onset.Add(-c.slack))
}

// attribute says of each change near the onset whether it is suspected, and why.
func (c Case) attribute(t *thread, begin time.Time) []Attribution {
	var out []Attribution
	cause := topology.Service("")
	if t.Known {
		cause = t.Causes[0].Service
	}
	for _, ch := range c.changes {
		a := Attribution{Change: ch}
		a.Suspect, a.Reason = c.verdict(ch, cause, begin)
		out = append(out, a)
	}
	// Of a guess those of the likelier service come first.
	place := func(s topology.Service) int {
		if !t.Guess {
			return 0
		}
		return slices.IndexFunc(t.Causes, func(c Candidate) bool { return c.Service == s })
	}
	slices.SortStableFunc(out, func(a, b Attribution) int {
		if a.Suspect != b.Suspect {
			if a.Suspect {
				return -1
			}
			return 1
		}
		if a.Suspect && (cause != "" || t.Guess) {
			// Which of several it was, nobody can tell from the outside; before
			// the first of them all was well, and there one can go back to.
			return cmp.Or(cmp.Compare(place(a.Service), place(b.Service)), cmp.Compare(ended(a, begin), ended(b, begin)), a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// ended is 1 for maintenance that was over at the onset: what was changed after it
// is nearer to the trouble.
func ended(a Attribution, begin time.Time) int {
	if !a.Until.IsZero() && !a.Until.After(begin) {
		return 1
	}
	return 0
}

// verdict says whether a change is suspected, and why; cause is empty where it is not known.
func (c Case) verdict(ch change.Change, cause topology.Service, begin time.Time) (suspect bool, reason string) {
	e := c.of(ch.Service)
	its := name(ch.Service)
	if e == nil {
		if asked := c.asksLess(ch, cause); asked != "" {
			return true, asked
		}
		return false, fmt.Sprintf("acquitted: %s itself did not move", its)
	}
	onset := e.departed()
	before := ch.Before(onset)
	switch {
	case ch.Time.After(onset.Add(c.slack)) || ch.Time.After(begin.Add(c.slack)) && ch.Service != cause:
		return false, fmt.Sprintf("acquitted: it came %s after the trouble began", round(ch.Time.Sub(begin)))
	case ch.Service == cause && c.outside(e):
		return false, fmt.Sprintf("acquitted: what rose first at %s is the traffic from outside", its)
	case (ch.Service == cause || cause == "") && before > c.ranWell(ch):
		if ch.Kind == "flag" || c.nearer(ch, onset) {
			return false, fmt.Sprintf("acquitted: %s ran well for %s after it", its, round(before))
		}
		return false, fmt.Sprintf("not excluded: %s ran well for %s after it, but nothing else of it was changed", its, round(before))
	case ch.Service == cause:
		return true, ahead(ch, onset, "trouble began at "+its)
	case cause == "":
		return true, ahead(ch, onset, "trouble began at "+its) + "; the cause is not known"
	}
	return false, fmt.Sprintf("acquitted: the trouble of %s is explained by %s", its, name(cause))
}

// of returns the evidence of a service, or nil.
func (c Case) of(s topology.Service) *evidence {
	if i := slices.IndexFunc(c.evidence, func(e *evidence) bool { return e.service == s }); i >= 0 {
		return c.evidence[i]
	}
	return nil
}

// asksLess says why a change of a service that shows no trouble is suspected all
// the same: just after it, the cause, which it calls, is asked for less, and
// nothing else is wrong there. A broken button makes no error; "" if it is not so.
func (c Case) asksLess(ch change.Change, cause topology.Service) string {
	e := c.of(cause)
	if e == nil || !ch.Until.IsZero() || !c.calls(ch.Service, cause) || e.best(aLack) == nil || ownTrouble(e) ||
		ch.Time.After(e.onset.Add(c.slack)) || ch.Before(e.onset) > c.ranWell(ch) {
		return ""
	}
	return ahead(ch, e.onset, fmt.Sprintf("%s asked less of %s", name(ch.Service), name(cause)))
}

func (c Case) calls(caller, callee topology.Service) bool {
	return slices.ContainsFunc(c.graph.Callers(callee), func(e topology.Edge) bool { return e.Caller == caller })
}

// demanded reports whether the trouble begins with more requests from outside.
func (c Case) demanded(t *thread) bool {
	if !t.Known {
		return false
	}
	e := c.of(t.Causes[0].Service)
	return e != nil && c.outside(e) && c.telling(e) == e.best(aDemand)
}

// nearer reports whether the same service was changed again before its trouble.
func (c Case) nearer(ch change.Change, onset time.Time) bool {
	return slices.ContainsFunc(c.changes, func(o change.Change) bool {
		return o.Service == ch.Service && o.Time.After(ch.Time) && !o.Time.After(onset.Add(c.slack))
	})
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
