package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what takes a second or two on a quiet machine.
const patience = 30 * time.Second

// eventually asks until f has nothing to object.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a server in this process.
type running struct {
	t      *testing.T
	config string // path
	url    string
	log    *logged
	reload chan struct{}
	cancel context.CancelFunc
	ended  chan error
	over   bool
	// left are goroutines that may outlive the server.
	left []goleak.Option
}

// startServer runs a server with the files, of which the first is the
// configuration, and returns once it serves pages. When the test ends the
// server must end too, soon and without leaving a goroutine.
func startServer(t *testing.T, o Options, pairs ...string) *running {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s := &running{t: t, config: files(t, pairs...), log: &logged{}, reload: make(chan struct{}), ended: make(chan error, 1)}
	o.ConfigFile, o.Reload, o.Out = s.config, s.reload, s.log
	o.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	o.Replicas = max(o.Replicas, 1)
	o.DiscoveryInterval = 100 * time.Millisecond
	if o.ListenAddress == "" {
		o.ListenAddress = "127.0.0.1:0"
	}
	if o.StoragePath == "" {
		o.StoragePath = filepath.Join(t.TempDir(), "data")
	}
	started := make(chan string, 1)
	o.Started = func(url string) { started <- url }
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s.cancel = cancel
	go func() { s.ended <- Run(ctx, o) }()
	select {
	case s.url = <-started:
	case err := <-s.ended:
		cancel()
		t.Fatalf("the server did not start: %v", err)
	}
	t.Cleanup(func() {
		s.stop()
		goleak.VerifyNone(t, append(s.left, before)...)
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log)
		}
	})
	return s
}

// stop ends the server and wants it to be quick about it.
func (s *running) stop() {
	s.t.Helper()
	if s.over {
		return
	}
	s.over = true
	s.cancel()
	const bound = 10 * time.Second
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	case <-late.C:
		s.t.Errorf("the server did not end within %s", bound)
		<-s.ended
	}
}

func (s *running) request(method, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, strings.TrimSuffix(s.url, "/")+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// get returns the body of a page that must be there.
func (s *running) get(path string) (string, error) {
	code, body, err := s.request(http.MethodGet, path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, code, body)
	}
	return body, err
}

func (s *running) awaitReady() {
	s.t.Helper()
	eventually(s.t, "ready", func() error { _, err := s.get("/-/ready"); return err })
}

// query asks the API and returns the values by series.
func (s *running) query(expr string) (map[string]float64, error) {
	body, err := s.get("/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result model.Vector `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", expr, err, body)
	}
	out := map[string]float64{}
	for _, s := range answer.Data.Result {
		out[s.Metric.String()] = float64(s.Value)
	}
	return out, nil
}

// awaitSeries waits until each of the expressions returns something.
func (s *running) awaitSeries(exprs ...string) {
	s.t.Helper()
	for _, expr := range exprs {
		eventually(s.t, expr, func() error {
			v, err := s.query(expr)
			if err == nil && len(v) == 0 {
				err = errors.New("no series")
			}
			return err
		})
	}
}

// metrics returns what /metrics shows, by series as it is written there, and
// the names of all metrics.
func (s *running) metrics() (map[string]float64, map[string]bool, error) {
	body, err := s.get("/metrics")
	if err != nil {
		return nil, nil, err
	}
	values, names := map[string]float64{}, map[string]bool{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			names[name] = true
			continue
		}
		if k := strings.LastIndexByte(line, ' '); k > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[k+1:], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("/metrics: %q: %w", line, err)
			}
			values[line[:k]] = v
		}
	}
	return values, names, nil
}

// awaitMetric waits until a series of /metrics has a value that pleases.
func (s *running) awaitMetric(series string, ok func(float64) bool) {
	s.t.Helper()
	eventually(s.t, series, func() error {
		values, _, err := s.metrics()
		if err != nil {
			return err
		}
		if v, there := values[series]; !there || !ok(v) {
			return fmt.Errorf("is %v (there: %t)", v, there)
		}
		return nil
	})
}

func positive(v float64) bool { return v > 0 }

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

// rewrite exchanges a file beside the configuration.
func (s *running) rewrite(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), name), []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// serveAlone is a server without keep-alive: Prometheus's scraping leaves idle
// connections to time out, and a test would find their goroutines.
func serveAlone(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	return s
}

// target is something to scrape.
type target struct {
	*httptest.Server
	text atomic.Pointer[string]
}

func newTarget(t *testing.T, text string) *target {
	t.Helper()
	g := &target{}
	g.set(text)
	g.Server = serveAlone(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := *g.text.Load()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if strings.HasSuffix(text, "# EOF\n") {
			w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *target) set(text string) { g.text.Store(&text) }

func (g *target) address() string { return strings.TrimPrefix(g.URL, "http://") }
