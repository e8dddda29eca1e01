package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// battery are natures of series in which nothing happens, by seed.
var battery = map[string]func(r *rand.Rand) func(time.Duration) float64{
	"Gaussian": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 { return 100 + r.NormFloat64() }
	},
	"heavy tail, t of 3": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 {
			square := 0.0
			for range 3 {
				x := r.NormFloat64()
				square += x * x
			}
			return 100 + r.NormFloat64()/math.Sqrt(square/3)
		}
	},
	"lognormal": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 { return math.Exp(r.NormFloat64()) }
	},
	"autoregressive": func(r *rand.Rand) func(time.Duration) float64 {
		x := 0.0
		return func(time.Duration) float64 { x = 0.9*x + r.NormFloat64(); return 100 + x }
	},
	"daily wave": func(r *rand.Rand) func(time.Duration) float64 {
		return func(at time.Duration) float64 {
			return 100 + 40*math.Sin(2*math.Pi*at.Hours()/24) + 3*r.NormFloat64()
		}
	},
	"zero-inflated": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 {
			if r.Float64() < 0.02 {
				return 1 + r.ExpFloat64()
			}
			return 0
		}
	},
	"counts": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 { return poisson(r, 4, 0) }
	},
	"whole numbers": func(r *rand.Rand) func(time.Duration) float64 {
		return func(time.Duration) float64 { return math.Round(20 + 0.6*r.NormFloat64()) }
	},
}

// TestBatteryBudgets: pooled over series of a nature, alarms are at most twice
// those that the budget in force allows, after the first two days. Sparse events
// over zero have no scale at first: there it is seven times, and rate is for them.
func TestBatteryBudgets(t *testing.T) {
	t.Parallel()
	const series, days, step, from = 6, 35, 5 * time.Minute, 2
	for _, d := range []Detector{EWMA, LevelShift, Rate, Seasonality, Spike} {
		for name, nature := range battery {
			for _, budget := range []string{"1 per 1d", "1 per 7d", "1 per 30d"} {
				period := mustBudget(t, budget).Period().Hours() / 24
				n, expected := 0, 0.0
				for seed := range uint64(series) {
					f := nature(rand.New(rand.NewPCG(seed, 77)))
					s := seriesOf(days, step, f)
					v := judge(t, d, budget, step, s)
					skip := from * int(24*time.Hour/step)
					n += episodesOf(s[skip:], v[skip:])
					for day := float64(from); day < days; day++ {
						expected += 1 / min(period, day+0.5)
					}
				}
				// A Poisson count is beyond its mean by 2.5 deviations once in 160.
				times := 2.0
				if name == "zero-inflated" && d.Name != Rate.Name {
					times = 7
				}
				if most := times*expected + 2.5*math.Sqrt(times*expected); float64(n) > most {
					t.Errorf("%s, %s, %s: %d alarms where %.1f are allowed", d.Name, name, budget, n, expected)
				}
			}
		}
	}
}

func seriesOf(days int, step time.Duration, f func(time.Duration) float64) []point {
	return series(days*int(24*time.Hour/step), step, f)
}
