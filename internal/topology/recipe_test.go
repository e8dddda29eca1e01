package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Every recipe makes queries and relabelling that are valid, for any identity
// and with any option.
func TestRecipesAreValid(t *testing.T) {
	names := Recipes()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) < 10 {
		t.Fatalf("names: got %v", names)
	}
	p := parser.NewParser(parser.Options{})
	for _, name := range names {
		for _, id := range []Identity{{}, identity(t, "service"), identity(t, "namespace"), identity(t, "team", "app.kubernetes.io/name")} {
			for _, o := range []RecipeOptions{
				{},
				{Metric: "some.metric", Match: `{env="prod", region=~"eu.*",}`, Caller: "from.label", Callee: "to"},
				{CallerLabels: map[string]string{"namespace": "a"}, CalleeLabels: map[string]string{"namespace": ""}, Kind: Cache},
			} {
				ds, err := Recipe(name, id, o)
				if err != nil || len(ds) == 0 {
					t.Fatalf("%s: got %d queries, %v", name, len(ds), err)
				}
				for _, d := range ds {
					if _, err := p.ParseExpr(d.Edges); err != nil {
						t.Errorf("%s: %s: %v", name, d.Edges, err)
					}
					if d.Caller == "" || d.Callee == "" {
						t.Errorf("%s: got no label of caller %q or callee %q", name, d.Caller, d.Callee)
					}
					for _, r := range d.Relabel {
						if err := r.Validate(model.UTF8Validation); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
					if o.Kind != "" && d.Kind != o.Kind {
						t.Errorf("%s: kind: got %q, want %q", name, d.Kind, o.Kind)
					}
				}
			}
		}
	}
	for misspelt, want := range map[string]string{
		"isto":  `unknown recipe "isto"; did you mean "istio"?`,
		"zzzzz": `unknown recipe "zzzzz"; known are ` + strings.Join(names, ", "),
	} {
		if _, err := Recipe(misspelt, Identity{}, RecipeOptions{}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", misspelt, err, want)
		}
	}
}

func TestRecipeQueries(t *testing.T) {
	for _, c := range []struct {
		name string
		id   []string
		o    RecipeOptions
		want string
	}{
		{"tempo-service-graph", []string{"service"}, RecipeOptions{},
			`sum by (client, connection_type, server) (rate(traces_service_graph_request_total{client!="user"}[5m])) > 0`},
		{"linkerd", nil, RecipeOptions{Match: `env="prod"`, Callee: "dst_service"},
			`sum by (cluster, daemonset, deployment, dst_namespace, dst_service, namespace, statefulset) (rate(response_total{direction="outbound",env="prod"}[5m])) > 0`},
		{"linkerd", nil, RecipeOptions{CallerLabels: map[string]string{"cluster": "from"}, CalleeLabels: map[string]string{"cluster": "to", "namespace": ""}, Callee: "dst_service", Caller: "deployment"},
			`sum by (deployment, dst_service, from, namespace, to) (rate(response_total{direction="outbound"}[5m])) > 0`},
		{"http-client", []string{"service"}, RecipeOptions{Metric: "http.client.count", Caller: "service.name", Relabel: []*relabel.Config{{SourceLabels: model.LabelNames{"__end__", "job"}}}},
			`sum by (job, server_address, "service.name") (rate({"http.client.count"}[5m])) > 0`},
		{"kubernetes-nodes", []string{"service"}, RecipeOptions{Metric: "kube_pod_info"},
			`count by (created_by_kind, created_by_name, node) (kube_pod_info{node!="",created_by_kind=~"ReplicaSet|StatefulSet|Job"})`},
	} {
		id, err := NewIdentity(c.id)
		if err != nil {
			t.Fatal(err)
		}
		ds, err := Recipe(c.name, id, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := ds[0].Edges; got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func rules(t *testing.T, action, regex, target, replacement string, source ...model.LabelName) *relabel.Config {
	t.Helper()
	c := relabel.DefaultRelabelConfig
	c.Action, c.Regex, c.TargetLabel, c.Replacement, c.SourceLabels = relabel.Action(action), relabel.MustNewRegexp(regex), target, replacement, source
	if err := c.Validate(model.UTF8Validation); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestDiscoveryLabels(t *testing.T) {
	sample := []promql.Sample{
		series(1, "src", "a", "src_ns", "x", "dst", "b", "dst_ns", "y", "namespace", "n", "tier", "cache"),
		series(2, "src", "a", "src_ns", "x", "dst", "", "alias", "c", "namespace", "n"),
		series(4, "src", "job-a", "src_ns", "x", "dst", "unknown", "alias", "d", "namespace", "n"),
	}
	both := map[string][]string{"namespace": {"src_ns"}}
	for _, c := range []struct {
		name, want, kinds string
		d                 Discovery
		dropped           uint64
	}{
		{"labels of the series", "n/a>n/b=1 n/job-a>n/unknown=4", "", Discovery{}, 1},
		{"labels of either end", "x/a>y/b=1 x/job-a>unknown=4", "", Discovery{CallerLabels: both, CalleeLabels: map[string][]string{"namespace": {"dst_ns"}}}, 1},
		{"no label", "n/a>b=1 n/job-a>unknown=4", "", Discovery{CalleeLabels: map[string][]string{"namespace": {}}}, 1},
		{"other labels with the name", "n/a>n/b=1 n/a>n/c=2 n/job-a>n/d=4", "", Discovery{CalleeLabels: map[string][]string{"service": {"alias"}}}, 0},
		{"relabelled", "n/a>n/b=1 n/a>n/unknown=4", "", Discovery{Relabel: []*relabel.Config{rules(t, "replace", "job-(.+)", "service", "$1", "service")}}, 1},
		{"one end relabelled", "n/a>z/b=1 n/job-a>z/unknown=4", "", Discovery{Relabel: []*relabel.Config{rules(t, "replace", "callee", "namespace", "z", EndLabel)}}, 1},
		{"dropped", "n/a>n/b=1", "", Discovery{Relabel: []*relabel.Config{rules(t, "drop", "unknown|job-.*", "", "", "service")}}, 2},
		{"all dropped", "", "", Discovery{Relabel: []*relabel.Config{rules(t, "drop", ".*", "", "", "service")}}, 3},
		{"kind", "n/a>n/b=1 n/job-a>n/unknown=4", "n/b=database n/unknown=database", Discovery{Kind: Database}, 1},
		{"kind by relabelling", "n/a>n/b=1 n/job-a>n/unknown=4", "n/b=cache n/unknown=database",
			Discovery{Kind: Database, Relabel: []*relabel.Config{rules(t, "replace", "(.+)", KindLabel, "$1", "tier")}}, 1},
		{"a kind that is none", "n/a>n/b=1 n/job-a>n/unknown=4", "n/b=database n/unknown=database",
			Discovery{Kind: Database, Relabel: []*relabel.Config{rules(t, "replace", ".*", KindLabel, "bucket", "tier")}}, 1},
		{"presence", "n/a>n/b n/job-a>n/unknown", "", Discovery{Presence: true}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := newTopology(t, Options{})
			c.d.Edges, c.d.Caller, c.d.Callee = "q", "src", "dst"
			if err := top.Discover(start, c.d, sample); err != nil {
				t.Fatal(err)
			}
			g := top.At(start)
			if got := edges(g); got != c.want {
				t.Errorf("edges: got %s, want %s", got, c.want)
			}
			if got := kinds(g); got != c.kinds {
				t.Errorf("kinds: got %s, want %s", got, c.kinds)
			}
			if got := top.Stats().Dropped; got != c.dropped {
				t.Errorf("dropped: got %d, want %d", got, c.dropped)
			}
		})
	}
}

// A presence beside rates leaves them as they are, in either order.
func TestPresenceBesideRates(t *testing.T) {
	present := Discovery{Edges: "p", Caller: "client", Callee: "server", Presence: true, Kind: Database}
	for _, first := range []Discovery{spans, present} {
		top := newTopology(t, Options{})
		for _, d := range []Discovery{first, spans, present} {
			if err := top.Discover(start, d, promql.Vector{series(9, "client", "a", "server", "b")}); err != nil {
				t.Fatal(err)
			}
		}
		if got := edges(top.At(start)) + " " + kinds(top.At(start)); got != "a>b=9 b=database" {
			t.Errorf("got %s", got)
		}
	}
}

// Whoever keeps a graph, as an incident does, sees it as it was: later edges,
// edges that age out, and what callers do with the answers do not reach it.
func TestGraphOfATimeStays(t *testing.T) {
	top := newTopology(t, Options{TTL: 10 * time.Minute})
	discover(t, top, start, series(1, "client", "a", "server", "b"), series(2, "client", "b", "server", "a"))
	kept := top.At(start)
	const want = "a>b=1 b>a=2"
	for i := range 30 {
		discover(t, top, start.Add(time.Duration(i)*time.Minute), series(float64(i+3), "client", "b", "server", fmt.Sprint("c", i)))
	}
	if got := edges(top.At(start.Add(29 * time.Minute))); strings.Contains(got, "a>b") || !strings.Contains(got, "b>c29=32") {
		t.Errorf("now: got %s", got)
	}
	for _, list := range [][]Edge{kept.Edges(), kept.Callees("a"), kept.Callers("a")} {
		for i := range list {
			list[i] = Edge{Caller: "z", Callee: "z"}
		}
	}
	kept.Nodes()[0].Entry, kept.Services()[0] = true, "z"
	if got := edges(kept); got != want || kept.IsEntry("a") {
		t.Errorf("kept: got %s, want %s", got, want)
	}
}

// A cycle, an edge that is missing for a while and one that comes back.
func TestMissingEdgesAndCycles(t *testing.T) {
	top := newTopology(t, Options{TTL: 5 * time.Minute, Declared: Declared{Edges: []Edge{{Caller: "c", Callee: "a", Declared: true}}}})
	for _, c := range []struct {
		minute          int
		found           string
		want, component string
	}{
		{0, "a>b b>c", "a>b=1 b>c=1 c>a!", "a b c"},
		{3, "a>b", "a>b=1 b>c=1 c>a!", "a b c"}, // one is missing: still known
		{6, "a>b", "a>b=1 c>a!", "a b c"},       // and forgotten
		{7, "b>c", "a>b=1 b>c=1 c>a!", "a b c"}, // and back
		{13, "", "c>a!", "a c | b"},             // nothing is found any more
	} {
		now := start.Add(time.Duration(c.minute) * time.Minute)
		var v promql.Vector
		for _, e := range calls(c.found) {
			v = append(v, series(1, "client", string(e.Caller), "server", string(e.Callee)))
		}
		discover(t, top, now, v...)
		g := top.At(now)
		if got := edges(g); got != c.want {
			t.Errorf("minute %d: got %s, want %s", c.minute, got, c.want)
		}
		if got := show(g.Components(services("a b c"))); got != c.component {
			t.Errorf("minute %d: components: got %s, want %s", c.minute, got, c.component)
		}
	}
}

func BenchmarkDiscoverRecipe(b *testing.B) {
	ds, err := Recipe("http-client", Identity{}, RecipeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var v promql.Vector
	for i := range 20_000 {
		v = append(v, series(1, "namespace", fmt.Sprint("n", i%40), "service", fmt.Sprint("s", i/40), "server_address", fmt.Sprintf("s%d.n%d.svc.cluster.local", i%500, i%39)))
	}
	top, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := top.Discover(start, ds[0], v); err != nil {
			b.Fatal(err)
		}
	}
}
