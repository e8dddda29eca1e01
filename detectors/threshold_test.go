package detectors

import (
	"math"
	"strings"
	"testing"
	"time"
)

func newThresholdBank(t testing.TB, lower, upper float64) Bank {
	t.Helper()
	b, err := Threshold.New(&ThresholdOptions{Upper: upper, Lower: lower}, Conditions{Budget: DefaultBudget(), Step: minute})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestThreshold(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name         string
		lower, upper float64
		usual        float64 // for a day before; NaN = no history
		value        float64
		least, most  float64 // score
		up           bool
	}{
		{"below", -inf, 0.9, 0.5, 0.7, -0.6, -0.4, true},
		{"reaches it", -inf, 0.9, 0.5, 0.9, 1, 1, true},
		{"twice the distance", -inf, 0.9, 0.5, 1.3, 1.8, 1.9, true},
		{"ten times the distance", -inf, 0.9, 0.5, 4.5, 3.8, 3.9, true},
		{"no history", -inf, 0.9, math.NaN(), 0.9, 1, 1, true},
		{"no history, beyond", -inf, 0.9, math.NaN(), 0.99, 1.8, 1.9, true},
		{"habitually beyond", -inf, 0.9, 2, 2, 4, 4.5, true},
		{"under a lower bound", 10, inf, 40, 10, 1, 1, false},
		{"under a lower bound by far", 10, inf, 40, -20, 1.8, 1.9, false},
		{"between two", 10, 50, 40, 41, -2, 0, true},
		{"over one of two", 10, 50, 40, 60, 1.8, 1.9, true},
		{"under one of two", 10, 50, 40, 5, 1.1, 1.3, false},
		{"a bound of zero", 0, inf, math.NaN(), -3, 1.8, 1.9, false},
	} {
		b := newThresholdBank(t, c.lower, c.upper)
		ref := b.Add()
		if !math.IsNaN(c.usual) {
			play(b, ref, series(1440, minute, func(time.Duration) float64 { return c.usual }))
		}
		v := b.Observe(ref, start+dayMs, c.value)
		if v.Score < c.least || v.Score > c.most || v.Up != c.up || v.Doubts&(DoubtWarmingUp|DoubtShortHistory) != 0 {
			t.Errorf("%s: %+v; want a score of %v to %v, up %v", c.name, v, c.least, c.most, c.up)
		}
		if (v.Score >= 1) != (v.Kind == KindLimit && v.Onset == start+dayMs) && c.name != "habitually beyond" {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestThresholdOnset(t *testing.T) {
	b := newThresholdBank(t, math.Inf(-1), 10)
	ref := b.Add()
	var onsets []int64
	for i, x := range []float64{5, 12, 13, 5, 11, 11} {
		if v := b.Observe(ref, start+int64(i)*60_000, x); v.Onset != 0 {
			onsets = append(onsets, (v.Onset-start)/60_000)
		}
	}
	if len(onsets) != 4 || onsets[0] != 1 || onsets[1] != 1 || onsets[2] != 4 || onsets[3] != 4 {
		t.Errorf("onsets at minutes %v, want 1 1 4 4", onsets)
	}
}

// TestThresholdHold: what is usual is not learnt of a breach.
func TestThresholdHold(t *testing.T) {
	b := newThresholdBank(t, math.Inf(-1), 10)
	ref := b.Add()
	play(b, ref, series(1440, minute, func(time.Duration) float64 { return 5 }))
	at := int64(start + dayMs)
	for i := range int64(5) {
		b.Observe(ref, at+i*60_000, 100)
	}
	b.Hold(ref, at)
	var v Verdict
	for i := int64(5); i < 600; i++ {
		v = b.Observe(ref, at+i*60_000, 100)
	}
	if !near(v.Expected, 5, 1e-6) || v.Onset != at || v.Doubts&DoubtHeld == 0 {
		t.Errorf("held: %+v", v)
	}
	b.Release(ref, true)
	if v := b.Observe(ref, at+601*60_000, 100); v.Score < 1 {
		t.Errorf("an accepted breach is none: %+v", v)
	}
}

func TestThresholdOptions(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		lower, upper float64
		want         string
	}{
		{1, 0, "lower is 1; it must be below upper"}, {1, 1, "below upper"}, {math.NaN(), 1, "must be numbers"}, {-inf, -inf, "must be numbers"},
	} {
		if err := (&ThresholdOptions{Upper: c.upper, Lower: c.lower}).Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v to %v: error %v, want it to contain %q", c.lower, c.upper, err, c.want)
		}
	}
	if err := (&ThresholdOptions{Upper: inf, Lower: -inf}).Required(); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("no bound: error %v", err)
	}
	if err := (&ThresholdOptions{Upper: 1, Lower: -inf}).Required(); err != nil {
		t.Error(err)
	}
}
