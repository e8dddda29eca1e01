package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/source"
)

// queuePast writes three hours of a queue of about ten, a sample every 15 s.
func queuePast(ctx context.Context, db *source.Local) error {
	h, err := db.WriteHistory(ctx)
	if err != nil {
		return err
	}
	series := labels.FromStrings(model.MetricNameLabel, "queue_depth", "service", "checkout", "job", "shop")
	var ref uint64
	now := time.Now()
	for k := range 3 * 240 {
		at := now.Add(time.Duration(k-3*240) * 15 * time.Second).UnixMilli()
		if ref, err = h.Append(ref, series, at, queueDepth(k)); err != nil {
			return err
		}
		if err := h.Commit(at); err != nil {
			return err
		}
	}
	return h.Close()
}

// queueDepth varies by a tenth, without a rhythm.
func queueDepth(k int) float64 { return 10 + float64(k*7919%100)/100 }

const serverConfig = `
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 1s}
rule_files: [rules.yml]
identity: [service]
scrape_configs:
- job_name: shop
  static_configs: [{targets: [%q, %q, %q], labels: {service: checkout}}]
  metric_relabel_configs: [{regex: instance, action: labeldrop}]
- job_name: broken
  static_configs: [{targets: [%q], labels: {service: payments}}]
incidents: {interval: 1s, settle: 1s, hold: 2m}
alerting:
  alertmanagers:
  - static_configs: [{targets: [%q]}]
`

const serverRules = `
groups:
- name: shop
  rules:
  - record: service:queue:max
    expr: max by (service) (queue_depth)
  - record: impossible
    expr: up * on () up
  - alert: TargetDown
    expr: up{service="payments"} == 0
    labels: {severity: page}
  - detect: Queue
    expr: service:queue:max
    signal: saturation
  - detect: Blind
    expr: queue_depth + on () (queue_depth or label_replace(queue_depth, "copy", "1", "", ""))
    signal: saturation
`

// pager is an Alertmanager that may be down: it then breaks every connection.
type pager struct {
	*httptest.Server
	up     atomic.Bool
	alerts chan []map[string]string // labels of what it took
}

func newPager(t *testing.T) *pager {
	t.Helper()
	p := &pager{alerts: make(chan []map[string]string, 10000)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var posted []struct {
			Labels map[string]string `json:"labels"`
		}
		if !p.up.Load() || json.NewDecoder(r.Body).Decode(&posted) != nil {
			panic(http.ErrAbortHandler)
		}
		var all []map[string]string
		for _, a := range posted {
			all = append(all, a.Labels)
		}
		select {
		case p.alerts <- all:
		default:
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// A server with a good target, one that sends garbage and one that hangs, two
// rules that fail, and an Alertmanager that is down at first.
func TestServerGoesOn(t *testing.T) {
	good := newTarget(t, "queue_depth 10.5\n")
	garbage := newTarget(t, "this is {{ no metric\n")
	away := make(chan struct{})
	hangs := serveAlone(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-away:
		}
	}))
	t.Cleanup(func() { close(away); hangs.Close() })
	am := newPager(t)
	s := startServer(t, Options{History: queuePast, ColdStart: 24 * time.Hour}, "foreshock.yml",
		fmt.Sprintf(serverConfig, good.address(), strings.TrimPrefix(hangs.URL, "http://"), "127.0.0.1:1", garbage.address(), strings.TrimPrefix(am.URL, "http://")),
		"rules.yml", serverRules)
	s.awaitReady()

	// What is asked for is evaluated and written.
	s.awaitSeries(`service:queue:max{service="checkout"}`,
		`anomaly_score{rule="Queue",service="checkout"}`, `yhat_lower{rule="Queue"}`, `yhat_upper{rule="Queue"}`,
		`ALERTS{alertname="TargetDown",alertstate="firing"}`)
	s.awaitSeries(`up{job="broken"} == 0`, `up{job="shop"} == 0`, `up{job="shop"} == 1`)

	// What is broken is seen.
	eventually(t, "/targets", func() error {
		return s.shows("/targets", garbage.address(), "invalid syntax", "context deadline exceeded", "connection refused")
	})
	eventually(t, "health of rules", func() error {
		body, err := s.get("/api/v1/rules")
		if err != nil {
			return err
		}
		return ruleHealth(body, map[string]string{"impossible": "err", "Blind": "err", "service:queue:max": "ok", "TargetDown": "ok", "Queue": "ok"})
	})
	eventually(t, "/rules", func() error { return s.shows("/rules", "impossible", "many-to-many") })

	// An anomaly is one, and what is blind made none up.
	good.set("queue_depth 90\n")
	s.awaitSeries(`anomaly_score{rule="Queue"} > 1`)
	s.awaitMetric(`foreshock_anomalies{rule="Queue"}`, is(1))
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	s.awaitMetric(`foreshock_alerts_failed_total`, positive)
	s.awaitMetric(`foreshock_alerts_undelivered`, positive)

	// An Alertmanager that comes back gets what it missed.
	am.up.Store(true)
	s.awaitMetric(`foreshock_alerts_sent_total`, positive)
	s.awaitMetric(`foreshock_alerts_undelivered`, is(0))
	eventually(t, "the page", func() error {
		for {
			select {
			case posted := <-am.alerts:
				if slices.ContainsFunc(posted, func(l map[string]string) bool {
					return l["generator"] == "foreshock" && l["service"] == "payments" && l["severity"] == "page"
				}) {
					return nil
				}
			default:
				return fmt.Errorf("not among what was posted")
			}
		}
	})
	s.checkMetrics()
}

// checkMetrics wants the figures that an operator needs.
func (s *running) checkMetrics() {
	s.t.Helper()
	values, names, err := s.metrics()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{
		"prometheus_rule_evaluation_duration_seconds", "prometheus_rule_group_duration_seconds",
		"prometheus_rule_group_iterations_missed_total", "prometheus_rule_evaluation_failures_total",
		"foreshock_rule_series", "foreshock_rule_series_refused_total", "foreshock_detector_states", "foreshock_anomalies",
		"foreshock_incidents", "foreshock_topology_edges", "foreshock_topology_edges_left_out_total", "foreshock_changes",
		"foreshock_changes_left_out_total", "foreshock_alerts_sent_total", "foreshock_alerts_dropped_total", "foreshock_alerts_failed_total",
		"foreshock_alerts_queue_length", "foreshock_alerts_queue_capacity", "foreshock_ready",
		"foreshock_config_last_reload_successful", "foreshock_build_info", "foreshock_http_request_duration_seconds",
	} {
		if !names[name] {
			s.t.Errorf("/metrics has no %s", name)
		}
	}
	for series, want := range map[string]float64{
		`foreshock_ready`: 1, `foreshock_config_last_reload_successful`: 1, `foreshock_rule_series{rule="Queue"}`: 1,
		`foreshock_rule_series{rule="Blind"}`: 0, `foreshock_detector_states{detector="spike"}`: 1, `foreshock_alerts_dropped_total`: 0,
	} {
		if got, ok := values[series]; !ok || got != want {
			s.t.Errorf("%s = %v (there: %t), want %v", series, got, ok, want)
		}
	}
}

// shows wants texts on a page.
func (s *running) shows(path string, texts ...string) error {
	body, err := s.get(path)
	for _, text := range texts {
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("%s does not show %q", path, text)
		}
	}
	return err
}

// ruleHealth compares the health of rules in an answer of /api/v1/rules.
func ruleHealth(body string, want map[string]string) error {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []map[string]any `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	got := map[string]string{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			name, _ := r["name"].(string)
			if detect, ok := r["detect"].(string); ok {
				name = detect
			}
			got[name], _ = r["health"].(string)
		}
	}
	for name, health := range want {
		if got[name] != health {
			return fmt.Errorf("rule %s: health %q, want %q (of %v)", name, got[name], health, got)
		}
	}
	return nil
}

const reloadConfig = "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\nincidents: {mode: shadow}\n"

func recordRule(name string) string {
	return fmt.Sprintf("groups:\n- name: g\n  rules:\n  - record: %s\n    expr: vector(1)\n", name)
}

func TestReload(t *testing.T) {
	s := startServer(t, Options{EnableLifecycle: true}, "foreshock.yml", reloadConfig, "rules.yml", recordRule("first"))
	s.awaitReady()
	s.awaitSeries("first")

	s.rewrite("rules.yml", recordRule("second"))
	s.reload <- struct{}{}
	s.awaitSeries("second")
	s.awaitMetric("foreshock_config_last_reload_successful", is(1))

	// A bad one leaves the old one running, says where the mistake is, and shows it.
	s.rewrite("rules.yml", strings.Replace(recordRule("third"), "expr", "exper", 1))
	s.reload <- struct{}{}
	s.awaitMetric("foreshock_config_last_reload_successful", is(0))
	if want := `rules.yml:5:5: unknown field \"exper\"; did you mean \"expr\"?`; !strings.Contains(s.log.String(), want) {
		t.Errorf("the log does not say %s", want)
	}
	if err := s.shows("/status", "rules.yml:5:5"); err != nil {
		t.Error(err)
	}
	since := time.Now().Unix()
	s.awaitSeries(fmt.Sprintf("timestamp(second) > %d", since))
	if code, body, err := s.request(http.MethodPost, "/-/reload"); err != nil || code != http.StatusInternalServerError || !strings.Contains(body, "rules.yml:5:5") {
		t.Errorf("POST /-/reload of a bad configuration = %d %q (%v), want 500 and the place", code, body, err)
	}

	// A source cannot be put in the place of scraping while the server runs.
	s.rewrite("rules.yml", recordRule("third"))
	s.rewrite("foreshock.yml", reloadConfig+"source: {url: 'http://127.0.0.1:1'}\n")
	if code, body, err := s.request(http.MethodPost, "/-/reload"); err != nil || code != http.StatusInternalServerError || !strings.Contains(body, "restart") {
		t.Errorf("POST /-/reload with another source = %d %q (%v), want 500 and that a restart is due", code, body, err)
	}

	s.rewrite("foreshock.yml", reloadConfig)
	if code, body, err := s.request(http.MethodPost, "/-/reload"); err != nil || code != http.StatusOK {
		t.Errorf("POST /-/reload of a good configuration = %d %q (%v)", code, body, err)
	}
	s.awaitMetric("foreshock_config_last_reload_successful", is(1))
	s.awaitSeries("third")
}

func TestQuit(t *testing.T) {
	s := startServer(t, Options{EnableLifecycle: true}, "foreshock.yml", "incidents: {mode: shadow}\n")
	if code, _, err := s.request(http.MethodPost, "/-/quit"); err != nil || code != http.StatusOK {
		t.Errorf("POST /-/quit = %d (%v), want 200", code, err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
		s.ended <- nil // for the end of the test
	case <-late.C:
		t.Errorf("asked to quit, the server runs on after %s", patience)
	}
}

// What is wrong at the start is one error, and nothing is left open: the same
// address and directory can be used at once.
func TestServerStartsAgainAfterAnError(t *testing.T) {
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	config := files(t, "foreshock.yml", "incidents: {mode: shadow}\n")
	for _, o := range []Options{
		{ListenAddress: strings.TrimPrefix(taken.URL, "http://")},
		{ListenAddress: "127.0.0.1:0", ExternalURL: "nowhere"},
		{ListenAddress: "127.0.0.1:0", Position: 1},
		{ListenAddress: "127.0.0.1:0", WebConfigFile: config}, // not of that kind
	} {
		o.ConfigFile, o.StoragePath, o.Replicas, o.Out = config, dir, 1, io.Discard
		if err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	startServer(t, Options{StoragePath: dir}, "foreshock.yml", "incidents: {mode: shadow}\n").awaitReady()
}
