package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// attempt is one alert in one request that a Sender made.
type attempt struct {
	at     time.Duration // after the fake was made
	host   string
	labels labels.Labels
	endsAt time.Time
	ok     bool
}

// fake is what Alertmanagers answer, by host, and what they were asked.
type fake struct {
	mu     sync.Mutex
	start  time.Time
	answer func(ctx context.Context, host string) (status int, err error)
	got    []attempt
}

func newFake() *fake {
	return &fake{start: time.Now(), answer: func(context.Context, string) (int, error) { return http.StatusOK, nil }}
}

func (f *fake) set(answer func(ctx context.Context, host string) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) do(ctx context.Context, _ *http.Client, req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var posted []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if err := json.Unmarshal(body, &posted); err != nil {
		return nil, err
	}
	f.mu.Lock()
	at, answer := time.Since(f.start), f.answer
	f.mu.Unlock()
	status, err := answer(ctx, req.URL.Host)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range posted {
		f.got = append(f.got, attempt{at, req.URL.Host, labels.FromMap(a.Labels), a.EndsAt, err == nil && status == http.StatusOK})
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader("text of the answer"))}, nil
}

// attempts returns and forgets what was asked since the last call.
func (f *fake) attempts() []attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// seconds returns when attempts were made, rounded to seconds.
func seconds(got []attempt) []int {
	var out []int
	for _, a := range got {
		out = append(out, int(a.at.Round(time.Second)/time.Second))
	}
	return out
}

var errRefused = errors.New("connection refused")

func down(context.Context, string) (int, error) { return 0, errRefused }
func up(context.Context, string) (int, error)   { return http.StatusOK, nil }

const oneAlertmanager = `
alerting:
  alertmanagers:
  - static_configs:
    - targets: [one:9093]
`

const twoAlertmanagers = `
alerting:
  alertmanagers:
  - static_configs:
    - targets: [one:9093, two:9093]
`

func load(t *testing.T, yaml string) *config.Config {
	t.Helper()
	cfg, err := config.Load(yaml, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("load configuration: %v", err)
	}
	return cfg
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// count returns how many lines contain all of these.
func (l *logBuffer) count(parts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a Sender that runs, in a synctest bubble, with a fake for the network.
type running struct {
	*Sender
	*fake
	log  *logBuffer
	reg  *prometheus.Registry
	stop func() // ends Run and waits for it
}

// start runs a Sender with this configuration and waits until it has discovered its Alertmanagers;
// the fake's time begins then.
func start(t *testing.T, yaml string, change func(*Options)) *running {
	t.Helper()
	r := &running{fake: newFake(), log: &logBuffer{}, reg: prometheus.NewRegistry()}
	o := Options{Logger: slog.New(slog.NewTextHandler(r.log, nil)), Registerer: r.reg, do: r.do}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r.Sender = s
	if err := s.ApplyConfig(load(t, yaml)); err != nil {
		t.Fatalf("ApplyConfig: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	time.Sleep(10 * time.Second)
	synctest.Wait()
	r.mu().Lock()
	r.start = time.Now()
	r.mu().Unlock()
	return r
}

func (r *running) mu() *sync.Mutex { return &r.fake.mu }

// metric returns the value of one of the Sender's own metrics.
func (r *running) metric(t *testing.T, name string) float64 {
	t.Helper()
	return metricValue(t, r.reg, name)
}

func metricValue(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// firing is an alert that lasts a quarter of an hour from now.
func firing(name string) Alert {
	now := time.Now()
	return Alert{
		Labels:      labels.FromStrings("alertname", name, "severity", "page"),
		Annotations: labels.FromStrings("summary", "something is slow"),
		StartsAt:    now, EndsAt: now.Add(15 * time.Minute),
	}
}

func resolvedNow(a Alert) Alert {
	a.EndsAt = time.Now()
	return a
}
