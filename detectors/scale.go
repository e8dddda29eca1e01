package detectors

import "math"

const (
	// madToSigma turns a mean absolute deviation into a standard deviation, for Gaussian values.
	madToSigma = 1.2533
	// clipSigmas bounds what one residual teaches the level and the scale.
	clipSigmas = 6
	// profileClipSigmas bounds what one residual teaches the profile.
	profileClipSigmas = 6
	// rawShare of the unclipped mean is the least scale: it keeps zero-inflated series from a scale of zero.
	rawShare = 0.1
	// fastShare of the fast mean is the least scale: it follows bursts of noise.
	fastShare = 0.3
)

// scale is a robust estimate of the spread of residuals:
//
//	1.2533 · max(clipped mean, 0.1 · mean, 0.3 · fast mean)
//
// of their absolute values, as exponentially weighted means in time. The means
// are divided by the weight seen so far, so that they are right from the start.
type scale struct {
	clipped, raw, weight float64
	fast, fastWeight     float64
}

// sigma returns the scale without the fast mean when share is 0.
func (s *scale) sigma(share float64) float64 {
	most := s.clipped
	if x := rawShare * s.raw; x > most {
		most = x
	}
	if x := share * s.fast; x > most {
		most = x
	}
	return madToSigma * most
}

// learn takes an absolute residual; a and fast are the gains of the two means
// for the time since the last one, limit is the clip.
func (s *scale) learn(abs, limit, a, fast float64) {
	g := weigh(&s.weight, a)
	s.raw += g * (abs - s.raw)
	s.fast += weigh(&s.fastWeight, fast) * (abs - s.fast)
	if abs > limit {
		abs = limit
	}
	s.clipped += g * (abs - s.clipped)
}

// fade makes what was learnt weigh as little as if it had been seen for the
// given share of the time constant.
func (s *scale) fade(share float64) { s.weight = min(s.weight, gain(share, 1)) }

func (s *scale) valid() bool {
	ok := func(v, most float64) bool { return v >= 0 && v <= most }
	return ok(s.clipped, maxMagnitude) && ok(s.raw, maxMagnitude) && ok(s.fast, maxMagnitude) &&
		ok(s.weight, 1) && ok(s.fastWeight, 1)
}

// gain is the share that a sample after dt has in an exponentially weighted
// mean of time constant tau.
func gain(dt, tau float64) float64 { return -math.Expm1(-dt / tau) }

// weigh adds a sample of gain a to the weight seen so far, and returns the gain
// that makes the mean right from the start.
func weigh(weight *float64, a float64) float64 {
	const full = 1 - 1e-12
	if *weight > full { // a division saved, on every sample but the first
		return a
	}
	*weight += a * (1 - *weight)
	return a / *weight
}

// level is an exponentially weighted mean in time, right from the start.
type level struct{ mean, weight float64 }

func (l *level) learn(delta, a float64) {
	l.mean += weigh(&l.weight, a) * delta
}

func (l *level) valid() bool {
	return math.Abs(l.mean) <= maxMagnitude && l.weight >= 0 && l.weight <= 1
}

// anchored is a level together with the mean that the profile had over the
// same time, so that a share of the profile can be taken away from both.
type anchored struct{ mean, course, weight float64 }

// learn takes how far the value and the profile are from their means.
func (l *anchored) learn(delta, by, a float64) {
	g := weigh(&l.weight, a)
	l.mean += g * delta
	l.course += g * by
}

func (l *anchored) valid() bool {
	return math.Abs(l.mean) <= maxMagnitude && math.Abs(l.course) <= maxMagnitude && l.weight >= 0 && l.weight <= 1
}

// maxMagnitude is the largest distance from the first sample that is judged.
const maxMagnitude = 1e37

// clip bounds x to ±limit.
func clip(x, limit float64) float64 {
	if x > limit {
		return limit
	}
	if x < -limit {
		return -limit
	}
	return x
}
