package packs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// standIn is the label in a pack's expressions that stands for the labels
// that name a service.
const standIn = "identity"

// samplesPerRange is how many samples a range holds at least, so that a rate is
// there when one of them is missing.
const samplesPerRange = 4

// writer writes the expressions of one pack for one identity.
type writer struct {
	identity []string
	places   map[string][]place // by identity label, where it does not stand under its own name
	matchers []*labels.Matcher
	shortest time.Duration // of ranges
	metrics  []string      // that the rules read
}

func newWriter(f packFile, o Options) (*writer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	w := &writer{identity: o.Identity, places: map[string][]place{}, shortest: samplesPerRange * o.Interval}
	last := o.Identity[len(o.Identity)-1]
	if f.Namespace != nil && last != "namespace" {
		w.places["namespace"] = *f.Namespace
	}
	if f.Service != nil {
		w.places[last] = *f.Service
	}
	for name, label := range o.Labels {
		w.places[name] = []place{}
		if label != "" {
			w.places[name] = []place{{Label: label}}
		}
	}
	if m := strings.Trim(o.Match, "{} ,"); m != "" {
		var err error
		if w.matchers, err = newParser().ParseMetricSelector("{" + m + "}"); err != nil {
			return nil, fmt.Errorf("match: %q is no list of label matchers such as env=\"prod\": %w", o.Match, err)
		}
	}
	return w, nil
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// rule writes the expressions of one rule, in place.
func (w *writer) rule(n *yaml.Node) error {
	for _, name := range []string{"expr", "of"} {
		field := yamlfile.Field(n, name)
		if field == nil {
			continue
		}
		text, err := w.query(field.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.metrics = append(w.metrics, metricsOf(text)...)
		field.SetString(text)
	}
	if by := yamlfile.Field(n, "by"); by != nil {
		var names []string
		if err := by.Decode(&names); err != nil {
			return fmt.Errorf("by: %w", err)
		}
		return by.Encode(w.expand(names))
	}
	return nil
}

// metricsOf are the names of the metrics that an expression reads.
func metricsOf(text string) []string {
	e, err := newParser().ParseExpr(text)
	if err != nil {
		return nil // query has written it
	}
	var names []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok && s.Name != "" {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}

// serviceLabels are the labels that hold the service's own name.
func (w *writer) serviceLabels() []string {
	last := w.identity[len(w.identity)-1]
	list, ok := w.places[last]
	if !ok {
		return []string{last}
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Label)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// query writes one expression.
func (w *writer) query(text string) (string, error) {
	e, err := newParser().ParseExpr(text)
	if err != nil {
		return "", err
	}
	var errs []error
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			n.LabelMatchers = append(n.LabelMatchers, w.matchers...)
		case *parser.MatrixSelector:
			n.Range = max(n.Range, w.shortest)
		case *parser.AggregateExpr:
			if !slices.Contains(n.Grouping, standIn) {
				break
			}
			if n.Without {
				errs = append(errs, errors.New("without (identity): only by is understood"))
			}
			n.Grouping = w.expand(n.Grouping)
			n.Expr = w.named(n.Expr)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				n.VectorMatching.MatchingLabels = w.expand(n.VectorMatching.MatchingLabels)
				n.VectorMatching.Include = w.expand(n.VectorMatching.Include)
			}
		}
		return nil
	})
	return parser.Prettify(e), errors.Join(errs...)
}

// expand puts the identity's labels in the place of the one that stands for them.
func (w *writer) expand(names []string) []string {
	i := slices.Index(names, standIn)
	if i < 0 {
		return names
	}
	return slices.Replace(slices.Clone(names), i, i+1, w.identity...)
}

// named gives the series of an expression the identity's labels, where they
// have them under other names.
func (w *writer) named(e parser.Expr) parser.Expr {
	for _, name := range w.identity {
		list, ok := w.places[name]
		if !ok {
			continue
		}
		itself := slices.IndexFunc(list, func(p place) bool { return p.Label == name && p.Regex == "" })
		if itself < 0 {
			e = replace(e, name, "", "", "") // what the exporter's own target is called is not the service
		} else {
			list = list[:itself]
		}
		for _, p := range list {
			if p.Not != "" {
				e = replace(e, p.Label, "", p.Label, p.Not)
			}
		}
		for _, p := range slices.Backward(list) {
			regex := p.Regex
			if regex == "" {
				regex = "(.+)"
			}
			e = replace(e, name, "$1", p.Label, regex)
		}
	}
	return e
}

// replace is label_replace.
func replace(e parser.Expr, target, value, source, regex string) parser.Expr {
	args := parser.Expressions{e}
	for _, text := range []string{target, value, source, regex} {
		args = append(args, &parser.StringLiteral{Val: text})
	}
	return &parser.Call{Func: parser.Functions["label_replace"], Args: args}
}
