package livecheck

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/rules"
)

// templateLabel is a label that a template of an alert reads.
var templateLabel = regexp.MustCompile(`(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)`)

// templateLabels are the labels that templates read, sorted.
func templateLabels(sets ...map[string]string) []string {
	found := map[string]bool{}
	for _, m := range sets {
		for _, text := range m {
			for _, t := range templateLabel.FindAllStringSubmatch(text, -1) {
				found[t[1]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// labels looks for labels that the results lack: those that name a service, and
// those that the rule itself reads.
func (a *asked) labels(ctx context.Context, e parser.Expr, now promql.Vector, needed []string) error {
	for _, name := range needed {
		if a.static[name] == "" && !rules.MayHave(e, name) {
			a.warn(a.dropped(e, name), "a template reads the label %s, which the expression drops", name)
		}
	}
	if a.Kind == "record" {
		return nil
	}
	if a.spec != nil {
		for _, name := range a.spec.By {
			if !rules.MayHave(e, name) {
				a.warn(a.dropped(e, name), "by: the expression drops the label %s, so that all series are one group", name)
			}
		}
	}
	last := a.Identity[len(a.Identity)-1]
	if len(now) > 0 {
		homeless := 0
		for _, s := range now {
			if a.static[last] == "" && !a.Service(s.Metric) {
				homeless++
			}
		}
		if homeless == len(now) {
			return a.homeless(ctx, e, now, last)
		}
		if homeless > 0 {
			a.warn(a.place, "%d of %d series have no label %s: they belong to no service and take no part in incidents", homeless, len(now), last)
		}
	} else if a.static[last] == "" && !rules.MayHave(e, last) && !edge(e) {
		a.warn(a.dropped(e, last), "the expression drops the label %s, which names services: its results take no part in incidents. Add it to the aggregation", last)
		return nil
	}
	// A service in another namespace, or in none, is another service.
	for _, name := range a.Identity[:len(a.Identity)-1] {
		if a.static[name] != "" || rules.MayHave(e, name) || len(now) == 0 {
			continue
		}
		has, err := a.selectorsHave(ctx, e, name)
		if err != nil {
			return err
		}
		if has {
			a.warn(a.dropped(e, name), "the expression drops the label %s, which is part of a service's name: its results belong to services of another name than those with it. Add it to the aggregation", name)
		}
	}
	return nil
}

// edge reports whether an expression may measure the calls between two services.
func edge(e parser.Expr) bool {
	return rules.MayHave(e, "client") && rules.MayHave(e, "server")
}

// homeless says why no result belongs to a service.
func (a *asked) homeless(ctx context.Context, e parser.Expr, now promql.Vector, last string) error {
	const end = "its results take no part in incidents"
	has, err := a.selectorsHave(ctx, e, last)
	if err != nil {
		return err
	}
	if has && !rules.MayHave(e, last) {
		a.warn(a.dropped(e, last), "the expression drops the label %s, which names services: %s. Add it to the aggregation", last, end)
		return nil
	}
	have := slices.Sorted(maps.Keys(now[0].Metric.Map()))
	what := "have no label"
	if len(have) > 0 {
		what = "have only " + strings.Join(have, ", ")
	}
	a.warn(a.place, "no series has the label %s, which names services, they %s: %s. Relabel the targets, choose other labels under identity, or set one with label_replace", last, what, end)
	return nil
}

// selectorsHave reports whether series that an expression reads have a label.
func (a *asked) selectorsHave(ctx context.Context, e parser.Expr, name string) (bool, error) {
	var selectors []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			there := labels.MustNewMatcher(labels.MatchNotEqual, name, "")
			with := &parser.VectorSelector{Name: s.Name, LabelMatchers: append(slices.Clone(s.LabelMatchers), there)}
			selectors = append(selectors, with.String())
		}
		return nil
	})
	slices.Sort(selectors)
	for _, s := range slices.Compact(selectors) {
		v, err := a.Query(ctx, "count("+s+")", a.Now)
		if err != nil && fatal(ctx, err) {
			return false, err
		}
		if len(v) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// dropped is where an expression loses a label: at its first aggregation that does not keep it.
func (a *asked) dropped(e parser.Expr, name string) Place {
	at := a.place
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if g, ok := n.(*parser.AggregateExpr); ok && !found && !rules.MayHave(g, name) {
			found = true
			at = a.inside("expr", int(g.PosRange.Start))
		}
		return nil
	})
	return at
}
