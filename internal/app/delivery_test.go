//go:build e2e

package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	promconfig "github.com/prometheus/prometheus/config"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/demo"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/peers"
	"github.com/foreshock/foreshock/internal/source"
)

// sender runs a sender towards the Alertmanager until the returned function is called.
func startSender(t *testing.T, am *peers.Process) (*alertmanager.Sender, func()) {
	t.Helper()
	s, err := alertmanager.New(alertmanager.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("alerting:\n  alertmanagers:\n  - static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(am.URL, "http://"))
	cfg, err := promconfig.Load(text, promslog.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	return s, peers.Run(t, s.Run)
}

func webhookConfig(t *testing.T, hook *peers.WebhookReceiver) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/alertmanager/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "http://127.0.0.1:9099", hook.URL)
	return strings.ReplaceAll(text, "group_interval: 1m ", "group_interval: 1s ")
}

// replica is one engine that lived through the shop's past and is live from
// the beginning of the story.
type replica struct {
	s  *simulated
	e  *engine.Engine
	t  *testing.T
	at time.Time
}

func (s *simulated) replica(t *testing.T, o engine.Options, live time.Time) *replica {
	t.Helper()
	o.Config = s.config.Engine
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{s: s, e: e, t: t, at: s.begin}
	r.run(live, replayStep)
	e.GoLive(live)
	return r
}

// run lives on until the time.
func (r *replica) run(to time.Time, step time.Duration) {
	r.t.Helper()
	results, err := source.OpenTemporary(source.TemporaryOptions{Dir: r.t.TempDir()})
	if err != nil {
		r.t.Fatal(err)
	}
	defer results.Close()
	store := engine.ReplayStore(engine.ReplaySource{
		Input: r.s.input.Store(), Results: results, Config: r.s.config.Engine, From: r.at, To: to, MinStep: step,
	})
	defer store.Close()
	if err := r.e.Attach(r.t.Context(), store, engine.Live{}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.e.Replay(r.t.Context(), engine.Replay{From: r.at, To: to, MinStep: step}); err != nil {
		r.t.Fatal(err)
	}
	r.at = to.Add(time.Millisecond)
}

func (r *replica) open() []*incident.Incident {
	var out []*incident.Incident
	for _, i := range r.e.Incidents() {
		if i.State == incident.Open {
			out = append(out, i)
		}
	}
	return out
}

// long is a story whose fault lasts longer than the crash of 20 minutes.
func longStory(t *testing.T, now time.Time) *simulated {
	t.Helper()
	tale := now.Add(-30 * time.Minute).Truncate(time.Minute)
	s := simulateStory(t, demo.BadDeploy, 3, demo.StoryOptions{Quiet: time.Minute, Lasts: 40 * time.Minute}, 26*time.Hour, tale, 35*time.Minute)
	s.config.Engine.Hold = 15 * time.Minute
	return s
}

// A crash and restart of 20 simulated minutes neither resolves nor repeats what
// the real Alertmanager was told.
func TestShopOutlivesACrashOfTwentyMinutes(t *testing.T) {
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, webhookConfig(t, hook))
	s := longStory(t, time.Now())
	path := filepath.Join(t.TempDir(), "incidents.journal")
	start := func(live time.Time) (*replica, *alertmanager.Sender, func()) {
		journal, err := engine.OpenJournal(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		sender, stop := startSender(t, am)
		r := s.replica(t, engine.Options{Journal: journal, Deliver: sender.Put}, live)
		return r, sender, func() { stop(); journal.Close() }
	}

	first, _, crash := start(s.tale)
	first.run(s.tale.Add(4*time.Minute), 0)
	before := first.open()
	if len(before) != 1 || before[0].Severity != incident.Page {
		t.Fatalf("before the crash: %d incidents open, want one page", len(before))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := hook.Wait(ctx, func(ns []peers.Notification) bool { return len(ns) > 0 }); err != nil {
		t.Fatalf("no notification: %v", err)
	}
	crash()

	second, sender, _ := start(s.tale.Add(24 * time.Minute))
	second.run(s.tale.Add(28*time.Minute), 0)
	after := second.open()
	if len(after) != 1 || after[0].ID != before[0].ID || len(after[0].Sent) != 1 {
		t.Fatalf("after the restart: %+v, want the same incident %s, sent once", after, before[0].ID)
	}
	alive := func() (time.Time, bool) {
		active, err := sender.Active(ctx, `alertname="ForeshockIncident"`)
		if err != nil {
			t.Fatal(err)
		}
		if len(active) != 1 {
			t.Fatalf("%d alerts active, want 1: %v", len(active), active)
		}
		return active[0].EndsAt, active[0].EndsAt.After(s.tale.Add(50 * time.Minute))
	}
	// The restarted one has prolonged it: its end lies where only it can have put it.
	for {
		ends, ok := alive()
		if ok {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the alert was not prolonged: it ends at %s", ends)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, n := range hook.Notifications()[1:] {
		t.Errorf("a further notification: %v", n)
	}
}

// Two replicas over the same metrics give one alert: the second adopts what
// the first has open.
func TestShopWithTwoReplicasSendsOneAlert(t *testing.T) {
	hook := peers.Webhook(t)
	am := peers.Alertmanager(t, webhookConfig(t, hook))
	s := longStory(t, time.Now())
	var open []*incident.Incident
	for position := range 2 {
		sender, _ := startSender(t, am)
		r := s.replica(t, engine.Options{
			Deliver: sender.Put, Wait: time.Duration(position) * 15 * time.Second,
			Active: func(ctx context.Context) ([]alertmanager.Alert, error) {
				return sender.Active(ctx, `generator="foreshock"`)
			},
		}, s.tale)
		r.run(s.tale.Add(5*time.Minute), 0)
		got := r.open()
		if len(got) != 1 {
			t.Fatalf("replica %d has %d incidents open, want 1", position, len(got))
		}
		open = append(open, got[0])
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := hook.Wait(ctx, func(ns []peers.Notification) bool { return len(ns) > 0 }); err != nil {
			t.Fatal(err)
		}
		active, err := sender.Active(ctx, `alertname="ForeshockIncident"`)
		if err != nil || len(active) != 1 {
			t.Fatalf("replica %d: %d alerts active (%v), want 1: %+v", position, len(active), err, active)
		}
	}
	if open[0].ID != open[1].ID || fmt.Sprint(open[0].Sent[0].Labels) != fmt.Sprint(open[1].Sent[0].Labels) {
		t.Errorf("the replicas disagree:\n%v\n%v", open[0].Sent, open[1].Sent)
	}
	if ns := hook.Notifications(); len(ns) != 1 {
		t.Errorf("%d notifications, want 1: %v", len(ns), ns)
	}
}
