package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// prune lets a forming incident forget what ended before anything was decided,
// so that noise of the last hours does not count as its beginning.
func (c *Correlator) prune(now time.Time, t *thread) {
	oldest := now.Add(-2*c.o.Settle - 2*c.o.Interval)
	if !t.since.IsZero() {
		// What was over before anything hurt is not where that comes from.
		oldest = later(oldest, t.since.Add(-2*c.o.Interval))
	}
	clear(t.services)
	t.changed(true)
	t.Onset = time.Time{}
	began := func(s topology.Service, onset time.Time) {
		t.services[s] = true
		if t.Onset.IsZero() || onset.Before(t.Onset) {
			t.Onset = onset
		}
	}
	for k := range t.keys {
		tr := c.tracks.get(k)
		if tr == nil || tr.anomaly == nil {
			delete(t.keys, k)
			continue
		}
		if !tr.anomaly.End.IsZero() && tr.anomaly.End.Before(oldest) {
			tr.anomaly = nil
			delete(t.keys, k)
			continue
		}
		began(tr.anomaly.Service, tr.anomaly.Onset)
		if tr.anomaly.Caller != "" {
			began(tr.anomaly.Caller, tr.anomaly.Onset)
		}
	}
	for k, a := range t.alerts {
		if _, firing := c.alerts[k]; !firing {
			delete(t.alerts, k)
			continue
		}
		began(a.Service, a.Since)
	}
}

// evidenceOf collects the evidence of an incident by service, sorted by onset
// and then by name. firing limits the alerts; nil takes all that were part of it.
func (c *Correlator) evidenceOf(t *thread, take func(*Anomaly) bool, firing map[string]Alert) []*evidence {
	as := make([]*Anomaly, 0, len(t.keys))
	for _, a := range c.ordered(t) {
		if take(a) {
			as = append(as, a)
		}
	}
	var alerts []string
	for _, k := range slices.Sorted(maps.Keys(t.alerts)) {
		if _, ok := firing[k]; ok || firing == nil {
			alerts = append(alerts, k)
		}
	}
	if g := t.gathered; g != nil && slices.Equal(g.anomalies, as) && slices.Equal(g.alerts, alerts) {
		return g.evidence
	}
	by := make(map[topology.Service]*evidence, len(t.services))
	all := make([]*evidence, 0, len(t.services))
	of := func(s topology.Service) *evidence {
		e := by[s]
		if e == nil {
			e = &evidence{service: s}
			by[s] = e
			all = append(all, e)
		}
		return e
	}
	at := c.tracks.endOf(as)
	for _, a := range as {
		of(at(a)).add(a)
	}
	for _, k := range alerts {
		of(t.alerts[k].Service).addAlert(t.alerts[k])
	}
	slices.SortFunc(all, func(a, b *evidence) int {
		return cmp.Or(a.onset.Compare(b.onset), cmp.Compare(a.service, b.service))
	})
	all = slices.Clip(all)
	t.gathered = &gathered{as, alerts, all}
	return all
}

// gathered is the evidence that was collected last, and of what: all that asks
// in a step mostly asks for the same.
type gathered struct {
	anomalies []*Anomaly
	alerts    []string
	evidence  []*evidence
}

// ordered returns the anomalies of an incident in order of onset. They are
// collected once a step, however often the step looks at them, and are in the
// order of the last step mostly.
func (c *Correlator) ordered(t *thread) []*Anomaly {
	if t.order != nil {
		return t.order
	}
	if len(t.tracks) != len(t.keys) {
		t.tracks = make([]*track, 0, len(t.keys))
		for k := range t.keys {
			if tr := c.tracks.get(k); tr != nil {
				t.tracks = append(t.tracks, tr)
			}
		}
	}
	t.order = make([]*Anomaly, 0, len(t.tracks))
	for _, tr := range t.tracks {
		if tr.anomaly != nil {
			t.order = append(t.order, tr.anomaly)
		}
	}
	if !slices.IsSortedFunc(t.order, compareAnomalies) {
		slices.SortFunc(t.order, compareAnomalies)
		slices.SortFunc(t.tracks, func(a, b *track) int {
			if a.anomaly == nil || b.anomaly == nil {
				return cmp.Or(presence(a.anomaly)-presence(b.anomaly), compareTracks(a, b))
			}
			return compareAnomalies(a.anomaly, b.anomaly)
		})
	}
	return t.order
}

func presence(a *Anomaly) int {
	if a == nil {
		return 1
	}
	return 0
}

// changed forgets what was collected of the incident's anomalies. With other
// series than before it is made anew.
func (t *thread) changed(series bool) {
	t.order, t.gathered = nil, nil
	if series {
		t.tracks = nil
	}
}

func compareAnomalies(a, b *Anomaly) int {
	return cmp.Or(a.Onset.Compare(b.Onset), cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Series, b.Series))
}
