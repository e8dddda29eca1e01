package detectors

import "math"

// The habit of a series: how often episodes as large as one came of late. The
// tail alone takes weeks to learn of a job that runs every night.

// asLarge doublings less are as large still: a scale that is learnt wavers.
const asLarge = 0.5

// habitWeeks is log10 of the weeks between episodes that reach s, by those of
// late: what came n times beyond habitual comes n times a week at least.
func (e *episodes) habitWeeks(s float64) float64 {
	if n := e.seen(s) - habitual; n > 0 {
		return -math.Log10(n * (weekSeconds * 1000 / habitMillis))
	}
	return math.Inf(1)
}

// habitReach is the s from which on habitWeeks is at least w.
func (e *episodes) habitReach(w float64) float64 {
	most := (habitual + math.Pow(10, -w)*(habitMillis/(weekSeconds*1000))) * habitUnits
	n := 0.0
	for i := habitBins - 1; i >= 0; i-- {
		c := float64(e.habit[i])
		if n+c > most {
			return firstBin * math.Exp2(float64(i)+1+asLarge-(most-n)/c)
		}
		n += c
	}
	return 0
}

// seen is how many episodes of late were as large as s; within a bin they are
// taken to be even in the logarithm.
func (e *episodes) seen(s float64) float64 {
	at := math.Log2(s/firstBin) - asLarge
	i := int(max(0, min(habitBins-1, math.Floor(at))))
	n := float64(e.habit[i])
	if i < habitBins-1 {
		n *= min(1, float64(i+1)-at)
	}
	for _, c := range e.habit[i+1:] {
		n += float64(c)
	}
	return n / habitUnits
}

// noteHabit counts an episode.
func (e *episodes) noteHabit(peak float64) {
	i := 0
	for i < habitBins-1 && peak >= 2*firstBin {
		i, peak = i+1, peak/2
	}
	e.habit[i] = uint16(min(math.MaxUint16, int(e.habit[i])+habitUnits))
	e.weighHabit()
}

// weighHabit says whether there are more episodes than the level is tracked to.
func (e *episodes) weighHabit() {
	n := 0
	for _, c := range e.habit {
		n += int(c)
	}
	e.busy, e.exp = n > (habitual+episodeRate*habitMillis/(weekSeconds*1000))*habitUnits, 0
}

// fade lets the counts fade.
func (e *episodes) fade(t int64) {
	keep := 0.0
	if t > e.fadedAt {
		keep = math.Exp(-float64(t-e.fadedAt) / habitMillis)
	}
	for i, c := range e.habit {
		e.habit[i] = uint16(float64(c) * keep)
	}
	e.fadedAt = t
	e.weighHabit()
}
