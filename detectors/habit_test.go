package detectors

import (
	"math"
	"testing"
	"time"
)

// TestNightlyJob: what comes every night is no alarm for weeks.
func TestNightlyJob(t *testing.T) {
	f := noise(5, 10, 1)
	for _, d := range []Detector{EWMA, Spike, Seasonality} {
		for name, every := range map[string]time.Duration{"nightly": 24 * time.Hour, "every seven hours": 7 * time.Hour} {
			s := series(28*288, 5*minute, func(at time.Duration) float64 {
				if at%every < 5*minute && at > 36*time.Hour {
					return f(at) + 80
				}
				return f(at)
			})
			v := judge(t, d, "1 per 30d", 5*minute, s)
			if n := episodesOf(s, v); n > 12 {
				t.Errorf("%s, %s: %d alarms in four weeks, want at most 12", d.Name, name, n)
			}
			if n := episodesOf(s[14*288:], v[14*288:]); n > 1 {
				t.Errorf("%s, %s: %d alarms in the last two weeks, want at most 1", d.Name, name, n)
			}
		}
	}
}

// TestHabit: counts and their inverse, against the list of the peaks.
func TestHabit(t *testing.T) {
	e := newEpisodes(0)
	peaks := []float64{2.5, 3, 5, 9, 20, 20, 33, 70, 70, 70, 200, 3000, 1e20}
	for _, p := range peaks {
		e.noteHabit(p)
	}
	for _, s := range []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1e9} {
		want := 0.0
		for _, p := range peaks {
			if p >= s || (p >= 512 && s >= 512) {
				want++
			}
		}
		if got := e.seen(s * math.Exp2(asLarge)); !near(got, want, 1e-9) {
			t.Errorf("seen(%v) = %v, want %v", s, got, want)
		}
	}
	for _, w := range []float64{-0.8, -0.3, 0, 0.5, 2} {
		at := e.habitReach(w)
		if below, above := e.habitWeeks(0.999*at), e.habitWeeks(1.001*at); !(below < w && above >= w) {
			t.Errorf("habitReach(%v) = %v, but habitWeeks is %v just below and %v just above", w, at, below, above)
		}
	}
	e.fade(habitMillis)
	if got, want := e.seen(1), float64(len(peaks))/math.E; !near(got, want, 0.02) {
		t.Errorf("after one time constant seen(1) = %v, want %v", got, want)
	}
	if at := e.habitReach(0); !(e.habitWeeks(1.01*at) >= 0) {
		t.Errorf("habitReach(0) = %v after fading, where habitWeeks is %v", at, e.habitWeeks(1.01*at))
	}
}
