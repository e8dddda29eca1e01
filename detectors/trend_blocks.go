package detectors

import (
	"errors"
	"math"
	"slices"
)

const (
	// maxBlocks are those of two days and the shortest window, and some more.
	maxBlocks = 128
	// subBlocks: a block's value is the median of the means of as many parts.
	subBlocks = 5
	// maxPairs bounds the pairs of blocks of which slopes are taken.
	maxPairs = 64
	// stepDeviations is from how many median deviations on the distance of two neighbours is a step.
	stepDeviations = 6
	// onsetRise is the share of a rise from which on it has begun.
	onsetRise = 0.15
)

// blockSet is a set of kept blocks.
type blockSet [maxBlocks / 32]uint32

// blocks are the values of the last two days and a window, one for each block.
type blocks struct {
	number int64 // of the running block, since 1970
	value  [maxBlocks]float32
	known  blockSet
	usual  blockSet           // those that later days are compared with
	sum    [subBlocks]float64 // of the running block's values times their seconds
	weight [subBlocks]float64 // seconds
}

// keptAt is where a block is kept.
func keptAt(number int64) int {
	i := int(number % maxBlocks)
	if i < 0 {
		i += maxBlocks
	}
	return i
}

func (s *blockSet) put(number int64, in bool) {
	i := keptAt(number)
	s[i/32] &^= 1 << (i % 32)
	if in {
		s[i/32] |= 1 << (i % 32)
	}
}

// has says whether a block that is still kept is in the set.
func (b *blocks) has(s *blockSet, number int64) bool {
	if number >= b.number || number < b.number-maxBlocks {
		return false
	}
	i := keptAt(number)
	return s[i/32]&(1<<(i%32)) != 0
}

// at is the value of a block.
func (b *blocks) at(number int64) float64 { return float64(b.value[keptAt(number)]) }

// add gives a value to a part of the running block.
func (b *blocks) add(x, dt float64, part int) {
	b.sum[part] += x * dt
	b.weight[part] += dt
}

// end ends the running block and begins another; usual says whether later days
// may be compared with it. Values of less than least seconds are not a block.
func (b *blocks) end(next int64, least float64, usual bool) {
	for n := b.number; n < next && n < b.number+maxBlocks; n++ {
		b.known.put(n, false)
		b.usual.put(n, false)
	}
	var means [subBlocks]float64
	n, seconds := 0, 0.0
	for i, w := range b.weight {
		if w > 0 {
			seconds += w
			means[n] = b.sum[i] / w
			n++
		}
	}
	if n > 0 && seconds >= least && next-b.number <= maxBlocks {
		b.value[keptAt(b.number)] = float32(clip(median(means[:n]), maxMagnitude))
		b.known.put(b.number, true)
		b.usual.put(b.number, usual)
	}
	b.number, b.sum, b.weight = next, [subBlocks]float64{}, [subBlocks]float64{}
}

// disown keeps later days from being compared with a block and those after it.
func (b *blocks) disown(from int64) {
	for n := max(from, b.number-maxBlocks); n < b.number; n++ {
		b.usual.put(n, false)
	}
}

// change is how far a block is from the one of the same time some days before.
func (b *blocks) change(number, before int64) (x float64, ok bool) {
	if !b.has(&b.known, number) || !b.has(&b.usual, number-before) {
		return 0, false
	}
	return b.at(number) - b.at(number-before), true
}

// slope is the slope per block over the last count blocks: of the two that are
// left when the course of yesterday, or of the day before, is taken away, the
// smaller one, and zero where they differ in sign. What was unusual on one of
// the two days is no trend of today. likely is their mean, where they agree.
func (b *blocks) slope(perDay, count int) (slope, likely float64, ok bool) {
	one, ok1 := b.slopeSince(int64(perDay), count)
	two, ok2 := b.slopeSince(2*int64(perDay), count)
	switch {
	case !ok1:
		return two, two, ok2
	case !ok2:
		return one, one, true
	case one*two <= 0: // a product too small for a float is no slope either
		return 0, 0, true
	case math.Abs(one) < math.Abs(two):
		return one, (one + two) / 2, true
	}
	return two, (one + two) / 2, true
}

// slopeSince is the median of the slopes between blocks that are a sixth to a
// third of the window apart, when steps are taken away: few of the pairs see
// what is left of one. With missing blocks it is as much less as its error is more.
func (b *blocks) slopeSince(before int64, count int) (slope float64, ok bool) {
	var change [maxPairs]float64
	var in [maxPairs]bool
	count = min(count, maxPairs)
	n := 0
	for i := range count {
		if change[i], in[i] = b.change(b.number-int64(count-i), before); in[i] {
			n++
		}
	}
	if 4*n < 3*count || !in[count-1] {
		return 0, false
	}
	unstep(change[:count], in[:count])
	var pairs [maxPairs]float64
	n = 0
	all, nearest := 0, max(1, count/6)
	for lag := nearest; lag <= max(nearest+1, count/3); lag++ {
		for i := lag; i < count && all < maxPairs; i++ {
			all++
			if in[i] && in[i-lag] {
				pairs[n] = (change[i] - change[i-lag]) / float64(lag)
				n++
			}
		}
	}
	if n == 0 {
		return 0, false
	}
	return median(pairs[:n]) * math.Sqrt(float64(n)/float64(all)), true
}

// unstep takes steps away: where a value is further from the one before than
// stepDeviations median deviations around the median distance, that distance is
// taken instead.
func unstep(x []float64, in []bool) {
	var by, sorted [maxPairs]float64
	n, last := 0, -1
	for i := range x {
		if !in[i] {
			continue
		}
		if last >= 0 {
			by[n] = x[i] - x[last]
			n++
		}
		last = i
	}
	if n == 0 {
		return
	}
	copy(sorted[:n], by[:n])
	middle := median(sorted[:n])
	mean := 0.0
	for i, d := range by[:n] {
		sorted[i] = math.Abs(d - middle)
		mean += sorted[i] / float64(n)
	}
	limit := stepDeviations * median(sorted[:n])
	if limit == 0 { // a staircase: only a lone stair is a step
		limit = stepDeviations * mean
	}
	n, last = 0, -1
	for i := range x {
		if !in[i] {
			continue
		}
		if last >= 0 {
			if math.Abs(by[n]-middle) > limit {
				by[n] = middle
			}
			x[i] = x[last] + by[n]
			n++
		}
		last = i
	}
}

// began is the number of the first block of a rise or fall that goes on: the one
// after the last that is no further than onsetRise of it from the median of the
// window before.
func (b *blocks) began(perDay, count int) int64 {
	var was [maxPairs]float64
	n := 0
	before := int64(perDay)
	count = min(count, maxPairs)
	now, ok := b.change(b.number-1, before)
	if !ok { // what is a day ago was withheld
		before *= 2
		now, ok = b.change(b.number-1, before)
	}
	for i := range count {
		if x, ok := b.change(b.number-int64(count+1+i), before); ok {
			was[n] = x
			n++
		}
	}
	if !ok || n == 0 {
		return b.number - int64(count)
	}
	base := median(was[:n])
	for i := range count {
		x, ok := b.change(b.number-int64(1+i), before)
		if ok && (x-base)*(now-base) <= onsetRise*(now-base)*(now-base) {
			return b.number - int64(i)
		}
	}
	return b.number - int64(count)
}

// median sorts x, which has at least one value.
func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

func (b *blocks) check() error {
	if b.number > maxTime || b.number < -maxTime {
		return errors.New("its blocks are out of range")
	}
	for _, v := range b.value {
		if math.Abs(float64(v)) > maxMagnitude {
			return errors.New("its blocks are out of range")
		}
	}
	for i, w := range b.weight {
		if !(w >= 0 && w <= 1e12) || math.Abs(b.sum[i]) > 1e60 {
			return errors.New("its running block is out of range")
		}
	}
	return nil
}
