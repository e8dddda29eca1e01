package incident

import "time"

// pace is the distance of steps, by which a jump of the clock is told from time
// that passed.
type pace struct {
	last  time.Time     // the last step
	usual time.Duration // distance of the steps before it; 0: not known
}

// jumps is how many usual distances of steps two steps lie apart at least where
// the clock jumped or the program stood still.
const jumps = 4

// step takes in the time of a step, and returns how long nobody watched before
// it: less than zero where the clock was set back.
func (p *pace) step(now time.Time) (missed time.Duration) {
	last := p.last
	p.last = now
	if last.IsZero() {
		return 0
	}
	d := now.Sub(last)
	switch {
	case d < 0:
		return d
	case p.usual > 0 && d > jumps*p.usual:
		missed = d - p.usual
	}
	p.usual = d
	if missed > 0 {
		p.usual = 0
	}
	return missed
}

// jumped corrects what a jump of the clock would make look old, or in the
// future. Time in which nobody watched is missing data, which resolves nothing:
// quiet goes on to count behind it. A clock that was set back must not make what
// is new wait until it has caught up.
func (c *Correlator) jumped(now time.Time, missed time.Duration) {
	if missed == 0 {
		return
	}
	for _, t := range c.open {
		if missed > 0 {
			t.asked = earlier(t.asked.Add(missed), now)
			continue
		}
		for _, at := range []*time.Time{&t.Last, &t.asked, &t.since, &t.wanted, &t.sincePg} {
			if !at.IsZero() {
				*at = earlier(*at, now)
			}
		}
	}
	c.began = earlier(c.began, now)
}
