package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const snapshotConfig = `
global: {scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 1s}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow, interval: 1s}
scrape_configs: [{job_name: shop, static_configs: [{targets: [%s]}]}]
`

// A server that is started again knows what the one before learnt; where the
// file is damaged it learns again from the past and says why.
func TestLearntSurvivesARestart(t *testing.T) {
	target := newTarget(t, "queue_depth{service=\"checkout\"} 10.5\n")
	config, data := fmt.Sprintf(snapshotConfig, target.address()), filepath.Join(t.TempDir(), "data")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(o Options) *running {
		o.ChangesTokenFile = token
		o.StoragePath, o.ColdStart = data, 24*time.Hour
		s := startServer(t, o, "foreshock.yml", config, "rules.yml", remoteRules)
		s.awaitReady()
		s.awaitSeries(`anomaly_score{rule="Queue"}`)
		return s
	}
	first := start(Options{History: queuePast})
	if log := first.log.String(); !strings.Contains(log, "cold start begins") || strings.Contains(log, "took up") {
		t.Errorf("the first start did not learn from the past")
	}
	if err := first.post("/api/v1/changes", `{"service": "checkout", "kind": "flag", "to": "on"}`); err != nil {
		t.Error(err)
	}
	first.stop()

	second := start(Options{})
	if body, err := second.get("/api/v1/changes"); err != nil || !strings.Contains(body, `"kind":"flag"`) {
		t.Errorf("the posted change is gone: %v %s", err, body)
	}
	if log := second.log.String(); strings.Contains(log, "cold start begins") || !strings.Contains(log, "took up what an earlier run learnt") {
		t.Errorf("the second start did not take up what the first one learnt")
	}
	second.awaitMetric("foreshock_snapshot_failures_total", is(0))
	second.stop()

	file := filepath.Join(data, "learnt.snapshot")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o666); err != nil {
		t.Fatal(err)
	}
	third := start(Options{})
	if log := third.log.String(); !strings.Contains(log, "checksum") || !strings.Contains(log, "cold start begins") {
		t.Errorf("the third start did not refuse the damaged file and learn from the past")
	}
}

// post sends a body with the token of the test.
func (s *running) post(path, body string) error {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, strings.TrimSuffix(s.url, "/")+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer s3cret")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: status %d: %s %w", path, resp.StatusCode, b, err)
	}
	return nil
}
