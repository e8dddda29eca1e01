package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"github.com/foreshock/foreshock/internal/peers"
)

// nativeExporter exposes a native histogram whose exemplars name a trace.
func nativeExporter(t *testing.T) (address string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "request_seconds", Help: "How long requests took.", Buckets: []float64{0.1, 1}, NativeHistogramBucketFactor: 1.1,
	}, []string{"service"})
	reg.MustRegister(h)
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	s := serveAlone(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k := range 20 {
			h.WithLabelValues("checkout").(prometheus.ExemplarObserver).ObserveWithExemplar(0.2+0.001*float64(k), prometheus.Labels{"trace_id": "4bf92f35"})
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

const nativeRules = `
groups:
- name: shop
  rules:
  - {record: "service:request_seconds:p90", expr: "histogram_quantile(0.9, sum by (service) (rate(request_seconds[10s])))"}
  - {detect: Latency, expr: "histogram_quantile(0.9, sum by (service) (rate(request_seconds[10s])))", signal: latency}
`

// checkNative wants the quantile, its verdict, the histogram itself and its exemplars.
func (s *running) checkNative(classic bool) {
	s.t.Helper()
	s.awaitSeries(`service:request_seconds:p90{service="checkout"} > 0.19 < 0.23`, `anomaly_score{rule="Latency",service="checkout"}`, `histogram_count(request_seconds) > 0`)
	found, err := s.query(`request_seconds_bucket`)
	if err != nil || (len(found) > 0) != classic {
		s.t.Errorf("classic buckets: %d series (%v), want some: %v", len(found), err, classic)
	}
	eventually(s.t, "exemplars", func() error { return s.shows("/api/v1/query_exemplars?query=request_seconds", "4bf92f35") })
}

func TestNativeHistogramsScraped(t *testing.T) {
	s := startServer(t, Options{}, "foreshock.yml", fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow}
scrape_configs:
- job_name: shop
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
  static_configs: [{targets: [%q]}]
`, nativeExporter(t)), "rules.yml", nativeRules)
	s.checkNative(true)
}

// Two Prometheus write what they scrape, one in each version of the protocol.
// Exemplars come by the first: the second's sender puts them into series without
// samples, which its receiver refuses.
func TestNativeHistogramsReceived(t *testing.T) {
	s := startServer(t, Options{EnableWriteReceiver: true}, "foreshock.yml",
		"global: {evaluation_interval: 200ms}\nrule_files: [rules.yml]\nidentity: [service]\nincidents: {mode: shadow}\n", "rules.yml", nativeRules)
	s.awaitReady()
	exporter := nativeExporter(t)
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		peers.Prometheus(t, fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
storage: {exemplars: {max_exemplars: 1000}}
scrape_configs: [{job_name: %s, scrape_native_histograms: true, static_configs: [{targets: [%q]}]}]
remote_write:
- url: %s/api/v1/write
  protobuf_message: %s
  send_native_histograms: true
  send_exemplars: %v
  queue_config: {batch_send_deadline: 200ms}
`, message, exporter, strings.TrimSuffix(s.url, "/"), message, message == "prometheus.WriteRequest"), "--enable-feature=exemplar-storage")
	}
	for _, f := range []string{"readLoop", "writeLoop"} { // of their senders
		s.left = append(s.left, goleak.IgnoreAnyFunction("net/http.(*persistConn)."+f))
	}
	s.checkNative(false)
	s.awaitSeries(`histogram_count(request_seconds{job="io.prometheus.write.v2.Request"}) > 0`)
}

// Limits of a scrape are Prometheus's: a target over one is down, and says why.
func TestScrapeLimits(t *testing.T) {
	long := newTarget(t, strings.Repeat("queue_depth{service=\"checkout\"} 1\n", 1)+"# "+strings.Repeat("x", 20_000)+"\n")
	many := newTarget(t, "queue_depth{shard=\"1\"} 1\nqueue_depth{shard=\"2\"} 2\nqueue_depth{shard=\"3\"} 3\n")
	slow := serveAlone(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(slow.Close)
	s := startServer(t, Options{}, "foreshock.yml", fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 100ms}
identity: [service]
incidents: {mode: shadow}
scrape_configs:
- {job_name: long, body_size_limit: 10KB, static_configs: [{targets: [%q]}]}
- {job_name: many, sample_limit: 2, static_configs: [{targets: [%q]}]}
- {job_name: slow, static_configs: [{targets: [%q]}]}
- {job_name: labels, label_limit: 1, static_configs: [{targets: [%q]}]}
- {job_name: good, static_configs: [{targets: [%q]}], metric_relabel_configs: [{source_labels: [shard], regex: "3", action: drop}], honor_timestamps: false}
`, long.address(), many.address(), strings.TrimPrefix(slow.URL, "http://"), many.address(), many.address()))
	s.awaitSeries(`up{job="long"} == 0`, `up{job="many"} == 0`, `up{job="slow"} == 0`, `up{job="labels"} == 0`, `up{job="good"} == 1`, `count(queue_depth{job="good"}) == 2`)
	for job, want := range map[string]string{"long": "body size limit exceeded", "many": "sample limit exceeded", "slow": "context deadline exceeded", "labels": "label_limit exceeded"} {
		eventually(t, "the reason of "+job, func() error { return s.shows("/api/v1/targets?scrapePool="+job, want) })
	}
	if got, err := s.query(`count by (job) (queue_depth{job!="good"})`); err != nil || len(got) > 0 {
		t.Errorf("samples of targets over a limit: %v %v, want none", got, err)
	}
}
