package ruletest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
)

// alertsAt checks one item of alert_rule_test against what fires now.
func (l *life) alertsAt(t placed[alertTest]) error {
	var c comparison
	c.whole = true
	for _, e := range t.v.ExpAlerts {
		ls := maps.Clone(e.Labels)
		if ls == nil {
			ls = map[string]string{}
		}
		// The test gives the labels of the rule only.
		ls[labels.AlertName] = t.v.Alertname
		c.expected = append(c.expected, alertItem(ls, e.Annotations))
	}
	for _, a := range l.engine.Rules().ActiveAlerts() {
		if a.Rule.Name() == t.v.Alertname && a.State == promrules.StateFiring {
			c.found = append(c.found, alertItem(a.Labels.Map(), a.Annotations.Map()))
		}
	}
	if table := c.table(l.color); table != "" {
		return l.failure(t.node, fmt.Sprintf("alert_rule_test: alertname: %s, time: %s", t.v.Alertname, t.v.EvalTime), table)
	}
	return nil
}

func alertItem(ls, annotations map[string]string) item {
	var out item
	for _, k := range slices.Sorted(maps.Keys(ls)) {
		out = append(out, field{name: "label " + k, text: ls[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		out = append(out, field{name: "annotation " + k, text: annotations[k]})
	}
	return out
}

// sample is one sample of a result. A histogram is in the notation of the tests.
type sample struct {
	labels    labels.Labels
	value     float64
	histogram string
}

// samplesAt checks one item of promql_expr_test.
func (l *life) samplesAt(ctx context.Context, t placed[sampleTest]) error {
	what := fmt.Sprintf("promql_expr_test: expr: %q, time: %s", t.v.Expr, t.v.EvalTime)
	got, err := l.store.Query(ctx, t.v.Expr, l.start.Add(time.Duration(t.v.EvalTime)))
	if err != nil {
		return l.failure(t.node, what, err.Error())
	}
	exp, err := expectedSamples(t.v.ExpSamples)
	if err != nil {
		return l.failure(t.node, what, err.Error())
	}
	found := foundSamples(got)
	if slices.EqualFunc(exp, found, l.same) {
		return nil
	}
	c := comparison{whole: true}
	for _, s := range exp {
		c.expected = append(c.expected, l.sampleItem(s))
	}
	for _, s := range found {
		c.found = append(c.found, l.sampleItem(s))
	}
	table := c.table(l.color)
	if table == "" {
		table = "a value that is not a number never equals another, as in promtool"
	}
	return l.failure(t.node, what, table)
}

func compareSamples(a, b sample) int { return labels.Compare(a.labels, b.labels) }

func expectedSamples(list []expectedSample) ([]sample, error) {
	p := parser.NewParser(parser.Options{})
	var out []sample
	for _, s := range list {
		ls, err := p.ParseMetric(s.Labels)
		var h *histogram.FloatHistogram
		if err == nil && s.Histogram != "" {
			var values []parser.SequenceValue
			switch _, values, err = p.ParseSeriesDesc("{} " + s.Histogram); {
			case err != nil:
			case len(values) != 1:
				err = fmt.Errorf("expected 1 value, got %d", len(values))
			case values[0].Histogram == nil:
				err = errors.New("expected a histogram")
			default:
				h = values[0].Histogram
			}
		}
		if err != nil {
			return nil, fmt.Errorf("labels %q: %w", s.Labels, err)
		}
		out = append(out, sample{labels: ls, value: s.Value, histogram: histogramText(h)})
	}
	slices.SortStableFunc(out, compareSamples)
	return out, nil
}

func foundSamples(v promql.Vector) []sample {
	var out []sample
	for _, s := range v {
		out = append(out, sample{labels: s.Metric, value: s.F, histogram: histogramText(s.H)})
	}
	slices.SortStableFunc(out, compareSamples)
	return out
}

func histogramText(h *histogram.FloatHistogram) string {
	if h == nil {
		return ""
	}
	return h.TestExpression()
}

func (l *life) same(a, b sample) bool {
	return labels.Equal(a.labels, b.labels) && a.histogram == b.histogram && l.equal(a.value, b.value)
}

// equal compares values as promtool does: fuzzy means the neighbouring floats.
func (l *life) equal(a, b float64) bool {
	return a == b || l.fuzzy && (math.Nextafter(a, math.Inf(-1)) == b || math.Nextafter(a, math.Inf(1)) == b)
}

func (l *life) sampleItem(s sample) item {
	out := item{{text: s.labels.String(), names: true}}
	if s.histogram != "" {
		out = append(out, field{name: "histogram", text: s.histogram})
		if s.value == 0 {
			return out
		}
	}
	return append(out, field{
		name: "value", text: strconv.FormatFloat(s.value, 'g', -1, 64), num: s.value,
		accepts: func(found field) bool { return l.equal(s.value, found.num) },
	})
}
