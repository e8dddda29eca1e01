package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Habits of reporting. Days begin at midnight UTC on a Monday.
var reporting = map[string]func(r *rand.Rand, d time.Duration) float64{
	"always": func(r *rand.Rand, d time.Duration) float64 { return 100 + r.NormFloat64() },
	"missing now and then": func(r *rand.Rand, d time.Duration) float64 {
		if r.Float64() < 0.02 {
			return math.NaN()
		}
		return 5
	},
	"sparse": func(r *rand.Rand, d time.Duration) float64 {
		if r.Float64() < 0.02 {
			return 1
		}
		return 0
	},
	"working hours": func(r *rand.Rand, d time.Duration) float64 {
		if h := int(d.Hours()) % 24; h >= 8 && h < 18 && int(d.Hours())/24%7 < 5 && r.Float64() < 0.9 {
			return 20
		}
		return 0
	},
	"one batch a night": func(r *rand.Rand, d time.Duration) float64 {
		if int(d.Minutes())%1440 < 30 {
			return 7
		}
		return math.NaN()
	},
	"half of the time by chance": func(r *rand.Rand, d time.Duration) float64 {
		if r.Float64() < 0.5 {
			return 1
		}
		return math.NaN()
	},
}

func TestSilenceBudget(t *testing.T) {
	const weeks, warm, seeds = 8, 2, 3
	for name, f := range reporting {
		n := 0
		for seed := range uint64(seeds) {
			r := rand.New(rand.NewPCG(seed, 4))
			s := series((weeks+warm)*10080, minute, func(d time.Duration) float64 { return f(r, d) })
			v := judge(t, Silence, "1 per 7d", minute, s)
			n += episodesOf(s[warm*10080:], v[warm*10080:])
		}
		if n > 2*weeks*seeds {
			t.Errorf("%s: %d alarms in %d weeks at a budget of one a week", name, n, weeks*seeds)
		}
		t.Logf("%s: %d alarms in %d weeks", name, n, weeks*seeds)
	}
}

func TestSilenceFinds(t *testing.T) {
	for _, c := range []struct {
		habit  string
		at     time.Duration // time of the day
		value  float64
		within int // minutes
		kind   SilenceKind
	}{
		{"always", 3 * time.Hour, 0, 5, SilenceZero}, {"always", 3 * time.Hour, math.NaN(), 5, SilenceMissing},
		{"missing now and then", 3 * time.Hour, math.NaN(), 12, SilenceMissing},
		{"working hours", 12 * time.Hour, 0, 30, SilenceZero},
		{"half of the time by chance", 9 * time.Hour, math.NaN(), 120, SilenceMissing},
	} {
		r := rand.New(rand.NewPCG(9, 9))
		from := 16*day + c.at // a Wednesday
		s := series(int((from+12*time.Hour)/minute), minute, func(d time.Duration) float64 {
			if d >= from {
				return c.value
			}
			return reporting[c.habit](r, d)
		})
		v := judge(t, Silence, "1 per 30d", minute, s)
		n := int(from / minute)
		first := -1
		for i, x := range v[n:] {
			if x.Score >= 1 {
				first = i
				break
			}
		}
		if first < 0 || first > c.within {
			t.Errorf("%s, %v: first alarm after %d minutes, want at most %d", c.habit, c.value, first, c.within)
			continue
		}
		x := v[n+first]
		if x.Kind != KindSilence || x.Silence != c.kind || x.Up || x.Onset > s[n].t || x.Onset < s[n].t-20*60_000 {
			t.Errorf("%s, %v: %+v, silent since %d", c.habit, c.value, x, s[n].t)
		}
		if last := v[len(v)-1]; c.habit != "working hours" && last.Score < x.Score {
			t.Errorf("%s, %v: after twelve hours of silence the score is %v, less than %v at first", c.habit, c.value, last.Score, x.Score)
		}
	}
}

// TestSilenceOracle compares the missed reports with the definition: shares of
// the hours over the whole history.
func TestSilenceOracle(t *testing.T) {
	b := newBank(t, Silence, "1 per 7d", minute)
	ref := b.Add()
	r := rand.New(rand.NewPCG(1, 4))
	s := series(9*1440, minute, func(d time.Duration) float64 { return reporting["working hours"](r, d) })
	for _, p := range s {
		b.Observe(ref, p.t, p.v)
	}
	st := b.(*bank[silenceState]).state(ref)
	for kind := range 2 {
		for hour := range 24 {
			active, total := 0.0, 0.0
			for day := range 9 {
				weekend := 0
				if day%7 >= 5 {
					weekend = 1
				}
				if weekend != kind {
					continue
				}
				if day == 8 && hour == 23 {
					continue // still running
				}
				if day == 8 && hour >= 18 {
					continue // the silence of the evening has not ended
				}
				active, total = active*0.8, total*0.8
				for m := range 60 {
					total += 60
					if s[day*1440+hour*60+m].v > 0 {
						active += 60
					}
				}
			}
			got := st.hours[kind][hour]
			// Rare silences teach less, so that shares are compared where there were none.
			if kind == 0 && hour >= 9 && hour < 17 && (!near(float64(got.active), active, 1e-3) || !near(float64(got.total), total, 0.01)) {
				t.Errorf("kind %d, hour %d: %+v, the oracle has %v of %v", kind, hour, got, active, total)
			}
			if active == 0 && total > 0 && got.active > 0 {
				t.Errorf("kind %d, hour %d: %+v reported, the oracle has none of %v", kind, hour, got, total)
			}
		}
	}
}

// TestSilenceNotLearnt: an outage is missing afterwards as it was before.
func TestSilenceNotLearnt(t *testing.T) {
	run := func(held bool) (Verdict, Verdict) {
		b := newBank(t, Silence, "1 per 30d", minute)
		ref := b.Add()
		f := noise(3, 100, 5)
		var first, second Verdict
		for i, p := range series(16*1440, minute, f) {
			d := time.Duration(i) * minute
			if d >= 14*day && d < 14*day+6*time.Hour || d >= 15*day {
				p.v = math.NaN()
			}
			if held && d == 14*day+10*minute {
				b.Hold(ref, p.t-10*60_000)
			}
			if held && d == 14*day+7*time.Hour {
				b.Release(ref, false)
			}
			v := b.Observe(ref, p.t, p.v)
			switch d {
			case 14*day + 20*minute:
				first = v
			case 15*day + 20*minute:
				second = v
			}
		}
		return first, second
	}
	for _, held := range []bool{false, true} {
		first, second := run(held)
		if first.Score < 1 || second.Score < 1 {
			t.Errorf("held %v: scores %.2f and, a day later, %.2f", held, first.Score, second.Score)
		}
		if held && second.Score < first.Score-0.1 {
			t.Errorf("a held outage is learnt: score %.2f, before %.2f", second.Score, first.Score)
		}
	}
	// Accepted, the silence is the habit.
	b := newBank(t, Silence, "1 per 30d", minute)
	ref := b.Add()
	for i, p := range series(8*1440, minute, noise(3, 100, 5)) {
		if i >= 7*1440 {
			p.v = math.NaN()
		}
		if i == 7*1440+10 {
			b.Hold(ref, p.t)
		}
		if i == 7*1440+60 {
			b.Release(ref, true)
		}
		if v := b.Observe(ref, p.t, p.v); i > 7*1440+60 && v.Score >= 1 {
			t.Fatalf("%d minutes after the silence was accepted: %+v", i-7*1440-60, v)
		}
	}
}

// TestSilenceGap: a time in which nobody looked is no silence.
func TestSilenceGap(t *testing.T) {
	b := newBank(t, Silence, "1 per 30d", minute)
	ref := b.Add()
	play(b, ref, series(7*1440, minute, noise(3, 100, 5)))
	at := int64(start + 7*dayMs + 6*3600_000)
	if v := b.Observe(ref, at, math.NaN()); v.Score >= 1 || v.Doubts&DoubtAfterGap == 0 {
		t.Errorf("missing once after six hours without any evaluation: %+v", v)
	}
	if v := b.Observe(ref, at+60_000, 100); v.Score >= 1 || v.Kind != KindNone {
		t.Errorf("back: %+v", v)
	}
}

func TestSilenceOptions(t *testing.T) {
	for _, o := range []*SilenceOptions{{Zero: -1, ProfileAlpha: 0.2}, {Zero: math.NaN(), ProfileAlpha: 0.2}, {ProfileAlpha: 2}} {
		if o.Validate() == nil {
			t.Errorf("%+v is taken", *o)
		}
	}
	for k := SilenceNone; k <= SilenceSeries; k++ {
		if (k.String() == "") != (k == SilenceNone) {
			t.Errorf("kind %d is called %q", k, k)
		}
	}
}
