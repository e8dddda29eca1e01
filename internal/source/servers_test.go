package source

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/foreshock/foreshock/internal/peers"
)

// pusher writes samples to a server by remote write, one request a commit.
type pusher struct {
	t   testing.TB
	url string
}

func (p pusher) Appender(context.Context) storage.Appender { return &push{pusher: p} }

type push struct {
	pusher
	series []prompb.TimeSeries
}

func (p *push) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	p.series = append(p.series, prompb.TimeSeries{Labels: prompb.FromLabels(l, nil), Samples: []prompb.Sample{{Timestamp: t, Value: v}}})
	return 0, nil
}

func (p *push) AppendHistogram(_ storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, _ *histogram.FloatHistogram) (storage.SeriesRef, error) {
	p.series = append(p.series, prompb.TimeSeries{Labels: prompb.FromLabels(l, nil), Histograms: []prompb.Histogram{prompb.FromIntHistogram(t, h)}})
	return 0, nil
}

func (p *push) Commit() error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	to, err := remoteapi.NewAPI(p.url, remoteapi.WithAPIHTTPClient(client))
	if err != nil {
		return err
	}
	_, err = to.Write(p.t.Context(), remoteapi.WriteV1MessageType, &prompb.WriteRequest{Timeseries: p.series})
	return err
}

func (*push) Rollback() error                   { return nil }
func (*push) SetOptions(*storage.AppendOptions) {}
func (*push) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, nil
}
func (*push) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, nil
}
func (*push) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, nil
}
func (*push) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, nil
}

// The conformance test over real servers, which are told the samples by remote write.
func TestServersPrometheus(t *testing.T) {
	p := peers.Prometheus(t, "global: {}\n")
	testServer(t, p.URL, pusher{t, p.URL}, prometheusDialect)
}

func TestServersVictoriaMetrics(t *testing.T) {
	p := peers.VictoriaMetrics(t)
	testServer(t, p.URL, pusher{t, p.URL}, victoriaDialect)
}

// testServer tells a server, which answers queries at url, the samples of shop, and asks for them.
func testServer(t *testing.T, url string, to storage.Appendable, d dialect) {
	t.Helper()
	oracle := temporary(t)
	shop(t, oracle.db)
	shop(t, to)
	if d.told != nil {
		d.told(t, url)
	}
	own := map[string]bool{"job:x": true, "written": true}
	s := newRemote(t, url, RemoteOptions{Own: func() map[string]bool { return own }, LookbackDelta: 5 * time.Minute}).Store()
	write(t, s.Appendable, `job:x{a="b"}`, 3, time.Minute, func(i int) (float64, bool) { return float64(10 * i), true })
	conform(t, s, oracle, d)
}

// flushed makes VictoriaMetrics find what it was told.
func flushed(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url + "/internal/force_flush")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Fatalf("force_flush: %s", resp.Status)
	}
}

// victoriaDialect is what docs/configuration.md says of VictoriaMetrics: twelve
// digits are kept; samples that are NaN are not; some functions keep the
// metric's name; rates are not extrapolated to the borders of their window and
// begin with the last sample before it.
var victoriaDialect = dialect{
	told: flushed,
	same: func(expr string, got, want promql.Vector) bool {
		tolerance := 1e-11
		if strings.Contains(expr, "rate(") || strings.Contains(expr, "increase(") {
			tolerance = 2 // where a series ends within the window
		}
		return near(plain(got), plain(want), tolerance)
	},
	other: func(expr string) bool { return strings.HasPrefix(expr, "quantile_over_time(") }, // of NaN among others
	takes: []string{`rate(up)`, `up[5m]`},
}

// plain leaves out names and what is not a number.
func plain(v promql.Vector) map[string]float64 {
	out := map[string]float64{}
	for _, s := range v {
		if !math.IsNaN(s.F) {
			out[labels.NewBuilder(s.Metric).Del("__name__").Labels().String()] = s.F
		}
	}
	return out
}

// near: got may have more series, where the oracle's are not numbers.
func near(got, want map[string]float64, tolerance float64) bool {
	for series, w := range want {
		g, ok := got[series]
		if !ok || g != w && math.Abs(g-w) > tolerance*min(math.Abs(g), math.Abs(w)) {
			return false
		}
	}
	return len(got) <= len(want)+1
}

// What VictoriaMetrics calls an increase: the difference of the samples that
// are current at the two ends of the window.
func TestServersVictoriaMetricsIncrease(t *testing.T) {
	p := peers.VictoriaMetrics(t)
	shop(t, pusher{t, p.URL})
	flushed(t, p.URL)
	oracle := temporary(t)
	shop(t, oracle.db)
	r := newRemote(t, p.URL, RemoteOptions{})
	for minute := 10; minute < 50; minute++ {
		ts := t0.Add(time.Duration(minute) * time.Minute)
		got := mustQuery(t, r.query, `increase(requests_total{service="s0"}[3m])`, ts)
		want := mustQuery(t, oracle.query, `requests_total{service="s0"} - requests_total{service="s0"} offset 3m`, ts)
		if !near(plain(got), plain(want), 1e-9) {
			t.Errorf("at %s: got\n%swant\n%s", ts, normal(got), normal(want))
		}
	}
}
