package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/web"
)

// configText shows the configuration in force.
func (s *server) configText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Shown()
}

// tsdbStatus says what the embedded database holds: beside a source the results alone.
func (s *server) tsdbStatus(limit int) (web.TSDBStatus, error) {
	c := s.local.Counts(limit)
	out := web.TSDBStatus{
		HeadStats:               web.TSDBHead{NumSeries: c.Series, NumLabelPairs: c.Pairs, MinTime: c.MinTime, MaxTime: c.MaxTime},
		SeriesCountByMetricName: stats(c.ByName), LabelValueCountByLabelName: stats(c.ByLabel),
		MemoryInBytesByLabelName: stats(c.BytesByLabel), SeriesCountByLabelValuePair: stats(c.ByPair),
	}
	families, err := s.reg.Gather()
	if err != nil {
		return out, err
	}
	for _, f := range families {
		if f.GetName() == "prometheus_tsdb_head_chunks" && len(f.GetMetric()) > 0 {
			out.HeadStats.ChunkCount = int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return out, nil
}

func stats(counts []source.Count) []web.TSDBStat {
	out := make([]web.TSDBStat, 0, len(counts))
	for _, c := range counts {
		out = append(out, web.TSDBStat{Name: c.Name, Value: c.N})
	}
	return out
}

// latest is what /federate shows: as in Prometheus with the external labels, by name.
func (s *server) latest(ctx context.Context, matches []string, at time.Time) (promql.Vector, error) {
	v, err := s.local.Latest(ctx, matches, at)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	external := s.config.Prometheus.GlobalConfig.ExternalLabels
	s.mu.Unlock()
	b := labels.NewBuilder(labels.EmptyLabels())
	for i := range v {
		b.Reset(v[i].Metric)
		external.Range(func(l labels.Label) {
			if b.Get(l.Name) == "" {
				b.Set(l.Name, l.Value)
			}
		})
		v[i].Metric = b.Labels()
	}
	name := func(s promql.Sample) string { return s.Metric.Get(model.MetricNameLabel) }
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return strings.Compare(name(a), name(b)) })
	return v, nil
}
