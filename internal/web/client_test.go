package web

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// dial starts a server and returns Prometheus's own client of it.
func dial(t *testing.T, change ...func(*Options)) v1.API {
	t.Helper()
	srv := httptest.NewServer(serve(t, change...))
	t.Cleanup(srv.Close)
	client, err := api.NewClient(api.Config{Address: srv.URL, Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return v1.NewAPI(client)
}

// TestPrometheusClient reads every answer that Prometheus has too with
// Prometheus's own client, as Grafana and others would.
func TestPrometheusClient(t *testing.T) {
	ctx, c := t.Context(), dial(t)

	v, _, err := c.Query(ctx, "up", onset)
	if err != nil {
		t.Fatalf("Query: %v", err)
	}
	vector, ok := v.(model.Vector)
	if !ok || len(vector) != 2 {
		t.Fatalf("Query: %T %v, want a vector of two", v, v)
	}
	if s := vector[0]; s.Value != 1 || s.Timestamp.Time().UTC() != onset || s.Metric["service"] != "payments" {
		t.Errorf("Query: first sample %v, want payments 1 at %s", s, onset)
	}
	if s := vector[1]; !math.IsNaN(float64(s.Value)) || s.Metric["service"] != `<script>"` {
		t.Errorf("Query: second sample %v, want NaN and the label unchanged", s)
	}
	for expr, want := range map[string]model.ValueType{"1": model.ValScalar, "vector(1) > 2": model.ValVector} {
		if v, _, err := c.Query(ctx, expr, onset); err != nil || v.Type() != want {
			t.Errorf("Query(%s): %v %v, want a %s", expr, v, err, want)
		}
	}

	v, _, err = c.QueryRange(ctx, "up", v1.Range{Start: onset, End: onset.Add(time.Minute), Step: 15 * time.Second})
	if err != nil {
		t.Fatalf("QueryRange: %v", err)
	}
	if m, ok := v.(model.Matrix); !ok || len(m) != 2 || len(m[0].Values) != 2 || !math.IsInf(float64(m[0].Values[1].Value), 1) {
		t.Errorf("QueryRange: %v, want two series of two values, the second infinite", v)
	}

	rules, err := c.Rules(ctx, nil)
	if err != nil {
		t.Fatalf("Rules: %v", err)
	}
	if len(rules.Groups) != 2 || len(rules.Groups[0].Rules) != 5 || rules.Groups[0].Interval != 15 {
		t.Fatalf("Rules: %+v, want two groups, the first of five rules every 15 s", rules)
	}
	if r, ok := rules.Groups[0].Rules[0].(v1.RecordingRule); !ok || r.Name != scoreMetric || r.Health != v1.RuleHealthGood {
		t.Errorf("Rules: first %#v, want a detection rule as recording rule %s", rules.Groups[0].Rules[0], scoreMetric)
	}
	if r, ok := rules.Groups[0].Rules[4].(v1.AlertingRule); !ok || r.State != "firing" || r.Duration != 120 || len(r.Alerts) != 1 {
		t.Errorf("Rules: last %#v, want a firing alerting rule", rules.Groups[0].Rules[4])
	}

	alerts, err := c.Alerts(ctx)
	if err != nil || len(alerts.Alerts) != 1 || alerts.Alerts[0].State != v1.AlertStateFiring || alerts.Alerts[0].Value != "3.15e+01" {
		t.Errorf("Alerts: %+v %v, want one that fires at 31.5", alerts, err)
	}
	targets, err := c.Targets(ctx)
	if err != nil || len(targets.Active) != 4 || targets.Active[3].Health != v1.HealthBad || targets.Active[0].LastScrapeDuration != 0.0021 {
		t.Errorf("Targets: %+v %v, want four, the last one down", targets, err)
	}
	if info, err := c.Buildinfo(ctx); err != nil || info.Version != "0.1.0" || info.Revision != "abc123" {
		t.Errorf("Buildinfo: %+v %v, want version 0.1.0", info, err)
	}
}

func TestPrometheusClientSeesErrors(t *testing.T) {
	ctx, c := t.Context(), dial(t)
	for expr, want := range map[string]v1.ErrorType{"sum(": v1.ErrBadData, "": v1.ErrBadData, "many": v1.ErrExec, "storage": v1.ErrServer} {
		_, _, err := c.Query(ctx, expr, onset)
		var apiErr *v1.Error
		if !errors.As(err, &apiErr) || apiErr.Type != want {
			t.Errorf("Query(%q): error %v, want one of type %s", expr, err, want)
		}
	}
	_, _, err := c.QueryRange(ctx, "up", v1.Range{Start: onset, End: onset.Add(11001 * time.Second), Step: time.Second})
	if err == nil || !strings.Contains(err.Error(), "11,000 points") {
		t.Errorf("QueryRange with 11,002 points: error %v, want the limit of 11,000", err)
	}
	if _, _, err := c.Query(ctx, "slow", onset, v1.WithTimeout(time.Millisecond)); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("Query with a timeout: error %v, want status 503", err)
	}
}

func TestPrometheusClientReadsHistograms(t *testing.T) {
	h := &histogram.FloatHistogram{Count: 12, Sum: 18.4, ZeroThreshold: 0.001, ZeroCount: 2, Schema: 1,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: []float64{1, 2, 1, 4},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []float64{2}}
	d, err := encodeValue(promql.Matrix{{Metric: labels.FromStrings("a", "b"), Histograms: []promql.HPoint{{T: onset.UnixMilli() + 123, H: h}}}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { (&server{}).respond(w, d) }))
	t.Cleanup(srv.Close)
	client, err := api.NewClient(api.Config{Address: srv.URL, Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := v1.NewAPI(client).Query(t.Context(), "x", onset)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := v.(model.Matrix)
	if !ok || len(m) != 1 || len(m[0].Histograms) != 1 {
		t.Fatalf("got %v, want one series of one histogram", v)
	}
	got := m[0].Histograms[0]
	if got.Timestamp != model.Time(onset.UnixMilli()+123) || got.Histogram.Count != 12 || got.Histogram.Sum != 18.4 || len(got.Histogram.Buckets) != 6 {
		t.Errorf("got %v with %d buckets, want count 12, sum 18.4 and 6 buckets", got, len(got.Histogram.Buckets))
	}
	if b := got.Histogram.Buckets[0]; b.Boundaries != 1 || b.Upper >= 0 || b.Lower >= b.Upper || b.Count != 2 {
		t.Errorf("first bucket %v, want the negative one with its lower bound inclusive and 2 observations", b)
	}
}

// TestRangeLimits asks for ranges at the edges of what is evaluated.
func TestRangeLimits(t *testing.T) {
	h := serve(t)
	for _, test := range []struct {
		name, start, end, step string
		code                   int
		text                   string
	}{
		{"11,001 points", "0", "11000", "1", 200, ""},
		{"11,002 points", "0", "11001", "1", 400, "11,000 points"},
		{"11,002 points with fractions", "0", "11.001", "0.001", 400, "11,000 points"},
		{"a millisecond", "0", "1", "0.001", 200, ""},
		{"less than a millisecond", "0", "0.5", "0.0001", 400, "too short"},
		{"nanosecond in Go's notation", "0", "0", "1ns", 400, "valid duration"},
		{"all of time", "-292273086000000", "292277000000000", "290y", 400, "11,000 points"},
		{"RFC 3339", "2026-03-14T02:00:00Z", "2026-03-14T02:01:00.5+00:00", "15s", 200, ""},
		{"one point", "5", "5", "1m", 200, ""},
		{"negative step", "0", "1", "-1", 400, "zero or negative"},
		{"infinite", "-Inf", "+Inf", "1", 400, "out of range"},
		{"step is NaN", "0", "1", "NaN", 400, "overflows"},
	} {
		q := query("query", "up", "start", test.start, "end", test.end, "step", test.step)
		for _, w := range []*httptest.ResponseRecorder{ask(h, http.MethodGet, "/api/v1/query_range"+q, ""), ask(h, http.MethodPost, "/api/v1/query_range", strings.TrimPrefix(q, "?"))} {
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("%s: %d %s, want %d with %q", test.name, w.Code, w.Body, test.code, test.text)
			}
		}
	}
	if w := ask(h, http.MethodGet, "/api/v1/query_range"+query("query", "up"), ""); w.Code != http.StatusBadRequest {
		t.Errorf("without start and end: %d, want 400", w.Code)
	}
}
