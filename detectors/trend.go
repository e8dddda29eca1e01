package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Trend finds slow drifts and leaks, and how long until a limit is reached.
var Trend = Define("trend", `Slow drifts and leaks, and the time until a limit is reached.

The slope over the last hours, of how far the series is from the same time of
the two days before, is compared with the slopes that the series usually has. A
step is no trend, neither is the course of the day, nor steady growth. With a
limit only trends that reach it in time count.`,
	func() *TrendOptions {
		return &TrendOptions{Window: 6 * time.Hour, Scale: 4 * week, Limit: math.Inf(1), Within: day}
	}, newTrend)

// TrendOptions are the options of [Trend].
type TrendOptions struct {
	// Window is the time over which a slope is taken.
	Window time.Duration `yaml:"window"`
	// Scale is the time constant of the usual size of slopes.
	Scale time.Duration `yaml:"scale"`
	// Limit is the value at which the series is exhausted; +Inf = none. A
	// series that begins below it runs up to it, one that begins above, down.
	Limit float64 `yaml:"limit"`
	// Within: with a limit, only a trend that reaches it within this time counts.
	Within time.Duration `yaml:"within"`
}

const (
	minWindow, maxWindow = 5 * time.Hour, 72 * time.Hour
	// windowBlocks is into how many blocks a window is divided; fewer where a block would be shorter than the step.
	windowBlocks = 12
	// leastBlocks of a window make a slope that is not one step.
	leastBlocks = 6
	// warmUpWindows is how many windows of slopes are learnt before the first score: those of one window are much alike.
	warmUpWindows = 4
	// slopeSigmas usual slopes around a slope make the interval of the time to exhaustion: it held 92 % of the true slopes of
	// leaks on Gaussian noise, 91 % on a noisy daily wave, 93 % on a random walk.
	slopeSigmas = 2.7
	// unhurried is the score of a series that does not run to its limit.
	unhurried = -2
)

// Validate implements [Options].
func (o *TrendOptions) Validate() error {
	err := errors.Join(validTau("scale", o.Scale), validTau("within", o.Within))
	if o.Window < minWindow || o.Window > maxWindow {
		err = errors.Join(err, fmt.Errorf("window is %v; it must be between 5h and 72h", o.Window))
	}
	if !(math.Abs(o.Limit) <= maxMagnitude || math.IsInf(o.Limit, 1)) {
		err = errors.Join(err, fmt.Errorf("limit is %g; it must be a number of at most %g, or .inf for none", o.Limit, float64(maxMagnitude)))
	}
	return err
}

// trendState is the state of one series under a trendModel.
type trendState struct {
	clock      clock
	origin     float64 // first value; blocks are relative to it
	blocks     blocks
	scale      scale // of slopes
	savedScale scale // as it was at savedTime, before a departure
	savedTime  int64 // ms
	episodes   episodes
	departure  departure
	first      float64 // least score of the departure that the first slope opened; 0 = none
	judged     judgedTrend
	learnt     uint32 // samples
	slopes     uint32
	varied     bool // it had a slope
	held       bool
	isSaved    bool
}

// judgedTrend is what was said at the end of the last block, until the next one's.
type judgedTrend struct {
	score, expected    float64
	below, above       float64 // the distances of the band's ends from the expected value
	earliest, latest   int64   // ms; when the limit is reached; 0 = never
	ok, up             bool
	lowerEnd, upperEnd bool // the band has one
}

// trendModel judges slopes.
type trendModel struct {
	calendar calendar
	count    int     // blocks of a window
	window   float64 // seconds that the blocks of a window take
	scoring  scoring
	step     time.Duration
	scale    float64 // time constant in seconds
	limit    float64
	within   float64 // seconds
	block    float64 // seconds
}

func newTrend(o *TrendOptions, c Conditions) (Model[trendState], error) {
	perDay := int(math.Ceil(windowBlocks * day.Seconds() / o.Window.Seconds()))
	if most := int(day / c.Step); perDay > most {
		perDay = max(1, most)
	}
	for dayMs%perDay != 0 {
		perDay--
	}
	m := &trendModel{
		calendar: calendar{slots: perDay, slot: int64(dayMs / perDay)},
		scoring:  newScoring(c.Budget), step: c.Step, scale: o.Scale.Seconds(), limit: o.Limit, within: o.Within.Seconds(),
	}
	m.block = float64(m.calendar.slot) / 1000
	m.count = int(o.Window.Milliseconds() / m.calendar.slot)
	m.window = float64(m.count) * m.block
	if m.count < leastBlocks {
		return nil, fmt.Errorf("a window of %v has %d values at a distance of %v, at least %d are needed; set a longer window, or evaluate the rule more often", o.Window, m.count, c.Step, leastBlocks)
	}
	return m, nil
}

func (m *trendModel) Observe(s *trendState, t int64, v float64) Verdict {
	if !finite(v) || math.Abs(v) > maxMagnitude/4 {
		return m.unjudged(s, v)
	}
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		return m.unjudged(s, v)
	}
	number := m.calendar.number(t)
	if k.first {
		s.origin = v
		s.blocks.number = number
		s.episodes = newEpisodes(math.Log(m.block))
	}
	if k.gap {
		s.judged.ok = false
	}
	if number != s.blocks.number {
		m.turn(s, number)
	}
	s.blocks.add(v-s.origin, min(k.dt, m.block), int(t-number*m.calendar.slot)*subBlocks/int(m.calendar.slot))
	out := m.unjudged(s, v)
	if s.judged.ok {
		s.say(&out)
		if s.clock.span() < m.scoring.period { // the score is relative to it
			out.Doubts |= DoubtShortHistory
		}
	}
	if !s.held && s.learnt < math.MaxUint32 {
		s.learnt++
	}
	return out
}

// unjudged is the verdict on a sample that cannot be judged.
func (m *trendModel) unjudged(s *trendState, v float64) Verdict {
	nan := math.NaN()
	out := Verdict{
		Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan,
		Learnt: s.learnt, Doubts: s.clock.doubts(warmUp, s.held),
	}
	if !m.ready(s) {
		out.Doubts |= DoubtWarmingUp
	}
	return out
}

// ready says whether enough is learnt to judge slopes.
func (m *trendModel) ready(s *trendState) bool { return int(s.slopes) >= warmUpWindows*m.count }

// say repeats what the end of the last block said.
func (s *trendState) say(out *Verdict) {
	j := &s.judged
	out.Score, out.Expected, out.Up = j.score, j.expected, j.up
	if j.lowerEnd {
		out.Lower = j.expected - j.below
	}
	if j.upperEnd {
		out.Upper = j.expected + j.above
	}
	out.Earliest, out.Latest = j.earliest, j.latest
	if !s.varied {
		out.Doubts |= DoubtConstant
	}
	out.Onset = s.departure.onset()
	if out.Onset != 0 || out.Score >= 1 {
		out.Kind = KindTrend
	}
}

// turn ends the running block, and judges the slope that it completes.
func (m *trendModel) turn(s *trendState, number int64) {
	s.blocks.end(number, m.block/2, !s.held)
	slope, likely, ok := s.blocks.slope(m.calendar.slots, m.count)
	s.judged.ok = false
	if !ok {
		return
	}
	slope, likely = slope/m.block, likely/m.block
	value := s.blocks.at(number - 1)
	if math.Abs(slope)*m.window <= rounding(value, s.origin) {
		slope = 0
	}
	end := s.blocks.number * m.calendar.slot
	k := tick{t: end, dt: m.block, usual: m.block, distance: m.block}
	sigma := s.scale.sigma(0)
	if m.ready(s) {
		m.judge(s, k, slope, likely)
	}
	if s.held {
		return
	}
	s.varied = s.varied || slope != 0
	abs := math.Abs(slope)
	limit := maxMagnitude
	if m.ready(s) {
		limit = clipSigmas * sigma
	}
	if m.ready(s) && sigma > 0 {
		s.episodes.learn(min(maxPeak, abs/sigma), k, math.Log(m.block), gain(m.block, spacingMemory))
	}
	s.scale.learn(abs, limit, gain(m.block, m.scale), gain(m.block, m.scale))
	if s.slopes < math.MaxUint32 {
		s.slopes++
	}
}

// judge says how rare a slope is, in units per second; likely is the likely one.
func (m *trendModel) judge(s *trendState, k tick, slope, likely float64) {
	sigma := s.scale.sigma(0)
	terms := m.scoring.terms(s.clock.span())
	alarm := s.episodes.reach(terms.need())
	low := lowThreshold(alarm)
	z := 0.0
	switch {
	case slope == 0:
	case sigma > 0:
		z = min(maxPeak, math.Abs(slope)/sigma)
	default: // the first slope
		z = maxPeak
		s.first = m.scoring.firstChange(s.clock.span())
	}
	score := terms.score(s.episodes.weeks(z))
	if z == maxPeak && s.first > 0 {
		score = s.first
	} else if z > low {
		score = max(score, s.first)
	}
	value := s.origin + s.blocks.at(s.blocks.number-1)
	width := min(maxMagnitude, alarm*sigma*m.window)
	s.judged = judgedTrend{
		score: score, expected: value - slope*m.window, below: width, above: width,
		ok: true, up: slope > 0, lowerEnd: true, upperEnd: true,
	}
	if finite(m.limit) {
		m.exhaust(s, k.t, value, likely)
	}
	if s.departure.begins(z, low) && !s.held {
		s.savedScale, s.savedTime, s.isSaved = s.scale, k.t, true
	}
	sure := s.departure.sure
	s.departure.observe(k, z, low, s.judged.score, k.t-m.calendar.slot, slope > 0)
	if s.departure.sure && !sure { // it began before its slope was steep
		s.departure.since = s.blocks.began(m.calendar.slots, m.count) * m.calendar.slot
	}
	if !s.departure.running {
		s.first = 0
	}
}

// exhaust weighs the time until the limit is reached: what reaches it later
// than within scores below 1, whatever its rarity.
func (m *trendModel) exhaust(s *trendState, t int64, value, slope float64) {
	j, sigma := &s.judged, s.scale.sigma(0)
	left, speed := m.limit-value, slope
	if up := s.origin <= m.limit; up {
		j.lowerEnd = false
		j.above = max(j.above, min(maxMagnitude, left/m.within*m.window))
	} else {
		left, speed = -left, -slope
		j.upperEnd = false
		j.below = max(j.below, min(maxMagnitude, left/m.within*m.window))
	}
	if !(speed > 0) {
		j.score = min(j.score, unhurried)
		return
	}
	left = max(0, left)
	most := math.Log10(m.within * speed / max(left, 1e-9*m.within*speed))
	j.score = min(j.score, 1+max(most, unhurried-1))
	at := func(speed float64) int64 {
		if seconds := left / speed; speed > 0 && seconds < year.Seconds() {
			return t + int64(1000*seconds)
		}
		return 0
	}
	j.earliest, j.latest = at(speed+slopeSigmas*sigma), at(speed-slopeSigmas*sigma)
}

func (m *trendModel) Hold(s *trendState, since int64) {
	if s.held {
		return
	}
	s.held = true
	s.blocks.disown(m.calendar.number(max(-maxTime, min(maxTime, since))))
	if s.isSaved && (s.departure.running || s.savedTime >= since) {
		s.scale = s.savedScale
		s.episodes.peak = 0
	}
}

// Release ends a hold. Accepted, what came during the hold is what later days
// are compared with.
func (m *trendModel) Release(s *trendState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept {
		return
	}
	s.blocks.usual = s.blocks.known
	s.episodes.peak = 0
	s.departure, s.first, s.isSaved, s.judged.ok = departure{}, 0, false, false
}

// Check implements [Checker].
func (m *trendModel) Check(s *trendState) error {
	j := &s.judged
	in := func(v int64) bool { return v >= -maxTime && v <= 2*maxTime }
	if !s.clock.valid() || !s.departure.valid() || !in(s.savedTime) || !in(j.earliest) || !in(j.latest) {
		return errors.New("its times are out of range")
	}
	if !s.scale.valid() || !s.savedScale.valid() || (s.clock.samples > 0 && !s.episodes.valid()) ||
		math.Abs(s.origin) > maxMagnitude || !(s.first >= 0 && s.first <= 100) || math.Abs(j.score) > 1e6 ||
		math.Abs(j.expected) > 10*maxMagnitude || math.Abs(j.below) > 2*maxMagnitude || math.Abs(j.above) > 2*maxMagnitude {
		return errors.New("its slopes are out of range")
	}
	return s.blocks.check()
}
