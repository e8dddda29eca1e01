package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Edge finds changes of the relation of two series along a dependency.
var Edge = trials(Define("edge", `Changes of the relation of two series along a dependency.

Calls out per call in (retries), calls received per call sent (traffic lost), or
what a caller sees less what the callee sees (time lost between them): the mean
of the last minutes is compared with the level of the last day, as in
level_shift. More traffic by itself changes none of them.`,
	func() *EdgeOptions {
		return &EdgeOptions{
			Relation: RelationRatio, Window: 5 * time.Minute, Level: day, Scale: week, Slots: 96, ProfileAlpha: 0.2, Least: 0.01,
		}
	}, newEdge))

// The values of an edge's Relation.
const (
	RelationRatio      = "ratio"      // value / of, judged by factors
	RelationDifference = "difference" // value − of
)

// EdgeOptions are the options of [Edge].
type EdgeOptions struct {
	// Relation is ratio or difference.
	Relation string `yaml:"relation"`
	// Window is the time constant of the mean that is judged, shorter than Level.
	Window time.Duration `yaml:"window"`
	// Level is the time constant of the normal level.
	Level time.Duration `yaml:"level"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Slots of the daily profile, 24 to 96; fewer are used where a slot would have fewer than two samples.
	Slots int `yaml:"slots"`
	// ProfileAlpha is the share that each day has in the profile, above 0 to 1.
	ProfileAlpha float64 `yaml:"profile_alpha"`
	// Least: below this share of its usual value, what a ratio is taken of says nothing; 0 to 1.
	Least float64 `yaml:"least"`
}

// Validate implements [Options].
func (o *EdgeOptions) Validate() error {
	err := errors.Join(
		validSlots(o.Slots), validAlpha(o.ProfileAlpha), validTau("window", o.Window),
		validTau("level", o.Level), validTau("scale", o.Scale),
	)
	if o.Relation != RelationRatio && o.Relation != RelationDifference {
		err = errors.Join(err, fmt.Errorf("relation is %q; it must be %q or %q", shorten(o.Relation), RelationRatio, RelationDifference))
	}
	if !(o.Least >= 0 && o.Least <= 1) {
		err = errors.Join(err, fmt.Errorf("least is %g; it must be between 0 and 1", o.Least))
	}
	if err == nil && o.Window >= o.Level {
		return errors.New("window must be shorter than level")
	}
	return err
}

// OfDiffers implements [OfOptions].
func (o *EdgeOptions) OfDiffers() bool { return o.Relation == RelationDifference }

// edgeState is the state of one relation under an edgeModel.
type edgeState struct {
	relation residualState
	usual    float64 // of what the ratio is taken of; 0 = not known
	last     int64   // ms; when it was learnt last
}

// edgeModel judges relations by a smooth residualModel.
type edgeModel struct {
	residual   *residualModel
	difference bool
	least      float64
	level      float64 // seconds
}

func newEdge(o *EdgeOptions, c Conditions) (Model[edgeState], error) {
	transform := TransformLog
	if o.OfDiffers() {
		transform = TransformNone
	}
	inner, err := newLevelShift(&LevelShiftOptions{
		Slots: o.Slots, ProfileAlpha: o.ProfileAlpha, Timezone: utc, Weekend: usualWeekend(), Window: o.Window, Level: o.Level, Scale: o.Scale, Transform: transform,
	}, c)
	if err != nil {
		return nil, err
	}
	residual, ok := inner.(*residualModel)
	if !ok {
		return nil, fmt.Errorf("level_shift is a %T, not a residual model; this is a bug", inner)
	}
	return &edgeModel{residual: residual, difference: o.OfDiffers(), least: o.Least, level: o.Level.Seconds()}, nil
}

// Observe judges a relation that the caller has computed.
func (m *edgeModel) Observe(s *edgeState, t int64, v float64) Verdict {
	return m.residual.Observe(&s.relation, t, v)
}

// ObserveOf implements [TrialsModel].
func (m *edgeModel) ObserveOf(s *edgeState, t int64, v, of float64) Verdict {
	if m.difference {
		return m.Observe(s, t, v-of)
	}
	if !(of > 0 && of <= maxMagnitude) || !(v >= 0) {
		return m.Observe(s, t, math.NaN())
	}
	little := of < m.least*s.usual
	m.use(s, t, of)
	if little {
		out := m.Observe(s, t, math.NaN())
		out.Value = v / of
		return out
	}
	return m.Observe(s, t, v/of)
}

// use learns how much what the ratio is taken of usually is.
func (m *edgeModel) use(s *edgeState, t int64, of float64) {
	if s.relation.held || t > maxTime || t < -maxTime || (s.usual > 0 && t <= s.last) {
		return
	}
	if s.usual == 0 {
		s.usual = of
	} else {
		s.usual += gain(float64(t-s.last)/1000, m.level) * (of - s.usual)
	}
	s.last = t
}

func (m *edgeModel) Hold(s *edgeState, since int64) { m.residual.Hold(&s.relation, since) }

func (m *edgeModel) Release(s *edgeState, accept bool) { m.residual.Release(&s.relation, accept) }

// Check implements [Checker].
func (m *edgeModel) Check(s *edgeState) error {
	if !(s.usual >= 0 && s.usual <= maxMagnitude) || s.last > maxTime || s.last < -maxTime {
		return errors.New("its traffic is out of range")
	}
	return m.residual.Check(&s.relation)
}
