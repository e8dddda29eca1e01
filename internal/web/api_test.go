package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type reply[T any] struct {
	Status    string   `json:"status"`
	Data      T        `json:"data"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
}

// decode reads the envelope and checks that it fits the status code.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) reply[T] {
	t.Helper()
	var r reply[T]
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("got content type %q, want application/json", got)
	}
	if w.Body.Len() == 0 {
		return r
	}
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, w.Body)
	}
	if want := map[bool]string{true: "success", false: "error"}[w.Code == 200]; r.Status != want {
		t.Errorf("got status %q with code %d, want %q", r.Status, w.Code, want)
	}
	if r.Status == "error" && (r.ErrorType == "" || r.Error == "") {
		t.Errorf("got error type %q and error %q, want both", r.ErrorType, r.Error)
	}
	return r
}

func TestAPIIncidents(t *testing.T) {
	h := serve(t)
	type list = struct {
		Incidents []map[string]any `json:"incidents"`
	}
	for _, tt := range []struct {
		query string
		code  int
		want  []string
	}{
		{"", 200, []string{"20260314-021410-7c2f", "20260312-191410-0b11"}},
		{"?state=open", 200, []string{"20260314-021410-7c2f"}},
		{"?state=resolved", 200, []string{"20260312-191410-0b11"}},
		{"?state=forming", 200, nil},
		{"?since=2026-03-14T00:00:00Z", 200, []string{"20260314-021410-7c2f"}},
		{"?since=1773342000", 200, []string{"20260314-021410-7c2f", "20260312-191410-0b11"}},
		{"?state=closed", 400, nil}, {"?since=yesterday", 400, nil}, {"?since=NaN", 400, nil},
	} {
		w := ask(h, "GET", "/api/v1/incidents"+tt.query, "")
		if w.Code != tt.code {
			t.Errorf("%s: got %d, want %d", tt.query, w.Code, tt.code)
		}
		var got []string
		for _, inc := range decode[list](t, w).Data.Incidents {
			got = append(got, inc["id"].(string))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: incidents (-want +got):\n%s", tt.query, diff)
		}
	}
}

func TestAPIIncidentHasNullForUnknownNumbers(t *testing.T) {
	h := serve(t)
	inc := decode[jsonAny](t, ask(h, "GET", "/api/v1/incidents/20260312-191410-0b11", "")).Data
	a := inc["anomalies"].([]any)[0].(map[string]any)
	if v, ok := a["score"]; !ok || v != nil {
		t.Errorf("score NaN: got %v, want null", v)
	}
	inc = decode[jsonAny](t, ask(h, "GET", "/api/v1/incidents/20260314-021410-7c2f", "")).Data
	trail := inc["anomalies"].([]any)[0].(map[string]any)["trail"].([]any)
	if p := trail[40].(map[string]any); p["value"] != nil || p["expected"] == nil {
		t.Errorf("missing sample: got %v, want value null and expected known", p)
	}
	if got := inc["effects"].([]any)[0].(map[string]any)["offset_seconds"]; got != 12.0 {
		t.Errorf("offset: got %v, want 12 (seconds)", got)
	}
	if got := inc["changes"].([]any)[0].(map[string]any); got["to"] != "1.5.0" || got["suspect"] != true {
		t.Errorf("change: got %v, want the suspected 1.5.0", got)
	}
}

type jsonAny = map[string]any

func TestAPIAnomaliesTopologyBuildInfo(t *testing.T) {
	h := serve(t)
	anomalies := decode[jsonAny](t, ask(h, "GET", "/api/v1/anomalies", "")).Data["anomalies"].([]any)
	if len(anomalies) != 5 {
		t.Errorf("got %d anomalies, want the 5 of the open incident", len(anomalies))
	}
	if a := anomalies[0].(map[string]any); a["incident"] != "20260314-021410-7c2f" || a["trail"] != nil {
		t.Errorf("got %v, want the incident's ID and no trail", a)
	}
	graph := decode[jsonAny](t, ask(h, "GET", "/api/v1/topology", "")).Data
	if s, e := graph["services"].([]any), graph["edges"].([]any); len(s) != 5 || len(e) != 4 {
		t.Errorf("got %d services and %d edges, want 5 and 4", len(s), len(e))
	}
	if got := decode[map[string]string](t, ask(h, "GET", "/api/v1/status/buildinfo", "")).Data["version"]; got != "0.1.0" {
		t.Errorf("got version %q, want 0.1.0", got)
	}
}

func TestAPIChanges(t *testing.T) {
	h := serve(t)
	list := decode[jsonAny](t, ask(h, "GET", "/api/v1/changes", "")).Data["changes"].([]any)
	if len(list) != 2 {
		t.Errorf("got %d changes, want 2", len(list))
	}
	list = decode[jsonAny](t, ask(h, "GET", "/api/v1/changes?since="+onset.Add(-time.Minute).Format(time.RFC3339), "")).Data["changes"].([]any)
	if len(list) != 1 {
		t.Errorf("since a minute before: got %d changes, want 1", len(list))
	}
	big := `{"service":"` + strings.Repeat("x", maxBody) + `"}`
	for _, tt := range []struct {
		name, body, auth string
		want             int
	}{
		{"good", `{"service":"checkout","kind":"deploy","to":"2"}`, "Bearer s3cret", 200},
		{"scheme in small letters", `{"service":"checkout"}`, "bearer s3cret", 200},
		{"no token", `{"service":"checkout"}`, "", 401},
		{"wrong token", `{"service":"checkout"}`, "Bearer s3cre", 401},
		{"basic", `{"service":"checkout"}`, "Basic s3cret", 401},
		{"no service", `{}`, "Bearer s3cret", 400},
		{"no JSON", `{`, "Bearer s3cret", 400},
		{"too large", big, "Bearer s3cret", 413},
		{"not kept", `{"service":"full"}`, "Bearer s3cret", 500},
		{"of several services", `{"services":["checkout","payments"],"kind":"config"}`, "Bearer s3cret", 200},
		{"with the id of another", `{"service":"second","id":"4711"}`, "Bearer s3cret", 409},
	} {
		w := ask(h, http.MethodPost, "/api/v1/changes", tt.body, "Authorization", tt.auth, "Content-Type", "application/json")
		if w.Code != tt.want {
			t.Errorf("%s: got %d, want %d: %s", tt.name, w.Code, tt.want, w.Body)
		}
		decode[any](t, w)
	}
	off := serve(t, func(o *Options) { o.ChangesToken = "" })
	w := ask(off, "POST", "/api/v1/changes", `{"service":"checkout"}`, "Authorization", "Bearer ")
	if w.Code != 403 || !strings.Contains(w.Body.String(), "--web.changes-token-file") {
		t.Errorf("without a token: got %d %s, want 403 and the flag's name", w.Code, w.Body)
	}
}

func TestAPIRulesInPrometheusShape(t *testing.T) {
	h := serve(t)
	groups := decode[jsonAny](t, ask(h, "GET", "/api/v1/rules", "")).Data["groups"].([]any)
	if len(groups) != 2 {
		t.Fatalf("got %d groups, want 2", len(groups))
	}
	g := groups[0].(map[string]any)
	rules := g["rules"].([]any)
	first, alert := rules[0].(map[string]any), rules[4].(map[string]any)
	if first["type"] != "recording" || first["name"] != "anomaly_score" || first["detect"] != "PaymentsLatency" || first["health"] != "ok" {
		t.Errorf("detection rule: got %v, want a recording rule anomaly_score with detect", first)
	}
	if n := len(first["evaluations"].([]any)); n != 20 {
		t.Errorf("got %d evaluations, want 20", n)
	}
	if alert["type"] != "alerting" || alert["state"] != "firing" || alert["duration"] != 120.0 || len(alert["alerts"].([]any)) != 1 {
		t.Errorf("alerting rule: got %v", alert)
	}
	if g["interval"] != 15.0 || g["file"] != "rules/shop.yml" {
		t.Errorf("group: got interval %v and file %v, want 15 and rules/shop.yml", g["interval"], g["file"])
	}
	count := func(query string) (n int) {
		for _, g := range decode[jsonAny](t, ask(h, "GET", "/api/v1/rules"+query, "")).Data["groups"].([]any) {
			n += len(g.(map[string]any)["rules"].([]any))
		}
		return n
	}
	for query, want := range map[string]int{"?type=alert": 1, "?type=record": 4, "?rule_name[]=PoolInUse": 1, "?rule_group[]=empty": 0, "?file[]=rules/shop.yml": 5} {
		if got := count(query); got != want {
			t.Errorf("%s: got %d rules, want %d", query, got, want)
		}
	}
	if w := ask(h, "GET", "/api/v1/rules?type=detect", ""); w.Code != 400 {
		t.Errorf("unknown type: got %d, want 400", w.Code)
	}
	alerts := decode[jsonAny](t, ask(h, "GET", "/api/v1/alerts", "")).Data["alerts"].([]any)
	if len(alerts) != 1 || alerts[0].(map[string]any)["value"] != "3.15e+01" {
		t.Errorf("alerts: got %v, want one with value 3.15e+01", alerts)
	}
}

func TestAPITargets(t *testing.T) {
	h := serve(t)
	data := decode[jsonAny](t, ask(h, "GET", "/api/v1/targets", "")).Data
	active := data["activeTargets"].([]any)
	last := active[3].(map[string]any)
	if len(active) != 4 || last["health"] != "down" || last["scrapePool"] != "shop" || last["scrapeInterval"] != "1s" {
		t.Errorf("got %d targets, the last %v; want 4 and one that is down", len(active), last)
	}
	data = decode[jsonAny](t, ask(h, "GET", "/api/v1/targets?scrapePool=none", "")).Data
	if n := len(data["activeTargets"].([]any)); n != 0 {
		t.Errorf("another pool: got %d targets, want 0", n)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	h := serve(t)
	w := ask(h, "POST", "/api/v1/query", "query="+strings.Repeat("a", maxBody))
	if w.Code != 400 {
		t.Errorf("got %d, want 400", w.Code)
	}
	r := httptest.NewRequest("POST", "/api/v1/changes", io.MultiReader(strings.NewReader(`{"service":"`), strings.NewReader(strings.Repeat("y", 2*maxBody))))
	r.Header.Set("Authorization", "Bearer s3cret")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != 413 {
		t.Errorf("a change without length: got %d, want 413", rec.Code)
	}
}
