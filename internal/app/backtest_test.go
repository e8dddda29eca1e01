package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

// The recorded story of a bad deploy, and rules over it that a server can
// answer: none joins what is there with what is kept here.
const (
	storyFolder = "../../examples/bad-deploy"
	storyRules  = `groups:
- name: shop
  rules:
  - detect: Latency
    expr: histogram_quantile(0.9, sum by (service, le) (rate(http_request_duration_seconds_bucket[3m])))
    signal: latency
    min_change: {absolute: 0.02, relative: 50%}
  - detect: Errors
    expr: sum by (service) (rate(http_requests_total{code=~"5.."}[3m])) / (sum by (service) (rate(http_requests_total[3m])) > 0)
    signal: errors
    unit: ratio
    min_change: {absolute: 0.02}
  - record: service:rows:rate3m
    expr: sum by (client) (rate(db_rows_examined_total[3m]))
  - detect: Rows
    expr: label_replace(service:rows:rate3m, "service", "$1", "client", "(.+)")
    signal: saturation
    min_change: {relative: 100%}
  - alert: FrontendErrors
    expr: |
      sum by (service) (rate(http_requests_total{service="frontend", code=~"5.."}[3m]))
        / sum by (service) (rate(http_requests_total{service="frontend"}[3m])) > 0.05
    for: 2m
    labels: {severity: page}
`
)

var storyFrom, storyTo = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC), time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)

// story lays out configuration and metrics of the story: an OpenMetrics file and
// blocks that promtool made of it.
func story(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"foreshock.yml", "topology.yml"} {
		text, err := os.ReadFile(filepath.Join(storyFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	write(t, filepath.Join(dir, "rules.yml"), storyRules)
	f, err := os.Open(filepath.Join(storyFolder, "metrics.om.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "metrics.om"), string(text))
	cmd := exec.Command(peers.Path(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", filepath.Join(dir, "metrics.om"), filepath.Join(dir, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// replayed runs a backtest in the folder, and returns what it sent, without the
// case's name, and its error.
func replayed(ctx context.Context, t *testing.T, dir string, change func(*BacktestOptions)) (pages, text string, err error) {
	t.Helper()
	var out bytes.Buffer
	o := BacktestOptions{
		ConfigFile: filepath.Join(dir, "foreshock.yml"), From: storyFrom, To: storyTo, Pages: filepath.Join(t.TempDir(), "pages.jsonl"),
		Stdout: &out, Out: io.Discard,
	}
	change(&o)
	err = Backtest(ctx, o)
	data, readErr := os.ReadFile(o.Pages)
	if readErr != nil && err == nil {
		t.Fatal(readErr)
	}
	if _, rest, ok := strings.Cut(string(data), `"time"`); ok {
		data = []byte(rest)
	}
	return string(data), out.String(), err
}

// counting stands before a server, counts what is asked, and can fail.
type counting struct {
	proxy *httputil.ReverseProxy
	asked atomic.Int64
	after int64 // requests after which it fails; 0: never
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := c.asked.Add(1)
	if c.after > 0 && n > c.after {
		http.Error(w, "no healthy upstream", http.StatusUnauthorized)
		return
	}
	c.proxy.ServeHTTP(w, r)
}

// The same past gives the same pages, from wherever it is read, and a server
// that was asked once is not asked again.
func TestBacktestInputs(t *testing.T) {
	t.Parallel()
	dir := story(t)
	want, text, err := replayed(t.Context(), t, dir, func(o *BacktestOptions) { o.Inputs = []string{filepath.Join(dir, "metrics.om")} })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(want, `"causes":["payments",`) {
		t.Fatalf("the story's page does not name payments:\n%s\n%s", want, text)
	}
	blocks, _, err := replayed(t.Context(), t, dir, func(o *BacktestOptions) { o.Inputs = []string{filepath.Join(dir, "data")} })
	if err != nil || blocks != want {
		t.Errorf("from blocks: %v\n got %s\nwant %s", err, blocks, want)
	}

	p := peers.PrometheusOver(t, filepath.Join(dir, "data"), "global: {}\n", "--storage.tsdb.retention.time=100y")
	p.Start(t)
	target, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &counting{proxy: httputil.NewSingleHostReverseProxy(target)}
	server := serveAlone(proxy)
	defer server.Close()
	cache := filepath.Join(t.TempDir(), "cache")
	remote := func(o *BacktestOptions) { o.SourceURL, o.Cache = server.URL, cache }

	got, _, err := replayed(t.Context(), t, dir, remote)
	if err != nil || got != want {
		t.Errorf("from a server: %v\n got %s\nwant %s", err, got, want)
	}
	// A tick a minute and six expressions over 27 hours; few of them are asked.
	first := proxy.asked.Load()
	if steps := int64(storyTo.Sub(storyFrom)/time.Minute) * 6; first == 0 || first > steps/20 {
		t.Errorf("the server was asked %d times for %d evaluations", first, steps)
	}
	// Other options of the detectors.
	write(t, filepath.Join(dir, "rules.yml"), strings.ReplaceAll(storyRules, "relative: 50%", "relative: 500%"))
	if _, _, err := replayed(t.Context(), t, dir, remote); err != nil {
		t.Fatal(err)
	}
	if n := proxy.asked.Load() - first; n != 0 {
		t.Errorf("the second run asked the server %d times, want 0", n)
	}

	// A server that stops answering halfway.
	write(t, filepath.Join(dir, "rules.yml"), storyRules)
	failing := &counting{proxy: proxy.proxy, after: first / 2}
	broken := serveAlone(failing)
	defer broken.Close()
	_, text, err = replayed(t.Context(), t, dir, func(o *BacktestOptions) { o.SourceURL = broken.URL })
	if err == nil || !strings.Contains(err.Error(), "the report is partial: ") || !strings.Contains(err.Error(), "the source stopped answering: ") {
		t.Errorf("a server that stops: error %v", err)
	}
	if !strings.HasPrefix(text, "PARTIAL: ") {
		t.Errorf("the report does not begin with PARTIAL:\n%s", text)
	}
}

// What is interrupted says what it has found so far, and that it is not all.
func TestBacktestInterrupted(t *testing.T) {
	t.Parallel()
	dir := story(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	html := filepath.Join(dir, "report.html")
	_, text, err := replayed(ctx, t, dir, func(o *BacktestOptions) {
		o.Inputs = []string{filepath.Join(dir, "data")}
		o.HTML = html
		o.Out = writerFunc(func(b []byte) { // progress
			if strings.Contains(string(b), "50%") {
				cancel(errors.New("interrupted by the test"))
			}
		})
	})
	if err == nil || !strings.Contains(err.Error(), "the report is partial: ") || !strings.Contains(err.Error(), "interrupted by the test") {
		t.Errorf("error %v", err)
	}
	if !strings.HasPrefix(text, "PARTIAL: ") || !strings.Contains(text, "in 0.6 days") {
		t.Errorf("text:\n%s", text)
	}
	page, err := os.ReadFile(html)
	if err != nil || !strings.Contains(string(page), "interrupted by the test") {
		t.Errorf("the page does not say that it is partial: %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
