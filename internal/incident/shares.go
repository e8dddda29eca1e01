package incident

import (
	"math"
	"slices"

	"github.com/foreshock/foreshock/internal/topology"
)

// share is the part of the blame that a service hands to another one, or keeps.
type share struct {
	to   int
	part float64
}

// inOrder sorts shares by where they go and adds up those that go to the same.
func inOrder(row []share) []share {
	slices.SortStableFunc(row, func(a, b share) int { return a.to - b.to })
	out := row[:0]
	for _, s := range row {
		if n := len(out); n > 0 && out[n-1].to == s.to {
			out[n-1].part += s.part
			continue
		}
		out = append(out, s)
	}
	return out
}

// lookups remember, by service, what a ranking looks up again and again.
type lookups struct {
	below   [][]int // nil: not looked up yet
	callees []calleesOf
	calls   [][]neighbour // of each service, all that it calls
	callers [][]neighbour // of each service, those with evidence
	listed  []int         // by service below: above which one it was listed last
}

// neighbour is a service at the other end of calls.
type neighbour struct {
	service topology.Service
	at      int // in the evidence; -1: not there
	rate    float64
}

func newLookups(c Case, index map[topology.Service]int) *lookups {
	n := len(c.evidence)
	l := &lookups{
		below: make([][]int, n), callees: make([]calleesOf, n), calls: make([][]neighbour, n), callers: make([][]neighbour, n),
		listed: slices.Repeat([]int{-1}, n),
	}
	for i, e := range c.evidence {
		callers, callees := c.graph.Degree(e.service)
		l.callers[i], l.calls[i] = slices.Grow(l.callers[i], callers), make([]neighbour, 0, callees)
		for edge := range c.graph.EachCallee(e.service) {
			j, ok := index[edge.Callee]
			if !ok {
				j = -1
			} else {
				l.callers[j] = append(l.callers[j], neighbour{e.service, i, edge.Rate})
			}
			l.calls[i] = append(l.calls[i], neighbour{edge.Callee, j, edge.Rate})
		}
	}
	return l
}

type calleesOf struct {
	to    []share // sorted; a weight each
	most  float64
	known bool
}

// give hands a part of what is left to the targets, in proportion to their
// weights. The targets are sorted, so that the sum is always the same.
func give(row *[]share, left *float64, part float64, to []share) {
	sum := 0.0
	for _, s := range to {
		if s.part > 0 {
			sum += s.part
		}
	}
	if sum == 0 {
		return
	}
	amount := *left * part * math.Min(1, sum)
	for _, s := range to {
		if s.part > 0 {
			*row = append(*row, share{s.to, amount * s.part / sum})
		}
	}
	*left -= amount
}
