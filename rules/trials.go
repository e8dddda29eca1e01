package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/detectors"
)

// joined is a result by its labels, for the series of another result.
type joined struct {
	names  []string // the labels by which they are joined, sorted
	values map[uint64]joinedValue
	buf    []byte
}

type joinedValue struct {
	labels labels.Labels
	value  float64
}

// join takes a result whose series all have the same labels.
func join(v promql.Vector) (*joined, error) {
	j := &joined{values: make(map[uint64]joinedValue, len(v))}
	for i := range v {
		if v[i].H != nil {
			return nil, fmt.Errorf("series %s is a native histogram: wrap it in a function that returns a number", v[i].Metric)
		}
		l := v[i].Metric.DropReserved(isMetricName)
		var names []string
		l.Range(func(l labels.Label) { names = append(names, l.Name) })
		if i == 0 {
			j.names = names
		} else if !slices.Equal(names, j.names) {
			// Results have no order; the text should have one.
			a, b := v[0].Metric, v[i].Metric
			if labels.Compare(a, b) > 0 {
				a, b = b, a
			}
			return nil, fmt.Errorf("series %s and %s have different labels: aggregate them by the labels that they share", a, b)
		}
		var hash uint64
		hash, j.buf = l.HashForLabels(j.buf, names...)
		if _, ok := j.values[hash]; ok {
			return nil, sameError(l)
		}
		j.values[hash] = joinedValue{l, v[i].F}
	}
	return j, nil
}

// of returns the value that belongs to a series, NaN where there is none: all
// labels of its series must be the series' own as well.
func (j *joined) of(input labels.Labels) float64 {
	if j == nil || len(j.values) == 0 {
		return math.NaN()
	}
	var hash uint64
	hash, j.buf = input.HashForLabels(j.buf, j.names...)
	found, ok := j.values[hash]
	if !ok {
		return math.NaN()
	}
	for _, name := range j.names {
		if input.Get(name) != found.labels.Get(name) {
			return math.NaN()
		}
	}
	return found.value
}

// observe has the detector judge the sample of a series that is there.
func (d *Detection) observe(s *series, t int64, of *joined) detectors.Verdict {
	bank := d.states.bank
	if d.spec.Of == nil {
		v := bank.Observe(s.ref, t, s.value)
		if d.spec.Detector.Absences && math.IsNaN(v.Value) {
			v.Value = 0 // there, and without a value: as if it were missing
		}
		return v
	}
	if b, ok := bank.(detectors.TrialsBank); ok && d.spec.Detector.Trials {
		return b.ObserveOf(s.ref, t, s.value, of.of(s.input))
	}
	return bank.Observe(s.ref, t, d.shareOf(s, of))
}

// shareOf is a series' value, or its share of what it is taken of, NaN where
// that is nothing.
func (d *Detection) shareOf(s *series, of *joined) float64 {
	if d.spec.Of == nil {
		return s.value
	}
	n := of.of(s.input)
	if !(n > 0) {
		return math.NaN()
	}
	return s.value / n
}

// sameNames says whether a label list names each label once.
func sameNames(names []string) (twice string, ok bool) {
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return n, false
		}
	}
	return "", true
}

// hashOf is the hash of some labels of a series; names must be sorted.
func hashOf(buf *[]byte, input labels.Labels, names []string) uint64 {
	var hash uint64
	hash, *buf = input.HashForLabels(*buf, names...)
	return hash
}

// listed is a list as an error shows it.
func listed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }
