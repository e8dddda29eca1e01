package alertmanager

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/peers"
)

const example = "../examples/alertmanager/alertmanager.yml"

// realTimeout bounds each wait for the real Alertmanager; nothing takes nearly as long on a quiet machine.
const realTimeout = 60 * time.Second

// exampleFor is the shipped configuration with this webhook behind both receivers, and quicker at telling resolutions.
func exampleFor(t *testing.T, hook *peers.WebhookReceiver) string {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	out := string(b)
	for _, r := range []struct{ old, new string }{
		{"http://127.0.0.1:9099", hook.URL},
		{"group_interval: 1m ", "group_interval: 1s "},
	} {
		if !strings.Contains(out, r.old) {
			t.Fatalf("%s has no %q any more", example, r.old)
		}
		out = strings.ReplaceAll(out, r.old, r.new)
	}
	return out
}

// tell runs a Sender towards a real Alertmanager until the test ends.
func tell(t *testing.T, hook *peers.WebhookReceiver, am *peers.Process, o Options) *story {
	t.Helper()
	reg := prometheus.NewRegistry()
	o.Registerer = reg
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf("alerting:\n  alertmanagers:\n  - static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(am.URL, "http://"))
	if err := s.ApplyConfig(load(t, yaml)); err != nil {
		t.Fatal(err)
	}
	peers.Run(t, s.Run)
	return &story{Sender: s, reg: reg, hook: hook, start: time.Now().Truncate(time.Millisecond)}
}

// story is a test's incident in a real Alertmanager.
type story struct {
	*Sender
	reg   *prometheus.Registry
	hook  *peers.WebhookReceiver
	start time.Time
}

func (s *story) alert(severity string) Alert {
	return Alert{
		Labels: labels.FromStrings("alertname", "CheckoutSlow", "incident", "inc-1", "service", "payments",
			"severity", severity, "generator", "foreshock"),
		Annotations:  labels.FromStrings("summary", "payments is slow"),
		StartsAt:     s.start,
		EndsAt:       time.Now().Add(15 * time.Minute),
		GeneratorURL: "http://foreshock.example/incidents/inc-1",
	}
}

// putUntil puts alerts again, faster than they are due to be sent, until the notifications are as wanted.
func (s *story) putUntil(t *testing.T, alerts func() []Alert, done func([]peers.Notification) bool) []peers.Notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), realTimeout)
	defer cancel()
	putting, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			s.Put(time.Now(), alerts())
			select {
			case <-putting.Done():
				return
			case <-tick.C:
			}
		}
	}()
	got, err := s.hook.Wait(ctx, done)
	stop()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// until is an end of Wait: this many notifications were received.
func until(n int) func([]peers.Notification) bool {
	return func(got []peers.Notification) bool { return len(got) >= n }
}

// putTimes puts until so many alerts were taken in all, which says that re-sending goes on.
func (s *story) putTimes(t *testing.T, n float64, alerts func() []Alert) {
	t.Helper()
	deadline := time.NewTimer(realTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for s.taken(t) < n {
		s.Put(time.Now(), alerts())
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%v alerts were taken within %s, want %v", s.taken(t), realTimeout, n)
		}
	}
}

// awaitMetric waits until a metric of the program, named up to its value, has at least this value.
func awaitMetric(t *testing.T, p *peers.Process, prefix string, least float64) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.NewTimer(realTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		resp, err := client.Get(p.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for line := range strings.Lines(string(body)) {
			if value, ok := strings.CutPrefix(line, prefix); ok {
				last = strings.TrimSpace(value)
			}
		}
		if v, err := strconv.ParseFloat(last, 64); err == nil && v >= least {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s is %q after %s, want at least %v", prefix, last, realTimeout, least)
		}
	}
}

func wantNotifications(t *testing.T, got []peers.Notification, want ...string) {
	t.Helper()
	var lines []string
	for _, n := range got {
		var alerts []string
		for _, a := range n.Alerts {
			alerts = append(alerts, a.Labels["severity"]+" "+a.Status)
		}
		lines = append(lines, fmt.Sprintf("%s: %s", n.Path, strings.Join(alerts, ", ")))
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("notifications:\n%s\nwant:\n%s", g, w)
	}
}

func TestRealAlertmanager(t *testing.T) {
	t.Parallel()
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, exampleFor(t, hook))
	s := tell(t, hook, am, Options{ResendDelay: 100 * time.Millisecond})

	page := func() []Alert { return []Alert{s.alert("page")} }
	got := s.putUntil(t, page, until(1))
	s.putTimes(t, 30, page)
	if n := got[0].Alerts[0]; !n.StartsAt.Equal(s.start) || n.Annotations["summary"] != "payments is slow" || n.GeneratorURL == "" {
		t.Errorf("notified %+v, want start, summary and URL of the alert", n)
	}

	active, err := s.Active(t.Context(), `generator="foreshock"`)
	if err != nil {
		t.Fatalf("Active: %v", err)
	}
	if len(active) != 1 || !labels.Equal(active[0].Labels, s.alert("page").Labels) || !active[0].StartsAt.Equal(s.start) || active[0].Silenced || active[0].Inhibited {
		t.Errorf("Active = %+v, want the one alert that was sent", active)
	}
	if other, err := s.Active(t.Context(), `generator="somebody else"`); err != nil || len(other) != 0 {
		t.Errorf("Active with another filter = %v, %v; want nothing", other, err)
	}

	end := time.Now()
	got = s.putUntil(t, func() []Alert {
		a := s.alert("page")
		a.EndsAt = end
		return []Alert{a}
	}, until(2))
	s.putTimes(t, s.taken(t)+30, func() []Alert { return nil }) // the resolution is re-sent, too
	wantNotifications(t, hook.Notifications(), "/pager: page firing", "/pager: page resolved")
	if n := got[1].Alerts[0].EndsAt; n.Sub(end).Abs() > time.Millisecond {
		t.Errorf("resolved at %s, want %s", n, end)
	}
	if active, err := s.Active(t.Context()); err != nil || len(active) != 0 {
		t.Errorf("Active after the resolution = %v, %v; want nothing", active, err)
	}
}

// taken is how many alerts the Alertmanager took, each as often as it was sent.
func (s *story) taken(t *testing.T) float64 {
	t.Helper()
	return metricValue(t, s.reg, "foreshock_alerts_sent_total")
}

func TestRealTicketThenPage(t *testing.T) {
	t.Parallel()
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, exampleFor(t, hook))
	s := tell(t, hook, am, Options{ResendDelay: 100 * time.Millisecond})

	s.putUntil(t, func() []Alert { return []Alert{s.alert("ticket")} }, until(1))
	both := func() []Alert { return []Alert{s.alert("ticket"), s.alert("page")} }
	s.putUntil(t, both, until(2))
	s.putTimes(t, s.taken(t)+30, both)
	active, err := s.Active(t.Context(), `incident="inc-1"`)
	if err != nil || len(active) != 2 || active[0].Inhibited || !active[1].Inhibited {
		t.Errorf("Active = %+v, %v; want the page, and the ticket inhibited", active, err)
	}
	end := time.Now()
	resolvedBoth := func() []Alert {
		out := both()
		for i := range out {
			out[i].EndsAt = end
		}
		return out
	}
	s.putUntil(t, resolvedBoth, until(4))
	s.putTimes(t, s.taken(t)+30, func() []Alert { return nil })
	got := hook.Notifications()
	wantNotifications(t, got[:2], "/tickets: ticket firing", "/pager: page firing")
	for _, n := range got[2:] {
		if n.Status != "resolved" {
			t.Errorf("after the end: %v, want resolutions only", n)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d notifications, want 4: ticket, page and both resolutions:\n%v", len(got), got)
	}
}

func TestRealAlertmanagerStartedLateAndRestarted(t *testing.T) {
	t.Parallel()
	hook := peers.Webhook(t)
	am := peers.StoppedAlertmanager(t, exampleFor(t, hook))
	s := tell(t, hook, am, Options{ResendDelay: time.Second, RetryDelay: 200 * time.Millisecond})
	page := func() []Alert { return []Alert{s.alert("page")} }
	if _, err := s.Active(t.Context()); err == nil {
		t.Error("Active while Alertmanager is down = nil error")
	}
	s.Put(time.Now(), page())
	am.Start(t)
	s.putUntil(t, func() []Alert { return page() }, until(1))

	// What it is stopped amidst of it repeats after its restart, so its log of notifications has to be
	// written: it is once the group's next round has begun, with a second query of that log.
	awaitMetric(t, am, "alertmanager_nflog_queries_total ", 2)
	am.Stop(t)
	s.Put(time.Now().Add(time.Minute), page()) // due, while nobody listens
	am.Start(t)
	s.putTimes(t, s.taken(t)+3, page)

	end := time.Now()
	s.putUntil(t, func() []Alert {
		a := s.alert("page")
		a.EndsAt = end
		return []Alert{a}
	}, until(2))
	wantNotifications(t, hook.Notifications(), "/pager: page firing", "/pager: page resolved")
}

func TestExampleIsAccepted(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), peers.Path(t, "amtool"), "check-config", example).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("amtool check-config %s: %v\n%s", example, err, out)
	}
}
