package detectors

import (
	"fmt"
	"hash/fnv"
	"reflect"
)

// A Model is the mathematics of a detector, without the storage: one value
// serves all series of a rule, S is the state of one of them.
//
// S must be of fixed size and free of pointers, slices, maps, strings and
// int or uint, its floats must stay finite, and its zero value must be the
// fresh state. A model is used from one goroutine at a time.
type Model[S any] interface {
	// Observe is [Bank]'s Observe for one state. It must accept every t and v.
	Observe(s *S, t int64, v float64) Verdict
	// Hold is [Bank]'s Hold for one state.
	Hold(s *S, since int64)
	// Release is [Bank]'s Release for one state.
	Release(s *S, accept bool)
}

// A Checker is a model that refuses decoded states under which Observe would
// misbehave. Floats that are not finite are refused before it is asked.
type Checker[S any] interface {
	Check(s *S) error
}

// Define makes a detector from a model: name and doc as in [Detector],
// defaults makes a new options struct, model makes the model from validated
// options. An S that cannot be stored flat is reported by the detector's New.
//
// The options that a state was learnt under are part of its encoding: they
// are compared by their printed form, so they should hold plain values only.
func Define[S any, O Options](name, doc string, defaults func() O, model func(O, Conditions) (Model[S], error)) Detector {
	return Detector{
		Name:    name,
		Doc:     doc,
		Options: func() Options { return defaults() },
		New: func(opts Options, c Conditions) (Bank, error) {
			o, ok := opts.(O)
			if !ok {
				return nil, fmt.Errorf("detector %s: options are a %T, not a %T; make them with its Options function", name, opts, defaults())
			}
			if err := c.validate(); err != nil {
				return nil, fmt.Errorf("detector %s: %w", name, err)
			}
			codec, err := newCodec[S](name, shape(o, c))
			if err != nil {
				return nil, err
			}
			m, err := model(o, c)
			if err != nil {
				return nil, fmt.Errorf("detector %s: %w", name, err)
			}
			fast, _ := m.(fastModel[S])
			return &bank[S]{model: m, fast: fast, codec: codec}, nil
		},
	}
}

func (c Conditions) validate() error {
	if c.Step <= 0 {
		return fmt.Errorf("the step is %v; it must be longer than zero", c.Step)
	}
	if err := c.Budget.Validate(); err != nil {
		return fmt.Errorf("false-alarm budget: %w", err)
	}
	return nil
}

// shape is a hash of what gives a state its meaning beside its layout. The
// budget is not part of it: states outlive a change of budget.
func shape(o Options, c Conditions) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", printed(o), c.Step)
	return h.Sum64()
}

// printed is the text that tells options apart.
func printed(o Options) string {
	v := reflect.ValueOf(o)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return fmt.Sprintf("%+v", v)
}
