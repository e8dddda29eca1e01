package livecheck

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// selection is what a selector has now.
type selection struct {
	series int
	jobs   map[string]int // series by job
}

// selectors looks at the selectors of an expression, which gives results or not.
// Those of a pack may be without series: it is for several exporters.
func (a *asked) selectors(ctx context.Context, field string, e parser.Expr, results bool) error {
	var first error
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok || first != nil {
			return nil
		}
		sel, err := a.selection(ctx, s)
		if err != nil {
			first = err
			return nil
		}
		a.missing = a.missing || sel.series == 0
		span, rated := spanOf(path)
		a.Samples += float64(sel.series) * max(1, span.Seconds()/max(a.slowest(sel).Seconds(), 1)) * float64(times(path))
		switch {
		case sel.series > 0 && rated:
			a.rangeTooShort(field, s, span, sel)
		case sel.series == 0 && !a.optional && !a.written(s) && !excused(path, results):
			first = a.without(ctx, field, s)
		}
		return nil
	})
	return first
}

// selection asks which series a selector has.
func (c *checker) selection(ctx context.Context, s *parser.VectorSelector) (selection, error) {
	plain := &parser.VectorSelector{Name: s.Name, LabelMatchers: s.LabelMatchers}
	key := plain.String()
	if sel, ok := c.selected[key]; ok {
		return sel, nil
	}
	v, err := c.Query(ctx, "count by (job) ("+key+")", c.Now)
	if err != nil && fatal(ctx, err) {
		return selection{}, err
	}
	sel := selection{jobs: map[string]int{}}
	for _, x := range v {
		sel.series += int(x.F)
		sel.jobs[x.Metric.Get("job")] += int(x.F)
	}
	c.selected[key] = sel
	return sel, nil
}

// written reports whether the rules themselves write what a selector reads.
func (c *checker) written(s *parser.VectorSelector) bool {
	return c.Own[metricOf(s)]
}

func metricOf(s *parser.VectorSelector) string {
	if s.Name != "" {
		return s.Name
	}
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// excused reports whether nothing is wrong with a selector without series: it
// may be absent, is one of several (or), or what it takes away (unless).
func excused(path []parser.Node, results bool) bool {
	for _, n := range path {
		switch n := n.(type) {
		case *parser.Call:
			if strings.HasPrefix(n.Func.Name, "absent") {
				return true
			}
		case *parser.BinaryExpr:
			if n.Op == parser.LUNLESS || n.Op == parser.LOR && results {
				return true
			}
		}
	}
	return false
}

// without says what is wrong with a selector without series.
func (a *asked) without(ctx context.Context, field string, s *parser.VectorSelector) error {
	at := a.inside(field, int(s.PosRange.Start))
	name := metricOf(s)
	if name == "" {
		a.warn(at, "no series match %s", s)
		return nil
	}
	all := &parser.VectorSelector{Name: name, LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name)}}
	sel, err := a.selection(ctx, all)
	if err != nil {
		return err
	}
	if sel.series > 0 {
		return a.matchers(ctx, at, s, name)
	}
	gone, err := a.Query(ctx, fmt.Sprintf("count(present_over_time(%s[1d]))", all), a.Now)
	if err != nil && fatal(ctx, err) {
		return err
	}
	if len(gone) > 0 {
		a.warn(at, "the metric %s has no series now; it had some in the last day: is its target down?", name)
		return nil
	}
	if !a.listed {
		a.listed = true
		if a.names, err = a.Names(ctx); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("there is no metric %s", name)
	if near, ok := yamlfile.Nearest(name, a.names); ok {
		text += fmt.Sprintf("; did you mean %s?", near)
	} else {
		text += ": scrape it, or remove the rule"
	}
	a.warn(at, "%s", text)
	return nil
}

// matchers says which matcher of a selector has nothing to match.
func (a *asked) matchers(ctx context.Context, at Place, s *parser.VectorSelector, name string) error {
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		v, err := a.Query(ctx, fmt.Sprintf("count by (%s) ({__name__=%q})", quoted(m.Name), name), a.Now)
		if err != nil {
			if fatal(ctx, err) {
				return err
			}
			continue
		}
		values := map[string]bool{}
		for _, x := range v {
			values[x.Metric.Get(m.Name)] = true
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(values)), m.Matches) {
			continue
		}
		if len(values) == 1 && values[""] {
			a.warn(at, "the series of %s have no label %s, which %s asks for", name, m.Name, m)
			return nil
		}
		list := slices.Sorted(maps.Keys(values))
		more := ""
		if len(list) > 5 {
			list, more = list[:5], ", …"
		}
		a.warn(at, "no series of %s match %s: %s is %s%s. Nothing is wrong if that only has not happened yet", name, m, m.Name, strings.Join(list, ", "), more)
		return nil
	}
	a.warn(at, "no series of %s match all of %s", name, s)
	return nil
}

func quoted(label string) string {
	if model.LegacyValidation.IsValidLabelName(label) {
		return label
	}
	return fmt.Sprintf("%q", label)
}

// spanOf is the range over which a selector's samples are read, and whether a
// function takes a rate over it, which needs two samples at least.
func spanOf(path []parser.Node) (span time.Duration, rated bool) {
	for i, n := range path {
		if m, ok := n.(*parser.MatrixSelector); ok {
			span = m.Range
			if i > 0 {
				call, ok := path[i-1].(*parser.Call)
				rated = ok && slices.Contains([]string{"rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear"}, call.Func.Name)
			}
		}
	}
	return span, rated
}

// times is how often subqueries evaluate what is in them.
func times(path []parser.Node) int {
	n := 1
	for _, p := range path {
		if s, ok := p.(*parser.SubqueryExpr); ok {
			step := s.Step
			if step <= 0 {
				step = time.Minute
			}
			n *= max(1, int(s.Range/step))
		}
	}
	return n
}

// slowest is the longest scrape interval of a selection's jobs; a minute where none is known.
func (c *checker) slowest(sel selection) time.Duration {
	var d time.Duration
	for job := range sel.jobs {
		d = max(d, c.intervals[job])
	}
	if d == 0 {
		return time.Minute
	}
	return d
}

// rangeTooShort compares a range with the scrapes.
func (a *asked) rangeTooShort(field string, s *parser.VectorSelector, span time.Duration, sel selection) {
	for _, job := range slices.Sorted(maps.Keys(sel.jobs)) {
		every := a.intervals[job]
		if every <= 0 {
			continue
		}
		at := a.inside(field, int(s.PosRange.Start))
		wide := model.Duration(max(time.Minute, 4*every))
		switch {
		case span < 2*every:
			a.missing = true
			a.fail(at, "[%s] over %s has never two samples, which are %s apart (job %s): write [%s]", model.Duration(span), metricOf(s), model.Duration(every), job, wide)
			return
		case span < 4*every:
			a.warn(at, "[%s] over %s has few samples, which are %s apart (job %s): one scrape that fails leaves a gap. Write [%s]",
				model.Duration(span), metricOf(s), model.Duration(every), job, wide)
			return
		}
	}
}
