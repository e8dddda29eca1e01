package main

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/topology"
)

// A question is what every method is asked: given what was recorded up to `to`,
// and that something is wrong since `from`, who is to blame?
type question struct {
	services map[string][]*series
	graph    *topology.Graph
	target   target // the alert
	from, to int64  // milliseconds, both included
}

// method ranks services, the most suspect first. An empty answer names nobody.
type method struct {
	name string
	rank func(q *question) []string
}

// methods are short versions of published ideas that need metrics and a graph at
// most, written from descriptions: they are no copies of the authors' programs.
func methods() []method {
	return []method{
		{"graph traversal (of the anomalous the one without an anomalous callee)", traversal},
		{"N-sigma (largest deviation from the mean)", func(q *question) []string { return q.largest(nSigma, 0) }},
		{"largest rise over the median, in IQR (after BARO)", func(q *question) []string { return q.largest(baro, 0) }},
		{"two-sided MAD with a floor, median of the window", func(q *question) []string { return q.largest(robust, 0) }},
		{"ranked correlation with the alerting service", correlation},
		{"random walk on the anomalous graph (after MicroRCA, MonitorRank)", walk},
	}
}

// maxHistory are the samples before `from` that a method learns from.
const maxHistory = 1440

// anomalous is the deviation, in standard deviations, from which the traversals
// call a service anomalous. It is the one at which the traversal reproduces the
// reference figures of PetShop's development part.
const anomalous = 5

// score is the largest deviation over the series of a service; ok is false when
// none has ten samples of history and one in the window.
func (q *question) score(service string, d deviation) (score float64, ok bool) {
	for _, s := range q.services[service] {
		history, window := s.between(0, q.from-1), s.between(q.from, q.to)
		if len(history) < 10 || len(window) == 0 {
			continue
		}
		history = history[max(0, len(history)-maxHistory):]
		score, ok = max(score, d(history, window)), true
	}
	return score, ok
}

// scores are those of all services that can be scored.
func (q *question) scores(d deviation) map[string]float64 {
	out := map[string]float64{}
	for name := range q.services {
		if v, ok := q.score(name, d); ok {
			out[name] = v
		}
	}
	return out
}

// largest ranks by deviation those above a least one.
func (q *question) largest(d deviation, above float64) []string {
	return ranked(q.scores(d), above)
}

// ranked are the names by falling score; those that are equal by name.
func ranked(scores map[string]float64, above float64) []string {
	names := slices.SortedFunc(maps.Keys(scores), func(a, b string) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	for i, n := range names {
		if !(scores[n] > above) {
			return names[:i]
		}
	}
	return names
}

// callees are the services that one calls.
func (q *question) callees(name string) []string {
	var out []string
	for _, e := range q.graph.Callees(service(name)) {
		out = append(out, label(e.Callee))
	}
	return out
}

// callers are the services that call one.
func (q *question) callers(name string) []string {
	var out []string
	for _, e := range q.graph.Callers(service(name)) {
		out = append(out, label(e.Caller))
	}
	return out
}

func service(name string) topology.Service {
	return identity.OfMap(map[string]string{identity.Last(): name})
}

func label(s topology.Service) string { return identity.Labels(s)[identity.Last()] }

// alike leaves only the series that measure what the alert does, where the
// labels say that; of those the ones that are no quantile, where there are any.
func (q *question) alike() *question {
	out := *q
	if q.target.Metric == "" {
		return &out
	}
	out.services = map[string][]*series{}
	for name, list := range q.services {
		list = slices.DeleteFunc(slices.Clone(list), func(s *series) bool { return !strings.Contains(s.labels.Get(model.MetricNameLabel), q.target.Metric) })
		if slices.ContainsFunc(list, func(s *series) bool { return !s.labels.Has("quantile") }) {
			list = slices.DeleteFunc(list, func(s *series) bool { return s.labels.Has("quantile") })
		}
		out.services[name] = list
	}
	return &out
}

// traversal walks from the alerting service along anomalous callees; those that
// have none are to blame, the most deviating first. Callees without metrics of
// their own are passed through.
func traversal(q *question) []string {
	q = q.alike()
	scores := q.scores(peak)
	if !(scores[q.target.Service] > anomalous) {
		return nil
	}
	ends := map[string]float64{}
	seen := map[string]bool{q.target.Service: true}
	for queue := []string{q.target.Service}; len(queue) > 0; {
		name := queue[0]
		queue = queue[1:]
		next := q.anomalousCallees(name, scores, map[string]bool{name: true})
		if len(next) == 0 {
			ends[name] = scores[name]
		}
		for _, n := range next {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return ranked(ends, 0)
}

func (q *question) anomalousCallees(name string, scores map[string]float64, passed map[string]bool) []string {
	var out []string
	for _, c := range q.callees(name) {
		if passed[c] {
			continue
		}
		passed[c] = true
		v, measured := scores[c]
		switch {
		case v > anomalous:
			out = append(out, c)
		case !measured:
			out = append(out, q.anomalousCallees(c, scores, passed)...)
		}
	}
	return out
}

// correlation ranks the anomalous services by how much one of their series goes
// with the most deviating series of the alerting one, over the window and as
// much again, at least ten samples, before it.
func correlation(q *question) []string {
	q = q.alike()
	var target *series
	top := 0.0
	for _, s := range q.services[q.target.Service] {
		one := question{services: map[string][]*series{"": {s}}, from: q.from, to: q.to}
		if v, ok := one.score("", peak); ok && v > top {
			target, top = s, v
		}
	}
	if target == nil {
		return nil
	}
	out := map[string]float64{}
	for name, score := range q.scores(peak) {
		if score <= anomalous {
			continue
		}
		for _, s := range q.services[name] {
			out[name] = max(out[name], q.together(target, s))
		}
	}
	return ranked(out, 0)
}

// together is the absolute correlation of two series; 0 where less than five
// samples lie near each other.
func (q *question) together(a, b *series) float64 {
	step := int64(math.MaxInt64)
	for i := 1; i < len(a.at); i++ {
		step = min(step, a.at[i]-a.at[i-1])
	}
	from := q.from - max(q.to-q.from, 10*step)
	var x, y []float64
	for i, at := range a.at {
		if at < from || at > q.to {
			continue
		}
		if v := b.between(at-step/2, at+step/2); len(v) > 0 {
			x, y = append(x, a.value[i]), append(y, v[0])
		}
	}
	if len(x) < 5 {
		return 0
	}
	return math.Abs(pearson(x, y))
}

func pearson(x, y []float64) float64 {
	n := float64(len(x))
	mx, my := 0.0, 0.0
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	xy, xx, yy := 0.0, 0.0, 0.0
	for i := range x {
		xy, xx, yy = xy+(x[i]-mx)*(y[i]-my), xx+(x[i]-mx)*(x[i]-mx), yy+(y[i]-my)*(y[i]-my)
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// walk ranks the anomalous services by how often a walker is at them that
// starts at the alerting one, goes to callees by their deviation, to callers by
// a tenth of it, stays by its own, and returns to the start at 15 % of the steps.
func walk(q *question) []string {
	q = q.alike()
	scores := q.scores(peak)
	if q.target.Service == "" {
		return nil
	}
	at := map[string]float64{q.target.Service: 1}
	for range 50 {
		next := map[string]float64{q.target.Service: 0.15}
		for _, name := range slices.Sorted(maps.Keys(at)) {
			weights := map[string]float64{name: scores[name]}
			for _, c := range q.callees(name) {
				weights[c] += scores[c]
			}
			for _, c := range q.callers(name) {
				weights[c] += scores[c] / 10
			}
			sum := 0.0
			for _, n := range slices.Sorted(maps.Keys(weights)) {
				sum += weights[n]
			}
			if sum == 0 {
				next[q.target.Service] += 0.85 * at[name]
				continue
			}
			for _, n := range slices.Sorted(maps.Keys(weights)) {
				next[n] += 0.85 * at[name] * weights[n] / sum
			}
		}
		at = next
	}
	for name := range at {
		if !(scores[name] > anomalous) {
			delete(at, name)
		}
	}
	return ranked(at, 0)
}
