package topology

import (
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
	places, given := g.places(names)
	all := newUnion(len(names))
	callers := make([][]int, len(given)) // of services in between: the given ones that call them
	var middles []int
	for i, place := range places {
		if place < 0 {
			continue
		}
		for _, to := range g.to[place] {
			if k := given[to]; k >= 0 {
				all.join(i, k)
				continue
			}
			if callers[to] == nil {
				middles = append(middles, to)
			}
			callers[to] = append(callers[to], i)
		}
	}
	for _, middle := range middles {
		first := -1
		for _, to := range g.to[middle] {
			if k := given[to]; k >= 0 {
				all.join(callers[middle][0], k)
				first = k
			}
		}
		if first < 0 {
			continue
		}
		for _, i := range callers[middle] {
			all.join(i, first)
		}
	}
	return all.groups(names)
}

// places returns where each of the names stands in the graph, -1 where it is not
// known, and the other way round for all services of the graph.
func (g *Graph) places(names []Service) (places, given []int) {
	if g != nil {
		given = slices.Repeat([]int{-1}, len(g.names))
	}
	places = make([]int, len(names))
	for i, s := range names {
		places[i] = -1
		if place, ok := g.at(s); ok {
			places[i], given[place] = place, i
		}
	}
	return places, given
}

// union is a partition of numbers; the smallest of a part stands for it.
type union []int

func newUnion(n int) union {
	u := make(union, n)
	for i := range u {
		u[i] = i
	}
	return u
}

func (u union) find(i int) int {
	for u[i] != i {
		u[i] = u[u[i]]
		i = u[i]
	}
	return i
}

func (u union) join(a, b int) {
	ra, rb := u.find(a), u.find(b)
	u[max(ra, rb)] = min(ra, rb)
}

// groups lists the names of each part, the parts by their first.
func (u union) groups(names []Service) [][]Service {
	var out [][]Service
	group := make([]int, len(u)) // of the one that stands for it
	for i, s := range names {
		first := u.find(i)
		if first == i {
			group[i] = len(out)
			out = append(out, nil)
		}
		out[group[first]] = append(out[group[first]], s)
	}
	return out
}
