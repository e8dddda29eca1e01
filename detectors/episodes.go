package detectors

import "math"

const (
	// episodeRate is how many episodes a week the level is tracked to.
	episodeRate = 7.0
	logRate     = 0.8450980400142568 // log10 of it
	// firstLevel is the level before any episode, in standard deviations.
	firstLevel = 4.0
	minLevel   = 1.0
	maxLevel   = 1e12
	// firstTail is the shape of the tail before any episode, and counts as much as firstTailCount episodes:
	// what one series shows of its tail in weeks is little beside what series have in common.
	firstTail      = 0.4
	firstTailCount = 30.0
	maxTailCount   = 60.0
	// maskedAbove: episodes rarer than once in 10^0.3 weeks teach the tail with maskedWeight only.
	maskedAbove  = 0.3
	maskedWeight = 0.3
	// habitual: what came more often in the time constant habitMillis is the habit of the series.
	habitual    = 4.0
	habitMillis = 7 * dayMs
	// habitFade is how often, in milliseconds, the counts of a habit fade.
	habitFade = habitMillis / 64
	// habitBins doublings of the peak, the first from firstBin standard deviations, are counted in habitUnits.
	habitBins  = 9
	firstBin   = 2.0
	habitUnits = 512
	// quietSeconds (and at least three samples) below the level end an episode.
	quietSeconds = 3600.0
	// forcedEnd is after how many quiet times an episode is cut.
	forcedEnd = 4
	// spacingMemory is the time constant in which the level gets used to another spacing of samples.
	spacingMemory = 2 * 86400.0
	// maxPeak bounds standardised residuals.
	maxPeak = 1e30
)

// episodes turns a standardised residual s ≥ 0 into how rarely one like it
// begins, by the peaks of declustered exceedances: a level u is tracked so that
// seven episodes a week exceed it, the tail above u is Pareto with Hill's
// estimate h of its shape:
//
//	log10(weeks between such episodes) = −log10(7) + log10(s/u)/h    above u
//	                                   = −log10(7) − 3(1 − s/u)      below u
//
// and never rarer than episodes as large were of late, see habitWeeks.
//
// Levels and tails are per time, not per sample. When samples come closer than
// those that u was learnt from, the expected number of exceedances is taken to
// grow in proportion until u has followed.
type episodes struct {
	level   float64 // u, in standard deviations
	tail    float64 // Hill's estimate without its prior
	count   float64 // episodes behind it, at most maxTailCount
	spacing float64 // ln of the distance in seconds that u was learnt from
	opened  int64   // ms
	above   int64   // ms; last sample above u
	fadedAt int64   // ms; when the habit faded last
	hill    float32 // shape of the tail: the estimate drawn to its prior
	peak    float32 // the running episode's; 0 = none runs
	// exp is e to the power of expOf, least what the habit leaves of reach there; unknown when exp is 0.
	expOf, exp, least float32
	busy              bool              // more of them than the level is tracked to
	habit             [habitBins]uint16 // episodes of late by their peaks
}

func newEpisodes(lnDistance float64) episodes {
	return episodes{level: firstLevel, tail: firstTail, hill: firstTail, spacing: lnDistance}
}

// shape is Hill's estimate drawn to its prior.
func (e *episodes) shape() float64 { return float64(e.hill) }

// weeks is log10 of the weeks between episodes that reach s.
func (e *episodes) weeks(s float64) float64 {
	if s > e.level {
		return min(e.tailWeeks(s), e.habitWeeks(s))
	}
	w := -logRate - 3*(1-s/e.level)
	if e.busy {
		w = min(w, e.habitWeeks(s))
	}
	return w
}

// tailWeeks is weeks above the level, by the tail alone.
func (e *episodes) tailWeeks(s float64) float64 {
	return -logRate + math.Log10(s/e.level)/e.shape()
}

// reach is the inverse of weeks; 0 where no s is that common.
func (e *episodes) reach(w float64) float64 {
	if w < -logRate {
		r := e.level * max(0, 1+(w+logRate)/3)
		if e.busy {
			r = max(r, e.habitReach(w))
		}
		return r
	}
	// Rarely changes, and is half the cost of a sample.
	if x := float32(min(maxExp, (w+logRate)*math.Ln10*e.shape())); x != e.expOf || e.exp == 0 {
		e.expOf, e.exp = x, float32(math.Exp(float64(x)))
		e.least = float32(e.habitReach(w))
	}
	return max(e.level*float64(e.exp), float64(e.least))
}

// maxExp bounds reach.
const maxExp = 60

// crowding is log10 of how much denser samples come than those that the level
// was learnt from.
func (e *episodes) crowding(lnDistance float64) float64 {
	if e.spacing <= lnDistance {
		return 0
	}
	return (e.spacing - lnDistance) * (1 / math.Ln10)
}

// learn takes the standardised residual s of the sample k; slow is the gain of
// spacingMemory for its distance.
func (e *episodes) learn(s float64, k tick, lnDistance, slow float64) {
	e.take(s, &k, lnDistance, slow)
}

// take is learn without a copy of the tick.
func (e *episodes) take(s float64, k *tick, lnDistance, slow float64) {
	if e.peak > 0 {
		quiet := int64(1000 * max(quietSeconds, gapSteps*k.usual))
		if k.gap || k.t-e.above > quiet || k.t-e.opened > forcedEnd*quiet {
			e.close()
		}
	}
	if e.spacing != lnDistance {
		e.spacing += slow * (lnDistance - e.spacing)
	}
	if k.t-e.fadedAt >= habitFade || k.t < e.fadedAt {
		e.fade(k.t)
	}
	left := 1 - e.rate()*k.dt*(episodeRate/weekSeconds)
	if left < 0.5 {
		left = 0.5
	}
	e.level *= left
	if e.level < minLevel {
		e.level = minLevel
	}
	if s > e.level {
		if e.peak == 0 {
			e.opened = k.t
		}
		e.peak = max(e.peak, float32(min(s, maxPeak)))
		e.above = k.t
	}
}

// rate is how far one episode moves the level: fast at first.
func (e *episodes) rate() float64 {
	const settled = 0.03
	if e.count > 0.5/settled {
		return settled
	}
	return max(settled, 0.5/(1+e.count))
}

// close ends the running episode, if any, and learns from its peak.
func (e *episodes) close() {
	if e.peak == 0 {
		return
	}
	peak := float64(e.peak)
	e.noteHabit(peak)
	w := 1.0
	if e.tailWeeks(peak) > maskedAbove && e.seen(peak) <= habitual {
		w = maskedWeight
	}
	y := max(0, min(math.Log(peak/e.level), 4*e.shape()))
	e.level = min(maxLevel, e.level*(1+e.rate()))
	e.count = min(maxTailCount, e.count+1)
	e.tail += w * (y - e.tail) / e.count
	e.estimate()
	e.peak = 0
}

// estimate draws the tail to its prior.
func (e *episodes) estimate() {
	e.hill = float32((e.tail*e.count + firstTail*firstTailCount) / (e.count + firstTailCount))
	e.exp = 0
}

func (e *episodes) valid() bool {
	in := func(v, least, most float64) bool { return v >= least && v <= most }
	at := func(t int64) bool { return t >= -maxTime && t <= maxTime }
	return in(e.level, minLevel, maxLevel) && in(e.tail, 0, 100) && in(e.count, 0, maxTailCount) && in(float64(e.hill), 1e-3, 100) &&
		in(e.spacing, -50, 50) && e.peak >= 0 && e.peak <= maxPeak &&
		in(float64(e.expOf), 0, maxExp) && in(float64(e.exp), 0, 1e30) && in(float64(e.least), 0, maxLevel) &&
		at(e.opened) && at(e.above) && at(e.fadedAt)
}
