package incident

import (
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// maxNotes bounds an incident's timeline; the first half is kept when it is full.
const maxNotes = 100

func (t *thread) note(now time.Time, text string) {
	if len(t.Log) >= maxNotes {
		t.Log = slices.Delete(slices.Clone(t.Log), maxNotes/2, maxNotes/2+1)
	}
	t.Log = append(t.Log, Note{Time: now, Text: text})
}

// snapshot returns a copy that later steps do not change: what they rank anew
// they put into lists of their own.
func (t *thread) snapshot() *Incident {
	i := t.Incident
	i.Sent = slices.Clone(i.Sent)
	i.Log = slices.Clone(i.Log)
	return &i
}

// Restore continues open incidents of an earlier run. Where the replayed past
// already led to an incident on the same services, that one takes over the
// name, the labels and what was sent; else the incident is added as it was.
// Incidents that are not open are ignored.
func (c *Correlator) Restore(now time.Time, incidents []*Incident) {
	for _, old := range incidents {
		if old.State != Open {
			continue
		}
		t := c.overlapping(old)
		if t == nil {
			t = &thread{
				Incident: *old, keys: map[seriesKey]bool{}, alerts: map[string]Alert{},
				services: map[topology.Service]bool{}, peaks: map[Severity]float64{},
			}
			t.sincePg = now // since when it has asked for a page was not seen
			c.open = append(c.open, t)
		}
		t.ID, t.State, t.Opened, t.Severity = old.ID, Open, old.Opened, old.Severity
		t.Sent = slices.Clone(old.Sent)
		t.Log = slices.Clone(old.Log)
		if old.Onset.Before(t.Onset) || t.Onset.IsZero() {
			t.Onset = old.Onset
		}
		t.FirstAlert = earlier(t.FirstAlert, old.FirstAlert)
		t.Last, t.asked = later(t.Last, old.Last), now
		t.since = old.Opened
		t.note(now, "carried on after a restart")
		for _, s := range old.Services {
			t.services[s] = true
		}
		if n := len(old.Sent); n > 0 {
			t.tell(old.Sent[n-1].Time)
			for _, s := range old.Services {
				t.told.services[s] = true
			}
		}
		for i := range old.Anomalies {
			c.restoreAnomaly(t, old.Anomalies[i])
		}
		// The time in which nobody watched is missing data, which resolves
		// nothing: quiet begins to count now.
		t.Last, t.asked = now, now
	}
}

func (c *Correlator) overlapping(old *Incident) *thread {
	for _, t := range c.open {
		if t.State == Resolved {
			continue
		}
		if t.ID == old.ID || slices.ContainsFunc(old.Services, func(s topology.Service) bool { return t.services[s] }) {
			return t
		}
	}
	return nil
}

func (c *Correlator) restoreAnomaly(t *thread, a Anomaly) {
	k := seriesKey{a.Rule, a.Series}
	t.keys[k] = true
	t.changed(true)
	tr := c.tracks.get(k)
	if tr == nil {
		tr = c.tracks.add(k, a.Service, a.Caller)
		tr.last.Signal = a.Signal
	}
	c.tracks.departing[tr] = true
	if tr.anomaly == nil {
		tr.anomaly = &a
	} else if a.Onset.Before(tr.anomaly.Onset) {
		tr.anomaly.Onset = a.Onset
	}
}

// Configure exchanges the options; open incidents go on under the new ones.
func (c *Correlator) Configure(o Options) error {
	fresh, err := New(o)
	if err != nil {
		return err
	}
	c.o = fresh.o
	c.pages.rate, c.tickets.rate = c.o.FalsePages, c.o.FalseTickets
	return nil
}
