package detectors

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// standardised makes s values of different tails.
var standardised = map[string]func(r *rand.Rand) float64{
	"gauss":  func(r *rand.Rand) float64 { return math.Abs(r.NormFloat64()) },
	"pareto": func(r *rand.Rand) float64 { return math.Pow(r.Float64(), -0.4) },
	"rare": func(r *rand.Rand) float64 {
		if r.Float64() < 0.001 {
			return 1000 * r.Float64()
		}
		return 0
	},
	"zero": func(*rand.Rand) float64 { return 0 },
}

// slowEpisodes is the calibrator by its definition: it cuts the whole history
// into episodes, and takes level and tail from their list.
func slowEpisodes(ticks []tick, s []float64) (level, shape float64, closed int) {
	type episode struct {
		peak          float64
		opened, above int64
		faded         int64 // when habits faded last before its end
	}
	var list []episode // closed
	var running *episode
	var tails, weights []float64
	level = firstLevel
	faded := int64(0)
	// late is how many episodes as large there were of late.
	late := func(peak float64) (n float64) {
		for _, o := range list {
			as := 1.0
			if o.peak >= 2 && o.peak < 512 {
				as = min(1, max(0, math.Floor(math.Log2(o.peak/2))+1-math.Log2(peak/2)+0.5))
			}
			n += as * math.Exp(-float64(faded-o.faded)/(7*86400e3))
		}
		return n
	}
	eta := func() float64 { return max(0.03, 0.5/(1+min(60, float64(len(list))))) }
	hill := func() float64 {
		h := firstTail
		for i := range tails {
			n := min(60, float64(i+1))
			h = h*(1-weights[i]/n) + tails[i]*weights[i]/n
		}
		n := min(60, float64(len(tails)))
		return (n*h + 30*0.4) / (n + 30)
	}
	for i, k := range ticks {
		quiet := int64(max(3600, 3*k.usual) * 1000)
		if running != nil && (k.gap || k.t > running.above+quiet || k.t > running.opened+4*quiet) {
			h := hill()
			w := 1.0
			running.faded = faded
			list = append(list, *running)
			if math.Log10(running.peak/level)/h-math.Log10(7) > 0.3 && late(running.peak) <= 4 {
				w = 0.3
			}
			tails = append(tails, max(0, min(math.Log(running.peak)-math.Log(level), 4*h)))
			weights = append(weights, w)
			level *= 1 + max(0.03, 0.5/(1+min(60, float64(len(list)-1))))
			running = nil
		}
		if k.t-faded >= 7*86400e3/64 {
			faded = k.t
		}
		level = max(1, level*(1-eta()*7*k.dt/(7*86400)))
		if s[i] > level {
			if running == nil {
				running = &episode{opened: k.t}
			}
			running.peak = max(running.peak, s[i])
			running.above = k.t
		}
	}
	return level, hill(), len(list)
}

func TestEpisodesOracle(t *testing.T) {
	for name, f := range standardised {
		for _, n := range []int{1, 50, 3000, 40_000} {
			for _, step := range []float64{15, 60, 3600} {
				r := rand.New(rand.NewPCG(uint64(n), uint64(step)))
				e := newEpisodes(math.Log(step))
				ticks := make([]tick, n)
				s := make([]float64, n)
				at := int64(start)
				for i := range ticks {
					d := step
					if r.IntN(500) == 0 {
						d *= 10
					}
					at += int64(1000 * d)
					ticks[i] = tick{t: at, dt: min(d, 3*step), usual: step, distance: d, gap: d > 3*step}
					s[i] = f(r)
					e.learn(s[i], ticks[i], math.Log(ticks[i].dt), gain(ticks[i].dt, spacingMemory))
				}
				level, shape, closed := slowEpisodes(ticks, s)
				if !near(e.level, level, 1e-6) || !near(e.shape(), shape, 1e-5) || e.count != min(60, float64(closed)) {
					t.Errorf("%s, %d samples at %g s: level %v, shape %v, %v episodes; the oracle has %v, %v, %d",
						name, n, step, e.level, e.shape(), e.count, level, shape, closed)
				}
			}
		}
	}
}

func TestEpisodesInverse(t *testing.T) {
	e := newEpisodes(0)
	for _, w := range []float64{-3.8, -2, -1, -0.845, -0.5, 0, 0.6, 3, 12} {
		if got := e.weeks(e.reach(w)); !near(got, w, 1e-6) {
			t.Errorf("weeks(reach(%v)) = %v", w, got)
		}
	}
	for _, span := range []float64{0.001, 0.1, 0.5, 1, 10, 100} {
		terms := newScoring(mustBudget(t, "1 per 7d")).terms(span)
		if got := terms.score(terms.need()); !near(got, 1, 1e-9) {
			t.Errorf("span %v weeks: the score at need() is %v, want 1", span, got)
		}
	}
}

// TestEpisodeRate: on stationary input the level is exceeded about as often as
// it is tracked to.
func TestEpisodeRate(t *testing.T) {
	for name, f := range standardised {
		if name == "zero" || name == "rare" {
			continue
		}
		r := rand.New(rand.NewPCG(5, 5))
		e := newEpisodes(math.Log(60))
		episodes, above := 0.0, false
		const weeks = 40
		for i := range weeks * 7 * 1440 {
			at := int64(i) * 60_000
			e.learn(f(r), tick{t: at, dt: 60, usual: 60, distance: 60}, math.Log(60), gain(60, spacingMemory))
			if i > 4*7*1440 {
				if e.peak > 0 && !above {
					episodes++
				}
				above = e.peak > 0
			}
		}
		if rate := episodes / (weeks - 4); rate < 0.7*episodeRate || rate > 1.4*episodeRate {
			t.Errorf("%s: %.1f episodes a week, want about %v", name, rate, episodeRate)
		}
	}
}

// slowScale is the scale by its definition over the whole history.
func slowScale(abs, dt []float64, tau float64, fast float64) (clipped, raw, quick float64) {
	mean := func(x []float64, tau float64) float64 {
		w := make([]float64, len(x))
		left := 0.0 // time from sample i to now, in time constants
		for i := len(x) - 1; i >= 0; i-- {
			w[i] = (1 - math.Exp(-dt[i]/tau)) * math.Exp(-left)
			left += dt[i] / tau
		}
		return stat.Mean(x, w)
	}
	bounded := make([]float64, 0, len(abs))
	for i, a := range abs {
		limit := math.Inf(1)
		if i >= clipAfter {
			limit = 6 * 1.2533 * max(mean(bounded, tau), 0.1*mean(abs[:i], tau), 0.3*mean(abs[:i], fast))
		}
		bounded = append(bounded, min(a, limit))
	}
	return mean(bounded, tau), mean(abs, tau), mean(abs, fast)
}

func TestScaleOracle(t *testing.T) {
	for name, f := range standardised {
		for _, n := range []int{1, 2, 40, 700} {
			r := rand.New(rand.NewPCG(uint64(n), 2))
			var s scale
			var abs, dt []float64
			for i := range n {
				d := []float64{5, 60, 60, 180}[r.IntN(4)]
				a := f(r)
				limit := math.Inf(1)
				if i >= clipAfter {
					limit = clipSigmas * s.sigma(fastShare)
				}
				s.learn(a, limit, gain(d, 86400), gain(d, 7200))
				abs, dt = append(abs, a), append(dt, d)
			}
			clipped, raw, quick := slowScale(abs, dt, 86400, 7200)
			got, want := []float64{s.clipped, s.raw, s.fast}, []float64{clipped, raw, quick}
			if !floats.EqualApprox(got, want, 1e-7*(1+raw)) {
				t.Errorf("%s, %d samples: clipped, raw, fast = %v, the oracle has %v", name, n, got, want)
			}
		}
	}
}

// TestScaleGauss: the scale of Gaussian residuals is their standard deviation.
func TestScaleGauss(t *testing.T) {
	f := noise(4, 0, 7)
	var s scale
	for range 20_000 {
		s.learn(math.Abs(f(0)), clipSigmas*max(7, s.sigma(fastShare)), gain(60, 86400), gain(60, 7200))
	}
	if got := s.sigma(fastShare); !near(got, 7, 0.05) {
		t.Errorf("scale = %v, want about 7", got)
	}
}
