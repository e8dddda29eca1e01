package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// WindowsOptions say what is replayed.
type WindowsOptions struct {
	// Store answers the queries. What its expressions read (other than Own)
	// must not change while the replay runs.
	Store Store
	// Own are the metric names that the replay itself writes: expressions that
	// may read them are asked at each step, and never kept.
	Own map[string]bool
	// Steps is the most steps that are fetched at once; 500, at most 11,000,
	// which is what Prometheus answers.
	Steps int
	// MaxBytes bounds the fetched values that are kept; 256 MiB, never less
	// than 32 MiB. A value takes 8.2 bytes; where all shall be kept, allow half
	// as much again. The memory is not on Go's heap. The label sets are bounded
	// by as much again, on the heap.
	MaxBytes int
	// From and To are the span of the replay. A window ends at To; queries
	// before From are asked one by one. Zero: no such bound.
	From, To time.Time
	// Key names the source, for [Windows.Save] and [Windows.Load]: values are
	// only taken over from a replay with the same key. It has to hold all that
	// an answer depends on, beside expression and time ([Remote.Key] does for a
	// server), and no secret, since it is written to the file.
	Key string
	// FailFast makes all further queries fail at once when the source was
	// unavailable (see [ErrUnavailable]) for one, instead of each waiting for
	// all attempts. [Windows.Err] says so in any case.
	FailFast bool
}

// Windows answers the instant queries of a replay from range queries over many
// steps of its grid: the same values, label sets and times, in order of labels.
// What it cannot be sure of it asks as an instant query. Results are equal as
// long as the store is; see [WindowsOptions]. All answers are kept while there
// is room, also those of instant queries, so that what was asked once need not
// be asked again; except native histograms, which are asked each time. Safe for
// concurrent use.
type Windows struct {
	o      WindowsOptions
	cache  *fastcache.Cache
	tables *tables
	serial atomic.Uint64 // of the last entry
	spans  atomic.Int64  // of all windows
	lost   atomic.Int64  // steps whose entries the cache has lost

	mu     sync.Mutex // guards what follows
	keys   map[gridKey]*window
	stats  WindowsStats
	failed error // the first that says that the source was unavailable
}

// WindowsStats count what was asked.
type WindowsStats struct {
	Queries int // asked of Windows
	Hits    int // answered from what was kept
	Fetches int // range queries
	Instant int // instant queries
	Loaded  int // steps of expressions that a saved cache gave
	Lost    int // steps that were kept and had to make room for others: more of MaxBytes would keep them
}

// gridKey is an expression on a grid: all times whose remainder by step is offset (milliseconds).
type gridKey struct {
	expr         string
	step, offset int64
}

const (
	maxKeys   = 10_000  // expressions that have windows
	maxSpans  = 1 << 20 // of all windows together
	maxPoints = 11_000  // what Prometheus answers for a series
)

// NewWindows makes an empty one.
func NewWindows(o WindowsOptions) *Windows {
	if o.Steps <= 0 {
		o.Steps = 500
	}
	o.Steps = min(o.Steps, maxPoints)
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	o.MaxBytes = max(o.MaxBytes, 32<<20)
	return &Windows{o: o, cache: fastcache.New(o.MaxBytes), tables: newTables(o.MaxBytes), keys: map[gridKey]*window{}}
}

// For returns the queries of a group that is evaluated every step.
func (w *Windows) For(step time.Duration) QueryFunc {
	return func(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
		return w.query(ctx, expr, ts, step)
	}
}

// Stats returns what was asked so far.
func (w *Windows) Stats() WindowsStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Lost = int(w.lost.Load())
	return s
}

// Err returns the first error that says that the source was unavailable, after
// all its attempts, or nil: what a replay asks after each step to stop instead
// of going on blind.
func (w *Windows) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// Close gives the memory back for the next one's use. Nothing may be asked after it.
func (w *Windows) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
}

// forget empties the cache; w.mu is held.
func (w *Windows) forget() {
	clear(w.keys)
	w.spans.Store(0)
	w.tables = newTables(w.o.MaxBytes)
	w.cache.Reset()
}

func (w *Windows) count(f func(*WindowsStats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.stats)
}

func (w *Windows) query(ctx context.Context, expr string, ts time.Time, step time.Duration) (promql.Vector, error) {
	w.count(func(s *WindowsStats) { s.Queries++ })
	ms, every := ts.UnixMilli(), step.Milliseconds()
	onGrid := every > 0 && step == time.Duration(every)*time.Millisecond && time.UnixMilli(ms).Equal(ts)
	if !onGrid {
		return w.instant(ctx, expr, ts, !isOrdered(expr))
	}
	offset := ((ms % every) + every) % every
	k := w.window(gridKey{expr: expr, step: every, offset: offset})
	if k == nil || k.own {
		return w.instant(ctx, expr, ts, !isOrdered(expr))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	index := (ms - offset) / every
	if v, ok, err := w.at(k, index, ms); ok {
		w.count(func(s *WindowsStats) { s.Hits++ })
		return v, err
	}
	early := !w.o.From.IsZero() && ts.Before(w.o.From)
	if !early && !k.alone && !k.gaveUp(index) {
		if err := w.fetch(ctx, k, index); err != nil {
			return nil, err
		}
		if v, ok, err := w.at(k, index, ms); ok {
			return v, err
		}
	}
	v, err := w.instant(ctx, expr, ts, !k.ordered)
	w.keep(k, index, ms, v, err)
	return v, err
}

// window returns the state of an expression on a grid, or nil where there are too many.
func (w *Windows) window(key gridKey) *window {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, ok := w.keys[key]
	if !ok {
		if len(w.keys) >= maxKeys {
			return nil
		}
		k = w.newWindow(key)
		w.keys[key] = k
	}
	k.asked = true
	return k
}

func (w *Windows) newWindow(key gridKey) *window {
	k := &window{gridKey: key, steps: w.o.Steps, most: w.o.Steps, first: 0, last: -1, failedTo: -1}
	k.alone, k.ordered = mustAskAlone(key.expr, w.o.Own)
	k.own = readsOwn(key.expr, w.o.Own)
	return k
}

// instant asks the store; sorted brings the answer into the order of labels.
func (w *Windows) instant(ctx context.Context, expr string, ts time.Time, sorted bool) (promql.Vector, error) {
	if err := w.mayAsk(); err != nil {
		return nil, err
	}
	w.count(func(s *WindowsStats) { s.Instant++ })
	v, err := w.o.Store.Query(ctx, expr, ts)
	w.noteFailure(err)
	if err != nil || !sorted {
		return v, err
	}
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	return v, nil
}

func (w *Windows) noteFailure(err error) {
	if !IsUnavailable(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
}

func (w *Windows) mayAsk() error {
	if !w.o.FailFast {
		return nil
	}
	if err := w.Err(); err != nil {
		return fmt.Errorf("not asked, since the source failed before: %w", err)
	}
	return nil
}

// fetch gets the steps from index on. It fails only when the context is done or
// the source is unavailable; a range query that fails otherwise makes its steps
// be asked alone.
func (w *Windows) fetch(ctx context.Context, k *window, index int64) error {
	w.prune(k)
	k.adapt()
	n := int64(k.steps)
	if !w.o.To.IsZero() {
		if left := (w.o.To.UnixMilli()-k.offset)/k.step - index + 1; left < n {
			n = max(1, left)
		}
	}
	for n > 1 && w.has(k, index+n-1) {
		n--
	}
	for {
		if err := w.mayAsk(); err != nil {
			return err
		}
		w.count(func(s *WindowsStats) { s.Fetches++ })
		m, err := w.o.Store.Range(ctx, k.expr, k.time(index), k.time(index+n-1), time.Duration(k.step)*time.Millisecond)
		if err == nil {
			err = w.put(k, m, index, n)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case IsUnavailable(err):
			w.noteFailure(err)
			return err
		case isTooLarge(err) && n > 1:
			n /= 2
			k.most = int(n)
			k.steps = k.most
			continue
		case errors.Is(err, errNeverWindow):
			k.failedTo = noEnd
		default:
			k.failedFrom, k.failedTo = index, index+n-1
			k.steps = max(2, k.steps/2)
		}
		k.first, k.last = 0, -1
		return nil
	}
}
