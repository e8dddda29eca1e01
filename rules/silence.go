package rules

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/detectors"
)

// defaultUp tells whether targets are scraped, where a rule does not say it.
const defaultUp = "up"

// absences judges the series of a rule that are missing in an evaluation.
type absences struct {
	d     *Detection
	t     int64 // ms
	ask   func() (promql.Vector, error)
	asked bool
	up    promql.Vector
	// Of up, by the labels that a series shares with it.
	targets map[string]*upIndex
	buf     []byte
}

// upIndex holds the largest `up` of the targets, by the hash of some labels.
type upIndex struct{ up map[uint64]float64 }

// absences makes the judge of missing series, nil where the detector has none.
func (d *Detection) absences(ctx context.Context, query promrules.QueryFunc, t int64) *absences {
	if !d.spec.Detector.Absences {
		return nil
	}
	return &absences{d: d, t: t, targets: map[string]*upIndex{}, ask: func() (promql.Vector, error) {
		return query(ctx, d.spec.upQuery(), timeOf(t))
	}}
}

// judge judges a series that is not in the result. It counts as zero. Without
// ok there is nothing to say: the detector does not expect it, or its group
// does without it.
func (a *absences) judge(s *series) (v detectors.Verdict, ok bool) {
	v = a.d.states.bank.Observe(s.ref, a.t, math.NaN())
	v.Value = 0
	if math.IsNaN(v.Score) || a.d.covered(s, false) {
		return v, false
	}
	if v.Kind == detectors.KindSilence {
		v.Silence = a.reason(s)
	}
	return v, true
}

// reason tells by `up` why a series is missing.
func (a *absences) reason(s *series) detectors.SilenceKind {
	if !a.asked {
		a.asked = true
		up, err := a.ask()
		if err != nil {
			a.d.o.logger.Warn("why series are missing is not known: up cannot be queried", "rule", a.d.spec.Name, "err", err)
		}
		a.up = up
	}
	var names []string
	if len(a.up) > 0 {
		a.up[0].Metric.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel && s.input.Has(l.Name) {
				names = append(names, l.Name)
			}
		})
	}
	if len(names) == 0 {
		return detectors.SilenceMissing
	}
	up, found := a.target(s, names)
	switch {
	case found && up > 0:
		return detectors.SilenceSeries
	case found:
		return detectors.SilenceScrape
	case a.d.spec.Up != nil:
		return detectors.SilenceTarget
	}
	// Of its job there are targets still, so that it had one.
	rest := slices.DeleteFunc(names, func(n string) bool { return n == "instance" })
	if _, found := a.target(s, rest); found && len(rest) > 0 {
		return detectors.SilenceTarget
	}
	return detectors.SilenceMissing
}

// target returns the largest `up` of the targets that share the labels.
func (a *absences) target(s *series, names []string) (up float64, found bool) {
	key := listed(names)
	index := a.targets[key]
	if index == nil {
		index = &upIndex{up: make(map[uint64]float64, len(a.up))}
		for i := range a.up {
			hash := hashOf(&a.buf, a.up[i].Metric, names)
			if old, ok := index.up[hash]; !ok || a.up[i].F > old {
				index.up[hash] = a.up[i].F
			}
		}
		a.targets[key] = index
	}
	up, found = index.up[hashOf(&a.buf, s.input, names)]
	return up, found
}
