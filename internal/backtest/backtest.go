// Package backtest runs the engine over the past and grades what it would have sent.
//
// A [Case] says which past, [Open] makes its metrics readable, and
// [History.Replay] lives through them with the step that a running server has,
// as often as wanted. [NewReport] grades what that gave against labelled
// incidents; a [Report] is written as text, JSON or HTML, and [Compare] sets two
// of them side by side.
package backtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/rules"
)

// Options of a replay.
type Options struct {
	Config engine.Config // as in production; the case's topology is added to it
	// Case gives topology, changes and labels, as the configuration names
	// services; nil means the one that was opened.
	Case *Case
	// Progress is told how far the replay is, between 0 and 1; may be nil.
	Progress func(done float64)
}

// Replayed is what one replay gave.
type Replayed struct {
	CaseReport
	Truth *Truth
	stats *statistics
}

// Replay lives through the case. Same history and configuration give the same
// result, byte for byte, but for the cost of the rules.
//
// When ctx ends, or the source stops answering, the result is what was sent so
// far, and its Partial says why; that is no error. An error means that nothing
// can be said.
func (h *History) Replay(ctx context.Context, o Options) (*Replayed, error) {
	c := o.Case
	if c == nil {
		c = h.c
	}
	results, err := source.OpenTemporary(source.TemporaryOptions{Query: h.query, Logger: h.log})
	if err != nil {
		return nil, err
	}
	defer results.Close()
	cfg := o.Config
	cfg.Declared = cfg.Declared.Merge(c.Declared)
	changes := change.NewTracker()
	stats := newStatistics(cfg)
	e, err := engine.New(engine.Options{Config: cfg, Changes: changes, Logger: h.log, Observe: stats.detection})
	if err != nil {
		return nil, err
	}
	// What is in the last samples is decided a little later.
	to := h.to.Add(cfg.Settle + 2*cfg.Interval)
	if h.windows == nil {
		h.openWindows(to)
	}
	store := engine.ReplayStore(engine.ReplaySource{
		Input: h.input, Results: results, Config: cfg, From: h.from, To: to, Windows: h.windows,
	})
	defer store.Close()
	store.Query = stats.watch(store.Query)
	if err := e.Attach(ctx, store, engine.Live{SkipOutputs: !engine.ReadsOutputs(cfg)}); err != nil {
		return nil, err
	}
	pending := c.Changes
	rec := newRecorder(c.Name, cfg.Identity)
	out := &Replayed{Truth: c.Truth, stats: stats}
	out.CaseReport = CaseReport{Name: c.Name, From: h.from, To: h.to, Until: h.from, Notes: slices.Clone(h.notes)}
	if c.Truth != nil {
		out.Notes = append(out.Notes, c.Truth.Notes...)
	}
	if h.remote != nil {
		out.Notes = append(out.Notes, engine.Unanswerable(cfg)...)
	}
	err = e.Replay(ctx, engine.Replay{
		From: h.from, To: to,
		Evaluated: func(g *rules.Group, at time.Time) error { return stats.evaluated(g, at) },
		// Changes become known when they happen, not before.
		Before: func(now time.Time) error {
			for len(pending) > 0 && !pending[0].Time.After(now) {
				if err := changes.Add(pending[0]); err != nil {
					return fmt.Errorf("case %s: change: %w", c.Name, err)
				}
				pending = pending[1:]
			}
			return nil
		},
		Step: func(now time.Time, incidents []*incident.Incident) {
			rec.step(now, incidents, e.Alerts())
			out.Until = earlier(now, h.to)
		},
		Progress: func(at time.Time) {
			if o.Progress != nil {
				o.Progress(float64(at.Sub(h.from)) / float64(to.Sub(h.from)))
			}
		},
	})
	var failed *sourceError
	switch {
	case err == nil:
		out.Until = h.to
	case ctx.Err() != nil:
		out.Partial = "stopped: " + context.Cause(ctx).Error()
	case errors.As(err, &failed):
		out.Partial = failed.Error()
	default:
		return nil, err
	}
	out.Sent, out.Alerts = rec.result()
	if lost := h.windows.Stats().Lost; lost > 0 && h.c.Input.Cache != "" {
		out.Notes = append(out.Notes, fmt.Sprintf("%d answers did not fit into the cache and will be asked again: raise its size", lost))
	}
	if out.Partial == "" {
		stats.missing(ctx, h)
	}
	return out, nil
}

// History is a case whose metrics can be read.
type History struct {
	c        *Case
	query    source.QueryOptions
	log      *slog.Logger
	from, to time.Time
	notes    []string

	input   source.Store
	remote  *source.Remote  // where the input is a server
	windows *source.Windows // of input, for all replays
	bytes   int
	closers []func() error
}

// OpenOptions say how a case is read.
type OpenOptions struct {
	Query  source.QueryOptions
	Logger *slog.Logger // nil: silent
	// CacheBytes bounds the answers that are kept in memory, outside of Go's heap; 256 MiB.
	CacheBytes int
}

// Open loads or opens the metrics of a case. Close it after use.
func Open(ctx context.Context, c *Case, o OpenOptions) (h *History, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h = &History{c: c, query: o.Query, log: o.Logger, bytes: o.CacheBytes, from: c.From, to: c.To}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("case %s: %w", c.Name, err), h.Close())
		}
	}()
	switch {
	case len(c.Input.Files) > 0:
		err = h.openFiles(ctx)
	case c.Input.TSDB != "":
		err = h.openTSDB()
	case c.Input.Remote != nil:
		err = h.openRemote()
	default:
		err = errors.New("it has no input")
	}
	if err != nil {
		return h, err
	}
	if !h.to.After(h.from) {
		return h, fmt.Errorf("the span from %s to %s is empty", h.from.Format(time.RFC3339), h.to.Format(time.RFC3339))
	}
	if c.Truth != nil {
		if c.Truth.From.IsZero() || c.Truth.From.Before(h.from) {
			c.Truth.From = h.from
		}
		if c.Truth.To.IsZero() || c.Truth.To.After(h.to) {
			c.Truth.To = h.to
		}
		if err := c.Truth.checkSpan(h.from, h.to); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (h *History) openFiles(ctx context.Context) error {
	input, err := source.OpenTemporary(source.TemporaryOptions{Query: h.query, Logger: h.log})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, input.Close)
	first, last, err := input.LoadOpenMetrics(ctx, h.c.Input.Files)
	if err != nil {
		return err
	}
	h.input = input.Store()
	return h.reach(first, last)
}

func (h *History) openTSDB() error {
	db, err := source.OpenReadOnly(h.c.Input.TSDB, source.ReadOnlyOptions{Query: h.query, Logger: h.log})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, db.Close)
	h.input = db.Store()
	first, last := db.Span()
	return h.reach(first, last)
}

func (h *History) openRemote() error {
	if h.from.IsZero() || h.to.IsZero() {
		return errors.New("a server needs a span: give --from and --to")
	}
	none, err := source.OpenTemporary(source.TemporaryOptions{Query: h.query, Logger: h.log})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, none.Close)
	o := *h.c.Input.Remote
	o.Results = none
	remote, err := source.NewRemote(o)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, remote.Close)
	h.input, h.remote = remote.Store(), remote
	return nil
}

// openWindows makes the windows of the input up to the end of the first replay,
// with what an earlier run has saved of them.
func (h *History) openWindows(to time.Time) {
	o := source.WindowsOptions{Store: h.input, From: h.from, To: to, MaxBytes: h.bytes, FailFast: true}
	if h.remote != nil {
		o.Key = h.remote.Key()
	}
	h.windows = source.NewWindows(o)
	if dir := h.c.Input.Cache; dir != "" && h.remote != nil {
		if err := h.windows.Load(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.notes = append(h.notes, err.Error())
		}
	}
}

// Save keeps the answers of a server for the next run, where a directory for them was given.
func (h *History) Save() error {
	if h.windows == nil || h.remote == nil || h.c.Input.Cache == "" {
		return nil
	}
	return h.windows.Save(h.c.Input.Cache)
}

// reach sets the span where it is open, and checks it where it is not.
func (h *History) reach(first, last time.Time) error {
	if h.from.IsZero() {
		h.from = first
	}
	if h.to.IsZero() {
		h.to = last
	}
	if h.from.After(last) || h.to.Before(first) {
		return fmt.Errorf("there are no samples between %s and %s: the data reach from %s to %s", h.from.Format(time.RFC3339), h.to.Format(time.RFC3339), first.Format(time.RFC3339), last.Format(time.RFC3339))
	}
	if !h.c.Whole {
		// What nobody could have seen was not watched.
		h.from, h.to = later(h.from, first), earlier(h.to, last)
	}
	return nil
}

// Close frees what the history was made of.
func (h *History) Close() error {
	var errs []error
	if h.windows != nil {
		h.windows.Close()
	}
	for _, f := range slices.Backward(h.closers) {
		errs = append(errs, f())
	}
	h.closers = nil
	return errors.Join(errs...)
}
