//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

// binary builds foreshock once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "foreshock-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "foreshock")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/foreshock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a running foreshock.
type process struct {
	cmd  *exec.Cmd
	out  *buffer
	done chan error
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// foreshock starts the built binary; it is stopped at the end of the test.
func foreshock(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, args...), out: &buffer{}, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-p.done:
			if err != nil {
				t.Errorf("foreshock ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			p.cmd.Process.Kill()
			t.Error("foreshock did not end within 30 s of SIGTERM")
		}
		if t.Failed() {
			t.Logf("foreshock said:\n%s", p.out)
		}
	})
	return p
}

// says waits until the program has printed a text.
func (p *process) says(t *testing.T, text string, most time.Duration) {
	t.Helper()
	end := time.After(most)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.out.String(), text) {
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("it ended before it said %q: %v", text, err)
		case <-end:
			t.Fatalf("it did not say %q within %s", text, most)
		case <-tick.C:
		}
	}
}

// shipped is the example configuration of Alertmanager with a webhook of the test's.
func shipped(t *testing.T, hook *peers.WebhookReceiver) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/alertmanager/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "http://127.0.0.1:9099", hook.URL)
	return strings.ReplaceAll(text, "group_interval: 1m ", "group_interval: 1s ")
}

// firing and resolved count the incidents of Foreshock in notifications.
func count(ns []peers.Notification, status string) (n int, last peers.NotifiedAlert) {
	for _, note := range ns {
		for _, a := range note.Alerts {
			if a.Labels["alertname"] == "ForeshockIncident" && a.Status == status {
				n++
				last = a
			}
		}
	}
	return n, last
}

// The main job: the shop breaks, one notification with the right cause reaches
// the receiver behind the real Alertmanager, then its resolution.
func TestDemoPagesOnceWithTheRightCause(t *testing.T) {
	t.Parallel()
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, shipped(t, hook))
	p := foreshock(t, "demo", "--fault=bad-deploy", "--alertmanager.url="+am.URL, "--web.listen-address=127.0.0.1:0")
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	ns, err := hook.Wait(ctx, func(ns []peers.Notification) bool {
		n, _ := count(ns, "firing")
		return n > 0
	})
	if err != nil {
		t.Fatalf("no notification: %v; %v\n%s", err, ns, p.out)
	}
	_, first := count(ns, "firing")
	pagesAreThere(t, first.Annotations["incident_url"])
	ns, err = hook.Wait(ctx, func(ns []peers.Notification) bool {
		n, _ := count(ns, "resolved")
		return n > 0
	})
	if err != nil {
		t.Fatalf("no resolution: %v; notifications: %v\n%s", err, ns, p.out)
	}
	n, page := count(ns, "firing")
	if n != 1 {
		t.Errorf("%d notifications of a firing incident, want exactly 1: %v", n, ns)
	}
	if page.Labels["service"] != "payments" || page.Labels["severity"] != "page" {
		t.Errorf("labels are %v, want a page whose cause is payments", page.Labels)
	}
	if !strings.Contains(page.Annotations["changes"], "payments") || !strings.Contains(page.Annotations["summary"], "deploy of payments") {
		t.Errorf("annotations do not name the rollout of payments: %v", page.Annotations)
	}
	for _, s := range []string{"checkout", "frontend"} {
		if !strings.Contains(page.Annotations["effects"], s) {
			t.Errorf("effects do not list %s: %q", s, page.Annotations["effects"])
		}
	}
	if n, _ := count(ns, "resolved"); n != 1 {
		t.Errorf("%d resolutions, want 1", n)
	}
}

// Without a fault nobody is told anything.
func TestDemoWithoutFaultIsQuiet(t *testing.T) {
	t.Parallel()
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, shipped(t, hook))
	p := foreshock(t, "demo", "--fault=none", "--alertmanager.url="+am.URL, "--web.listen-address=127.0.0.1:0")
	p.says(t, "is rolled out", 6*time.Minute)
	select { // as long as it takes to page when something is wrong
	case err := <-p.done:
		p.done <- err
		t.Fatalf("it ended: %v", err)
	case <-time.After(time.Minute):
	}
	if ns := hook.Notifications(); len(ns) > 0 {
		t.Errorf("want no notification, got %v", ns)
	}
	if out := p.out.String(); strings.Contains(out, "PAGE") {
		t.Errorf("want no page:\n%s", out)
	}
}

// pagesAreThere looks at the pages and the API while the incident is open.
func pagesAreThere(t *testing.T, incident string) {
	t.Helper()
	base, _, ok := strings.Cut(incident, "/incidents/")
	if !ok {
		t.Fatalf("incident_url is %q", incident)
	}
	for url, want := range map[string]string{
		incident:                   "plot.svg",
		base + "/":                 "payments",
		base + "/rules":            "QueryDemand",
		base + "/targets":          "database",
		base + "/api/v1/incidents": `"status":"success"`,
		base + "/metrics":          "foreshock_incidents{",
		base + "/-/ready":          "",
		base + "/api/v1/query?query=anomaly_score": `"__name__":"anomaly_score"`,
	} {
		if code, body := get(t, url); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s answers %d without %q:\n%.300s", url, code, want, body)
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
