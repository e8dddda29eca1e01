package rules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/foreshock/foreshock/detectors"
)

// BenchmarkDetectionOverRecording says what a detection rule costs over a
// recording rule of the same expression, with 10,000 series: query, judgement
// and writing into the TSDB. An operation is one evaluation.
func BenchmarkDetectionOverRecording(b *testing.B) {
	const series, step = 10_000, 15 * time.Second
	for _, bc := range []struct{ name, rule string }{
		{"record", "record: r\n    expr: EXPR"},
		{"detect-score", "detect: D\n    expr: EXPR\n    signal: traffic\n    write: [score]"},
		{"detect-band", "detect: D\n    expr: EXPR\n    signal: traffic"},
	} {
		for _, expr := range []struct{ name, text string }{
			{"selector", "requests"},
			{"rate", "rate(requests[1m])"},
		} {
			b.Run(bc.name+"/"+expr.name, func(b *testing.B) {
				st := teststorage.New(b)
				sets := make([]labels.Labels, series)
				for i := range sets {
					sets[i] = labels.FromStrings("__name__", "requests", "cluster", "eu-1", "namespace", "shop", "service", fmt.Sprintf("service-%d", i%100), "pod", fmt.Sprintf("pod-%d", i))
				}
				// The counters of the present time are appended outside of what is measured.
				load := func(t time.Time) {
					app := st.Appender(context.Background())
					for i, s := range sets {
						if _, err := app.Append(0, s, t.UnixMilli(), float64(t.Unix()*int64(1+i%7)+int64(i*31)%97)); err != nil {
							b.Fatal(err)
						}
					}
					if err := app.Commit(); err != nil {
						b.Fatal(err)
					}
				}
				engine := promqltest.NewTestEngine(b, false, 5*time.Minute, 50_000_000)
				m, err := New(Options{Query: promrules.EngineQueryFunc(engine, st), Appendable: st, OnEvaluation: func(Evaluation) {}})
				if err != nil {
					b.Fatal(err)
				}
				text := "groups:\n- name: g\n  interval: 15s\n  rules:\n  - " + bc.rule + "\n"
				f, err := ParseFile("rules.yml", []byte(replaceExpr(text, expr.text)))
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Update([]*File{f}); err != nil {
					b.Fatal(err)
				}
				g := m.Groups()[0]
				now := at(0)
				tick := func() {
					now = now.Add(step)
					load(now)
				}
				for range 40 { // ten minutes, in which the detector warms up
					tick()
					m.Eval(b.Context(), g, now)
				}
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					tick()
					b.StartTimer()
					m.Eval(b.Context(), g, now)
				}
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
			})
		}
	}
}

func replaceExpr(text, expr string) string {
	for i := 0; i+4 <= len(text); i++ {
		if text[i:i+4] == "EXPR" {
			return text[:i] + expr + text[i+4:]
		}
	}
	return text
}

// BenchmarkJudge is the part that is the detection rule's own: a result of
// 10,000 series is judged, nothing is queried or written.
func BenchmarkJudge(b *testing.B) {
	var v promql.Vector
	for i := range 10_000 {
		v = append(v, promql.Sample{F: float64(i % 17), Metric: labels.FromStrings("__name__", "requests", "namespace", "shop", "pod", fmt.Sprintf("pod-%d", i))})
	}
	expr, err := newPromQLParser().ParseExpr("requests")
	if err != nil {
		b.Fatal(err)
	}
	d, err := newDetection(&DetectionSpec{
		Name: "D", Expr: expr, Signal: Traffic, Direction: Both, Detector: detectors.Spike, Options: detectors.Spike.Options(),
		Budget: detectors.DefaultBudget(), WriteScore: true, WriteBand: true,
	}, nil, detectionOptions{interval: time.Minute, seriesLimit: 50_000, forgetAfter: 24 * time.Hour, onEvaluation: func(Evaluation) {}})
	if err != nil {
		b.Fatal(err)
	}
	query := func(context.Context, string, time.Time) (promql.Vector, error) { return v, nil }
	now := at(0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Minute)
		for i := range v {
			v[i].F += float64(i%5) - 2
		}
		if _, err := d.Eval(b.Context(), 0, now, query, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}
