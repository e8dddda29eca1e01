package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/detectors"
)

// series is what is known of one series of a detection rule. There may be
// millions: BenchmarkMillionSeries says what they take.
type series struct {
	input  labels.Labels // as queried, without __name__: the identity of the state
	labels labels.Labels // with the rule's labels
	key    string        // labels as text
	score  labels.Labels // of the written score; empty until it is written first
	band   *bandLabels   // of the written band; nil until it is written first
	next   *series       // with the same hash

	seen  int64 // ms; the last sample
	told  int64 // ms; the last verdict
	since int64 // ms; since when it has been departing, if departing
	value float64
	ref   detectors.Ref
	round int32 // the last evaluation that returned it
	// clash: a label of the input is replaced in the output, so that another
	// series may have the same output.
	clash,
	departing,
	anomalous,
	held, // learning is withheld
	accept bool // when the hold ends

	descent
}

type bandLabels struct{ lower, upper labels.Labels }

// states holds the detector's bank and the series of one rule. It outlives the
// rule: a reload and the end of a replay hand it on.
type states struct {
	bank   detectors.Bank
	byHash map[uint64]*series
	sorted []*series // by labels
	round  int32
	// heldCount is the number of series whose learning is withheld.
	heldCount int
	// joining is the number of series that may still inherit from their group.
	joining int
	// groups are those of a rule with `by`, by the hash of the labels.
	groups map[uint64]*group

	refused   uint64 // since the beginning
	forgotten uint64
}

func newStates(bank detectors.Bank) *states {
	return &states{bank: bank, byHash: map[uint64]*series{}}
}

func (st *states) find(input labels.Labels, hash uint64) *series {
	for s := st.byHash[hash]; s != nil; s = s.next {
		if labels.Equal(s.input, input) {
			return s
		}
	}
	return nil
}

// shape gives a series the labels that it has under a rule.
type shape struct {
	name   string
	labels labels.Labels
}

// apply fills what depends on the rule's name and labels.
func (sh shape) apply(s *series) {
	b := labels.NewBuilder(s.input)
	s.clash = s.input.Has(ruleLabel)
	sh.labels.Range(func(l labels.Label) {
		s.clash = s.clash || s.input.Has(l.Name)
		b.Set(l.Name, l.Value)
	})
	s.labels = b.Labels()
	s.key = s.labels.String()
	s.score, s.band = labels.EmptyLabels(), nil
}

// output returns the labels of a result of the series.
func (sh shape) output(s *series, name string) labels.Labels {
	b := labels.NewBuilder(s.labels)
	b.Set(ruleLabel, sh.name)
	b.Set(model.MetricNameLabel, name)
	return b.Labels()
}

// reshape adapts the series to a rule whose labels changed.
func (st *states) reshape(sh shape) {
	for _, s := range st.sorted {
		sh.apply(s)
	}
	st.sort()
}

func (st *states) sort() {
	slices.SortFunc(st.sorted, func(a, b *series) int {
		if c := labels.Compare(a.labels, b.labels); c != 0 {
			return c
		}
		return labels.Compare(a.input, b.input)
	})
}

// newcomer is a series of a result that is not known yet.
type newcomer struct {
	input labels.Labels
	hash  uint64
	value float64
}

// take marks the series of a result, adds new ones as far as the limit allows
// and returns how many it refused. On an error nothing is learnt.
func (st *states) take(v promql.Vector, t int64, limit int, sh shape) (added []*series, refused int, err error) {
	st.round++
	var fresh []newcomer
	clash := false
	for i := range v {
		sample := &v[i]
		if sample.H != nil {
			return nil, 0, fmt.Errorf("series %s is a native histogram: wrap it in a function that returns a number, such as histogram_quantile", sample.Metric)
		}
		input := sample.Metric.DropReserved(isMetricName)
		hash := input.Hash()
		s := st.find(input, hash)
		if s == nil {
			fresh = append(fresh, newcomer{input: input, hash: hash, value: sample.F})
			continue
		}
		if s.round == st.round {
			return nil, 0, sameError(input)
		}
		s.round, s.value = st.round, sample.F
		clash = clash || s.clash
	}
	// In the order of labels, so that the same ones are refused whatever the
	// order of the result.
	slices.SortFunc(fresh, func(a, b newcomer) int { return labels.Compare(a.input, b.input) })
	for i := 1; i < len(fresh); i++ {
		if labels.Equal(fresh[i-1].input, fresh[i].input) {
			return nil, 0, sameError(fresh[i].input)
		}
	}
	if room := limit - len(st.sorted); len(fresh) > room {
		room += st.evict(len(fresh) - room)
		room = max(0, min(room, len(fresh)))
		refused = len(fresh) - room
		fresh = fresh[:room]
	}
	for _, n := range fresh {
		s := &series{input: n.input.Copy(), value: n.value, round: st.round, seen: t, told: t}
		s.descent = descent{born: t, root: t}
		sh.apply(s)
		clash = clash || s.clash
		added = append(added, s)
	}
	if clash {
		if err := st.clashes(added, sh); err != nil {
			return nil, 0, err
		}
	}
	st.sorted = slices.Grow(st.sorted, len(added))
	for i, s := range added {
		s.ref = st.bank.Add()
		hash := fresh[i].hash
		s.next, st.byHash[hash] = st.byHash[hash], s
		st.sorted = append(st.sorted, s)
	}
	if len(added) > 0 {
		st.sort()
	}
	st.refused += uint64(refused)
	return added, refused, nil
}

func isMetricName(name string) bool { return name == model.MetricNameLabel }

func sameError(input labels.Labels) error {
	return fmt.Errorf("two series are both %s once their names are dropped: aggregate them, or select one name", input)
}

// clashes says whether two series of the present result have the same output.
func (st *states) clashes(added []*series, sh shape) error {
	seen := make(map[string]*series, len(st.sorted)+len(added))
	check := func(s *series) error {
		out := sh.output(s, ScoreName)
		k := string(out.Bytes(nil))
		if other, ok := seen[k]; ok {
			return fmt.Errorf("series %s and %s have the same result %s: rename a label in the expression", other.input, s.input, out)
		}
		seen[k] = s
		return nil
	}
	for _, s := range st.sorted {
		if s.round == st.round {
			if err := check(s); err != nil {
				return err
			}
		}
	}
	for _, s := range added {
		if err := check(s); err != nil {
			return err
		}
	}
	return nil
}

// evict forgets up to n series that are not in the present result, those that
// vanished first going first, to make room for new ones.
func (st *states) evict(n int) int {
	var gone []*series
	for _, s := range st.sorted {
		if s.round != st.round {
			gone = append(gone, s)
		}
	}
	slices.SortStableFunc(gone, func(a, b *series) int { return int(min(1, max(-1, a.seen-b.seen))) })
	gone = gone[:min(n, len(gone))]
	for _, s := range gone {
		st.remove(s)
	}
	st.compact()
	return len(gone)
}

// forget forgets series whose last sample is older than the age.
func (st *states) forget(t int64, age time.Duration) {
	removed := false
	for _, s := range st.sorted {
		if s.round != st.round && t-s.seen > age.Milliseconds() {
			st.remove(s)
			removed = true
		}
	}
	if removed {
		st.compact()
	}
}

// remove forgets a series; compact must follow.
func (st *states) remove(s *series) {
	st.bank.Remove(s.ref)
	st.forgotten++
	if s.held {
		st.heldCount--
	}
	if s.joining {
		st.joining--
	}
	hash := s.input.Hash()
	first := st.byHash[hash]
	if first == s {
		if s.next == nil {
			delete(st.byHash, hash)
		} else {
			st.byHash[hash] = s.next
		}
	} else {
		for p := first; p != nil; p = p.next {
			if p.next == s {
				p.next = s.next
				break
			}
		}
	}
	s.round = -1
}

func (st *states) compact() {
	st.sorted = slices.DeleteFunc(st.sorted, func(s *series) bool { return s.round == -1 })
}
