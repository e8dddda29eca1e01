package detectors

import (
	"testing"
	"time"
)

// TestInjected: the faults that a detector is for are found in time, with the
// right kind and direction. Seven quiet days are followed by six hours of the fault.
func TestInjected(t *testing.T) {
	const quiet = 7 * 1440
	quietly := func(seed uint64) func(time.Duration) float64 { return noise(seed, 100, 3) }
	waving := func(seed uint64) func(time.Duration) float64 { return daily(seed, 100, 20, 3) }
	// What happens to a value v, so long after the fault began.
	step := func(v float64, _ time.Duration) float64 { return v + 40 }
	ramp := func(v float64, d time.Duration) float64 { return v + 40*d.Hours() }
	zero := func(float64, time.Duration) float64 { return 0 }
	half := func(v float64, _ time.Duration) float64 { return v / 2 }
	flat := func(float64, time.Duration) float64 { return 70 }
	burst := func(v float64, _ time.Duration) float64 { return 100 + 6*(v-100) }
	for _, c := range []struct {
		fault    string
		detector Detector
		series   func(uint64) func(time.Duration) float64
		f        func(float64, time.Duration) float64
		within   int // minutes
		kind     Kind
		up, down bool // directions that are right
	}{
		{"step", Spike, quietly, step, 2, KindSpike, true, false},
		{"step", LevelShift, waving, step, 15, KindShift, true, false},
		{"ramp", LevelShift, quietly, ramp, 90, KindShift, true, false},
		{"ramp", Trend, quietly, ramp, 300, KindTrend, true, false},
		{"drop to zero", Spike, waving, zero, 2, KindSpike, false, true},
		{"drop to zero", LevelShift, waving, zero, 15, KindShift, false, true},
		{"drop to zero", Silence, waving, zero, 5, KindSilence, false, true},
		{"halving", Spike, waving, half, 2, KindSpike, false, true},
		{"halving", LevelShift, waving, half, 20, KindShift, false, true},
		{"halving", EWMA, quietly, half, 2, KindSpike, false, true},
		{"halving", Seasonality, waving, half, 2, KindSpike, false, true},
		{"flat line", LevelShift, quietly, flat, 20, KindShift, false, true},
		{"noise burst", Spike, quietly, burst, 30, KindSpike, true, true},
		{"noise burst", EWMA, quietly, burst, 30, KindSpike, true, true},
	} {
		for seed := range uint64(3) {
			f := c.series(seed + 31)
			s := series(quiet+360, minute, func(d time.Duration) float64 {
				v := f(d)
				if d >= quiet*minute {
					return c.f(v, d-quiet*minute)
				}
				return v
			})
			v := judge(t, c.detector, "1 per 30d", minute, s)
			found := -1
			for i, x := range v[quiet:] {
				if x.Score >= 1 {
					found = i
					break
				}
			}
			if found < 0 || found > c.within {
				t.Errorf("%s, %s, seed %d: found after %d minutes, want at most %d", c.fault, c.detector.Name, seed, found, c.within)
				continue
			}
			x := v[quiet+found]
			if x.Kind != c.kind {
				t.Errorf("%s, %s, seed %d: kind %v, want %v", c.fault, c.detector.Name, seed, x.Kind, c.kind)
			}
			if x.Up && !c.up || !x.Up && !c.down {
				t.Errorf("%s, %s, seed %d: up is %v", c.fault, c.detector.Name, seed, x.Up)
			}
			if begin := int64(start + quiet*60_000); x.Onset < begin-30*60_000 || x.Onset > s[quiet+found].t {
				t.Errorf("%s, %s, seed %d: onset %d minutes after the fault began", c.fault, c.detector.Name, seed, (x.Onset-begin)/60_000)
			}
		}
	}
}
