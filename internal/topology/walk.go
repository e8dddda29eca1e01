package topology

import (
	"maps"
	"slices"
)

// Components groups the given services: two belong together when a chain of
// edges among the given ones joins them, in either direction. One service that
// is not given may stand between two that are, where calls run through it from
// the one to the other (a calls m, m calls b); two callers, or two callees, of
// a quiet service are not joined by it alone. Unknown services stand alone.
// Groups and their members are sorted.
func (g *Graph) Components(set []Service) [][]Service {
	names := slices.Sorted(slices.Values(set))
	names = slices.Compact(names)
	if len(names) > 0 && names[0] == "" {
		names = names[1:]
	}
	given := make(map[Service]int, len(names))
	parent := make([]int, len(names))
	for i, s := range names {
		given[s], parent[i] = i, i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	join := func(a, b int) {
		ra, rb := find(a), find(b)
		parent[max(ra, rb)] = min(ra, rb)
	}
	callers := map[Service][]int{} // of services in between: the given ones that call them
	for i, s := range names {
		for _, e := range g.out(s) {
			if k, ok := given[e.Callee]; ok {
				join(i, k)
				continue
			}
			callers[e.Callee] = append(callers[e.Callee], i)
		}
	}
	for _, middle := range slices.Sorted(maps.Keys(callers)) {
		first := -1
		for _, e := range g.out(middle) {
			if k, ok := given[e.Callee]; ok {
				join(callers[middle][0], k)
				first = k
			}
		}
		if first < 0 {
			continue
		}
		for _, i := range callers[middle] {
			join(i, first)
		}
	}
	groups := map[int][]Service{}
	for i, s := range names {
		r := find(i)
		groups[r] = append(groups[r], s)
	}
	out := make([][]Service, 0, len(groups))
	for _, r := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[r])
	}
	return out
}

// out is [Graph.Callees] without a copy.
func (g *Graph) out(s Service) []Edge {
	i, ok := g.at(s)
	if !ok {
		return nil
	}
	return g.callees[i]
}
