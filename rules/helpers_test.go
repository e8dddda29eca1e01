package rules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"go.uber.org/goleak"

	"github.com/foreshock/foreshock/detectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The detector of these tests expects the sample before; its score is the
// distance in tens. It panics on 666.
type stepOptions struct {
	Unit float64       `yaml:"unit"`
	Wait time.Duration `yaml:"wait"`
}

func (o *stepOptions) Validate() error {
	var errs []error
	if o.Unit <= 0 {
		errs = append(errs, fmt.Errorf("unit is %g; it must be above zero", o.Unit))
	}
	if o.Wait < 0 {
		errs = append(errs, errors.New("wait is below zero"))
	}
	return errors.Join(errs...)
}

func stepDetector(name string) detectors.Detector {
	return detectors.Detector{
		Name: name, Doc: "Steps.",
		Options: func() detectors.Options { return &stepOptions{Unit: 10} },
		New: func(o detectors.Options, c detectors.Conditions) (detectors.Bank, error) {
			return &stepBank{unit: o.(*stepOptions).Unit}, nil
		},
	}
}

type stepState struct {
	used, held bool
	learnt     uint32
	last       float64
	acts       string // what was done to it
}

type stepBank struct {
	unit   float64
	states []stepState
}

func (b *stepBank) Add() detectors.Ref {
	b.states = append(b.states, stepState{used: true})
	return detectors.Ref(len(b.states) - 1)
}
func (b *stepBank) Remove(r detectors.Ref) { b.states[r].used = false }
func (b *stepBank) Len() int {
	n := 0
	for _, s := range b.states {
		if s.used {
			n++
		}
	}
	return n
}
func (b *stepBank) StateSize() int { return 8 }
func (b *stepBank) Observe(r detectors.Ref, t int64, v float64) detectors.Verdict {
	if v == 666 {
		panic("the beast")
	}
	s := &b.states[r]
	out := detectors.Verdict{Value: v, Expected: math.NaN(), Lower: math.NaN(), Upper: math.NaN(), Score: math.NaN(), Learnt: s.learnt}
	if s.learnt > 0 {
		out.Expected, out.Lower, out.Upper = s.last, s.last-b.unit, s.last+b.unit
		out.Score, out.Up = math.Abs(v-s.last)/b.unit, v > s.last
	}
	if !s.held {
		s.last = v
		s.learnt++
	}
	return out
}
func (b *stepBank) Hold(r detectors.Ref, since int64) {
	b.states[r].held = true
	b.states[r].acts += fmt.Sprintf("hold %d;", since/1000)
}
func (b *stepBank) Release(r detectors.Ref, accept bool) {
	b.states[r].held = false
	b.states[r].acts += fmt.Sprintf("release %v;", accept)
}
func (b *stepBank) Inherit(detectors.Ref, []detectors.Ref, bool) bool { return false }
func (b *stepBank) AppendState(dst []byte, _ detectors.Ref) []byte    { return dst }
func (b *stepBank) SetState(detectors.Ref, []byte) error              { return nil }

func catalogue() []detectors.Detector {
	return []detectors.Detector{stepDetector("spike"), stepDetector("other")}
}

// at is a time in the data of [promqltest.LoadedStorage].
func at(d time.Duration) time.Time { return time.Unix(0, 0).UTC().Add(d) }

// bench is a manager over a storage with data.
type bench struct {
	testing.TB
	*Manager
	storage     *teststorage.TestStorage
	evaluations []Evaluation
	files       []*File
}

func newBench(t testing.TB, load, rules string, adapt ...func(*Options)) *bench {
	t.Helper()
	b := &bench{TB: t, storage: promqltest.LoadedStorage(t, load)}
	t.Cleanup(func() { b.storage.Close() })
	b.Manager = b.manager(adapt...)
	b.update(rules)
	return b
}

func (b *bench) manager(adapt ...func(*Options)) *Manager {
	b.Helper()
	engine := promqltest.NewTestEngine(b.TB, false, 5*time.Minute, 10_000_000)
	o := Options{
		Query: promrules.EngineQueryFunc(engine, b.storage), Appendable: b.storage, Queryable: b.storage,
		OnEvaluation: func(e Evaluation) { b.evaluations = append(b.evaluations, e) },
	}
	for _, f := range adapt {
		f(&o)
	}
	m, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func (b *bench) update(rules string) {
	b.Helper()
	f, err := ParseFile("rules.yml", []byte(rules), catalogue()...)
	if err != nil {
		b.Fatal(err)
	}
	b.files = []*File{f}
	if err := b.Update(b.files); err != nil {
		b.Fatal(err)
	}
}

// eval evaluates all groups and returns the last evaluation of a detection rule.
func (b *bench) eval(d time.Duration) Evaluation {
	b.Helper()
	b.evaluations = nil
	for _, g := range b.Groups() {
		b.Eval(b.Context(), g, at(d))
	}
	if len(b.evaluations) == 0 {
		return Evaluation{}
	}
	return b.evaluations[len(b.evaluations)-1]
}

// stored returns all samples of the series that the selector matches, as text.
func (b *bench) stored(selector string) string {
	b.Helper()
	ms, err := newPromQLParser().ParseMetricSelector(selector)
	if err != nil {
		b.Fatal(err)
	}
	q, err := b.storage.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	var out strings.Builder
	for set := q.Select(context.Background(), true, nil, ms...); set.Next(); {
		s := set.At()
		fmt.Fprintf(&out, "%s", s.Labels())
		for it := s.Iterator(nil); it.Next() == chunkenc.ValFloat; {
			t, v := it.At()
			if value.IsStaleNaN(v) {
				fmt.Fprintf(&out, " %d:stale", t/1000)
			} else {
				fmt.Fprintf(&out, " %d:%g", t/1000, v)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

func readings(e Evaluation) string {
	var out []string
	for _, r := range e.Readings {
		s := fmt.Sprintf("%s=%g score %.1f", r.Key, r.Verdict.Value, r.Verdict.Score)
		if r.Anomalous {
			s += fmt.Sprintf(" anomalous since %d", r.Onset.Unix())
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	got, want = strings.TrimSpace(got), strings.TrimSpace(want)
	if got != want {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

// vector makes a result of series {i="…"} with the values.
func vector(values ...float64) promql.Vector {
	var v promql.Vector
	for i, x := range values {
		v = append(v, promql.Sample{F: x, Metric: labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))})
	}
	return v
}

func failingBank(detectors.Options, detectors.Conditions) (detectors.Bank, error) {
	return nil, errors.New("no memory")
}
