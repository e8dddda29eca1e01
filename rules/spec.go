package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/detectors"
)

// DetectionSpec is a detection rule as a file says it, with defaults filled in.
type DetectionSpec struct {
	File         string // where the rule stands
	Line, Column int

	Name        string
	Expr        parser.Expr // returns a vector or a scalar
	Of          parser.Expr // what the values are a number out of; nil: nothing
	By          []string    // labels of the groups whose members replace each other, sorted; nil: none
	Up          parser.Expr // tells why a series is missing; nil: the metric up
	Signal      Signal
	Detector    detectors.Detector
	Options     detectors.Options // the detector's, validated
	Direction   Direction
	Budget      detectors.Budget
	MinChange   MinChange
	For         time.Duration
	WriteScore  bool
	WriteBand   bool
	Unit        string // of the values, such as seconds; empty: unknown
	Labels      map[string]string
	Annotations map[string]string
}

// Signal is the golden signal that a rule measures.
type Signal string

// The signals.
const (
	Latency    Signal = "latency"
	Traffic    Signal = "traffic"
	Errors     Signal = "errors"
	Saturation Signal = "saturation"
)

// Direction says on which side of the expected value a series is anomalous.
type Direction string

// The directions.
const (
	Up   Direction = "up"
	Down Direction = "down"
	Both Direction = "both"
)

func signalNames() []string {
	return []string{string(Latency), string(Traffic), string(Errors), string(Saturation)}
}

func directionNames() []string { return []string{string(Up), string(Down), string(Both)} }

// defaultDirection is the direction in which a signal is trouble.
func (s Signal) defaultDirection() Direction {
	if s == Traffic {
		return Both
	}
	return Up
}

func (s Signal) defaultUnit() string {
	if s == Latency {
		return "seconds"
	}
	return ""
}

// defaultDetector is the name of the detector that suits the rule: that of
// numbers of events where their number of trials is given, as far as there is one.
func (d *DetectionSpec) defaultDetector(catalogue []detectors.Detector) string {
	if d.Of != nil {
		for _, c := range catalogue {
			if c.Name == detectors.Rate.Name {
				return c.Name
			}
		}
	}
	return "spike"
}

// setEvent fills in the value that one event makes, where the detector asks for
// it and the expression tells: rates over one range, or increases.
func (d *DetectionSpec) setEvent() {
	o, ok := d.Options.(detectors.EventOptions)
	if !ok || *o.EventOption() != 0 || d.Expr == nil {
		return
	}
	event := 0.0
	parser.Inspect(d.Expr, func(n parser.Node, _ []parser.Node) error {
		of := 0.0
		switch n := n.(type) {
		case *parser.Call:
			of = eventOf(n)
		case *parser.AggregateExpr:
			if n.Op != parser.SUM {
				event = math.NaN()
			}
		case *parser.BinaryExpr:
			if (n.Op == parser.MUL || n.Op == parser.DIV) && !isZero(n.LHS) {
				event = math.NaN() // another unit
			}
		}
		switch {
		case of == 0 || event == of:
		case event == 0:
			event = of
		default:
			event = math.NaN()
		}
		return nil
	})
	if event > 0 {
		*o.EventOption() = event
	}
}

// isZero reports whether an expression is the number 0: `0 * sum(…)` has values
// where there is nothing to count yet, which no event makes.
func isZero(e parser.Expr) bool {
	n, ok := e.(*parser.NumberLiteral)
	return ok && n.Val == 0
}

// eventOf is what one event adds to the result of rate or increase; NaN for
// functions after which that is not known, 0 for those that change nothing.
func eventOf(c *parser.Call) float64 {
	switch c.Func.Name {
	case "rate", "increase":
		if m, ok := c.Args[0].(*parser.MatrixSelector); ok && m.Range > 0 {
			if c.Func.Name == "increase" {
				return 1
			}
			return 1 / m.Range.Seconds()
		}
	case "label_replace", "label_join", "sort", "sort_desc", "abs", "vector":
		return 0
	}
	return math.NaN()
}

// MinChange is how far a value must be from the expected one to be anomalous,
// however rare it is. Zero stands for any distance; where both are given, both
// must be exceeded.
type MinChange struct {
	Absolute float64 // in the unit of the value
	Relative float64 // share of the expected value: 0.2 is 20 %
}

// Exceeded says whether the value is farther from the expected one. Against an
// unknown expectation (NaN) no change is exceeded, unless none is asked for.
func (m MinChange) Exceeded(value, expected float64) bool {
	change := math.Abs(value - expected)
	return (m.Absolute == 0 || change > m.Absolute) && (m.Relative == 0 || change > m.Relative*math.Abs(expected))
}

// share is a part of a whole, written as 20% or 0.2.
type share float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return fmt.Errorf("expected a share above zero such as 20%% or 0.2, not %.60q", text)
	}
	if percent {
		v /= 100
	}
	*s = share(v)
	return nil
}

// upQuery is the query that tells why a series is missing.
func (d *DetectionSpec) upQuery() string {
	if d.Up == nil {
		return defaultUp
	}
	return d.Up.String()
}

// Records returns the names under which the file's recording rules write, in
// their order. What detection rules write has the names of [ScoreName] and its
// like.
func (f *File) Records() []string {
	var out []string
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Prometheus != nil && r.Prometheus.Record != "" {
				out = append(out, r.Prometheus.Record)
			}
		}
	}
	return out
}

// Expressions returns the expressions that the group's rules ask, in their
// order and in the form in which they are queried.
func (g *GroupSpec) Expressions() []string {
	out := make([]string, 0, len(g.Rules))
	for _, r := range g.Rules {
		if d := r.Detection; d != nil {
			out = append(out, d.Expr.String())
			if d.Of != nil {
				out = append(out, d.Of.String())
			}
			if d.Detector.Absences {
				out = append(out, d.upQuery())
			}
			continue
		}
		expr, err := newPromQLParser().ParseExpr(r.Prometheus.Expr)
		if err != nil {
			continue // not from ParseFile; Update refuses it
		}
		out = append(out, expr.String())
	}
	return out
}
