package rules

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// labelBounds says which labels the series of an expression can have, as far as
// the expression tells.
type labelBounds struct {
	open  bool            // any label, but for the names; else these names only
	names map[string]bool // see open
	// has are labels that its series have, with their value; "" = not known.
	// A label that an aggregation is by counts: it is named to be there.
	has map[string]string
}

func (b labelBounds) may(name string) bool { return b.open != b.names[name] }

// without takes labels away.
func (b labelBounds) without(names ...string) labelBounds {
	out := labelBounds{open: b.open, names: maps.Clone(b.names), has: maps.Clone(b.has)}
	for _, n := range names {
		delete(out.has, n)
		if b.open {
			out.names[n] = true
		} else {
			delete(out.names, n)
		}
	}
	return out
}

// with adds labels that may be there.
func (b labelBounds) with(names ...string) labelBounds {
	out := b.without(names...)
	for _, n := range names {
		if b.open {
			delete(out.names, n)
		} else {
			out.names[n] = true
		}
	}
	return out
}

// only keeps labels.
func (b labelBounds) only(names []string) labelBounds {
	out := noLabels()
	for _, n := range names {
		if b.may(n) {
			out.names[n] = true
		}
		if v, ok := b.has[n]; ok {
			out.has[n] = v
		}
	}
	return out
}

// or is what either of two may have and both have.
func (b labelBounds) or(c labelBounds) labelBounds {
	out := noLabels()
	switch {
	case b.open && c.open:
		out.open = true
		maps.Copy(out.names, b.names)
		maps.DeleteFunc(out.names, func(n string, _ bool) bool { return !c.names[n] })
	case b.open || c.open:
		if c.open {
			b, c = c, b
		}
		out.open = true
		maps.Copy(out.names, b.names)
		maps.DeleteFunc(out.names, func(n string, _ bool) bool { return c.names[n] })
	default:
		maps.Copy(out.names, b.names)
		maps.Copy(out.names, c.names)
	}
	for n, v := range b.has {
		if w, ok := c.has[n]; ok {
			if v != w {
				v = ""
			}
			out.has[n] = v
		}
	}
	return out
}

func noLabels() labelBounds { return labelBounds{names: map[string]bool{}, has: map[string]string{}} }

func anyLabels() labelBounds {
	b := noLabels()
	b.open = true
	return b
}

// boundsOf finds the labels of an expression's series. What it does not know
// may have any.
func boundsOf(e parser.Expr) labelBounds {
	switch e := e.(type) {
	case *parser.VectorSelector:
		b := anyLabels()
		for _, m := range e.LabelMatchers {
			switch {
			case m.Type != labels.MatchEqual || m.Name == model.MetricNameLabel:
			case m.Value == "":
				b = b.without(m.Name)
			default:
				b.has[m.Name] = m.Value
			}
		}
		return b
	case *parser.MatrixSelector:
		return boundsOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return boundsOf(e.Expr)
	case *parser.ParenExpr:
		return boundsOf(e.Expr)
	case *parser.UnaryExpr:
		return boundsOf(e.Expr)
	case *parser.StepInvariantExpr:
		return boundsOf(e.Expr)
	case *parser.NumberLiteral, *parser.StringLiteral:
		return noLabels()
	case *parser.AggregateExpr:
		return boundsOfAggregate(e)
	case *parser.BinaryExpr:
		return boundsOfBinary(e)
	case *parser.Call:
		return boundsOfCall(e)
	}
	return anyLabels()
}

func boundsOfAggregate(e *parser.AggregateExpr) labelBounds {
	b := boundsOf(e.Expr)
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return b
	}
	if e.Without {
		b = b.without(e.Grouping...)
	} else {
		b = b.only(e.Grouping)
		for n := range b.names {
			if _, ok := b.has[n]; !ok {
				b.has[n] = ""
			}
		}
	}
	if name, ok := e.Param.(*parser.StringLiteral); ok && e.Op == parser.COUNT_VALUES {
		b = b.with(name.Val)
	}
	return b
}

func boundsOfBinary(e *parser.BinaryExpr) labelBounds {
	l, r := boundsOf(e.LHS), boundsOf(e.RHS)
	m := e.VectorMatching
	switch {
	case e.LHS.Type() == parser.ValueTypeScalar:
		return r
	case e.RHS.Type() == parser.ValueTypeScalar || m == nil:
		return l
	case e.Op == parser.LOR:
		return l.or(r)
	case e.Op.IsSetOperator():
		return l
	case m.Card == parser.CardOneToMany:
		return r.with(m.Include...)
	case m.Card == parser.CardManyToOne:
		return l.with(m.Include...)
	case m.On:
		return l.only(m.MatchingLabels)
	}
	return l.without(m.MatchingLabels...)
}

func boundsOfCall(e *parser.Call) labelBounds {
	switch e.Func.Name {
	case "absent", "absent_over_time", "info":
		return anyLabels()
	}
	b := noLabels()
	for _, a := range e.Args {
		if t := a.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			b = boundsOf(a)
			break
		}
	}
	switch e.Func.Name {
	case "scalar":
		return noLabels()
	case "histogram_quantile":
		return b.without(labels.BucketLabel)
	case "histogram_quantiles":
		return anyLabels()
	case "label_replace", "label_join":
		if name, ok := e.Args[1].(*parser.StringLiteral); ok {
			return b.with(name.Val)
		}
		return anyLabels()
	}
	return b
}

// joinable says why no series of `of` can belong to one of an expression: all
// labels of a series of `of` must be on it, with the same values.
func joinable(expr, of parser.Expr) error {
	e, o := boundsOf(expr), boundsOf(of)
	for _, name := range slices.Sorted(maps.Keys(o.has)) {
		if !e.may(name) {
			return fmt.Errorf("of: its series have the label %q, which those of expr cannot have, so that none belong together: aggregate both by the same labels", name)
		}
		if v, w := o.has[name], e.has[name]; v != "" && w != "" && v != w {
			return fmt.Errorf("of: its series have %s=%q, those of expr %s=%q, so that none belong together: give both the same value, or aggregate the label away", name, v, name, w)
		}
	}
	return nil
}

// MayHave reports whether series of an expression can have a label, as far as
// the expression tells.
func MayHave(e parser.Expr, label string) bool { return boundsOf(e).may(label) }
