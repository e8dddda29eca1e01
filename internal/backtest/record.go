package backtest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// maxKept bounds the incidents of a case that are kept whole, for plots.
const maxKept = 500

// recorder keeps what was sent and which of the team's own alerts fired.
type recorder struct {
	name     string
	identity topology.Identity
	sent     []Sent
	index    map[string][]int // places in sent of the open ones, by id
	alerts   []AlertSpan
	firing   map[string]int // place in alerts, by labels
	services []map[string]bool
}

func newRecorder(name string, id topology.Identity) *recorder {
	return &recorder{name: name, identity: id, index: map[string][]int{}, firing: map[string]int{}}
}

func (r *recorder) step(now time.Time, incidents []*incident.Incident, alerts []incident.Alert) {
	r.own(now, alerts)
	for _, i := range incidents {
		if len(i.Sent) == 0 {
			continue
		}
		list := r.index[i.ID]
		if len(list) == 0 || pages(i) > len(list) {
			// The first notification, or that of another fault in the same incident.
			list = append(list, len(r.sent))
			r.sent = append(r.sent, r.first(now, i, alerts))
			r.services = append(r.services, map[string]bool{})
			r.index[i.ID] = list
		}
		for _, k := range list {
			r.follow(now, i, k)
		}
		if i.State == incident.Resolved {
			delete(r.index, i.ID)
		}
	}
}

// pages is the number of pages that an incident was sent as.
func pages(i *incident.Incident) int {
	n := 0
	for _, s := range i.Sent {
		if s.Severity == incident.Page {
			n++
		}
	}
	return n
}

// follow brings what was sent up to date with its incident.
func (r *recorder) follow(now time.Time, i *incident.Incident, k int) {
	s := &r.sent[k]
	s.Severity = string(i.Severity)
	if s.PagedAt == nil && i.Severity == incident.Page {
		at := now.UTC()
		s.PagedAt = &at
	}
	if k < maxKept {
		s.Last = i
	}
	for _, v := range i.Services {
		r.services[k][r.service(v)] = true
	}
	if i.State == incident.Resolved {
		at := i.Resolved.UTC()
		s.Resolved = &at
	}
}

// own follows the team's own alerts.
func (r *recorder) own(now time.Time, alerts []incident.Alert) {
	seen := map[string]bool{}
	for _, a := range alerts {
		k := a.Key()
		seen[k] = true
		if _, ok := r.firing[k]; !ok {
			r.firing[k] = len(r.alerts)
			r.alerts = append(r.alerts, AlertSpan{Name: a.Name, Service: r.service(a.Service), Severity: a.Severity, Start: now.UTC()})
		}
	}
	for k, i := range r.firing {
		if !seen[k] {
			at := now.UTC()
			r.alerts[i].End = &at
			delete(r.firing, k)
		}
	}
}

func (r *recorder) first(now time.Time, i *incident.Incident, alerts []incident.Alert) Sent {
	s := Sent{
		Case: r.name, Time: now.UTC(), Onset: i.Onset.UTC(), Known: i.Known, Causes: []string{}, Effects: []string{}, Rules: []string{},
		Summary: i.Headline(),
	}
	for _, c := range i.Causes {
		s.Causes = append(s.Causes, r.service(c.Service))
	}
	for _, e := range i.Effects {
		s.Effects = append(s.Effects, r.service(e.Service))
	}
	if len(i.Causes) > 0 {
		s.Confidence = i.Causes[0].Confidence
	}
	if ch := i.Suspect(); ch != nil {
		s.Change = ch.ID
	}
	for _, a := range i.Anomalies {
		s.Rules = append(s.Rules, a.Rule)
	}
	for _, a := range alerts {
		if slices.Contains(i.Services, a.Service) {
			s.Rules = append(s.Rules, a.Name)
		}
	}
	slices.Sort(s.Rules)
	s.Rules = slices.Compact(s.Rules)
	return s
}

// result returns what was sent and the own alerts, in order of time. An own
// alert belongs to what was sent when it began on one of its services between
// its onset and its end.
func (r *recorder) result() ([]Sent, []AlertSpan) {
	slices.SortStableFunc(r.alerts, func(a, b AlertSpan) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	for k := range r.sent {
		s := &r.sent[k]
		for _, a := range r.alerts {
			if r.services[k][a.Service] && !a.Start.Before(s.Onset) && (s.Resolved == nil || !a.Start.After(*s.Resolved)) {
				at := a.Start
				s.OwnAlert = &at
				break
			}
		}
	}
	return r.sent, r.alerts
}

// service is the label value by which a case names a service, with the further
// identity labels in front where the case has them.
func (r *recorder) service(s topology.Service) string {
	ls := r.identity.Labels(s)
	var parts []string
	for _, n := range r.identity.Names() {
		if ls[n] != "" {
			parts = append(parts, ls[n])
		}
	}
	return strings.Join(parts, "/")
}
