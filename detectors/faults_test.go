package detectors

import (
	"testing"
	"time"
)

// TestTrafficFaults: the five faults that Grafana's PromQL rules were measured
// on, of which they miss traffic that falls to zero entirely: 44 hours of
// N(100, 8) at a minute, then three hours of the fault.
func TestTrafficFaults(t *testing.T) {
	const quiet = 44 * 60
	for _, c := range []struct {
		name  string
		f     func(v float64) float64
		up    bool
		small bool // five deviations of the noise: not for single samples
	}{
		{"traffic to exactly zero", func(float64) float64 { return 0 }, false, false},
		{"to 1", func(float64) float64 { return 1 }, false, false},
		{"to 40", func(v float64) float64 { return v - 60 }, false, false},
		{"times 1.4", func(v float64) float64 { return 1.4 * v }, true, true},
		{"times 5", func(v float64) float64 { return 5 * v }, true, false},
	} {
		for seed := range uint64(3) {
			f := noise(seed+1, 100, 8)
			s := series(quiet+180, minute, func(d time.Duration) float64 {
				if d >= quiet*minute {
					return c.f(f(d))
				}
				return f(d)
			})
			for _, d := range []Detector{Spike, LevelShift} {
				within := 3
				if d.Name == LevelShift.Name {
					within = 30
				}
				if d.Name == Spike.Name && c.small {
					continue
				}
				v := judge(t, d, "1 per 30d", minute, s)
				if n := episodesOf(s[1440:quiet], v[1440:quiet]); n > 1 {
					t.Errorf("%s, seed %d, %s: %d alarms before the fault", c.name, seed, d.Name, n)
				}
				found := -1
				for i, x := range v[quiet:] {
					if x.Score >= 1 {
						found = i
						break
					}
				}
				if found < 0 || found > within {
					t.Errorf("%s, seed %d, %s: found after %d minutes, want at most %d", c.name, seed, d.Name, found, within)
					continue
				}
				if x := v[quiet+found]; x.Up != c.up {
					t.Errorf("%s, seed %d, %s: up %v, want %v", c.name, seed, d.Name, x.Up, c.up)
				}
				if last := v[len(v)-1]; d.Name == "level_shift" && (last.Score < 1 || last.Kind != KindShift) {
					t.Errorf("%s, seed %d: level_shift no longer sees it after three hours: score %.2f, kind %v", c.name, seed, last.Score, last.Kind)
				}
			}
		}
	}
}
