package detectors

import (
	"math"
	"time"
)

const (
	weekSeconds = 7 * 86400.0
	// maxTime bounds times, in milliseconds, so that differences do not overflow.
	maxTime = 1 << 53
	// gapSteps is the number of usual distances beyond which two samples have a gap between them.
	gapSteps = 3
	// doubtfulAfterGap is how many samples after a gap are doubtful.
	doubtfulAfterGap = 5
	// spacingShare is how fast the usual distance of samples follows the actual one, per sample.
	spacingShare = 0.1
)

// clock is what a state knows of its own time. Samples may come at another
// spacing than the rule's step (history at a minute, then live at five
// seconds), so the usual distance is learnt.
type clock struct {
	first, last int64   // ms
	spacing     float64 // the usual distance in seconds
	samples     uint32  // admitted
	sinceGap    uint8   // samples since the last gap, at most doubtfulAfterGap
}

// tick is one admitted sample's place in time.
type tick struct {
	t     int64   // ms
	dt    float64 // seconds since the last one, at most gapSteps usual distances
	usual float64 // the usual distance in seconds, at least the rule's step
	// distance is seconds since the last one.
	distance float64
	first    bool
	gap      bool
}

// admit takes the time of a sample; ok is false when it is not later than the
// last one or out of range.
func (c *clock) admit(t int64, step time.Duration) (k tick, ok bool) {
	ok = c.take(&k, t, step.Seconds())
	return k, ok
}

// take is admit into k, with the step in seconds.
func (c *clock) take(k *tick, t int64, step float64) bool {
	if t > maxTime || t < -maxTime || (c.samples > 0 && t <= c.last) {
		return false
	}
	k.t = t
	if c.samples == 0 {
		c.first, c.last, c.samples, c.sinceGap = t, t, 1, doubtfulAfterGap
		k.dt, k.usual, k.first = step, step, true
		return true
	}
	d := float64(t-c.last) / 1000
	if c.samples == 1 {
		c.spacing = d
	}
	usual := step
	if c.spacing > step {
		usual = c.spacing
	}
	k.dt, k.distance, k.usual = d, d, usual
	if d > gapSteps*usual {
		k.dt, k.gap = gapSteps*usual, true
		c.sinceGap = 0
	} else if c.sinceGap < doubtfulAfterGap {
		c.sinceGap++
	}
	c.spacing += spacingShare * (d - c.spacing)
	c.last = t
	if c.samples < math.MaxUint32 {
		c.samples++
	}
	return true
}

// span returns the observed time in weeks.
func (c *clock) span() float64 { return float64(c.last-c.first) / (1000 * weekSeconds) }

func (c *clock) valid() bool {
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	return in(c.first) && in(c.last) && c.first <= c.last && c.spacing >= 0 && c.spacing < maxTime
}
