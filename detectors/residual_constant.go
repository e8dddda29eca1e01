package detectors

import "math"

// The first change of a series that was constant has no scale to be measured
// by. What it has is the number of equal samples before.

const (
	// settleShare is after how many time constants of a smooth model a change that
	// comes and goes makes a series no longer constant.
	settleShare = 4
	// calmSamples equal samples end a change that was not believed.
	calmSamples = 3
)

// believed says whether a change of a series that was constant until then is
// more than one sample to a smooth model: half of it must have reached the mean.
func (m *residualModel) believed(s *residualState, x *sample) bool {
	if s.varied {
		return true // held at a time when it was constant
	}
	if s.size == 0 {
		s.waiting = x.t
	}
	switch {
	case x.rest == 0:
		s.calm = min(s.calm+1, calmSamples)
	case s.size == 0 || s.calm >= calmSamples:
		s.changed, s.calm = x.t, 0
	default:
		s.calm = 0
	}
	s.size, s.reach = max(s.size, float32(math.Abs(x.rest))), max(s.reach, float32(math.Abs(x.judged)))
	if m.smooth && math.Abs(x.judged) < float64(s.size)/2 {
		return false
	}
	s.varied = true
	return true
}

// firstChange is the score of a sample of the departure that the first change
// opened, at least the given one. After n equal samples the next differs with a
// probability of 1/(n+1) (Laplace's rule of succession), about once in the time
// that the series was constant; that m in a row differ has, by the same rule,
// 1/C(n+m, m).
func (m *residualModel) firstChange(s *residualState, x *sample, t terms, score float64) float64 {
	if s.run == 0 {
		s.constant, s.evidence = max(1, s.residuals), 0
	}
	if s.run < math.MaxUint32 {
		s.run++
	}
	n, k := float64(s.constant), float64(s.run)
	s.evidence += float32(math.Log10((n + k) / k))
	span := float64(s.changed-s.clock.first) / (1000 * weekSeconds)
	first := t.score(math.Log10(max(span, 1e-9)) + float64(s.evidence) - math.Log10(n+1))
	if x.z == maxPeak {
		return max(1, first) // the scale is zero: the score says nothing
	}
	return max(1, first, score)
}
