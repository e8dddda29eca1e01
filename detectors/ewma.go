package detectors

import (
	"errors"
	"math"
	"time"
)

// EWMA finds departures from the last minutes, without a season.
var EWMA = Define("ewma", `Departures from the last minutes, for short or irregular series.

The expected value is the exponentially weighted mean of about ten minutes, the
scale that of a day, the calibration as in spike. It knows no course of the day:
it needs hours, not days, of history, and a third of the memory.`,
	func() *EWMAOptions {
		return &EWMAOptions{Level: 10 * time.Minute, Scale: day, Transform: TransformNone}
	}, newEWMA)

// EWMAOptions are the options of [EWMA].
type EWMAOptions struct {
	// Level is the time constant of the expected value.
	Level time.Duration `yaml:"level"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Transform is none or log.
	Transform string `yaml:"transform"`
}

// Validate implements [Options].
func (o *EWMAOptions) Validate() error {
	return errors.Join(validTau("level", o.Level), validTau("scale", o.Scale), validTransform(o.Transform))
}

func newEWMA(o *EWMAOptions, c Conditions) (Model[ewmaState], error) {
	return &ewmaModel{
		innovationModel: newInnovationModel(o.Scale, o.Transform, clipSigmas, c),
		level:           o.Level.Seconds(),
	}, nil
}

// ewmaState is the state of one series under an ewmaModel.
type ewmaState struct {
	innovation innovation
	level      level // relative to the origin
	saved      level // as it was before a departure
	newest     float64
}

// ewmaModel judges the distance to an exponentially weighted mean.
type ewmaModel struct {
	innovationModel
	level float64 // time constant in seconds
}

func (m *ewmaModel) Observe(s *ewmaState, t int64, v float64) Verdict {
	in := &s.innovation
	k, ok := m.admit(in, t, v)
	if !ok {
		return in.unjudged(v)
	}
	a := gain(k.dt, max(m.level, k.usual))
	if k.first {
		s.level = level{weight: a}
		return in.unjudged(v)
	}
	expected := s.level.mean
	rest := m.rest(in, v, expected)
	s.newest = expected + rest
	if k.gap && !in.held {
		in.interrupt()
		s.level = level{mean: s.newest, weight: a}
		return in.unjudged(v)
	}
	before := s.level
	out, clipped, began := m.judge(in, k, innovationSample{value: v, expected: expected, rest: rest})
	if began {
		s.saved = before
	}
	if !in.held {
		s.level.learn(clipped, a)
	}
	return out
}

func (m *ewmaModel) Hold(s *ewmaState, since int64) {
	if m.hold(&s.innovation, since) {
		s.level = s.saved
	}
}

func (m *ewmaModel) Release(s *ewmaState, accept bool) {
	if m.release(&s.innovation, accept) {
		s.level.mean = s.newest
	}
}

// Check implements [Checker].
func (m *ewmaModel) Check(s *ewmaState) error {
	if !s.innovation.valid() || !s.level.valid() || !s.saved.valid() || !(math.Abs(s.newest) <= 2*maxMagnitude) {
		return errors.New("its numbers are out of range")
	}
	return nil
}
