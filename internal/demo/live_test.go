package demo

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// scrape reads the metrics of all targets into memory at one time, as a scrape
// does, and reports the services that could not be reached.
func scrape(t *testing.T, targets []Target, m *memory, at time.Time) (down []string) {
	t.Helper()
	client := &http.Client{Transport: newTransport(), Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for _, target := range targets {
		response, err := client.Get("http://" + target.Address + "/metrics")
		if err != nil {
			down = append(down, target.Service)
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatalf("scrape of %s: %v", target.Service, err)
		}
		parser := textparse.NewPromParser(body, labels.NewSymbolTable(), false)
		for {
			entry, err := parser.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("metrics of %s: %v", target.Service, err)
			}
			if entry != textparse.EntrySeries {
				continue
			}
			_, _, v := parser.Series()
			var l labels.Labels
			parser.Labels(&l)
			b := labels.NewBuilder(l)
			b.Set("job", Job).Set("service", target.Service).Set("instance", target.Instance)
			if _, err := m.Append(0, b.Labels(), at.UnixMilli(), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return down
}

// until scrapes the shop twice a second until done says so of what was scraped
// since the beginning, for at most limit.
func until(t *testing.T, shop *Shop, limit time.Duration, what string, done func(m *memory, from, to time.Time) bool) (*memory, time.Time, time.Time) {
	t.Helper()
	m, from := &memory{}, time.Now()
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	scrape(t, shop.Targets(), m, from)
	for now := range ticker.C {
		scrape(t, shop.Targets(), m, now)
		if done(m, from, now) {
			return m, from, now
		}
		if now.Sub(from) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
	panic("unreachable")
}

func startShop(t *testing.T, seed uint64) *Shop {
	t.Helper()
	shop, err := Start(t.Context(), ShopOptions{
		Spec: NewSpec(), Seed: seed, Clock: func() time.Time { return peak },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Close(); err != nil {
			t.Error(err)
		}
	})
	return shop
}

func frontendRequests(m *memory, from, to time.Time) float64 {
	return m.increase(from, to, "__name__", "http_requests_total", "service", "frontend")
}

func TestLiveShop(t *testing.T) {
	t.Parallel()
	shop := startShop(t, 1)

	// Normal: like the simulation.
	live, from, to := until(t, shop, 30*time.Second, "120 requests", func(m *memory, from, to time.Time) bool {
		return frontendRequests(m, from, to) >= 120
	})
	compareWithSimulation(t, live, from, to)

	// A fault bites.
	broken := Release{Service: "payments", Version: "2.4.0", Rows: 40, Work: 25}
	if err := shop.Apply(t.Context(), Event{Action: Rollout, Service: "payments", Release: broken}); err != nil {
		t.Fatal(err)
	}
	until(t, shop, 10*time.Second, "errors and slow answers after a bad deploy", func(m *memory, from, to time.Time) bool {
		return m.errors(from, to, "frontend") > 0.1 &&
			m.quantile(0.9, from, to, "http_request_duration_seconds", "frontend") > 0.5 &&
			m.increase(from, to, "__name__", "db_rows_examined_total", "client", "payments") > 4800
	})

	// The repair heals.
	repaired := Release{Service: "payments", Version: "2.3.1"}
	if err := shop.Apply(t.Context(), Event{Action: Rollout, Service: "payments", Release: repaired}); err != nil {
		t.Fatal(err)
	}
	until(t, shop, 20*time.Second, "good answers again after the rollback", func(m *memory, _, to time.Time) bool {
		lately := to.Add(-2 * time.Second)
		return frontendRequests(m, lately, to) > 20 && m.errors(lately, to, "frontend") < 0.05
	})
	if users := shop.Users(); users.Arrived == 0 || users.Failed == 0 || users.Refused > 0 {
		t.Errorf("users: %+v, want some to have failed and none refused", users)
	}
}

// compareWithSimulation compares what Foreshock sees of a normal live shop with
// the same minutes simulated.
func compareWithSimulation(t *testing.T, live *memory, from, to time.Time) {
	t.Helper()
	end := peak.Add(5 * time.Minute)
	simulated := simulate(t, peak, end, 1, nil)

	known := map[string]bool{}
	for name := range simulated.index {
		known[name] = true
	}
	seen := map[string]bool{}
	for _, s := range live.series {
		seen[s.labels.String()] = true
		// Children of histograms appear with the first request of their code.
		lazy := strings.HasPrefix(s.labels.Get("__name__"), "http_request_duration_seconds")
		if !known[s.labels.String()] && !lazy {
			t.Errorf("only the live shop has %s", s.labels)
		}
	}
	for _, s := range simulated.series {
		lazy := s.labels.Get("code") != "" && s.labels.Get("code") != "200"
		if !seen[s.labels.String()] && !lazy && s.labels.Get("__name__") != "up" {
			t.Errorf("only the simulated shop has %s", s.labels)
		}
	}

	check := func(what string, got, want, relative, absolute float64) {
		t.Helper()
		t.Logf("%s: live %.4g, simulated %.4g", what, got, want)
		if !(math.Abs(got-want) <= relative*want+absolute) {
			t.Errorf("%s: live %.4g, simulated %.4g, want them alike within %v %% + %v", what, got, want, relative*100, absolute)
		}
	}
	rate := func(m *memory, from, to time.Time) float64 {
		return frontendRequests(m, from, to) / to.Sub(from).Seconds()
	}
	// 120 Poisson arrivals vary by 9 %: the tolerance is four times that.
	check("requests per second", rate(live, from, to), rate(simulated, peak, end), 0.36, 0)
	check("pool in use", live.busy(from, to), simulated.busy(peak, end), 0.40, 0)
	check("query p90", live.quantile(0.9, from, to, "db_query_duration_seconds", "database"),
		simulated.quantile(0.9, peak, end, "db_query_duration_seconds", "database"), 0.35, 0)
	for _, svc := range NewSpec().Services[:4] {
		const latency = "http_request_duration_seconds"
		check(svc.Name+" p90", live.quantile(0.9, from, to, latency, svc.Name), simulated.quantile(0.9, peak, end, latency, svc.Name), 0.35, 0)
		check(svc.Name+" p50", live.quantile(0.5, from, to, latency, svc.Name), simulated.quantile(0.5, peak, end, latency, svc.Name), 0.25, 0)
		check(svc.Name+" errors", live.errors(from, to, svc.Name), simulated.errors(peak, end, svc.Name), 0, 0.04)
	}
}

func TestLiveServiceDiesAndComesBack(t *testing.T) {
	t.Parallel()
	shop := startShop(t, 2)
	if err := shop.Apply(t.Context(), Event{Action: Stop, Service: "inventory"}); err != nil {
		t.Fatal(err)
	}
	before := &memory{}
	if down := scrape(t, shop.Targets(), before, time.Now()); !slices.Equal(down, []string{"inventory"}) {
		t.Errorf("down are %v, want inventory", down)
	}
	until(t, shop, 10*time.Second, "unreachable calls and failing users", func(m *memory, from, to time.Time) bool {
		unreachable := m.increase(from, to, "__name__", "http_client_requests_total", "callee", "inventory", "code", "error")
		return unreachable > 5 && m.errors(from, to, "frontend") > 0.5
	})
	if err := shop.Apply(t.Context(), Event{Action: Restart, Service: "inventory"}); err != nil {
		t.Fatal(err)
	}
	until(t, shop, 10*time.Second, "inventory serves again", func(m *memory, _, to time.Time) bool {
		lately := to.Add(-time.Second)
		return m.increase(lately, to, "__name__", "http_requests_total", "service", "inventory", "code", "200") > 10 &&
			m.errors(lately, to, "frontend") < 0.05
	})
}

func TestPlayTellsTheStory(t *testing.T) {
	t.Parallel()
	shop := startShop(t, 3)
	story := Story{events: []Event{
		{At: time.Millisecond, Action: Surge, Factor: 2},
		{At: 2 * time.Millisecond, Action: Rollout, Service: "payments", Release: Release{Service: "payments", Version: "9"}},
	}}
	var heard []Action
	if err := shop.Play(t.Context(), story, func(e Event) { heard = append(heard, e.Action) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(heard, []Action{Surge, Rollout}) {
		t.Errorf("heard of %v, want both events in order", heard)
	}
	if c := shop.conditions.Load(); c.Users != 2 || c.Releases[2].Version != "9" {
		t.Errorf("conditions after the story: %+v", c)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shop.Play(ctx, story, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled story ends with %v", err)
	}
	if err := shop.Apply(t.Context(), Event{Action: "burn", Service: "payments"}); err == nil {
		t.Error("unknown action: no error")
	}
	if err := errors.Join(shop.Close(), shop.Close()); err != nil {
		t.Error(err)
	}
	if err := shop.Apply(t.Context(), story.events[0]); err == nil {
		t.Error("event in a closed shop: no error")
	}
}

func TestLiveDatabaseRefusesNonsense(t *testing.T) {
	t.Parallel()
	spec := NewSpec()
	spec.Failure = 0
	shop, err := Start(t.Context(), ShopOptions{Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	database := "http://" + shop.Targets()[4].Address
	client := &http.Client{Transport: newTransport()}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{
		"/query?client=payments&median=1ms&rows=1":    200,
		"/query?client=stranger&median=1ms&rows=1":    500,
		"/query?client=frontend&median=1ms&rows=1":    500,
		"/query?client=payments&median=-1ms&rows=1":   500,
		"/query?client=payments&median=1ms&rows=-1":   500,
		"/query?client=payments&median=fast&rows=1":   500,
		"/query?client=payments&median=1ms&rows=many": 500,
		"/other": 404,
	} {
		if got, err := get(t.Context(), client, database+path); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", path, got, err, want)
		}
	}
}

func TestStartRefusesABadSpec(t *testing.T) {
	if _, err := Start(t.Context(), ShopOptions{}); err == nil {
		t.Error("empty spec: no error")
	}
}
