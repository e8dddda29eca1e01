package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/foreshock/foreshock/internal/peers"
)

// What Prometheus's client asks of a server, which scrapes exemplars; another
// Prometheus scrapes our results from it.
func TestStatusAndExemplars(t *testing.T) {
	exporter := newTarget(t, `# TYPE queue_depth gauge
queue_depth{service="checkout"} 10.5
# TYPE jobs counter
jobs_total{service="checkout"} 7 # {trace_id="4bf92f35"} 1.0
# EOF
`)
	s := startServer(t, Options{Flags: map[string]string{"config.file": "foreshock.yml"}, Retention: 48 * time.Hour}, "foreshock.yml", fmt.Sprintf(`
global: {scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms, external_labels: {region: eu}}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow}
scrape_configs:
- job_name: shop
  static_configs: [{targets: [%q, "127.0.0.1:1"]}]
  relabel_configs: [{source_labels: [__address__], regex: "127.0.0.1:1", action: drop}]
  basic_auth: {username: foreshock, password: s3cret}
`, exporter.address()), "rules.yml", `
groups:
- name: shop
  rules:
  - {record: "service:queue:max", expr: max by (service) (queue_depth)}
  - {detect: Queue, expr: queue_depth, signal: saturation}
`)
	s.awaitReady()
	s.awaitSeries(`service:queue:max`, `jobs_total`)
	client, err := api.NewClient(api.Config{Address: s.url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.(api.CloseIdler).CloseIdleConnections()
	c, ctx := apiv1.NewAPI(client), t.Context()

	cfg, err := c.Config(ctx)
	if err != nil || !strings.Contains(cfg.YAML, "job_name: shop") || !strings.Contains(cfg.YAML, "mode: shadow") || strings.Contains(cfg.YAML, "s3cret") {
		t.Errorf("Config: %v\n%s\nwant our blocks and theirs, and no secret", err, cfg.YAML)
	}
	if flags, err := c.Flags(ctx); err != nil || flags["config.file"] != "foreshock.yml" {
		t.Errorf("Flags: %v %v", flags, err)
	}
	if info, err := c.Runtimeinfo(ctx); err != nil || !info.ReloadConfigSuccess || info.StorageRetention != "2d" {
		t.Errorf("Runtimeinfo: %+v %v", info, err)
	}
	if db, err := c.TSDB(ctx); err != nil || db.HeadStats.NumSeries < 4 || db.HeadStats.ChunkCount < 4 || len(db.SeriesCountByMetricName) == 0 {
		t.Errorf("TSDB: %+v %v", db, err)
	}
	if targets, err := c.Targets(ctx); err != nil || len(targets.Active) != 1 || len(targets.Dropped) != 1 {
		t.Errorf("Targets: %+v %v, want one that is scraped and one that is dropped", targets, err)
	}
	eventually(t, "the exemplar", func() error {
		found, err := c.QueryExemplars(ctx, `rate(jobs_total[1m])`, time.Now().Add(-time.Minute), time.Now().Add(time.Minute))
		if err == nil && (len(found) != 1 || found[0].Exemplars[0].Labels["trace_id"] != "4bf92f35") {
			err = fmt.Errorf("got %+v", found)
		}
		return err
	})

	prom := peers.Prometheus(t, fmt.Sprintf(`
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
scrape_configs:
- job_name: foreshock
  metrics_path: /federate
  honor_labels: true
  params: {"match[]": ['{__name__=~"service:.*|anomaly_score"}']}
  static_configs: [{targets: [%q]}]
`, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")))
	theirs := &running{t: t, url: prom.URL, log: s.log}
	theirs.awaitSeries(`service:queue:max{service="checkout",region="eu",instance=""} == 10.5`)
}

// Secrets of all blocks are hidden, whoever reads the configuration.
func TestShownConfiguration(t *testing.T) {
	cfg, err := ParseConfig("foreshock.yml", []byte(`
global: {evaluation_interval: 20s}
source: # s3cret
  url: https://user:s3cret@prometheus.example.org/path
  http_client:
    oauth2: {client_id: me, client_secret: s3cret, token_url: https://login.example.org, scopes: [a]}
    http_headers: {X-Key: {secrets: [s3cret]}, X-Scope-OrgID: {values: [shop]}}
identity: [service]
remote_write: [{url: "http://user:s3cret@127.0.0.1:1/write", name: store}]
alerting:
  alertmanagers: [{basic_auth: {username: u, password: s3cret}, static_configs: [{targets: [am]}]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Shown()
	if strings.Contains(got, "s3cret") {
		t.Errorf("a secret is shown:\n%s", got)
	}
	for _, want := range []string{"evaluation_interval: 20s", "client_secret: <secret>", "https://user:xxxxx@prometheus.example.org/path", "values: [shop]", "client_id: me", "identity: [service]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if n := len(slices.Collect(strings.Lines(got))); n < 15 {
		t.Errorf("only %d lines", n)
	}
}
