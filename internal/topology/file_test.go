package topology

import (
	"errors"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

const example = `services:
  - name: frontend
    namespace: shop
    calls: [checkout]
    entry: true
    owner: team-web
    runbook: https://runbooks.example/frontend
  - name: checkout
    namespace: shop
    critical: true
    calls: [payments, {name: db, namespace: data}]
  - {name: cron, calls: [db], entry: false}
  - {name: 42, calls: []}
  - {name: "PetStatus/prod", calls: ~}
  - {name: db, namespace: data, kind: database}
`

func TestParseFile(t *testing.T) {
	d, err := ParseFile("topology.yml", []byte(example), Identity{})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGraph(d.Nodes, d.Edges)
	if got, want := edges(g), "cron>db! shop/checkout>data/db! shop/checkout>shop/payments! shop/frontend>shop/checkout!"; got != want {
		t.Errorf("edges: got %s, want %s", got, want)
	}
	if got, want := show([][]Service{g.Services()}), "42 PetStatus%2Fprod cron data/db db shop/checkout shop/frontend shop/payments"; got != want {
		t.Errorf("services: got %s, want %s", got, want)
	}
	if n, _ := g.Node("shop/frontend"); n != (Node{Service: "shop/frontend", Entry: true, Owner: "team-web", Runbook: "https://runbooks.example/frontend", Declared: true}) {
		t.Errorf("frontend: got %+v", n)
	}
	if n, _ := g.Node("shop/checkout"); !n.Critical || g.IsEntry("cron") {
		t.Errorf("checkout: got %+v; cron is an entry: %v", n, g.IsEntry("cron"))
	}
	if got := kinds(g); got != "data/db=database" {
		t.Errorf("kinds: got %s", got)
	}
	for _, empty := range []string{"", "# nothing\n", "services: []\n", "services:\n"} {
		if d, err := ParseFile("t.yml", []byte(empty), Identity{}); err != nil || len(d.Nodes) > 0 {
			t.Errorf("%q: got %v, %v", empty, d, err)
		}
	}
	if d, err := ParseFile("t.yml", []byte("services: [{app: a, calls: [{app: b, team: y}], team: x}]"), identity(t, "team", "app")); err != nil || edges(NewGraph(nil, d.Edges)) != "x/a>y/b!" {
		t.Errorf("labels by their own names: got %v, %v", d, err)
	}
}

func TestParseFileErrors(t *testing.T) {
	many := "services:\n  - &all\n    name: a\n    calls:\n" + strings.Repeat("      - x\n", 2)
	for _, c := range []struct {
		text, want string
		line       int
	}{
		{"services: [{name: a, call: [b]}]", `unknown field "call"`, 1},
		{"services:\n  - name: a\n    namespce: b\n", `did you mean "namespace"`, 3},
		{"service: []", `did you mean "services"`, 1},
		{"services:\n  - {name: a}\n  - {name: b}\n  - {name: a}\n", "line 2", 4},
		{"services:\n  - {calls: [a]}\n", "no name", 2},
		{"services:\n  - {name: '', calls: [a]}\n", "no name", 2},
		{"services:\n  - {name: a, calls: ['']}\n", "no name", 2},
		{"services:\n  - {name: a, calls: [{namespace: b}]}\n", "no name", 2},
		{"services:\n  - {name: a, calls: [{name: b, entry: true}]}\n", `unknown field "entry"`, 2},
		{"services:\n  - name: a\n    calls: [b, a]\n", "calls itself", 3},
		{"services:\n  - {name: a, namespace: n, calls: [{name: a, namespace: m}, {name: a}]}\n", "calls itself", 2},
		{"services:\n  - name: a\n    calls: [b, b]\n", "stands twice", 3},
		{"services:\n  - name: a\n    calls: b\n", "", 3},
		{"services:\n  - name: a\n    calls: [[b]]\n", "want the name", 3},
		{"services:\n  - name: a\n    entry: perhaps\n", "", 3},
		{"services:\n  - name: a\n    name: b\n", "has a value already", 3},
		{"services:\n  - name: a\n    service: b\n", "has a value already", 3},
		{"services:\n  - name: a\n    owner: b\n    owner: c\n", "", 4},
		{"services:\n  - name: a\n    kind: db\n", `unknown kind "db"`, 3},
		{"services:\n  - name: [a]\n", "", 2},
		{"services:\n  - name: a\n    runbook: 'javascript:alert(1)'\n", "no http or https URL", 3},
		{"services:\n  - a\n", "want a mapping", 2},
		{"services: {}", "", 1},
		{"services: [", "", 1},
		{many, "stands twice", 6},
	} {
		_, err := ParseFile("t.yml", []byte(c.text), Identity{})
		var at *yamlfile.Error
		if !errors.As(err, &at) {
			t.Errorf("%q: got %v, want an error with a place", c.text, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || at.File != "t.yml" || at.Line != c.line || at.Column < 1 {
			t.Errorf("%q: got %v, want %q in line %d", c.text, err, c.want, c.line)
		}
	}
}

func TestParseFileIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for range maxServices + 1 {
		b.WriteString("- {name: a}\n")
	}
	if _, err := ParseFile("t.yml", []byte(b.String()), Identity{}); err == nil || !strings.Contains(err.Error(), "more than 10000 services") {
		t.Errorf("services: got %v", err)
	}
	b.Reset()
	b.WriteString("services:\n- {name: first, calls: &all [")
	for i := range 5000 {
		b.WriteString("c" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ", ")
	}
	b.WriteString("z]}\n")
	for i := range 100 {
		b.WriteString("- {name: s" + strings.Repeat("s", i) + ", calls: *all}\n")
	}
	if _, err := ParseFile("t.yml", []byte(b.String()), Identity{}); err == nil || !strings.Contains(err.Error(), "more than 20000 calls") {
		t.Errorf("calls: got %.300v", err)
	}
}

func TestMerge(t *testing.T) {
	a := Declared{Nodes: []Node{{Service: "b", Owner: "z"}, {Service: "a"}}, Edges: calls("b>a a>c")}
	b := Declared{Nodes: []Node{{Service: "b", Owner: "y", Runbook: "https://r", Critical: true}}, Edges: calls("a>c c>d")}
	m := a.Merge(b)
	g := NewGraph(m.Nodes, m.Edges)
	if n, _ := g.Node("b"); n != (Node{Service: "b", Owner: "z", Runbook: "https://r", Critical: true}) {
		t.Errorf("node: got %+v", n)
	}
	if got := edges(g); got != "a>c b>a c>d" || len(m.Edges) != 3 || len(m.Nodes) != 2 {
		t.Errorf("edges: got %s, %+v", got, m)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(example)
	f.Add("services: [{name: a, calls: [b, {name: c, cluster: d}]}]")
	f.Add("services: &a [*a]")
	f.Add("services: [&a {name: x, calls: &b [y]}, {<<: *a, name: z, calls: *b}]")
	f.Add("services: [{name: a, calls: [&x {name: *x}]}]")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseFile("t.yml", []byte(text), Identity{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "t.yml:") {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		g := NewGraph(d.Nodes, d.Edges)
		if len(g.Edges()) != len(d.Edges) || len(g.Services()) != len(d.Nodes) {
			t.Fatalf("got %d edges and %d services, want %d and %d", len(g.Edges()), len(g.Services()), len(d.Edges), len(d.Nodes))
		}
	})
}
