package source

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/index"
)

// maxLatest bounds the series of one answer of [Local.Latest].
const maxLatest = 1_000_000

// Latest returns the newest samples, at their own times, of the series that one
// of the selectors matches, no older than the lookback before at, by the order
// of their labels. Series that ended are left out.
func (l *Local) Latest(ctx context.Context, matches []string, at time.Time) (promql.Vector, error) {
	sets, err := matcherSets(matches)
	if err != nil {
		return nil, err
	}
	from := at.Add(-l.lookback)
	q, err := l.querier(from, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: from.UnixMilli(), End: at.UnixMilli()}
	var parts []storage.SeriesSet
	for _, ms := range sets {
		parts = append(parts, q.Select(ctx, true, hints, ms...))
	}
	set := storage.NewMergeSeriesSet(parts, 0, storage.ChainedSeriesMerge)
	var out promql.Vector
	var it chunkenc.Iterator
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s := set.At()
		it = s.Iterator(it)
		sample, ok, err := newest(it)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Labels(), err)
		}
		if !ok {
			continue
		}
		if len(out) == maxLatest {
			return nil, fmt.Errorf("more than %d series: select fewer", maxLatest)
		}
		sample.Metric = s.Labels()
		out = append(out, sample)
	}
	return out, set.Err()
}

// newest returns the last sample; ok is false where there is none or the series ended.
func newest(it chunkenc.Iterator) (out promql.Sample, ok bool, err error) {
	var h *histogram.FloatHistogram
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if kind == chunkenc.ValFloat {
			out.T, out.F = it.At()
			out.H, ok = nil, !value.IsStaleNaN(out.F)
			continue
		}
		out.T, h = it.AtFloatHistogram(h)
		out.F, out.H, ok = 0, h, !value.IsStaleNaN(h.Sum)
	}
	return out, ok, it.Err()
}

// Exemplars returns the exemplars, from from to to, of the series that an
// expression reads.
func (l *Local) Exemplars(ctx context.Context, expr string, from, to time.Time) ([]exemplar.QueryResult, error) {
	e, err := newParser().ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	selectors := parser.ExtractSelectors(e)
	if len(selectors) == 0 {
		return nil, nil
	}
	q, err := l.db.ExemplarQuerier(ctx)
	if err != nil {
		return nil, err
	}
	low, high := bounds(from, to)
	return q.Select(low, high, selectors...)
}

// Exemplars asks the server; results have none.
func (r *Remote) Exemplars(ctx context.Context, expr string, from, to time.Time) ([]exemplar.QueryResult, error) {
	if _, err := newParser().ParseExpr(expr); err != nil {
		return nil, err
	}
	found, err := r.api.QueryExemplars(ctx, expr, from, to)
	if err != nil {
		return nil, r.lookupError(ctx, err)
	}
	var out []exemplar.QueryResult
	for _, of := range found {
		one := exemplar.QueryResult{SeriesLabels: toLabels(of.SeriesLabels)}
		for _, e := range of.Exemplars {
			one.Exemplars = append(one.Exemplars, exemplar.Exemplar{Labels: toLabels(e.Labels), Value: float64(e.Value), Ts: int64(e.Timestamp), HasTs: true})
		}
		out = append(out, one)
	}
	return out, nil
}

// Counts are what the part of the database that is in memory holds.
type Counts struct {
	Series           uint64
	Pairs            int   // of a label and its value
	MinTime, MaxTime int64 // Unix milliseconds
	// The largest of each kind: series by metric name, values by label, bytes of
	// values by label, series by pair.
	ByName, ByLabel, BytesByLabel, ByPair []Count
}

// Count is how many or how much there is of a name.
type Count struct {
	Name string
	N    uint64
}

// Counts counts over all series in memory; each list is at most limit long.
func (l *Local) Counts(limit int) Counts {
	s := l.db.Head().Stats(model.MetricNameLabel, max(limit, 1))
	counts := func(stats []index.Stat) []Count {
		out := make([]Count, 0, len(stats))
		for _, x := range stats {
			out = append(out, Count{x.Name, x.Count})
		}
		return out
	}
	p := s.IndexPostingStats
	return Counts{
		Series: s.NumSeries, Pairs: p.NumLabelPairs, MinTime: s.MinTime, MaxTime: s.MaxTime,
		ByName: counts(p.CardinalityMetricsStats), ByLabel: counts(p.CardinalityLabelStats),
		BytesByLabel: counts(p.LabelValueStats), ByPair: counts(p.LabelValuePairsStats),
	}
}
