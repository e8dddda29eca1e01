package rules

import (
	"math"

	"github.com/foreshock/foreshock/detectors"
)

// What the series that have the labels `by` in common do together.

const (
	// groupShare of what a group usually does must be there for it to do without a
	// member, or with less of one.
	groupShare = 0.8
	// Time constants of what a group usually does, in seconds: while it does it, and while it falls short.
	groupLevel, groupLevelShort = 3600.0, 86400.0
)

// group is what is known of the series that have the labels `by` in common.
type group struct {
	usual float64 // its sum, or how many there are
	seen  int64   // ms; last evaluation with a member
	now   float64 // in the present evaluation
	round int32   // of now
}

// watchGroups brings the groups up to date, before anything is judged.
func (d *Detection) watchGroups(t int64) {
	names, st := d.spec.By, d.states
	if len(names) == 0 || d.spec.Detector.Groups || (!d.spec.Detector.Absences && d.spec.Signal != Traffic) {
		return
	}
	if st.groups == nil {
		st.groups = map[uint64]*group{}
	}
	var buf []byte
	var present []*group
	for _, s := range st.sorted {
		if s.round != st.round || math.IsNaN(s.value) {
			continue
		}
		hash := hashOf(&buf, s.input, names)
		g := st.groups[hash]
		if g == nil {
			g = &group{usual: math.NaN()}
			st.groups[hash] = g
		}
		if g.round != st.round {
			g.round, g.now = st.round, 0
			present = append(present, g)
		}
		if d.spec.Signal == Traffic {
			g.now += s.value
		} else {
			g.now++
		}
	}
	for _, g := range present {
		seconds := d.o.interval.Seconds()
		if g.seen != 0 {
			seconds = float64(t-g.seen) / 1000
		}
		g.seen = t
		if math.IsNaN(g.usual) {
			g.usual = g.now
			continue
		}
		tau := groupLevel
		if g.now < groupShare*g.usual {
			tau = groupLevelShort
		}
		g.usual += -math.Expm1(-seconds/tau) * (g.now - g.usual)
	}
	for hash, g := range st.groups {
		if t-g.seen > d.o.forgetAfter.Milliseconds() {
			delete(st.groups, hash)
		}
	}
}

// covered says whether the group of a series does what it usually does, though
// the series does less than it did, or nothing, or with up more.
func (d *Detection) covered(s *series, up bool) bool {
	var buf []byte
	names, st := d.spec.By, d.states
	if len(names) == 0 {
		return false
	}
	g := st.groups[hashOf(&buf, s.input, names)]
	switch {
	case g == nil || g.round != st.round:
		return false
	case d.spec.Signal != Traffic:
		return true
	case up:
		return g.now*groupShare <= g.usual
	}
	return g.now >= groupShare*g.usual
}

// shared says whether a departure is a matter of how the members share their
// traffic: the group as a whole has what it usually has. To a detector of groups
// that is what it looks for.
func (d *Detection) shared(s *series, v detectors.Verdict) bool {
	return d.spec.Signal == Traffic && !d.spec.Detector.Absences && !d.spec.Detector.Groups && d.covered(s, v.Up)
}
