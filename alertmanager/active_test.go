package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
)

// reader returns a Sender that knows these servers without running.
func reader(t *testing.T, extra string, servers ...*httptest.Server) *Sender {
	t.Helper()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyConfig(load(t, "alerting:\n  alertmanagers:\n  - static_configs: [{targets: [one:9093]}]\n"+extra)); err != nil {
		t.Fatal(err)
	}
	group := &targetgroup.Group{}
	for _, srv := range servers {
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		group.Targets = append(group.Targets, model.LabelSet{model.AddressLabel: model.LabelValue(u.Host)})
	}
	s.routing = s.routing.withTargets(map[string][]*targetgroup.Group{"config-0": {group}})
	t.Cleanup(s.closeClients)
	return s
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(srv.Close)
	return srv
}

func respond(t *testing.T, body string) *httptest.Server {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(body)); err != nil {
			t.Errorf("answer: %v", err)
		}
	})
}

func TestActiveAsksAndMerges(t *testing.T) {
	var asked *http.Request
	one := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		fmt.Fprint(w, `[
{"labels":{"alertname":"Slow","incident":"1"},"annotations":{"summary":"old"},"startsAt":"2026-03-01T12:00:00Z","endsAt":"2026-03-01T12:15:00Z","updatedAt":"2026-03-01T12:00:00Z","status":{"state":"suppressed","silencedBy":["x"],"inhibitedBy":[]}},
{"labels":{"alertname":"Down","incident":"2"},"annotations":{},"startsAt":"2026-03-01T12:00:00Z","endsAt":"2026-03-01T12:15:00Z","updatedAt":"2026-03-01T12:00:00Z","status":{"state":"suppressed","silencedBy":["x"],"inhibitedBy":["y"]}}]`)
	})
	two := respond(t, `[
{"labels":{"incident":"1","alertname":"Slow"},"annotations":{"summary":"new"},"startsAt":"2026-03-01T11:59:00Z","endsAt":"2026-03-01T12:10:00Z","updatedAt":"2026-03-01T12:00:05Z","generatorURL":"http://f/1","status":{"state":"active"}}]`)
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) })

	s := reader(t, "    path_prefix: /am\n    basic_auth: {username: u, password: p}\n", one, two, broken)
	got, err := s.Active(t.Context(), `generator="foreshock"`, `severity="page"`)
	if err != nil {
		t.Fatalf("Active with two of three Alertmanagers answering: %v", err)
	}
	at := func(clock string) time.Time {
		v, err := time.Parse(time.RFC3339, "2026-03-01T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := []Alert{
		{Labels: labels.FromStrings("alertname", "Down", "incident", "2"), StartsAt: at("12:00:00"), EndsAt: at("12:15:00"), Silenced: true, Inhibited: true},
		{
			Labels: labels.FromStrings("alertname", "Slow", "incident", "1"), Annotations: labels.FromStrings("summary", "new"),
			StartsAt: at("11:59:00"), EndsAt: at("12:15:00"), GeneratorURL: "http://f/1",
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(labels.Equal)); diff != "" {
		t.Errorf("Active (-want +got):\n%s", diff)
	}
	if user, _, _ := asked.BasicAuth(); user != "u" || asked.URL.Path != "/am/api/v2/alerts" {
		t.Errorf("asked %s as %q, want the path prefix and the credentials of the configuration", asked.URL.Path, user)
	}
	if diff := cmp.Diff(url.Values{
		"active": {"true"}, "silenced": {"true"}, "inhibited": {"true"}, "unprocessed": {"true"},
		"filter": {`generator="foreshock"`, `severity="page"`},
	}, asked.URL.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestActiveErrors(t *testing.T) {
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, tc := range []struct {
		name   string
		extra  string
		server *httptest.Server
		want   string
	}{
		{"refused", "", serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad filter", http.StatusBadRequest) }), "400 Bad Request: bad filter"},
		{"not JSON", "", respond(t, "<html>"), "not an answer of Alertmanager's API v2"},
		{"object instead of list", "", respond(t, `{"status":"success"}`), "not an answer of Alertmanager's API v2"},
		{"too much", "", respond(t, `["`+strings.Repeat("x", activeLimit)+`"]`), "more than 16 MiB"},
		{"too late", "    timeout: 50ms\n", silent, "deadline exceeded"},
		{"signed", "    sigv4: {region: eu-west-1, access_key: a, secret_key: b}\n", respond(t, "[]"), "sigv4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := reader(t, tc.extra, tc.server).Active(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.server.URL) {
				t.Errorf("Active = %v, %v; want an error with %q and the URL", got, err, tc.want)
			}
		})
	}
	t.Run("all fail", func(t *testing.T) {
		s := reader(t, "", respond(t, "nonsense"), serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) }))
		_, err := s.Active(t.Context())
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "API v2") {
			t.Errorf("Active = %v, want the errors of both", err)
		}
	})
	t.Run("nobody known", func(t *testing.T) {
		if _, err := reader(t, "").Active(t.Context()); !errors.Is(err, ErrNone) {
			t.Errorf("Active = %v, want ErrNone", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := reader(t, "", silent).Active(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Active = %v, want context.Canceled", err)
		}
	})
}

func FuzzDecodeActive(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[{"labels":{"alertname":"a"},"startsAt":"2026-03-01T12:00:00.000Z","status":{"silencedBy":null}}]`))
	f.Add([]byte(`[{"labels":{"":""},"endsAt":"0001-01-01T00:00:00Z"},{"labels":{"":""}}]`))
	f.Add([]byte(`[{"labels":{"a":1}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		alerts, err := decodeActive(body)
		if err != nil {
			return
		}
		out := merge([][]activeAlert{alerts, alerts})
		if len(out) > len(alerts) {
			t.Errorf("%d alerts merged from twice %d", len(out), len(alerts))
		}
		if !slices.IsSortedFunc(out, func(a, b Alert) int { return labels.Compare(a.Labels, b.Labels) }) {
			t.Errorf("result is not sorted: %v", out)
		}
	})
}
