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
	if !g.Connected("checkout", "payments") || !g.Connected("payments", "checkout") || g.Connected("frontend", "payments") || g.Connected("x", "y") {
		t.Error("Connected: wrong")
	}
	if got := fmt.Sprint(g.Downstream("checkout"), g.Upstream("db")); got != "[db inventory payments] [checkout frontend inventory payments]" {
		t.Errorf("Downstream, Upstream: got %s", got)
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

func TestPath(t *testing.T) {
	g := NewGraph(nil, calls(shop+" a>b b>c c>a"))
	for _, c := range []struct {
		from, to Service
		want     string
	}{
		{"frontend", "db", "[frontend checkout inventory db]"},
		{"db", "frontend", "[]"},
		{"db", "db", "[db]"},
		{"a", "c", "[a b c]"},
		{"c", "b", "[c a b]"},
		{"a", "db", "[]"},
		{"nobody", "nobody", "[]"},
	} {
		if got := fmt.Sprint(g.Path(c.from, c.to)); got != c.want {
			t.Errorf("Path(%s, %s): got %s, want %s", c.from, c.to, got, c.want)
		}
	}
	if got := fmt.Sprint(g.Downstream("a"), g.Upstream("a")); got != "[b c] [b c]" {
		t.Errorf("in a cycle: got %s", got)
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
		g.Connected("a", "b") || g.IsEntry("a") || g.Path("a", "a") != nil || g.Downstream("a") != nil || g.Upstream("a") != nil {
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
		call := func(i, k int) bool { return g.calls(all[i], all[k]) }
		// Floyd and Warshall.
		dist := make([][]int, n)
		for i := range n {
			dist[i] = slices.Repeat([]int{99}, n)
			for k := range n {
				if call(i, k) {
					dist[i][k] = 1
				}
			}
			dist[i][i] = 0
		}
		for m := range n {
			for i := range n {
				for k := range n {
					dist[i][k] = min(dist[i][k], dist[i][m]+dist[m][k])
				}
			}
		}
		for i := range n {
			for k := range n {
				p := g.Path(all[i], all[k])
				if want := dist[i][k]; want == 99 && p != nil || want < 99 && len(p) != want+1 {
					t.Fatalf("Path(%s, %s): got %v, want %d calls", all[i], all[k], p, want)
				}
				if got, want := slices.Contains(g.Downstream(all[i]), all[k]), i != k && dist[i][k] < 99; got != want {
					t.Fatalf("Downstream(%s) has %s: got %v, want %v", all[i], all[k], got, want)
				}
				if got, want := slices.Contains(g.Upstream(all[k]), all[i]), i != k && dist[i][k] < 99; got != want {
					t.Fatalf("Upstream(%s) has %s: got %v, want %v", all[k], all[i], got, want)
				}
			}
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
