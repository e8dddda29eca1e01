package detectors

import (
	"math"
	"testing"
	"time"
)

// faulty is a wave with a spike, a step, a gap and missing values.
func faulty(seed uint64) []point {
	f := daily(seed, 100, 30, 5)
	s := series(5*1440, minute, func(d time.Duration) float64 {
		v := f(d)
		switch {
		case d >= 3*day && d < 3*day+3*minute:
			v += 200
		case d >= 4*day:
			v -= 60
		case int(d/minute)%997 == 0:
			return math.NaN()
		}
		return v
	})
	return append(s[:2000], s[2300:]...)
}

// TestScaleAndShift: the scores do not depend on the unit of a series.
func TestScaleAndShift(t *testing.T) {
	for _, d := range residuals() {
		base := faulty(1)
		want := judge(t, d, "1 per 7d", minute, base)
		for _, c := range []struct{ factor, shift float64 }{{1e6, 0}, {1e-6, 0}, {-3, 0}, {1, 1e6}, {1, -500}, {7, 1e4}} {
			s := make([]point, len(base))
			for i, p := range base {
				s[i] = point{p.t, p.v*c.factor + c.shift}
			}
			got := judge(t, d, "1 per 7d", minute, s)
			for i := range got {
				e := want[i].Expected*c.factor + c.shift
				if !near(got[i].Score, want[i].Score, 1e-3) || !near(got[i].Expected, e, 1e-4) {
					t.Errorf("%s, %v: sample %d: score %v, expected %v; want %v, %v", d.Name, c, i, got[i].Score, got[i].Expected, want[i].Score, e)
					break
				}
			}
		}
	}
}

// TestTimeShift: whole weeks and the hour of the start change nothing but the slots.
func TestTimeShift(t *testing.T) {
	for _, d := range All() {
		base := faulty(2)
		want := judge(t, d, "1 per 7d", minute, base)
		s := make([]point, len(base))
		for i, p := range base {
			s[i] = point{p.t - 20_006*dayMs, p.v} // before 1970
		}
		for i, got := range judge(t, d, "1 per 7d", minute, s) {
			if !near(got.Score, want[i].Score, 1e-9) || (want[i].Onset != 0 && got.Onset != want[i].Onset-20_006*dayMs) {
				t.Fatalf("%s, sample %d: score %v, onset %v; want %v, %v", d.Name, i, got.Score, got.Onset, want[i].Score, want[i].Onset)
			}
		}
	}
}

// TestInterleaved: series of one bank do not influence each other, and the same
// input gives the same output.
func TestInterleaved(t *testing.T) {
	for _, d := range All() {
		const n = 5
		var alone [n][]Verdict
		var s [n][]point
		for k := range n {
			s[k] = faulty(uint64(k))
			alone[k] = judge(t, d, "1 per 7d", minute, s[k])
		}
		b := newBank(t, d, "1 per 7d", minute)
		var refs [n]Ref
		for k := range refs {
			refs[k] = b.Add()
		}
		for i := range s[0] {
			for k := range n {
				// Another spacing in between must not leave anything in the model.
				got := b.Observe(refs[k], s[k][i].t, s[k][i].v)
				if !sameVerdict(got, alone[k][i]) {
					t.Fatalf("%s, series %d, sample %d: %+v, alone %+v", d.Name, k, i, got, alone[k][i])
				}
			}
		}
	}
}

// TestHeldRoundTrip: a state may be stored while held and departing.
func TestHeldRoundTrip(t *testing.T) {
	for _, d := range All() {
		_, a, ra := outage(t, d, 30, true)
		b := newBank(t, d, "1 per 30d", minute)
		rb := b.Add()
		if err := b.SetState(rb, a.AppendState(nil, ra)); err != nil {
			t.Fatal(err)
		}
		at := int64(start + 7*dayMs)
		for i := range int64(2000) {
			if i == 500 {
				a.Release(ra, false)
				b.Release(rb, false)
			}
			x, y := a.Observe(ra, at+i*60_000, float64(i%50)), b.Observe(rb, at+i*60_000, float64(i%50))
			if !sameVerdict(x, y) {
				t.Fatalf("%s, sample %d: %+v, want %+v", d.Name, i, y, x)
			}
		}
	}
}
