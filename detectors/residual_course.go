package detectors

// turn takes the next line of the profile, before the sample at its begin is
// seen, and weighs the profile anew.
func (m *residualModel) turn(s *residualState, k tick) {
	at := m.calendar.moment(k.t)
	if half := m.calendar.slot / 2; s.line.on && k.t < s.line.until+half && (s.held || s.profile.pass(m.calendar.number(at.local))) {
		s.line.extend(half)
		return
	}
	noise := m.noise(s)
	e := m.era(s, at, noise)
	if !s.held {
		s.profile.enter(&e, at.local)
	}
	was := s.line.known
	s.line = s.profile.segment(&e, at)
	if s.line.known && !was { // the known part of the day begins here
		s.now.level.course = s.line.at(k.t)
		s.saved.level.course = s.now.level.course
	}
	if s.held {
		return
	}
	if s.line.known && !s.profiled {
		s.profiled = true
		if m.smooth {
			s.now.scale.fade(smoothFirstDayShare)
		} else {
			s.now.scale.fade(firstDayShare)
		}
	}
	if k.t-s.clock.first >= trustAfter {
		s.share = s.profile.repeats.share(noise)
	}
}

// noise is the square that a course must beat.
func (m *residualModel) noise(s *residualState) float64 {
	sigma := s.now.scale.sigma(m.fastShare)
	return noEvidence * sigma * sigma
}

func (m *residualModel) era(s *residualState, at moment, noise float64) era {
	return era{calendar: &m.calendar, first: s.clock.first + at.offset, share: s.profile.weekly.skill(noise)}
}

// line is the line of a state's profile at t.
func (m *residualModel) line(s *residualState, t int64) segment {
	at := m.calendar.moment(t)
	e := m.era(s, at, m.noise(s))
	return s.profile.segment(&e, at)
}
