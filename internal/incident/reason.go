package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// reason says in one sentence why blame stays with a service.
func (c Case) reason(i int, index map[topology.Service]int) string {
	e := c.evidence[i]
	since := e.departed()
	var b strings.Builder
	b.WriteString(name(e.service))
	if a := c.telling(e); a != nil {
		fmt.Fprintf(&b, ": %s", a.describe())
	} else if len(e.alerts) > 0 {
		fmt.Fprintf(&b, ": alert %s fires", e.alerts[0].Name)
	}
	fmt.Fprintf(&b, ", since %s", since.UTC().Format("15:04:05"))
	if ch := c.changedBefore(e); ch != nil {
		b.WriteString(after(*ch, since))
	}
	callees, _ := c.callees(e, index)
	more := e.best(aDemand)
	lost := e.losses()
	switch {
	case len(lost) > 0:
		fmt.Fprintf(&b, "; it is lost between %s, not inside of them", list(slices.Compact(lost), 3))
	case more != nil && len(c.demanding(e, more, index)) > 0:
		b.WriteString("; its callers ask comparably more")
	case more != nil && !c.graph.HasCallers(e.service):
		b.WriteString("; it is asked more from outside")
	case e.best(aLack) != nil && !ownTrouble(e) && !c.graph.HasCallers(e.service):
		b.WriteString("; it is asked less from outside")
	case c.amplifies(e, index):
		b.WriteString("; it asks more of its callees than it is asked itself")
	case edgeless(c.graph, e.service):
		b.WriteString("; no calls from it or to it are known")
	case len(callees) == 0:
		if dark := c.dark(e.service); len(dark) > 0 {
			fmt.Fprintf(&b, "; nothing is known of %s, which it calls", list(dark, 3))
		} else if c.graph.HasCallees(e.service) {
			b.WriteString("; nothing that it calls is in trouble")
		} else {
			b.WriteString("; it calls nothing that is known")
		}
	default:
		var names []string
		for _, j := range c.below(e.service, index) {
			if slices.ContainsFunc(callees, func(s share) bool { return s.to == j && s.part > 0 }) {
				names = append(names, name(c.evidence[j].service))
			}
		}
		fmt.Fprintf(&b, "; %s, which it calls, has trouble as well", list(names, 3))
	}
	return b.String()
}

// after says how long after a change of the service its trouble began.
func after(ch change.Change, onset time.Time) string {
	what := wording(ch, "")
	d := ch.Before(onset)
	switch {
	case ch.Until.IsZero() && d >= time.Second:
		return fmt.Sprintf(", %s after %s", round(d), what)
	case ch.Until.IsZero():
		return fmt.Sprintf(", just when %s came", what)
	case d >= time.Second:
		return fmt.Sprintf(", %s after the end of %s", round(d), what)
	}
	return ", during " + what
}

// dark are the callees of a service of which there is not one reading.
func (c Case) dark(s topology.Service) []string {
	var out []string
	for edge := range c.graph.EachCallee(s) {
		if c.watched != nil && !c.watched(edge.Callee) {
			out = append(out, name(edge.Callee))
		}
	}
	return out
}

// telling picks the anomaly that says most about a service as a cause: its own
// work first, then demand where it has no callers, then what its callers feel.
func (c Case) telling(e *evidence) *Anomaly {
	work, more := e.best(aInternal), e.best(aDemand)
	if work != nil && !explains(more, work) {
		return work
	}
	if more != nil && !c.graph.HasCallers(e.service) {
		return more
	}
	if a := e.best(aRepeats); a != nil {
		return a
	}
	if a := e.best(aBetween); a != nil {
		return a
	}
	if a := e.best(aSymptom); a != nil {
		return a
	}
	return e.find(func(*Anomaly) bool { return true })
}
