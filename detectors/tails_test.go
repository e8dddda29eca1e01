package detectors

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mathext"
)

// slowTail is the probability of k or more (up) or k or less events, by the
// incomplete beta and gamma functions.
func slowTail(c counts, k float64, up bool) float64 {
	switch {
	case c.trials > 0 && up:
		return mathext.RegIncBeta(k, c.trials-k+1, c.mean/c.trials)
	case c.trials > 0:
		return mathext.RegIncBeta(c.trials-k, k+1, 1-c.mean/c.trials)
	case c.alpha > 0:
		r, x := 1/c.alpha, c.alpha*c.mean/(1+c.alpha*c.mean)
		if up {
			return mathext.RegIncBeta(k, r, x)
		}
		return mathext.RegIncBeta(r, k+1, 1-x)
	case up:
		return mathext.GammaIncReg(k, c.mean)
	}
	return mathext.GammaIncRegComp(k+1, c.mean)
}

func TestTailOracle(t *testing.T) {
	worst := 0.0
	for _, c := range []counts{
		{mean: 1e-4}, {mean: 0.01}, {mean: 0.3}, {mean: 4}, {mean: 80}, {mean: 5000},
		{mean: 0.01, alpha: 1}, {mean: 0.3, alpha: 2}, {mean: 4, alpha: 0.5}, {mean: 80, alpha: 0.02}, {mean: 80, alpha: 1},
		{mean: 0.01, trials: 50}, {mean: 1, trials: 10}, {mean: 5, trials: 10}, {mean: 90, trials: 100}, {mean: 40, trials: 4000},
	} {
		sd := math.Sqrt(c.variance())
		for k := 0.0; k < c.mean+12*sd+6; k = max(k+1, math.Round(k*1.1)) {
			if c.trials > 0 && k > c.trials {
				break
			}
			up := k-0.5 > c.mean
			if !up && k+0.5 >= c.mean {
				continue
			}
			p := slowTail(c, k, up)
			if p < 1e-250 || p > 0.2 {
				continue
			}
			got, want := math.Abs(c.score(k)), tailReach(math.Log10(p))
			off := math.Abs(got - want)
			worst = max(worst, off)
			if off > 0.25 || (c.alpha == 0 && off > 0.12) {
				t.Errorf("%+v, %v events: score %.3f, the oracle has %.3f", c, k, got, want)
			}
		}
	}
	t.Logf("largest difference %.3f", worst)
}

func TestTailReach(t *testing.T) {
	for _, c := range []counts{
		{mean: 1e-6}, {mean: 0.3}, {mean: 80}, {mean: 1e9}, {mean: 4, alpha: 2}, {mean: 1e5, alpha: 0.1},
		{mean: 1, trials: 1e4}, {mean: 5, trials: 10}, {mean: 900, trials: 1000, alpha: 0.5},
	} {
		for _, z := range []float64{-40, -3, -1, 1, 3, 5, 12, 100} {
			x := c.reachFrom(z, 0)
			switch {
			case x == 0.5 && z > 0:
				if got := c.quantile(0.5); got < z {
					t.Errorf("%+v: reach(%v) is half an event, which scores %v", c, z, got)
				}
			case x == 0 && z < 0:
				if got := c.quantile(0.5); got <= z {
					t.Errorf("%+v: reach(%v) is 0, but none scores %v", c, z, got)
				}
			case c.trials > 0 && x >= c.trials*(1-1e-6):
				if got := c.quantile(c.trials); got > z+0.01 {
					t.Errorf("%+v: reach(%v) is all, which scores %v", c, z, got)
				}
			default:
				if got := c.quantile(x); !near(got, z, 5e-3) {
					t.Errorf("%+v: quantile(reach(%v)) = %v at %v", c, z, got, x)
				}
			}
		}
	}
	for _, z := range []float64{0.1, 1, 4, 8, 29.9, 30.1, 33} {
		if got := tailReach(tailLog10(z)); !near(got, z, 1e-6) {
			t.Errorf("tailReach(tailLog10(%v)) = %v", z, got)
		}
	}
}

// TestReachFrom: where the search begins does not matter.
func TestReachFrom(t *testing.T) {
	for _, mean := range []float64{0.01, 0.4, 0.6, 3, 40, 1e4} {
		for _, alpha := range []float64{0, 0.1, 2} {
			for _, trials := range []float64{0, 3 * mean} {
				c := counts{mean: mean, alpha: alpha, trials: trials}
				for _, z := range []float64{-6, -2, 2, 4, 9} {
					want := c.reachFrom(z, 0)
					for _, guess := range []float64{1e-3, 0.5, 0.51, 1.5, mean, 1.01 * want, 30, 1e9} {
						got := c.reachFrom(z, guess)
						if got != want && math.Abs(c.quantile(got)-c.quantile(want)) > 0.01 {
							t.Errorf("%+v, z %v from %v: %v events, want %v", c, z, guess, got, want)
						}
					}
				}
			}
		}
	}
}

func BenchmarkTail(b *testing.B) {
	c := counts{mean: 3, alpha: 0.1}
	b.Run("score", func(b *testing.B) {
		for i := range b.N {
			_ = c.score(float64(i % 20))
		}
	})
	b.Run("reach", func(b *testing.B) {
		for i := range b.N {
			_ = c.reachFrom(4+float64(i%10)/10, 0)
		}
	})
}
