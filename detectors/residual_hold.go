package detectors

import (
	"errors"
	"math"
)

func (m *residualModel) Hold(s *residualState, since int64) {
	if s.held {
		return
	}
	s.held = true
	if s.isSaved && (s.departure.running || s.savedTime >= since) {
		s.now = s.saved
	}
	s.profile.forget(m.calendar, since)
}

func (m *residualModel) Release(s *residualState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept || s.newest.weight == 0 {
		return
	}
	s.now.level = level{mean: s.newest.mean, weight: gain(m.newest, m.level)}
	s.now.episodes.peak = 0
	s.departure, s.first, s.isSaved = departure{}, 0, false
}

// Check implements [Checker].
func (m *residualModel) Check(s *residualState) error {
	if err := s.profile.check(m.calendar); err != nil {
		return err
	}
	for _, l := range [...]*learnt{&s.now, &s.saved} {
		if !l.level.valid() || !l.scale.valid() || (s.clock.samples > 0 && !l.episodes.valid()) {
			return errors.New("what it learnt is out of range")
		}
	}
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	if !s.clock.valid() || !s.departure.valid() || !in(s.savedTime) || !in(s.changed) || !in(s.side) {
		return errors.New("its times are out of range")
	}
	if !s.newest.valid() || math.Abs(s.origin) > maxMagnitude || !(s.size >= 0 && s.size <= maxMagnitude) ||
		!(s.reach >= 0 && s.reach <= maxMagnitude) ||
		!(s.first >= 0 && s.first <= 100) {
		return errors.New("its level is out of range")
	}
	return nil
}
