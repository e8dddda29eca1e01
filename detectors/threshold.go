package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Threshold finds values that reach a known limit.
var Threshold = Define("threshold", `Known limits: values that reach an upper or a lower bound.

A limit that is known needs no model. As a detector it joins incidents with a
band, a score, an onset and a direction, like anything that is learnt.`,
	func() *ThresholdOptions { return &ThresholdOptions{Upper: math.Inf(1), Lower: math.Inf(-1)} }, newThreshold)

// ThresholdOptions are the options of [Threshold].
type ThresholdOptions struct {
	// Upper is the bound from which on a value is anomalous; +Inf = none.
	Upper float64 `yaml:"upper"`
	// Lower is the bound down from which a value is anomalous; -Inf = none.
	Lower float64 `yaml:"lower"`
}

// Validate implements [Options].
func (o *ThresholdOptions) Validate() error {
	bad := func(v float64) bool { return math.IsNaN(v) || (finite(v) && math.Abs(v) > maxMagnitude) }
	if bad(o.Upper) || bad(o.Lower) || math.IsInf(o.Upper, -1) || math.IsInf(o.Lower, 1) {
		return fmt.Errorf("upper is %g and lower is %g; they must be numbers of at most %g", o.Upper, o.Lower, float64(maxMagnitude))
	}
	if !(o.Lower < o.Upper) {
		return fmt.Errorf("lower is %g; it must be below upper, which is %g", o.Lower, o.Upper)
	}
	return nil
}

// Directions implements [DirectedOptions].
func (o *ThresholdOptions) Directions() (up, down bool) {
	return !math.IsInf(o.Upper, 1), !math.IsInf(o.Lower, -1)
}

// Required implements [RequiredOptions].
func (o *ThresholdOptions) Required() error {
	if math.IsInf(o.Upper, 1) && math.IsInf(o.Lower, -1) {
		return errors.New("neither upper nor lower is set: set at least one, such as {threshold: {upper: 0.9}}")
	}
	return nil
}

const (
	// limitLevel is the time constant of the usual value, in seconds.
	limitLevel = 86400.0
	// limitTail is the shape of the tail beyond a bound.
	limitTail = 0.35
	// limitShare of a bound is the least distance by which values beyond it are measured.
	limitShare = 0.1
)

// thresholdState is the state of one series under a thresholdModel.
type thresholdState struct {
	clock   clock
	level   level   // the usual value
	spread  float64 // mean distance from it
	since   int64   // ms; first value of the running breach
	learnt  uint32
	held    bool
	beyond  bool
	savedOK bool
	saved   level // as it was before the breach
}

// thresholdModel compares values with bounds.
type thresholdModel struct {
	upper, lower float64
	step         time.Duration
}

func newThreshold(o *ThresholdOptions, c Conditions) (Model[thresholdState], error) {
	return &thresholdModel{upper: o.Upper, lower: o.Lower, step: c.Step}, nil
}

func (m *thresholdModel) Observe(s *thresholdState, t int64, v float64) Verdict {
	nan := math.NaN()
	out := Verdict{Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan, Learnt: s.learnt}
	out.Doubts = s.clock.doubts(warmUp, s.held) // a limit needs no history
	if !finite(v) || math.Abs(v) > maxMagnitude {
		return out
	}
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		return out
	}
	out.Doubts = s.clock.doubts(warmUp, s.held)
	if s.level.weight > 0 {
		out.Expected = max(m.lower, min(m.upper, s.level.mean))
	}
	if finite(m.upper) {
		out.Upper = m.upper
		out.Score = tail(1 + (v-m.upper)/m.unit(s, m.upper, v))
	}
	if finite(m.lower) {
		out.Lower = m.lower
		if score := tail(1 + (m.lower-v)/m.unit(s, m.lower, v)); !(score <= out.Score) {
			out.Score = score
		}
	}
	out.Up = v >= m.upper || (v > m.lower && v > out.Expected)
	m.follow(s, k, &out)
	if !s.held {
		a := gain(k.dt, limitLevel)
		rest := v - s.level.mean
		s.level.learn(rest, a)
		if s.learnt > 0 {
			s.spread += a / s.level.weight * (math.Abs(rest) - s.spread)
		}
		if s.learnt < math.MaxUint32 {
			s.learnt++
		}
	}
	return out
}

// unit is the distance by which values beyond a bound are measured: from the
// usual value to the bound, at least the spread and a tenth of the bound.
func (m *thresholdModel) unit(s *thresholdState, bound, v float64) float64 {
	unit := max(limitShare*math.Abs(bound), madToSigma*s.spread)
	if s.level.weight > 0 && s.level.mean > m.lower && s.level.mean < m.upper {
		unit = max(unit, math.Abs(bound-s.level.mean))
	}
	if unit == 0 {
		unit = max(math.Abs(v-bound), 1/maxMagnitude)
	}
	return unit
}

// tail is the score of a value at s times the usual distance of the bound,
// which is taken to be as rare as the budget: Pareto beyond it.
func tail(s float64) float64 {
	if s >= 1 {
		return 1 + math.Log10(min(s, maxPeak))/limitTail
	}
	return 1 - 3*(1-max(0, s))
}

// follow keeps the onset of a breach.
func (m *thresholdModel) follow(s *thresholdState, k tick, out *Verdict) {
	if !(out.Score >= 1) {
		s.beyond = false
		return
	}
	if !s.beyond || (k.gap && !s.held) {
		s.since, s.beyond = k.t, true
		if !s.held {
			s.saved, s.savedOK = s.level, true
		}
	}
	out.Onset, out.Kind = s.since, KindLimit
}

func (m *thresholdModel) Hold(s *thresholdState, since int64) {
	if s.held {
		return
	}
	s.held = true
	if s.savedOK && (s.beyond || s.since >= since) {
		s.level = s.saved
	}
}

// Release ends a hold. A limit stays a limit, accepted or not.
func (m *thresholdModel) Release(s *thresholdState, _ bool) { s.held = false }

// Check implements [Checker].
func (m *thresholdModel) Check(s *thresholdState) error {
	if !s.clock.valid() || !s.level.valid() || !s.saved.valid() || !(s.spread >= 0 && s.spread <= 2*maxMagnitude) ||
		s.since > maxTime || s.since < -maxTime {
		return errors.New("its numbers are out of range")
	}
	return nil
}
