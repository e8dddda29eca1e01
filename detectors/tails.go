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
func (c counts) quantileSlope(s float64) (z, slope float64) {
	mean, effect := c.mean, 1.0
	var deviance, t, w float64
	if c.trials > 0 {
		effect = 1 + c.alpha*mean
		n := c.trials / effect
		s, mean = min(s/effect, n*(1-1e-12)), mean/effect
		t = math.Log(s / mean)
		u := math.Log((n - s) / (n - mean))
		deviance = s*t + (n-s)*u
		t -= u
		w = s * (1 - s/n)
	} else {
		t = math.Log(s / mean)
		if c.alpha*max(s, mean) < 1e-9 {
			deviance = s*t - (s - mean)
			w = s
		} else {
			r := 1 / c.alpha
			u := math.Log((s + r) / (mean + r))
			deviance = s*t - (s+r)*u
			t -= u
			w = s * (1 + s/r)
		}
	}
	r := math.Copysign(math.Sqrt(2*max(0, deviance)), s-mean)
	sd := math.Sqrt(w)
	w = 2 * math.Sinh(max(-100, min(100, t/2))) * sd
	// Near the mean r and w are both nearly zero, and the correction is small.
	if math.Abs(r) < 0.05 || !(w/r > 0) {
		return r, 1 / (sd * effect)
	}
	return r + math.Log(w/r)/r, t / (r * effect)
}

// reach is the number of events at which score is z for z above 0, −|z| for z
// below, as the boundary between two whole numbers; 0 where not even none is
// that rare, all trials where not even all are.
func (c counts) reach(z float64) float64 {
	sd := math.Sqrt(c.variance())
	low, high := 0.5, c.mean
	switch {
	case z > 0:
		low = max(c.mean, 0.5)
		if low == 0.5 && c.quantile(low) >= z {
			return low
		}
		high = c.trials
		if high == 0 {
			high = 2*low + (z+1)*(z+1)*(1+c.alpha*c.mean)*8 + 8*z*sd
			for c.quantile(high) < z && high < maxEvents*1e3 {
				low, high = high, 8*high
			}
		} else if c.quantile(high) <= z {
			return high
		}
	case c.mean <= 0.5 || c.quantile(0.5) > z:
		return 0
	}
	root := math.Sqrt(c.mean) + z/2*math.Sqrt(1+c.alpha*c.mean)
	x := root*math.Abs(root) + (z*z-1)/6
	for range 40 {
		if !(x > low && x < high) {
			x = (low + high) / 2
		}
		at, slope := c.quantileSlope(x)
		miss := at - z
		if miss > 0 {
			high = x
		} else {
			low = x
		}
		if math.Abs(miss) < 5e-3 || high-low < 1e-9*high {
			break
		}
		x -= miss / slope
	}
	return x
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
