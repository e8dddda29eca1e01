package detectors

import (
	"math"
	"time"
)

const (
	// warmUp is how many residuals are learnt before the first score.
	warmUp = 10
	// clipAfter is how many residuals are learnt before they are clipped.
	clipAfter = 30
	// fastSeconds is the time constant of the scale's fast mean.
	fastSeconds = 2 * 3600.0
	// unknownShare: while the slot of the day is unknown the level alone predicts, and follows that much faster.
	unknownShare = 0.25
	// firstDayShare is what the scale of the first day, which had no profile, counts afterwards, in time constants.
	firstDayShare = 0.1
	// smoothReady is the weight from which a smoothed level is one: 1.6 time constants.
	smoothReady = 0.8
)

// residualState is the state of one series under a residualModel.
type residualState struct {
	clock     clock
	origin    float64 // first value; everything below is relative to it
	profile   profile
	now       learnt
	saved     learnt // as it was at savedTime, before a departure
	savedTime int64  // ms
	newest    level  // of the last minutes, learnt even while held
	departure departure
	changed   int64   // ms; first change of a series that was constant until then
	size      float64 // the largest residual since then, while the change is not believed
	reach     float64 // the largest judged value since then
	first     float64 // least score of the departure that the first change opened; 0 = none
	side      int64   // ms; since when the samples are beyond the low threshold on one side
	residuals uint32
	sign      int8 // the side: -1, 0, 1
	varied    bool // it was not constant
	held      bool
	isSaved   bool
	profiled  bool // the profile has been known for a sample
}

// learnt is what a departure must not teach.
type learnt struct {
	level    level
	scale    scale
	episodes episodes
}

// residualModel judges what is left of a sample when the course of the day and
// a level are taken away: each sample's rest, or, when smooth, the rest's mean
// over the time constant newest.
type residualModel struct {
	calendar  calendar
	scoring   scoring
	transform transform
	step      time.Duration
	kind      Kind
	smooth    bool

	level, scale, newest float64 // time constants in seconds
	fastShare            float64 // of the scale's fast mean

	// Terms for the span of the last sample's series, which is often that of the next series.
	span  float64
	terms terms

	// Gains for the distance of the last sample, which is usually that of the next one.
	gainsFor                        float64
	aLevel, aUnknown, aScale, aFast float64
	aNewest, aSpacing, lnDistance   float64
}

func (m *residualModel) gains(dt float64) {
	if dt == m.gainsFor {
		return
	}
	m.gainsFor = dt
	m.aLevel, m.aUnknown, m.aScale = gain(dt, m.level), gain(dt, m.level*unknownShare), gain(dt, m.scale)
	m.aFast, m.aNewest = gain(dt, fastSeconds), gain(dt, m.newest)
	m.aSpacing, m.lnDistance = gain(dt, spacingMemory), math.Log(dt)
}

// sample is one admitted sample on its way through the model, relative to the
// origin and on the transformed scale.
type sample struct {
	tick
	value    float64 // as given
	expected float64
	rest     float64 // of the sample
	judged   float64 // the rest, or its mean
	sigma    float64 // scale of what is judged
	known    bool    // the slot of the day is known
}

func (m *residualModel) Observe(s *residualState, t int64, v float64) Verdict {
	origin, ok := m.transform.origin(v, s.origin, s.clock.samples == 0)
	if !ok {
		return s.unjudged(v)
	}
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		return s.unjudged(v)
	}
	m.gains(k.dt)
	if k.first {
		s.origin = origin
		s.profile.running.number = m.calendar.number(t)
		s.now.level = level{weight: m.aLevel}
		s.newest = level{weight: m.aNewest}
		s.now.episodes = newEpisodes(m.lnDistance)
		s.saved.episodes = s.now.episodes
		return s.unjudged(v)
	}
	if s.clock.samples == 2 {
		s.now.episodes.spacing = m.lnDistance
	}
	base, known := m.advance(s, k)
	x := sample{tick: k, value: v, known: known}
	x.expected = base + s.now.level.mean
	x.rest = m.transform.forward(v, s.origin+x.expected) - s.origin - x.expected
	if math.Abs(x.rest) <= rounding(x.expected, s.origin) {
		x.rest = 0
	}
	x.judged = x.rest
	s.newest.learn(x.expected+x.rest-base-s.newest.mean, m.aNewest)
	if m.smooth {
		x.judged = s.newest.mean - s.now.level.mean
		if math.Abs(x.judged) <= rounding(x.expected, s.origin) {
			x.judged = 0
		}
	}
	x.sigma = s.now.scale.sigma(m.fastShare)
	verdict := m.judge(s, x)
	if !s.held {
		m.learn(s, x)
	}
	return verdict
}

// rounding is the size of residuals that the arithmetic alone may leave: the
// profile has 24 bits, the values 53.
func rounding(expected, origin float64) float64 {
	return 2e-7*math.Abs(expected) + 1e-12*math.Abs(origin)
}

// advance brings the state to the time of a sample, before the sample is seen,
// and returns the profile's value there and whether it is known.
func (m *residualModel) advance(s *residualState, k tick) (float64, bool) {
	if !s.held {
		s.profile.enter(m.calendar, k.t, s.clock.first)
	}
	base, known, by := s.profile.value(m.calendar, k.t)
	s.shift(-by)
	if k.gap {
		s.newest.weight *= math.Exp(-k.distance / m.newest)
		if !s.held {
			s.now.episodes.close()
			s.departure, s.first, s.sign = departure{}, 0, 0
			if !m.smooth { // a day's level outlives a gap
				s.now.level.weight = 0
			}
		}
	}
	if known && !s.profiled && !s.held {
		s.profiled = true
		s.now.scale.fade(firstDayShare)
	}
	return base, known
}

// shift moves all that is relative to the profile.
func (s *residualState) shift(by float64) {
	s.now.level.mean += by
	s.saved.level.mean += by
	s.newest.mean += by
}

// ready says whether there is something to judge.
func (m *residualModel) ready(s *residualState) bool {
	return s.now.level.weight > 0 && (!m.smooth || s.newest.weight >= smoothReady)
}

// judge says how rare the sample is and follows the departure.
func (m *residualModel) judge(s *residualState, x sample) Verdict {
	out := s.unjudged(x.value)
	out.Expected = m.transform.back(s.origin + x.expected)
	out.Up = x.judged > 0
	if !m.ready(s) {
		if s.residuals >= warmUp {
			out.Doubts |= DoubtAfterGap
		}
		return out
	}
	if s.residuals < warmUp {
		return out
	}
	if span := s.clock.span(); span != m.span || m.terms.sure == 0 {
		m.span, m.terms = span, m.scoring.terms(span)
	}
	terms := m.terms
	if terms.short {
		out.Doubts |= DoubtShortHistory
	}
	if !s.varied {
		out.Doubts |= DoubtConstant
	}
	crowding := s.now.episodes.crowding(m.lnDistance)
	alarm := s.now.episodes.reach(terms.need() + crowding)
	low := lowThreshold(alarm)
	z := 0.0
	switch {
	case x.judged == 0:
	case x.sigma > 0:
		z = min(maxPeak, math.Abs(x.judged)/x.sigma)
	case m.believed(s, x):
		z = maxPeak
		s.first = m.scoring.firstChange(float64(s.changed-s.clock.first) / (1000 * weekSeconds))
	}
	out.Score = terms.score(s.now.episodes.weeks(z) - crowding)
	if z == maxPeak && s.first > 0 {
		out.Score = s.first
	} else if z > low {
		out.Score = max(out.Score, s.first)
	}
	m.follow(s, x, z, low, out.Score)
	out.Lower = m.transform.back(s.origin + x.expected - alarm*x.sigma)
	out.Upper = m.transform.back(s.origin + x.expected + alarm*x.sigma)
	out.Onset = s.departure.onset()
	if out.Onset != 0 || out.Score >= 1 {
		out.Kind = m.kind
	}
	return out
}

// believed says whether a change of a series that was constant until then is
// more than one sample to a smooth model: half of it must have reached the mean.
func (m *residualModel) believed(s *residualState, x sample) bool {
	if s.varied {
		return true // held at a time when it was constant
	}
	if s.size == 0 {
		s.changed = x.t
	}
	s.size, s.reach = max(s.size, math.Abs(x.rest)), max(s.reach, math.Abs(x.judged))
	if m.smooth && math.Abs(x.judged) < s.size/2 {
		return false
	}
	s.varied = true
	return true
}

// follow tracks the departure, and saves what was learnt before it.
func (m *residualModel) follow(s *residualState, x sample, z, low, score float64) {
	since := x.t
	if m.smooth {
		// The mean departs later than the samples: the onset is where they
		// went to this side for good.
		sign := int8(0)
		if math.Abs(x.rest) > low*x.sigma {
			sign = int8(math.Copysign(1, x.rest))
		}
		if sign != s.sign {
			s.sign, s.side = sign, x.t
		}
		if sign != 0 && (sign > 0) == (x.judged > 0) {
			since = s.side
		}
		if !s.varied || s.first > 0 {
			since = min(since, s.changed)
		}
	}
	if s.departure.begins(z, low) && !s.held {
		s.saved, s.savedTime, s.isSaved = s.now, x.t, true
	}
	s.departure.observe(x.tick, z, low, score, since, x.judged > 0)
	if !s.departure.running {
		s.first = 0
	}
}

// settleShare is after how many time constants of a smooth model a change that
// comes and goes makes a series no longer constant.
const settleShare = 4

// learn takes a sample that was judged.
func (m *residualModel) learn(s *residualState, x sample) {
	a := m.aLevel
	if !x.known {
		a = m.aUnknown
	}
	switch {
	case !m.ready(s):
		if s.now.level.weight == 0 || s.residuals < warmUp {
			s.now.level.learn(x.judged, a)
		}
		if m.smooth {
			s.profile.add(x.expected+x.rest, x.dt)
		}
		return
	case m.smooth && !s.varied && s.size > 0:
		// Wait for the change to be believed, or to be the habit of the series.
		if float64(x.t-s.changed) < settleShare*1000*m.newest {
			return
		}
		s.varied = true
		s.now.scale.learn(s.reach, s.reach, 1, 1)
	}
	limit, profileLimit := clipSigmas*x.sigma, profileClipSigmas*x.sigma
	if m.smooth { // the scale of single samples, were they independent
		profileLimit *= math.Sqrt(max(1, 2*m.newest/x.dt))
	}
	if s.residuals < clipAfter {
		limit, profileLimit = maxMagnitude, maxMagnitude
	}
	if s.residuals >= warmUp && x.sigma > 0 {
		s.now.episodes.learn(math.Abs(x.judged)/x.sigma, x.tick, m.lnDistance, m.aSpacing)
	}
	s.varied = s.varied || x.judged != 0
	s.profile.add(x.expected+clip(x.rest, profileLimit), x.dt)
	s.now.level.learn(clip(x.judged, limit), a)
	s.now.scale.learn(math.Abs(x.judged), limit, m.aScale, m.aFast)
	if s.residuals < math.MaxUint32 {
		s.residuals++
	}
}

// unjudged is the verdict on a sample that cannot be judged.
func (s *residualState) unjudged(v float64) Verdict {
	nan := math.NaN()
	out := Verdict{Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan, Learnt: s.residuals}
	if s.residuals < warmUp {
		out.Doubts |= DoubtWarmingUp
	}
	if s.clock.samples > 0 && s.clock.sinceGap < doubtfulAfterGap {
		out.Doubts |= DoubtAfterGap
	}
	if s.held {
		out.Doubts |= DoubtHeld
	}
	return out
}
