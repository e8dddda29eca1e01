package detectors

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// heirs are the detectors that inherit, and how a mean of them does.
func heirs(t *testing.T) []Detector {
	return append(residuals(), Rate, Edge, meanOf(t, Spike, Seasonality))
}

// TestInherit: an heir of the same course is judged by it at once, is a state
// like any other, and what it came from is as it was.
func TestInherit(t *testing.T) {
	const days, joins = 4, 10
	for _, d := range heirs(t) {
		for _, own := range []bool{false, true} {
			b := newBank(t, d, "1 per 30d", minute)
			elder, other, heir := b.Add(), b.Add(), b.Add()
			wave := func(seed uint64) func(time.Duration) float64 { return daily(seed, 100, 40, 3) }
			s := series((days+1)*1440, minute, wave(1))
			f, g := wave(2), wave(3)
			var v, mine Verdict
			n, differ := 0, 0.0
			for i, p := range s {
				v = b.Observe(elder, p.t, p.v)
				b.Observe(other, p.t, f(time.Duration(p.t-start)*time.Millisecond))
				if i < days*1440 {
					continue
				}
				if i == days*1440+joins {
					before := b.AppendState(nil, elder)
					if !b.Inherit(heir, []Ref{elder, other}, own) {
						t.Fatalf("%s inherits nothing", d.Name)
					}
					if !bytes.Equal(b.AppendState(nil, elder), before) {
						t.Errorf("%s: the member that hands on is changed", d.Name)
					}
					if err := b.SetState(heir, b.AppendState(nil, heir)); err != nil {
						t.Errorf("%s, own %v: the heir's state: %v", d.Name, own, err)
					}
				}
				mine = b.Observe(heir, p.t, g(time.Duration(p.t-start)*time.Millisecond))
				if i <= days*1440+joins || math.IsNaN(mine.Score) || math.IsNaN(v.Score) {
					continue
				}
				n++
				if mine.Score >= 1 {
					t.Errorf("%s, own %v: the heir scores %g after %d minutes", d.Name, own, mine.Score, i-days*1440)
					break
				}
				differ += math.Abs(mine.Expected-v.Expected) / 1440
				if mine.Doubts&^DoubtShortHistory != v.Doubts&^DoubtShortHistory {
					t.Fatalf("%s: doubts %q, the elder's are %q", d.Name, mine.Doubts, v.Doubts)
				}
			}
			if n < 1200 {
				t.Errorf("%s, own %v: %d samples of the heir's first day have a score", d.Name, own, n)
			}
			if differ > 4 {
				t.Errorf("%s, own %v: the heir's expected value is %g off the elder's on average", d.Name, own, differ)
			}
		}
	}
}

// TestInheritProportion: with a level of its own, what an heir takes over is in
// proportion: its verdicts are those of its elder on the same values.
func TestInheritProportion(t *testing.T) {
	for _, d := range []Detector{Spike, Seasonality, EWMA} {
		for _, factor := range []float64{0.1, 1, 20} {
			b := newBank(t, d, "1 per 30d", minute)
			elder, heir := b.Add(), b.Add()
			s := series(4*1440+300, minute, daily(1, 100, 40, 0.5))
			worst := 0.0
			for i, p := range s {
				v := b.Observe(elder, p.t, p.v)
				if i < 4*1440 {
					continue
				}
				if i == 4*1440+10 {
					b.Inherit(heir, []Ref{elder}, true)
				}
				mine := b.Observe(heir, p.t, factor*p.v)
				if i > 4*1440+60 {
					worst = max(worst, math.Abs(mine.Upper/factor-v.Upper), math.Abs(mine.Lower/factor-v.Lower))
				}
			}
			if worst > 5 {
				t.Errorf("%s, %g times the elder: the band is up to %g off the elder's", d.Name, factor, worst)
			}
		}
	}
}

// TestInheritNothing: states that cannot are left alone.
func TestInheritNothing(t *testing.T) {
	for _, d := range All() {
		b := newBank(t, d, "1 per 30d", minute)
		young, fresh, heir := b.Add(), b.Add(), b.Add()
		play(b, young, series(5, minute, noise(1, 10, 1)))
		play(b, heir, series(5, minute, noise(2, 10, 1)))
		before := b.AppendState(nil, heir)
		for name, members := range map[string][]Ref{"none": nil, "a young one": {young}, "a fresh one": {fresh}} {
			if b.Inherit(heir, members, false) || !bytes.Equal(b.AppendState(nil, heir), before) {
				t.Errorf("%s: it inherits from %s", d.Name, name)
			}
		}
	}
}

// TestInheritSpread: how far the members are apart is how far an heir may be
// from their median.
func TestInheritSpread(t *testing.T) {
	for _, c := range []struct {
		levels []float64
		most   float64 // the upper end of the band is below
		least  float64 // and above
	}{{[]float64{100}, 125, 105}, {[]float64{100, 101, 99}, 125, 105}, {[]float64{100, 150, 80}, 1000, 200}} {
		b := newBank(t, Spike, "1 per 7d", minute)
		var members []Ref
		for i, level := range c.levels {
			members = append(members, b.Add())
			play(b, members[i], series(3*1440, minute, noise(uint64(i), level, 2)))
		}
		heir := b.Add()
		at := int64(start + 3*1440*60_000)
		for i := range int64(5) {
			b.Observe(heir, at+i*60_000, 5000)
		}
		if !b.Inherit(heir, members, false) {
			t.Fatal("it inherits nothing")
		}
		v := b.Observe(heir, at+5*60_000, 5000)
		if v.Score < 2 || math.Abs(v.Expected-100) > 3 || v.Upper < c.least || v.Upper > c.most {
			t.Errorf("members at %v: an heir at 5000 gets %+v", c.levels, v)
		}
	}
}
