package detectors

import "math"

// scoring turns log10 of weeks between episodes into scores for one budget.
type scoring struct {
	period float64 // the budget's, in weeks

	// The last terms of roughly, which are often those of the next sample.
	key  uint64
	last terms
}

func newScoring(b Budget) scoring { return scoring{period: b.Period().Seconds() / weekSeconds} }

// leastSpan is the shortest history that a score is relative to, in weeks: with
// less, every small record of the first minutes would be a once-per-span event.
const leastSpan = 1.0 / 7

// terms are the figures of the scoring for one sample.
type terms struct {
	goal  float64 // log10 of the weeks at which the score is 1
	sure  float64 // log10 of the weeks up to which the history is evidence
	one   float64 // log10 of the weeks at which the score is 1 with the history there is
	short bool    // less history than the budget's period
}

func (j scoring) terms(span float64) terms {
	span = max(span, 1e-9)
	m := terms{goal: math.Log10(min(j.period, max(span, leastSpan))), sure: math.Log10(span) + 1, short: span < j.period}
	m.one = m.goal
	if m.goal > m.sure {
		m.one = m.sure + math.Pow(10, m.goal-m.sure) - 1
	}
	return m
}

// roughly is terms for a span that is up to 1/64 shorter.
func (j *scoring) roughly(span float64) terms {
	const dropped = 52 - 6 // bits
	if key := math.Float64bits(span) >> dropped; key != j.key {
		j.key, j.last = key, j.terms(math.Float64frombits(key<<dropped))
	}
	m := j.last
	m.short = span < j.period
	return m
}

// score is 1 at the goal and 1 more for each factor of ten. Beyond ten times
// the observed span the rarity is extrapolation: it still rises, but only
// logarithmically.
func (m terms) score(w float64) float64 {
	if w > m.sure {
		w = m.sure + math.Log10(1+w-m.sure)
	}
	return 1 + w - m.goal
}

// need is log10 of the weeks at which the score is 1.
func (m terms) need() float64 { return m.one }

// firstChange is the score of the first change of a series that was constant
// for span weeks: as rare as once in that span.
func (j scoring) firstChange(span float64) float64 {
	return 1 + max(0, math.Log10(span/j.period))
}

// departing is a sample's rest, and what its rarity depends on.
type departing struct {
	episodes   *episodes
	span       float64 // weeks
	lnDistance float64 // to the last sample, ln of seconds
	rest       float64
	sigma      float64 // the scale of rests; 0 while they never varied
	varied     bool
	// first is the score of the first change of a series that was constant; it
	// stands for the departure that began with it.
	first *float64
}

// judged is how rare a rest is, and where an alarm and a departure begin, in
// scales.
type judged struct {
	score, z, alarm, low float64
	doubts               Doubt
}

func (j scoring) judge(d departing) (out judged) {
	terms := j.terms(d.span)
	if terms.short {
		out.doubts |= DoubtShortHistory
	}
	if !d.varied {
		out.doubts |= DoubtConstant
	}
	crowding := d.episodes.crowding(d.lnDistance)
	out.alarm = d.episodes.reach(terms.need() + crowding)
	out.low = lowThreshold(out.alarm)
	switch {
	case d.rest == 0:
	case d.sigma > 0:
		out.z = min(maxPeak, math.Abs(d.rest)/d.sigma)
	default: // the first change
		out.z = maxPeak
		*d.first = j.firstChange(d.span)
	}
	out.score = terms.score(d.episodes.weeks(out.z) - crowding)
	if out.z == maxPeak && *d.first > 0 {
		out.score = *d.first
	} else if out.z > out.low {
		out.score = max(out.score, *d.first)
	}
	return out
}
