package detectors

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestEWMAOracle compares expected value and scale with the weighted sums over
// the whole history.
func TestEWMAOracle(t *testing.T) {
	b := newBank(t, EWMA, "1 per 7d", minute)
	ref := b.Add()
	f := noise(3, 100, 5)
	var pseudo, rest, dts []float64 // what was learnt as a value, residuals, distances
	now := int64(start)
	for i := range 900 {
		d := []float64{60, 60, 30, 150}[i%4]
		now += int64(1000 * d)
		sigma := b.(*bank[ewmaState]).state(ref).innovation.scale.sigma(fastShare)
		v := f(0)
		if i%100 == 99 {
			v += 100 // is clipped
		}
		got := b.Observe(ref, now, v)
		if i == 0 {
			pseudo, dts = append(pseudo, v), append(dts, 60)
			continue
		}
		// The mean with weights that fall by e in ten minutes, each sample with the time before it.
		sum, weight, left := 0.0, 0.0, 0.0
		for j := len(pseudo) - 1; j >= 0; j-- {
			w := -math.Expm1(-dts[j]/600) * math.Exp(-left)
			sum, weight = sum+w*pseudo[j], weight+w
			left += dts[j] / 600
		}
		want := sum / weight
		if i > 11 && !near(got.Expected, want, 1e-9) {
			t.Fatalf("sample %d: expected %v, the oracle has %v", i, got.Expected, want)
		}
		r := v - want
		limit := math.Inf(1)
		if len(rest) >= clipAfter {
			limit = clipSigmas * sigma // of before this sample, checked below
		}
		dts = append(dts, d)
		rest = append(rest, math.Abs(r))
		pseudo = append(pseudo, want+clip(r, limit))
		if i%300 == 299 {
			clipped, raw, fast := slowScale(rest, dts[1:], 86400, 7200)
			got := b.(*bank[ewmaState]).state(ref).innovation.scale.sigma(fastShare)
			if want := 1.2533 * max(clipped, 0.1*raw, 0.3*fast); !near(got, want, 1e-6) {
				t.Fatalf("sample %d: scale %v, the oracle has %v", i, got, want)
			}
		}
	}
}

func TestEWMAOptions(t *testing.T) {
	bad := &EWMAOptions{Level: 0, Scale: -1, Transform: "sqrt"}
	for _, want := range []string{"level is 0s", "scale is", `transform is "sqrt"`} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
}

// TestEWMALog: values at or below zero under the logarithm stay finite.
func TestEWMALog(t *testing.T) {
	b, err := EWMA.New(&EWMAOptions{Level: 10 * time.Minute, Scale: day, Transform: TransformLog}, Conditions{Budget: mustBudget(t, "1 per 7d"), Step: minute})
	if err != nil {
		t.Fatal(err)
	}
	ref := b.Add()
	g := noise(3, 0, 0.3)
	v := play(b, ref, series(3*1440, minute, func(time.Duration) float64 { return 0.1 * math.Exp(g(0)) }))
	if last := v[len(v)-1]; last.Lower <= 0 || last.Lower >= last.Expected || last.Expected >= last.Upper {
		t.Errorf("band %v, %v, %v", last.Lower, last.Expected, last.Upper)
	}
	at := int64(start + 3*dayMs)
	if zero := b.Observe(ref, at, 0); !(zero.Score >= 1 && zero.Score < 10) {
		t.Errorf("zero scores %v", zero.Score)
	}
	if v := b.Observe(ref, at+60_000, 3); v.Score < 1 || !v.Up || v.Kind != KindSpike {
		t.Errorf("thirty times the usual: %+v", v)
	}
}
