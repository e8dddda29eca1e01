package incident

import (
	"maps"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// told is what people were told of an incident: when, and which services.
type told struct {
	at       time.Time
	services map[topology.Service]bool
	since    time.Time // since when something new has asked for a page
}

// tell remembers what a notification that goes out now says.
func (t *thread) tell(now time.Time) {
	if t.told.services == nil {
		t.told.services = map[topology.Service]bool{}
	}
	t.told.at, t.told.since = now, time.Time{}
	for _, s := range t.Services {
		t.told.services[s] = true
	}
}

// second looks for another fault under a page that is known already: what
// departs long after it was sent, makes users suffer by itself, and comes from
// a service that was not named then, is paged as well, under labels of its own.
func (c *Correlator) second(now time.Time, t *thread, in Input) {
	if t.State != Open || t.Severity != Page || t.told.at.IsZero() || c.o.Mode == ModeTicket {
		return
	}
	from := t.told.at.Add(c.o.ChangeWindow)
	if !now.After(from) {
		return
	}
	alerts := maps.Clone(c.alerts)
	maps.DeleteFunc(alerts, func(_ string, a Alert) bool { return a.Since.Before(from) })
	fresh := c.evidenceOf(t, func(a *Anomaly) bool { return a.End.IsZero() && a.Onset.After(from) }, alerts)
	if asks := c.severity(now, fresh, in.Graph); asks.severity != Page {
		t.told.since = time.Time{}
		return
	}
	if t.told.since.IsZero() {
		t.told.since = now
	}
	if now.Sub(t.told.since) < c.o.Settle {
		return
	}
	before := t.focus
	t.focus = from
	c.rank(now, t, in)
	if !t.Known || t.told.services[t.Causes[0].Service] {
		t.focus = before // it is the same trouble, which spreads
		return
	}
	t.note(now, "another fault: "+t.Headline())
	c.send(now, t, Page)
}
