package app

import (
	"testing"
	"time"
)

func TestCatchUpStep(t *testing.T) {
	for _, c := range []struct {
		span       time.Duration
		intervals  []time.Duration
		step, left time.Duration
	}{
		{4 * time.Minute, []time.Duration{15 * time.Second, 5 * time.Second, time.Minute}, 0, 5 * time.Second},
		{24 * time.Hour, []time.Duration{5 * time.Second}, 0, 5 * time.Second},
		{48 * time.Hour, []time.Duration{5 * time.Second}, time.Minute, time.Minute},
		{14 * 24 * time.Hour, []time.Duration{5 * time.Minute}, 0, 5 * time.Minute},
	} {
		if step, left := catchUpStep(c.span, c.intervals); step != c.step || left != c.left {
			t.Errorf("%s at %s: step %s, left %s, want %s, %s", c.span, c.intervals, step, left, c.step, c.left)
		}
	}
}
