package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// routeAddresses are one address of each route that answers GET.
func routeAddresses() []string {
	return []string{
		"/", "/incidents/20260314-021410-7c2f", plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`), "/services", "/rules", "/targets", "/status",
		"/static/style.css", "/static/icon.svg", "/api/v1/incidents", "/api/v1/incidents/20260314-021410-7c2f", "/api/v1/anomalies", "/api/v1/topology", "/api/v1/changes",
		"/api/v1/rules", "/api/v1/alerts", "/api/v1/targets", "/api/v1/scrape_pools", "/api/v1/alertmanagers",
		"/api/v1/status/buildinfo", "/api/v1/status/runtimeinfo", "/api/v1/status/config", "/api/v1/status/flags", "/api/v1/status/tsdb", "/api/v1/status/walreplay",
		"/api/v1/query_exemplars?query=up", "/api/v1/format_query?query=up", "/federate?match[]=up", "/api/v1/query?query=up", "/api/v1/query_range?query=up&start=0&end=60&step=15",
		"/metrics", "/-/healthy", "/-/ready",
	}
}

func plotPath(id, rule, series string, pairs ...string) string {
	return "/incidents/" + pathEscape(id) + "/plot.svg" + query(append([]string{"rule", rule, "series", series}, pairs...)...)
}

func wantCode(t *testing.T, w *httptest.ResponseRecorder, code int) {
	t.Helper()
	if w.Code != code {
		t.Fatalf("status = %d, want %d; body: %s", w.Code, code, plot.Clip(w.Body.String(), 500))
	}
}

func wantIn(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("the answer does not contain %q; it is:\n%s", part, plot.Clip(body, 6000))
		}
	}
}

func wantNotIn(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(body, part) {
			t.Errorf("the answer contains %q, which it should not", part)
		}
	}
}

func TestEveryRouteAnswers(t *testing.T) {
	h := serve(t, func(o *Options) { o.Registerer = o.Gatherer.(*prometheus.Registry) })
	for _, address := range routeAddresses() {
		t.Run(address, func(t *testing.T) {
			w := ask(h, http.MethodGet, address, "")
			wantCode(t, w, http.StatusOK)
			path, _, _ := strings.Cut(address, "?")
			want := "text/html; charset=utf-8"
			switch {
			case strings.HasSuffix(path, ".svg"):
				want = "image/svg+xml"
			case strings.HasSuffix(path, ".css"):
				want = "text/css; charset=utf-8"
			case strings.HasPrefix(path, "/api/"):
				want = "application/json"
			case strings.HasPrefix(path, "/-/"):
				want = "text/plain; charset=utf-8"
			case path == "/federate":
				want = "text/plain; version=0.0.4; charset=utf-8"
			case path == "/metrics":
				want = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
			}
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("Content-Type = %q, want %q", got, want)
			}
			if head := ask(h, http.MethodHead, address, ""); head.Code != http.StatusOK {
				t.Errorf("HEAD: status = %d, want 200", head.Code)
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	h := serve(t)
	for _, address := range append(routeAddresses(), "/nothing", "/api/v1/nothing", "/-/nothing") {
		w := ask(h, http.MethodGet, address, "")
		policy := csp
		if strings.Contains(address, "plot.svg") {
			policy = plotCSP
		}
		for name, want := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", address, name, got, want)
			}
		}
	}
	wantNotIn(t, csp+plotCSP, "script-src", "unsafe-eval", "http:", "https:", "*")
	wantNotIn(t, csp, "unsafe-inline")
	wantIn(t, csp, "default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'")
}

func TestMethods(t *testing.T) {
	h := serve(t)
	tests := []struct{ method, address, allow string }{
		{"POST", "/", "GET, HEAD"}, {"DELETE", "/incidents/x", "GET, HEAD"}, {"PUT", "/rules", "GET, HEAD"}, {"PATCH", "/static/style.css", "GET, HEAD"},
		{"POST", "/api/v1/incidents", "GET, HEAD"}, {"DELETE", "/api/v1/changes", "GET, HEAD, POST"}, {"PUT", "/api/v1/query", "GET, HEAD, POST"},
		{"OPTIONS", "/api/v1/query_range", "GET, HEAD, POST"}, {"GET", "/-/reload", "POST, PUT"}, {"GET", "/-/quit", "POST, PUT"}, {"HEAD", "/-/quit", "POST, PUT"},
		{"POST", "/-/ready", "GET, HEAD"}, {"POST", "/metrics", "GET, HEAD"}, {"<script>", "/status", "GET, HEAD"},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", test.address, nil)
		r.Method = test.method
		h.ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != test.allow {
			t.Errorf("%s %s: status = %d, Allow = %q; want 405, %q", test.method, test.address, w.Code, w.Header().Get("Allow"), test.allow)
		}
		wantIn(t, w.Body.String(), "is not allowed here")
		wantNotIn(t, w.Body.String(), "<script>")
	}
}

func TestNotFound(t *testing.T) {
	h := serve(t)
	for address, contentType := range map[string]string{
		"/nothing": "text/html", "/incidents/": "text/html", "/incidents/nope": "text/html", "/static/": "text/html", "/static/nope.js": "text/html", "/services/": "text/html",
		"/incidents/nope/plot.svg": "image/svg+xml", "/api/v1/nothing": "application/json", "/api/v1/incidents/nope": "application/json", "/-/nothing": "text/plain",
	} {
		w := ask(h, http.MethodGet, address, "")
		if w.Code != http.StatusNotFound || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) {
			t.Errorf("%s: status = %d, Content-Type = %q; want 404, %q", address, w.Code, w.Header().Get("Content-Type"), contentType)
		}
	}
}

func TestExternalURL(t *testing.T) {
	for external, want := range map[string]struct{ prefix, incident string }{
		"https://shop.example/foreshock/": {"/foreshock", "https://shop.example/foreshock/incidents/20260314-021410-7c2f"},
		"https://shop.example/a%20b/c":    {"/a%20b/c", "https://shop.example/a%20b/c/incidents/20260314-021410-7c2f"},
		"https://shop.example/x/api/":     {"/x/api", "https://shop.example/x/api/incidents/20260314-021410-7c2f"},
		"https://shop.example":            {"", "https://shop.example/incidents/20260314-021410-7c2f"},
		"/sub":                            {"/sub", "/sub/incidents/20260314-021410-7c2f"},
	} {
		t.Run(external, func(t *testing.T) {
			u, err := url.Parse(external)
			if err != nil {
				t.Fatal(err)
			}
			h := serve(t, func(o *Options) { o.ExternalURL = u })
			for _, address := range routeAddresses() {
				for _, prefix := range []string{"", want.prefix} { // with and without a proxy that strips it
					w := ask(h, http.MethodGet, prefix+address, "")
					if w.Code != http.StatusOK {
						t.Errorf("%s: status = %d, want 200", prefix+address, w.Code)
					}
					checkLinks(t, prefix+address, w, want.prefix)
				}
			}
			wantIn(t, ask(h, http.MethodGet, "/api/v1/incidents", "").Body.String(), `"url":"`+want.incident+`"`)
			if w := ask(h, http.MethodGet, want.prefix+"/api/v1/nothing", ""); w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("an error of the API under the prefix has Content-Type %q, want application/json", w.Header().Get("Content-Type"))
			}
			if want.prefix == "" {
				return
			}
			if w := ask(h, http.MethodGet, want.prefix, ""); w.Code != http.StatusFound || w.Header().Get("Location") != want.prefix+"/" {
				t.Errorf("the bare prefix: status = %d, Location = %q; want 302, %q", w.Code, w.Header().Get("Location"), want.prefix+"/")
			}
			if w := ask(h, http.MethodGet, want.prefix+"//rules?a=1", ""); w.Header().Get("Location") != want.prefix+"/rules?a=1" {
				t.Errorf("a doubled slash: status = %d, Location = %q; want %q", w.Code, w.Header().Get("Location"), want.prefix+"/rules?a=1")
			}
		})
	}
}

// checkLinks fails for links of a page that leave the prefix.
func checkLinks(t *testing.T, address string, w *httptest.ResponseRecorder, prefix string) {
	t.Helper()
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		return
	}
	links := addresses(w.Body.String())
	if len(links) < 7 {
		t.Errorf("%s: %d links, want the navigation's at least", address, len(links))
	}
	for _, l := range links {
		if l != "#main" && !strings.HasPrefix(l, prefix+"/") && !strings.HasPrefix(l, "https://runbooks.example/") {
			t.Errorf("%s: link %q does not begin with the prefix %q", address, l, prefix)
		}
	}
}

func TestReadiness(t *testing.T) {
	ready, reason := false, "replaying 3 d of 14 d"
	h := serve(t, func(o *Options) { o.Ready = func() (bool, string) { return ready, reason } })
	if w := ask(h, http.MethodGet, "/-/healthy", ""); w.Code != http.StatusOK || w.Body.String() != "Foreshock is Healthy.\n" {
		t.Errorf("/-/healthy: %d %q", w.Code, w.Body)
	}
	w := ask(h, http.MethodGet, "/-/ready", "")
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "Not ready: replaying 3 d of 14 d\n" {
		t.Errorf("/-/ready at start: %d %q, want 503 with the reason", w.Code, w.Body)
	}
	wantIn(t, ask(h, http.MethodGet, "/", "").Body.String(), "Not ready:", "replaying 3 d of 14 d")
	reason = ""
	if w := ask(h, http.MethodGet, "/-/ready", ""); w.Body.String() != "Not ready: starting\n" {
		t.Errorf("/-/ready without a reason: %q, want that it starts", w.Body)
	}
	ready = true
	if w := ask(h, http.MethodGet, "/-/ready", ""); w.Code != http.StatusOK || w.Body.String() != "Foreshock is Ready.\n" {
		t.Errorf("/-/ready: %d %q, want 200", w.Code, w.Body)
	}
}

func TestLifecycleActsOnlyWhenOn(t *testing.T) {
	var reloads, quits int
	var failure error
	options := func(o *Options) {
		o.Reload = func(context.Context) error { reloads++; return failure }
		o.Quit = func() { quits++ }
	}
	off := serve(t, options)
	for _, address := range []string{"/-/reload", "/-/quit"} {
		w := ask(off, http.MethodPost, address, "")
		if w.Code != http.StatusForbidden || w.Body.String() != lifecycleOff {
			t.Errorf("%s while off: %d %q, want 403 and what to do", address, w.Code, w.Body)
		}
	}
	if reloads+quits > 0 {
		t.Fatalf("%d reloads and %d quits while off, want none", reloads, quits)
	}
	on := serve(t, options, func(o *Options) { o.EnableLifecycle = true })
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		if w := ask(on, method, "/-/reload", ""); w.Code != http.StatusOK {
			t.Errorf("%s /-/reload: %d %q, want 200", method, w.Code, w.Body)
		}
		if w := ask(on, method, "/-/quit", ""); w.Code != http.StatusOK {
			t.Errorf("%s /-/quit: %d %q, want 200", method, w.Code, w.Body)
		}
	}
	failure = errors.New("foreshock.yml:3:1: unknown field")
	if w := ask(on, http.MethodPost, "/-/reload", ""); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), failure.Error()) {
		t.Errorf("failing reload: %d %q, want 500 with the reason", w.Code, w.Body)
	}
	if reloads != 3 || quits != 2 {
		t.Errorf("%d reloads and %d quits, want 3 and 2", reloads, quits)
	}
}

func TestPanicBelowPrefix(t *testing.T) {
	h := serve(t, func(o *Options) {
		o.Incidents = func() []*incident.Incident { panic("boom") }
		o.ExternalURL = &url.URL{Path: "/a b"}
	})
	for address, contentType := range map[string]string{"/": "text/html", "/api/v1/incidents": "application/json", "/a%20b/api/v1/incidents": "application/json"} {
		w := ask(h, http.MethodGet, address, "")
		if w.Code != http.StatusInternalServerError || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) || strings.Contains(w.Body.String(), "boom") {
			t.Errorf("%s: %d %s %q; want 500, %s, without details", address, w.Code, w.Header().Get("Content-Type"), w.Body, contentType)
		}
	}
}

// By default nothing that changes anything is open. A route that is new must be
// said here to change nothing.
func TestNothingThatChangesStateIsOpen(t *testing.T) {
	reads := []string{"/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars", "/api/v1/format_query", "/api/v1/series", "/api/v1/labels"}
	o := shopOptions()
	o.ChangesToken, o.EnableLifecycle, o.Write = "", false, nil
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range (&server{Options: o}).table() {
		for method := range r.methods {
			if method == http.MethodGet || slices.Contains(reads, r.path) {
				continue
			}
			path := strings.NewReplacer("{id}", "20260314-021410-7c2f", "{act}", "close").Replace(r.path)
			for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer s3cret"}} {
				if w := ask(h, method, path, `{"service":"checkout"}`, header...); w.Code != http.StatusForbidden && w.Code != http.StatusNotFound {
					t.Errorf("%s %s with %q: status %d, want 403 or 404", method, path, header, w.Code)
				}
			}
		}
	}
}
