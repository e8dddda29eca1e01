package detectors

import "math"

// counts is the distribution of a number of events: Gamma-Poisson (negative
// binomial) with the given mean, or with trials, binomial.
//
// alpha is its over-dispersion: the variance is mean·(1 + alpha·mean), for a
// binomial times 1 − mean/trials. Over-dispersed binomials count as binomials
// of fewer trials (Kish's design effect).
type counts struct {
	mean   float64 // above 0
	alpha  float64 // 0 to maxAlpha
	trials float64 // 0 = no trials; else more than mean
}

// maxAlpha: above it the tail's formula is not accurate. Burstier series are
// left to the calibration.
const maxAlpha = 2

// variance of the number of events.
func (c counts) variance() float64 {
	v := c.mean * (1 + c.alpha*c.mean)
	if c.trials > 0 {
		v *= 1 - c.mean/c.trials
	}
	return v
}

// score is the normal score of the tail beyond k: Φ⁻¹ of the probability of k
// or more with the sign changed when k is above the mean, of k or less when it
// is below. k is rounded to whole events. 0 within half an event of the mean.
func (c counts) score(k float64) float64 {
	k = math.Round(k)
	switch {
	case k-0.5 > c.mean:
		return max(0, c.quantile(k-0.5))
	case k+0.5 < c.mean:
		return min(0, c.quantile(k+0.5))
	}
	return 0
}

// quantile is the normal quantile of the probability of less than s, halfway
// between two whole numbers: Barndorff-Nielsen's r* = r + ln(w/r)/r, where r is
// the signed root of the deviance and w the saddlepoint in units of its
// standard error.
func (c counts) quantile(s float64) float64 {
	z, _ := c.quantileSlope(s)
	return z
}

// quantileSlope returns the quantile and roughly how fast it grows with s.
//
// With t the derivative of half the deviance and v the variance at s,
// w = 2·sinh(t/2)·√v = (e^t − 1)·√(v/e^t), where e^t is a ratio.
func (c counts) quantileSlope(s float64) (z, slope float64) {
	mean, effect := c.mean, 1.0
	var deviance, t, ratio, above, v float64 // above is ratio − 1
	if c.trials > 0 {
		effect = 1 + c.alpha*mean
		n := c.trials / effect
		s, mean = min(s/effect, n*(1-1e-12)), mean/effect
		of, back := s/mean, (n-s)/(n-mean)
		t, deviance = math.Log(of), math.Log(back)
		ratio, above = of/back, n*(s-mean)/(mean*(n-s))
		t, deviance = t-deviance, s*t+(n-s)*deviance
		v = s * (1 - s/n)
	} else {
		of := s / mean
		t = math.Log(of)
		if c.alpha*max(s, mean) < 1e-9 {
			deviance = s*t - (s - mean)
			ratio, above, v = of, (s-mean)/mean, s
		} else {
			r := 1 / c.alpha
			back := (s + r) / (mean + r)
			u := math.Log(back)
			ratio, above = of/back, r*(s-mean)/(mean*(s+r))
			t, deviance = t-u, s*t-(s+r)*u
			v = s * (1 + s/r)
		}
	}
	r := math.Copysign(math.Sqrt(2*max(0, deviance)), s-mean)
	w := above * math.Sqrt(v/ratio)
	// Near the mean r and w are both nearly zero, and the correction is small.
	if math.Abs(r) < 0.05 || !(w/r > 0) {
		return r, 1 / (math.Sqrt(v) * effect)
	}
	return r + math.Log(w/r)/r, t / (r * effect)
}

// lastMiss is how near in z the last step of reachFrom begins.
const lastMiss = 0.05

// reachFrom is the number of events at which score is z for z above 0, −|z| for z
// below, as the boundary between two whole numbers; 0 where not even none is
// that rare, all trials where not even all are. It is searched from a guess if
// that is above zero.
func (c counts) reachFrom(z, guess float64) float64 {
	low, high := 0.5, c.mean
	switch {
	case z > 0:
		low, high = max(c.mean, 0.5), maxEvents*1e3
		if c.trials > 0 {
			if high = c.trials; c.quantile(high) <= z {
				return high
			}
		}
	case c.mean <= 0.5:
		return 0
	}
	x := guess
	if !(x > low && x < high) {
		root := math.Sqrt(c.mean) + z/2*math.Sqrt(1+c.alpha*c.mean)
		x = root*math.Abs(root) + (z*z-1)/6
	}
	first := true
	for range 60 {
		if !(x > low && x < high) {
			if first && c.quantile(low) >= z {
				if z > 0 {
					return low
				}
				return 0
			}
			first, x = false, min((low+high)/2, 2*low)
		}
		at, slope := c.quantileSlope(x)
		miss := at - z
		if miss > 0 {
			high = x
		} else {
			low = x
		}
		x -= miss / slope
		switch inside := x > low && x < high; {
		case inside && math.Abs(miss) < lastMiss: // the step leaves its square, at most
			return x
		case math.Abs(miss) < 1e-6 || high-low < 1e-9*high:
			return low
		}
	}
	return low
}

// tailLog10 is log10 of the probability that a standard normal value is above z.
func tailLog10(z float64) float64 {
	if z > 30 {
		return -(z*z/2 + math.Log(z*math.Sqrt(2*math.Pi))) / math.Ln10
	}
	return math.Log10(math.Erfc(z/math.Sqrt2) / 2)
}

// tailReach is the inverse of tailLog10 for −250 < log10 < −0.31, by Newton's
// method with the slope of Mills's ratio.
func tailReach(log10 float64) float64 {
	z := math.Sqrt(2 * math.Ln10 * -log10)
	for range 60 {
		miss := tailLog10(z) - log10
		step := miss * math.Ln10 / (z + 1/(z+2/(z+1)))
		z = max(0, z+step)
		if math.Abs(step) < 1e-7 {
			break
		}
	}
	return z
}
