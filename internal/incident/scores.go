package incident

import (
	"cmp"
	"slices"

	"github.com/foreshock/foreshock/internal/topology"
)

// scores are the best scores by service and signal. Evidence comes service by
// service, so the few signals of one stand together.
type scores []score

type score struct {
	key  scoreKey
	best float64
}

type scoreKey struct {
	service topology.Service
	signal  Signal
	calls   bool // several calls of one service lose time together
}

func (s *scores) add(k scoreKey, v float64) {
	for i := len(*s) - 1; i >= 0 && (*s)[i].key.service == k.service; i-- {
		if o := &(*s)[i]; o.key == k {
			o.best = max(o.best, v)
			return
		}
	}
	*s = append(*s, score{k, max(0, v)})
}

// total adds in a fixed order, so that the sum is always the same.
func (s scores) total() float64 {
	calls := func(o score) int {
		if o.key.calls {
			return 1
		}
		return 0
	}
	slices.SortFunc(s, func(a, b score) int {
		return cmp.Or(cmp.Compare(a.key.service, b.key.service), cmp.Compare(a.key.signal, b.key.signal), calls(a)-calls(b))
	})
	sum := 0.0
	for _, o := range s {
		sum += o.best
	}
	return sum
}
