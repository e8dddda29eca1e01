package detectors

import (
	"math"
	"testing"
	"time"
)

// TestProfileOracle compares the profile with the day means of the whole
// history, averaged over the days.
func TestProfileOracle(t *testing.T) {
	for _, step := range []time.Duration{5 * time.Second, time.Minute, 13 * time.Minute} {
		c := newCalendar(96, 0.2, step)
		var p profile
		p.begin(&c, start)
		e := &era{calendar: &c, first: start}
		f := daily(2, 100, 30, 5)
		days := map[int64]map[int]*[2]float64{} // day → slot → sum, count
		end := int64(start)
		for _, x := range series(int(6*day/step), step, f) {
			p.enter(e, x.t)
			p.add(x.v, step.Seconds())
			d, i := x.t/dayMs, int(x.t%dayMs/c.slot)
			if days[d] == nil {
				days[d] = map[int]*[2]float64{}
			}
			if days[d][i] == nil {
				days[d][i] = &[2]float64{}
			}
			days[d][i][0] += x.v
			days[d][i][1]++
			end = x.t
		}
		p.enter(e, end+c.slot)
		p.enter(e, end+3*c.slot)
		for i := range c.slots {
			want, n := 0.0, 0.0
			for d := int64(start) / dayMs; d <= end/dayMs; d++ {
				sum := days[d][i]
				if sum == nil {
					continue
				}
				n++
				want += max(0.2, 1/n) * (sum[0]/sum[1] - want)
			}
			if got := p.slots.at(i); math.Abs(got-want) > 60.0/4096 {
				t.Errorf("step %v, slot %d of %d: %v, the oracle has %v", step, i, c.slots, got, want)
			}
		}
	}
}

func TestCalendar(t *testing.T) {
	for _, c := range []struct {
		step  time.Duration
		slots int
		want  int
	}{
		{time.Minute, 96, 96}, {5 * time.Minute, 96, 96}, {15 * time.Minute, 96, 48}, {time.Hour, 96, 24}, {day, 96, 24}, {time.Second, 95, 90},
	} {
		if got := newCalendar(c.slots, 0.2, c.step).slots; got != c.want {
			t.Errorf("step %v, %d slots wished: got %d, want %d", c.step, c.slots, got, c.want)
		}
	}
	c := newCalendar(96, 0.2, time.Minute)
	if c.number(-1) != -1 || c.index(-1) != 95 {
		t.Errorf("the slot before 1970 has number %d and index %d, want -1 and 95", c.number(-1), c.index(c.number(-1)))
	}
	var p profile
	for i := range 96 {
		p.slots.learn(i, float64(i), 1)
	}
	e := &era{calendar: &c}
	for _, x := range []struct {
		at   time.Duration
		want float64
	}{{7*time.Minute + 30*time.Second, 0}, {15 * time.Minute, 0.5}, {22*time.Minute + 30*time.Second, 1}, {0, 47.5}} {
		line := p.segment(e, c.moment(x.at.Milliseconds()))
		if got := line.at(x.at.Milliseconds()); !line.known || math.Abs(got-x.want) > 95.0/4096 {
			t.Errorf("profile at %v = %v, want %v", x.at, got, x.want)
		}
	}
}
