package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestNewRefusesIncompleteOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"nothing", func(o *Options) { *o = Options{} }, "without Now, Incidents, Status, Ready"},
		{"half of changes", func(o *Options) { o.DecodeChange = nil }, "AddChange and DecodeChange"},
		{"lifecycle", func(o *Options) { o.EnableLifecycle, o.Quit = true, nil }, "need Reload and Quit"},
		{"external URL", func(o *Options) { o.ExternalURL = &url.URL{Path: "x"} }, "must begin with a slash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := shopOptions()
			tt.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: got error %v, want one with %q", err, tt.want)
			}
		})
	}
	o := shopOptions()
	reg := prometheus.NewRegistry()
	o.Registerer = reg
	if _, err := New(o); err != nil {
		t.Fatalf("New: %v", err)
	}
	if _, err := New(o); err == nil {
		t.Error("New with a registerer that has the metrics already: got no error, want one")
	}
}

func TestNewNeedsOnlyTheRequired(t *testing.T) {
	full := shopOptions()
	h, err := New(Options{Now: full.Now, Incidents: full.Incidents, Status: full.Status, Ready: full.Ready})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	for _, path := range []string{"/", "/incidents/20260314-021410-7c2f", "/services", "/rules", "/targets", "/status", "/api/v1/topology", "/api/v1/rules", "/metrics"} {
		if w := ask(h, http.MethodGet, path, ""); w.Code != http.StatusOK {
			t.Errorf("GET %s: got %d, want 200: %s", path, w.Code, w.Body)
		}
	}
	if w := ask(h, http.MethodGet, "/api/v1/query?query=1", ""); w.Code != http.StatusNotFound {
		t.Errorf("query without a function: got %d, want 404", w.Code)
	}
}

func TestStatusCodes(t *testing.T) {
	h := serve(t)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"POST", "/", 405}, {"GET", "/nothing", 404}, {"GET", "/incidents/none", 404},
		{"GET", "/incidents/none/plot.svg", 404}, {"GET", "/static/none.css", 404}, {"GET", "/static/style.css", 200},
		{"GET", "/api/v1/none", 404}, {"GET", "/api/v1/incidents/none", 404}, {"DELETE", "/api/v1/changes", 405}, {"PUT", "/api/v1/query", 405},
		{"GET", "/-/reload", 405}, {"POST", "/-/reload", 403}, {"PUT", "/-/quit", 403}, {"GET", "/-/healthy", 200}, {"HEAD", "/-/ready", 200}, {"POST", "/metrics", 405},
	} {
		w := ask(h, tt.method, tt.path, "")
		if w.Code != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: 405 without the header Allow", tt.method, tt.path)
		}
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "script") {
			t.Errorf("%s %s: got content security policy %q, want one without scripts", tt.method, tt.path, got)
		}
		if strings.HasPrefix(tt.path, "/api/") {
			decode[any](t, w)
		}
	}
}

func TestReady(t *testing.T) {
	h := serve(t, func(o *Options) { o.Ready = func() (bool, string) { return false, "cold start: day 2 of 7" } })
	if w := ask(h, "GET", "/-/ready", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "day 2 of 7") {
		t.Errorf("got %d %q, want 503 with the reason", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/-/healthy", ""); w.Code != 200 {
		t.Errorf("healthy while not ready: got %d, want 200", w.Code)
	}
	if w := ask(h, "GET", "/", ""); !strings.Contains(w.Body.String(), "cold start: day 2 of 7") {
		t.Error("the first page does not say why the server is not ready")
	}
}

func TestLifecycle(t *testing.T) {
	quits, fail := 0, error(nil)
	h := serve(t, func(o *Options) {
		o.EnableLifecycle = true
		o.Reload = func(context.Context) error { return fail }
		o.Quit = func() { quits++ }
	})
	if w := ask(h, "POST", "/-/reload", ""); w.Code != 200 {
		t.Errorf("reload: got %d, want 200", w.Code)
	}
	fail = errors.New("foreshock.yml:3:7: unknown field")
	if w := ask(h, "PUT", "/-/reload", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "foreshock.yml:3:7") {
		t.Errorf("reload of a bad file: got %d %q, want 500 with the error", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/-/quit", ""); w.Code != 200 || quits != 1 {
		t.Errorf("quit: got %d and %d calls, want 200 and 1", w.Code, quits)
	}
	if w := ask(serve(t), "POST", "/-/quit", ""); !strings.Contains(w.Body.String(), "--web.enable-lifecycle") {
		t.Errorf("quit while off: got %q, want the flag's name", w.Body)
	}
}

func TestStaticFilesAreCached(t *testing.T) {
	h := serve(t)
	page := ask(h, "GET", "/", "").Body.String()
	_, rest, _ := strings.Cut(page, `rel="stylesheet" href="`)
	address, _, _ := strings.Cut(rest, `"`)
	w := ask(h, "GET", address, "")
	if got := w.Header().Get("Cache-Control"); w.Code != 200 || !strings.Contains(got, "immutable") {
		t.Fatalf("GET %s: got %d and Cache-Control %q, want 200 and immutable", address, w.Code, got)
	}
	tag := w.Header().Get("ETag")
	if w := ask(h, "GET", "/static/style.css", "", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("with the right ETag: got %d and %d bytes, want 304 and none", w.Code, w.Body.Len())
	}
	if got := ask(h, "GET", "/static/style.css?v=old", "").Header().Get("Cache-Control"); got != "no-cache" {
		t.Errorf("an old version: got Cache-Control %q, want no-cache", got)
	}
	css := w.Body.String()
	if strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("the style sheet loads something from elsewhere")
	}
}

func TestPathPrefix(t *testing.T) {
	h := serve(t, func(o *Options) { o.ExternalURL = &url.URL{Scheme: "https", Host: "ops.example", Path: "/foreshock/"} })
	for _, path := range []string{"/foreshock/", "/foreshock/rules", "/foreshock/api/v1/incidents", "/foreshock/-/healthy", "/", "/rules"} {
		if w := ask(h, "GET", path, ""); w.Code != 200 {
			t.Errorf("GET %s: got %d, want 200", path, w.Code)
		}
	}
	if w := ask(h, "GET", "/foreshock", ""); w.Code != 302 || w.Header().Get("Location") != "/foreshock/" {
		t.Errorf("GET /foreshock: got %d to %q, want 302 to /foreshock/", w.Code, w.Header().Get("Location"))
	}
	for _, path := range []string{"/foreshock/", "/foreshock/incidents/20260314-021410-7c2f", "/foreshock/none"} {
		for _, a := range addresses(ask(h, "GET", path, "").Body.String()) {
			if !strings.HasPrefix(a, "/foreshock/") && !strings.HasPrefix(a, "https://runbooks.example/") && a != "#main" {
				t.Errorf("GET %s: link to %q, want it below /foreshock/", path, a)
			}
		}
	}
	if body := ask(h, "GET", "/foreshock/api/v1/incidents", "").Body.String(); !strings.Contains(body, "https://ops.example/foreshock/incidents/2026") {
		t.Error("the API's incidents lack their external address")
	}
	if w := ask(h, "GET", "/foreshock/api/v1/none", ""); !strings.Contains(w.Header().Get("Content-Type"), "json") {
		t.Errorf("unknown API path below the prefix: got %q, want JSON", w.Header().Get("Content-Type"))
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := serve(t, func(o *Options) { o.Registerer, o.Gatherer = reg, reg })
	ask(h, "GET", "/incidents/20260314-021410-7c2f", "")
	ask(h, "GET", "/incidents/other", "")
	body := ask(h, "GET", "/metrics", "").Body.String()
	if want := `foreshock_http_request_duration_seconds_count{handler="/incidents/:id"} 2`; !strings.Contains(body, want) {
		t.Errorf("metrics: got\n%s\nwant a line %q", body, want)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	h := serve(t, func(o *Options) { o.Rules = func() []RuleGroup { panic("boom") } })
	if w := ask(h, "GET", "/api/v1/rules", ""); w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("API: got %d %q, want 500 without the details", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/rules", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "internal error") {
		t.Errorf("page: got %d, want a page with 500", w.Code)
	}
}
