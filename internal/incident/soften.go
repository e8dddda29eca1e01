package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// Maintenance is announced work on services, from From until To. Posted
// maintenance comes as a change instead, see [change.Change].
type Maintenance struct {
	ID, Title string
	From, To  time.Time
	Covers    func(topology.Service) bool
}

// announced keeps the maintenance of the last day. What is not declared any more
// has ended.
func (c *Correlator) announced(now time.Time, list []Maintenance) {
	for i := range c.maintenance {
		if m := &c.maintenance[i]; m.To.After(now) && !slices.ContainsFunc(list, func(o Maintenance) bool { return o.ID == m.ID }) {
			m.To = now
		}
	}
	for _, m := range list {
		if i := slices.IndexFunc(c.maintenance, func(o Maintenance) bool { return o.ID == m.ID }); i >= 0 {
			c.maintenance[i] = m
			continue
		}
		c.maintenance = append(c.maintenance, m)
	}
	slices.SortFunc(c.maintenance, func(a, b Maintenance) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID))
	})
	c.maintenance = slices.DeleteFunc(c.maintenance, func(m Maintenance) bool { return now.Sub(m.To) > longest+c.o.ChangeWindow })
}

// asChanges are the announced maintenance of the services with evidence, as changes of each.
func (c *Correlator) asChanges(ev []*evidence) []change.Change {
	var out []change.Change
	for _, m := range c.maintenance {
		for _, e := range ev {
			if m.Covers(e.service) {
				out = append(out, change.Change{
					ID: m.ID + "/" + string(e.service), Time: m.From, Until: m.To,
					Service: e.service, Kind: change.Maintenance, Title: m.Title,
				})
			}
		}
	}
	return out
}

// maintained reports whether maintenance of a service lasts now and explains
// trouble that began at the onset: what was there before is not its doing.
// Windows of a service that overlap or follow each other at once are one.
func (c *Correlator) maintained(now time.Time, s topology.Service, onset time.Time) bool {
	slack := 2 * c.o.Interval
	from := now.Add(1) // of the windows that now lies in; nothing yet
	extend := func(begin, end time.Time) bool {
		if !begin.Before(from) || end.Before(from.Add(-slack)) || from.After(now) && (now.Before(begin) || !now.Before(end)) {
			return false
		}
		from = begin
		return true
	}
	for more := true; more; {
		more = false
		for _, m := range c.maintenance {
			more = m.Covers(s) && extend(m.From, m.To) || more
		}
		for _, ch := range c.changesOf[s] {
			more = !ch.Until.IsZero() && extend(ch.Time, ch.Until) || more
		}
	}
	return !from.After(now) && !onset.Before(from.Add(-slack))
}

// rollingOut reports whether a rollout of the service runs now and explains
// trouble that began at the onset. A flag acts at once, it is not rolled out.
// The versions that run are asked for each minute, so pods may go a little
// before a change is seen.
func (c *Correlator) rollingOut(now time.Time, s topology.Service, onset time.Time) bool {
	return slices.ContainsFunc(c.changesOf[s], func(ch change.Change) bool {
		return rollout(ch) && !now.Before(ch.Time) &&
			now.Sub(ch.Time) < c.o.Rollout && !onset.Before(ch.Time.Add(-time.Minute))
	})
}

// rollout reports whether a change comes by replacing instances.
func rollout(ch change.Change) bool { return ch.Until.IsZero() && ch.Kind != "flag" }

// replacing reports whether an anomaly is one that replacing instances makes of a
// service: its traffic, its resources and, where no people wait, its latency.
func replacing(a *Anomaly, people bool) bool {
	return a.Signal != Errors && !(people && a.Signal == Latency)
}

// excused reports whether announced maintenance, or a running rollout, explains
// an anomaly. A rollout explains what [replacing] instances does to a service,
// never errors.
func (c *Correlator) excused(now time.Time, a *Anomaly, people bool) bool {
	if c.maintained(now, a.Service, a.Onset) {
		return true
	}
	return replacing(a, people) && c.rollingOut(now, a.Service, a.Onset)
}

// mornings are the services of short history that have their first morning,
// where only a night is known: they are asked at least twice as much as ever
// before, by users or by callers that are asked comparably more, are busier by
// no more than that, slower by less than one half, and do not fail.
func mornings(ev []*evidence, g *topology.Graph) map[topology.Service]bool {
	more := map[topology.Service]*Anomaly{}
	for _, e := range ev {
		if a := e.best(aDemand); a != nil && a.Unsure {
			more[e.service] = a
		}
	}
	out := map[topology.Service]bool{}
	for _, e := range ev {
		if !busier(e) {
			continue
		}
		asked := !g.HasCallers(e.service)
		for edge := range g.EachCaller(e.service) {
			asked = asked || explains(more[edge.Caller], more[e.service])
		}
		out[e.service] = asked
	}
	return out
}

func busier(e *evidence) bool {
	more := e.best(aDemand)
	return more != nil && more.Unsure && more.ratio() >= 2 && !slices.ContainsFunc(e.anomalies, func(a *Anomaly) bool {
		return !a.Unsure || a.Signal == Errors || internal(a) && a.ratio() > more.ratio() || a.Signal == Latency && a.ratio() >= 1.5
	})
}

// explained reports whether the cause of an incident is one whose trouble is
// excused: then what others have of it is no more news, as long as no user suffers.
func (c *Correlator) explained(now time.Time, t *thread, g *topology.Graph) bool {
	if !t.Known {
		return false
	}
	cause := t.Causes[0].Service
	node, _ := g.Node(cause)
	// What is over as well: the others may take a little longer.
	ev := c.evidenceOf(t, func(*Anomaly) bool { return true }, c.alerts)
	i := slices.IndexFunc(ev, func(e *evidence) bool { return e.service == cause })
	return i >= 0 && len(ev[i].anomalies) > 0 && !slices.ContainsFunc(ev[i].anomalies, func(a *Anomaly) bool {
		return !c.excused(now, a, g.IsEntry(cause) || node.Critical)
	})
}

// maintenanceHolds asks that what departs under maintenance is not learnt.
func (c *Correlator) maintenanceHolds(now time.Time) []Hold {
	var out []Hold
	for _, t := range c.tracks.running(func(t *track) bool {
		return now.Sub(t.anomaly.Onset) < longest && c.maintained(now, t.last.Service, t.anomaly.Onset)
	}) {
		out = append(out, Hold{Rule: t.key.rule, Series: t.key.series, Since: t.anomaly.Onset})
	}
	return out
}
