package detectors

import "math"

// repeats weighs whether a course repeats: a regression, slot by slot, of how
// far the values are from their mean over the last hours on how far the course,
// as it was before the slot was learnt, is from its own.
type repeats struct {
	values, course float32 // means
	along, square  float64 // of the regression
}

const (
	// courseSeconds is the time constant of the means.
	courseSeconds = 3 * 3600.0
	// repeatsSeconds is the time constant of the regression.
	repeatsSeconds = 4 * 86400.0
	// slopeMost bounds how much more than the course one slot may say: an outage is no evidence.
	slopeMost = 2
)

// learn takes the mean of a slot of so many ms and what the course had there;
// only a slot that counts is evidence.
func (r *repeats) learn(slot int64, value, course float64, counts bool) {
	if counts {
		q := course - float64(r.course)
		x := clip(value-float64(r.values), slopeMost*math.Abs(q))
		g := float64(slot) / (1000 * repeatsSeconds)
		r.along += g * (x*q - r.along)
		r.square += g * (q*q - r.square)
	}
	g := min(1, float64(slot)/(1000*courseSeconds))
	r.values += float32(g * (value - float64(r.values)))
	r.course += float32(g * (course - float64(r.course)))
}

// share is the slope of the regression, between 0 and 1; noise is what the
// square of the course must beat.
func (r *repeats) share(noise float64) float64 {
	if !(r.along > 0) {
		return 0
	}
	return min(1, r.along/(r.square+noise))
}

// skill is how much of its errors the course saves whoever follows it wholly,
// between 0 and 1: twice the slope less one, since with a slope of a half it
// errs as much as it helps.
func (r *repeats) skill(noise float64) float64 { return max(0, 2*r.share(noise)-1) }

func (r *repeats) valid() bool {
	return math.Abs(float64(r.values)) <= 8*maxMagnitude && math.Abs(float64(r.course)) <= 8*maxMagnitude &&
		r.square >= 0 && r.square <= 1e80 && math.Abs(r.along) <= 1e80
}
