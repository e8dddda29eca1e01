package topology

import (
	"slices"
	"strings"
)

// Gaps is what a graph does not know, measured against the services that have
// readings. Every list is sorted.
type Gaps struct {
	// Unconnected have readings, but nobody is known to call them, nor they anyone:
	// cause and effect cannot be told apart there. Where they run does not count.
	Unconnected []Service
	// Unread are services that edges name, without readings of their own: a cause
	// there shows at their neighbours only. Nodes, zones and what is external are left out.
	Unread []Service
	// Nowhere are the edges to a service of Unread.
	Nowhere []Edge
	// Alike are likely one service under two names, which some relabelling would
	// join: one of Unconnected and one of Unread whose own names are the same.
	Alike []Pair
}

// Pair is a service as readings name it, and as edges name it.
type Pair struct {
	Readings, Edges Service
}

// Gaps compares the graph with the services that have readings, in any order.
// A nil Graph knows none of them.
func (g *Graph) Gaps(withReadings []Service) Gaps {
	var out Gaps
	read := make(map[Service]bool, len(withReadings))
	for _, s := range withReadings {
		if s == "" || read[s] {
			continue
		}
		read[s] = true
		if i, ok := g.at(s); !ok || len(g.callers[i]) == 0 && !slices.ContainsFunc(g.callees[i], func(e Edge) bool { return !g.runsOn(e) }) {
			out.Unconnected = append(out.Unconnected, s)
		}
	}
	slices.Sort(out.Unconnected)
	if g == nil {
		return out
	}
	unread := map[string][]Service{} // by own name
	for i, s := range g.names {
		kind := g.nodes[i].Kind
		connected := len(g.callers[i]) > 0 || len(g.callees[i]) > 0
		if read[s] || !connected || kind == Machine || kind == Zone || kind == External {
			continue
		}
		out.Unread = append(out.Unread, s)
		out.Nowhere = append(out.Nowhere, g.callers[i]...)
		unread[ownName(s)] = append(unread[ownName(s)], s)
	}
	slices.SortFunc(out.Nowhere, compareEdges)
	for _, s := range out.Unconnected {
		for _, other := range unread[ownName(s)] {
			out.Alike = append(out.Alike, Pair{Readings: s, Edges: other})
		}
	}
	return out
}

// ownName is the value of the last identity label, as the service writes it.
func ownName(s Service) string { return string(s[strings.LastIndexByte(string(s), '/')+1:]) }
