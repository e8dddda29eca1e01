package topology

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
)

// Graph is the dependency graph at one time. It does not change; its methods
// may be called on a nil Graph, which knows no service.
type Graph struct {
	names   []Service // sorted
	nodes   []Node
	index   map[Service]int
	callees [][]Edge // by caller, sorted by callee
	to      [][]int  // of callees, the place of the callee in names
	callers [][]Edge // by callee, sorted by caller
	edges   []Edge   // sorted by caller, callee
	entries []bool   // by service
}

// NewGraph makes a graph. Services that only edges name are added; edges of a
// service to itself and edges without an end are left out. What is given of one
// service, or of one edge, several times is merged: any flag counts, of rates
// the newest. A service whose kind no node says is of the kind that the edges to
// it say; an external one is not that when it is known to call others. The order
// of nodes and edges does not matter.
func NewGraph(nodes []Node, edges []Edge) *Graph {
	by := make(map[Service]Node, len(nodes))
	for _, n := range nodes {
		if n.Service == "" {
			continue
		}
		if old, ok := by[n.Service]; ok {
			n = mergeNodes(old, n)
		}
		by[n.Service] = n
	}
	unique := make(map[[2]Service]Edge, len(edges))
	for _, e := range edges {
		if e.Caller == "" || e.Callee == "" || e.Caller == e.Callee {
			continue
		}
		if math.IsNaN(e.Rate) {
			e.Rate = 0
		}
		k := [2]Service{e.Caller, e.Callee}
		if old, ok := unique[k]; ok {
			e = mergeEdges(old, e)
		}
		unique[k] = e
		for _, s := range k {
			if _, ok := by[s]; !ok {
				by[s] = Node{Service: s}
			}
		}
	}
	g := &Graph{names: slices.Sorted(maps.Keys(by)), index: make(map[Service]int, len(by)), nodes: make([]Node, 0, len(by))}
	for i, s := range g.names {
		g.index[s] = i
		g.nodes = append(g.nodes, by[s])
	}
	g.edges = slices.SortedFunc(maps.Values(unique), compareEdges)
	g.callees, g.callers, g.to = make([][]Edge, len(by)), make([][]Edge, len(by)), make([][]int, len(by))
	for _, e := range g.edges {
		from, to := g.index[e.Caller], g.index[e.Callee]
		g.callees[from] = append(g.callees[from], e)
		g.to[from] = append(g.to[from], to)
		g.callers[to] = append(g.callers[to], e)
	}
	for i := range g.nodes {
		g.nodes[i].Kind = g.kind(i)
	}
	g.entries = make([]bool, len(g.names))
	for i := range g.entries {
		g.entries[i] = g.entry(i)
	}
	return g
}

// kind is what a service is: as its node says, or else as the edges to it say.
func (g *Graph) kind(i int) Kind {
	kind := g.nodes[i].Kind
	if kind != "" {
		return kind
	}
	for _, e := range g.callers[i] {
		kind = firstKind(kind, e.Kind)
	}
	if kind == External && len(g.callees[i]) > 0 {
		return "" // its own calls are seen, so it is observed
	}
	return kind
}

// entry says of a service, once all kinds are known, whether its users are people.
func (g *Graph) entry(i int) bool {
	n := g.nodes[i]
	if n.Entry || n.Internal || !n.Kind.calls() || len(g.callers[i]) > 0 {
		return n.Entry
	}
	// Who only reads from a queue has no users at all, so an edge to one says nothing.
	return slices.ContainsFunc(g.callees[i], func(e Edge) bool { return !g.runsOn(e) && g.nodes[g.index[e.Callee]].Kind != Queue })
}

// runsOn reports whether an edge is no call, but says where the caller runs.
func (g *Graph) runsOn(e Edge) bool {
	kind := g.nodes[g.index[e.Callee]].Kind
	return kind == Machine || kind == Zone
}

func compareEdges(a, b Edge) int {
	return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee))
}

// mergeNodes joins two descriptions of a service; the result does not depend
// on which came first.
func mergeNodes(a, b Node) Node {
	return Node{
		Service: a.Service, Entry: a.Entry || b.Entry, Internal: a.Internal || b.Internal, Critical: a.Critical || b.Critical,
		Owner: either(a.Owner, b.Owner), Runbook: either(a.Runbook, b.Runbook), Declared: a.Declared || b.Declared,
		Kind: firstKind(a.Kind, b.Kind),
	}
}

// either returns the text that is there, of two the first in order.
func either(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return min(a, b)
}

func mergeEdges(a, b Edge) Edge {
	out := a
	switch c := a.Seen.Compare(b.Seen); {
	case c < 0:
		out = b
	case c == 0:
		out.Rate = max(a.Rate, b.Rate)
		out.Kind = firstKind(a.Kind, b.Kind)
	}
	out.Declared = a.Declared || b.Declared
	return out
}

func (g *Graph) at(s Service) (int, bool) {
	if g == nil {
		return 0, false
	}
	i, ok := g.index[s]
	return i, ok
}

// Services returns all services, sorted.
func (g *Graph) Services() []Service {
	if g == nil {
		return nil
	}
	return slices.Clone(g.names)
}

// Edges returns all edges, sorted by caller and callee.
func (g *Graph) Edges() []Edge {
	if g == nil {
		return nil
	}
	return slices.Clone(g.edges)
}

// Node returns what is known of a service.
func (g *Graph) Node(s Service) (Node, bool) {
	i, ok := g.at(s)
	if !ok {
		return Node{}, false
	}
	return g.nodes[i], true
}

// Nodes returns what is known of all services, sorted by service.
func (g *Graph) Nodes() []Node {
	if g == nil {
		return nil
	}
	return slices.Clone(g.nodes)
}

// Callees returns the edges to the services that s calls, sorted by callee.
func (g *Graph) Callees(s Service) []Edge {
	return slices.Clone(g.out(s))
}

// Callers returns the edges from the services that call s, sorted by caller.
func (g *Graph) Callers(s Service) []Edge {
	return slices.Clone(g.in(s))
}

// EachCallee yields what [Graph.Callees] returns, without a copy of the list.
func (g *Graph) EachCallee(s Service) iter.Seq[Edge] { return slices.Values(g.out(s)) }

// EachCaller yields what [Graph.Callers] returns, without a copy of the list.
func (g *Graph) EachCaller(s Service) iter.Seq[Edge] { return slices.Values(g.in(s)) }

// HasCallees reports whether it is known that s calls another service.
func (g *Graph) HasCallees(s Service) bool { return len(g.out(s)) > 0 }

// HasCallers reports whether it is known that another service calls s.
func (g *Graph) HasCallers(s Service) bool { return len(g.in(s)) > 0 }

// Degree returns how many edges lead to s, and how many from it.
func (g *Graph) Degree(s Service) (callers, callees int) { return len(g.in(s)), len(g.out(s)) }

// out is [Graph.Callees] without a copy.
func (g *Graph) out(s Service) []Edge {
	i, ok := g.at(s)
	if !ok {
		return nil
	}
	return g.callees[i]
}

// in is [Graph.Callers] without a copy.
func (g *Graph) in(s Service) []Edge {
	i, ok := g.at(s)
	if !ok {
		return nil
	}
	return g.callers[i]
}

// IsEntry reports whether the users of s are people: it is declared so, or it
// has known callees (queues, and nodes and zones that it runs on, do not count) and
// no known callers, is not declared as internal and is a service by its kind.
func (g *Graph) IsEntry(s Service) bool {
	i, ok := g.at(s)
	return ok && g.entries[i]
}
