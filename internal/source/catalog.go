package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// What series there are, for the API's endpoints of the same names: those that
// match one of the selectors (none: all) and have samples from from to to (zero:
// from the first, to the last). At most limit are returned, 0: all; more than
// that is told by a warning. Names and values are sorted.

// errTruncated is Prometheus's warning.
var errTruncated = errors.New("results truncated due to limit")

// errEmptyMatch is Prometheus's too.
var errEmptyMatch = errors.New("match[] must contain at least one non-empty matcher")

// LabelNames returns the names of labels.
func (l *Local) LabelNames(ctx context.Context, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error) {
	return l.lookup(ctx, matches, from, to, limit, func(q storage.Querier, hints *storage.LabelHints, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, hints, ms...)
	})
}

// LabelValues returns the values of a label.
func (l *Local) LabelValues(ctx context.Context, name string, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error) {
	return l.lookup(ctx, matches, from, to, limit, func(q storage.Querier, hints *storage.LabelHints, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, hints, ms...)
	})
}

func (l *Local) lookup(ctx context.Context, matches []string, from, to time.Time, limit int,
	one func(storage.Querier, *storage.LabelHints, []*labels.Matcher) ([]string, annotations.Annotations, error),
) ([]string, annotations.Annotations, error) {
	sets, q, err := l.choose(matches, from, to)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	found, notes := map[string]bool{}, annotations.Annotations{}
	for _, ms := range sets {
		got, more, err := one(q, &storage.LabelHints{Limit: hintLimit(limit)}, ms)
		notes.Merge(more)
		if err != nil {
			return nil, notes, err
		}
		for _, s := range got {
			found[s] = true
		}
		if err := ctx.Err(); err != nil {
			return nil, notes, err
		}
	}
	return truncate(slices.Sorted(maps.Keys(found)), limit, &notes), notes, nil
}

// Series returns the label sets of series, sorted.
func (l *Local) Series(ctx context.Context, matches []string, from, to time.Time, limit int) ([]labels.Labels, annotations.Annotations, error) {
	sets, q, err := l.choose(matches, from, to)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	low, high := bounds(from, to)
	hints := &storage.SelectHints{Start: low, End: high, Func: "series", Limit: hintLimit(limit)}
	var parts []storage.SeriesSet
	for _, ms := range sets {
		parts = append(parts, q.Select(ctx, true, hints, ms...))
	}
	set := storage.NewMergeSeriesSet(parts, 0, storage.ChainedSeriesMerge)
	out := []labels.Labels{}
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if out = append(out, set.At().Labels()); limit > 0 && len(out) > limit {
			break
		}
	}
	notes := set.Warnings()
	return truncate(out, limit, &notes), notes, set.Err()
}

// Metadata returns what the scraped targets say of a metric, or of all when it is empty.
func (l *Local) Metadata(_ context.Context, metric string) (map[string][]apiv1.Metadata, error) {
	l.mu.Lock()
	sm := l.sm
	l.mu.Unlock()
	out := map[string][]apiv1.Metadata{}
	if sm == nil {
		return out, nil
	}
	active := sm.TargetsActive()
	for _, job := range slices.Sorted(maps.Keys(active)) {
		for _, t := range active[job] {
			for _, m := range t.ListMetadata() {
				one := apiv1.Metadata{Type: apiv1.MetricType(m.Type), Help: m.Help, Unit: m.Unit}
				if (metric == "" || metric == m.MetricFamily) && !slices.Contains(out[m.MetricFamily], one) {
					out[m.MetricFamily] = append(out[m.MetricFamily], one)
				}
			}
		}
	}
	return out, nil
}

// choose returns what a request for names asks for, and where; the caller closes the querier.
func (l *Local) choose(matches []string, from, to time.Time) ([][]*labels.Matcher, storage.Querier, error) {
	sets, err := matcherSets(matches)
	if err != nil {
		return nil, nil, err
	}
	q, err := l.querier(from, to)
	return sets, q, err
}

func (l *Local) querier(from, to time.Time) (storage.Querier, error) {
	low, high := bounds(from, to)
	return l.db.Querier(low, high)
}

// bounds are a time range in the TSDB's milliseconds.
func bounds(from, to time.Time) (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		low = from.UnixMilli()
	}
	if !to.IsZero() {
		high = to.UnixMilli()
	}
	return low, high
}

// matcherSets parses selectors; no selector is one that matches everything.
func matcherSets(matches []string) ([][]*labels.Matcher, error) {
	if len(matches) == 0 {
		return [][]*labels.Matcher{nil}, nil
	}
	var out [][]*labels.Matcher
	for _, text := range matches {
		ms, err := newParser().ParseMetricSelector(text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, &parser.ParseErr{Err: errEmptyMatch, Query: text}
		}
		out = append(out, ms)
	}
	return out, nil
}

// hintLimit asks for one more, to know whether there is more.
func hintLimit(limit int) int {
	if limit <= 0 || limit == math.MaxInt {
		return 0
	}
	return limit + 1
}

// truncate never returns nil.
func truncate[T any](all []T, limit int, notes *annotations.Annotations) []T {
	if all == nil {
		return []T{}
	}
	if limit <= 0 || len(all) <= limit {
		return all
	}
	notes.Add(errTruncated)
	return all[:limit]
}

// LabelNames returns the names of labels of the server's series and of the results.
func (r *Remote) LabelNames(ctx context.Context, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error) {
	here, notes, err := r.o.Results.LabelNames(ctx, matches, from, to, limit)
	if err != nil {
		return nil, notes, err
	}
	there, warnings, err := r.api.LabelNames(ctx, matches, from, to, r.limit(limit)...)
	return both(ctx, r, here, there, limit, notes, warnings, err)
}

// LabelValues returns the values of a label of the server's series and of the results.
func (r *Remote) LabelValues(ctx context.Context, name string, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error) {
	here, notes, err := r.o.Results.LabelValues(ctx, name, matches, from, to, limit)
	if err != nil {
		return nil, notes, err
	}
	if !model.LegacyValidation.IsValidLabelName(name) {
		name = model.EscapeName(name, model.ValueEncodingEscaping) // as a part of a path
	}
	there, warnings, err := r.api.LabelValues(ctx, name, matches, from, to, r.limit(limit)...)
	return both(ctx, r, here, there, limit, notes, warnings, err)
}

// both makes one sorted answer of ours and the server's.
func both[T ~string](ctx context.Context, r *Remote, here []string, there []T, limit int, notes annotations.Annotations, warnings apiv1.Warnings, err error) ([]string, annotations.Annotations, error) {
	if err != nil {
		return nil, notes, r.lookupError(ctx, err)
	}
	for _, s := range there {
		here = append(here, string(s))
	}
	slices.Sort(here)
	r.note(&notes, warnings)
	return truncate(slices.Compact(here), limit, &notes), notes, nil
}

// Series returns the label sets of the server's series and of the results, sorted.
func (r *Remote) Series(ctx context.Context, matches []string, from, to time.Time, limit int) ([]labels.Labels, annotations.Annotations, error) {
	out, notes, err := r.o.Results.Series(ctx, matches, from, to, limit)
	if err != nil {
		return nil, notes, err
	}
	there, warnings, err := r.api.Series(ctx, matches, from, to, r.limit(limit)...)
	if err != nil {
		return nil, notes, r.lookupError(ctx, err)
	}
	for _, set := range there {
		out = append(out, toLabels(set))
	}
	slices.SortFunc(out, labels.Compare)
	out = slices.CompactFunc(out, labels.Equal)
	r.note(&notes, warnings)
	return truncate(out, limit, &notes), notes, nil
}

// Metadata returns what the server says of a metric, or of all when it is empty.
func (r *Remote) Metadata(ctx context.Context, metric string) (map[string][]apiv1.Metadata, error) {
	out, err := r.api.Metadata(ctx, metric, "")
	if err != nil {
		return nil, r.lookupError(ctx, err)
	}
	return out, nil
}

func (r *Remote) limit(limit int) []apiv1.Option {
	if limit <= 0 {
		return nil
	}
	return []apiv1.Option{apiv1.WithLimit(uint64(limit))}
}

func (r *Remote) note(notes *annotations.Annotations, warnings apiv1.Warnings) {
	for _, w := range warnings {
		notes.Add(fmt.Errorf("%s: %s", r.shown, clip(w)))
	}
}

func (r *Remote) lookupError(ctx context.Context, err error) error {
	return fmt.Errorf("source %s: %w", r.shown, r.classify(ctx, explainServer(err)))
}

func toLabels(set model.LabelSet) labels.Labels {
	b := labels.NewScratchBuilder(len(set))
	for name, value := range set {
		b.Add(string(name), string(value))
	}
	b.Sort()
	return b.Labels()
}
