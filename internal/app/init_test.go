package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/peers"
)

// A Prometheus with three kinds of metrics of two services: a configuration
// that loads, watches them, knows who calls whom, and reads that Prometheus.
func TestInit(t *testing.T) {
	exporter := newTarget(t, `# TYPE http_requests_total counter
http_requests_total{service="web",code="200"} 100
http_requests_total{service="web",code="500"} 1
http_requests_total{service="db",code="200"} 100
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{service="web",le="0.1"} 90
http_request_duration_seconds_bucket{service="web",le="+Inf"} 100
http_request_duration_seconds_sum{service="web"} 9
http_request_duration_seconds_count{service="web"} 100
# TYPE traces_service_graph_request_total counter
traces_service_graph_request_total{client="web",server="db"} 100
# TYPE build_info gauge
build_info{service="web",version="1.2.3"} 1
build_info{service="db",version="7"} 1
# TYPE go_info gauge
go_info{service="web",version="go1.26"} 1
# TYPE cart_checkout_duration_seconds histogram
cart_checkout_duration_seconds_bucket{service="web",le="0.1"} 90
cart_checkout_duration_seconds_bucket{service="web",le="+Inf"} 100
cart_checkout_duration_seconds_sum{service="web"} 9
cart_checkout_duration_seconds_count{service="web"} 100
# TYPE anomaly_score gauge
anomaly_score{service="web"} 1
`)
	prom := peers.Prometheus(t, fmt.Sprintf(catalogScrape, exporter.address()))
	theirs := &running{t: t, url: prom.URL}
	theirs.awaitSeries("build_info", "traces_service_graph_request_total", "count_over_time(up[1m]) > 15")
	o := InitOptions{SourceURL: prom.URL, Dir: filepath.Join(t.TempDir(), "new"), Logger: slog.New(slog.DiscardHandler)}
	var out bytes.Buffer
	o.Out = &out
	if err := Init(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	cfg, err := LoadConfig(filepath.Join(o.Dir, "foreshock.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Source == nil || cfg.Source.URL != prom.URL || cfg.Engine.Mode != "shadow" || len(cfg.Engine.Edges) == 0 || len(cfg.Engine.Versions) != 1 {
		t.Errorf("source %v, mode %q, %d edges, %d versions: want the server, shadow, some and one",
			cfg.Source, cfg.Engine.Mode, len(cfg.Engine.Edges), len(cfg.Engine.Versions))
	}
	rules, err := os.ReadFile(filepath.Join(o.Dir, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(rules), "cart_checkout_duration_seconds_bucket") || strings.Contains(string(rules), "http_requests_total") {
		t.Errorf("rules.yml: want a rule for the metric that no pack knows, and none for those that one does:\n%s", rules)
	}
	if len(cfg.Packs) != 1 || cfg.Packs[0].Name != "http" {
		t.Errorf("packs %v, want http", cfg.Packs)
	}
	if every := cfg.Prometheus.GlobalConfig.ScrapeInterval; every.String() != "1s" {
		t.Errorf("scrape_interval %s, want the server's of 1s", every)
	}
	if strings.Contains(string(rules), "expr: anomaly_score") {
		t.Errorf("rules.yml judges our own results:\n%s", rules)
	}
	if !strings.Contains(out.String(), "foreshock check --config.file=") {
		t.Errorf("what to do next is not said: %s", out.String())
	}
	if err := Init(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second time: %v, want an error that the files are there", err)
	}
}

// A server without metrics, and none at all.
func TestInitErrors(t *testing.T) {
	prom := peers.Prometheus(t, "global: {}\n")
	for url, want := range map[string]string{
		prom.URL:             "no metric has a name that says",
		"http://127.0.0.1:1": "connection refused",
		"prometheus:9090":    "want http://host:port",
	} {
		o := InitOptions{SourceURL: url, Dir: filepath.Join(t.TempDir(), "new"), Out: &bytes.Buffer{}, Logger: slog.New(slog.DiscardHandler)}
		if err := Init(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", url, err, want)
		}
		if _, err := os.Stat(o.Dir); !os.IsNotExist(err) {
			t.Errorf("%s: something was written", url)
		}
	}
}
