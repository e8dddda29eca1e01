package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Seasonality finds departures from a forecast that knows the course of the day.
var Seasonality = Define("seasonality", `Departures from a Holt-Winters forecast of a strongly daily series.

Level, damped trend and a season of one day follow the series by the errors
of its one-step forecast, bounded at three scales. Its errors differ from those
of spike.`,
	func() *SeasonalityOptions {
		return &SeasonalityOptions{
			Slots: 96, Timezone: utc, Alpha: 0.1, Beta: 0.01, Gamma: 0.3, Phi: 0.9, Scale: day, Transform: TransformNone,
		}
	}, newSeasonality)

// SeasonalityOptions are the options of [Seasonality].
type SeasonalityOptions struct {
	// Slots of the season, 24 to 96; fewer are used where a slot would have fewer than two samples.
	Slots int `yaml:"slots"`
	// Timezone is the IANA name of the zone whose day the season is, such as Europe/Berlin.
	Timezone string `yaml:"timezone"`
	// Alpha is the share of a forecast's error that the level takes over, above 0 to 1.
	Alpha float64 `yaml:"alpha"`
	// Beta is the share of the level's change that the trend takes over, 0 to 1.
	Beta float64 `yaml:"beta"`
	// Gamma is the share of its errors that a slot takes over in a day, above 0 to 1.
	Gamma float64 `yaml:"gamma"`
	// Phi is what is left of the trend after a sample, 0 to 1.
	Phi float64 `yaml:"phi"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Transform is none or log.
	Transform string `yaml:"transform"`
}

// Validate implements [Options].
func (o *SeasonalityOptions) Validate() error {
	share := func(name string, v float64, zero bool) error {
		if (v > 0 || (zero && v == 0)) && v <= 1 {
			return nil
		}
		least := "above 0"
		if zero {
			least = "at least 0"
		}
		return fmt.Errorf("%s is %g; it must be %s and at most 1", name, v, least)
	}
	return errors.Join(
		validSlots(o.Slots), validTimezone(o.Timezone), share("alpha", o.Alpha, false), share("beta", o.Beta, true), share("gamma", o.Gamma, false),
		share("phi", o.Phi, true), validTau("scale", o.Scale), validTransform(o.Transform),
	)
}

// seasonClip bounds what one error teaches the forecast, in scales.
const seasonClip = 3

func newSeasonality(o *SeasonalityOptions, c Conditions) (Model[seasonState], error) {
	calendar, err := newCalendar(o.Slots, o.Gamma, c.Step).in(o.Timezone, nil)
	if err != nil {
		return nil, err
	}
	return &seasonModel{
		innovationModel: newInnovationModel(o.Scale, o.Transform, seasonClip, c),
		calendar:        calendar,
		alpha:           o.Alpha, beta: o.Beta, gamma: o.Gamma, phi: o.Phi,
	}, nil
}

// seasonState is the state of one series under a seasonModel.
type seasonState struct {
	innovation innovation
	season     [maxSlots]float32 // relative to the level; before it is begun, means relative to the origin
	seen       [maxSlots / 32]uint32
	running    slotMean // before it is begun
	now, saved holt
	newest     float64 // the last value less its season
	begun      bool    // the season is known
}

// holt is level and trend, relative to the origin; the trend is per sample.
type holt struct{ level, trend float64 }

// seasonModel is Holt-Winters' additive method with a damped trend in its
// error-correction form, of a linearly interpolated season.
type seasonModel struct {
	innovationModel
	calendar                calendar
	alpha, beta, gamma, phi float64
}

// slots returns the two slots whose middles are around t, and the share of the second.
func (m *seasonModel) slots(t int64) (i, j int, x float64) {
	t = m.calendar.moment(t).local
	n := m.calendar.number(t)
	x = float64(t-n*m.calendar.slot)/float64(m.calendar.slot) - 0.5
	i, j = m.calendar.index(n), m.calendar.index(n+1)
	if x < 0 {
		j, x = m.calendar.index(n-1), -x
	}
	return i, j, x
}

func (m *seasonModel) Observe(s *seasonState, t int64, v float64) Verdict {
	in := &s.innovation
	k, ok := m.admit(in, t, v)
	if !ok || k.first {
		return in.unjudged(v)
	}
	if !s.begun && !in.held {
		m.begin(s, k, v)
	}
	i, j, x := m.slots(t)
	season := 0.0
	if s.begun {
		season = (1-x)*float64(s.season[i]) + x*float64(s.season[j])
	}
	level := s.now.level + m.phi*s.now.trend
	expected := level + season
	rest := m.rest(in, v, expected)
	s.newest = expected + rest - season
	if k.gap && !in.held {
		in.interrupt()
		s.now = holt{level: s.newest}
		return in.unjudged(v)
	}
	before := s.now
	out, e, began := m.judge(in, k, innovationSample{value: v, expected: expected, rest: rest})
	if began {
		s.saved = before
	}
	if in.held {
		return out
	}
	s.now.level = bounded(level + m.alpha*e)
	s.now.trend = bounded(m.phi*s.now.trend + m.alpha*m.beta*e)
	if !s.begun {
		return out
	}
	// A day's errors of a slot are as many as fit into it.
	left := (1 - m.alpha) * e * -math.Expm1(math.Log1p(-min(m.gamma, 1-1e-9))*min(1, 1000*k.dt/float64(m.calendar.slot)))
	s.season[i] = float32(bounded(float64(s.season[i]) + (1-x)*left))
	s.season[j] = float32(bounded(float64(s.season[j]) + x*left))
	return out
}

// begin gathers the means of the slots until the first day is over. The season
// begins with them: by its own errors it would take months to find the day.
func (m *seasonModel) begin(s *seasonState, k tick, v float64) {
	n := m.calendar.number(m.calendar.moment(k.t).local)
	if n != s.running.number && s.running.weight > 0 {
		i := m.calendar.index(s.running.number)
		s.season[i] = float32(bounded(s.running.sum / s.running.weight))
		s.seen[i/32] |= 1 << (i % 32)
		s.running = slotMean{}
		if k.t-s.innovation.clock.first >= dayMs {
			m.center(s, k.t)
			return
		}
	}
	s.running.number = n
	s.running.sum += (m.transform.forward(v, s.innovation.origin+s.now.level) - s.innovation.origin) * k.dt
	s.running.weight += k.dt
}

// center makes the means a season, and the level what is left.
func (m *seasonModel) center(s *seasonState, t int64) {
	has := func(i int) bool { return s.seen[i/32]&(1<<(i%32)) != 0 }
	mean, n, last := 0.0, 0.0, float32(0)
	for i := range 2 * m.calendar.slots { // what was not seen is as what is before it
		i %= m.calendar.slots
		if has(i) {
			last = s.season[i]
		} else {
			s.season[i] = last
		}
	}
	for _, v := range s.season[:m.calendar.slots] {
		n++
		mean += (float64(v) - mean) / n
	}
	for i := range m.calendar.slots {
		s.season[i] = float32(bounded(float64(s.season[i]) - mean))
	}
	i, j, x := m.slots(t)
	s.now.level = bounded(s.now.level - (1-x)*float64(s.season[i]) - x*float64(s.season[j]))
	s.begun = true
}

func bounded(x float64) float64 { return clip(x, maxMagnitude) }

func (m *seasonModel) Hold(s *seasonState, since int64) {
	if m.hold(&s.innovation, since) {
		s.now = s.saved
	}
	s.now.trend = 0
}

func (m *seasonModel) Release(s *seasonState, accept bool) {
	if m.release(&s.innovation, accept) {
		s.now = holt{level: bounded(s.newest)}
	}
}

// Check implements [Checker].
func (m *seasonModel) Check(s *seasonState) error {
	ok := func(v float64) bool { return math.Abs(v) <= 4*maxMagnitude }
	running := s.running.number <= maxTime && s.running.number >= -maxTime &&
		s.running.weight >= 0 && s.running.weight <= 1e12 && math.Abs(s.running.sum) <= 1e60
	good := running && s.innovation.valid() && ok(s.now.level) && ok(s.now.trend) && ok(s.saved.level) && ok(s.saved.trend) && ok(s.newest)
	for _, v := range s.season {
		good = good && ok(float64(v))
	}
	if !good {
		return errors.New("its numbers are out of range")
	}
	return nil
}
