package source

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// BenchmarkHistory writes the demo's past: four days of 500 series every 15 s.
func BenchmarkHistory(b *testing.B) {
	const series, step = 500, 15 * time.Second
	for b.Loop() {
		l := local(b, LocalOptions{})
		h, err := l.WriteHistory(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		var refs [series]uint64
		var names [series]labels.Labels
		for s := range series {
			names[s] = labels.FromStrings("__name__", "requests_total", "instance", "127.0.0.1:8080", "series", fmt.Sprint(s))
		}
		n := int(4 * 24 * time.Hour / step)
		for i := range n {
			ts := t0.Add(time.Duration(i) * step).UnixMilli()
			for s := range series {
				if refs[s], err = h.Append(refs[s], names[s], ts, float64(i*s)); err != nil {
					b.Fatal(err)
				}
			}
			if err := h.Commit(ts); err != nil {
				b.Fatal(err)
			}
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n*series), "samples/op")
	}
}

// BenchmarkWindows compares an hour of evaluations with and without windows.
func BenchmarkWindows(b *testing.B) {
	in := temporary(b)
	shop(b, in.db)
	const expr = `histogram_quantile(0.9, sum by (service, le) (rate(latency_bucket[5m])))`
	run := func(b *testing.B, q QueryFunc) {
		for i := range 220 {
			if _, err := q(context.Background(), expr, t0.Add(5*time.Minute+time.Duration(i)*15*time.Second)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("instant", func(b *testing.B) {
		for b.Loop() {
			run(b, in.query)
		}
	})
	b.Run("windows", func(b *testing.B) {
		for b.Loop() {
			w := NewWindows(WindowsOptions{Store: in.Store()})
			run(b, w.For(15*time.Second))
			w.Close()
		}
	})
}
