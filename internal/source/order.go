package source

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/storage"
)

// order checks the samples of each series. The database checks a sample against
// what is committed only, and drops without a word what is out of order within
// one commit.
type order struct {
	last []lastSample // by reference: the head numbers its series from 1
}

type lastSample struct {
	t int64 // Unix milliseconds
	v float64
	n bool // there is one
}

// maxOrdered bounds the series that are checked; a head has fewer.
const maxOrdered = 1 << 26

var (
	errSeriesOrder  = errors.New("out of order")
	errSecondSample = errors.New("a second sample with another value at the same time")
)

// check says whether (t, v) may follow the series' last sample. The same sample again may.
func (o *order) check(ref storage.SeriesRef, t int64, v float64) error {
	if ref >= maxOrdered {
		return nil
	}
	for uint64(len(o.last)) <= uint64(ref) {
		o.last = append(o.last, lastSample{})
	}
	l := &o.last[ref]
	if l.n {
		if t < l.t {
			return fmt.Errorf("%w: the series' last sample is at %s", errSeriesOrder, showTime(l.t))
		}
		if t == l.t && math.Float64bits(v) != math.Float64bits(l.v) {
			return fmt.Errorf("%w (%v, then %v)", errSecondSample, l.v, v)
		}
	}
	*l = lastSample{t: t, v: v, n: true}
	return nil
}
