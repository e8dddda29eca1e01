package peers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	b := make([]byte, 4096)
	n, _ := resp.Body.Read(b)
	return string(b[:n])
}

func TestPrometheusStartsAndRestarts(t *testing.T) {
	p := Prometheus(t, "global: {scrape_interval: 1s}\n")
	if got := get(t, p.URL+"/api/v1/status/buildinfo"); !strings.Contains(got, `"status":"success"`) {
		t.Errorf("buildinfo = %s, want success", got)
	}
	url := p.URL
	p.Stop(t)
	p.Start(t)
	if p.URL != url {
		t.Errorf("URL after a restart = %s, want %s", p.URL, url)
	}
	p.Kill(t)
	p.Stop(t) // does nothing
	if !strings.Contains(p.Output(), "ready to receive web requests") {
		t.Errorf("output = %q, want Prometheus's log", p.Output())
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	p := StoppedAlertmanager(t, "route: {}\n")
	err := p.start()
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(p.Output(), "receiver") {
		t.Errorf("start with a wrong configuration = %v, output %q; want that it ended, and why", err, p.Output())
	}
}

func TestTakenPortIsNoticed(t *testing.T) {
	first := Alertmanager(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
	second := StoppedAlertmanager(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
	second.address, second.URL = first.address, first.URL
	if err := second.start(); !errors.Is(err, errPortTaken) {
		t.Errorf("start on a port in use = %v, want %v", err, errPortTaken)
	}
}

func TestProgramsAreThere(t *testing.T) {
	for _, name := range []string{"prometheus", "promtool", "alertmanager", "amtool"} {
		out, err := exec.CommandContext(t.Context(), Path(t, name), "--version").CombinedOutput()
		if err != nil {
			t.Errorf("%s --version: %v\n%s", name, err, out)
		}
	}
}

func TestWebhookRecordsInOrder(t *testing.T) {
	w := Webhook(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i, status := range []string{"firing", "resolved"} {
		body := fmt.Sprintf(`{"version":"4","status":%q,"groupLabels":{"n":"%d"},"alerts":[{"status":%q,"labels":{"alertname":"a"},"startsAt":"2026-03-01T12:00:00Z"}]}`, status, i, status)
		resp, err := client.Post(w.URL+"/pager", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	got, err := w.Wait(t.Context(), func(n []Notification) bool { return len(n) == 2 })
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Status != "firing" || got[1].Status != "resolved" || got[1].Path != "/pager" || got[1].GroupLabels["n"] != "1" || got[0].Alerts[0].StartsAt.IsZero() {
		t.Errorf("received %+v, want firing, then resolved", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := w.Wait(ctx, func(n []Notification) bool { return len(n) == 3 }); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "received 2") {
		t.Errorf("Wait for a third = %v, want a deadline and what was received", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var o tail
	for range 3 {
		fmt.Fprint(&o, strings.Repeat("x", outputLimit))
	}
	fmt.Fprint(&o, "the end")
	if got := o.String(); len(got) != outputLimit || !strings.HasSuffix(got, "the end") {
		t.Errorf("kept %d bytes ending in %q, want %d ending in %q", len(got), got[len(got)-7:], outputLimit, "the end")
	}
}
