package plot

import (
	"math"
	"sort"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// maxPoints bounds what is drawn; a phone has fewer pixels than that.
const maxPoints = 600

// maxValue bounds what is drawn: beyond it the arithmetic of the axes overflows.
const maxValue = 1e150

// prepare sorts points by time, drops those without a time, marks what cannot
// be drawn as missing and thins them out.
func prepare(points []incident.Point, most int) []incident.Point {
	if most <= 0 {
		most = maxPoints
	}
	clean := make([]incident.Point, 0, len(points))
	for _, p := range points {
		if p.Time.IsZero() {
			continue
		}
		for _, v := range []*float64{&p.Value, &p.Expected, &p.Lower, &p.Upper} {
			if math.IsInf(*v, 0) || math.Abs(*v) > maxValue {
				*v = math.NaN()
			}
		}
		if p.Lower > p.Upper {
			p.Lower, p.Upper = p.Upper, p.Lower
		}
		clean = append(clean, p)
	}
	sort.SliceStable(clean, func(i, j int) bool { return clean[i].Time.Before(clean[j].Time) })
	return markGaps(thin(clean, max(most, 3)))
}

// thin keeps of each run of points the one with the least and the one with the
// greatest value, so that a spike is never lost, and one without a value, so
// that a gap is not lost either.
func thin(points []incident.Point, most int) []incident.Point {
	if len(points) <= most {
		return points
	}
	runs := most / 3
	out := make([]incident.Point, 0, most)
	for i := range runs {
		run := points[i*len(points)/runs : (i+1)*len(points)/runs]
		low, high, gap := -1, -1, -1
		for k, p := range run {
			switch {
			case math.IsNaN(p.Value):
				gap = k
			case low < 0:
				low, high = k, k
			case p.Value < run[low].Value:
				low = k
			case p.Value > run[high].Value:
				high = k
			}
		}
		for k := range run {
			if k == low || k == high || k == gap {
				out = append(out, run[k])
			}
		}
	}
	return out
}

// markGaps puts a missing point wherever the time to the next point is more
// than three times the usual one, so that no line is drawn over what was not seen.
func markGaps(points []incident.Point) []incident.Point {
	if len(points) < 4 {
		return points
	}
	steps := make([]time.Duration, 0, len(points)-1)
	for i := 1; i < len(points); i++ {
		steps = append(steps, points[i].Time.Sub(points[i-1].Time))
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i] < steps[j] })
	usual := steps[len(steps)/2]
	out := make([]incident.Point, 0, len(points)+8)
	for i, p := range points {
		if i > 0 && usual > 0 {
			if d := p.Time.Sub(points[i-1].Time); d > 3*usual {
				nan := math.NaN()
				out = append(out, incident.Point{Time: points[i-1].Time.Add(d / 2), Value: nan, Expected: nan, Lower: nan, Upper: nan, Score: nan})
			}
		}
		out = append(out, p)
	}
	return out
}
