package detectors

import "math"

// What some detectors need or say beyond a series' samples. A [Detector] says
// so in its fields Trials, Groups, Absences and Falls.

// A TrialsModel judges a value together with what it is taken of, such as a
// number of events out of a number of trials.
type TrialsModel[S any] interface {
	Model[S]
	// ObserveOf is [TrialsBank]'s ObserveOf for one state.
	ObserveOf(s *S, t int64, v, of float64) Verdict
}

// A TrialsBank is the bank of a detector whose field Trials is set.
type TrialsBank interface {
	Bank
	// ObserveOf is Observe for the value v taken of another one in the same
	// unit, such as failed requests and requests per second. Verdicts are on the
	// share v/of, or on the difference where the options are [OfOptions] that
	// say so. A share of nothing is not learnt and has no score.
	ObserveOf(ref Ref, t int64, v, of float64) Verdict
}

// EventOptions are options that hold the value that one event makes.
type EventOptions interface {
	Options
	// EventOption points to the option; 0 is not known.
	EventOption() *float64
}

// DirectedOptions are options that say by themselves in which directions
// a departure matters.
type DirectedOptions interface {
	Directions() (up, down bool)
}

// RequiredOptions are options without which, unlike with defaults, a detector
// finds nothing.
type RequiredOptions interface {
	Options
	// Required says which options must be set.
	Required() error
}

// OfOptions are options that say what is made of a value and what it is taken of.
type OfOptions interface {
	Options
	// OfDiffers: their difference, not their share.
	OfDiffers() bool
}

// ObserveOf implements [TrialsBank]; a model without trials judges the share.
func (b *bank[S]) ObserveOf(ref Ref, t int64, v, of float64) Verdict {
	if m, ok := b.model.(TrialsModel[S]); ok {
		return m.ObserveOf(b.state(ref), t, v, of)
	}
	if !(of > 0) {
		v = math.NaN()
	}
	return b.Observe(ref, t, v/of)
}

// trials marks a detector that takes trials.
func trials(d Detector) Detector {
	d.Trials = true
	return d
}

// A GroupModel judges the members of a group together.
type GroupModel[S any] interface {
	Model[S]
	// ObserveGroup is [GroupBank]'s ObserveGroup; states are those of the members.
	ObserveGroup(states []*S, t int64, members []Member)
}

// A Member is one series of a group in an evaluation.
type Member struct {
	Ref     Ref
	Value   float64 // NaN: none
	Verdict Verdict // set by ObserveGroup
}

// A GroupBank is the bank of a detector whose field Groups is set.
type GroupBank interface {
	Bank
	// ObserveGroup judges what the members of one group have at the same time t,
	// and learns from it, as Observe does for one series. Each Ref is there once.
	// The order of the members does not matter; a series that is not among them
	// has left the group for the time.
	ObserveGroup(t int64, members []Member)
}

// ObserveGroup implements [GroupBank]; a model without groups judges each
// member by itself.
func (b *bank[S]) ObserveGroup(t int64, members []Member) {
	m, ok := b.model.(GroupModel[S])
	if !ok {
		for i := range members {
			members[i].Verdict = b.Observe(members[i].Ref, t, members[i].Value)
		}
		return
	}
	b.group = b.group[:0]
	for i := range members {
		b.group = append(b.group, b.state(members[i].Ref))
	}
	m.ObserveGroup(b.group, t, members)
}

// groups marks a detector that judges the members of groups together.
func groups(d Detector) Detector {
	d.Groups = true
	return d
}
