package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// wave is a store that has an answer to everything at once: n series.
func wave(n int) Store {
	rows := make([]labels.Labels, n)
	for i := range rows {
		rows[i] = labels.FromStrings("service", fmt.Sprintf("service-%d", i%50), "instance", fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250))
	}
	return Store{Range: func(_ context.Context, _ string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
		m := make(promql.Matrix, n)
		steps := int(to.Sub(from)/step) + 1
		points := make([]promql.FPoint, n*steps)
		for i := range m {
			p := points[i*steps : (i+1)*steps]
			for j := range p {
				p[j] = promql.FPoint{T: from.Add(time.Duration(j) * step).UnixMilli(), F: float64(i) + float64(j)/7}
			}
			m[i] = promql.Series{Metric: rows[i], Floats: p}
		}
		return m, nil
	}}
}

// BenchmarkWindowsHits reads a day of steps, all of which are at hand: what a
// second replay costs, and how much room an answer takes.
func BenchmarkWindowsHits(b *testing.B) {
	const steps = 1440
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			w := NewWindows(WindowsOptions{Store: wave(n), From: t0, To: t0.Add((steps - 1) * time.Minute), Key: "k"})
			defer w.Close()
			day := func() {
				for i := range steps {
					v, err := w.For(time.Minute)(context.Background(), `rate(x[5m])`, t0.Add(time.Duration(i)*time.Minute))
					if err != nil || len(v) != n {
						b.Fatal(len(v), err)
					}
				}
			}
			day()
			fetched := w.Stats().Fetches
			for b.Loop() {
				day()
			}
			if got := w.Stats().Fetches; got != fetched {
				b.Errorf("%d windows were fetched again", got-fetched)
			}
			kept := 0
			for _, k := range w.keys {
				for _, s := range k.spans {
					kept += len(w.read(nil, s)) + 16*s.pieces() // with keys and lengths
				}
			}
			b.ReportMetric(float64(steps*b.N)/b.Elapsed().Seconds(), "hits/s")
			b.ReportMetric(float64(steps*n*b.N)/b.Elapsed().Seconds(), "values/s")
			b.ReportMetric(float64(kept)/float64(steps*n), "bytes/value")
		})
	}
}

// BenchmarkWindowsSave writes and reads a day of 1,000 series.
func BenchmarkWindowsSave(b *testing.B) {
	const steps, n = 1440, 1000
	o := WindowsOptions{Store: wave(n), From: t0, To: t0.Add((steps - 1) * time.Minute), Key: "k"}
	w := NewWindows(o)
	defer w.Close()
	for i := range steps {
		if _, err := w.For(time.Minute)(context.Background(), `rate(x[5m])`, t0.Add(time.Duration(i)*time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := w.write(&file); err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			if err := w.write(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(file.Len())/(steps*n), "bytes/value")
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(int64(file.Len()))
		for b.Loop() {
			again := NewWindows(o)
			if err := again.load(bytes.NewReader(file.Bytes())); err != nil {
				b.Fatal(err)
			}
			again.Close()
		}
	})
}

// BenchmarkLoadOpenMetrics reads a file in order of time and one in order of series.
func BenchmarkLoadOpenMetrics(b *testing.B) {
	const series, n = 200, 2000
	for _, byTime := range []bool{true, false} {
		name := map[bool]string{true: "by time", false: "by series"}[byTime]
		var text bytes.Buffer
		text.WriteString("# TYPE requests counter\n")
		for i := range series * n {
			s, k := i/n, i%n
			if byTime {
				s, k = i%series, i/series
			}
			fmt.Fprintf(&text, "requests_total{service=\"service-%d\",instance=\"10.0.0.%d:8080\",code=\"200\"} %v %d\n", s%20, s, float64(k*s)/8, t0.Unix()+int64(15*k))
		}
		text.WriteString("# EOF\n")
		path := file(b, "a.om", text.Bytes())
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				l, err := OpenTemporary(TemporaryOptions{Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := l.LoadOpenMetrics(context.Background(), []string{path}); err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(series*n*b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}
