package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// start is a Monday, in Unix milliseconds.
const start = 1_700_438_400_000

// point is one sample of a made series.
type point struct {
	t int64
	v float64
}

// series makes n samples, step apart, of f(time since start).
func series(n int, step time.Duration, f func(d time.Duration) float64) []point {
	out := make([]point, n)
	for i := range out {
		d := time.Duration(i) * step
		out[i] = point{start + d.Milliseconds(), f(d)}
	}
	return out
}

// noise makes Gaussian values.
func noise(seed uint64, mean, sd float64) func(time.Duration) float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(time.Duration) float64 { return mean + sd*r.NormFloat64() }
}

// daily makes a daily wave with Gaussian noise.
func daily(seed uint64, mean, amplitude, sd float64) func(time.Duration) float64 {
	n := noise(seed, 0, sd)
	return func(d time.Duration) float64 {
		return mean + amplitude*math.Sin(2*math.Pi*d.Hours()/24) + n(d)
	}
}

func mustBudget(t testing.TB, s string) Budget {
	t.Helper()
	b, err := ParseBudget(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newBank(t testing.TB, d Detector, budget string, step time.Duration) Bank {
	t.Helper()
	b, err := d.New(d.Options(), Conditions{Budget: mustBudget(t, budget), Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// play gives a bank's state a series and returns the verdicts.
func play(b Bank, ref Ref, s []point) []Verdict {
	out := make([]Verdict, len(s))
	for i, p := range s {
		out[i] = b.Observe(ref, p.t, p.v)
	}
	return out
}

// judge plays a series through a fresh state.
func judge(t testing.TB, d Detector, budget string, step time.Duration, s []point) []Verdict {
	t.Helper()
	b := newBank(t, d, budget, step)
	return play(b, b.Add(), s)
}

// alarms counts the samples with a score of at least 1.
func alarms(v []Verdict) int {
	n := 0
	for _, x := range v {
		if x.Score >= 1 {
			n++
		}
	}
	return n
}

// episodesOf counts the alarms that begin after at least an hour of quiet.
func episodesOf(s []point, v []Verdict) int {
	n, last := 0, int64(math.MinInt64/2)
	for i, x := range v {
		if x.Score >= 1 {
			if s[i].t-last > 3600_000 {
				n++
			}
			last = s[i].t
		}
	}
	return n
}

func near(a, b, tolerance float64) bool {
	return a == b || (math.IsNaN(a) && math.IsNaN(b)) || math.Abs(a-b) <= tolerance*max(1, math.Abs(a), math.Abs(b))
}
