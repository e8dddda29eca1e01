package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// recipeWindow is over what the rates of recipes are taken: five samples at the
// usual interval of a minute or less.
const recipeWindow = "5m"

// recipe is how edges are read from telemetry that is known by name.
type recipe struct {
	name    string
	queries []recipeQuery
	// before runs before the user's relabelling, so that this sees plain names, and
	// after after it, so that it can rescue what would be dropped.
	before, after []*relabel.Config
}

// recipeQuery is one metric of a recipe. A nil list of labels stands for the
// identity label itself; of others the first that is there counts.
type recipeQuery struct {
	metric, match            string
	caller, callee           []string // hold the service's own name
	callerSpace, calleeSpace []string // hold its namespace, where the identity has one
	kind                     Kind
	gauge                    bool     // counted, not rated
	presence                 bool     // see [Discovery.Presence]
	keep                     []string // more labels that the relabelling reads
}

// RecipeOptions is what a user says about a recipe. The zero value takes it as it is.
type RecipeOptions struct {
	Metric string // instead of all metrics of the recipe, read like the first one
	Match  string // further label matchers in PromQL, such as env="prod"; must parse
	// Caller and Callee are instead of the labels with the services' own names.
	Caller, Callee string
	// CallerLabels and CalleeLabels are, by identity label, instead of those of the
	// recipe; "" is no label.
	CallerLabels, CalleeLabels map[string]string
	Kind                       Kind              // of the callees, instead of the recipe's
	Relabel                    []*relabel.Config // see [Discovery.Relabel]; must be valid
}

// Recipes returns the names of all recipes, sorted.
func Recipes() []string {
	var names []string
	for _, r := range recipes(newRewriter(Identity{})) {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}

// Recipe makes the queries of a recipe, by its name, for services with the
// given identity. An unknown name is an error that lists the nearest one, or all.
func Recipe(name string, id Identity, o RecipeOptions) ([]Discovery, error) {
	all := recipes(newRewriter(id))
	i := slices.IndexFunc(all, func(r recipe) bool { return r.name == name })
	if i < 0 {
		return nil, errors.New(yamlfile.Unknown("recipe", name, Recipes()))
	}
	r := all[i]
	if o.Metric != "" {
		r.queries = r.queries[:1]
		r.queries[0].metric = o.Metric
	}
	out := make([]Discovery, 0, len(r.queries))
	for _, q := range r.queries {
		out = append(out, q.discovery(r, id, o))
	}
	return out, nil
}

func (q recipeQuery) discovery(r recipe, id Identity, o RecipeOptions) Discovery {
	d := Discovery{
		CallerLabels: sources(id, q.caller, q.callerSpace), CalleeLabels: sources(id, q.callee, q.calleeSpace),
		Relabel: slices.Concat(r.before, o.Relabel, r.after), Kind: q.kind, Presence: q.presence,
	}
	if o.Kind != "" {
		d.Kind = o.Kind
	}
	d.Caller, d.Callee = own(d.CallerLabels, id, o.Caller), own(d.CalleeLabels, id, o.Callee)
	replace(d.CallerLabels, o.CallerLabels)
	replace(d.CalleeLabels, o.CalleeLabels)
	d.Edges = q.promQL(grouping(id, d, append(slices.Clone(q.keep), sourceLabels(o.Relabel)...)), o.Match)
	return d
}

// sources says where the identity labels of an end stand.
func sources(id Identity, names, space []string) map[string][]string {
	m := map[string][]string{}
	if len(names) > 0 {
		m[id.Last()] = names
	}
	if space != nil && id.Last() != "namespace" && slices.Contains(id.list(), "namespace") {
		m["namespace"] = space
	}
	return m
}

// own takes the first label of the service's own name out of m; the user's goes before.
func own(m map[string][]string, id Identity, user string) string {
	names := m[id.Last()]
	delete(m, id.Last())
	if user != "" || len(names) == 0 {
		return firstText(user, id.Last())
	}
	if len(names) > 1 {
		m[id.Last()] = names[1:]
	}
	return names[0]
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func replace(m map[string][]string, by map[string]string) {
	for name, label := range by {
		m[name] = []string{}
		if label != "" {
			m[name] = []string{label}
		}
	}
}

// grouping is which labels a query keeps: all that the identity may be taken from, sorted.
func grouping(id Identity, d Discovery, more []string) []string {
	by := map[string]bool{d.Caller: true, d.Callee: true}
	for _, m := range []map[string][]string{d.CallerLabels, d.CalleeLabels} {
		for _, names := range m {
			for _, name := range names {
				by[name] = true
			}
		}
	}
	for _, name := range id.list() {
		_, caller := d.CallerLabels[name]
		_, callee := d.CalleeLabels[name]
		if name != id.Last() && !(caller && callee) {
			by[name] = true
		}
	}
	for _, name := range more {
		by[name] = true
	}
	return slices.Sorted(maps.Keys(by))
}

// sourceLabels are the labels of series that relabelling reads.
func sourceLabels(rules []*relabel.Config) []string {
	var out []string
	for _, c := range rules {
		for _, name := range c.SourceLabels {
			if !strings.HasPrefix(string(name), model.ReservedLabelPrefix) {
				out = append(out, string(name))
			}
		}
	}
	return out
}

// promQL writes the query.
func (q recipeQuery) promQL(by []string, match string) string {
	matchers := slices.DeleteFunc([]string{q.match, strings.Trim(match, "{} ,")}, func(s string) bool { return s == "" })
	name := q.metric
	if !model.LegacyValidation.IsValidMetricName(name) {
		matchers, name = append([]string{fmt.Sprintf("%q", name)}, matchers...), ""
	}
	selector := name
	if len(matchers) > 0 {
		selector += "{" + strings.Join(matchers, ",") + "}"
	}
	names := make([]string, 0, len(by))
	for _, l := range by {
		if !model.LegacyValidation.IsValidLabelName(l) {
			l = fmt.Sprintf("%q", l)
		}
		names = append(names, l)
	}
	if q.gauge {
		return fmt.Sprintf("count by (%s) (%s)", strings.Join(names, ", "), selector)
	}
	return fmt.Sprintf("sum by (%s) (rate(%s[%s])) > 0", strings.Join(names, ", "), selector, recipeWindow)
}
