package detectors

import (
	"math"
	"testing"
	"time"
)

// weekly is a daily wave that is lower by a share on Saturdays and Sundays.
func weekly(seed uint64, less, sd float64) func(time.Duration) float64 {
	n := noise(seed, 0, sd)
	return func(d time.Duration) float64 {
		v := 100 + 30*math.Sin(2*math.Pi*d.Hours()/24)
		if int(d/day)%7 >= 5 {
			v *= 1 - less
		}
		return v + n(d)
	}
}

// worst is the highest score in the two hours around a time.
func worst(s []point, v []Verdict, at time.Duration) float64 {
	top := math.Inf(-1)
	for i, x := range v {
		if d := time.Duration(s[i].t-start) * time.Millisecond; d >= at-time.Hour && d < at+time.Hour && x.Score > top {
			top = x.Score
		}
	}
	return top
}

// withWeekend is a detector's bank whose weekend has these days.
func withWeekend(t testing.TB, d Detector, step time.Duration, days ...string) Bank {
	t.Helper()
	opts := d.Options()
	switch o := opts.(type) {
	case *SpikeOptions:
		o.Weekend = days
	case *LevelShiftOptions:
		o.Weekend = days
	}
	b, err := d.New(opts, Conditions{Budget: mustBudget(t, "1 per 30d"), Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWeekendRhythm: the steps into and out of the weekend are anomalies at
// first, on Monday not once two weekends were seen, and never again after.
func TestWeekendRhythm(t *testing.T) {
	for _, d := range []Detector{Spike, LevelShift} {
		for _, step := range []time.Duration{minute, 5 * minute} {
			s := series(int(5*week/step), step, weekly(3, 0.4, 2))
			v := judge(t, d, "1 per 30d", step, s)
			for k := range 4 {
				saturday, monday := worst(s, v, time.Duration(7*k+5)*day), worst(s, v, time.Duration(7*k+7)*day)
				if k == 0 && d.Name == Spike.Name && (saturday < 1 || monday < 1) {
					t.Errorf("%s, %v: the first weekend scores %.2f and %.2f; want an anomaly", d.Name, step, saturday, monday)
				}
				if k >= 1 && monday >= 1 {
					t.Errorf("%s, %v: the Monday after weekend %d scores %.2f", d.Name, step, k+1, monday)
				}
				if k >= 2 && saturday >= 1 {
					t.Errorf("%s, %v: the Saturday of weekend %d scores %.2f", d.Name, step, k+1, saturday)
				}
			}
		}
	}
}

// TestNoWeekendIsNoLoss: until the second weekend, verdicts are those of a
// detector that knows no weekend; without a rhythm, they stay near them.
func TestNoWeekendIsNoLoss(t *testing.T) {
	for _, d := range []Detector{Spike, LevelShift} {
		for _, less := range []float64{0, 0.4} {
			with, without := withWeekend(t, d, 5*minute, usualWeekend()...), withWeekend(t, d, 5*minute)
			rw, ro := with.Add(), without.Add()
			for i, p := range series(int(6*week/(5*minute)), 5*minute, weekly(5, less, 3)) {
				got, want := with.Observe(rw, p.t, p.v), without.Observe(ro, p.t, p.v)
				early := p.t < start+12*dayMs
				if early && !sameVerdict(got, want) {
					t.Fatalf("%s, %v less, sample %d: %+v, without weekends %+v", d.Name, less, i, got, want)
				}
				if less == 0 && math.Abs(got.Expected-want.Expected) > 3 {
					t.Fatalf("%s, sample %d: expected %v, without weekends %v, at a deviation of 3", d.Name, i, got.Expected, want.Expected)
				}
			}
			state := with.(*bank[residualState]).state(rw)
			if skill := state.profile.weekly.skill(0.02 * 9); (less == 0 && skill > 0.3) || (less > 0 && skill < 0.7) {
				t.Errorf("%s, %v less: the weekend counts %.2f", d.Name, less, skill)
			}
		}
	}
}

// TestOtherWeekend: the weekend's days are the user's.
func TestOtherWeekend(t *testing.T) {
	f := weekly(7, 0.4, 2)
	s := series(int(5*week/(5*minute)), 5*minute, func(d time.Duration) float64 { return f(d + day) }) // Friday and Saturday
	for _, c := range []struct {
		days  []string
		least float64
		most  float64
	}{{[]string{"friday", "saturday"}, math.Inf(-1), 1}, {nil, 1, math.Inf(1)}} {
		b := withWeekend(t, Spike, 5*minute, c.days...)
		v := play(b, b.Add(), s)
		if got := worst(s, v, 4*week+6*day-week); got < c.least || got >= c.most {
			t.Errorf("weekend %v: the end of the fourth one scores %.2f, want %v to %v", c.days, got, c.least, c.most)
		}
	}
}

// TestContrastOracle compares slots, contrast and share of weekends with their
// definitions over the list of all days, of values that are the same all day.
func TestContrastOracle(t *testing.T) {
	for _, first := range []int64{0, 3, 5, 6} { // Monday, Thursday, Saturday, Sunday
		c, err := newCalendar(24, 0.2, minute).in(utc, usualWeekend())
		if err != nil {
			t.Fatal(err)
		}
		begin := start + first*dayMs
		e := &era{calendar: &c, first: begin}
		var p profile
		p.begin(&c, begin)
		f := noise(uint64(first)+1, 0, 1)
		common, contrast, part, seen := 0.0, 0.0, 0.0, 0.0
		for k := range int64(40) {
			weekend := (first+k)%7 >= 5
			value := 100 + f(0)
			if weekend {
				value -= 30
			}
			for i := range int64(24) {
				at := begin + k*dayMs + i*3600_000
				p.enter(e, at)
				p.add(value, 3600)
				p.enter(e, at+1800_000)
			}
			h := -part
			if weekend {
				h = 1 - part
			}
			g := math.Max(0.2, 1/float64(k+1))
			if k > 0 && h != 0 {
				contrast += h * (value - common - h*contrast) / (seen + h*h)
			}
			if k == 0 {
				common = value
			} else {
				common += g * (value - common)
			}
			if k > 0 && p.day != int32((begin+k*dayMs)/dayMs) {
				t.Fatalf("first day %d: the last day learnt is %d on day %d", first, p.day, k)
			}
			i := 12
			if got := p.slots.at(i); math.Abs(got-common) > 0.05 {
				t.Errorf("first day %d, day %d: slot %v, the oracle has %v", first, k, got, common)
			}
			if got := p.slots.contrast(i); math.Abs(got-contrast) > 0.2 {
				t.Errorf("first day %d, day %d: contrast %v, the oracle has %v", first, k, got, contrast)
			}
			seen = math.Min(seen+h*h, 1/0.2)
			part += g * (map[bool]float64{true: 1}[weekend] - part)
		}
	}
}

// TestInheritedWeekend: a new member of a group knows the group's weekends.
func TestInheritedWeekend(t *testing.T) {
	f := weekly(3, 0.4, 2)
	s := series(int(4*week/(5*minute)), 5*minute, f)
	b := newBank(t, Spike, "1 per 30d", 5*minute)
	elder, heir := b.Add(), b.Add()
	joined := 3*week + 2*day
	var v []Verdict
	var seen []point
	for _, p := range s {
		b.Observe(elder, p.t, p.v)
		d := time.Duration(p.t-start) * time.Millisecond
		if d < joined {
			continue
		}
		seen = append(seen, p)
		v = append(v, b.Observe(heir, p.t, p.v/10))
		if d == joined+time.Hour && !b.Inherit(heir, []Ref{elder}, true) {
			t.Fatal("nothing is inherited")
		}
	}
	if got := worst(seen, v, 3*week+5*day); got >= 1 {
		t.Errorf("the first Saturday of an heir scores %.2f", got)
	}
}
