package detectors

import (
	"errors"
	"math"
	"time"
)

const (
	minSlots = 24
	maxSlots = 96
	dayMs    = 86400 * 1000
)

// profile is the usual course of a UTC day: one value for each slot, with
// linear interpolation between the slots' middles. Values are relative to the
// series' origin. A slot is learnt in the middle of the next one, when the
// interpolation has left it: the prediction then never jumps, and a hold has
// time to withhold it. While slots are not known, the value stays what it was,
// so that on the first day the level alone predicts.
type profile struct {
	at    [maxSlots]float32
	known [maxSlots / 32]uint32

	running slotMean
	ended   slotMean // waits to be learnt
	carried float64  // the last value

	// The last slot learnt, so that a hold can take it back.
	undoNumber int64
	undoValue  float32
	undoKnown  bool
	canUndo    bool
	inside     bool // the last value was interpolated
}

// slotMean gathers the values of one slot.
type slotMean struct {
	number int64   // of the slot, since 1970
	sum    float64 // of values times their seconds
	weight float64 // seconds
}

// calendar is the fixed part of a profile: the number of slots and how fast
// they learn.
type calendar struct {
	slots int
	slot  int64   // ms
	alpha float64 // share that a day has in the profile
}

// newCalendar takes the wished number of slots and reduces it so that a slot
// has at least two samples, but not below 24.
func newCalendar(slots int, alpha float64, step time.Duration) calendar {
	if most := int(day / (2 * step)); slots > most {
		slots = max(minSlots, most)
	}
	for dayMs%slots != 0 {
		slots--
	}
	return calendar{slots: slots, slot: int64(dayMs / slots), alpha: alpha}
}

// number is the running number of the slot that holds t.
func (c calendar) number(t int64) int64 {
	n := t / c.slot
	if t < n*c.slot {
		n--
	}
	return n
}

// index is a slot number's place in the day.
func (c calendar) index(number int64) int {
	i := int(number % int64(c.slots))
	if i < 0 {
		i += c.slots
	}
	return i
}

// value is the profile at t, and whether it is known there. by is how much it
// differs from the last value because the known part of the day begins here.
func (p *profile) value(c calendar, t int64) (v float64, known bool, by float64) {
	n := c.number(t)
	i := c.index(n)
	x := float64(t-n*c.slot)/float64(c.slot) - 0.5
	j := i + 1
	if x < 0 {
		j, x = i-1, -x
	}
	switch {
	case j < 0:
		j = c.slots - 1
	case j == c.slots:
		j = 0
	}
	if !p.has(i) || !p.has(j) {
		p.inside = false
		return p.carried, false, 0
	}
	a := float64(p.at[i])
	v = a + x*(float64(p.at[j])-a)
	if !p.inside {
		by = v - p.carried
		p.inside = true
	}
	p.carried = v
	return v, true, by
}

func (p *profile) has(i int) bool { return p.known[i/32]&(1<<(i%32)) != 0 }

// enter moves to t and learns the slot before when its time has come. first is
// the time of the first sample: the first days count alike.
func (p *profile) enter(c calendar, t, first int64) {
	n := c.number(t)
	if n != p.running.number {
		p.commit(c, first)
		p.ended = p.running
		p.running = slotMean{number: n}
	}
	if p.ended.weight > 0 && (n > p.ended.number+1 || t-n*c.slot >= c.slot/2) {
		p.commit(c, first)
	}
}

// commit learns the slot that has ended.
func (p *profile) commit(c calendar, first int64) {
	if p.ended.weight == 0 {
		return
	}
	i := c.index(p.ended.number)
	p.undoNumber, p.undoKnown, p.undoValue, p.canUndo = p.ended.number, p.has(i), p.at[i], true
	mean := p.ended.sum / p.ended.weight
	if p.has(i) {
		days := (p.ended.number - c.number(first)) / int64(c.slots)
		mean = float64(p.at[i]) + max(c.alpha, 1/float64(1+max(0, days)))*(mean-float64(p.at[i]))
	}
	p.at[i] = float32(mean)
	p.known[i/32] |= 1 << (i % 32)
	p.ended.weight = 0
}

// add gives a value, relative to the origin, to the running slot.
func (p *profile) add(x, dt float64) {
	p.running.sum += x * dt
	p.running.weight += dt
}

// forget drops the slots that hold samples at or after since, as far as they
// were learnt last.
func (p *profile) forget(c calendar, since int64) {
	p.running.sum, p.running.weight = 0, 0
	if (p.ended.number+1)*c.slot > since {
		p.ended.weight = 0
	}
	if !p.canUndo || (p.undoNumber+1)*c.slot <= since {
		return
	}
	i := c.index(p.undoNumber)
	p.at[i] = p.undoValue
	if !p.undoKnown {
		p.known[i/32] &^= 1 << (i % 32)
	}
	p.canUndo = false
}

func (p *profile) check(c calendar) error {
	for _, m := range [...]slotMean{p.running, p.ended} {
		if m.number > maxTime || m.number < -maxTime || m.weight < 0 || m.weight > 1e12 || math.Abs(m.sum) > 1e60 {
			return errors.New("its slots are out of range")
		}
	}
	if p.undoNumber > maxTime || p.undoNumber < -maxTime || math.Abs(p.carried) > maxMagnitude {
		return errors.New("its profile is out of range")
	}
	for _, v := range p.at {
		if math.Abs(float64(v)) > maxMagnitude {
			return errors.New("its profile is out of range")
		}
	}
	return nil
}
