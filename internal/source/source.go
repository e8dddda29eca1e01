// Package source is where metrics come from and where results go to.
//
// There are two sources of a running server with one interface, [Store]:
// [Local] scrapes targets into an embedded TSDB, [Remote] asks a server that
// speaks Prometheus's query API and keeps what is written in a local TSDB.
//
// A replay of the past has an input: a Remote, the data directory of a
// Prometheus ([OpenReadOnly]) or OpenMetrics files in a temporary store
// ([OpenTemporary], [Local.LoadOpenMetrics]). It writes into a result store of
// its own, another temporary one; [Overlay] makes one Store of the two.
// [Windows] asks such a store many steps at a time, keeps what it was told, and
// can save it for the next replay, which then asks nothing. Where a server
// fails, errors say so ([ErrUnavailable]), so that a replay need not take it
// for missing data.
//
// It is the only package that touches Prometheus's storage, scraping and
// service discovery, so that a change of their Go API is met here.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// QueryFunc answers an instant query; scalars come back as vectors.
type QueryFunc = promrules.QueryFunc

// RangeFunc answers a range query: one series per label set, with a point for
// each step from from to to (both included) at which the expression has a
// value. Scalars come back as one series without labels.
type RangeFunc func(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error)

// Store is what a step reads from and writes to.
type Store struct {
	Query QueryFunc
	Range RangeFunc
	// Queryable reads samples. For a [Remote] it sees what was written only.
	Queryable storage.Queryable
	// Appendable takes the results.
	Appendable storage.Appendable
	// Close frees what the store was made of; never nil in a store of this package.
	Close func() error

	remote *Remote // set when reads go to a server
}

// QueryOptions bound the embedded PromQL engine. Zero values are Prometheus's defaults.
type QueryOptions struct {
	MaxSamples    int           // samples in memory at once of one query; 50,000,000
	Timeout       time.Duration // of one query; 2 minutes
	LookbackDelta time.Duration // how long a sample stays current; 5 minutes
	// SubqueryStep is the step of subqueries that give none, 1 minute. As in
	// Prometheus it is the evaluation interval of the configuration, which
	// [Local.ApplyConfig] takes over; a replay must be given the same.
	SubqueryStep time.Duration
}

func (o *QueryOptions) fillDefaults() {
	if o.MaxSamples <= 0 {
		o.MaxSamples = 50_000_000
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.LookbackDelta <= 0 {
		o.LookbackDelta = 5 * time.Minute
	}
	if o.SubqueryStep <= 0 {
		o.SubqueryStep = time.Minute
	}
}

// evaluator evaluates PromQL over samples that are at hand.
type evaluator struct {
	engine    *promql.Engine
	queryable storage.Queryable
	step      *atomic.Int64 // of subqueries that give none, milliseconds
	lookback  time.Duration
}

func newEvaluator(q storage.Queryable, o QueryOptions, log *slog.Logger, reg prometheus.Registerer) evaluator {
	o.fillDefaults()
	step := &atomic.Int64{}
	step.Store(o.SubqueryStep.Milliseconds())
	return evaluator{engine: newEngine(o, step, log, reg), queryable: q, step: step, lookback: o.LookbackDelta}
}

// instant evaluates expr at ts. The value is the caller's.
func (e evaluator) instant(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	q, err := e.engine.NewInstantQuery(ctx, e.queryable, nil, expr, ts)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Warnings, res.Err
	}
	if m, ok := res.Value.(promql.Matrix); ok {
		return copyMatrix(m), res.Warnings, nil
	}
	return res.Value, res.Warnings, nil
}

// span evaluates expr from from to to. The matrix is the caller's.
func (e evaluator) span(ctx context.Context, expr string, from, to time.Time, step time.Duration) (parser.Value, annotations.Annotations, error) {
	if step <= 0 {
		return nil, nil, fmt.Errorf("range query with step %s: it must be more than zero", step)
	}
	q, err := e.engine.NewRangeQuery(ctx, e.queryable, nil, expr, from, to, step)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Warnings, res.Err
	}
	if m, ok := res.Value.(promql.Matrix); ok {
		return copyMatrix(m), res.Warnings, nil
	}
	return res.Value, res.Warnings, nil
}

func (e evaluator) query(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
	v, _, err := e.instant(ctx, expr, ts)
	if err != nil {
		return nil, err
	}
	return asVector(expr, v)
}

func (e evaluator) queryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	v, _, err := e.span(ctx, expr, from, to, step)
	if err != nil {
		return nil, err
	}
	return asMatrix(expr, v)
}

// copyMatrix copies the points, which the engine takes back when a query is closed.
func copyMatrix(m promql.Matrix) promql.Matrix {
	var floats, histograms int
	for _, s := range m {
		floats += len(s.Floats)
		histograms += len(s.Histograms)
	}
	fs, hs := make([]promql.FPoint, 0, floats), make([]promql.HPoint, 0, histograms)
	out := make(promql.Matrix, len(m))
	for i, s := range m {
		out[i] = promql.Series{Metric: s.Metric}
		if n := len(fs); len(s.Floats) > 0 {
			fs = append(fs, s.Floats...)
			out[i].Floats = fs[n:len(fs):len(fs)]
		}
		n := len(hs)
		for _, p := range s.Histograms {
			hs = append(hs, promql.HPoint{T: p.T, H: p.H.Copy()})
		}
		if len(hs) > n {
			out[i].Histograms = hs[n:len(hs):len(hs)]
		}
	}
	return out
}

var errNoVector = errors.New("want an expression that gives an instant vector or a scalar")

func asVector(expr string, v parser.Value) (promql.Vector, error) {
	switch v := v.(type) {
	case promql.Vector:
		return v, nil
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V, Metric: labels.EmptyLabels()}}, nil
	default:
		return nil, fmt.Errorf("%s gives a %s: %w", clip(expr), v.Type(), errNoVector)
	}
}

func asMatrix(expr string, v parser.Value) (promql.Matrix, error) {
	if m, ok := v.(promql.Matrix); ok {
		return m, nil
	}
	return nil, fmt.Errorf("%s gives a %s over a range: %w", clip(expr), v.Type(), errNoVector)
}

// maxShown is how much of an expression or of a server's answer an error message repeats.
const maxShown = 400

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return s[:maxShown] + "…"
}
