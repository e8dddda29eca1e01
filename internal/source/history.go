package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// historyBatch is how many samples are committed at once.
const historyBatch = 20_000

// History writes a past into a store before scraping starts: all series at one
// time, then all at the next. It is for one goroutine.
type History struct {
	ctx   context.Context
	l     *Local
	app   storage.Appender
	n     int   // samples since the last commit
	last  int64 // Unix milliseconds
	any   bool
	order order
}

// WriteHistory begins to write a past. The store must hold nothing newer than
// its first sample; scraping starts after [History.Close] only.
func (l *Local) WriteHistory(ctx context.Context) (*History, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.running:
		return nil, errors.New("history cannot be written while targets are scraped: write it before Run")
	case l.history:
		return nil, errors.New("history is being written already")
	}
	l.history = true
	return &History{ctx: ctx, l: l}, nil
}

// Append takes the value v of a series at t (Unix milliseconds), which is never
// before the last one's. ref is 0 or what Append returned for the series
// before. Stale markers end a series.
func (h *History) Append(ref uint64, l labels.Labels, t int64, v float64) (uint64, error) {
	if h.l == nil {
		return 0, errors.New("history: append after close")
	}
	if err := h.begin(t); err != nil {
		return 0, err
	}
	r, err := h.app.Append(storage.SeriesRef(ref), l, t, v)
	if err == nil {
		err = h.order.check(r, t, v)
	}
	if err != nil {
		return 0, fmt.Errorf("history: series %s at %s: %w", l, showTime(t), err)
	}
	h.n++
	return uint64(r), nil
}

// begin checks the order of time and makes sure of an appender.
func (h *History) begin(t int64) error {
	if h.any && t < h.last {
		return fmt.Errorf("history: a sample at %s comes after one at %s: give all series of one time before the next", showTime(t), showTime(h.last))
	}
	if !h.any {
		if _, newest, ok := h.l.Extent(h.ctx); ok && t <= newest.UnixMilli() {
			return fmt.Errorf("history from %s cannot be written into %s, which has samples up to %s: begin with an empty data directory",
				showTime(t), h.l.db.Dir(), newest.Format(time.RFC3339))
		}
	}
	h.any, h.last = true, t
	if h.app == nil {
		h.app = h.l.db.Appender(h.ctx)
	}
	return nil
}

// Commit ends the samples of one time. They become visible in batches, the last with Close.
func (h *History) Commit(int64) error {
	if h.n < historyBatch {
		return nil
	}
	if err := h.ctx.Err(); err != nil {
		return fmt.Errorf("history: %w", context.Cause(h.ctx))
	}
	if err := h.flush(); err != nil {
		return err
	}
	// The database compacts in the background; it is waited for where it
	// cannot keep up, so that the head stays small.
	head := h.l.db.Head()
	if !h.l.temporary && head.MaxTime()-head.MinTime() > 3*tsdb.DefaultBlockDuration {
		if err := h.l.db.Compact(h.ctx); err != nil {
			return fmt.Errorf("history: compaction: %w", err)
		}
	}
	return nil
}

func (h *History) flush() error {
	if h.app == nil {
		return nil
	}
	app := h.app
	h.app, h.n = nil, 0
	if err := app.Commit(); err != nil {
		return fmt.Errorf("history: commit: %w", err)
	}
	return nil
}

// Close makes all samples visible and compacts what is older than a block.
// After a failed Append it keeps what came before.
func (h *History) Close() error {
	if h.l == nil {
		return nil
	}
	err := h.flush()
	if err == nil && h.any {
		h.l.db.ForceHeadMMap()
		if !h.l.temporary {
			err = h.l.db.Compact(h.ctx)
		}
	}
	h.l.mu.Lock()
	h.l.history = false
	h.l.mu.Unlock()
	h.l = nil
	return err
}

func showTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
