package packs

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

var standard = []string{"cluster", "namespace", "service"}

func load(t *testing.T, name string, o Options) Pack {
	t.Helper()
	p, err := Load(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever names a service, what a pack writes is a rule file, its recipes are
// there, and every series that a rule judges can have the identity's labels.
func TestPacksAreRuleFiles(t *testing.T) {
	for _, identity := range [][]string{standard, {"job"}, {"instance"}, {"namespace"}, {"env", "namespace", "app"}, {"service.name"}} {
		for _, name := range Names() {
			p := load(t, name, Options{Identity: identity, Interval: time.Minute})
			f, err := rules.ParseFile(name, p.Rules)
			if err != nil {
				t.Errorf("%v: %v in\n%s", identity, err, p.Rules)
				continue
			}
			for _, r := range f.Groups[0].Rules {
				if r.Detection.Annotations["summary"] == "" || r.Detection.WriteScore == false {
					t.Errorf("%s of %s: want a summary and a score", r.Detection.Name, name)
				}
				if text := r.Detection.Expr.String(); strings.Contains(text, "identity") {
					t.Errorf("%s: %s still has the word identity", r.Detection.Name, text)
				}
			}
			id, err := topology.NewIdentity(identity)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range p.Recipes {
				if _, err := topology.Recipe(r, id, topology.RecipeOptions{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if p.About == "" || !strings.HasSuffix(p.About, ".") {
				t.Errorf("%s: about %q, want sentences", name, p.About)
			}
		}
	}
}

// Detection rules have names of their own over all packs, since all may be chosen.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, name := range Names() {
		f, err := rules.ParseFile(name, load(t, name, Options{Identity: standard}).Rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Groups[0].Rules {
			if other := seen[r.Detection.Name]; other != "" {
				t.Errorf("%s is in %s and %s", r.Detection.Name, other, name)
			}
			seen[r.Detection.Name] = name
		}
	}
}

func TestQuery(t *testing.T) {
	f := func(pack packFile, o Options, expr, want string) {
		t.Helper()
		w, err := newWriter(pack, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.query(expr)
		if err != nil {
			t.Fatal(err)
		}
		e, err := newParser().ParseExpr(got)
		if err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		if e.String() != want {
			t.Errorf("%s becomes\n%s, want\n%s", expr, e, want)
		}
	}
	plain := "sum by (identity, le) (rate(x_bucket[1m]))"
	id := []string{"namespace", "service"}
	f(packFile{}, Options{Identity: id}, plain, `sum by (namespace, service, le) (rate(x_bucket[1m]))`)
	f(packFile{}, Options{Identity: []string{"job"}, Interval: 30 * time.Second}, plain, `sum by (job, le) (rate(x_bucket[2m]))`)
	f(packFile{}, Options{Identity: []string{"a.b"}, Match: `{env="prod", }`}, plain, `sum by ("a.b", le) (rate(x_bucket{env="prod"}[1m]))`)
	f(packFile{}, Options{Identity: id, Labels: map[string]string{"service": "app", "namespace": ""}}, `max by (identity) (x)`,
		`max by (namespace, service) (label_replace(label_replace(label_replace(x, "namespace", "", "", ""), "service", "", "", ""), "service", "$1", "app", "(.+)"))`)
	places := packFile{
		Service:   &[]place{{Label: "workload", Not: "unknown"}, {Label: "pod", Regex: "(.+)-x"}},
		Namespace: &[]place{{Label: "exported_namespace"}, {Label: "namespace"}},
	}
	f(places, Options{Identity: id}, `max by (identity) (x)`, `max by (namespace, service) (label_replace(label_replace(label_replace(label_replace(label_replace(x, `+
		`"namespace", "$1", "exported_namespace", "(.+)"), "service", "", "", ""), "workload", "", "workload", "unknown"), "service", "$1", "pod", "(.+)-x"), "service", "$1", "workload", "(.+)"))`)
	f(packFile{}, Options{Identity: id}, `a / on (identity) group_left (v) b`, `a / on (namespace, service) group_left (v) b`)
}

func TestOptionsErrors(t *testing.T) {
	f := func(name string, o Options, want string) {
		t.Helper()
		if _, err := Load(name, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s with %+v: %v, want an error with %q", name, o, err, want)
		}
	}
	f("htpp", Options{Identity: standard}, `unknown pack "htpp"; did you mean "http"?`)
	f("oracle-database", Options{Identity: standard}, `known are grpc, http, istio, kubernetes, node`)
	f("../packs", Options{Identity: standard}, `unknown pack`)
	f("http", Options{}, "no label names a service")
	f("http", Options{Identity: standard, Labels: map[string]string{"servise": "app"}}, `did you mean "service"?`)
	f("http", Options{Identity: standard, Labels: map[string]string{"service": "\xff"}}, "is no label name")
	f("http", Options{Identity: standard, Match: `env=prod`}, "is no list of label matchers")
}

// Workloads by the names of their pods.
func TestWorkloadOfPod(t *testing.T) {
	w := kubernetesWriter(t)
	for pod, want := range map[string]string{
		"checkout-7d9f8c6b5d-x2x4z": "checkout", "cart-api-6d4cf56db6-8vz2k": "cart-api", "orders-db-0": "orders-db", "fluent-bit-x8k2p": "fluent-bit",
		"report-28374650-b5kkq": "report", "migrate-b5kkq": "migrate", "etcd-control-plane-1": "etcd-control-plane", "static": "static",
	} {
		ls := labels.FromStrings("pod", pod, "service", "kube-state-metrics", "namespace", "shop")
		if got := w(ls); got != want {
			t.Errorf("pod %s: workload %q, want %q", pod, got, want)
		}
	}
	if got := w(labels.FromStrings("deployment", "checkout", "pod", "kube-state-metrics-7d9f8c6b5d-x2x4z")); got != "checkout" {
		t.Errorf("a deployment's series is %q's, want checkout's", got)
	}
}

// kubernetesWriter gives the service that the pack kubernetes takes a series for,
// by the label_replace calls that it writes.
func kubernetesWriter(t *testing.T) func(labels.Labels) string {
	t.Helper()
	p := load(t, "kubernetes", Options{Identity: standard})
	f, err := rules.ParseFile("kubernetes", p.Rules)
	if err != nil {
		t.Fatal(err)
	}
	var calls []*parser.Call
	parser.Inspect(f.Groups[0].Rules[0].Detection.Expr, func(n parser.Node, _ []parser.Node) error {
		if c, ok := n.(*parser.Call); ok && c.Func.Name == "label_replace" {
			calls = append([]*parser.Call{c}, calls...)
		}
		return nil
	})
	calls = calls[len(calls)/2:] // those of one of the two selections
	return func(ls labels.Labels) string {
		for _, c := range calls {
			text := func(i int) string { return c.Args[i].(*parser.StringLiteral).Val }
			ls = replaced(t, ls, text(1), text(2), text(3), text(4))
		}
		return ls.Get("service")
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("service", "app", `env="prod"`, "sum by (identity) (rate(x[1m]))")
	f.Add("a.b", "", "", `max by (identity, le) (a / on (identity) b)`)
	f.Fuzz(func(t *testing.T, identity, label, match, expr string) {
		if !model.UTF8Validation.IsValidLabelName(identity) {
			return
		}
		w, err := newWriter(packFile{}, Options{Identity: []string{identity}, Labels: map[string]string{identity: label}, Match: match, Interval: time.Minute})
		if err != nil {
			return
		}
		got, err := w.query(expr)
		if err != nil {
			return
		}
		if _, err := newParser().ParseExpr(got); err != nil {
			t.Errorf("%q becomes %q: %v", expr, got, err)
		}
	})
}
