package source

import (
	"context"
	"errors"
	"slices"
	"sync"
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
	// may read them are asked at each step.
	Own map[string]bool
	// Steps is the most steps that are fetched at once; 500.
	Steps int
	// MaxBytes bounds the fetched windows that are kept; 256 MiB, never less
	// than 32 MiB. The memory is not on Go's heap.
	MaxBytes int
	// From and To are the span of the replay. A window ends at To; queries
	// before From are asked one by one. Zero: no such bound.
	From, To time.Time
}

// Windows answers the instant queries of a replay from range queries over many
// steps of its grid: the same values, label sets and times, in order of labels.
// What it cannot be sure of it asks as an instant query. Results are equal as
// long as the store is; see [WindowsOptions]. Safe for concurrent use.
type Windows struct {
	o     WindowsOptions
	cache *fastcache.Cache

	mu    sync.Mutex // guards what follows
	keys  map[gridKey]*window
	held  int // bytes of all windows' label sets
	stats WindowsStats
}

// WindowsStats count what was asked.
type WindowsStats struct {
	Queries int // asked of Windows
	Hits    int // answered from a window
	Fetches int // range queries
	Instant int // instant queries
}

// gridKey is an expression on a grid: all times whose remainder by step is offset (milliseconds).
type gridKey struct {
	expr         string
	step, offset int64
}

// maxKeys bounds the expressions that have windows.
const maxKeys = 10_000

// NewWindows makes an empty one.
func NewWindows(o WindowsOptions) *Windows {
	if o.Steps <= 0 {
		o.Steps = 500
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	o.MaxBytes = max(o.MaxBytes, 32<<20)
	return &Windows{o: o, cache: fastcache.New(o.MaxBytes), keys: map[gridKey]*window{}}
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
	return w.stats
}

// Close gives the memory back for the next one's use. Nothing may be asked after it.
func (w *Windows) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.keys)
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
	early := !w.o.From.IsZero() && ts.Before(w.o.From)
	if !onGrid || early {
		return w.instant(ctx, expr, ts, !isOrdered(expr))
	}
	offset := ((ms % every) + every) % every
	k := w.window(gridKey{expr: expr, step: every, offset: offset})
	if k == nil {
		return w.instant(ctx, expr, ts, !isOrdered(expr))
	}
	if k.alone {
		return w.instant(ctx, expr, ts, !k.ordered)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	index := (ms - offset) / every
	if v, ok := k.at(w.cache, index, ms); ok {
		w.count(func(s *WindowsStats) { s.Hits++ })
		return v, nil
	}
	if !k.gaveUp(index) {
		if err := w.fetch(ctx, k, index); err != nil {
			return nil, err
		}
		if v, ok := k.at(w.cache, index, ms); ok {
			return v, nil
		}
	}
	return w.instant(ctx, expr, ts, true)
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
		k = &window{gridKey: key, id: uint32(len(w.keys)), steps: w.o.Steps, first: 0, last: -1, failedTo: -1}
		k.alone, k.ordered = mustAskAlone(key.expr, w.o.Own)
		w.keys[key] = k
	}
	return k
}

// instant asks the store; sorted brings the answer into the order of labels.
func (w *Windows) instant(ctx context.Context, expr string, ts time.Time, sorted bool) (promql.Vector, error) {
	w.count(func(s *WindowsStats) { s.Instant++ })
	v, err := w.o.Store.Query(ctx, expr, ts)
	if err != nil || !sorted {
		return v, err
	}
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	return v, nil
}

// fetch replaces a window by the one that begins at index. It fails only when
// the context is done; a range query that fails makes its steps be asked alone.
func (w *Windows) fetch(ctx context.Context, k *window, index int64) error {
	k.adapt(w.o.Steps)
	n := int64(k.steps)
	if !w.o.To.IsZero() {
		if left := (w.o.To.UnixMilli()-k.offset)/k.step - index + 1; left < n {
			n = max(1, left)
		}
	}
	w.count(func(s *WindowsStats) { s.Fetches++ })
	from, to := k.time(index), k.time(index+n-1)
	m, err := w.o.Store.Range(ctx, k.expr, from, to, time.Duration(k.step)*time.Millisecond)
	if err == nil {
		err = w.put(k, m, index, n)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case errors.Is(err, errNeverWindow):
		k.failedTo = noEnd
	default:
		k.failedFrom, k.failedTo = index, index+n-1
		k.steps = max(2, k.steps/2)
	}
	w.drop(k)
	return nil
}

// put stores a range query's answer, unless the label sets of all windows would take too much memory.
func (w *Windows) put(k *window, m promql.Matrix, index, n int64) error {
	table, size, err := tableOf(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	fits := w.held-k.held+size <= w.o.MaxBytes
	if fits {
		w.held += size - k.held
		k.held = size
	}
	w.mu.Unlock()
	if !fits {
		return errNeverWindow
	}
	stored, err := k.store(w.cache, m, table, index, n)
	if err != nil {
		return err
	}
	// One window shall not push out all the others.
	if most := w.o.MaxBytes / 8; stored > most {
		k.steps = max(2, int(n)*most/stored)
	}
	return nil
}

func (w *Windows) drop(k *window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held -= k.held
	k.held, k.table, k.first, k.last = 0, nil, 0, -1
}
