package detectors

import (
	"math"
	"slices"
)

// An Inheritor is a model whose states can begin with what other series learnt.
type Inheritor[S any] interface {
	// Inherit is [Bank]'s Inherit for one state; members is not empty. It must
	// not change the members, and leave s alone when it returns false.
	Inherit(s *S, members []*S, own bool) bool
}

// Inherit implements [Bank]; a model that is no [Inheritor] inherits nothing.
func (b *bank[S]) Inherit(ref Ref, members []Ref, own bool) bool {
	m, ok := b.model.(Inheritor[S])
	if !ok || len(members) == 0 {
		return false
	}
	from := make([]*S, len(members))
	for i, r := range members {
		from[i] = b.state(r)
	}
	return m.Inherit(b.state(ref), from, own)
}

// Inherit implements [Bank].
func (b *meanBank) Inherit(ref Ref, members []Ref, own bool) bool {
	any := false
	from := make([]Ref, len(members))
	for i, p := range b.parts {
		for k, r := range members {
			from[k] = b.of(r)[i]
		}
		any = p.Inherit(b.of(ref)[i], from, own) || any
	}
	return any
}

// inheritedShare is what an inherited scale counts, in time constants: the
// series' own takes over within hours.
const inheritedShare = 0.1

// mostFactor bounds how many times the first member's level an heir's own may be
// for it to be of the same shape.
const mostFactor = 1000

// heirPlace is where an heir is, seen from the first member: so many times it,
// and so far from that; and how far the members are from their median.
type heirPlace struct{ factor, shift, spread float64 }

// placeOf takes the levels of the members, the first member's first, and the
// heir's own. A share of the same traffic has the same course, times the share.
func (f transform) placeOf(levels []float64, mine float64, own bool) heirPlace {
	first := levels[0]
	if own {
		if by := mine / first; !f.log && first > 0 && by >= 1.0/mostFactor && by <= mostFactor {
			return heirPlace{factor: by}
		}
		return heirPlace{factor: 1, shift: mine - first}
	}
	sorted := slices.Sorted(slices.Values(levels))
	n := len(sorted)
	middle := (sorted[(n-1)/2] + sorted[n/2]) / 2
	return heirPlace{factor: 1, shift: middle - first, spread: max(middle-sorted[0], sorted[n-1]-middle)}
}

// times multiplies numbers, within what a state may hold.
func times(by float64, numbers ...*float64) {
	for _, x := range numbers {
		*x = clip(*x*by, maxMagnitude)
	}
}

func times32(by float64, numbers []float32) {
	for i := range numbers {
		numbers[i] = float32(clip(float64(numbers[i])*by, maxMagnitude))
	}
}

// multiply makes a profile that of a series of so many times the size.
func (p *profile) multiply(by float64) {
	times(by, &p.running.sum, &p.ended.sum)
	p.repeats.multiply(by)
	p.weekly.multiply(by)
	p.slots.multiply(by)
}

func (r *repeats) multiply(by float64) {
	r.values, r.course = float32(clip(float64(r.values)*by, maxMagnitude)), float32(clip(float64(r.course)*by, maxMagnitude))
	times(by*by, &r.along, &r.square)
}

// multiply takes a factor above 0.
func (s *slots) multiply(by float64) {
	times(by, &s.base)
	if s.quantum > 0 {
		s.quantum = max(leastQuantum, min(s.quantum*by, maxMagnitude/(mostSteps*mostSteps)))
	}
	s.canUndo = false
}

func (s *scale) multiply(by float64) { times(by, &s.clipped, &s.raw, &s.fast) }

// widen makes an inherited scale count little, and at least as wide as the
// members differ among each other.
func (s *scale) widen(spread float64) {
	s.fade(inheritedShare)
	s.fastWeight = min(s.fastWeight, gain(inheritedShare, 1))
	by := spread / madToSigma
	s.clipped = min(maxMagnitude, math.Hypot(s.clipped, by))
	s.raw = min(maxMagnitude, math.Hypot(s.raw, by))
}

// heir is the clock of a series that goes on with what another one learnt:
// its own but for the time since when it is learnt.
func (c clock) heir(of clock) clock {
	c.first = min(c.first, of.first)
	if c.spacing == 0 {
		c.spacing = of.spacing
	}
	return c
}

// settled is what was learnt but for a departure that runs.
func (s *residualState) settled() learnt {
	now := s.now
	if s.isSaved && s.departure.running {
		s.saved.restore(&now)
	}
	now.episodes.peak = 0
	return now
}

// Inherit implements [Inheritor]: the profile, the scale and the rarity of
// departures are those of the first member.
func (m *residualModel) Inherit(s *residualState, members []*residualState, own bool) bool {
	from := members[0]
	if s.clock.samples < 2 || s.now.level.weight == 0 || from.residuals < warmUp || from.now.level.weight == 0 {
		return false
	}
	t := s.clock.last
	// Levels are compared at the same time of the day.
	course := func(o *residualState, now *learnt) float64 {
		line := m.line(o, t)
		if !line.known {
			return 0
		}
		return o.share * (line.at(t) - now.level.course)
	}
	var levels []float64
	for _, o := range members {
		if o.residuals >= warmUp && o.now.level.weight > 0 {
			now := o.settled()
			levels = append(levels, o.origin+now.level.mean+course(o, &now))
		}
	}
	p := m.transform.placeOf(levels, s.origin+s.now.level.mean, own)
	heir := residualState{
		clock: s.clock.heir(from.clock), low: from.low, high: from.high, share: from.share, termsEnd: t,
		now: from.settled(), residuals: from.residuals, varied: from.varied, profiled: from.profiled, profile: from.profile,
	}
	heir.origin = clip(p.factor*from.origin+p.shift, maxMagnitude)
	if p.factor != 1 {
		times(p.factor, &heir.low, &heir.high, &heir.now.level.mean, &heir.now.level.course)
		heir.now.scale.multiply(p.factor)
		heir.profile.multiply(p.factor)
	}
	line := m.line(&heir, t)
	heir.line = segment{until: t, value: line.at(t), known: from.line.known} // a new one is due
	newest := s.origin + s.newest.mean - heir.origin - course(&heir, &heir.now)
	heir.newest = level{mean: clip(newest, maxMagnitude), weight: s.newest.weight}
	heir.now.scale.widen(p.spread)
	*s = heir
	return true
}

// departs says whether what was learnt before a running departure is saved.
func (s *innovation) departs() bool { return s.isSaved && s.departure.running }

func (s *seasonState) settled() holt {
	if s.innovation.departs() {
		return s.saved
	}
	return s.now
}

func (s *ewmaState) settled() level {
	if s.innovation.departs() {
		return s.saved
	}
	return s.level
}

// inherit hands on the scale and the rarity of departures.
func (s *innovation) inherit(from *innovation, p heirPlace) {
	heir := innovation{
		clock: s.clock.heir(from.clock), origin: clip(p.factor*from.origin+p.shift, maxMagnitude),
		scale: from.scale, episodes: from.episodes, residuals: from.residuals, varied: from.varied,
	}
	if from.departs() {
		heir.scale = from.savedScale
	}
	heir.episodes.peak = 0
	heir.scale.multiply(p.factor)
	heir.scale.widen(p.spread)
	*s = heir
}

// Inherit implements [Inheritor]: season and scale are those of the first member.
func (m *seasonModel) Inherit(s *seasonState, members []*seasonState, own bool) bool {
	from := members[0]
	if s.innovation.clock.samples < 2 || from.innovation.residuals < warmUp || !from.begun {
		return false
	}
	// The heir has no season yet: its level is compared at the same time of the day.
	i, j, x := m.slots(s.innovation.clock.last)
	at := func(o *seasonState) float64 {
		whole := o.innovation.origin + o.settled().level
		if o.begun {
			whole += (1-x)*float64(o.season[i]) + x*float64(o.season[j])
		}
		return whole
	}
	var levels []float64
	for _, o := range members {
		if o.innovation.residuals >= warmUp {
			levels = append(levels, at(o))
		}
	}
	mine := at(s)
	heir := seasonState{
		season: from.season, seen: from.seen, begun: true, now: holt{level: from.settled().level}, newest: from.settled().level,
	}
	heir.innovation = s.innovation
	p := m.transform.placeOf(levels, mine, own)
	times32(p.factor, heir.season[:])
	times(p.factor, &heir.now.level, &heir.newest)
	heir.innovation.inherit(&from.innovation, p)
	*s = heir
	return true
}

// Inherit implements [Inheritor]: the scale is that of the first member.
func (m *ewmaModel) Inherit(s *ewmaState, members []*ewmaState, own bool) bool {
	from := members[0]
	if s.innovation.clock.samples < 2 || from.innovation.residuals < warmUp {
		return false
	}
	whole := func(o *ewmaState) float64 { return o.innovation.origin + o.settled().mean }
	var levels []float64
	for _, o := range members {
		if o.innovation.residuals >= warmUp {
			levels = append(levels, whole(o))
		}
	}
	p := m.transform.placeOf(levels, whole(s), own)
	heir := ewmaState{innovation: s.innovation, level: from.settled(), newest: from.settled().mean}
	times(p.factor, &heir.level.mean, &heir.newest)
	heir.innovation.inherit(&from.innovation, p)
	*s = heir
	return true
}

// Inherit implements [Inheritor]. The level of late begins anew: it is drawn to
// what the hour of the day leads to expect by few events anyway.
func (m *rateModel) Inherit(s *rateState, members []*rateState, _ bool) bool {
	from := members[0]
	if s.clock.samples < 2 || from.residuals < warmUp {
		return false
	}
	heir := rateState{
		clock: s.clock.heir(from.clock), event: from.event, slots: from.slots, running: from.running, slot: from.slot,
		now: from.now, residuals: from.residuals,
	}
	if from.isSaved && from.departure.running {
		heir.now = from.saved
	}
	if s.event > 0 && (heir.event == 0 || s.event < heir.event) {
		heir.event = s.event
	}
	heir.now.level, heir.now.episodes.peak = tally{}, 0
	heir.saved = heir.now
	*s = heir
	return true
}

// Inherit implements [Inheritor]: a relation does not depend on how much traffic
// a member has, so its level is always the group's.
func (m *edgeModel) Inherit(s *edgeState, members []*edgeState, _ bool) bool {
	from := make([]*residualState, len(members))
	for i, o := range members {
		from[i] = &o.relation
	}
	return m.residual.Inherit(&s.relation, from, false)
}
