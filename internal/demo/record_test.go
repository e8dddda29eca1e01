package demo

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// memory is a sink that keeps all samples, for questions like PromQL's.
type memory struct {
	index  map[string]uint64
	series []memorySeries
}

type memorySeries struct {
	labels  labels.Labels
	times   []int64
	samples []float64
}

func (m *memory) Append(ref uint64, l labels.Labels, t int64, v float64) (uint64, error) {
	if ref == 0 {
		if m.index == nil {
			m.index = map[string]uint64{}
		}
		key := l.String()
		if ref = m.index[key]; ref == 0 {
			m.series = append(m.series, memorySeries{labels: l})
			ref = uint64(len(m.series))
			m.index[key] = ref
		}
	}
	s := &m.series[ref-1]
	if n := len(s.times); n > 0 && s.times[n-1] >= t {
		return 0, fmt.Errorf("%s: sample at %d after one at %d", l, t, s.times[n-1])
	}
	s.times, s.samples = append(s.times, t), append(s.samples, v)
	return ref, nil
}

func (m *memory) Commit(int64) error { return nil }

// match reports whether l has all name-value pairs.
func match(l labels.Labels, pairs []string) bool {
	for i := 0; i < len(pairs); i += 2 {
		if l.Get(pairs[i]) != pairs[i+1] {
			return false
		}
	}
	return true
}

// increase sums the increases of all matching counters from one time to another.
func (m *memory) increase(from, to time.Time, pairs ...string) float64 {
	sum := 0.0
	for _, s := range m.series {
		if match(s.labels, pairs) {
			sum += s.increase(from, to)
		}
	}
	return sum
}

func (s *memorySeries) increase(from, to time.Time) float64 {
	sum, last := 0.0, math.NaN()
	for i, t := range s.times {
		if t < from.UnixMilli() || t > to.UnixMilli() {
			continue
		}
		v := s.samples[i]
		switch {
		case v != v:
			continue
		case v >= last:
			sum += v - last
		case v < last:
			sum += v
		}
		last = v
	}
	return sum
}

// quantile is histogram_quantile over the increase of a histogram of a service.
func (m *memory) quantile(q float64, from, to time.Time, name, service string) float64 {
	counts := make([]float64, len(buckets)+1)
	for i := range counts {
		le := "+Inf"
		if i < len(buckets) {
			le = fmt.Sprintf("%g", buckets[i])
		}
		counts[i] = m.increase(from, to, "__name__", name+"_bucket", "service", service, "le", le)
	}
	rank := q * counts[len(buckets)]
	lower, below := 0.0, 0.0
	for i, upper := range buckets {
		if counts[i] >= rank {
			return lower + (upper-lower)*(rank-below)/(counts[i]-below)
		}
		lower, below = upper, counts[i]
	}
	return buckets[len(buckets)-1]
}

// errors is the share of a service's requests that end with 5xx.
func (m *memory) errors(from, to time.Time, service string) float64 {
	failed := 0.0
	for _, c := range []string{"500", "502", "503", "504"} {
		failed += m.increase(from, to, "__name__", "http_requests_total", "service", service, "code", c)
	}
	return failed / m.increase(from, to, "__name__", "http_requests_total", "service", service)
}

// busy is the mean share of the pool that runs queries.
func (m *memory) busy(from, to time.Time) float64 {
	return m.increase(from, to, "__name__", "db_query_duration_seconds_sum") / to.Sub(from).Seconds() / float64(NewSpec().Services[4].Pool.Size)
}

// simulate runs the shop into memory, one sample per second.
func simulate(t testing.TB, from, to time.Time, seed uint64, events []TimedEvent) *memory {
	t.Helper()
	m := &memory{}
	_, err := Simulate(context.Background(), SimulationOptions{
		Spec: NewSpec(), From: from, To: to, Step: time.Second, Seed: seed, Events: events, Sink: m,
	})
	if err != nil {
		t.Fatalf("Simulate: %v", err)
	}
	return m
}
