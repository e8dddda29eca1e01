package backtest

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

var full = flag.Bool("full", false, "run BenchmarkBacktest also over 10,000 series and 7 days")

// benchRules judge each series of five metrics, two of them counters.
const benchRules = `groups:
- name: all
  interval: 1m
  rules:
  - {detect: Requests, expr: 'rate(requests_total[5m])', signal: traffic, detector: spike}
  - {detect: Failures, expr: 'rate(failures_total[5m])', signal: errors, detector: spike}
  - {detect: Latency, expr: 'latency_seconds', signal: latency, detector: spike}
  - {detect: CPU, expr: 'cpu_ratio', signal: saturation, detector: spike}
  - {detect: Memory, expr: 'memory_ratio', signal: saturation, detector: level_shift}
  - {record: 'service:failures:ratio_rate5m', expr: 'sum by (service) (rate(failures_total[5m])) / sum by (service) (rate(requests_total[5m]))'}
  - {alert: FailuresHigh, expr: 'service:failures:ratio_rate5m > 1.1', for: 5m}
`

var benchBegin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// BenchmarkBacktest replays a history of the given number of series, one sample
// a minute, from a Prometheus data directory: opening, queries, detectors,
// correlation and report. It reports nanoseconds per judged sample, and the largest heap.
func BenchmarkBacktest(b *testing.B) {
	sizes := []struct{ series, days int }{{1000, 1}, {1000, 7}, {10_000, 1}}
	if *full {
		sizes = append(sizes, struct{ series, days int }{10_000, 7})
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("series=%d/days=%d", size.series, size.days), func(b *testing.B) {
			dir := b.TempDir()
			end := benchBegin.Add(time.Duration(size.days) * 24 * time.Hour)
			writeHistory(b, dir, size.series, end)
			cfg := benchConfig(b, benchRules, time.Minute)
			cfg.Interval, cfg.Settle = 15*time.Second, 45*time.Second
			heap := watchHeap(b)
			b.ResetTimer()
			for b.Loop() {
				h, err := Open(b.Context(), &Case{Name: "bench", Input: Input{TSDB: dir}}, OpenOptions{})
				if err != nil {
					b.Fatal(err)
				}
				r, err := h.Replay(b.Context(), Options{Config: cfg})
				if err != nil {
					b.Fatal(err)
				}
				report := NewReport("bench.yml", []*Replayed{r}, "", GradeOptions{})
				if report.Partial != "" || len(report.Rules) != 7 || report.Rules[0].Series != size.series/5 {
					b.Fatalf("partial %q, rules %+v", report.Partial, report.Rules)
				}
				if err := h.Close(); err != nil {
					b.Fatal(err)
				}
			}
			samples := float64(size.series) * end.Sub(benchBegin).Minutes()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/samples, "ns/sample")
			b.ReportMetric(float64(heap.Load())/(1<<20), "MiB-heap")
			b.ReportMetric(float64(heap.Load())/float64(size.series), "B/series")
		})
	}
}

// benchConfig is a configuration of some rules whose services are named by one label.
func benchConfig(t testing.TB, text string, interval time.Duration) engine.Config {
	t.Helper()
	file, err := rules.ParseFile("bench.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	id, err := topology.NewIdentity([]string{"service"})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Config{
		Rules: []*rules.File{file}, EvaluationInterval: interval, Identity: id, Mode: incident.ModePage,
		Interval: interval, Settle: interval, Hold: 15 * time.Minute,
	}
}

// watchHeap keeps the largest heap that was seen.
func watchHeap(b *testing.B) *atomic.Uint64 {
	var most atomic.Uint64
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	b.Cleanup(func() { stop(); <-done })
	runtime.GC()
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	return &most
}

// writeHistory fills a data directory with a daily rhythm and noise.
func writeHistory(b *testing.B, dir string, series int, end time.Time) {
	b.Helper()
	db, err := source.OpenLocal(source.LocalOptions{Dir: dir, Retention: 10 * 365 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	h, err := db.WriteHistory(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	names := []string{"requests_total", "failures_total", "latency_seconds", "cpu_ratio", "memory_ratio"}
	type line struct {
		l   labels.Labels
		ref uint64
		sum float64
	}
	lines := make([]line, series)
	for i := range lines {
		lines[i].l = labels.FromStrings("__name__", names[i%5], "service", fmt.Sprintf("s%d", i/5/10), "instance", fmt.Sprintf("i%d", i/5%10))
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for at := benchBegin; !at.After(end); at = at.Add(time.Minute) {
		day := 1 + 0.4*math.Sin(2*math.Pi*float64(at.Unix()%86400)/86400)
		for i := range lines {
			s := &lines[i]
			v := day * (1 + 0.05*dice.NormFloat64())
			if i%5 < 2 {
				s.sum += 60 * v
				v = s.sum
			}
			if s.ref, err = h.Append(s.ref, s.l, at.UnixMilli(), v); err != nil {
				b.Fatal(err)
			}
		}
		if err := h.Commit(at.UnixMilli()); err != nil {
			b.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
