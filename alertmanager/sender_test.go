package alertmanager

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/rules"
)

// wantSeconds compares the times of attempts.
func wantSeconds(t *testing.T, what string, got []attempt, want ...int) {
	t.Helper()
	if diff := cmp.Diff(want, seconds(got)); diff != "" {
		t.Errorf("%s: sent at other times, in seconds (-want +got):\n%s", what, diff)
	}
}

// everyFifteen puts for a duration, each 15 seconds beginning now, what alerts returns then.
func (r *running) everyFifteen(d time.Duration, alerts func() []Alert) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.Put(time.Now(), alerts())
		time.Sleep(15 * time.Second)
		synctest.Wait()
	}
}

func TestKeptAliveThenResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		a := firing("Slow")
		r.everyFifteen(150*time.Second, func() []Alert {
			a.EndsAt = time.Now().Add(15 * time.Minute)
			return []Alert{a}
		})
		got := r.attempts()
		wantSeconds(t, "while it fires", got, 0, 60, 120)
		if want := r.start.Add(120*time.Second + 15*time.Minute); !got[2].endsAt.Equal(want) {
			t.Errorf("last send ends at %s, want the newest end %s", got[2].endsAt, want)
		}

		// Resolved once, at 150 s; never put again.
		r.Put(time.Now(), []Alert{resolvedNow(a)})
		synctest.Wait()
		r.everyFifteen(20*time.Minute, func() []Alert { return nil })
		var want []int
		for s := 150; s <= 150+15*60; s += 60 {
			want = append(want, s)
		}
		got = r.attempts()
		wantSeconds(t, "after it was resolved", got, want...)
		for _, g := range got {
			if !g.endsAt.Equal(r.start.Add(150 * time.Second)) {
				t.Errorf("resolution ends at %s, want 150 s after the start", g.endsAt)
			}
		}
		if got := r.metric(t, "foreshock_alerts_kept"); got != 0 {
			t.Errorf("foreshock_alerts_kept = %v after the retention, want 0", got)
		}
		// Put once more long after its end, it stays forgotten.
		old := resolvedNow(a)
		old.EndsAt = old.EndsAt.Add(-16 * time.Minute)
		r.Put(time.Now(), []Alert{old})
		time.Sleep(time.Minute)
		wantSeconds(t, "resolved long ago", r.attempts())
	})
}

func TestDisappearsWithoutResolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		r.Put(time.Now(), []Alert{firing("Slow"), firing("Down")})
		synctest.Wait()
		if got := r.attempts(); len(got) != 2 || got[0].labels.Get("alertname") != "Down" {
			t.Errorf("first send = %v, want both, sorted by labels", got)
		}
		r.everyFifteen(20*time.Minute, func() []Alert { return []Alert{firing("Down")} })
		for _, g := range r.attempts() {
			if g.labels.Get("alertname") == "Slow" {
				t.Errorf("Slow was sent %s after it disappeared from the set", g.at)
			}
		}
	})
}

func TestDownThenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		r.set(down)
		// Put once: all that follows comes from the Sender's own timer.
		r.Put(time.Now(), []Alert{firing("Slow")})
		time.Sleep(200 * time.Second)
		synctest.Wait()
		wantSeconds(t, "while Alertmanager is down", r.attempts(), 0, 5, 15, 35, 75, 135, 195)
		if got := r.metric(t, "foreshock_alerts_undelivered"); got != 1 {
			t.Errorf("foreshock_alerts_undelivered = %v, want 1", got)
		}
		r.set(up)
		time.Sleep(5 * time.Minute)
		wantSeconds(t, "after it came back", r.attempts(), 255)
		for name, want := range map[string]float64{
			"foreshock_alerts_sent_total": 1, "foreshock_alerts_failed_total": 7, "foreshock_alerts_dropped_total": 0,
			"foreshock_alerts_undelivered": 0, "foreshock_alerts_queue_length": 0, "foreshock_alerts_queue_capacity": 10000,
		} {
			if got := r.metric(t, name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		if warned, recovered := r.log.count("level=WARN"), r.log.count("level=INFO", "takes alerts again", "failed_attempts=7"); warned != 1 || recovered != 1 || r.log.count("level=ERROR") != 0 {
			t.Errorf("log has %d warnings and %d recoveries, want one each and no error:\n%s", warned, recovered, r.log)
		}
	})
}

func TestRefusalIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		r.set(func(context.Context, string) (int, error) { return http.StatusBadRequest, nil })
		r.Put(time.Now(), []Alert{firing("Slow")})
		synctest.Wait()
		if r.log.count("level=WARN", "Bad Request: text of the answer", "one:9093") != 1 {
			t.Errorf("log does not say why the alert was refused:\n%s", r.log)
		}
	})
}

func TestOneOfTwoDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, twoAlertmanagers, nil)
		defer r.stop()
		r.set(func(_ context.Context, host string) (int, error) {
			if host == "one:9093" {
				return 0, errRefused
			}
			return http.StatusOK, nil
		})
		r.everyFifteen(90*time.Second, func() []Alert { return []Alert{firing("Slow")} })
		got := r.attempts()
		slices.SortFunc(got, func(a, b attempt) int { return strings.Compare(a.host, b.host) })
		wantSeconds(t, "one takes it, so it is due only after the resend delay", got, 0, 60, 0, 60)
	})
}

func TestPutBeforeDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, err := New(Options{do: f.do})
		if err != nil {
			t.Fatal(err)
		}
		s.Put(time.Now(), []Alert{firing("Slow")})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(2 * time.Second)
		if err := s.ApplyConfig(load(t, oneAlertmanager)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := f.attempts(); len(got) != 1 || !got[0].ok {
			t.Errorf("attempts within a second of the configuration = %v, want one: a new Alertmanager gets what nobody took at once", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if err := s.Run(t.Context()); err == nil {
			t.Error("second Run = nil, want an error")
		}
	})
}

func TestUndeliveredAlertLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		r.set(down)
		first := firing("Slow")
		first.EndsAt = first.StartsAt.Add(20 * time.Second)
		r.Put(time.Now(), []Alert{first})
		time.Sleep(10 * time.Minute)
		wantSeconds(t, "after its end it would say that it is resolved", r.attempts(), 0, 5, 15)

		// Nor is it when another one is tried again.
		a, b := firing("Slow"), firing("Down")
		a.EndsAt = a.StartsAt.Add(20 * time.Second)
		r.Put(time.Now(), []Alert{a, b})
		time.Sleep(3 * time.Minute)
		for _, g := range r.attempts() {
			if at := r.start.Add(g.at); g.labels.Get("alertname") == "Slow" && !at.Before(a.EndsAt) {
				t.Errorf("Slow was sent at %s, after its end %s", at, a.EndsAt)
			}
		}
	})
}

func TestLateAnswerDoesNotCountForResolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		calls := 0
		r.set(func(context.Context, string) (int, error) {
			calls++ // requests of one Alertmanager are made one after the other
			switch calls {
			case 1:
				time.Sleep(3 * time.Second)
			case 2:
				return http.StatusInternalServerError, nil
			}
			return http.StatusOK, nil
		})
		a := firing("Slow")
		r.Put(time.Now(), []Alert{a})
		time.Sleep(time.Second)
		r.Put(time.Now(), []Alert{resolvedNow(a)}) // queued behind the first, whose success comes later
		time.Sleep(30 * time.Second)
		wantSeconds(t, "the resolution failed and is retried after 5 s", r.attempts(), 0, 3, 6)
	})
}

func TestRelabelledAlerts(t *testing.T) {
	const yaml = `
global:
  external_labels: {region: eu}
alerting:
  alert_relabel_configs:
  - {source_labels: [severity], target_label: urgency}
  - {regex: severity, action: labeldrop}
  alertmanagers:
  - static_configs:
    - targets: [one:9093]
    alert_relabel_configs:
    - {source_labels: [alertname], regex: Private, action: drop}
    - {target_label: receiver, replacement: one}
  - static_configs:
    - targets: [two:9093]
    alert_relabel_configs:
    - {source_labels: [alertname], regex: Private, action: drop}
`
	synctest.Test(t, func(t *testing.T) {
		r := start(t, yaml, nil)
		defer r.stop()
		r.everyFifteen(45*time.Second, func() []Alert { return []Alert{firing("Private"), firing("Slow")} })
		got := r.attempts()
		slices.SortFunc(got, func(a, b attempt) int { return strings.Compare(a.host, b.host) })
		wantSeconds(t, "taken under other labels, it is not retried", got, 0, 0)
		if want := `{alertname="Slow", receiver="one", region="eu", urgency="page"}`; got[0].labels.String() != want {
			t.Errorf("labels = %s, want %s", got[0].labels, want)
		}
		if got := r.metric(t, "foreshock_alerts_undelivered"); got != 0 {
			t.Errorf("foreshock_alerts_undelivered = %v, want 0: nobody is to get the other one", got)
		}
		if r.log.count("dropped by alert_relabel_configs", "Private") != 1 {
			t.Errorf("log does not say once that relabelling dropped an alert:\n%s", r.log)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, func(o *Options) { o.QueueCapacity = 3 })
		defer r.stop()
		var five []*notifier.Alert
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			five = append(five, &notifier.Alert{Labels: labels.FromStrings("alertname", name)})
		}
		plain{r.Sender}.Send(five...)
		synctest.Wait()
		var names []string
		for _, g := range r.attempts() {
			names = append(names, g.labels.Get("alertname"))
		}
		if want := []string{"c", "d", "e"}; !slices.Equal(names, want) {
			t.Errorf("sent %v, want the newest %v", names, want)
		}
		if got := r.metric(t, "foreshock_alerts_dropped_total"); got != 2 {
			t.Errorf("foreshock_alerts_dropped_total = %v, want 2", got)
		}
		if r.log.count("queue is full") != 1 {
			t.Errorf("log does not say once that the queue is full:\n%s", r.log)
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	for _, tc := range []struct {
		name   string
		hangs  bool
		within time.Duration
	}{
		{"Alertmanager answers", false, 0},
		{"Alertmanager hangs", true, 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, oneAlertmanager, func(o *Options) { o.DrainTimeout = 4 * time.Second })
				r.set(func(ctx context.Context, _ string) (int, error) {
					if tc.hangs {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return http.StatusOK, nil
				})
				for i := range 1000 { // four batches
					a := firing("Slow")
					a.Labels = labels.FromStrings("alertname", "Slow", "n", time.Duration(i).String())
					plain{r.Sender}.Send(&notifier.Alert{Labels: a.Labels, EndsAt: a.EndsAt})
				}
				begin := time.Now()
				r.stop()
				if took := time.Since(begin); took != tc.within {
					t.Errorf("Run ended %s after its context, want %s", took, tc.within)
				}
				delivered := 0
				for _, g := range r.attempts() {
					if g.ok {
						delivered++
					}
				}
				if want := map[bool]int{false: 1000, true: 0}[tc.hangs]; delivered != want {
					t.Errorf("%d alerts were delivered, want %d", delivered, want)
				}
				r.Put(time.Now(), []Alert{firing("Late")}) // must neither block nor panic
				plain{r.Sender}.Send(&notifier.Alert{})
				if got := r.metric(t, "foreshock_alerts_dropped_total"); got != 1 {
					t.Errorf("foreshock_alerts_dropped_total = %v, want 1: the alert that came too late", got)
				}
			})
		})
	}
}

func TestNotifySendsAsPrometheusDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, func(o *Options) { o.ExternalURL = "http://foreshock.example" })
		defer r.stop()
		now := time.Now().UTC().Truncate(time.Millisecond)
		r.Notify()(t.Context(), "up == 0",
			&rules.Alert{Labels: labels.FromStrings("alertname", "Down"), FiredAt: now, ValidUntil: now.Add(4 * time.Minute)},
			&rules.Alert{Labels: labels.FromStrings("alertname", "Slow"), FiredAt: now, ValidUntil: now.Add(4 * time.Minute), ResolvedAt: now.Add(-time.Second)},
		)
		time.Sleep(10 * time.Minute)
		got := r.attempts()
		wantSeconds(t, "plain alerts are sent once per call", got, 0, 0)
		for i, want := range []time.Time{now.Add(4 * time.Minute), now.Add(-time.Second)} {
			if !got[i].endsAt.Equal(want) {
				t.Errorf("alert %d ends at %s, want %s", i, got[i].endsAt, want)
			}
		}
	})
}

func TestFailedReloadKeepsTheOldConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, oneAlertmanager, nil)
		defer r.stop()
		err := r.ApplyConfig(load(t, `
global:
  external_labels: {region: eu}
alerting:
  alertmanagers:
  - scheme: https
    tls_config: {ca_file: /does/not/exist.pem}
    static_configs:
    - targets: [two:9093]
`))
		if err == nil || !strings.Contains(err.Error(), "/does/not/exist.pem") {
			t.Fatalf("ApplyConfig with a missing CA file = %v, want an error that names the file", err)
		}
		r.Put(time.Now(), []Alert{firing("Slow")})
		synctest.Wait()
		if got := r.attempts(); len(got) != 1 || got[0].host != "one:9093" || got[0].labels.Has("region") {
			t.Errorf("attempts after a failed reload = %v, want one to one:9093 without the new external label", got)
		}
		if err := r.ApplyConfig(load(t, strings.ReplaceAll(oneAlertmanager, "one:", "two:"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got, want := r.Alertmanagers(), []string{"http://two:9093/api/v2/alerts"}; !slices.Equal(got, want) {
			t.Errorf("Alertmanagers() after a reload = %v, want %v", got, want)
		}
	})
}

func TestNewRefusesWrongOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"ResendDelay":   {ResendDelay: -time.Second},
		"QueueCapacity": {QueueCapacity: -1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New(%+v) = %v, want an error that names %s", o, err, name)
		}
	}
}
