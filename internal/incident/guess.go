package incident

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// edgeless reports whether nothing is known of whom a service calls and who
// calls it.
func edgeless(g *topology.Graph, s topology.Service) bool {
	return !g.HasCallers(s) && !g.HasCallees(s)
}

// loose is an incident of which no edge of any service is known, and what
// departs there now.
type loose struct {
	*thread
	evidence []*evidence
}

// guess makes one incident of several that began together and are of services
// without any known edge: who has no graph is told once, and the one at fault
// need not be the one that asks to be told of. One of them asks by itself, or
// they corroborate each other, so that a coincidence of small departures stays
// nothing. What a graph says is apart stays apart.
func (c *Correlator) guess(now time.Time, g *topology.Graph) {
	var asking, quiet []loose
	known := false // what departs has calls that are known
	for _, t := range c.open {
		switch {
		case t.State == Resolved:
			continue
		case !edgelessAll(t, g):
			known = true
			continue
		case t.State == Open && t.wants == None:
			continue
		}
		l := loose{t, c.evidenceOf(t, func(a *Anomaly) bool { return a.End.IsZero() }, c.alerts)}
		if t.wants != None {
			asking = append(asking, l)
		} else {
			quiet = append(quiet, l)
		}
	}
	all := slices.Concat(asking, quiet)
	firsts := all
	// Beside trouble in the graph they are rather unknown parts of that. And
	// where all of them together are nothing, no part of them is.
	if known || !c.corroborate(now, quiet, g) {
		firsts = asking
	}
	for i, first := range firsts {
		if first.merged || len(first.evidence) == 0 {
			continue
		}
		from := all
		if i >= len(asking) {
			from = quiet // who asks loses no time to one that does not
		}
		with := []loose{first}
		for _, l := range from {
			if l.thread != first.thread && !l.merged && l.State == Forming && c.beganWith(first.thread, l) {
				with = append(with, l)
			}
		}
		if first.wants == None && !c.corroborate(now, with, g) {
			continue
		}
		for _, l := range with[1:] {
			first.absorb(l.thread)
			l.merged = true
		}
	}
	c.open = slices.DeleteFunc(c.open, func(t *thread) bool { return t.merged && t.State == Forming })
}

// edgelessAll reports whether no edge of any service of an incident is known.
func edgelessAll(t *thread, g *topology.Graph) bool {
	for s := range t.services {
		if !edgeless(g, s) {
			return false
		}
	}
	return true
}

// beganWith reports whether another incident began when the first one did: within
// two steps, or in the time until the first one asked to be sent. What began
// earlier and still runs may be what the first one comes from, if it is more
// than a change of traffic.
func (c *Correlator) beganWith(first *thread, other loose) bool {
	slack := 2 * c.o.Interval
	return slices.ContainsFunc(other.evidence, func(e *evidence) bool {
		if e.onset.After(later(first.Onset, first.since).Add(slack)) {
			return false
		}
		return !e.onset.Before(first.Onset.Add(-slack)) ||
			!e.onset.Before(first.Onset.Add(-c.o.ChangeWindow)) && (e.best(aSymptom) != nil || e.best(aInternal) != nil)
	})
}

// corroborate reports whether incidents that do not ask by themselves are worth
// a ticket together: callers feel it in two services at least, and of all but the
// first score counts only what lies beyond the budget, since among many services
// one or another reaches it at any time.
func (c *Correlator) corroborate(now time.Time, all []loose, g *topology.Graph) bool {
	var ev []*evidence
	felt, sum, most := 0, 0.0, 0.0
	for _, l := range all {
		for _, e := range l.evidence {
			ev = append(ev, e)
			if e.best(aSymptom) != nil {
				felt++
			}
			most = math.Max(most, math.Min(1, e.score))
			sum += math.Max(0, e.score-1)
		}
	}
	return felt >= 2 && sum+most >= ticketScore && c.severity(now, ev, g).severity != None
}

// guessed reports whether an incident's services belong together only because
// they began together.
func (c Case) guessed() bool {
	for _, e := range c.evidence {
		if !edgeless(c.graph, e.service) {
			return false
		}
	}
	return len(c.evidence) > 1
}

// Weights of a guess. They say which kind of evidence wins; none is fitted to a
// data set.
const (
	// Whom people meet suffers from what stands behind it more often than not.
	toVictim = 0.5
	// An alert without a departure, or a change of traffic alone, says little.
	hardly = 0.1
)

// suspicions weighs the services of a guess. Inside, what a service uses or
// does itself speaks against it. Outside, the trouble that is felt in each
// measure falls on the services in proportion to their own rise: who waits for
// another spends time of its own as well, so that its latency rises by less; who
// passes on the failures of some of its calls fails less often; and what one
// service alone shows explains nothing of the others. Each is a share of the
// largest.
func (c Case) suspicions() []float64 {
	largest, felt := map[measure]float64{}, map[measure]float64{}
	for _, e := range c.evidence {
		for m, a := range e.measures() {
			largest[m] = math.Max(largest[m], a.rise())
			felt[m] += sure(a.Score)
		}
	}
	inside, outside := make([]float64, len(c.evidence)), make([]float64, len(c.evidence))
	for i, e := range c.evidence {
		more := e.best(aDemand)
		for _, m := range slices.SortedFunc(maps.Keys(e.measures()), measure.compare) {
			a := e.measures()[m]
			share := sure(a.Score) * a.rise() / largest[m]
			switch {
			case symptom(a):
				outside[i] += share * felt[m]
			case !explains(more, a):
				inside[i] = math.Max(inside[i], (sure(a.Score)+share)/2)
			}
		}
		if len(e.alerts) > 0 && !e.pages() {
			inside[i] = math.Max(inside[i], sure(alertScore)/2) // the team looks there when users suffer
		}
	}
	scale(inside)
	scale(outside)
	out := make([]float64, len(c.evidence))
	for i, e := range c.evidence {
		w := inside[i] + outside[i]
		if inside[i] == 0 && c.victim(i, inside) {
			w *= toVictim
		}
		if ch := c.changedBefore(e); ch != nil && w > 0 {
			w *= 1 + nearness(ch.Before(e.onset))
		}
		out[i] = math.Max(w, hardly*sure(e.score))
	}
	return out
}

// victim reports whether users meet the service, and what it shows may come from
// another one: it is said so, or the team's alert pages for it and not for one
// that shows the same, or trouble inside.
func (c Case) victim(i int, inside []float64) bool {
	e := c.evidence[i]
	if node, _ := c.graph.Node(e.service); c.graph.IsEntry(e.service) || node.Critical {
		return true
	}
	if !e.pages() {
		return false
	}
	own := e.measures()
	for j, o := range c.evidence {
		if o.pages() {
			continue
		}
		for m := range o.measures() {
			if own[m] != nil {
				return true
			}
		}
		if inside[j] > 0 {
			return true
		}
	}
	return false
}

// pages reports whether an alert of the team's own pages for the service.
func (e *evidence) pages() bool { return slices.ContainsFunc(e.alerts, Alert.harmful) }

// scale divides by the largest, if it is more than 0.
func scale(xs []float64) {
	if most := slices.Max(xs); most > 0 {
		for i := range xs {
			xs[i] /= most
		}
	}
}

// measures are the largest rises of what a caller feels and of what the service
// uses or does, by what they can be compared in.
func (e *evidence) measures() map[measure]*Anomaly {
	out := map[measure]*Anomaly{}
	for _, a := range e.anomalies {
		if m := (measure{a.Signal, a.Unit}); (symptom(a) || internal(a)) && (out[m] == nil || a.rise() > out[m].rise()) {
			out[m] = a
		}
	}
	return out
}

// measure is what rises can be compared in.
type measure struct {
	signal Signal
	unit   string
}

func (m measure) compare(o measure) int {
	return cmp.Or(cmp.Compare(m.signal, o.signal), cmp.Compare(m.unit, o.unit))
}

// rise is how far an anomaly departs upwards over its last values, more than 0:
// failures as they are counted, all else in widths of its band or fifths of what
// is expected, whichever is more, since a narrow band makes much of little.
func (a *Anomaly) rise() float64 {
	up := a.Value - a.Expected
	if a.Signal != Errors {
		up = a.ratio() - 1
		var last []float64
		for _, p := range a.Trail {
			width := math.Max(p.Upper-p.Expected, math.Abs(p.Expected)/5)
			if width > 0 && !p.Time.Before(a.Onset) && (a.End.IsZero() || p.Time.Before(a.End)) {
				last = append(last, (p.Value-p.Expected)/width)
			}
		}
		if last = last[max(0, len(last)-lastValues):]; len(last) > 0 {
			slices.Sort(last)
			up = last[len(last)/2]
		}
	}
	if !(up > 0) {
		return 1e-9
	}
	return up
}

// lastValues is the length of the window whose median counts.
const lastValues = 5
