package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

const remoteConfig = `
global: {evaluation_interval: 1s}
source: {url: %q}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow, interval: 1s, settle: 1s}
`

const remoteRules = `
groups:
- name: shop
  rules:
  - detect: Queue
    expr: queue_depth
    signal: saturation
`

// fakeSource is a query API that knows queue_depth of a past, and ALERTS.
type fakeSource struct {
	*httptest.Server
	down   atomic.Bool
	firing atomic.Bool
	since  time.Time // the first sample

	mu       sync.Mutex
	ranges   int // range queries so far
	inFlight int
	most     int // range queries at once
}

func newFakeSource(t *testing.T, past time.Duration) *fakeSource {
	t.Helper()
	f := &fakeSource{since: time.Now().Add(-past)}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", f.query)
	mux.HandleFunc("/api/v1/query_range", f.queryRange)
	f.Server = serveAlone(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeSource) broken(w http.ResponseWriter) bool {
	if f.down.Load() {
		http.Error(w, "upstream connect error", http.StatusServiceUnavailable)
		return true
	}
	return false
}

func (f *fakeSource) query(w http.ResponseWriter, r *http.Request) {
	if f.broken(w) {
		return
	}
	at, _ := strconv.ParseFloat(r.FormValue("time"), 64)
	var result []any
	switch expr := r.FormValue("query"); {
	case expr == "vector(1)":
		result = append(result, sample(map[string]string{}, at, 1))
	case strings.HasPrefix(expr, "ALERTS"):
		if f.firing.Load() {
			result = append(result, sample(map[string]string{"__name__": "ALERTS", "alertname": "CheckoutErrors", "alertstate": "firing", "service": "checkout", "severity": "page"}, at, 1))
		}
	case expr == "queue_depth" && at >= float64(f.since.Unix()):
		result = append(result, sample(map[string]string{"__name__": "queue_depth", "service": "checkout"}, at, queueDepth(int(at)/15)))
	}
	answer(w, "vector", result)
}

func (f *fakeSource) queryRange(w http.ResponseWriter, r *http.Request) {
	if f.broken(w) {
		return
	}
	f.mu.Lock()
	f.ranges++
	f.inFlight++
	f.most = max(f.most, f.inFlight)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.inFlight--
		f.mu.Unlock()
	}()
	from, _ := strconv.ParseFloat(r.FormValue("start"), 64)
	to, _ := strconv.ParseFloat(r.FormValue("end"), 64)
	step, err := strconv.ParseFloat(r.FormValue("step"), 64)
	if err != nil || step <= 0 {
		http.Error(w, "step", http.StatusBadRequest)
		return
	}
	var values [][2]any
	for at := from; at <= to; at += step {
		if at >= float64(f.since.Unix()) && r.FormValue("query") == "queue_depth" {
			values = append(values, [2]any{at, fmt.Sprint(queueDepth(int(at) / 15))})
		}
	}
	var result []any
	if len(values) > 0 {
		result = append(result, map[string]any{"metric": map[string]string{"__name__": "queue_depth", "service": "checkout"}, "values": values})
	}
	answer(w, "matrix", result)
}

func sample(metric map[string]string, at, v float64) any {
	return map[string]any{"metric": metric, "value": [2]any{at, fmt.Sprint(v)}}
}

func answer(w http.ResponseWriter, kind string, result []any) {
	if result == nil {
		result = []any{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
}

// A server over a query API: it learns the past from it, goes on live, takes
// the team's alerts from it, and survives its absence without making things up.
func TestRemoteSource(t *testing.T) {
	f := newFakeSource(t, 6*time.Hour)
	s := startServer(t, Options{ColdStart: 8 * time.Hour}, "foreshock.yml", fmt.Sprintf(remoteConfig, f.URL), "rules.yml", remoteRules)
	s.awaitReady()
	s.awaitSeries(`anomaly_score{rule="Queue",service="checkout"}`, `yhat_lower{rule="Queue"}`, `yhat_upper{rule="Queue"}`, `queue_depth`)
	s.awaitMetric(`foreshock_detector_states{detector="spike"}`, is(1))
	f.mu.Lock()
	if f.ranges == 0 || f.most > 1 {
		t.Errorf("the past was asked for by %d range queries, %d at once; want some, one at a time", f.ranges, f.most)
	}
	f.mu.Unlock()

	f.firing.Store(true)
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	eventually(t, "the incident", func() error { return s.shows("/api/v1/incidents", "CheckoutErrors") })

	// While the source does not answer, rules fail and nothing resolves.
	f.down.Store(true)
	eventually(t, "health of rules", func() error {
		body, err := s.get("/api/v1/rules")
		if err != nil {
			return err
		}
		return ruleHealth(body, map[string]string{"Queue": "err"})
	})
	if v, _, err := s.metrics(); err != nil || v[`foreshock_incidents{severity="page",state="open"}`] != 1 {
		t.Errorf("while the source is down %v incidents are open (%v), want the one", v[`foreshock_incidents{severity="page",state="open"}`], err)
	}
	f.down.Store(false)
	eventually(t, "health of rules", func() error {
		body, err := s.get("/api/v1/rules")
		if err != nil {
			return err
		}
		return ruleHealth(body, map[string]string{"Queue": "ok"})
	})
}

// A source that comes up later than we do is waited for, and then learnt from.
func TestSourceComesLate(t *testing.T) {
	f := newFakeSource(t, 6*time.Hour)
	f.down.Store(true)
	s := startServer(t, Options{ColdStart: 8 * time.Hour}, "foreshock.yml", fmt.Sprintf(remoteConfig, f.URL), "rules.yml", remoteRules)
	eventually(t, "that the server says what it waits for", func() error {
		code, body, err := s.request(http.MethodGet, "/-/ready")
		if err == nil && (code != http.StatusServiceUnavailable || !strings.Contains(body, "waiting for the source: ") || !strings.Contains(body, f.URL)) {
			err = fmt.Errorf("got %d %q", code, body)
		}
		return err
	})
	f.down.Store(false)
	s.awaitReady()
	s.awaitMetric(`foreshock_detector_states{detector="spike"}`, is(1))
	if f.mu.Lock(); f.ranges == 0 {
		t.Error("nothing of the past was asked for")
	}
	f.mu.Unlock()
}

// A source that hangs during the cold start: the server says that it is not
// ready, takes no reload, and ends at once when it is told to.
func TestShutdownDuringColdStart(t *testing.T) {
	asked := make(chan struct{}, 1)
	hangs := serveAlone(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		// The end of the connection is only noticed once the body was read.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	s := startServer(t, Options{ColdStart: time.Hour, EnableLifecycle: true}, "foreshock.yml", fmt.Sprintf(remoteConfig, hangs.URL), "rules.yml", remoteRules)
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("the source was not asked")
	}
	if code, body, err := s.request(http.MethodGet, "/-/ready"); err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("/-/ready during the cold start = %d %q (%v), want 503", code, body, err)
	}
	if code, _, err := s.request(http.MethodGet, "/-/healthy"); err != nil || code != http.StatusOK {
		t.Errorf("/-/healthy during the cold start = %d (%v), want 200", code, err)
	}
	if code, body, err := s.request(http.MethodPost, "/-/reload"); err != nil || code == http.StatusOK || !strings.Contains(body, "again when the server is ready") {
		t.Errorf("POST /-/reload during the cold start = %d %q (%v), want that it is too early", code, body, err)
	}
	s.stop()
}

// pastPage is a page of three hours of samples with their times.
func pastPage(now time.Time) string {
	var b strings.Builder
	for k := range 3 * 60 {
		fmt.Fprintf(&b, "queue_depth %v %d\n", queueDepth(k), now.Add(time.Duration(k-3*60)*time.Minute).UnixMilli())
	}
	return b.String()
}

// The same over the real Prometheus, which scrapes the queue and has an alert
// of its own.
func TestRealPrometheus(t *testing.T) {
	now := time.Now().Truncate(time.Minute)
	past, present := newTarget(t, pastPage(now)), newTarget(t, "queue_depth 10.5\n")
	alerts := filepath.Join(t.TempDir(), "alerts.yml")
	if err := os.WriteFile(alerts, []byte("groups:\n- name: own\n  rules:\n  - alert: CheckoutErrors\n    expr: queue_depth > 50\n    labels: {severity: page}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	p := peers.Prometheus(t, fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
storage: {tsdb: {out_of_order_time_window: 1d}}
rule_files: [%q]
scrape_configs:
- job_name: shop
  static_configs: [{targets: [%q, %q], labels: {service: checkout}}]
  metric_relabel_configs: [{regex: instance, action: labeldrop}]
`, alerts, past.address(), present.address()))
	remote := &running{t: t, url: p.URL}
	eventually(t, "Prometheus has the past and the present", func() error {
		v, err := remote.query(`count_over_time(queue_depth[4h]) > 180`)
		if err == nil && len(v) != 1 {
			err = errors.New("not yet")
		}
		return err
	})
	past.set("")

	s := startServer(t, Options{ColdStart: 6 * time.Hour}, "foreshock.yml", fmt.Sprintf(remoteConfig, p.URL), "rules.yml", remoteRules)
	s.awaitReady()
	s.awaitSeries(`anomaly_score{rule="Queue",service="checkout"}`, `yhat_lower{rule="Queue"}`, `yhat_upper{rule="Queue"}`, `queue_depth{job="shop"}`)
	if v, err := s.query(`anomaly_score{rule="Queue"} >= 1`); err != nil || len(v) != 0 {
		t.Errorf("before the trouble: scores %v (%v), want none of 1 or more", v, err)
	}
	present.set("queue_depth 90\n")
	s.awaitSeries(`anomaly_score{rule="Queue"} > 1`)
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	eventually(t, "the incident", func() error { return s.shows("/api/v1/incidents", "CheckoutErrors") })

	// It comes back where it was, from its journal and the source.
	s.stop()
}
