package app

import (
	"fmt"
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
	start := func(o Options) *running {
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
	first.stop()

	second := start(Options{})
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
