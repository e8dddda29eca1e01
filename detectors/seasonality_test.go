package detectors

import (
	"math"
	"strings"
	"testing"
)

// TestSeasonalityOracle runs the recursion with plain arrays in float64.
func TestSeasonalityOracle(t *testing.T) {
	b := newBank(t, Seasonality, "1 per 7d", 5*minute)
	ref := b.Add()
	f := daily(5, 100, 40, 3)
	var season [96]float64
	level, trend, first := 0.0, 0.0, 0.0
	begun := false
	values := series(5*288, 5*minute, f)
	for i, p := range values {
		sigma := b.(*bank[seasonState]).state(ref).innovation.scale.sigma(fastShare)
		got := b.Observe(ref, p.t, p.v)
		if i == 0 {
			first = p.v
			continue
		}
		// Slots of a quarter of an hour hold three samples: at 0, 5 and 10 minutes; their middle is at 7.5.
		slot, at := i/3%96, float64(i%3)*5-7.5
		other, x := (slot+1)%96, at/15
		if at < 0 {
			other, x = (slot+95)%96, -at/15
		}
		if i == 288 { // a day is over: the season begins with the means of the slots
			begun = true
			mean := 0.0
			for k := range season {
				for _, q := range values[max(1, 3*k) : 3*k+3] { // the first sample of all is the origin
					season[k] += (q.v - first) / float64(3*k+3-max(1, 3*k))
				}
				mean += season[k] / 96
			}
			for k := range season {
				season[k] -= mean
			}
			level -= (1-x)*season[slot] + x*season[other]
		}
		want := first + level + 0.9*trend + (1-x)*season[slot] + x*season[other]
		if i > 11 && !near(got.Expected, want, 1e-5) {
			t.Fatalf("sample %d: expected %v, the oracle has %v", i, got.Expected, want)
		}
		e := p.v - want
		if i > clipAfter {
			e = max(-3*sigma, min(3*sigma, e))
		}
		level, trend = level+0.9*trend+0.1*e, 0.9*trend+0.001*e
		part := (1 - math.Pow(0.7, 1.0/3)) * 0.9 * e
		if begun {
			season[slot] += (1 - x) * part
			season[other] += x * part
		}
	}
}

// TestSeasonalityLearnsTheDay: after some days the forecast no longer lags
// behind the course of the day.
func TestSeasonalityLearnsTheDay(t *testing.T) {
	s := series(20*288, 5*minute, daily(1, 100, 80, 1))
	errorOf := func(d Detector) float64 {
		sum, n := 0.0, 0.0
		for i, v := range judge(t, d, "1 per 7d", 5*minute, s) {
			if i > 15*288 {
				sum, n = sum+math.Abs(v.Value-v.Expected), n+1
			}
		}
		return sum / n
	}
	season, ewma := errorOf(Seasonality), errorOf(EWMA)
	if season > 0.5*ewma || season > 1.2 {
		t.Errorf("mean error %.2f, without season %.2f", season, ewma)
	}
}

func TestSeasonalityOptions(t *testing.T) {
	bad := &SeasonalityOptions{Slots: 3, Alpha: 0, Beta: -1, Gamma: 2, Phi: math.NaN(), Scale: 0, Transform: "x"}
	for _, want := range []string{"slots is 3", "alpha is 0; it must be above 0", "beta is -1; it must be at least 0", "gamma is 2", "phi is NaN", "scale is 0s", `transform is "x"`} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
}
