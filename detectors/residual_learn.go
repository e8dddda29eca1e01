package detectors

import "math"

// follow tracks the departure, and saves what was learnt before it.
func (m *residualModel) follow(s *residualState, x *sample, low, score float64) {
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
		if s.run > 0 {
			since = min(since, s.changed)
		}
	}
	if s.departure.begins(x.z, low) && !s.held {
		s.saved, s.savedTime, s.isSaved = s.now.keep(), x.t, true
	}
	s.departure.observe(x.tick, x.z, low, score, since, x.judged > 0)
	if !s.departure.running {
		s.run = 0
	}
}

// learn takes a sample that was judged.
func (m *residualModel) learn(s *residualState, x *sample) {
	at := x.expected + x.rest
	if at < s.low {
		s.low = at
	} else if at > s.high {
		s.high = at
	}
	// The level is that of the values: what is clipped is the residual alone.
	plain := x.expected - s.now.level.mean
	if m.smooth {
		plain = s.share * x.course
	}
	switch {
	case !m.ready(s):
		if s.now.level.weight == 0 || s.residuals < warmUp {
			s.now.level.learn(x.judged+plain, x.course, m.aLevel)
		}
		if m.smooth {
			s.profile.add(at, x.dt)
		}
		return
	case m.smooth && !s.varied && s.size > 0:
		// Wait for the change to be believed, or to be the habit of the series.
		if float64(x.t-s.waiting) < settleShare*1000*m.newest {
			return
		}
		s.varied = true
		s.now.scale.learn(float64(s.reach), float64(s.reach), 1, 1)
	}
	limit, profileLimit := clipSigmas*x.sigma, profileClipSigmas*x.sigma
	if m.smooth { // the scale of single samples, were they independent
		profileLimit *= math.Sqrt(max(1, 2*m.newest/x.dt))
	}
	if s.residuals < clipAfter {
		limit, profileLimit = maxMagnitude, maxMagnitude
	}
	if s.residuals >= warmUp && x.sigma > 0 {
		s.now.episodes.take(x.z, &x.tick, m.lnDistance, m.aSpacing)
	}
	s.varied = s.varied || x.judged != 0
	s.profile.add(x.expected+clip(x.rest, profileLimit), x.dt)
	s.now.level.learn(clip(x.judged, limit)+plain, x.course, m.aLevel)
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
