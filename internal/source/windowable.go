package source

import (
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// mustAskAlone says whether an expression must be asked step by step, because a
// range query may give something else at a step than an instant query there;
// and whether the order of its result means something.
//
//   - sort and its kin have no effect over a range;
//   - @ start() and @ end() mean the range;
//   - our own outputs come into being while the replay runs;
//   - over a range Prometheus's engine keeps the results of operators and of
//     most functions in a map: what depends on their order (the last bit of a
//     sum of floats, ties in topk) would differ from run to run.
func mustAskAlone(expr string, own map[string]bool) (alone, ordered bool) {
	e, err := newParser().ParseExpr(expr)
	if err != nil {
		return true, false // the instant query says what is wrong
	}
	if reachOf(e, own).own != "" {
		alone = true
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			alone = alone || strings.HasPrefix(n.Func.Name, "sort")
		case *parser.VectorSelector:
			alone = alone || n.StartOrEnd != 0
		case *parser.SubqueryExpr:
			alone = alone || n.StartOrEnd != 0
		case *parser.AggregateExpr:
			alone = alone || (minds(n.Op) && shuffled(n.Expr))
		}
		return nil
	})
	return alone, ordersResult(e)
}

// readsOwn says whether an expression may read what the replay writes.
func readsOwn(expr string, own map[string]bool) bool {
	e, err := newParser().ParseExpr(expr)
	return err == nil && reachOf(e, own).own != ""
}

// isOrdered says whether the order of the result of expr means something.
func isOrdered(expr string) bool {
	e, err := newParser().ParseExpr(expr)
	return err == nil && ordersResult(e)
}

func ordersResult(e parser.Expr) bool {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			break
		}
		e = p.Expr
	}
	c, ok := e.(*parser.Call)
	return ok && strings.HasPrefix(c.Func.Name, "sort")
}

// minds says whether an aggregation's result depends on the order of its input.
func minds(op parser.ItemType) bool {
	switch op {
	case parser.SUM, parser.AVG, parser.STDDEV, parser.STDVAR, parser.TOPK, parser.BOTTOMK, parser.LIMITK:
		return true
	}
	return false
}

// shuffled says whether the series of an expression come in a random order from
// a range query.
func shuffled(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return shuffled(e.Expr)
	case *parser.UnaryExpr:
		return shuffled(e.Expr)
	case *parser.SubqueryExpr:
		return shuffled(e.Expr)
	case *parser.BinaryExpr:
		return e.Type() == parser.ValueTypeVector
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
			return true
		}
		return shuffled(e.Expr)
	case *parser.Call:
		return shuffledCall(e)
	}
	return false
}

func shuffledCall(c *parser.Call) bool {
	if len(c.Args) == 0 || c.Type() != parser.ValueTypeVector {
		return false
	}
	switch c.Func.Name {
	case "label_replace", "label_join":
		return shuffled(c.Args[0])
	case "vector", "absent", "absent_over_time":
		return false // one series at most
	}
	for _, a := range c.Args {
		if a.Type() == parser.ValueTypeMatrix {
			return shuffled(a)
		}
	}
	return true
}
