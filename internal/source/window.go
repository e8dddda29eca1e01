package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// window is what is known of one expression on one grid: the label sets of the
// fetched steps here, their values in the cache, one entry a step. An entry is
//
//	generation  uint64, little endian
//	present     one bit a label set
//	values      float64 bits of those present, little endian
//
// The cache may lose any entry at any time.
type window struct {
	gridKey
	id             uint32
	alone, ordered bool // see mustAskAlone

	mu          sync.Mutex // guards what follows
	table       []labels.Labels
	first, last int64 // steps that were fetched; none when last < first
	generation  uint64
	big         bool // entries may be larger than fastcache's plain ones
	used        int  // steps that were asked since the fetch
	usedTo      int64
	steps       int // to fetch at once
	held        int // bytes of table, as accounted

	failedFrom, failedTo int64 // steps whose range query failed

	buf []byte
}

// noEnd is a failedTo that all steps are before.
const noEnd = math.MaxInt64

// plainBytes is what fastcache's Set takes for sure (its limit is 64 KiB with the key).
const plainBytes = 60_000

var (
	errNeverWindow = errors.New("this expression has no windows")
	errDuplicate   = errors.New("a label set appears twice")
)

func (k *window) time(index int64) time.Time { return time.UnixMilli(index*k.step + k.offset).UTC() }

func (k *window) gaveUp(index int64) bool {
	return k.failedTo == noEnd || (index >= k.failedFrom && index <= k.failedTo)
}

// adapt fetches less at once where windows are lost or left before they were
// used, and more again where they are used up.
func (k *window) adapt(most int) {
	n := k.last - k.first + 1
	switch {
	case n <= 0:
	case int64(k.used)*4 < n:
		k.steps = max(2, int(n)/2)
	case int64(k.used)*4 >= 3*n && int(n) >= k.steps:
		k.steps = min(most, 2*k.steps)
	}
}

// at returns the vector of a step, or false when it is not at hand.
func (k *window) at(c *fastcache.Cache, index, ms int64) (promql.Vector, bool) {
	if index < k.first || index > k.last {
		return nil, false
	}
	key := k.key(index)
	if k.big {
		k.buf = c.GetBig(k.buf[:0], key[:])
	} else {
		k.buf = c.Get(k.buf[:0], key[:])
	}
	b := k.buf
	bits := (len(k.table) + 7) / 8
	if len(b) < 8+bits || binary.LittleEndian.Uint64(b) != k.generation {
		return nil, false
	}
	present, values := b[8:8+bits], b[8+bits:]
	out := make(promql.Vector, 0, len(values)/8)
	for i, l := range k.table {
		if present[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		if len(values) < 8 {
			return nil, false
		}
		out = append(out, promql.Sample{T: ms, F: math.Float64frombits(binary.LittleEndian.Uint64(values)), Metric: l})
		values = values[8:]
	}
	if k.used == 0 || index != k.usedTo {
		k.used++
		k.usedTo = index
	}
	return out, true
}

func (k *window) key(index int64) [12]byte {
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], k.id)
	binary.LittleEndian.PutUint64(b[4:], uint64(index))
	return b
}

// tableOf sorts the series by labels and returns the label sets and about the bytes that they take.
func tableOf(m promql.Matrix) ([]labels.Labels, int, error) {
	slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	table := make([]labels.Labels, len(m))
	size := 0
	for i, s := range m {
		if len(s.Histograms) > 0 {
			return nil, 0, errNeverWindow
		}
		if i > 0 && labels.Equal(m[i-1].Metric, s.Metric) {
			return nil, 0, errDuplicate
		}
		table[i] = s.Metric
		size += 48
		s.Metric.Range(func(l labels.Label) { size += len(l.Name) + len(l.Value) + 2 })
	}
	return table, size, nil
}

// store writes n steps from index on into the cache and returns their bytes.
func (k *window) store(c *fastcache.Cache, m promql.Matrix, table []labels.Labels, index, n int64) (int, error) {
	points := make([]int, n)
	for _, s := range m {
		for _, p := range s.Floats {
			i := (p.T-k.offset)/k.step - index
			if i < 0 || i >= n || (i+index)*k.step+k.offset != p.T {
				return 0, fmt.Errorf("series %s has a point at %d ms, which is not a step of the range query", s.Metric, p.T)
			}
			points[i]++
		}
	}
	head := 8 + (len(table)+7)/8
	entries, total := make([][]byte, n), 0
	for i, p := range points {
		total += head + 8*p
		entries[i] = make([]byte, head, head+8*p)
		binary.LittleEndian.PutUint64(entries[i], k.generation+1)
	}
	for row, s := range m {
		for _, p := range s.Floats {
			i := (p.T-k.offset)/k.step - index
			e := entries[i]
			e[8+row/8] |= 1 << (row % 8)
			entries[i] = binary.LittleEndian.AppendUint64(e, math.Float64bits(p.F))
		}
	}
	k.generation++
	k.table, k.first, k.last, k.used = table, index, index+n-1, 0
	k.big = head+8*len(table) > plainBytes
	for i, e := range entries {
		key := k.key(index + int64(i))
		if k.big {
			c.SetBig(key[:], e)
		} else {
			c.Set(key[:], e)
		}
	}
	return total, nil
}
