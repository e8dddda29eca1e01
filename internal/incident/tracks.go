package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// tracks are all series that were seen, by rule and by service. A quiet series
// costs a step no more than finding it.
type tracks struct {
	rules     map[string]*ruleTracks
	byService map[topology.Service][]*track // in order of rule and series
	names     []topology.Service            // of byService, sorted; nil: to be made anew
	departing map[*track]bool               // those that run, and some that no longer do
	ends      map[topology.Service]int      // how many series of edges have the service at either end
	swept     time.Time
}

// ruleTracks are the series of a rule. A rule's readings come in the same order
// at each step, so the place of the last time says where a series is now.
type ruleTracks struct {
	bySeries map[string]*track
	order    []*track
}

func newTracks() tracks {
	return tracks{rules: map[string]*ruleTracks{}, byService: map[topology.Service][]*track{}, departing: map[*track]bool{}, ends: map[topology.Service]int{}}
}

// get returns the track of a series, or nil.
func (ts *tracks) get(k seriesKey) *track {
	if r := ts.rules[k.rule]; r != nil {
		return r.bySeries[k.series]
	}
	return nil
}

// add makes the track of a series that has none.
func (ts *tracks) add(k seriesKey, s, caller topology.Service) *track {
	r := ts.rules[k.rule]
	if r == nil {
		r = &ruleTracks{bySeries: map[string]*track{}}
		ts.rules[k.rule] = r
	}
	t := &track{key: k, last: Reading{Rule: k.rule, Series: k.series, Service: s, Caller: caller}}
	r.bySeries[k.series] = t
	ts.enlist(t, s, caller)
	return t
}

func compareTracks(a, b *track) int {
	return cmp.Or(cmp.Compare(a.key.rule, b.key.rule), cmp.Compare(a.key.series, b.key.series))
}

func (ts *tracks) enlist(t *track, s, caller topology.Service) {
	if caller != "" {
		ts.ends[s]++
		ts.ends[caller]++
	}
	list := ts.byService[s]
	if len(list) == 0 {
		ts.names = nil
	}
	i, _ := slices.BinarySearchFunc(list, t, compareTracks)
	ts.byService[s] = slices.Insert(list, i, t)
}

func (ts *tracks) delist(t *track) {
	s := t.last.Service
	if t.last.Caller != "" {
		for _, end := range []topology.Service{s, t.last.Caller} {
			if ts.ends[end]--; ts.ends[end] == 0 {
				delete(ts.ends, end)
			}
		}
	}
	list := ts.byService[s]
	if i, ok := slices.BinarySearchFunc(list, t, compareTracks); ok {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(ts.byService, s)
		ts.names = nil
		return
	}
	ts.byService[s] = list
}

// observe takes in the readings of a step.
func (ts *tracks) observe(readings []Reading) {
	var rule *ruleTracks
	place := 0
	for i := range readings {
		r := &readings[i]
		if i == 0 || r.Rule != readings[i-1].Rule {
			rule, place = ts.rules[r.Rule], 0
		}
		var t *track
		switch {
		case rule == nil:
		case place < len(rule.order) && rule.order[place].key.series == r.Series:
			t = rule.order[place]
		default:
			t = rule.bySeries[r.Series]
		}
		if t == nil {
			t = ts.add(seriesKey{r.Rule, r.Series}, r.Service, r.Caller)
			rule = ts.rules[r.Rule]
		}
		if place < len(rule.order) {
			rule.order[place] = t
		} else {
			rule.order = append(rule.order, t)
		}
		place++
		if r.Time.Before(t.last.Time) {
			continue
		}
		if t.last.Service != r.Service || t.last.Caller != r.Caller {
			ts.delist(t)
			ts.enlist(t, r.Service, r.Caller)
		}
		t.observe(*r)
		if r.Anomalous {
			ts.departing[t] = true
		}
	}
}

// watched reports whether there are readings of a service.
func (ts *tracks) watched(s topology.Service) bool { return len(ts.byService[s]) > 0 }

// services lists those that have readings, sorted. The list is not changed any more.
func (ts *tracks) services() []topology.Service {
	if ts.names == nil {
		ts.names = slices.Sorted(maps.Keys(ts.byService))
	}
	return ts.names
}

// well reports whether the latency or the errors of a service are watched (no
// longer ago than the age) and nothing about them departs, not even a little.
func (ts *tracks) well(now time.Time, s topology.Service, age time.Duration) bool {
	seen := false
	for _, t := range ts.byService[s] {
		r := t.last
		if r.Caller != "" || r.Signal != Latency && r.Signal != Errors {
			continue
		}
		if t.running() || !(r.Score < leaning) || r.Unsure {
			return false
		}
		seen = seen || now.Sub(r.Time) <= age
	}
	return seen
}

// excess is the most that the newest readings of a service's signal, in a unit
// and no older than the age, lie above what is expected; 0 where there is none.
func (ts *tracks) excess(now time.Time, s topology.Service, signal Signal, unit string, age time.Duration) float64 {
	most := 0.0
	for _, t := range ts.byService[s] {
		if r := t.last; r.Caller == "" && r.Signal == signal && r.Unit == unit && now.Sub(r.Time) <= age {
			most = max(most, r.Value-r.Expected)
		}
	}
	return most
}

// leaning is the score below which a reading does not even hint at trouble.
const leaning = 0.5

// running returns the tracks that depart now and satisfy the test, in order of
// rule and series.
func (ts *tracks) running(test func(*track) bool) []*track {
	var out []*track
	for t := range ts.departing {
		switch {
		case !t.running():
			delete(ts.departing, t)
		case test(t):
			out = append(out, t)
		}
	}
	slices.SortFunc(out, compareTracks)
	return out
}

// sweep forgets series that were not seen for the age. It looks once an hour.
func (ts *tracks) sweep(now time.Time, age time.Duration) {
	if now.Sub(ts.swept) < time.Hour {
		return
	}
	ts.swept = now
	for name, r := range ts.rules {
		gone := false
		for series, t := range r.bySeries {
			if t.anomaly == nil && now.Sub(t.last.Time) > age {
				delete(r.bySeries, series)
				ts.delist(t)
				gone = true
			}
		}
		if gone {
			r.order = nil
		}
		if len(r.bySeries) == 0 {
			delete(ts.rules, name)
		}
	}
}
