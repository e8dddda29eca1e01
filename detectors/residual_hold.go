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
		s.saved.restore(&s.now)
	}
	s.profile.forget(&m.calendar, m.calendar.moment(since).local)
	s.line.until = math.MinInt64
}

func (m *residualModel) Release(s *residualState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept || s.newest.weight == 0 {
		return
	}
	course := 0.0
	if s.line.known {
		course = s.line.at(s.clock.last)
	}
	// The newest level has its share of the profile taken away already.
	s.now.level = anchored{mean: s.newest.mean + s.share*(course-s.now.level.course), course: course, weight: gain(m.newest, m.level)}
	s.newest.mean = s.now.level.mean
	s.now.episodes.peak = 0
	s.departure, s.run, s.isSaved = departure{}, 0, false
}

// Check implements [Checker].
func (m *residualModel) Check(s *residualState) error {
	if err := s.profile.check(); err != nil {
		return err
	}
	back := s.now
	if s.isSaved {
		s.saved.restore(&back)
	}
	for _, l := range [...]*learnt{&s.now, &back} {
		if !l.level.valid() || !l.scale.valid() || (s.clock.samples > 0 && !l.episodes.valid()) {
			return errors.New("what it learnt is out of range")
		}
	}
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	if !s.clock.valid() || !s.departure.valid() || !in(s.savedTime) || !in(s.changed) || !in(s.side) || !in(s.waiting) || !s.line.valid() {
		return errors.New("its times are out of range")
	}
	if !s.newest.valid() || math.Abs(s.origin) > maxMagnitude || !(s.size >= 0 && s.size <= maxMagnitude) ||
		!(s.reach >= 0 && s.reach <= maxMagnitude) || math.Abs(s.low) > maxMagnitude || math.Abs(s.high) > maxMagnitude || s.low > s.high ||
		!(s.share >= 0 && s.share <= 1) ||
		!(s.evidence >= 0 && s.evidence <= maxPeak) {
		return errors.New("its level is out of range")
	}
	return nil
}
