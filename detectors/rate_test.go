package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// poisson draws a number of events; over-dispersed by a Gamma mean of the given alpha.
func poisson(r *rand.Rand, mean, alpha float64) float64 {
	if alpha > 0 {
		mean *= gammaOf(r, 1/alpha) * alpha
	}
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	limit, k := math.Exp(-mean), 0.0
	for p := r.Float64(); p > limit; p *= r.Float64() {
		k++
	}
	return k
}

// gammaOf draws from a Gamma distribution (Marsaglia and Tsang).
func gammaOf(r *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gammaOf(r, shape+1) * math.Pow(r.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	for {
		x := r.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// errorsPerSecond makes rate(errors[window]) of events with the given mean a minute.
func errorsPerSecond(seed uint64, window int, alpha float64, mean func(d time.Duration) float64) func(time.Duration) float64 {
	r := rand.New(rand.NewPCG(seed, 3))
	last := make([]float64, window)
	i := 0
	return func(d time.Duration) float64 {
		last[i%window] = poisson(r, mean(d), alpha)
		i++
		sum := 0.0
		for _, x := range last {
			sum += x
		}
		return sum / float64(60*window)
	}
}

func newRateBank(t testing.TB, event float64, budget string) TrialsBank {
	t.Helper()
	o := Rate.Options().(*RateOptions)
	o.Event = event
	b, err := Rate.New(o, Conditions{Budget: mustBudget(t, budget), Step: minute})
	if err != nil {
		t.Fatal(err)
	}
	return b.(TrialsBank)
}

// TestRateBudget: on stationary counts the nominal budget is kept within a factor of two.
func TestRateBudget(t *testing.T) {
	const weeks, warm, seeds = 6, 2, 2
	for _, c := range []struct {
		name   string
		mean   float64
		window int
		alpha  float64
		wave   float64
		event  bool
	}{
		{"two a day", 0.0014, 1, 0, 0, true}, {"two a day, windows of 5m", 0.0014, 5, 0, 0, true}, {"two an hour", 0.03, 5, 0, 0, true},
		{"one a minute", 1, 1, 0, 0, true}, {"thirty a minute", 30, 1, 0, 0, true},
		{"not told", 0.1, 1, 0, 0, false}, {"bursts", 0.3, 1, 4, 0, true}, {"over-dispersed", 20, 1, 0.3, 0, true},
		{"by day", 0.1, 5, 0, 0.9, true}, {"by day, many", 20, 1, 0, 0.8, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for seed := range uint64(seeds) {
				event := 0.0
				if c.event {
					event = 1 / float64(60*c.window)
				}
				b := newRateBank(t, event, "1 per 7d")
				f := errorsPerSecond(seed, c.window, c.alpha, func(d time.Duration) float64 {
					return c.mean * (1 + c.wave*math.Sin(2*math.Pi*d.Hours()/24))
				})
				s := series((weeks+warm)*10080, minute, f)
				v := play(b, b.Add(), s)
				n += episodesOf(s[warm*10080:], v[warm*10080:])
			}
			if n > 2*weeks*seeds {
				t.Errorf("%d alarms in %d weeks at a budget of one a week", n, weeks*seeds)
			}
			t.Logf("%d alarms in %d weeks", n, weeks*seeds)
		})
	}
}

// TestRateFinds: errors where there were few, and none where there were many.
func TestRateFinds(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, then float64 // a minute
		window       int
		within       int // samples
		up           bool
	}{
		{"few to many", 0.02, 3, 5, 3, true}, {"none to some", 0, 1, 5, 6, true}, {"tenfold", 1, 10, 1, 2, true},
		{"traffic to none", 200, 0, 1, 1, false}, {"few to none", 10, 0, 5, 6, false}, {"doubled", 100, 200, 1, 1, true},
	} {
		b := newRateBank(t, 1/float64(60*c.window), "1 per 30d")
		f := errorsPerSecond(4, c.window, 0, func(d time.Duration) float64 {
			if d >= 6*day {
				return c.then
			}
			return c.before
		})
		s := series(6*1440+60, minute, f)
		v := play(b, b.Add(), s)
		if n := episodesOf(s[2880:6*1440], v[2880:6*1440]); n > 1 {
			t.Errorf("%s: %d alarms in the four days before", c.name, n)
		}
		after := v[6*1440:]
		first := -1
		for i, x := range after {
			if x.Score >= 1 {
				first = i
				break
			}
		}
		if first < 0 || first > c.within {
			t.Errorf("%s: first alarm after %d samples, want at most %d; the highest score is %.2f", c.name, first, c.within, highest(after))
			continue
		}
		x := after[first]
		if x.Up != c.up || x.Kind != KindSpike || x.Onset < s[6*1440].t-60_000 || x.Onset > s[6*1440+first].t {
			t.Errorf("%s: %+v", c.name, x)
		}
	}
}

// TestRateOneError: the first error ever is as rare as the history is long, and
// by itself no news.
func TestRateOneError(t *testing.T) {
	for _, c := range []struct {
		days  int
		most  float64
		least float64
	}{{2, 1, 0.8}, {10, 1, 0.8}, {45, 1, 0.6}} {
		b := newRateBank(t, 1.0/60, "1 per 30d")
		ref := b.Add()
		play(b, ref, series(c.days*1440, minute, func(time.Duration) float64 { return 0 }))
		v := b.Observe(ref, start+int64(c.days)*dayMs, 1.0/60)
		if v.Score > c.most || v.Score < c.least {
			t.Errorf("one error after %d days of none scores %.2f, want %.1f to %.1f", c.days, v.Score, c.least, c.most)
		}
	}
}

// TestRateOf: a share of few trials is not what it is of many.
func TestRateOf(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	b := newRateBank(t, 1.0/60, "1 per 30d")
	ref := b.Add()
	at := int64(start)
	n, last := 0, math.Inf(-1)
	requests := func() float64 { // many by day, few at night
		return poisson(r, 300*(1+0.98*math.Sin(2*math.Pi*float64(at%dayMs)/dayMs)), 0)
	}
	for range 20 * 1440 {
		of := requests()
		v := b.ObserveOf(ref, at, poisson(r, 0.01*of, 0)/60, of/60)
		if of == 0 && !math.IsNaN(v.Score) {
			t.Fatalf("without trials: %+v", v)
		}
		if v.Score >= 1 && at > start+2*dayMs {
			if float64(at)-last > 3600e3 {
				n++
			}
			last = float64(at)
		}
		at += 60_000
	}
	if n > 2 {
		t.Errorf("%d alarms in 18 days at a budget of one in 30, want at most 2", n)
	}
	few := b.ObserveOf(ref, at, 1.0/60, 5.0/60) // 20 %
	if few.Score >= 1 || few.Value != 0.2 || !near(few.Expected, 0.01, 0.003) {
		t.Errorf("one of five failed: %+v", few)
	}
	many := b.ObserveOf(ref, at+60_000, 40.0/60, 400.0/60) // 10 %
	if many.Score < 1 || !many.Up || many.Upper >= 0.1 || many.Upper < 0.01 {
		t.Errorf("40 of 400 failed: %+v", many)
	}
	all := b.ObserveOf(ref, at+120_000, 500.0/60, 400.0/60)
	if all.Value != 1 || all.Score < many.Score {
		t.Errorf("more failed than there were: %+v", all)
	}
}

// TestRateBand: the score is at least 1 outside the band and only there.
func TestRateBand(t *testing.T) {
	for _, of := range []float64{0, 50} {
		b := newRateBank(t, 1, "1 per 1d")
		ref := b.Add()
		r := rand.New(rand.NewPCG(3, 8))
		outside := 0
		for i := range int64(6 * 1440) {
			k := poisson(r, 8, 0)
			if i%200 == 199 {
				k = []float64{0, 17, 21, 25, 30}[i/200%5]
			}
			v := b.Observe(ref, start+i*60_000, k)
			if of > 0 {
				v = b.ObserveOf(ref, start+i*60_000+1, min(k, of), of)
			}
			if math.IsNaN(v.Score) {
				continue
			}
			inside := v.Value >= v.Lower && v.Value <= v.Upper
			if !inside {
				outside++
			}
			if inside != (v.Score < 1) && !near(v.Score, 1, 0.01) {
				t.Fatalf("of %v, sample %d: value %v, band %v to %v, score %v", of, i, v.Value, v.Lower, v.Upper, v.Score)
			}
		}
		if outside < 5 {
			t.Errorf("of %v: only %d values outside the band; the test tests nothing", of, outside)
		}
	}
}

// TestRateOracle compares what is expected with the sums over the whole history.
func TestRateOracle(t *testing.T) {
	b := newRateBank(t, 1, "1 per 7d")
	ref := b.Add()
	r := rand.New(rand.NewPCG(5, 5))
	s := series(4*1440, minute, func(d time.Duration) float64 {
		return poisson(r, 2+math.Sin(2*math.Pi*d.Hours()/24), 0)
	})
	type sums struct{ events, exposure float64 }
	var slots [24]sums
	var values, bases []float64
	for i, p := range s {
		v := b.Observe(ref, p.t, p.v)
		// The overall mean: one exponentially weighted sum over the history.
		var overall sums
		for j := i - 1; j >= 0 && i%97 == 96; j-- {
			w := math.Exp(-float64(i-1-j) * 60 / (30 * 86400))
			overall.events += w * s[j].v
			overall.exposure += w
		}
		if i%60 == 0 && i > 0 { // an hour ended
			h := (i/60 - 1) % 24
			n := 0.0
			for j := i - 60; j < i; j++ {
				n += values[j]
			}
			slots[h] = sums{0.9*slots[h].events + n, 0.9*slots[h].exposure + 60}
		}
		if i%97 == 96 && i > 1440 {
			mean := (overall.events + 1.4) / overall.exposure
			of := func(h int) float64 {
				c := slots[(h+24)%24]
				return (c.events + 10) / (c.exposure + 10/mean)
			}
			h, x := i/60, float64(i%60)/60-0.5
			next := h + 1
			if x < 0 {
				next, x = h-1, -x
			}
			base := (1-x)*of(h%24) + x*of(next%24)
			var level sums
			for j := i - 1; j >= 0; j-- {
				w := math.Exp(-float64(i-1-j) * 60 / 3600)
				level.events += w * values[j]
				level.exposure += w * bases[j]
			}
			want := base * (level.events + 10) / (level.exposure + 10)
			if !near(v.Expected, want, 0.02) {
				t.Fatalf("sample %d: expected %v, the oracle has %v", i, v.Expected, want)
			}
		}
		m := b.(*bank[rateState]).model.(*rateModel)
		x := rateSample{tick: tick{t: p.t, dt: 60}, value: p.v, event: 1, share: 1}
		st := b.(*bank[rateState]).state(ref)
		m.expect(st, &x)
		values, bases = append(values, p.v), append(bases, x.base)
	}
}

func TestRateOptions(t *testing.T) {
	for _, o := range []*RateOptions{
		{Event: -1, ProfileAlpha: 0.1, Level: time.Hour, Overall: day}, {Event: math.NaN(), ProfileAlpha: 0.1, Level: time.Hour, Overall: day},
		{ProfileAlpha: 0, Level: time.Hour, Overall: day}, {ProfileAlpha: 0.1, Level: 0, Overall: day}, {ProfileAlpha: 0.1, Level: time.Hour},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is taken", *o)
		}
	}
}

// TestRateScale: the scores do not depend on the unit of the counts.
func TestRateScale(t *testing.T) {
	base := series(3*1440, minute, errorsPerSecond(2, 5, 0, func(time.Duration) float64 { return 0.3 }))
	want := judge(t, Rate, "1 per 7d", minute, base)
	for _, factor := range []float64{1e-3, 1024} {
		s := make([]point, len(base))
		for i, p := range base {
			s[i] = point{p.t, p.v * factor}
		}
		// How much evidence overlaps is not known the same way, so that only what is expected agrees.
		for i, got := range judge(t, Rate, "1 per 7d", minute, s) {
			if i > 1440 && !near(got.Expected, want[i].Expected*factor, 0.3) {
				t.Fatalf("factor %v, sample %d: expected %v, want %v", factor, i, got.Expected, want[i].Expected*factor)
			}
		}
	}
}

// TestRateHold: an outage stays visible while held, and is accepted at its end.
func TestRateHold(t *testing.T) {
	b := newRateBank(t, 1.0/60, "1 per 30d")
	ref := b.Add()
	r := rand.New(rand.NewPCG(6, 8))
	at := int64(start)
	next := func(mean float64) Verdict {
		at += 60_000
		return b.Observe(ref, at, poisson(r, mean, 0)/60)
	}
	for range 5 * 1440 {
		next(20)
	}
	before := next(20).Expected
	for range 10 {
		next(80)
	}
	b.Hold(ref, at-9*60_000)
	n := 0
	for range 360 {
		v := next(80)
		if v.Score >= 1 {
			n++
		}
		if !near(v.Expected, before, 0.15) || v.Doubts&DoubtHeld == 0 {
			t.Fatalf("held: %+v, expected before: %v", v, before)
		}
	}
	if n < 350 {
		t.Errorf("anomalous in %d of 360 samples of a held outage", n)
	}
	b.Release(ref, true)
	n = 0
	for i := range 1440 {
		v := next(80)
		if v.Score >= 1 {
			n++
		}
		if i == 0 && !near(v.Expected, 80.0/60, 0.2) {
			t.Errorf("expected %v right after 80 a minute were accepted", v.Expected)
		}
	}
	if n > 5 {
		t.Errorf("%d alarms on the day after the new level was accepted", n)
	}
}
