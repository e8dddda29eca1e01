package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// sawtooth grows by 3 an hour, and starts again after 10 to 60 hours.
func sawtooth(seed uint64) func(time.Duration) float64 {
	r := rand.New(rand.NewPCG(seed, 9))
	next, from := 0.0, 0.0
	return func(d time.Duration) float64 {
		if h := d.Hours(); h >= next {
			from, next = h, h+10+50*r.Float64()
		}
		return 100 + 3*(d.Hours()-from) + 2*r.NormFloat64()
	}
}

// leaking adds by an hour to f from some time on.
func leaking(f func(time.Duration) float64, from time.Duration, by float64) func(time.Duration) float64 {
	return func(d time.Duration) float64 { return f(d) + by*max(0, (d-from).Hours()) }
}

func TestTrend(t *testing.T) {
	fault := 12*day + 6*time.Hour
	before, all := 0, 0
	for _, c := range []struct {
		name   string
		f      func(time.Duration) float64
		fires  bool
		up     bool
		within time.Duration
	}{
		{"leak", leaking(noise(1, 100, 2), fault, 3), true, true, 4 * time.Hour},
		{"slow leak", leaking(noise(2, 100, 2), fault, 1), true, true, 8 * time.Hour},
		{"fall", leaking(noise(3, 100, 2), fault, -3), true, false, 4 * time.Hour},
		{"leak on a daily wave", leaking(daily(4, 100, 30, 2), fault, 3), true, true, 5 * time.Hour},
		{"leak on what grows", leaking(leaking(noise(5, 0, 2), 0, 4), fault, 3), true, true, 4 * time.Hour},
		{"leak of a constant", leaking(noise(6, 100, 0), fault, 0.1), true, true, 6 * time.Hour},
		{"stairs on a constant", func(d time.Duration) float64 { return math.Floor(max(0, (d - fault).Hours())) }, true, true, 8 * time.Hour},
		{"noise", noise(7, 100, 2), false, false, 0},
		{"daily wave", daily(8, 100, 50, 2), false, false, 0},
		{"office days", func() func(time.Duration) float64 {
			n := noise(9, 0, 2)
			return func(d time.Duration) float64 {
				a := 50.0
				if int(d/day)%7 >= 5 {
					a = 48
				}
				return 100 + a*math.Sin(2*math.Pi*d.Hours()/24) + n(d)
			}
		}(), false, false, 0},
		{"constant", noise(10, 100, 0), false, false, 0},
		{"steady growth", leaking(noise(11, 0, 2), 0, 10), false, false, 0},
		{"counter without noise", leaking(noise(12, 1e9, 0), 0, 1e6), false, false, 0},
		{"step", func() func(time.Duration) float64 {
			n := noise(13, 100, 2)
			return func(d time.Duration) float64 {
				if d >= fault {
					return n(d) + 40
				}
				return n(d)
			}
		}(), false, false, 0},
		{"outage of three hours", func() func(time.Duration) float64 {
			n := noise(14, 100, 2)
			return func(d time.Duration) float64 {
				if d >= fault && d < fault+3*time.Hour {
					return n(d) - 60
				}
				return n(d)
			}
		}(), false, false, 0},
		{"spikes", func() func(time.Duration) float64 {
			n := noise(15, 100, 2)
			return func(d time.Duration) float64 {
				if d >= fault && d%(40*minute) < 3*minute {
					return n(d) * 5
				}
				return n(d)
			}
		}(), false, false, 0},
	} {
		s := series(int((fault+12*time.Hour)/minute), minute, c.f)
		v := judge(t, Trend, "1 per 30d", minute, s)
		n := int(fault / minute)
		all++
		before += episodesOf(s[6*1440:n], v[6*1440:n])
		i := slices.IndexFunc(v[n:], func(x Verdict) bool { return x.Score >= 1 })
		if (i >= 0) != c.fires || i > int(c.within/minute) {
			t.Errorf("%s: first alarm after %d minutes, want %v within %v; the highest %.2f", c.name, i, c.fires, c.within, highest(v[n:]))
		}
		if i < 0 || !c.fires {
			continue
		}
		at := v[n+i]
		if off := time.Duration(at.Onset-s[n].t) * time.Millisecond; at.Up != c.up || at.Kind != KindTrend || off < -2*time.Hour || off > 3*time.Hour {
			t.Errorf("%s: onset off by %v: %+v", c.name, off, at)
		}
		if late := v[len(v)-60]; late.Score < 1 || late.Onset < s[n].t-2*3600_000 {
			t.Errorf("%s: at the end %+v", c.name, late)
		}
	}
	// A short history is promised one alarm in its own span: ln(12/6) in these days.
	if before > all {
		t.Errorf("%d alarms before the fault in %d series", before, all)
	}
}

// TestTrendEcho: a leak and its end are no trend of the days after.
func TestTrendEcho(t *testing.T) {
	echoes := 0
	for seed := range uint64(8) {
		n := noise(seed, 100, 2)
		s := series(16*1440, minute, func(d time.Duration) float64 {
			if h := (d - 12*day).Hours(); h > 0 && h < 12 {
				return n(d) + 3*h
			}
			return n(d)
		})
		v := judge(t, Trend, "1 per 30d", minute, s)
		if k := alarms(v[12*1440 : 12*1440+720]); k < 400 {
			t.Errorf("seed %d: the leak is seen for %d minutes", seed, k)
		}
		echo := v[12*1440+720+360:] // when the window has left it
		echoes += episodesOf(s[:len(echo)], echo)
		if top := highest(echo); top > 1.5 {
			t.Errorf("seed %d: its echo scores %.2f", seed, top)
		}
	}
	if echoes > 3 { // of which chance has its part
		t.Errorf("%d alarms after 8 leaks", echoes)
	}
}

// TestTrendLimit: with a limit, what reaches it in time counts, and when.
func TestTrendLimit(t *testing.T) {
	fault := 12 * day
	for _, c := range []struct {
		name          string
		from, by      float64 // an hour
		limit         float64
		within        time.Duration
		after, before time.Duration // of the first alarm; 0 = none
	}{
		{"fills up", 100, 3, 160, day, time.Hour, 4 * time.Hour},
		{"fills up, not yet", 100, 3, 160, 4 * time.Hour, 15 * time.Hour, 17 * time.Hour},
		{"runs empty", 100, -3, 0, day, 8 * time.Hour, 13 * time.Hour},
		{"far from it", 100, 3, 1000, day, 0, 0},
		{"away from it", 100, -3, 160, day, 0, 0},
		{"no leak", 155, 0, 160, day, 0, 0},
	} {
		o := Trend.Options().(*TrendOptions)
		o.Limit, o.Within = c.limit, c.within
		b, err := Trend.New(o, Conditions{Budget: mustBudget(t, "1 per 30d"), Step: minute})
		if err != nil {
			t.Fatal(err)
		}
		ref := b.Add()
		end := 18 * time.Hour
		s := series(int((fault+end)/minute), minute, leaking(noise(3, c.from, 2), fault, c.by))
		v := play(b, ref, s)
		n := int(fault / minute)
		i := slices.IndexFunc(v[n:], func(x Verdict) bool { return x.Score >= 1 })
		if at := time.Duration(i) * minute; (i >= 0) != (c.before > 0) || (i >= 0 && (at < c.after || at > c.before)) {
			t.Errorf("%s: first alarm after %v, want %v to %v", c.name, at, c.after, c.before)
		}
		if c.before == 0 {
			continue
		}
		truth := s[n].t + int64((c.limit-c.from)/c.by*3600_000)
		hits, all := 0, 0
		for k := n + 8*60; k < n+16*60; k++ {
			x := v[k]
			all++
			if x.Earliest <= truth && truth <= x.Latest && float64(x.Latest-x.Earliest) < 0.8*float64(truth-s[k].t) {
				hits++
			}
			if up := c.by > 0; finite(x.Lower) == up || finite(x.Upper) != up {
				t.Fatalf("%s: %+v", c.name, x)
			}
		}
		if hits < all*7/10 {
			t.Errorf("%s: %d of %d intervals hold the time of exhaustion, and are shorter than 0.8 times what is left", c.name, hits, all)
		}
	}
}

// TestTrendBudget: without a trend the nominal budget is kept within a factor of two.
func TestTrendBudget(t *testing.T) {
	for name, f := range map[string]func(uint64) func(time.Duration) float64{
		"gauss":    func(seed uint64) func(time.Duration) float64 { return noise(seed, 100, 5) },
		"daily":    func(seed uint64) func(time.Duration) float64 { return daily(seed, 100, 50, 5) },
		"sawtooth": sawtooth,
		"walk": func(seed uint64) func(time.Duration) float64 {
			g, w := noise(seed, 0, 0.3), 0.0
			return func(d time.Duration) float64 { w += g(d) - 0.003*w; return w }
		},
	} {
		n := 0
		for seed := range uint64(8) {
			s := series(35*288, 5*minute, f(seed))
			v := judge(t, Trend, "1 per 7d", 5*minute, s)
			n += episodesOf(s[7*288:], v[7*288:])
		}
		if n > 2*32 {
			t.Errorf("%s: %d alarms in 32 weeks at a budget of one a week", name, n)
		}
	}
}

// TestTrendOracle computes each slope from the whole history.
func TestTrendOracle(t *testing.T) {
	const slot = 30 * 60_000
	b := newBank(t, Trend, "1 per 7d", minute)
	ref := b.Add()
	f := daily(3, 100, 30, 5)
	s := series(8*1440, minute, leaking(f, 6*day, 2))
	s = append(slices.Clone(s[:4000]), s[4200:]...)
	value := map[int64]float64{} // of each block
	parts := map[int64][][]float64{}
	var size []float64
	last := s[0].t / slot
	for i, p := range s {
		n := p.t / slot
		if n != last {
			var means []float64
			filled := 0
			for _, part := range parts[last] {
				filled += len(part)
				if len(part) > 0 {
					means = append(means, mean(part))
				}
			}
			if filled >= 15 {
				value[last] = float64(float32(middle(means) - s[0].v))
			}
			one, ok1 := slowSlope(value, last, 48)
			two, ok2 := slowSlope(value, last, 96)
			slope, ok := one, ok1 || ok2
			if !ok1 || (ok2 && math.Abs(two) < math.Abs(one)) {
				slope = two
			}
			if ok1 && ok2 && one*two <= 0 {
				slope = 0
			}
			got := b.Observe(ref, p.t, p.v)
			if ok && len(size) >= 48 && got.Doubts&DoubtAfterGap == 0 {
				if want := s[0].v + value[last] - 12*slope; !near(got.Expected, want, 1e-9) {
					t.Fatalf("sample %d: expected %v, the oracle has %v", i, got.Expected, want)
				}
				state := b.(*bank[trendState]).state(ref)
				if len(size) == 48 { // nothing is clipped yet: a plain weighted mean
					var dts []float64
					for range size {
						dts = append(dts, 1800)
					}
					dts = append(dts, 1800)
					_, raw, _ := slowScale(append(size, math.Abs(slope)/1800), dts, 28*86400, 7200)
					if got := state.scale.sigma(0); !near(got, 1.2533*raw, 1e-9) {
						t.Fatalf("sample %d: scale %v, the oracle has %v", i, got, 1.2533*raw)
					}
				}
			}
			if ok {
				size = append(size, math.Abs(slope)/1800)
			}
			last = n
		} else {
			b.Observe(ref, p.t, p.v)
		}
		if parts[n] == nil {
			parts[n] = make([][]float64, 5)
		}
		part := (p.t - n*slot) * 5 / slot
		parts[n][part] = append(parts[n][part], p.v)
	}
	if len(size) < 200 {
		t.Errorf("only %d slopes are compared", len(size))
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func middle(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// slowSlope is the slope per block over the twelve blocks up to last.
func slowSlope(value map[int64]float64, last, before int64) (float64, bool) {
	var at []int
	var y []float64
	for i := range 12 {
		n := last - 11 + int64(i)
		now, ok1 := value[n]
		was, ok2 := value[n-before]
		if ok1 && ok2 {
			at, y = append(at, i), append(y, now-was)
		}
	}
	if len(y) < 9 || at[len(at)-1] != 11 {
		return 0, false
	}
	var by, off []float64
	for i := 1; i < len(y); i++ {
		by = append(by, y[i]-y[i-1])
	}
	usual := middle(by)
	for _, d := range by {
		off = append(off, math.Abs(d-usual))
	}
	limit := 6 * middle(off)
	if limit == 0 {
		limit = 6 * mean(off)
	}
	for i, d := range by {
		if math.Abs(d-usual) > limit {
			d = usual
		}
		y[i+1] = y[i] + d
	}
	var slopes []float64
	for i := range y {
		for j := range i {
			if lag := at[i] - at[j]; lag >= 2 && lag <= 4 {
				slopes = append(slopes, (y[i]-y[j])/float64(lag))
			}
		}
	}
	return middle(slopes) * math.Sqrt(float64(len(slopes))/27), true
}

// TestTrendUnits: the scores do not depend on the unit of a series.
func TestTrendUnits(t *testing.T) {
	base := series(8*1440, minute, leaking(daily(1, 100, 30, 5), 7*day, 3))
	want := judge(t, Trend, "1 per 7d", minute, base)
	for _, c := range []struct{ factor, shift float64 }{{1e6, 0}, {1e-6, 0}, {-3, 0}, {1, 1e6}, {7, 1e4}} {
		s := make([]point, len(base))
		for i, p := range base {
			s[i] = point{p.t, p.v*c.factor + c.shift}
		}
		for i, got := range judge(t, Trend, "1 per 7d", minute, s) {
			if e := want[i].Expected*c.factor + c.shift; !near(got.Score, want[i].Score, 1e-3) || !near(got.Expected, e, 1e-4) {
				t.Errorf("%v: sample %d: score %v, expected %v; want %v, %v", c, i, got.Score, got.Expected, want[i].Score, e)
				break
			}
		}
	}
}

// TestTrendHold: a held leak is no reference for the next days, and teaches nothing.
func TestTrendHold(t *testing.T) {
	for _, accept := range []bool{false, true} {
		b := newBank(t, Trend, "1 per 30d", minute)
		ref := b.Add()
		f := leaking(noise(1, 100, 2), 12*day, 3)
		play(b, ref, series(12*1440, minute, f))
		sigma := b.(*bank[trendState]).state(ref).scale.sigma(0)
		var seen int
		var last Verdict
		for i := range 36 * 60 {
			d := 12*day + time.Duration(i)*minute
			last = b.Observe(ref, start+d.Milliseconds(), f(d))
			if last.Score >= 1 {
				seen++
				b.Hold(ref, last.Onset)
			}
		}
		if seen < 30*60 || last.Doubts&DoubtHeld == 0 || last.Score < 2 {
			t.Errorf("held: seen for %d minutes, at last %+v", seen, last)
		}
		if got := b.(*bank[trendState]).state(ref).scale.sigma(0); !near(got, sigma, 0.05) {
			t.Errorf("held: scale %v, before %v", got, sigma)
		}
		b.Release(ref, accept)
		n := 0
		for i := range 24 * 60 {
			d := 13*day + 12*time.Hour + time.Duration(i)*minute
			if v := b.Observe(ref, start+d.Milliseconds(), f(d)); v.Score >= 1 {
				n++
			}
		}
		if (accept && n > 120) || (!accept && n < 600) {
			t.Errorf("accepted %v: %d minutes of alarm on the day after", accept, n)
		}
	}
}

// TestTrendHourly: a window has fewer blocks where values are rare.
func TestTrendHourly(t *testing.T) {
	s := series(30*24, time.Hour, leaking(daily(1, 100, 30, 2), 28*day, 6))
	v := judge(t, Trend, "1 per 30d", time.Hour, s)
	if n := alarms(v[:28*24]); n > 0 {
		t.Errorf("%d alarms before", n)
	}
	if n := alarms(v[28*24 : 28*24+10]); n == 0 {
		t.Errorf("a leak is not seen within ten hours, the highest %.2f", highest(v[28*24:]))
	}
}

func TestTrendOptions(t *testing.T) {
	bad := &TrendOptions{Window: time.Hour, Scale: 0, Within: 0, Limit: math.NaN()}
	for _, want := range []string{"window is 1h0m0s; it must be between 5h and 72h", "scale is 0s", "within is 0s", "limit is NaN"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
	if _, err := Trend.New(Trend.Options(), Conditions{Budget: DefaultBudget(), Step: 3 * time.Hour}); err == nil || !strings.Contains(err.Error(), "set a longer window") {
		t.Errorf("a step of three hours: error %v", err)
	}
	for _, window := range []time.Duration{5 * time.Hour, 5*time.Hour + 20*minute, 7*time.Hour + 13*minute, day, 72 * time.Hour} {
		o := Trend.Options().(*TrendOptions)
		o.Window = window
		m, err := newTrend(o, Conditions{Budget: DefaultBudget(), Step: minute})
		if err != nil {
			t.Fatal(err)
		}
		if m := m.(*trendModel); 2*m.calendar.slots+m.count > maxBlocks || m.count < 10 {
			t.Errorf("window %v: %d blocks a day, %d in a window", window, m.calendar.slots, m.count)
		}
	}
}
