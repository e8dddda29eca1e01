package detectors

import (
	"errors"
	"math"
)

// peersState is the state of one member of a group under a peersModel.
type peersState struct {
	clock     clock
	habit     level // how far the member usually is from the group
	newest    level // the same in the last minutes, learnt even while held
	middle    float64
	scale     scale
	episodes  episodes
	departure departure
	saved     peersSaved
	savedTime int64   // ms
	joined    int64   // ms; first sample
	side      int64   // ms; since when the samples are beyond the low threshold on one side
	first     float64 // least score of the departure that the first change opened; 0 = none
	residuals uint32
	sign      int8
	inherits  bool // judged by what the others know
	varied    bool // it was not constant
	held      bool
	isSaved   bool
}

// peersSaved is what a departure must not teach.
type peersSaved struct {
	habit level
	scale scale
}

// admit takes the time of a member's sample and its place in the group.
func (m *peersModel) admit(p *peer, t int64, g *among) {
	s := p.state
	inherits := s.clock.samples == 0 && g.settled >= leastSettled
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		p.late = true
		return
	}
	p.tick = k
	switch {
	case k.first:
		s.joined = t
		s.episodes = newEpisodes(math.Log(k.dt))
		if inherits {
			s.inherit(g)
		}
	case s.clock.samples == 2:
		s.episodes.spacing = math.Log(k.dt)
	}
	if s.inherits && float64(t-s.joined) > 1000*fadedHabits*m.habit {
		s.inherits = false
	}
	if k.gap {
		s.newest.weight *= math.Exp(-k.distance / m.window)
		if !s.held {
			s.episodes.close()
			s.departure, s.first, s.sign = departure{}, 0, 0
		}
	}
	expected := g.course + s.habit.mean
	value := p.value
	if m.transform.log {
		value = max(value, expected+math.Log(logFloor))
	}
	s.newest.learn(clip(value-g.course, maxMagnitude)-s.newest.mean, gain(k.dt, max(m.window, k.usual)))
	p.rest = s.newest.mean - s.habit.mean
	p.newest = value - expected
}

// fadedHabits is after how many time constants of the habit a new member is like the others.
const fadedHabits = 5

// inherit gives a new member what is usual in its group.
func (s *peersState) inherit(g *among) {
	s.inherits = true
	s.habit = level{mean: g.habit, weight: 1}
	s.scale = scale{clipped: g.usual / madToSigma, raw: g.usual / madToSigma, weight: 1}
	s.clock.first = min(s.clock.first, int64(g.first))
	s.episodes.level, s.episodes.tail, s.episodes.count = g.level, g.tail, math.Floor(g.count)
	s.episodes.estimate()
	s.varied = g.usual > 0
}

// judge says how rare a member's rest is and learns the scale.
func (m *peersModel) judge(p *peer, g *among) {
	s, k, out := p.state, p.tick, p.out
	*out = s.unjudged(out.Value)
	// A mean of few samples varies more than one over the whole window, by this factor.
	width := math.Sqrt((2 - s.newest.weight) / s.newest.weight)
	usual := max(s.scale.sigma(0), g.usual)
	sigma := max(usual*width, spreadShare*g.spread)
	if s.inherits {
		age := float64(k.t-s.joined) / 1000
		sigma = math.Hypot(sigma, g.habits*math.Exp(-age/m.habit))
		if age < m.habit {
			out.Doubts |= DoubtInherited
		}
	}
	out.Expected = m.transform.back(g.expected + s.habit.mean)
	out.Up = p.rest > 0
	if s.residuals >= warmUp || s.inherits {
		m.score(p, g, sigma)
	}
	if s.held {
		return
	}
	abs := math.Abs(p.rest)
	if (s.residuals >= warmUp || s.inherits) && sigma > 0 {
		s.episodes.take(abs/sigma, &k, math.Log(k.dt), gain(k.dt, spacingMemory))
	}
	s.varied = s.varied || p.rest != 0
	limit := clipSigmas * usual
	if s.residuals < clipAfter && !s.inherits {
		limit = maxMagnitude
	}
	p.teaches, p.learns = clip(p.rest, limit), true
	s.scale.learn(abs/width, limit, gain(k.dt, m.scale), gain(k.dt, fastSeconds))
	if s.residuals < math.MaxUint32 {
		s.residuals++
	}
}

// score says how rare a member's rest is, and follows its departure.
func (m *peersModel) score(p *peer, g *among, sigma float64) {
	s, k, out := p.state, p.tick, p.out
	r := m.scoring.judge(departing{
		episodes: &s.episodes, span: s.clock.span(), lnDistance: math.Log(k.dt), rest: p.rest, sigma: sigma, varied: s.varied, first: &s.first,
	})
	out.Score = r.score
	out.Doubts |= r.doubts
	middle := g.expected + s.habit.mean
	out.Lower, out.Upper = m.transform.back(middle-r.alarm*sigma), m.transform.back(middle+r.alarm*sigma)
	m.follow(p, r.z, r.low, r.low*sigma)
	if out.Onset = s.departure.onset(); out.Onset != 0 || out.Score >= 1 {
		out.Kind = KindPeer
	}
}

// follow tracks the departure, and saves what was learnt before it. The mean
// departs later than the samples: the onset is where they went to its side for
// good, beyond the given distance.
func (m *peersModel) follow(p *peer, z, low, beyond float64) {
	s, k, out := p.state, p.tick, p.out
	sign := int8(0)
	if math.Abs(p.newest) > beyond {
		sign = int8(math.Copysign(1, p.newest))
	}
	if sign != s.sign {
		s.sign, s.side = sign, k.t
	}
	since := k.t
	if sign != 0 && (sign > 0) == out.Up {
		since = s.side
	}
	if s.departure.begins(z, low) && !s.held {
		s.saved, s.savedTime, s.isSaved = peersSaved{s.habit, s.scale}, k.t, true
	}
	s.departure.observe(k, z, low, out.Score, since, out.Up)
	if !s.departure.running {
		s.first = 0
	}
}

func (s *peersState) unjudged(v float64) Verdict {
	nan := math.NaN()
	doubts := s.clock.doubts(s.residuals, s.held)
	if s.inherits {
		doubts &^= DoubtWarmingUp
	}
	return Verdict{Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan, Learnt: s.residuals, Doubts: doubts}
}

func (m *peersModel) Hold(s *peersState, since int64) {
	if s.held {
		return
	}
	s.held = true
	if s.isSaved && (s.departure.running || s.savedTime >= since) {
		s.habit, s.scale = s.saved.habit, s.saved.scale
		s.episodes.peak = 0
	}
}

func (m *peersModel) Release(s *peersState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept || s.clock.samples == 0 {
		return
	}
	s.habit.mean = clip(s.newest.mean-s.middle, maxMagnitude)
	s.episodes.peak = 0
	s.departure, s.first, s.isSaved = departure{}, 0, false
}

// Check implements [Checker].
func (m *peersModel) Check(s *peersState) error {
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	ok := s.clock.valid() && s.habit.valid() && s.newest.valid() && math.Abs(s.middle) <= 4*maxMagnitude &&
		s.scale.valid() && (s.clock.samples == 0 || (s.episodes.valid() && s.newest.weight > 0)) && s.departure.valid() &&
		s.saved.habit.valid() && s.saved.scale.valid() && in(s.savedTime) && in(s.joined) && in(s.side) &&
		s.first >= 0 && s.first <= 100
	if !ok {
		return errors.New("its numbers are out of range")
	}
	return nil
}
