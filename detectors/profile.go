package detectors

import (
	"errors"
	"math"
)

// profile is the usual course of a local day, and how weekends differ from it:
// one value for each slot, with linear interpolation between the slots' middles.
// Values are relative to the series' origin. A slot is learnt in the middle of
// the next one, when the interpolation has left it: the prediction then never
// jumps, and a hold has time to withhold it.
//
// A slot is the mean over all days, weekends included, with the share part of
// weekends in it, and the contrast of weekends to other days is learnt by the
// same errors. So a weekend is the slot + (1 − part)·contrast, another day the
// slot − part·contrast. Both count only as far as weekly has found that they say
// better what weekends are: without it, all days are alike.
type profile struct {
	running slotMean
	ended   slotMean // waits to be learnt
	repeats repeats  // of the course of the day
	weekly  repeats  // of the contrast
	slots   slots

	undoNumber int64   // of the last slot learnt
	day        int32   // the last one learnt, in local days since 1970
	part       float32 // of weekends in the slots, before that day
	seen       float32 // squared departures of weekends from part, over the days that are remembered
}

// slotMean gathers the values of one slot.
type slotMean struct {
	sum    float64 // of values times their seconds
	weight float64 // seconds
	number int64   // of the slot, since 1970
}

// begin takes the first sample's time.
func (p *profile) begin(c *calendar, local int64) {
	p.running.number = c.number(local)
	_, day := c.split(p.running.number)
	p.day = int32(day)
}

// era is what a profile is learnt and read by beside itself.
type era struct {
	*calendar
	first int64   // of the series, on the local clock in ms
	share float64 // of the contrast that counts
}

// gain is the share that a slot's new mean has in it, at a time in ms on the
// local clock: the first days count alike.
func (e *era) gain(local int64) float64 {
	if float64(local-e.first)*e.alpha > dayMs {
		return e.alpha
	}
	days := max(0, (local-e.first)/dayMs)
	return max(e.alpha, 1/float64(1+days))
}

// departure is how far a weekend or another day is from the mean of the days
// that a slot has learnt, before it learns the given day.
func (p *profile) departure(e *era, day int64, weekend bool) float64 {
	part := float64(p.part)
	if day > int64(p.day) {
		part = p.partAfter(e)
	}
	if weekend {
		return 1 - part
	}
	return -part
}

// partAfter is the share of weekends with the last day learnt.
func (p *profile) partAfter(e *era) float64 {
	part, day := float64(p.part), int64(p.day)
	weekend := 0.0
	if e.isWeekend(day) {
		weekend = 1
	}
	return part + e.gain(day*dayMs+dayMs/2)*(weekend-part)
}

// at is the usual value in slot i before it learns the given day, on a weekend
// or another day.
func (p *profile) at(e *era, i int, day int64, weekend bool) float64 {
	at := p.slots.at(i)
	if e.share > 0 {
		at += e.share * p.departure(e, day, weekend) * p.slots.contrast(i)
	}
	return clip(at, maxMagnitude)
}

// segment is the profile between two moments at which a slot begins or is
// learnt: a line.
type segment struct {
	until int64   // ms
	value float64 // there
	slope float64 // per ms
	known bool
	on    bool // the line goes on for half a slot more: until is where a slot ends
}

func (g *segment) at(t int64) float64 { return g.value - g.slope*float64(g.until-t) }

// segment is the line at a time; it ends no later than the offset of the clock.
// At midnight into or out of the weekend it leaves one day's course for the
// other's, since what differs may do so from one sample to the next.
func (p *profile) segment(e *era, at moment) segment {
	n := e.number(at.local)
	i, day := e.split(n)
	weekend := e.share > 0 && e.isWeekend(day)
	begin, half := n*e.slot, e.slot/2
	from, until := begin+half, begin+e.slot
	if at.local < from {
		i, from, until = i-1, begin-half, from
	}
	if i < 0 {
		i, day = e.calendar.slots-1, day-1
	}
	j, next := i+1, day
	if j == e.calendar.slots {
		j, next = 0, day+1
	}
	g := segment{until: min(until-at.offset, at.change)}
	g.on = at.local >= begin+half && j != 0 && g.until < at.change
	if p.slots.has(i) && p.slots.has(j) {
		a, b := p.at(e, i, day, weekend), p.at(e, j, next, weekend)
		g.slope, g.known = (b-a)/float64(e.slot), true
		g.value = a + g.slope*float64(g.until+at.offset-from)
	}
	return g
}

// extend lets the line go on by half a slot.
func (g *segment) extend(half int64) {
	g.value += g.slope * float64(half)
	g.until += half
	g.on = false
}

// pass moves to slot n where nothing waits to be learnt, and says whether it did.
func (p *profile) pass(n int64) bool {
	if p.ended.weight > 0 {
		return false
	}
	p.ended, p.running = p.running, slotMean{number: n}
	return true
}

// enter moves to a local time and learns the slot before when its time has come.
func (p *profile) enter(e *era, local int64) {
	n := e.number(local)
	if n != p.running.number {
		p.commit(e)
		p.ended = p.running
		p.running = slotMean{number: n}
	}
	if p.ended.weight > 0 && (n != p.ended.number+1 || local-n*e.slot >= e.slot/2) {
		p.commit(e)
	}
}

// commit learns the slot that has ended.
func (p *profile) commit(e *era) {
	if p.ended.weight == 0 {
		return
	}
	number := p.ended.number
	i, day := e.split(number)
	p.turn(e, day)
	p.slots.save(i)
	p.undoNumber = number
	mean := clip(p.ended.sum/p.ended.weight, maxMagnitude)
	p.ended.weight = 0
	if !p.slots.has(i) {
		p.repeats.learn(e.slot, mean, mean, false)
		p.slots.learn(i, mean, 1)
		return
	}
	weekend := e.isWeekend(day)
	p.repeats.learn(e.slot, mean, p.at(e, i, day, weekend), true)
	was, h := p.slots.at(i), p.departure(e, day, weekend)
	contrast := p.slots.contrast(i)
	// What a weekend teaches of itself is no evidence before another one came.
	counts := weekend && day*dayMs-e.first > 6*dayMs
	p.weekly.learn(e.slot, mean-was, h*contrast, counts)
	p.slots.learn(i, mean, e.gain((number+1)*e.slot-1))
	if h != 0 {
		// Recursive least squares of one regressor, h.
		p.slots.learnContrast(i, contrast+h*(mean-was-h*contrast)/(float64(p.seen)+h*h), 1)
	}
}

// turn begins another day of learning.
func (p *profile) turn(e *era, day int64) {
	if day == int64(p.day) {
		return
	}
	h := p.departure(e, int64(p.day), e.isWeekend(int64(p.day)))
	p.seen = float32(min(float64(p.seen)+h*h, 1/e.alpha))
	p.part = float32(p.partAfter(e))
	p.day = int32(day)
	p.slots.fit(e.calendar.slots)
}

// add gives a value, relative to the origin, to the running slot.
func (p *profile) add(x, dt float64) {
	p.running.sum += x * dt
	p.running.weight += dt
}

// forget drops the slots that hold samples at or after a local time, as far as
// they were learnt last.
func (p *profile) forget(c *calendar, since int64) {
	p.running.sum, p.running.weight = 0, 0
	if (p.ended.number+1)*c.slot > since {
		p.ended.weight = 0
	}
	if p.slots.canUndo && (p.undoNumber+1)*c.slot > since {
		p.slots.undo(c.index(p.undoNumber))
	}
}

func (p *profile) check() error {
	for _, m := range [...]slotMean{p.running, p.ended} {
		if m.number > maxTime || m.number < -maxTime || m.weight < 0 || m.weight > 1e12 || math.Abs(m.sum) > 1e60 {
			return errors.New("its slots are out of range")
		}
	}
	if p.undoNumber > maxTime || p.undoNumber < -maxTime || !p.repeats.valid() || !p.weekly.valid() ||
		!(p.part >= 0 && p.part <= 1) || !(p.seen >= 0 && p.seen <= 1e6) {
		return errors.New("its profile is out of range")
	}
	return p.slots.check()
}

// valid bounds what a decoded line can make of a sample's time.
func (g *segment) valid() bool {
	return g.until <= maxTime && math.Abs(g.value) <= 2*maxMagnitude && math.Abs(g.slope) <= maxMagnitude
}
