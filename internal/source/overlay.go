package source

import (
	"context"
	"maps"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Overlay makes a store that reads the input and the results as one and writes
// to the results only. Series named in own are read from the results, never
// from the input: a replay must not find what the same rules wrote when they
// lived through that time. Queries run in the results' engine. Over a [Remote]
// the rule is its own: an expression reads either our outputs or the server,
// and a mixture is an error.
//
// Close of the overlay closes neither of the two.
func Overlay(input Store, results *Local, own map[string]bool) Store {
	own = maps.Clone(own)
	s := Store{Appendable: results.db, Close: func() error { return nil }}
	if input.remote != nil {
		r := router{remote: input.remote, local: results.evaluator, own: func() map[string]bool { return own }}
		s.Query, s.Range, s.Queryable, s.remote = r.query, r.queryRange, results.db, input.remote
		return s
	}
	var masked storage.Queryable = input.Queryable
	if len(own) > 0 {
		masked = mask{Queryable: input.Queryable, own: own, exclude: exclude(own)}
	}
	merged := storage.QueryableFunc(func(mint, maxt int64) (storage.Querier, error) {
		in, err := masked.Querier(mint, maxt)
		if err != nil {
			return nil, err
		}
		out, err := results.db.Querier(mint, maxt)
		if err != nil {
			in.Close()
			return nil, err
		}
		// Both are primary: an error of either is an error, not a warning.
		return storage.NewMergeQuerier([]storage.Querier{in, out}, nil, storage.ChainedSeriesMerge), nil
	})
	e := evaluator{engine: results.engine, queryable: merged}
	s.Query, s.Range, s.Queryable = e.query, e.queryRange, merged
	return s
}

// mask hides the series of some names.
type mask struct {
	storage.Queryable
	own     map[string]bool
	exclude *labels.Matcher
}

func (m mask) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := m.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return maskedQuerier{Querier: q, mask: m}, nil
}

type maskedQuerier struct {
	storage.Querier
	mask mask
}

// matchers returns what to ask for; hidden is true where nothing can be left.
func (q maskedQuerier) matchers(ms []*labels.Matcher) (_ []*labels.Matcher, hidden bool) {
	for _, m := range ms {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
			return ms, q.mask.own[m.Value]
		}
	}
	return append(ms[:len(ms):len(ms)], q.mask.exclude), false
}

func (q maskedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	ms, hidden := q.matchers(ms)
	if hidden {
		return storage.EmptySeriesSet()
	}
	return q.Querier.Select(ctx, sorted, hints, ms...)
}

func (q maskedQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, hidden := q.matchers(ms)
	if hidden {
		return nil, nil, nil
	}
	return q.Querier.LabelValues(ctx, name, hints, ms...)
}

func (q maskedQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, hidden := q.matchers(ms)
	if hidden {
		return nil, nil, nil
	}
	return q.Querier.LabelNames(ctx, hints, ms...)
}
