package rules

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/detectors"
)

// New members of a group (pods, versions) begin with what the group learnt.

const (
	// joinAfter, and at least joinSamples, is how long a new member is only
	// watched: what starts up is no picture of what it will be.
	joinAfter   = 2 * time.Minute
	joinSamples = 3
	// maxWindow bounds the ranges of an expression that are waited for.
	maxWindow = time.Hour
	// handOnAfter is how long a member must have learnt: a course of the day
	// takes a day.
	handOnAfter = 24 * time.Hour
	// inheritedFor is how long verdicts say that they rest on what others
	// showed; then the series has a day of its own.
	inheritedFor = 24 * time.Hour
	// mostElders bounds the members that one inherits from.
	mostElders = 16
)

// descent is from whom a series learnt.
type descent struct {
	born int64 // ms; its first sample
	root int64 // ms; since when it, or the series it inherited from, has been learning
	// joining: it may still inherit; young counts its samples till then.
	joining bool
	young   uint8
}

// inherited says whether what is known of a series is mostly that of others.
func (d descent) inherited(t int64) bool {
	return d.root < d.born && t-d.born < inheritedFor.Milliseconds()
}

// inherit lets the members of the present evaluation that are new, and have
// been watched for long enough, begin with what their groups learnt. It runs
// before their samples are judged.
func (d *Detection) inherit(t int64) {
	st := d.states
	if st.joining == 0 {
		return
	}
	own := d.spec.Signal == Traffic // is divided among the members; what else is measured is alike
	window := time.Duration(0)
	if own {
		window = d.window
	}
	var buf []byte
	ready := map[uint64][]*series{}
	for _, s := range st.sorted {
		if !s.joining || s.round != st.round || s.held || math.IsNaN(s.value) {
			continue
		}
		if s.young == 0 && t-s.born < window.Milliseconds() {
			continue
		}
		if s.young == 0 && window > 0 {
			// What it had before was that of windows which it did not fill.
			st.bank.Remove(s.ref)
			s.ref = st.bank.Add()
		}
		if s.young >= joinSamples && t-s.born >= (window+joinAfter).Milliseconds() {
			hash := hashOf(&buf, s.input, d.spec.By)
			ready[hash] = append(ready[hash], s)
			continue
		}
		s.young = min(s.young+1, joinSamples)
	}
	if len(ready) == 0 {
		return
	}
	recent := max(lookback, 3*d.o.interval).Milliseconds()
	elders := map[uint64][]*series{}
	for _, s := range st.sorted {
		if s.joining || s.held || t-s.seen > recent || t-s.root < handOnAfter.Milliseconds() {
			continue
		}
		if hash := hashOf(&buf, s.input, d.spec.By); ready[hash] != nil {
			elders[hash] = append(elders[hash], s)
		}
	}
	// In any order: heirs are no elders, so that none depends on another.
	for hash, heirs := range ready {
		for _, s := range heirs {
			d.succeed(s, elders[hash], own)
		}
	}
}

// succeed ends a series' time as a new member: it inherits, if it can.
func (d *Detection) succeed(s *series, elders []*series, own bool) {
	st := d.states
	s.joining = false
	st.joining--
	elders = slices.DeleteFunc(slices.Clone(elders), func(o *series) bool {
		return o.root >= s.born || !sameGroup(s, o, d.spec.By)
	})
	if len(elders) == 0 {
		return
	}
	// Those in their normal first, of these those that have learnt for longest;
	// the sort is stable, so that the order of labels decides the rest.
	slices.SortStableFunc(elders, func(a, b *series) int {
		departs := 0
		if a.departing != b.departing {
			departs = -1
			if a.departing {
				departs = 1
			}
		}
		return cmp.Or(departs, cmp.Compare(a.root, b.root), cmp.Compare(a.born, b.born))
	})
	elders = elders[:min(len(elders), mostElders)]
	refs := make([]detectors.Ref, len(elders))
	for i, o := range elders {
		refs[i] = o.ref
	}
	if d.states.bank.Inherit(s.ref, refs, own) {
		s.root = elders[0].root
	}
}

// windowOf is the longest range that an expression looks back on, at most an
// hour: for as long the rates of a new series are too small.
func windowOf(e parser.Expr) time.Duration {
	longest := time.Duration(0)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			longest = max(longest, n.Range)
		case *parser.SubqueryExpr:
			longest = max(longest, n.Range)
		}
		return nil
	})
	return min(longest, maxWindow)
}

func sameGroup(a, b *series, by []string) bool {
	for _, name := range by {
		if a.input.Get(name) != b.input.Get(name) {
			return false
		}
	}
	return true
}
