package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// split takes an incident apart that turns out to be several: for as long as an
// incident has to be quiet to be over, no chain of calls has joined its parts,
// and users suffer in more than one of them. The name stays with the part that
// departed first; each other part in which users suffer is an incident of its
// own. Edges that are gone because nobody calls a dead service any more split
// nothing: its callers suffer, and it has no users itself.
func (c *Correlator) split(now time.Time, g *topology.Graph) {
	for _, t := range slices.Clone(c.open) {
		if t.State != Open || t.Severity != Page || t.Guess { // of a guess nothing is known to be apart
			continue
		}
		parts := c.parts(now, t, g)
		switch {
		case len(parts) < 2:
			t.apart = time.Time{}
		case t.apart.IsZero():
			t.apart = now
		case now.Sub(t.apart) >= max(t.hold, c.o.Hold):
			t.apart = time.Time{}
			for _, p := range parts[1:] {
				c.part(now, t, p)
			}
		}
	}
}

// part is a group of services of an incident in which users suffer.
type part struct {
	services []topology.Service
	onset    time.Time
}

// parts are the unconnected parts of an incident in which users suffer now, by
// readings of their own, in order of onset.
func (c *Correlator) parts(now time.Time, t *thread, g *topology.Graph) []part {
	var all []topology.Service
	for s := range t.services {
		all = append(all, s)
	}
	groups := g.Components(all)
	if len(groups) < 2 {
		return nil
	}
	ev := c.evidenceOf(t, func(a *Anomaly) bool { return a.End.IsZero() }, map[string]Alert{})
	var out []part
	for _, group := range groups {
		its := slices.DeleteFunc(slices.Clone(ev), func(e *evidence) bool { return !slices.Contains(group, e.service) })
		if asks := c.severity(now, its, g); asks.severity == Page {
			out = append(out, part{group, its[0].onset})
		}
	}
	slices.SortStableFunc(out, func(a, b part) int { return a.onset.Compare(b.onset) })
	return out
}

// part moves the evidence of a part to an incident of its own, which has asked
// for a page for long enough.
func (c *Correlator) part(now time.Time, t *thread, p part) {
	own := c.ensure(nil, p.onset)
	if own == nil {
		return
	}
	in := func(s topology.Service) bool { return slices.Contains(p.services, s) }
	t.changed(true)
	for k := range t.keys {
		if tr := c.tracks.get(k); tr != nil && in(tr.last.Service) {
			own.keys[k] = true
			delete(t.keys, k)
		}
	}
	for k, a := range t.alerts {
		if in(a.Service) {
			own.alerts[k] = a
			delete(t.alerts, k)
		}
	}
	for _, s := range p.services {
		own.services[s] = true
		delete(t.services, s)
	}
	own.Last, own.since, own.wanted, own.sincePg = now, p.onset, now, p.onset
	own.times = int(now.Sub(p.onset)/c.o.Interval) + 1
	own.note(now, "split off incident "+t.ID+": nothing connects them after all")
	t.note(now, fmt.Sprintf("%s and what belongs to it is an incident of its own: nothing connects them after all", name(p.services[0])))
}
