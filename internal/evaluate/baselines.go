package main

import (
	"math"
	"slices"
	"time"
)

// The baselines. Each gives a score for every row from the rows before it and
// the row itself only; a score's unit is the method's own.

// rolling keeps the rows of a time window (at-length, at] as an index range.
type rolling struct {
	s      *series
	length int64
	low    int
	keep   func(i int) bool
	enter  func(v float64)
	leave  func(v float64)
	values []float64
}

// to takes row i into the window and drops what is too old.
func (r *rolling) to(i int) {
	if r.keep(i) {
		r.enter(r.values[i])
	}
	for r.s.at[r.low] <= r.s.at[i]-r.length {
		if r.keep(r.low) {
			r.leave(r.values[r.low])
		}
		r.low++
	}
}

// moments are sums about a fixed centre.
type moments struct {
	centre, sum, square float64
	n                   int
}

func (m *moments) enter(v float64) {
	if m.n == 0 {
		*m = moments{centre: v}
	}
	d := v - m.centre
	m.sum, m.square, m.n = m.sum+d, m.square+d*d, m.n+1
}

func (m *moments) leave(v float64) {
	d := v - m.centre
	m.sum, m.square, m.n = m.sum-d, m.square-d*d, m.n-1
}

// mean and population standard deviation; rounding may leave no less than zero.
func (m *moments) mean() float64 { return m.centre + m.sum/float64(m.n) }

func (m *moments) sd() float64 {
	a := m.sum / float64(m.n)
	return math.Sqrt(max(0, m.square/float64(m.n)-a*a))
}

// window is a sorted multiset.
type window []float64

func (w *window) enter(v float64) {
	i, _ := slices.BinarySearch(*w, v)
	*w = slices.Insert(*w, i, v)
}

func (w *window) leave(v float64) {
	if i, ok := slices.BinarySearch(*w, v); ok {
		*w = slices.Delete(*w, i, i+1)
	}
}

// median is quantile_over_time(0.5): linear between the middle two.
func (w window) median() float64 {
	n := len(w)
	if n == 0 {
		return math.NaN()
	}
	return (w[(n-1)/2] + w[n/2]) / 2
}

// threeSigma is |v − mean| / sd over the 24 hours before.
func threeSigma(s *series) []float64 {
	out := make([]float64, len(s.at))
	var m moments
	r := rolling{s: s, length: 86400e3, values: s.value, keep: func(i int) bool { return !math.IsNaN(s.value[i]) }, enter: m.enter, leave: m.leave}
	for i, v := range s.value {
		if m.n >= 10 && !math.IsNaN(v) {
			d := math.Abs(v - m.mean())
			// Sums of squares are exact to some 1e-8 of the values only.
			if sd := m.sd(); sd > 1e-7*(math.Abs(m.mean())+d) {
				out[i] = d / sd
			}
		}
		r.to(i)
	}
	return out
}

// forFive is an alert's `for: 5m`: the least score of the last five minutes.
// Rows more than five minutes apart leave their samples stale between them.
func forFive(s *series, score []float64) []float64 {
	const pending = 5 * 60e3
	out := make([]float64, len(score))
	for i := range score {
		least := score[i]
		j := i
		for j > 0 && s.at[i]-s.at[j] < pending {
			j--
			least = min(least, score[j])
		}
		if s.at[i]-s.at[j] >= pending {
			out[i] = least
		}
	}
	return out
}

// back yields, for increasing rows, the last row at or before a time ago.
type back struct {
	s   *series
	ago int64
	j   int
}

func (b *back) row(i int) (int, bool) {
	t := b.s.at[i] - b.ago
	for b.j+1 < len(b.s.at) && b.s.at[b.j+1] <= t {
		b.j++
	}
	// Older than the longest usual step: nothing was there.
	return b.j, b.s.at[b.j] <= t && t-b.s.at[b.j] <= max(600e3, 2*b.s.step.Milliseconds())
}

// grafanaAdaptive is Grafana's "adaptive" strategy: the mean of an hour ± the
// widest of two smoothed standard deviations, half of the mean, and the bands
// around this time a day and a week ago. The score is by how many half widths
// of its band a value lies off the mean: at 1 the shipped rule fires.
func grafanaAdaptive(s *series) []float64 {
	n := len(s.at)
	avg, sd, filtered := make([]float64, n), make([]float64, n), make([]float64, n)
	positive := func(i int) bool { return s.value[i] > 0 }
	var hour, smooth moments
	rh := rolling{s: s, length: 3600e3, values: s.value, keep: positive, enter: hour.enter, leave: hour.leave}
	rs := rolling{s: s, length: 26 * 3600e3, values: filtered, keep: func(i int) bool { return filtered[i] > 0 }, enter: smooth.enter, leave: smooth.leave}
	ago := [2]back{{s: s, ago: int64(23.5 * 3600e3)}, {s: s, ago: int64(167.5 * 3600e3)}}
	score := make([]float64, n)
	for i, v := range s.value {
		rh.to(i)
		avg[i] = math.NaN()
		if hour.n > 0 {
			avg[i], sd[i] = hour.mean(), hour.sd()
			if sd[i] > 0.5*avg[i] {
				filtered[i] = sd[i]
			}
		}
		rs.to(i)
		if !(v > 0) {
			continue // the rule's `> 0`: no level, no alert
		}
		upper, lower := 1.5*avg[i], 0.5*avg[i]
		if smooth.n > 0 {
			d := 2 * smooth.mean()
			upper, lower = max(upper, avg[i]+d), min(lower, avg[i]-d)
		}
		for k := range ago {
			if j, ok := ago[k].row(i); ok && !math.IsNaN(avg[j]) {
				upper, lower = max(upper, avg[j]+2*sd[j]), min(lower, avg[j]-2*sd[j])
			}
		}
		score[i] = beyond(v, avg[i], max(0, lower), upper)
	}
	return forFive(s, score)
}

// beyond is how many half widths of its band v lies off the middle.
func beyond(v, middle, lower, upper float64) float64 {
	if v > middle && upper > middle {
		return (v - middle) / (upper - middle)
	}
	if v < middle && lower < middle {
		return (middle - v) / (middle - lower)
	}
	return 0
}

// grafanaRobust is Grafana's "robust" strategy: the median of an hour against
// the median of a day ± the widest of two MADs, half of the median, and the
// bands around this time a day and a week ago. Scores as in grafanaAdaptive.
func grafanaRobust(s *series) []float64 {
	n := len(s.at)
	deviation, seasonal := make([]float64, n), make([]float64, n) // from the median of a day, of an hour
	medHour, madHour := make([]float64, n), make([]float64, n)
	positive := func(i int) bool { return s.value[i] > 0 }
	known := func(x []float64) func(int) bool { return func(i int) bool { return !math.IsNaN(x[i]) } }
	var day, dayDev, hour, hourDev window
	roll := func(length time.Duration, w *window, x []float64, keep func(int) bool) rolling {
		return rolling{s: s, length: length.Milliseconds(), values: x, keep: keep, enter: w.enter, leave: w.leave}
	}
	rd, rdd := roll(24*time.Hour, &day, s.value, positive), roll(24*time.Hour, &dayDev, deviation, known(deviation))
	rh, rhd := roll(time.Hour, &hour, s.value, positive), roll(time.Hour, &hourDev, seasonal, known(seasonal))
	ago := [2]back{{s: s, ago: int64(23.75 * 3600e3)}, {s: s, ago: int64(167.75 * 3600e3)}}
	score := make([]float64, n)
	for i, v := range s.value {
		rd.to(i)
		rh.to(i)
		middle, level := day.median(), hour.median()
		deviation[i], seasonal[i] = math.NaN(), math.NaN()
		if v > 0 {
			deviation[i], seasonal[i] = math.Abs(v-middle), math.Abs(v-level)
		}
		rdd.to(i)
		rhd.to(i)
		medHour[i], madHour[i] = level, hourDev.median()
		if math.IsNaN(level) || math.IsNaN(middle) {
			continue
		}
		mad := 2 * dayDev.median()
		upper, lower := max(1.5*middle, middle+mad), min(0.5*middle, middle-mad)
		for k := range ago {
			if j, ok := ago[k].row(i); ok && !math.IsNaN(medHour[j]) && !math.IsNaN(madHour[j]) {
				upper, lower = max(upper, medHour[j]+2*madHour[j]), min(lower, medHour[j]-2*madHour[j])
			}
		}
		score[i] = beyond(level, middle, max(0, lower), upper)
	}
	return forFive(s, score)
}

// ewmaSpot is the residual of a mean of ten minutes (at least ten rows) under
// SPOT (Siffer et al. 2017) with moments for the tail: −log10 of the probability per sample.
func ewmaSpot(s *series) []float64 {
	const (
		initial = 500 // rows behind the first threshold
		level   = 0.98
		alarm   = 4 // peaks rarer than 10^-4 are not learnt
	)
	out := make([]float64, len(s.at))
	tau := max(600, 10*s.step.Seconds())
	mean, seen := 0.0, false
	var first []float64
	var peaks moments
	threshold, n := 0.0, 0.0
	for i, v := range s.value {
		if math.IsNaN(v) {
			continue
		}
		if !seen {
			mean, seen = v, true
			continue
		}
		dt := max(0, float64(s.at[i]-s.at[i-1])/1000)
		e := math.Abs(v - mean)
		mean += -math.Expm1(-dt/tau) * (v - mean)
		if n++; len(first) < initial {
			first = append(first, e)
			if len(first) == initial {
				slices.Sort(first)
				threshold = first[int(level*initial)]
				for _, x := range first {
					if x > threshold {
						peaks.enter(x - threshold)
					}
				}
			}
			continue
		}
		if !(e > threshold) {
			continue
		}
		out[i] = max(0, rarity(e-threshold, &peaks)-math.Log10(float64(peaks.n)/n))
		if out[i] < alarm {
			peaks.enter(e - threshold)
		}
	}
	return out
}

// rarity is −log10 of the probability that an excess is beyond y under a
// generalised Pareto distribution with the moments of the peaks. A negative
// shape counts as zero: it ends the tail at a point beyond which all values are
// equally impossible, and no threshold could tell them apart.
func rarity(y float64, peaks *moments) float64 {
	if peaks.n < 2 || peaks.sd() == 0 {
		return 0
	}
	m, sd := peaks.mean(), peaks.sd()
	r := m * m / (sd * sd)
	shape, scale := max(0, 0.5*(1-r)), 0.5*m*(r+1)
	if shape < 1e-6 {
		return y / scale / math.Ln10
	}
	return math.Log10(1+shape*y/scale) / shape
}
