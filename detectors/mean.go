package detectors

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxParts bounds the detectors of a mean.
const maxParts = 8

// A Part is a detector of a mean, with its validated options.
type Part struct {
	Detector Detector
	Options  Options
}

// MeanOptions are the options of a detector that [Mean] makes.
type MeanOptions struct {
	Parts []Part
}

// Validate implements [Options].
func (o *MeanOptions) Validate() error {
	var errs []error
	for i, p := range o.Parts {
		if err := p.Options.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("part %d, %s: %w", i+1, p.Detector.Name, err))
		}
	}
	return errors.Join(errs...)
}

// String returns the parts with their options: states are compared by it.
func (o MeanOptions) String() string {
	texts := make([]string, len(o.Parts))
	for i, p := range o.Parts {
		texts[i] = p.Detector.Name + printed(p.Options)
	}
	return strings.Join(texts, ", ")
}

// Mean makes a detector that has each sample judged by several and takes the
// mean of their scores: two to eight detectors of a series' samples. The order
// of the parts decides ties only, but belongs to the encoding of states.
//
// A score is the logarithm of a rarity, so the mean is that of the geometric
// mean of the parts' rarities. Parts without a score yet are left out. Expected
// value and band are the means of the parts'; side, kind and onset those of the
// part with the highest score, the one that says most of what happens.
func Mean(parts ...Part) (Detector, error) {
	if len(parts) < 2 || len(parts) > maxParts {
		return Detector{}, fmt.Errorf("a mean is taken of 2 to %d detectors, not of %d", maxParts, len(parts))
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Detector.Name
		if why := p.unfit(); why != "" {
			return Detector{}, fmt.Errorf("detector %s has no place in a mean: %s; give it a rule of its own", p.Detector.Name, why)
		}
		same := func(q Part) bool {
			return q.Detector.Name == p.Detector.Name && printed(q.Options) == printed(p.Options)
		}
		if slices.ContainsFunc(parts[:i], same) {
			return Detector{}, fmt.Errorf("detector %s is there twice with the same options: leave one out", p.Detector.Name)
		}
	}
	name := "mean(" + strings.Join(names, ", ") + ")"
	return Detector{
		Name:    name,
		Doc:     "The mean of the scores of " + strings.Join(names, ", ") + ".",
		Options: func() Options { return &MeanOptions{Parts: slices.Clone(parts)} },
		New: func(opts Options, c Conditions) (Bank, error) {
			o, ok := opts.(*MeanOptions)
			if !ok || len(o.Parts) != len(parts) {
				return nil, fmt.Errorf("detector %s: options are a %T, not its own; make them with its Options function", name, opts)
			}
			return newMeanBank(name, o, c)
		},
	}, nil
}

// unfit says why a detector has no place in a mean; empty: it has one.
func (p Part) unfit() string {
	_, directed := p.Options.(DirectedOptions)
	switch {
	case p.Detector.Trials:
		return "it judges values together with what they are taken of"
	case p.Detector.Absences:
		return "it judges missing samples, of which the others know nothing"
	case p.Detector.Groups:
		return "it judges the members of a group together"
	case directed:
		return "a known limit is no matter of rarity"
	}
	return ""
}

// meanState is what a mean knows of a series beside the states of its parts.
type meanState struct {
	onset int64 // ms; of the running departure of the mean; 0 = none
	up    bool
}

// meanBank judges by several banks. The states of a series have a ref of their
// own in each of them.
type meanBank struct {
	own   *bank[meanState]
	parts []Bank
	refs  []Ref // of the parts, those of a series side by side
	// verdicts is scratch.
	verdicts []Verdict
}

func newMeanBank(name string, o *MeanOptions, c Conditions) (Bank, error) {
	b := &meanBank{verdicts: make([]Verdict, len(o.Parts))}
	for _, p := range o.Parts {
		part, err := p.Detector.New(p.Options, c)
		if err != nil {
			return nil, fmt.Errorf("detector %s: %w", name, err)
		}
		b.parts = append(b.parts, part)
	}
	codec, err := newCodec[meanState](name, shape(o, c))
	if err != nil {
		return nil, err
	}
	b.own = &bank[meanState]{model: meanModel{}, codec: codec}
	return b, nil
}

// of returns the refs of a series' states in the parts.
func (b *meanBank) of(ref Ref) []Ref {
	n := len(b.parts)
	return b.refs[int(ref)*n : int(ref)*n+n]
}

func (b *meanBank) Add() Ref {
	ref := b.own.Add()
	if n := (int(ref) + 1) * len(b.parts); n > len(b.refs) {
		b.refs = append(b.refs, make([]Ref, n-len(b.refs))...)
	}
	for i, r := 0, b.of(ref); i < len(r); i++ {
		r[i] = b.parts[i].Add()
	}
	return ref
}

func (b *meanBank) Remove(ref Ref) {
	b.own.Remove(ref)
	for i, r := range b.of(ref) {
		b.parts[i].Remove(r)
	}
}

func (b *meanBank) Len() int { return b.own.Len() }

func (b *meanBank) StateSize() int {
	n := b.own.StateSize() + 4*len(b.parts)
	for _, p := range b.parts {
		n += p.StateSize()
	}
	return n
}

func (b *meanBank) Observe(ref Ref, t int64, v float64) Verdict {
	s := b.own.state(ref)
	for i, r := range b.of(ref) {
		b.verdicts[i] = b.parts[i].Observe(r, t, v)
	}
	return s.combine(b.verdicts, t)
}

// combine makes one verdict of those of the parts.
func (s *meanState) combine(parts []Verdict, t int64) Verdict {
	nan := math.NaN()
	out := Verdict{Value: parts[0].Value, Learnt: math.MaxUint32}
	lead := parts[0]
	var score, expected, lower, upper average
	departs := false
	for i := range parts {
		p := &parts[i]
		out.Learnt = min(out.Learnt, p.Learnt)
		out.Doubts |= p.Doubts
		departs = departs || p.Onset != 0
		if math.IsNaN(p.Score) {
			continue
		}
		if score.n == 0 || p.Score > lead.Score {
			lead = *p
		}
		score.add(p.Score)
		expected.add(p.Expected)
		lower.add(p.Lower)
		upper.add(p.Upper)
	}
	if score.n == 0 {
		for i := range parts { // what some expect already
			expected.add(parts[i].Expected)
		}
		out.Expected, out.Lower, out.Upper, out.Score = expected.mean(), nan, nan, nan
		out.Up = out.Value > out.Expected
		return out
	}
	out.Doubts &^= DoubtWarmingUp
	out.Score, out.Expected, out.Lower, out.Upper = score.mean(), expected.mean(), lower.mean(), upper.mean()
	out.Up = lead.Up
	s.follow(lead, departs, out.Score, t)
	if out.Onset = s.onset; out.Onset != 0 {
		out.Kind = lead.Kind
		if out.Kind == KindNone { // another one's departure lasts
			for i := range parts {
				out.Kind = max(out.Kind, parts[i].Kind)
			}
		}
	}
	return out
}

// follow keeps the onset of the mean's departure. It begins when the mean
// reaches 1, where the leading part's began, and lasts until no part departs.
func (s *meanState) follow(lead Verdict, departs bool, score float64, t int64) {
	switch {
	case score >= 1 && (s.onset == 0 || lead.Up != s.up):
		s.onset, s.up = t, lead.Up
		if lead.Onset != 0 {
			s.onset = lead.Onset
		}
	case score < 1 && !departs:
		s.onset = 0
	}
}

// average is a mean of known numbers.
type average struct{ sum, n float64 }

func (a *average) add(v float64) {
	if !math.IsNaN(v) {
		a.sum, a.n = a.sum+v, a.n+1
	}
}

func (a *average) mean() float64 {
	if a.n == 0 {
		return math.NaN()
	}
	return a.sum / a.n
}

func (b *meanBank) Hold(ref Ref, since int64) {
	for i, r := range b.of(ref) {
		b.parts[i].Hold(r, since)
	}
}

func (b *meanBank) Release(ref Ref, accept bool) {
	for i, r := range b.of(ref) {
		b.parts[i].Release(r, accept)
	}
	if accept {
		b.own.state(ref).onset = 0
	}
}
