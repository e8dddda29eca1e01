package demo

import (
	"math"
	"math/rand/v2"
)

// Sizes of the quantile tables: powers of two, so that bits of one random
// number are an index.
const (
	latencyBits = 11
	gapBits     = 12
)

// dice draws all that is random in the shop. Both kinds of run draw from the
// same tables, which hold the middle quantiles of equally probable slices, so a
// draw is one random number and one load. Not safe for concurrent use.
type dice struct {
	pcg     *rand.PCG
	factor  [1 << latencyBits]float64 // log-normal, median 1
	gap     [1 << gapBits]float64     // exponential, mean 1
	failure uint64                    // a random number below it is a failure
}

func newDice(spec *Spec, seed, stream uint64) *dice {
	d := &dice{
		pcg:     rand.NewPCG(seed, stream),
		failure: uint64(spec.Failure * (1 << 53)),
	}
	for i := range d.factor {
		p := (float64(i) + 0.5) / float64(len(d.factor))
		d.factor[i] = math.Exp(spec.Spread * math.Sqrt2 * math.Erfinv(2*p-1))
	}
	sum := 0.0
	for i := range d.gap {
		p := (float64(i) + 0.5) / float64(len(d.gap))
		d.gap[i] = -math.Log1p(-p)
		sum += d.gap[i]
	}
	for i := range d.gap {
		d.gap[i] *= float64(len(d.gap)) / sum
	}
	return d
}

// around draws around a median of any unit.
func (d *dice) around(median float64) int64 {
	return int64(median * d.factor[d.pcg.Uint64()>>(64-latencyBits)])
}

// arrival draws the time to the next user in units of the mean gap.
func (d *dice) arrival() float64 {
	return d.gap[d.pcg.Uint64()>>(64-gapBits)]
}

// fails draws whether a request fails for no reason.
func (d *dice) fails() bool { return d.pcg.Uint64()>>11 < d.failure }

// backoff draws the wait before a retry (0 for the first) in the unit of base.
func (d *dice) backoff(base int64, retry int) int64 {
	if base == 0 {
		return 0
	}
	half := uint64(base<<min(retry, 10)) / 2
	return int64(half + d.pcg.Uint64()%(2*half+1))
}
