package rules

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/detectors"
)

// BenchmarkMillionSeries is the memory of a rule of a million series: states,
// labels, keys and maps. Resident is that of the whole process once garbage is
// returned; the results that are written have their memory counted, those of
// the query do not. An operation is an evaluation.
func BenchmarkMillionSeries(b *testing.B) {
	const count = 1_000_000
	for _, bc := range []struct {
		name        string
		score, band bool
	}{{"judged", false, false}, {"score", true, false}, {"band", true, true}} {
		b.Run("write="+bc.name, func(b *testing.B) {
			expr, err := newPromQLParser().ParseExpr("requests")
			if err != nil {
				b.Fatal(err)
			}
			before := resident(b)
			d, err := newDetection(&DetectionSpec{
				Name: "Requests", Expr: expr, Signal: Traffic, Direction: Both, Detector: detectors.Spike, Options: detectors.Spike.Options(),
				Budget: detectors.DefaultBudget(), WriteScore: bc.score, WriteBand: bc.band,
			}, nil, detectionOptions{interval: time.Minute, seriesLimit: count, forgetAfter: 24 * time.Hour, skipOutputs: !bc.score && !bc.band, onEvaluation: func(Evaluation) {}})
			if err != nil {
				b.Fatal(err)
			}
			now := at(0)
			query := func(context.Context, string, time.Time) (promql.Vector, error) {
				v := make(promql.Vector, count)
				var builder labels.ScratchBuilder
				for i := range v {
					builder.Reset()
					builder.Add("__name__", "requests")
					builder.Add("cluster", "eu-1")
					builder.Add("namespace", "shop")
					builder.Add("pod", "pod-"+strconv.Itoa(i))
					builder.Add("service", "service-"+strconv.Itoa(i%1000))
					v[i] = promql.Sample{F: float64((i + int(now.Unix()/60)) % 17), Metric: builder.Labels()}
				}
				return v, nil
			}
			evaluate := func() {
				now = now.Add(time.Minute)
				out, err := d.Eval(b.Context(), 0, now, query, nil, 0)
				if err != nil {
					b.Fatal(err)
				}
				if len(out) > d.outputs()*count {
					b.Fatalf("%d results of %d series", len(out), count)
				}
			}
			for range 15 { // until there are scores to write
				evaluate()
			}
			for b.Loop() {
				evaluate()
			}
			after := resident(b)
			b.ReportMetric(float64(after-before)/(1<<20), "MiB-resident")
			b.ReportMetric(float64(after-before)/count, "B/series")
			b.ReportMetric(float64(d.states.bank.StateSize()), "B/state")
			runtime.KeepAlive(d)
		})
	}
}

// resident returns the bytes of the process that are in memory once garbage is
// collected and returned to the system.
func resident(b *testing.B) int {
	b.Helper()
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int
		if strings.HasPrefix(lines.Text(), "VmRSS:") {
			if _, err := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kib); err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("/proc/self/status has no VmRSS")
	return 0
}
