package detectors

import (
	"errors"
	"math"
	"slices"
)

const (
	// mostSteps is how many steps a slot may be away from the base.
	mostSteps = math.MaxInt16
	// fitSteps is where the farthest slot lies after a fit, which leaves room for four times its distance.
	fitSteps = 16384
	// coarse is from which excess of the quantum it is fitted anew.
	coarse = 64
	// leastQuantum keeps quotients by it finite.
	leastQuantum = 1e-290
)

// slots are the values of a profile in 16 bits each, relative to the series'
// origin: n steps from the base are the distance quantum·n·|n|. A step at the
// distance d is 2·√(quantum·d): for the farthest slot about 1/8192 of its
// distance, and finer the nearer to the base, so that one large slot does not
// blur the others.
type slots struct {
	base    float64
	quantum float64 // 0 = every slot is the base, and weekends are as other days
	common  [maxSlots]int16
	weekend [maxSlots]int16 // how far weekends are above other days
	known   [maxSlots / 32]uint32

	// The last slot learnt, as it was before.
	undoCommon, undoWeekend int16
	undoKnown               bool
	canUndo                 bool
}

func (s *slots) has(i int) bool { return s.known[i/32]&(1<<(i%32)) != 0 }

// at is the value of a slot, over all days.
func (s *slots) at(i int) float64 { return s.base + s.distance(s.common[i]) }

// contrast is how far weekends are above other days.
func (s *slots) contrast(i int) float64 { return s.distance(s.weekend[i]) }

func (s *slots) distance(n int16) float64 {
	x := float64(n)
	return s.quantum * (x * math.Abs(x))
}

// steps is the number of steps nearest to a distance.
func (s *slots) steps(d float64) int16 {
	if d == 0 || s.quantum == 0 {
		return 0
	}
	// Midway between n and n+1 steps is quantum·(n² + n + ½).
	n := math.Round(math.Sqrt(max(0, math.Abs(d)/s.quantum-0.25)))
	return int16(math.Copysign(min(n, mostSteps), d))
}

// save notes a slot for undo.
func (s *slots) save(i int) {
	s.undoCommon, s.undoWeekend, s.undoKnown, s.canUndo = s.common[i], s.weekend[i], s.has(i), true
}

// undo takes the last slot learnt back, which is i.
func (s *slots) undo(i int) {
	s.common[i], s.weekend[i] = s.undoCommon, s.undoWeekend
	if !s.undoKnown {
		s.known[i/32] &^= 1 << (i % 32)
	}
	s.canUndo = false
}

// learn moves a slot by the share g towards a value; an unknown one takes it.
func (s *slots) learn(i int, value, g float64) {
	if !s.has(i) {
		if s.known == [maxSlots / 32]uint32{} {
			s.base = value
		}
		s.known[i/32] |= 1 << (i % 32)
		g = 1
	}
	s.move(&s.common[i], value-s.base, g)
}

// learnContrast moves a weekend's contrast by the share g towards a distance.
func (s *slots) learnContrast(i int, d, g float64) { s.move(&s.weekend[i], d, g) }

// move moves one of the slots by the share g towards a distance. What is less
// than a step would never be learnt: it moves by one towards another step.
func (s *slots) move(n *int16, d, g float64) {
	s.reach(d)
	at := s.distance(*n)
	next := s.steps(at + g*(d-at))
	if next == *n {
		switch aim := s.steps(d); {
		case aim > next:
			next++
		case aim < next:
			next--
		}
	}
	*n = next
}

// reach makes the quantum large enough for a distance.
func (s *slots) reach(d float64) {
	d = math.Abs(d)
	if d <= s.quantum*(mostSteps*mostSteps) {
		return
	}
	if s.quantum == 0 {
		s.quantum = max(d/(fitSteps*fitSteps), leastQuantum)
		return
	}
	half := 1.0
	for ; d > s.quantum*(mostSteps*mostSteps); half /= 2 {
		s.quantum *= 4
	}
	s.each(func(n int16, _ bool) int16 { return int16(math.Round(float64(n) * half)) })
}

// each replaces all steps; common tells those of the slots from those of contrasts.
func (s *slots) each(f func(n int16, common bool) int16) {
	for i := range s.common {
		s.common[i], s.weekend[i] = f(s.common[i], true), f(s.weekend[i], false)
	}
	s.undoCommon, s.undoWeekend = f(s.undoCommon, true), f(s.undoWeekend, false)
}

// fit moves the base among the slots where it is outside their middle half, and
// makes a quantum finer that is far coarser than needed. n is the number of slots.
func (s *slots) fit(n int) {
	var sorted [maxSlots]float64
	most, count := 0.0, 0
	for i := range n {
		if s.has(i) {
			sorted[count] = s.at(i)
			most, count = max(most, math.Abs(s.contrast(i))), count+1
		}
	}
	if count == 0 {
		return
	}
	slices.Sort(sorted[:count])
	base := s.base
	if base < sorted[count/4] || base > sorted[count-1-count/4] {
		base = sorted[count/2]
	}
	most = max(most, sorted[count-1]-base, base-sorted[0])
	if base == s.base && s.quantum*(fitSteps*fitSteps) <= coarse*most {
		return
	}
	was := *s
	s.base, s.quantum = base, 0
	s.reach(most)
	s.each(func(n int16, common bool) int16 {
		d := was.distance(n)
		if common {
			d += was.base - base
		}
		return s.steps(d)
	})
}

func (s *slots) check() error {
	farthest := 0.0
	for i := range s.common {
		farthest = max(farthest, math.Abs(s.distance(s.common[i])), math.Abs(s.distance(s.weekend[i])))
	}
	farthest = max(farthest, math.Abs(s.distance(s.undoCommon)), math.Abs(s.distance(s.undoWeekend)))
	if !(s.quantum == 0 || s.quantum >= leastQuantum) || math.Abs(s.base)+farthest > 4*maxMagnitude {
		return errors.New("its profile is out of range")
	}
	return nil
}
