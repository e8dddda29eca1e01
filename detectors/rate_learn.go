package detectors

import (
	"errors"
	"math"
)

// learn takes a sample that was judged.
func (m *rateModel) learn(s *rateState, x *rateSample) {
	exposure := 1.0
	if x.of > 0 {
		exposure = x.of
	}
	times := m.timesOf(x)
	s.newest.fade(times.keepNew)
	s.newest.add(x.share*x.value, x.share*x.base)
	if s.held {
		return
	}
	l := &s.now
	variance := x.spread.variance() * x.event * x.event
	v := x.value
	if s.residuals >= clipAfter {
		most := rateClip*math.Sqrt(variance) + x.event
		v = max(x.mean-most, min(x.mean+most, v))
	}
	s.running.add(x.share*v, x.share*exposure)
	l.overall.fade(times.keepOverall)
	l.overall.add(x.share*v, x.share*exposure)
	l.level.fade(times.keepLevel)
	l.level.add(x.share*v, x.share*x.base)
	free := 1.0
	if x.of > 0 {
		free = 1 - x.mean/x.of
	}
	sum := func(to *float64, by float64) { *to = min(maxSquare, *to*times.keepScatter+by) }
	sum(&l.scatter.clipped, (v-x.mean)*(v-x.mean))
	sum(&l.scatter.raw, (x.value-x.mean)*(x.value-x.mean))
	sum(&l.scatter.mean, free*x.mean)
	sum(&l.scatter.square, free*x.mean*x.mean)
	if s.residuals < math.MaxUint32 {
		s.residuals++
	}
}

// maxSquare bounds sums of squares.
const maxSquare = 1e80

func (y *tally) fade(keep float64) { y.events, y.exposure = y.events*keep, y.exposure*keep }

func (y *tally) add(events, exposure float64) {
	y.events, y.exposure = min(maxSquare, y.events+events), min(maxSquare, y.exposure+exposure)
}

// unjudged is the verdict on a sample that cannot be judged.
func (s *rateState) unjudged(v float64) Verdict {
	nan := math.NaN()
	out := Verdict{Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan, Learnt: s.residuals}
	out.Doubts = s.clock.doubts(s.residuals, s.held)
	return out
}

// doubts are those that every detector states alike.
func (c *clock) doubts(learnt uint32, held bool) (d Doubt) {
	if learnt < warmUp {
		d |= DoubtWarmingUp
	}
	if c.samples > 0 && c.sinceGap < doubtfulAfterGap {
		d |= DoubtAfterGap
	}
	if held {
		d |= DoubtHeld
	}
	return d
}

func (m *rateModel) Hold(s *rateState, since int64) {
	if s.held {
		return
	}
	s.held = true
	if s.isSaved && (s.departure.running || s.savedTime >= since) {
		s.now = s.saved
	}
	s.running = tally{}
	if s.canUndo && (s.undoSlot+1)*rateSlotMs > since {
		s.slots[slotIndex(s.undoSlot)] = s.undo
		s.canUndo = false
	}
}

func (m *rateModel) Release(s *rateState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept || s.newest.exposure == 0 {
		return
	}
	// As sure as a hundred times the prior.
	event := m.event
	if event == 0 {
		event = max(s.event, 1/maxMagnitude)
	}
	f := 100 * ratePrior * event / max(s.newest.events, s.newest.exposure)
	s.now.level = tally{events: f * s.newest.events, exposure: f * s.newest.exposure}
	s.now.episodes.peak = 0
	s.departure, s.isSaved = departure{}, false
}

// Check implements [Checker].
func (m *rateModel) Check(s *rateState) error {
	ok := func(v float64) bool { return v >= 0 && v <= maxSquare }
	good := s.clock.valid() && s.departure.valid() && ok(s.event) && s.event <= maxMagnitude
	good = good && (s.event == 0 || s.event >= 1/maxMagnitude)
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	good = good && in(s.savedTime) && in(s.slot) && in(s.undoSlot)
	for _, p := range s.slots {
		good = good && p.events >= 0 && p.exposure >= 0
	}
	good = good && s.undo.events >= 0 && s.undo.exposure >= 0
	for _, y := range [...]tally{s.running, s.newest, s.now.overall, s.now.level, s.saved.overall, s.saved.level} {
		good = good && ok(y.events) && ok(y.exposure)
	}
	for _, l := range [...]*rateLearnt{&s.now, &s.saved} {
		c := l.scatter
		good = good && ok(c.clipped) && ok(c.raw) && ok(c.mean) && ok(c.square)
		good = good && (s.clock.samples == 0 || l.episodes.valid())
	}
	if !good {
		return errors.New("its numbers are out of range")
	}
	return nil
}
