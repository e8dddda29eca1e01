package detectors

import "math"

const (
	// madToSigma turns a mean absolute deviation into a standard deviation, for Gaussian values.
	madToSigma = 1.2533
	// clipSigmas bounds what one residual teaches the level and the scale.
	clipSigmas = 4
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
	return madToSigma * max(s.clipped, rawShare*s.raw, share*s.fast)
}

// learn takes an absolute residual; a and fast are the gains of the two means
// for the time since the last one, limit is the clip.
func (s *scale) learn(abs, limit, a, fast float64) {
	s.weight += a * (1 - s.weight)
	g := a / s.weight
	s.clipped += g * (min(abs, limit) - s.clipped)
	s.raw += g * (abs - s.raw)
	s.fastWeight += fast * (1 - s.fastWeight)
	s.fast += fast / s.fastWeight * (abs - s.fast)
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

// level is an exponentially weighted mean in time, right from the start.
type level struct{ mean, weight float64 }

func (l *level) learn(delta, a float64) {
	l.weight += a * (1 - l.weight)
	l.mean += a / l.weight * delta
}

func (l *level) valid() bool {
	return math.Abs(l.mean) <= maxMagnitude && l.weight >= 0 && l.weight <= 1
}

// maxMagnitude is the largest distance from the first sample that is judged.
const maxMagnitude = 1e37

// clip bounds x to ±limit.
func clip(x, limit float64) float64 { return max(-limit, min(limit, x)) }
