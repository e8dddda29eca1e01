package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Rate finds unusual numbers of rare events: sparse counts and error ratios.
var Rate = trials(Define("rate", `Unusual numbers of rare events: errors per second, error ratios, sparse counts.

A value is taken as a number of events, and judged by the tail of the
Gamma-Poisson distribution around what the hour of the day and the last hour
lead to expect; as a share of trials, by that of the binomial. What is learnt
from few events is drawn to the long-term mean. One event more is no news where
events are rare, however large it is beside the noise.`,
	func() *RateOptions { return &RateOptions{ProfileAlpha: 0.1, Level: time.Hour, Overall: 30 * day} },
	newRate))

// RateOptions are the options of [Rate].
type RateOptions struct {
	// Event is the value that one event makes: 1/300 for rate(…[5m]), 1 for
	// increase. 0 = known from the rule's expression, or the least value above
	// zero so far.
	Event float64 `yaml:"event"`
	// ProfileAlpha is the share that each day has in the profile, above 0 to 1.
	ProfileAlpha float64 `yaml:"profile_alpha"`
	// Level is the time constant of the level where events are many.
	Level time.Duration `yaml:"level"`
	// Overall is the time constant of the long-term mean, which counts where events are few.
	Overall time.Duration `yaml:"overall"`
}

// Validate implements [Options].
func (o *RateOptions) Validate() error {
	err := errors.Join(validAlpha(o.ProfileAlpha), validTau("level", o.Level), validTau("overall", o.Overall))
	if !(o.Event >= 0 && o.Event <= maxMagnitude) || (o.Event > 0 && o.Event < 1/maxMagnitude) {
		err = errors.Join(err, fmt.Errorf("event is %g; it must be above 0, or 0 where it is not known", o.Event))
	}
	return err
}

// EventOption implements [EventOptions].
func (o *RateOptions) EventOption() *float64 { return &o.Event }

func newRate(o *RateOptions, c Conditions) (Model[rateState], error) {
	return &rateModel{
		alpha: o.ProfileAlpha, level: o.Level.Seconds(), overall: o.Overall.Seconds(), event: o.Event,
		scoring: newScoring(c.Budget), step: c.Step,
	}, nil
}

const (
	rateSlots  = 24
	rateSlotMs = dayMs / rateSlots
	// firstEvent is how many events nothing counts as: an event is expected about
	// once in the time observed, so that the first one by itself is no alarm.
	firstEvent = 1.4
	// ratePrior is how many events the prior counts as much as.
	ratePrior = 10.0
	// rateScatter is the time constant of the over-dispersion.
	rateScatter = weekSeconds
	// rateNewest is the time constant of the newest level, which an accepted change takes over.
	rateNewest = 900.0
	// rateClip bounds what one sample teaches, in standard deviations.
	rateClip = 4.0
	// evenPrior is how many events a series must have shown before it counts as
	// more even than single events are, and evenBelow the share of their variance.
	evenPrior, evenBelow = 100.0, 0.8
	// rawVariance of the unclipped variance is the least one: bursts must count.
	rawVariance = 0.1
	// leastMean keeps expectations from zero, in events.
	leastMean = 1e-9
	// maxEvents bounds the number of events of a sample.
	maxEvents = 1e15
)

// tally is a number of events over an exposure: samples, trials or expected events.
type tally struct {
	events   float64 // in the unit of the value
	exposure float64
}

// rateState is the state of one series under a rateModel.
type rateState struct {
	clock     clock
	event     float64 // value of one event, as inferred; 0 = not known
	slots     [rateSlots]struct{ events, exposure float32 }
	running   tally
	slot      int64 // number of the running slot
	undo      struct{ events, exposure float32 }
	undoSlot  int64
	now       rateLearnt
	saved     rateLearnt
	savedTime int64 // ms
	newest    tally // of the last minutes, against what was expected; learnt even while held
	departure departure
	band      rateBand
	residuals uint32
	held      bool
	isSaved   bool
	canUndo   bool
}

// rateBand is the band of an earlier sample, in events, and what it was for.
type rateBand struct{ mean, spread, trials, alarm, lower, upper float32 }

// rateLearnt is what a departure must not teach.
type rateLearnt struct {
	overall, level tally
	scatter        struct{ clipped, raw, mean, square float64 } // sums of squared residuals, means, squared means
	episodes       episodes
}

// rateModel judges numbers of events.
type rateModel struct {
	alpha, level, overall, event float64
	scoring                      scoring
	step                         time.Duration

	// The alarm level for the last goal, which is often that of the next sample.
	alarmFor, alarm float64
	times           rateTimes
}

// rateTimes is what follows from the distance of two samples, usually that of
// the last two.
type rateTimes struct {
	dt, share, distance                          float64
	ln, perWeek                                  float64 // ln of the distance; log10 of independent samples a week
	slow                                         float64 // gain of spacingMemory
	keepOverall, keepLevel, keepScatter, keepNew float64 // what is left of means
}

func (m *rateModel) timesOf(x *rateSample) *rateTimes {
	c := &m.times
	if c.dt != x.dt || c.share != x.share || c.distance != x.distance {
		*c = rateTimes{
			dt: x.dt, share: x.share, distance: x.distance,
			ln: math.Log(x.dt), perWeek: math.Log10(weekSeconds / x.dt * x.share), slow: gain(x.dt, spacingMemory),
			keepOverall: math.Exp(-x.dt / m.overall), keepLevel: math.Exp(-x.dt / m.level),
			keepScatter: math.Exp(-x.dt / rateScatter), keepNew: math.Exp(-x.distance / rateNewest),
		}
	}
	return c
}

func (m *rateModel) Observe(s *rateState, t int64, v float64) Verdict { return m.observe(s, t, v, 0) }

// ObserveOf implements [TrialsModel].
func (m *rateModel) ObserveOf(s *rateState, t int64, v, of float64) Verdict {
	if !(of > 0) || math.IsInf(of, 0) {
		return s.unjudged(math.NaN())
	}
	return m.observe(s, t, v, of)
}

// rateSample is one admitted sample.
type rateSample struct {
	tick
	value, of float64
	share     float64 // new evidence in it: samples may overlap
	event     float64
	base      float64 // expected without the level
	mean      float64 // expected
	spread    counts  // in events
}

func (m *rateModel) observe(s *rateState, t int64, v, of float64) Verdict {
	shown := v
	if of > 0 {
		v = min(v, of)
		shown = v / of
	}
	if !(v >= 0 && v <= maxMagnitude && of <= maxMagnitude) {
		return s.unjudged(shown)
	}
	event := m.event
	if event == 0 {
		event = s.event
		if v > 0 && (event == 0 || v < event) {
			event = max(v, 1/maxMagnitude)
		}
		if event == 0 {
			event = 1
		}
	}
	if max(v, of) > maxEvents*event {
		return s.unjudged(shown)
	}
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		return s.unjudged(shown)
	}
	if v > 0 && m.event == 0 {
		if s.event == 0 {
			s.overlap(min(1, k.dt*event))
		}
		s.event = event
	}
	if k.first {
		s.slot = slotNumber(t)
		s.now.episodes = newEpisodes(math.Log(k.dt))
		s.saved.episodes = s.now.episodes
	}
	if s.clock.samples == 2 {
		s.now.episodes.spacing = math.Log(k.dt)
	}
	event *= s.evenness(event)
	x := rateSample{tick: k, value: v, of: of, event: event, share: min(1, k.dt*event)}
	m.enter(s, k)
	m.expect(s, &x)
	out := m.judge(s, &x, shown)
	if k.gap && !s.held {
		s.now.episodes.close()
		s.departure = departure{}
	}
	m.learn(s, &x)
	return out
}

// overlap takes into account that the samples so far, all zero, were only a
// share as much evidence as they were taken for when the event was not known.
func (s *rateState) overlap(share float64) {
	for _, y := range [...]*tally{&s.running, &s.newest, &s.now.overall, &s.now.level, &s.saved.overall, &s.saved.level} {
		y.exposure *= share
	}
	for i := range s.slots {
		s.slots[i].exposure *= float32(share)
	}
	s.undo.exposure *= float32(share)
}

// evenness is by how much the variance falls short of that of single events:
// a mean, or an event that is in truth smaller than inferred. 1 where it does not.
func (s *rateState) evenness(event float64) float64 {
	c := &s.now.scatter
	share := (c.raw/event + evenPrior*event) / (c.mean + evenPrior*event)
	if share > evenBelow || s.residuals < clipAfter {
		return 1
	}
	return max(share, 1e-9)
}

func slotNumber(t int64) int64 {
	n := t / rateSlotMs
	if t < n*rateSlotMs {
		n--
	}
	return n
}

func slotIndex(n int64) int { return int((n%rateSlots + rateSlots) % rateSlots) }

// enter learns the slot that has ended.
func (m *rateModel) enter(s *rateState, k tick) {
	n := slotNumber(k.t)
	if n == s.slot {
		return
	}
	if s.running.exposure > 0 {
		i := slotIndex(s.slot)
		s.undo, s.undoSlot, s.canUndo = s.slots[i], s.slot, true
		p := &s.slots[i]
		p.events = float32(min(maxMagnitude, (1-m.alpha)*float64(p.events)+s.running.events))
		p.exposure = float32(min(maxMagnitude, (1-m.alpha)*float64(p.exposure)+s.running.exposure))
		s.running = tally{}
	}
	s.slot = n
}

// expect fills in what is expected of a sample, by three layers, each of which
// is drawn to the one before by as much as ten events: the overall mean, the
// hour of the day, and the level of late.
func (m *rateModel) expect(s *rateState, x *rateSample) {
	exposure := 1.0
	if x.of > 0 {
		exposure = x.of
	}
	l := &s.now
	overall := (l.overall.events + firstEvent*x.event) / max(l.overall.exposure, x.share*exposure)
	prior := ratePrior * x.event
	at := float64(x.t-s.slot*rateSlotMs)/rateSlotMs - 0.5
	i, j := slotIndex(s.slot), slotIndex(s.slot+1)
	if at < 0 {
		j, at = slotIndex(s.slot-1), -at
	}
	of := func(i int) float64 {
		return (float64(s.slots[i].events) + prior) / (float64(s.slots[i].exposure) + prior/overall)
	}
	x.base = ((1-at)*of(i) + at*of(j)) * exposure
	x.mean = x.base * (l.level.events + prior) / (l.level.exposure + prior)
	x.mean = max(x.mean, leastMean*x.event)
	x.spread = counts{mean: x.mean / x.event, trials: x.of / x.event}
	free := 1.0
	if x.of > 0 {
		x.mean = min(x.mean, x.of*(1-1e-9))
		x.spread.mean = x.mean / x.event
		free = 1 - x.mean/x.of
	}
	if l.scatter.square > 0 {
		squares := max(l.scatter.clipped, rawVariance*l.scatter.raw)
		x.spread.alpha = max(0, squares-x.event*l.scatter.mean) / l.scatter.square
	}
	// What is learnt from few events is uncertain.
	x.spread.alpha += free * (1/(l.overall.events/x.event+0.5) +
		1/(float64(s.slots[i].events)/x.event+ratePrior) + 1/(l.level.events/x.event+ratePrior))
	x.spread.alpha = min(maxAlpha, x.spread.alpha)
}

// judge says how rare the number of events is.
func (m *rateModel) judge(s *rateState, x *rateSample, shown float64) Verdict {
	out := s.unjudged(shown)
	scale := x.event
	if x.of > 0 {
		scale = x.event / x.of
	}
	if s.clock.samples < 2 {
		return out
	}
	out.Expected = x.spread.mean * scale
	out.Up = x.value > x.mean
	if s.residuals < warmUp {
		return out
	}
	terms := m.scoring.roughly(s.clock.span())
	if terms.short {
		out.Doubts |= DoubtShortHistory
	}
	e := &s.now.episodes
	times := m.timesOf(x)
	crowding, perWeek := e.crowding(times.ln), times.perWeek
	alarm := max(e.reach(terms.need()+crowding), m.rarest(terms.need()+perWeek))
	z := math.Abs(x.spread.score(x.value / x.event))
	// Never rarer than the distribution itself says: at least e^(−z²/2)/2.
	weeks := e.weeks(z) - crowding
	if weeks > z*z*(math.Log10E/2)-perWeek {
		weeks = min(weeks, -tailLog10(z)-perWeek)
	}
	out.Score = terms.score(weeks)
	lower, upper := s.band.of(x.spread, alarm)
	out.Lower = min(out.Expected, max(0, math.Floor(lower-0.5)+0.5)*scale)
	out.Upper = max(out.Expected, (math.Ceil(upper+0.5)-0.5)*scale)
	low := lowThreshold(alarm)
	if s.departure.begins(z, low) && !s.held {
		s.saved, s.savedTime, s.isSaved = s.now, x.t, true
	}
	s.departure.observe(x.tick, z, low, out.Score, x.t, out.Up)
	out.Onset = s.departure.onset()
	if out.Onset != 0 || out.Score >= 1 {
		out.Kind = KindSpike
	}
	if !s.held {
		e.take(z, &x.tick, times.ln, times.slow)
	}
	return out
}

// of returns the numbers of events at which the normal score is ∓alarm: the
// ones of before where the distribution is the same to a hundredth of an event,
// else those that lie near them.
func (b *rateBand) of(c counts, alarm float64) (lower, upper float64) {
	const same = 0.01
	mean, spread := float32(c.mean), float32(math.Sqrt(c.variance()))
	trials, z := float32(c.trials), float32(alarm)
	away := func(a, b float32) float64 { return math.Abs(float64(a) - float64(b)) }
	if away(mean, b.mean) < same && alarm*away(spread, b.spread) < same &&
		float64(spread)*away(z, b.alarm) < same && away(trials, b.trials) <= same*float64(trials) {
		return float64(b.lower), float64(b.upper)
	}
	lower, upper = c.reachFrom(-alarm, float64(b.lower)), c.reachFrom(alarm, float64(b.upper))
	*b = rateBand{mean, spread, trials, z, float32(lower), float32(upper)}
	return lower, upper
}

// rarest is the normal score above which a tail is rarer than 10^−log10.
func (m *rateModel) rarest(log10 float64) float64 {
	if log10 < 0.4 {
		return 0
	}
	if log10 != m.alarmFor {
		m.alarmFor, m.alarm = log10, tailReach(-log10)
	}
	return m.alarm
}
