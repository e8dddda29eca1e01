package source

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// ReadOnlyOptions say how a database of somebody else is read.
type ReadOnlyOptions struct {
	Query QueryOptions
	// Dir is where a temporary directory is made for what was not yet in a
	// block; empty: the system's temporary directory.
	Dir    string
	Logger *slog.Logger // nil: silent
}

// ReadOnly reads a Prometheus data directory, or a folder of blocks, as it was
// when it was opened. Nothing in the directory is written or locked, so that a
// running Prometheus may be using it; what it writes or deletes afterwards
// changes nothing here. Safe for concurrent use.
//
// Prometheus's own read-only database replays the write-ahead log for each
// querier, and its FlushWAL repairs the head's chunk files where they are. So
// the log is replayed once here, beside links to those files, and written as
// blocks into a temporary directory: after opening, nothing of it is in memory,
// and each query opens only the blocks that it touches.
type ReadOnly struct {
	evaluator
	dir        string
	shadow     string // temporary directory
	databases  []*tsdb.DBReadOnly
	blocks     []tsdb.BlockReader
	first, end int64 // milliseconds, both included

	close    sync.Once
	closeErr error
}

// openAttempts is how often a directory is read anew that changes meanwhile.
const openAttempts = 5

// OpenReadOnly opens a data directory: blocks, write-ahead log and out-of-order
// log, or blocks alone as `promtool tsdb create-blocks-from` makes them. It
// takes as long as a start of Prometheus there and, meanwhile, as much memory.
// A write-ahead log with a torn end is read up to there, with a warning in the log.
func OpenReadOnly(dir string, o ReadOnlyOptions) (*ReadOnly, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("TSDB directory: %w", err)
	}
	for attempt := 1; ; attempt++ {
		before, err := surveyTSDB(dir)
		if err != nil {
			return nil, err
		}
		r, torn, err := openShadowed(dir, before, o)
		after, surveyErr := surveyTSDB(dir)
		same := surveyErr == nil && slices.Equal(before.blocks, after.blocks)
		switch {
		case err == nil && same && torn == nil:
			return r, nil
		case err == nil && same && attempt > 1:
			// Twice the same end of a log that nobody truncates: a crash left it.
			o.Logger.Warn("the write-ahead log is damaged; what comes after is not read", "dir", dir, "err", torn)
			return r, nil
		case err == nil:
			if err = r.Close(); err != nil {
				return nil, fmt.Errorf("TSDB directory %s: %w", dir, err)
			}
			err = errors.New("its blocks change faster than they are read")
		case same && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		if attempt == openAttempts {
			return nil, fmt.Errorf("TSDB directory %s: given up after %d attempts: %w: take a snapshot of it and read that", dir, attempt, err)
		}
	}
}

// openShadowed opens all that is there now; torn says why a log was read in part only.
func openShadowed(dir string, s survey, o ReadOnlyOptions) (r *ReadOnly, torn, err error) {
	r = &ReadOnly{dir: dir, first: math.MaxInt64, end: math.MinInt64}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
			r = nil
		}
	}()
	if r.shadow, err = os.MkdirTemp(o.Dir, "foreshock-tsdb-"); err != nil {
		return r, nil, fmt.Errorf("temporary directory: %w: set TMPDIR to a writable directory", err)
	}
	newest, err := r.add(dir, o.Logger)
	if err != nil {
		return r, nil, fmt.Errorf("TSDB directory %s: %w: remove the damaged block's folder from a copy of the directory, or restore it", dir, err)
	}
	if s.wal {
		head := shadowHead{dir: dir, shadow: r.shadow, newest: newest, log: o.Logger}
		flushed, tornErr, err := head.flush()
		if err != nil {
			return r, nil, fmt.Errorf("TSDB directory %s: %w", dir, err)
		}
		torn = tornErr
		if _, err := r.add(flushed, o.Logger); err != nil {
			return r, nil, fmt.Errorf("blocks of the write-ahead log of %s: %w", dir, err)
		}
	}
	if r.first > r.end {
		return r, nil, fmt.Errorf("TSDB directory %s is empty: neither its blocks nor its write-ahead log hold a sample", dir)
	}
	r.evaluator = newEvaluator(storage.QueryableFunc(r.querier), o.Query, o.Logger, nil)
	return r, torn, nil
}

// add opens the blocks in a directory and returns the end of the newest that
// came from the head in order, which is where the write-ahead log begins to count.
func (r *ReadOnly) add(dir string, log *slog.Logger) (newest int64, err error) {
	db, err := tsdb.OpenDBReadOnly(dir, r.shadow, log) // its own scratch directory lies in ours
	if err != nil {
		return 0, err
	}
	r.databases = append(r.databases, db)
	blocks, err := db.Blocks()
	if err != nil {
		return 0, err
	}
	replaced := map[string]bool{} // blocks that another was compacted from
	for _, b := range blocks {
		m := b.Meta()
		for _, p := range m.Compaction.Parents {
			replaced[p.ULID.String()] = true
		}
	}
	newest = math.MinInt64
	for _, b := range blocks {
		m := b.Meta()
		if c := &m.Compaction; !c.FromOutOfOrder() && !c.FromStaleSeries() && !c.FromSelectedSeries() {
			newest = max(newest, m.MaxTime)
		}
		if replaced[m.ULID.String()] || m.Stats.NumSamples == 0 {
			continue
		}
		r.blocks = append(r.blocks, b)
		r.first, r.end = min(r.first, m.MinTime), max(r.end, m.MaxTime-1)
	}
	return newest, nil
}

// querier merges the blocks that overlap a time range.
func (r *ReadOnly) querier(mint, maxt int64) (storage.Querier, error) {
	var qs []storage.Querier
	for _, b := range r.blocks {
		m := b.Meta()
		if m.MinTime > maxt || m.MaxTime <= mint {
			continue
		}
		q, err := tsdb.NewBlockQuerier(b, mint, maxt)
		if err != nil {
			for _, open := range qs {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("block %s of %s: %w", m.ULID, r.dir, err)
		}
		qs = append(qs, q)
	}
	return storage.NewMergeQuerier(qs, nil, storage.ChainedSeriesMerge), nil
}

// Span returns the times that the database covers, both included. Blocks begin
// and end at whole multiples of their length, so there may be no sample right there.
func (r *ReadOnly) Span() (from, to time.Time) {
	return time.UnixMilli(r.first).UTC(), time.UnixMilli(r.end).UTC()
}

// Store returns the database as the input of an [Overlay]. What is appended to
// it is refused. Its Close is [ReadOnly.Close].
func (r *ReadOnly) Store() Store {
	return Store{
		Query: r.query, Range: r.queryRange, Queryable: r.queryable,
		Appendable: refuse{err: fmt.Errorf("TSDB directory %s is open for reading only", r.dir)}, Close: r.Close,
	}
}

// Close waits for running queries, closes the files and removes the temporary
// directory. Closing again changes nothing.
func (r *ReadOnly) Close() error {
	r.close.Do(func() {
		for _, db := range r.databases {
			r.closeErr = errors.Join(r.closeErr, db.Close())
		}
		if r.shadow != "" {
			r.closeErr = errors.Join(r.closeErr, os.RemoveAll(r.shadow))
		}
	})
	return r.closeErr
}
