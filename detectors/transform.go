package detectors

import (
	"fmt"
	"math"
)

// The values of an options struct's Transform.
const (
	TransformNone = "none"
	TransformLog  = "log" // for positive, heavy-tailed values such as latencies
)

// logFloor is the least value under the logarithm, as a share of the expected one.
const logFloor = 0.01

// transform is the scale that a model works on.
type transform struct{ log bool }

func newTransform(name string) transform { return transform{log: name == TransformLog} }

func validTransform(name string) error {
	if name != TransformNone && name != TransformLog {
		return fmt.Errorf("transform is %q; it must be %q or %q", shorten(name), TransformNone, TransformLog)
	}
	return nil
}

// origin says whether a value can be judged at all; for the first one it
// returns the origin of the model's scale.
func (f transform) origin(v, origin float64, first bool) (float64, bool) {
	switch {
	case !finite(v):
		return 0, false
	case !f.log:
		return v, math.Abs(v-origin) <= maxMagnitude
	case !first:
		return 0, true
	}
	return math.Log(max(v, math.SmallestNonzeroFloat64)), v > 0
}

// forward brings a value to the model's scale, on which expected is the
// prediction.
func (f transform) forward(v, expected float64) float64 {
	if !f.log {
		return v
	}
	least := expected + math.Log(logFloor)
	if v <= 0 {
		return least
	}
	return max(least, math.Log(v))
}

// back returns a value of the model's scale to the series' unit.
func (f transform) back(x float64) float64 {
	if !f.log {
		return x
	}
	return min(math.Exp(x), math.MaxFloat64)
}
