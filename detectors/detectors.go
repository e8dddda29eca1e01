// Package detectors holds Foreshock's streaming models of one series each:
// a sample goes in, a verdict on how rare it is comes out.
//
// A [Detector] is a value: a name, its documentation, typed options with
// defaults, and a constructor. The constructor returns a [Bank], which holds
// the states of all series of one rule in flat memory that the garbage
// collector does not walk. A bank never reads a clock; the time of a sample is
// part of the sample.
//
// Scores have one unit for every detector and metric: 1 means exactly as rare
// as the rule's false-alarm [Budget] allows for one series, and each further
// unit is a factor of ten rarer. Scores are unbounded above.
package detectors

import (
	"time"
)

// A Ref names the state of one series in a [Bank]. Refs are dense and reused
// after Remove.
type Ref uint32

// Verdict is what a detector says of one sample.
type Verdict struct {
	Value    float64 // the sample itself
	Expected float64 // what the model expected, in the unit of the value; NaN while it does not know
	Lower    float64 // the band in which Score stays below 1; NaN while unknown
	Upper    float64
	Score    float64 // how rare: 1 = as rare as the budget allows, +1 per factor of ten rarer; NaN while unknown

	Onset int64 // first departing sample of the running departure, Unix milliseconds; 0 when there is none
	// Earliest and Latest are when a limit is reached if a trend goes on, Unix
	// milliseconds; 0 = not known, or never.
	Earliest, Latest int64
	Learnt           uint32 // samples the model has learnt from
	Kind             Kind
	// Silence says more of KindSilence.
	Silence SilenceKind
	Up      bool // value is above Expected
	Doubts  Doubt
}

// Kind says in which way a series departs.
type Kind uint8

const (
	KindNone    Kind = iota
	KindSpike        // a short departure from the expected value
	KindShift        // a new level
	KindSilence      // nothing, or zero
	KindLimit        // beyond a known limit
	KindTrend        // a drift that goes on
	KindPeer         // unlike the other members of its group
)

// Doubt is a set of reasons why a verdict is less sure than its score.
type Doubt uint16

const (
	DoubtWarmingUp    Doubt = 1 << iota // too few samples for any score
	DoubtShortHistory                   // less history than the budget's period: the score is relative to the observed span
	DoubtAfterGap                       // the first samples after a gap
	DoubtConstant                       // the series never varied before
	DoubtHeld                           // learning is withheld
	DoubtPartial                        // the data behind the value are incomplete (set by callers)
	DoubtInherited                      // judged by what others of the series' group have taught (set by callers too)
	DoubtFewPeers                       // too few members of its group to compare it with
)

// Budget is the false-alarm budget of one series: Events in every Per.
type Budget struct {
	Events float64
	Per    time.Duration
}

// Conditions are what a detector must know of the rule that it serves.
type Conditions struct {
	Budget Budget
	// Step is the usual distance of two samples, more than zero. A gap is
	// more than three steps.
	Step time.Duration
}

// Detector describes one kind of model. See [All] for the catalogue.
type Detector struct {
	Name string
	// Doc is the documentation; its first line is the title.
	Doc string
	// Options returns a pointer to a new options struct filled with defaults.
	// Its fields have yaml tags; durations are time.Duration.
	Options func() Options
	// New makes a bank; opts comes from Options and has been validated.
	New func(opts Options, c Conditions) (Bank, error)

	// Trials: it judges values together with what they are taken of; its bank is
	// a [TrialsBank].
	Trials bool
	// Groups: it judges the members of groups together; its bank is a [GroupBank].
	Groups bool
	// Absences: a sample of NaN tells it that the series is missing at that
	// time, and is judged.
	Absences bool
	// Falls: what it finds is trouble downwards, whatever is measured.
	Falls bool
}

// Options are the typed options of a detector.
type Options interface {
	// Validate says what is wrong with the options and what to do.
	Validate() error
}

// Bank holds the states of many series of one rule. It is not safe for
// concurrent use.
type Bank interface {
	// Add makes a fresh state.
	Add() Ref
	// Remove forgets a state; its memory is reused.
	Remove(Ref)
	// Len returns how many states are in use.
	Len() int
	// StateSize returns the bytes one state takes in memory.
	StateSize() int

	// Observe judges the sample v at t (Unix milliseconds) and learns from it,
	// unless learning is withheld. Samples not later than the last one, NaN
	// and infinities are not learnt and return a verdict without a score; to
	// detectors of absences, NaN is a missing sample.
	Observe(ref Ref, t int64, v float64) Verdict
	// Hold withholds learning: what was learnt from samples at or after since
	// (Unix milliseconds) is forgotten as far as the detector can, and nothing
	// is learnt until Release. Holding a held state again changes nothing.
	Hold(ref Ref, since int64)
	// Release ends a hold. With accept the present level becomes the normal one.
	Release(ref Ref, accept bool)

	// Inherit lets a state that has seen a few samples begin with what others of
	// its group learnt: the course of the day, the scale and the rarity of
	// departures of the first member, without running departures and holds. Its
	// level is the median of the members', or with own that of its own samples,
	// with what it inherits in proportion.
	// It returns false, and changes nothing, where the detector cannot or the
	// first member has learnt too little.
	Inherit(ref Ref, members []Ref, own bool) bool

	// AppendState appends the encoding of a state to b.
	AppendState(b []byte, ref Ref) []byte
	// SetState replaces a state by a decoded one. On an error the state is
	// unchanged. It never allocates by what the bytes say.
	SetState(ref Ref, b []byte) error
}
