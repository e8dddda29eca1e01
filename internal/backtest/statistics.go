package backtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/rules"
)

// statistics are what each rule did and cost. They are used from the replay's
// own goroutine.
type statistics struct {
	own     map[string]bool
	files   map[string]bool // in which rules without data are no fault
	rules   []*ruleCount
	byRule  map[ruleKey]*ruleCount
	asked   []answer // since the last evaluation of a group
	verdict map[string]rules.Evaluation
	failed  *sourceError
}

type ruleKey struct {
	file, group string
	place       int
}

type ruleCount struct {
	RuleStats
	optional bool // it may be without data
	expr     parser.Expr
	firing   map[string]bool // series or alerts that were firing
}

// answer is what a query gave.
type answer struct {
	expr, query string
	rule        string
	series      int
}

// sourceError ends a replay: the source does not answer any more.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "the source stopped answering: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func newStatistics(c engine.Config) *statistics {
	files := map[string]bool{}
	for _, f := range c.Rules {
		files[f.Path] = f.Optional
	}
	return &statistics{own: engine.Outputs(c), files: files, byRule: map[ruleKey]*ruleCount{}, verdict: map[string]rules.Evaluation{}}
}

// watch remembers what the queries of rules give.
func (s *statistics) watch(query source.QueryFunc) source.QueryFunc {
	return func(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
		v, err := query(ctx, expr, ts)
		if err != nil && source.IsUnavailable(err) && ctx.Err() == nil {
			s.failed = &sourceError{err}
		}
		if d := promrules.FromOriginContext(ctx); d.Name != "" {
			s.asked = append(s.asked, answer{expr: expr, query: d.Query, rule: d.Name, series: len(v)})
		}
		return v, err
	}
}

// detection takes in what a detection rule said.
func (s *statistics) detection(ev rules.Evaluation) { s.verdict[ev.Rule.Name()] = ev }

// evaluated counts what the rules of a group did.
func (s *statistics) evaluated(g *rules.Group, at time.Time) error {
	for i, r := range g.Rules() {
		k := ruleKey{g.File(), g.Name(), i}
		c := s.byRule[k]
		if c == nil {
			c = &ruleCount{expr: r.Query(), optional: s.files[g.File()], firing: map[string]bool{}}
			c.Name, c.File, c.Group, c.Kind = r.Name(), g.File(), g.Name(), kindOf(r)
			s.byRule[k] = c
			s.rules = append(s.rules, c)
		}
		c.Evaluations++
		c.Seconds += r.GetEvaluationDuration().Seconds()
		if err := r.LastError(); err != nil {
			c.Failed++
			c.LastError = err.Error()
			continue
		}
		series := s.take(r)
		c.Series = max(c.Series, series)
		if series == 0 {
			c.Empty++
		} else if s.verdict[r.Name()].OnlyNaN() {
			c.OnlyNaN++
		}
		c.fire(s.firing(r))
	}
	s.asked = s.asked[:0]
	clear(s.verdict)
	if s.failed != nil {
		return s.failed
	}
	return nil
}

// take finds what the rule's own query gave; templates ask others.
func (s *statistics) take(r promrules.Rule) int {
	query := r.Query().String()
	for i, a := range s.asked {
		if a.rule == r.Name() && a.query == query && (a.expr == query || a.expr == a.query) {
			s.asked = slices.Delete(s.asked, i, i+1)
			return a.series
		}
	}
	return 0
}

// firing are the series that are anomalous, or the alerts that fire.
func (s *statistics) firing(r promrules.Rule) []string {
	var out []string
	switch r := r.(type) {
	case *rules.Detection:
		for _, reading := range s.verdict[r.Name()].Readings {
			if reading.Anomalous {
				out = append(out, reading.Key)
			}
		}
	case *promrules.AlertingRule:
		for _, a := range r.ActiveAlerts() {
			if a.State == promrules.StateFiring {
				out = append(out, a.Labels.String())
			}
		}
	}
	return out
}

func (c *ruleCount) fire(now []string) {
	if len(now) == 0 {
		clear(c.firing)
		return
	}
	c.Fired++
	still := make(map[string]bool, len(now))
	for _, k := range now {
		still[k] = true
		if !c.firing[k] {
			c.Episodes++
		}
	}
	c.firing = still
}

func kindOf(r promrules.Rule) string {
	switch r.(type) {
	case *rules.Detection:
		return "detection"
	case *promrules.AlertingRule:
		return promrules.KindAlerting
	}
	return promrules.KindRecording
}

// missing looks for selectors that match no series in the whole span: those of
// all rules where the metrics are here, and of rules without data where a
// server would have to read everything for it.
func (s *statistics) missing(ctx context.Context, h *History) {
	const parts = 24
	step := max(h.to.Sub(h.from)/parts, time.Minute).Round(time.Second)
	query := h.input.Query
	if h.remote != nil {
		query = h.windows.For(step) // which remembers the answers
	}
	first := h.from.Truncate(step).Add(step) // on the grid of windows
	known := map[string]bool{}
	for _, c := range s.rules {
		if c.optional || h.remote != nil && !c.without() {
			continue
		}
		for _, sel := range selectors(c.expr) {
			if source.Reads(sel, s.own) {
				continue
			}
			there, ok := known[sel]
			if !ok {
				expr := fmt.Sprintf("count(present_over_time(%s[%s]))", sel, model.Duration(step+time.Second))
				for at := first; !there && at.Before(h.to.Add(step)); at = at.Add(step) {
					v, err := query(ctx, expr, at)
					if err != nil {
						return // nothing is said of what could not be asked
					}
					there = len(v) > 0
				}
				known[sel] = there
			}
			if !there {
				c.Missing = append(c.Missing, sel)
			}
		}
	}
}

// without says whether the rule may be one that never has data. An alerting
// rule that never fires may just be at peace.
func (c *ruleCount) without() bool {
	return c.Empty+c.Failed == c.Evaluations && (c.Kind != promrules.KindAlerting || c.Fired == 0)
}

// selectors are the series that an expression reads, at whatever time.
func selectors(e parser.Expr) []string {
	var out []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			plain := parser.VectorSelector{Name: v.Name, LabelMatchers: slices.Clone(v.LabelMatchers)}
			if v.Name != "" {
				plain.LabelMatchers = slices.DeleteFunc(plain.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel })
			}
			if text := plain.String(); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
		return nil
	})
	return out
}

// result are the figures with what is odd about them.
func (c *ruleCount) result() RuleStats {
	out := c.RuleStats
	good := out.Evaluations - out.Failed
	switch {
	case out.Evaluations == 0:
	case good == 0:
		out.State = "always fails"
	case out.Empty == good && c.optional:
	case out.Empty == good && (out.Kind != promrules.KindAlerting || len(out.Missing) > 0):
		out.State = "never has data"
	case out.OnlyNaN > 0 && out.Empty+out.OnlyNaN == good:
		out.State = "only NaN"
	case out.Kind != promrules.KindRecording && out.Fired == 0:
		out.State = "never fires"
	case out.Fired*10 >= out.Evaluations*9:
		out.State = "always fires"
	}
	return out
}
