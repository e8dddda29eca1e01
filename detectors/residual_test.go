package detectors

import (
	"math"
	"testing"
	"time"
)

// TestYesterdaysOutage: what was there on one day alone is not expected on the
// next ones, at the time it was there or any other.
func TestYesterdaysOutage(t *testing.T) {
	for name, f := range map[string]func(time.Duration) float64{
		"flat": noise(4, 100, 2),
		"wave": daily(4, 100, 30, 2),
	} {
		s := series(4*1440, minute, func(d time.Duration) float64 {
			v := f(d)
			if d >= 14*time.Hour && d < 16*time.Hour {
				return v / 2 // on the first day
			}
			return v
		})
		usual := func(d time.Duration) float64 {
			if name == "flat" {
				return 100
			}
			return 100 + 30*math.Sin(2*math.Pi*d.Hours()/24)
		}
		v := judge(t, Spike, "1 per 30d", minute, s)
		for day, most := range map[int]float64{1: 0.1, 2: 0.25, 3: 0.2} {
			worst, at, fired := 0.0, 0, 0
			for i := day*1440 + 13*60; i < day*1440+17*60; i++ {
				if miss := math.Abs(v[i].Expected-usual(time.Duration(i)*minute)) / 100; miss > worst {
					worst, at = miss, i
				}
				if v[i].Score >= 1 {
					fired++
				}
			}
			if worst > most {
				t.Errorf("%s: on day %d the expected value is %.0f %% off at minute %d: got %v, want %v", name, day, 100*worst, at%1440, v[at].Expected, usual(time.Duration(at)*minute))
			}
			if name == "flat" && fired > 0 {
				t.Errorf("%s: %d alarms on day %d at the time of the first day's outage", name, fired, day)
			}
		}
	}
}

// TestBounded: a ratio at its least value does not rise, and less than the
// least value is not expected.
func TestBounded(t *testing.T) {
	g := noise(6, 0, 1)
	s := series(5*1440, minute, func(d time.Duration) float64 {
		busy := math.Max(0, math.Sin(2*math.Pi*d.Hours()/24))
		return math.Max(0, 0.01*busy*(1+0.3*g(0))) // errors by day only
	})
	for _, d := range []Detector{Spike, LevelShift} {
		for i, v := range judge(t, d, "1 per 30d", minute, s) {
			if v.Expected < 0 || (v.Value == 0 && v.Up && v.Score >= 1) {
				t.Errorf("%s, sample %d: value %v, expected %v, up %v, score %v", d.Name, i, v.Value, v.Expected, v.Up, v.Score)
				break
			}
		}
	}
}

// TestShareOfTheDay: the course of the day predicts where it repeats, and not
// where it does not.
func TestShareOfTheDay(t *testing.T) {
	walk, g := 0.0, noise(8, 0, 1)
	for _, c := range []struct {
		name        string
		f           func(time.Duration) float64
		least, most float64
	}{
		{"wave", daily(5, 100, 30, 3), 0.8, 1},
		{"noise", noise(5, 100, 3), 0, 0.3},
		{"walk", func(time.Duration) float64 { walk += g(0); return walk }, 0, 0.4},
	} {
		b := newBank(t, Spike, "1 per 30d", minute)
		ref := b.Add()
		play(b, ref, series(8*1440, minute, c.f))
		if share := b.(*bank[residualState]).state(ref).share; share < c.least || share > c.most {
			t.Errorf("%s: the profile has a share of %.2f, want %.1f to %.1f", c.name, share, c.least, c.most)
		}
	}
}

// TestRepeatsOracle compares the regression with its definition over the list
// of all slots.
func TestRepeatsOracle(t *testing.T) {
	c := newCalendar(96, 0.2, minute)
	for name, f := range map[string]func(time.Duration) float64{"wave": daily(2, 100, 30, 5), "noise": noise(3, 10, 1)} {
		var r repeats
		var x, q []float64 // of the slots that were known
		var values, profile float64
		course := float64(c.slot) / 1000 / courseSeconds
		at := map[int]float64{}
		for n := range 6 * c.slots {
			i := c.index(int64(n))
			mean := f(time.Duration(n) * time.Duration(c.slot) * time.Millisecond)
			was, known := at[i]
			if !known {
				was = mean
			}
			r.learn(c.slot, mean, was, known)
			if known {
				d := was - profile
				x, q = append(x, math.Max(-2*math.Abs(d), math.Min(2*math.Abs(d), mean-values))), append(q, d)
			}
			values += course * (mean - values)
			profile += course * (was - profile)
			at[i] = mean
		}
		along, square := 0.0, 0.0
		keep := 1 - float64(c.slot)/1000/repeatsSeconds
		for k := range x {
			w := (1 - keep) * math.Pow(keep, float64(len(x)-1-k))
			along, square = along+w*x[k]*q[k], square+w*q[k]*q[k]
		}
		if !near(r.along, along, 1e-4) || !near(r.square, square, 1e-4) {
			t.Errorf("%s: regression %v, %v; the oracle has %v, %v", name, r.along, r.square, along, square)
		}
	}
}

// TestFirstChangeScore: the first change of a constant scores by how many equal
// samples there were, the more so the longer it lasts.
func TestFirstChangeScore(t *testing.T) {
	for _, c := range []struct {
		quiet time.Duration
		after int // samples
		least float64
		most  float64
	}{
		{16 * time.Hour, 1, 1, 1.5}, {16 * time.Hour, 2, 2, 3}, {16 * time.Hour, 5, 2.5, 3.5},
		{3 * day, 1, 1, 1.5}, {3 * day, 3, 2.3, 3.5}, {60 * day, 1, 1.3, 1.7},
	} {
		n := int(c.quiet / minute)
		s := series(n+c.after, minute, func(d time.Duration) float64 {
			if d < c.quiet {
				return 0
			}
			return 0.5
		})
		v := judge(t, Spike, "1 per 30d", minute, s)
		if got := v[len(v)-1]; got.Score < c.least || got.Score > c.most || got.Onset != s[n].t || !got.Up {
			t.Errorf("sample %d after %v of zeros: score %.2f, onset %d, up %v; want %v to %v, %d, true", c.after, c.quiet, got.Score, got.Onset, got.Up, c.least, c.most, s[n].t)
		}
	}
	// log10 of C(n+m, m), by its definition.
	s, m := &residualState{residuals: 960, changed: 960 * 60_000}, &residualModel{}
	for range 4 {
		m.firstChange(s, &sample{}, newScoring(DefaultBudget()).terms(0.1), 0)
	}
	want := math.Log10(964 * 963 * 962 * 961 / 24.0)
	if !near(float64(s.evidence), want, 1e-6) {
		t.Errorf("evidence of four after 960: %v, want %v", s.evidence, want)
	}
}

// TestOnsetIsContinuous: what lay inside the band for a while is not the onset
// of what came later.
func TestOnsetIsContinuous(t *testing.T) {
	var d departure
	at := int64(start)
	see := func(minutes int, s float64) {
		for range minutes {
			at += 60_000
			score := 0.5
			if s >= 8 {
				score = 1 + math.Log10(s/8)
			}
			d.observe(tick{t: at, dt: 60, usual: 60}, s, 4, score, at, true)
		}
	}
	see(240, 5) // four hours between the low threshold and the band's edge
	see(1, 20)
	if lag := (at - d.onset()) / 60_000; lag > 11 {
		t.Errorf("the onset lies %d minutes before the first score of 1, want at most 11", lag)
	}
	first := d.onset()
	see(5, 20)
	see(2, 3) // a short return does not end it
	see(3, 20)
	if d.onset() != first {
		t.Errorf("two samples inside the band move the onset by %d minutes", (d.onset()-first)/60_000)
	}
	see(60, 5) // back inside the band, though not below the low threshold
	if d.onset() != 0 {
		t.Errorf("an hour inside the band does not end the departure")
	}
	see(2, 30)
	if lag := (at - d.onset()) / 60_000; d.onset() == 0 || lag > 11 {
		t.Errorf("the onset of the second departure lies %d minutes back", lag)
	}
}
