package detectors

import "math"

// departure follows a series out of its normal and back.
type departure struct {
	running bool  // beyond the low threshold, or not yet quiet since
	sure    bool  // the score reached 1 in this departure
	inside  bool  // back is set
	up      bool  // above the expected value
	beyond  uint8 // the rungs that s is beyond, one bit each
	since   int64 // ms; first departing sample
	// cross holds, while it is not sure, when s last rose beyond the low threshold
	// times 1, 2, 4, …, in ms after since.
	cross [rungs]int32
	back  int64 // ms; since when a sure departure is inside the band again
}

// rungs is how many doublings of the low threshold are followed.
const rungs = 6

// onsetShare: a departure begins where it first reached this share of what it
// came to when it became sure. A mild rise just before, noise as a rule, is not
// the beginning of a large one.
const onsetShare = 0.25

// returnSeconds (and at least three samples) inside the band, the last one
// below the low threshold, end a departure that reached a score of 1.
const returnSeconds = 120

// reachSeconds (and at least five samples) is how far before a score of 1 an onset may lie while
// the departure was inside the band, and how long a sure one may be inside it without an end.
const (
	reachSeconds = 600
	reachSteps   = 5
)

// lowThreshold is where a departure begins, below alarm, the standardised
// residual at which the score is 1.
func lowThreshold(alarm float64) float64 {
	switch {
	case alarm >= 5:
		return alarm / 2
	case alarm >= 2.5/0.7:
		return 2.5
	}
	return 0.7 * alarm
}

// begins says whether the standardised residual s starts a departure.
func (d *departure) begins(s, low float64) bool { return !d.running && s > low }

// observe takes the next judged sample; since is the first departing sample
// should one begin here.
// up tells the side; a change of sides begins another departure.
func (d *departure) observe(k tick, s, low, score float64, since int64, up bool) {
	if !d.running && !(s > low) {
		return
	}
	reach := int64(1000 * max(reachSeconds, reachSteps*k.usual))
	switch {
	case s > low && (!d.running || up != d.up || (!d.sure && score < 1 && k.t-d.since > reach)):
		*d = departure{since: since, running: true, up: up}
	case score >= 1:
		d.inside = false
	case !d.sure && s > low:
	case !d.sure:
		*d = departure{}
	case !d.inside:
		d.inside, d.back = true, k.t
	case k.t-d.back >= reach || (!(s > low) && k.t-d.back >= int64(1000*max(returnSeconds, gapSteps*k.usual))):
		*d = departure{}
	}
	if d.sure {
		return
	}
	d.climb(s, low, since)
	if score >= 1 {
		d.sure = true
		later := int32(0)
		for i, level := 0, low; i < rungs && level <= onsetShare*s; i, level = i+1, 2*level {
			if d.beyond&(1<<i) != 0 {
				later = d.cross[i]
			}
		}
		d.since += int64(later)
	}
}

// climb notes when s rises beyond each rung.
func (d *departure) climb(s, low float64, since int64) {
	for i := range d.cross {
		bit := uint8(1) << i
		switch {
		case !d.running || !(s > low):
			d.beyond &^= bit
		case d.beyond&bit == 0:
			d.beyond |= bit
			d.cross[i] = int32(max(math.MinInt32, min(math.MaxInt32, since-d.since)))
		}
		low *= 2
	}
}

// onset is the first departing sample, or 0 when no departure is sure.
func (d *departure) onset() int64 {
	if d.running && d.sure {
		return d.since
	}
	return 0
}

func (d *departure) valid() bool {
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	return in(d.since) && in(d.back)
}
