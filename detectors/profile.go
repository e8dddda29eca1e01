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
// time to withhold it.
type profile struct {
	running slotMean
	at      [maxSlots]float32
	known   [maxSlots / 32]uint32
	ended   slotMean // waits to be learnt

	// The last slot learnt, so that a hold can take it back.
	undoNumber int64
	undoValue  float32
	undoKnown  bool
	canUndo    bool

	repeats repeats
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

// repeats weighs whether the course of the day repeats: a regression, slot by
// slot, of how far the values are from their mean over the last hours on how
// far the profile, as it was before the slot was learnt, is from its own.
type repeats struct {
	values, profile float32 // means
	along, square   float64 // of the regression
}

const (
	// courseSeconds is the time constant of the means.
	courseSeconds = 3 * 3600.0
	// repeatsSeconds is the time constant of the regression.
	repeatsSeconds = 4 * 86400.0
	// slopeMost bounds how much more than the profile one slot may say: an outage is no evidence.
	slopeMost = 2
)

// learn takes the mean of a slot and what the profile had there, if known.
func (r *repeats) learn(c calendar, mean, profile float64, known bool) {
	slot := float64(c.slot) / 1000
	if known {
		q := profile - float64(r.profile)
		x := clip(mean-float64(r.values), slopeMost*math.Abs(q))
		g := slot / repeatsSeconds
		r.along += g * (x*q - r.along)
		r.square += g * (q*q - r.square)
	} else {
		profile = mean
	}
	g := min(1, slot/courseSeconds)
	r.values += float32(g * (mean - float64(r.values)))
	r.profile += float32(g * (profile - float64(r.profile)))
}

// share is the slope of the regression, between 0 and 1; noise is what the
// square of the profile must beat.
func (r *repeats) share(noise float64) float64 {
	if !(r.along > 0) {
		return 0
	}
	return min(1, r.along/(r.square+noise))
}

// segment is the profile between two moments at which a slot begins or is
// learnt: a line.
type segment struct {
	from, until  int64   // ms; from is the middle of a slot
	value, slope float64 // at from, and per ms
	known        bool
}

// at is the segment's value at t.
func (g *segment) at(t int64) float64 { return g.value + g.slope*float64(t-g.from) }

// segment returns the line that holds at t.
func (p *profile) segment(c calendar, t int64) segment {
	n := c.number(t)
	i, begin, half := c.index(n), n*c.slot, c.slot/2
	j, g := i+1, segment{from: begin + half, until: begin + c.slot}
	if t < g.from {
		i, j = i-1, i
		g.from, g.until = begin-half, g.from
	}
	if i < 0 {
		i = c.slots - 1
	}
	if j == c.slots {
		j = 0
	}
	if p.has(i) && p.has(j) {
		a, b := float64(p.at[i]), float64(p.at[j])
		g.value, g.slope, g.known = a, (b-a)/float64(c.slot), true
	}
	return g
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
	p.repeats.learn(c, mean, float64(p.at[i]), p.has(i))
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
	if p.undoNumber > maxTime || p.undoNumber < -maxTime {
		return errors.New("its profile is out of range")
	}
	r := &p.repeats
	for _, v := range [...]float32{r.values, r.profile, p.undoValue} {
		if math.Abs(float64(v)) > maxMagnitude {
			return errors.New("its profile is out of range")
		}
	}
	if !(r.square >= 0 && r.square <= 1e80) || math.Abs(r.along) > 1e80 {
		return errors.New("its profile is out of range")
	}
	for _, v := range p.at {
		if math.Abs(float64(v)) > maxMagnitude {
			return errors.New("its profile is out of range")
		}
	}
	return nil
}

// valid bounds what a decoded line can make of a sample's time.
func (g *segment) valid() bool {
	return g.from >= -maxTime && g.from <= maxTime && g.until <= maxTime &&
		math.Abs(g.value) <= maxMagnitude && math.Abs(g.slope) <= maxMagnitude
}
