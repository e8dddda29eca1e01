package source

import (
	"errors"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// window is what is known of one expression on one grid: which steps are in
// which entries of the cache. The cache may lose any entry at any time; its
// steps are then asked again.
type window struct {
	gridKey
	alone, ordered bool // see mustAskAlone
	own            bool // reads what the replay writes
	asked          bool // in this replay; guarded by Windows.mu

	mu    sync.Mutex // guards what follows
	spans []span     // in order of time, without overlap
	entry []byte     // the one that was read last,
	of    uint64     // and its key; 0: none

	first, last int64 // steps of the latest range query; none when last < first
	used        int   // of them, steps that were asked
	usedTo      int64
	steps       int // to fetch at once
	most        int // at most: more was too large for the source

	failedFrom, failedTo int64 // steps whose range query failed
}

// span is a run of steps whose values are in one entry of the cache.
type span struct {
	first, last int64       // the steps that it answers; others of the entry were replaced
	base        int64       // the step that the entry begins with
	serial      uint64      // key of the entry, used once only
	table       *labelTable // of which the span holds a reference
	steps       int32       // in the entry
	size        int32       // of the entry, bytes
	kind        entryKind
}

// noEnd is a failedTo that all steps are before.
const noEnd = math.MaxInt64

var (
	errNeverWindow = errors.New("this expression has no windows")
	errDuplicate   = errors.New("a label set appears twice")
	errNoRoom      = errors.New("the label sets of all windows take too much memory")
)

func (k *window) time(index int64) time.Time { return time.UnixMilli(index*k.step + k.offset).UTC() }

func (k *window) gaveUp(index int64) bool {
	return k.failedTo == noEnd || (index >= k.failedFrom && index <= k.failedTo)
}

// adapt fetches less at once where steps are lost or left before they were
// used, and more again where they are used up.
func (k *window) adapt() {
	n := k.last - k.first + 1
	switch {
	case n <= 0:
	case int64(k.used)*4 < n:
		k.steps = max(2, int(n)/2)
	case int64(k.used)*4 >= 3*n && int(n) >= k.steps:
		k.steps = 2 * k.steps
	}
	k.steps = min(k.steps, k.most)
}

// find returns the place of the span that holds a step.
func (k *window) find(index int64) (int, bool) {
	i := sort.Search(len(k.spans), func(i int) bool { return k.spans[i].last >= index })
	return i, i < len(k.spans) && k.spans[i].first <= index
}

// has says whether a step is at hand.
func (w *Windows) has(k *window, index int64) bool {
	i, ok := k.find(index)
	return ok && w.cached(k.spans[i])
}

// at returns the answer of a step; ok is false when it is not at hand.
func (w *Windows) at(k *window, index, ms int64) (v promql.Vector, ok bool, err error) {
	i, ok := k.find(index)
	if !ok {
		return nil, false, nil
	}
	s := k.spans[i]
	if s.serial != k.of {
		k.entry, k.of = w.read(k.entry[:0], s), s.serial
	}
	v, ok, err = decodeStep(k.entry, s, index, ms)
	if !ok {
		k.of = 0
		w.lost.Add(s.last - s.first + 1)
		w.remove(k, i, i+1)
		return nil, false, nil
	}
	if index >= k.first && index <= k.last && (k.used == 0 || index != k.usedTo) {
		k.used++
		k.usedTo = index
	}
	return v, true, err
}

// put stores a range query's answer.
func (w *Windows) put(k *window, m promql.Matrix, index, n int64) error {
	rows, err := rowsOf(m)
	if err != nil {
		return err
	}
	table, ok := w.tables.take(rows)
	if !ok {
		return errNoRoom
	}
	defer w.tables.drop(table)
	per := stepsPerEntry(len(rows))
	entries, err := encodeSteps(m, k.gridKey, index, n, per)
	if err != nil {
		return err
	}
	stored := 0
	for i, e := range entries {
		base := index + int64(i)*per
		steps := min(per, index+n-base)
		stored += len(e)
		w.store(k, span{first: base, last: base + steps - 1, base: base, steps: int32(steps), kind: stepsEntry, table: table}, e)
	}
	k.first, k.last, k.used = index, index+n-1, 0
	// One window shall not push out all the others.
	if most := w.o.MaxBytes / 8; stored > most {
		k.steps = max(2, int(n)*most/stored)
	}
	return nil
}

// keep stores the answer of an instant query, where it is one that would come again.
func (w *Windows) keep(k *window, index, ms int64, v promql.Vector, err error) {
	s := span{first: index, last: index, base: index, steps: 1}
	var e []byte
	switch {
	case err != nil && !isAnswer(err):
		return
	case err != nil:
		s.kind, e = failedEntry, encodeFailure(err)
		v = nil
	default:
		for _, p := range v {
			if p.H != nil || p.T != ms {
				return
			}
		}
		s.kind, e = listEntry, encodeList(v)
	}
	table, ok := w.tables.take(rowsOfVector(v))
	if !ok {
		return
	}
	s.table = table
	w.store(k, s, e)
	w.tables.drop(table)
	if len(k.spans)%256 == 0 {
		w.prune(k)
	}
}

// store puts an entry into the cache and its span, which then holds a reference
// to the table, in the place of what was known of its steps.
func (w *Windows) store(k *window, s span, e []byte) {
	if w.spans.Load() >= maxSpans || len(e) > maxRecord/2 {
		return
	}
	s.serial = w.serial.Add(1)
	s.size = int32(len(e))
	w.set(s, e)
	w.tables.hold(s.table)
	w.insert(k, s)
}

func (w *Windows) insert(k *window, s span) {
	lo := sort.Search(len(k.spans), func(i int) bool { return k.spans[i].last >= s.first })
	hi := sort.Search(len(k.spans), func(i int) bool { return k.spans[i].first > s.last })
	with := make([]span, 0, 3)
	if lo < hi && k.spans[lo].first < s.first {
		left := k.spans[lo]
		left.last = s.first - 1
		w.tables.hold(left.table)
		with = append(with, left)
	}
	with = append(with, s)
	if lo < hi && k.spans[hi-1].last > s.last {
		right := k.spans[hi-1]
		right.first = s.last + 1
		w.tables.hold(right.table)
		with = append(with, right)
	}
	w.spans.Add(int64(len(with) - (hi - lo)))
	for _, old := range k.spans[lo:hi] {
		w.tables.drop(old.table)
	}
	k.spans = slices.Replace(k.spans, lo, hi, with...)
}

func (w *Windows) remove(k *window, lo, hi int) {
	for _, s := range k.spans[lo:hi] {
		w.tables.drop(s.table)
	}
	w.spans.Add(int64(lo - hi))
	k.spans = slices.Delete(k.spans, lo, hi)
}

// prune forgets the spans whose entries the cache has lost, and their label sets.
func (w *Windows) prune(k *window) {
	kept := k.spans[:0]
	for _, s := range k.spans {
		if w.cached(s) {
			kept = append(kept, s)
			continue
		}
		w.lost.Add(s.last - s.first + 1)
		w.tables.drop(s.table)
	}
	w.spans.Add(int64(len(kept) - len(k.spans)))
	clear(k.spans[len(kept):])
	k.spans = kept
}
