package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

// A configuration with packs and a rule that cannot work, checked against a
// real Prometheus.
func TestCheckSource(t *testing.T) {
	exporter := newTarget(t, `# TYPE http_requests_total counter
http_requests_total{service="web",code="200"} 100
`)
	prom := peers.Prometheus(t, fmt.Sprintf(strings.Replace(catalogScrape, "100ms, scrape_timeout: 100ms", "1s, scrape_timeout: 1s", 1), exporter.address()))
	theirs := &running{t: t, url: prom.URL}
	theirs.awaitSeries("count_over_time(http_requests_total[1m]) > 2")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"foreshock.yml": "global: {scrape_interval: 1s, evaluation_interval: 15s}\nidentity: [service]\npacks: [http, istio]\nrule_files: [rules.yml]\nincidents: {mode: shadow}\n",
		"rules.yml": `groups:
  - name: own
    rules:
      - detect: Typo
        expr: sum by (service) (rate(http_request_total[1m]))
        signal: traffic
      - detect: Short
        expr: sum by (service) (rate(http_requests_total[1s]))
        signal: traffic
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out, progress bytes.Buffer
	o := CheckSourceOptions{ConfigFile: filepath.Join(dir, "foreshock.yml"), URL: prom.URL, ColdStart: 14 * 24 * time.Hour, Out: &out, Progress: &progress}
	err := CheckSource(t.Context(), o)
	if want := "rules.yml:8:38: Short: [1s] over http_requests_total has never two samples, which are 1s apart (job shop): write [1m]"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	for _, want := range []string{
		"warning: " + filepath.Join(dir, "rules.yml") + ":5:38: Typo: there is no metric http_request_total; did you mean http_requests_total?\n",
		"foreshock.yml:3:15: pack istio has no data: remove it, or scrape what it reads, such as istio_",
		"pack http: 3 of 8 rules have data\n",
		"HTTPTraffic ",
		prom.URL + " would be asked 14 queries in turn, which read about ",
		"a cold start over 2w asks about 574 range queries, one at a time, ",
		"nothing is sent in shadow mode; without it 0.23 pages and 7 tickets a week for nothing at most\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
