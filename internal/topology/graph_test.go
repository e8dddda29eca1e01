package topology

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// calls makes edges of "a>b b>c".
func calls(text string) []Edge {
	var out []Edge
	for _, f := range strings.Fields(text) {
		a, b, _ := strings.Cut(f, ">")
		out = append(out, Edge{Caller: Service(a), Callee: Service(b)})
	}
	return out
}

func services(text string) []Service {
	var out []Service
	for _, f := range strings.Fields(text) {
		out = append(out, Service(f))
	}
	return out
}

func show(groups [][]Service) string {
	var out []string
	for _, g := range groups {
		out = append(out, strings.Trim(fmt.Sprint(g), "[]"))
	}
	return strings.Join(out, " | ")
}

const shop = "frontend>checkout checkout>payments checkout>inventory payments>db inventory>db"

func TestGraph(t *testing.T) {
	g := NewGraph([]Node{{Service: "alone", Owner: "x"}, {Service: "payments", Entry: true}}, calls(shop+" frontend>frontend x> >y"))
	if got, want := fmt.Sprint(g.Services()), "[alone checkout db frontend inventory payments]"; got != want {
		t.Errorf("Services: got %s, want %s", got, want)
	}
	if n := len(g.Edges()); n != 5 {
		t.Errorf("Edges: got %d, want 5: edges to itself or without an end do not count", n)
	}
	ends := func(edges []Edge, end func(Edge) Service) string {
		var out []Service
		for _, e := range edges {
			out = append(out, end(e))
		}
		return fmt.Sprint(out)
	}
	if got := ends(g.Callees("checkout"), func(e Edge) Service { return e.Callee }); got != "[inventory payments]" {
		t.Errorf("Callees: got %s", got)
	}
	if got := ends(g.Callers("db"), func(e Edge) Service { return e.Caller }); got != "[inventory payments]" {
		t.Errorf("Callers: got %s", got)
	}
	if n, ok := g.Node("alone"); !ok || n.Owner != "x" {
		t.Errorf("Node(alone): got %v, %v", n, ok)
	}
	if _, ok := g.Node("nobody"); ok || len(g.Nodes()) != 6 {
		t.Errorf("Node(nobody): got %v; nodes %d", ok, len(g.Nodes()))
	}
	for s, want := range map[Service]bool{"frontend": true, "payments": true, "checkout": false, "db": false, "alone": false, "nobody": false} {
		if got := g.IsEntry(s); got != want {
			t.Errorf("IsEntry(%s): got %v, want %v", s, got, want)
		}
	}
	if NewGraph([]Node{{Service: "cron", Internal: true}}, calls("cron>db")).IsEntry("cron") {
		t.Error("declared `entry: false`: got an entry")
	}
	// What is returned is the caller's own.
	g.Callees("checkout")[0].Callee = "changed"
	if g.Callees("checkout")[0].Callee != "inventory" {
		t.Error("the graph can be changed through Callees")
	}
}

func TestComponents(t *testing.T) {
	for _, c := range []struct{ edges, set, want string }{
		{shop, "frontend checkout db", "checkout db frontend"},
		{shop, "frontend db", "db | frontend"},               // three calls apart
		{shop, "checkout db", "checkout db"},                 // through a quiet one
		{shop, "payments inventory", "inventory | payments"}, // siblings, whatever they share
		{shop, "payments inventory db", "db inventory payments"},
		{shop, "frontend payments stranger", "frontend payments | stranger"},
		{"a>m b>m m>c", "a b c", "a b c"},
		{"a>m b>m", "a b", "a | b"},
		{"a>m m>a b>m", "a b", "a b"}, // b calls m calls a
		{"a>m m>n n>b", "a b", "a | b"},
		{"a>b b>a", "b a b", "a b"},
		{"", "z y", "y | z"},
		{shop, "", ""},
	} {
		g := NewGraph(nil, calls(c.edges))
		if got := show(g.Components(services(c.set))); got != c.want {
			t.Errorf("Components(%s) of %s: got %q, want %q", c.set, c.edges, got, c.want)
		}
	}
	if got := show((*Graph)(nil).Components([]Service{"b", "", "a"})); got != "a | b" {
		t.Errorf("nil graph: got %q", got)
	}
}

func TestNilGraph(t *testing.T) {
	var g *Graph
	_, known := g.Node("a")
	if g.Callees("a") != nil || g.Callers("a") != nil || known || g.Services() != nil || g.Nodes() != nil || g.Edges() != nil ||
		g.IsEntry("a") {
		t.Error("a nil graph knows something")
	}
}

// random makes nodes and edges with repetitions.
func random(r *rand.Rand, services, edges int) ([]Node, []Edge) {
	name := func() Service { return Service(fmt.Sprintf("s%d", r.IntN(services))) }
	var ns []Node
	for range services / 2 {
		ns = append(ns, Node{Service: name(), Entry: r.IntN(5) == 0, Critical: r.IntN(5) == 0, Owner: []string{"", "a", "b"}[r.IntN(3)]})
	}
	var es []Edge
	for range edges {
		es = append(es, Edge{Caller: name(), Callee: name(), Rate: float64(r.IntN(9)), Declared: r.IntN(2) == 0, Seen: time.Unix(int64(r.IntN(3)), 0)})
	}
	return ns, es
}

func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		nodes, edges := random(r, 12, 30)
		want := NewGraph(nodes, edges)
		set := services("s1 s3 s5 s7 s9")
		r.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
		r.Shuffle(len(edges), func(i, k int) { edges[i], edges[k] = edges[k], edges[i] })
		got := NewGraph(nodes, edges)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("shuffled: got %+v, want %+v", got, want)
		}
		a := show(want.Components(set))
		r.Shuffle(len(set), func(i, k int) { set[i], set[k] = set[k], set[i] })
		if b := show(got.Components(set)); a != b {
			t.Fatalf("components of a shuffled set: got %s, want %s", b, a)
		}
	}
}

// TestAgainstOracle compares with definitions that are slow and plain.
func TestAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		nodes, edges := random(r, 10, 18)
		g := NewGraph(nodes, edges)
		all := g.Services()
		n := len(all)
		call := func(i, k int) bool {
			return slices.ContainsFunc(edges, func(e Edge) bool { return e.Caller == all[i] && e.Callee == all[k] })
		}
		in := make([]bool, n)
		var set []Service
		for i := range n {
			if in[i] = r.IntN(2) == 0; in[i] {
				set = append(set, all[i])
			}
		}
		if got, want := show(g.Components(set)), show(slowComponents(all, in, call)); got != want {
			t.Fatalf("Components(%v) of %v: got %s, want %s", set, g.Edges(), got, want)
		}
	}
}

func slowComponents(all []Service, in []bool, call func(i, k int) bool) [][]Service {
	linked := func(i, k int) bool {
		if call(i, k) {
			return true
		}
		for m := range all {
			if !in[m] && call(i, m) && call(m, k) {
				return true
			}
		}
		return false
	}
	seen := make([]bool, len(all))
	var out [][]Service
	for i := range all {
		if !in[i] || seen[i] {
			continue
		}
		var group []Service
		seen[i] = true
		for stack := []int{i}; len(stack) > 0; {
			a := stack[0]
			stack = stack[1:]
			group = append(group, all[a])
			for b := range all {
				if in[b] && !seen[b] && (linked(a, b) || linked(b, a)) {
					seen[b] = true
					stack = append(stack, b)
				}
			}
		}
		slices.Sort(group)
		out = append(out, group)
	}
	return out
}

func BenchmarkNewGraph(b *testing.B) {
	nodes, edges := random(rand.New(rand.NewPCG(1, 1)), 2000, 20_000)
	for b.Loop() {
		NewGraph(nodes, edges)
	}
}

func BenchmarkComponents(b *testing.B) {
	nodes, edges := random(rand.New(rand.NewPCG(1, 1)), 2000, 20_000)
	g := NewGraph(nodes, edges)
	set := g.Services()[:1000]
	for b.Loop() {
		g.Components(set)
	}
}
