package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

const watchConfig = `
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- job_name: shop
  static_configs: [{targets: [%q], labels: {service: checkout}}]
incidents: {interval: 1s, settle: 1s, hold: 2m, mode: %s}
alerting:
  alertmanagers:
  - timeout: 1s
    static_configs: [{targets: [%q, "127.0.0.1:1"]}]
`

// tellAlertmanager posts an alert as a Prometheus does, or a silence.
func tellAlertmanager(t *testing.T, am *peers.Process, path string, body any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(am.URL+"/api/v2/"+path, "application/json", strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", path, resp.Status)
	}
}

// A server reads the alerts of another Prometheus from the real Alertmanager,
// beside one that is down: one that is silenced opens nothing, one that fires
// does, and what the server sends itself is nothing new to it.
func TestServerReadsAlertmanager(t *testing.T) {
	target := newTarget(t, "queue_depth 10.5\n")
	am := peers.Alertmanager(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
	team := func(name, service string, ago time.Duration) map[string]any {
		return map[string]any{
			"labels":      map[string]string{"alertname": name, "cluster": "eu", "service": service, "severity": "critical"},
			"annotations": map[string]string{"summary": "it is down"},
			"startsAt":    time.Now().Add(-ago), "endsAt": time.Now().Add(10 * time.Minute),
		}
	}
	tellAlertmanager(t, am, "silences", map[string]any{
		"matchers": []any{map[string]any{"name": "service", "value": "payments", "isRegex": false}},
		"startsAt": time.Now(), "endsAt": time.Now().Add(time.Hour), "createdBy": "test", "comment": "known",
	})
	tellAlertmanager(t, am, "alerts", []any{
		team("PaymentsDown", "payments", 2*time.Hour), team("CheckoutDown", "checkout", time.Minute), team("Watchdog", "checkout", time.Minute),
	})

	s := startServer(t, Options{}, "foreshock.yml", fmt.Sprintf(watchConfig, target.address(), "page", strings.TrimPrefix(am.URL, "http://")),
		"rules.yml", remoteRules)
	s.awaitReady()
	s.awaitMetric(`foreshock_alertmanager_alerts`, is(4)) // its own came back
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	body, err := s.get("/api/v1/incidents?state=open")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Incidents []struct {
				ID       string
				Services []string
				Harm     []string
				Lead     float64 `json:"lead_seconds"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if list := answer.Data.Incidents; len(list) != 1 || fmt.Sprint(list[0].Services) != "[checkout]" || len(list[0].Harm) != 1 || list[0].Lead > -60 || list[0].Lead < -300 {
		t.Fatalf("open are %+v, want one of checkout that is more than a minute late", list)
	}
	var routing strings.Builder
	o := RoutingOptions{ConfigFile: s.config, AlertmanagerURL: am.URL, Out: &routing}
	if err := CheckRouting(t.Context(), o); err != nil || !strings.Contains(routing.String(), `go to receiver "none", which notifies nobody; are grouped by nothing`) {
		t.Errorf("routing of the real Alertmanager: %v\n%s", err, &routing)
	}
	ask := func(id, want string) {
		t.Helper()
		var out strings.Builder
		o := IncidentsOptions{URL: s.url, ID: id, Since: time.Now().Add(-time.Hour), Now: time.Now(), Out: &out, Err: &out}
		if err := Incidents(t.Context(), o); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("foreshock incidents %s: %v\n%s\nwant %q in it", id, err, &out, want)
		}
	}
	ask("", "1 page and 0 tickets sent; 0 of the 1 with an alert of your own came before it, lead in the median -1m")
	ask(answer.Data.Incidents[0].ID, "cause       checkout: alert CheckoutDown fires")
	if err := s.shows("/incidents/"+answer.Data.Incidents[0].ID, "after the first of your own alerts", "CheckoutDown"); err != nil {
		t.Error(err)
	}
}

// An Alertmanager that hangs or sends garbage keeps no step from being made.
func TestServerWithHostileAlertmanager(t *testing.T) {
	target := newTarget(t, "queue_depth 10.5\n")
	asked := make(chan struct{}, 1)
	away := make(chan struct{})
	hangs := serveAlone(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The end of the connection is only noticed once the body was read.
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			return
		}
		select {
		case asked <- struct{}{}:
		default:
		}
		fmt.Fprint(w, "[")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-away:
		}
	}))
	t.Cleanup(func() { close(away); hangs.Close() })
	s := startServer(t, Options{}, "foreshock.yml", fmt.Sprintf(watchConfig, target.address(), "shadow", strings.TrimPrefix(hangs.URL, "http://")),
		"rules.yml", remoteRules+"  - alert: LongQueue\n    expr: queue_depth > 5\n")
	s.awaitReady()
	<-asked
	// While it hangs the steps go on.
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	eventually(t, "what is not seen", func() error { return s.shows("/", "your alerts cannot be read from Alertmanager") })
}

// A second replica adopts what the first has open, of the last answer of an
// Alertmanager that it did not wait for.
func TestReplicaAdoptsFromLastAnswer(t *testing.T) {
	target := newTarget(t, "queue_depth 1\n")
	am := serveAlone(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `[{"labels":{"alertname":"ForeshockIncident","incident":"fs-other","generator":"foreshock","severity":"page","service":"checkout"},
			"annotations":{"services":"checkout"},"startsAt":%q,"endsAt":%q,"updatedAt":%[1]q,"fingerprint":"1","status":{"state":"active","silencedBy":[],"inhibitedBy":[]}}]`,
			time.Now().Add(-time.Minute).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339))
	}))
	t.Cleanup(am.Close)
	config := fmt.Sprintf(watchConfig, target.address(), "page, read_alertmanager: false", strings.TrimPrefix(am.URL, "http://"))
	s := startServer(t, Options{Replicas: 2}, "foreshock.yml", config, "rules.yml", remoteRules+"  - alert: LongQueue\n    expr: queue_depth > 5\n")
	s.awaitReady()
	s.awaitMetric(`foreshock_alertmanager_alerts`, is(1))
	target.set("queue_depth 10.5\n")
	s.awaitMetric(`foreshock_incidents{severity="page",state="open"}`, is(1))
	if err := s.shows("/api/v1/incidents?state=open", `"id":"fs-other"`, "taken over from another replica"); err != nil {
		t.Error(err)
	}
}
