package incident

import (
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// edgeless reports whether nothing is known of whom a service calls and who
// calls it.
func edgeless(g *topology.Graph, s topology.Service) bool {
	return !g.HasCallers(s) && !g.HasCallees(s)
}

// guess makes one incident of several that ask to be sent, began together and
// are of services without any known edge: who has no graph is told once. Each of
// them asks by itself, so that a coincidence of small departures stays nothing.
// What a graph says is apart stays apart.
func (c *Correlator) guess(now time.Time, g *topology.Graph) {
	var loose []*thread
	for _, t := range c.open {
		if t.State == Resolved || t.wants == None {
			continue
		}
		blank := true
		for s := range t.services {
			blank = blank && edgeless(g, s)
		}
		if blank {
			loose = append(loose, t)
		}
	}
	for k, t := range loose {
		for _, first := range loose[:k] {
			if t.State != Forming || first.merged || t.Onset.Sub(first.Onset).Abs() > 2*c.o.Interval {
				continue
			}
			first.absorb(t)
			t.merged = true
			c.open = slices.DeleteFunc(c.open, func(o *thread) bool { return o == t })
			break
		}
	}
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
