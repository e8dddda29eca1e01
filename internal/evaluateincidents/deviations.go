package main

import (
	"math"
	"slices"
)

// deviation says how far a window lies from its history.
type deviation func(history, window []float64) float64

// nSigma is the largest distance from the mean in standard deviations. A history
// without spread gives nothing.
func nSigma(history, window []float64) float64 {
	mean, n := 0.0, float64(len(history))
	for _, x := range history {
		mean += x / n
	}
	sd := 0.0
	for _, x := range history {
		sd += (x - mean) * (x - mean) / n
	}
	if sd = math.Sqrt(sd); sd == 0 {
		return 0
	}
	top := 0.0
	for _, x := range window {
		top = max(top, math.Abs(x-mean)/sd)
	}
	return top
}

// baro is the largest rise over the median in interquartile ranges; a range of
// zero counts as one.
func baro(history, window []float64) float64 {
	h := slices.Sorted(slices.Values(history))
	iqr := quantile(h, 0.75) - quantile(h, 0.25)
	if iqr == 0 {
		iqr = 1
	}
	return (slices.Max(window) - quantile(h, 0.5)) / iqr
}

// robust is the distance of the medians in standard deviations as the median
// absolute deviation estimates them, at least 1 % of the level and 5 % of the range.
func robust(history, window []float64) float64 {
	h := slices.Sorted(slices.Values(history))
	median := quantile(h, 0.5)
	scale := max(spread(h), 0.01*math.Abs(median), 0.05*(h[len(h)-1]-h[0]))
	return ratio(math.Abs(quantile(slices.Sorted(slices.Values(window)), 0.5)-median), scale)
}

// peak is the largest distance from the median, on the same scale without its floor.
func peak(history, window []float64) float64 {
	h := slices.Sorted(slices.Values(history))
	median, top := quantile(h, 0.5), 0.0
	for _, x := range window {
		top = max(top, math.Abs(x-median))
	}
	return ratio(top, spread(h))
}

// spread of sorted values is their median absolute deviation over that of the
// normal distribution.
func spread(sorted []float64) float64 {
	median := quantile(sorted, 0.5)
	away := make([]float64, len(sorted))
	for i, x := range sorted {
		away[i] = math.Abs(x - median)
	}
	slices.Sort(away)
	return quantile(away, 0.5) / 0.6745
}

// ratio is bounded: what was never seen before deviates by a thousand.
func ratio(d, scale float64) float64 {
	if d == 0 {
		return 0
	}
	return min(d/scale, 1e3)
}

// quantile of sorted values, between the two next to it in proportion.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
