package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// The night of the tests: payments rolls out 1.5.0, its queries become slow,
// the database's pool is exhausted, checkout and the frontend suffer, while an
// innocent rollout of inventory happens just before.
var (
	onset = time.Date(2026, 3, 14, 2, 14, 10, 0, time.UTC)
	now   = onset.Add(6*time.Minute + 20*time.Second)
)

// bend is a series that is calm at base until its onset and goes to peak then;
// two of its samples are missing.
func bend(at time.Time, base, peak float64) []incident.Point {
	var points []incident.Point
	for i := range 96 {
		t := onset.Add(-10*time.Minute + time.Duration(i)*10*time.Second)
		wave := math.Sin(float64(i)*1.7)*0.6 + math.Sin(float64(i)*0.43)
		v := base * (1 + 0.04*wave)
		if d := t.Sub(at).Seconds(); d >= 0 {
			v = peak - (peak-v)*math.Exp(-d/60) + base*0.06*wave
		}
		p := incident.Point{Time: t, Value: v, Expected: base * (1 + 0.02*math.Sin(float64(i)*0.43)),
			Lower: base * 0.82, Upper: base * 1.18, Score: max(0, (v-base)/base)}
		if i == 40 || i == 41 {
			p.Value = math.NaN()
		}
		points = append(points, p)
	}
	return points
}

func anomaly(rule, service string, signal incident.Signal, unit string, after time.Duration, base, peak, score float64) incident.Anomaly {
	at := onset.Add(after)
	return incident.Anomaly{Rule: rule, Series: `{service="` + service + `"}`, Service: topology.Service(service), Signal: signal, Kind: "shift", Up: peak > base,
		Onset: at, Value: peak, Expected: base, Score: score, Unit: unit, Trail: bend(at, base, peak)}
}

func openIncident() *incident.Incident {
	rollout := change.Change{ID: "c1", Time: onset.Add(-40 * time.Second), Service: "payments", Kind: "deploy", From: "1.4.2", To: "1.5.0", Title: "payments 1.5.0: new settlement query"}
	innocent := change.Change{ID: "c2", Time: onset.Add(-3 * time.Minute), Service: "inventory", Kind: "deploy", From: "7.0.3", To: "7.1.0"}
	return &incident.Incident{
		ID: "20260314-021410-7c2f", State: incident.Open, Severity: incident.Page, Onset: onset, Opened: onset.Add(45 * time.Second), Known: true,
		Causes: []incident.Candidate{
			{Service: "payments", Confidence: 0.86, Onset: onset, Reason: "payments: latency (PaymentsLatency) rose to 1.42 s, expected 84 ms, from 02:14:10, 40s after its deploy 1.5.0; of what it calls only its own database queries are slow"},
			{Service: "payments-db", Confidence: 0.11, Onset: onset.Add(12 * time.Second), Reason: "its pool is in use to 100 %, but 12 s after payments became slow, and only payments waits for it"},
			{Service: "checkout", Confidence: 0.02, Onset: onset.Add(31 * time.Second), Reason: "explained by payments, which it calls"},
		},
		Effects: []incident.Effect{
			{Service: "payments-db", Onset: onset.Add(12 * time.Second), Offset: 12 * time.Second, What: "connection pool 41 % → 100 % in use"},
			{Service: "checkout", Onset: onset.Add(31 * time.Second), Offset: 31 * time.Second, What: "p90 latency 190 ms → 3.1 s; retries of payments doubled", Suffers: true},
			{Service: "frontend", Onset: onset.Add(47 * time.Second), Offset: 47 * time.Second, What: "errors 0.1 % → 18 % of requests", Suffers: true},
		},
		Changes: []incident.Attribution{
			{Change: rollout, Suspect: true, Reason: "rolled out on the service that fails first, 40 s before its latency left the band"},
			{Change: innocent, Reason: "inventory is healthy on all 4 of its series, and nothing that fails is called by it"},
		},
		Rollback: &incident.Rollback{Change: rollout, Text: "roll payments back to 1.4.2", Command: "kubectl -n shop rollout undo deployment/payments"},
		Harm:     []string{"frontend: 18 % of requests fail (normally 0.1 %)", "alert CheckoutSLOBurn fires"},
		NotPaged: []string{"CheckoutLatencyHigh on checkout, since 02:14:55", "DatabaseConnectionsHigh on payments-db, since 02:15:10", "FrontendErrors on frontend, since 02:15:20"},
		Anomalies: []incident.Anomaly{
			anomaly("PaymentsLatency", "payments", incident.Latency, "seconds", 0, 0.084, 1.42, 6.8),
			anomaly("PoolInUse", "payments-db", incident.Saturation, "ratio", 12*time.Second, 0.41, 1, 5.2),
			anomaly("CheckoutLatency", "checkout", incident.Latency, "seconds", 31*time.Second, 0.19, 3.1, 6.1),
			anomaly("FrontendErrors", "frontend", incident.Errors, "ratio", 47*time.Second, 0.001, 0.18, 7.9),
			anomaly("FrontendTraffic", "frontend", incident.Traffic, "", 70*time.Second, 240, 171, 2.2),
		},
		Services: []topology.Service{"checkout", "frontend", "payments", "payments-db"}, Last: now,
		Sent: []incident.Sent{{Severity: incident.Page, Time: onset.Add(45 * time.Second), Labels: map[string]string{
			"alertname": "ForeshockIncident", "incident": "20260314-021410-7c2f", "service": "payments", "severity": "page", "generator": "foreshock"}}},
		Log: []incident.Note{
			{Time: onset.Add(15 * time.Second), Text: "formed: payments latency is out of its normal"},
			{Time: onset.Add(31 * time.Second), Text: "checkout joined: it calls payments"},
			{Time: onset.Add(45 * time.Second), Text: "opened as page: frontend suffers; cause payments (86 %)"},
			{Time: onset.Add(80 * time.Second), Text: "alert FrontendErrors fires: an effect, not paged"},
		},
	}
}

func resolvedIncident() *incident.Incident {
	at := onset.Add(-31 * time.Hour)
	return &incident.Incident{
		ID: "20260312-191410-0b11", State: incident.Resolved, Severity: incident.Ticket, Onset: at, Opened: at.Add(time.Minute), Resolved: at.Add(52 * time.Minute), Why: "quiet for 15 minutes",
		Causes:  []incident.Candidate{{Service: "search", Confidence: 0.31, Onset: at, Reason: "latency rose to 420 ms, expected 160 ms"}, {Service: "catalog", Confidence: 0.28, Onset: at.Add(5 * time.Second), Reason: "saturation rose to 83 %, expected 55 %"}},
		Effects: []incident.Effect{{Service: "search", Onset: at, What: "latency up", Suffers: true}},
		Anomalies: []incident.Anomaly{{Rule: "SearchLatency", Series: `{service="search"}`, Service: "search", Signal: incident.Latency, Onset: at, End: at.Add(35 * time.Minute),
			Value: 0.42, Expected: 0.16, Score: math.NaN(), Doubts: []string{"short history"}}},
		Sent: []incident.Sent{{Severity: incident.Ticket, Time: at.Add(time.Minute), Labels: map[string]string{"alertname": "ForeshockIncident", "severity": "ticket"}}},
	}
}

func shopRules() []RuleGroup {
	detect := func(name, query string, signal incident.Signal, anomalies int) Rule {
		r := Rule{Kind: Detect, Name: name, Query: query, Health: HealthOK, LastEvaluation: now.Add(-4 * time.Second), Duration: 3200 * time.Microsecond,
			Signal: string(signal), Detector: "spike", Series: 12, Anomalies: anomalies, Labels: map[string]string{"team": "shop"},
			Command: `curl -G 'http://127.0.0.1:9090/api/v1/query' --data-urlencode 'query=` + query + `' --data-urlencode time=2026-03-14T02:20:26Z`}
		for i := range 25 {
			r.Evaluations = append(r.Evaluations, Evaluation{Time: now.Add(-time.Duration(4+15*i) * time.Second), Duration: 3 * time.Millisecond, Series: 12, Anomalies: max(0, anomalies-i)})
		}
		return r
	}
	failing := detect("FrontendTraffic", `sum by (service) (rate(http_requests_total[1m]))`, incident.Traffic, 1)
	failing.Health, failing.LastError = HealthErr, "query timed out after 10s: the source did not answer"
	failing.Evaluations[0].Error = failing.LastError
	return []RuleGroup{
		{File: "rules/shop.yml", Name: "checkout", Interval: 15 * time.Second, LastEvaluation: now.Add(-4 * time.Second), Duration: 41 * time.Millisecond, Missed: 2, Rules: []Rule{
			detect("PaymentsLatency", `histogram_quantile(0.9, sum by (service, le) (rate(http_request_duration_seconds_bucket{service="payments"}[1m])))`, incident.Latency, 1),
			detect("PoolInUse", `db_pool_in_use / db_pool_size`, incident.Saturation, 1), failing,
			{Kind: Record, Name: "service:requests:rate1m", Query: `sum by (service) (rate(http_requests_total[1m]))`, Health: HealthOK, LastEvaluation: now.Add(-4 * time.Second), Duration: 900 * time.Microsecond},
			{Kind: AlertOn, Name: "CheckoutSLOBurn", Labels: map[string]string{"severity": "page"}, Query: `slo:burn:rate5m > 14.4`, Health: HealthOK, State: "firing", For: 2 * time.Minute, LastEvaluation: now.Add(-4 * time.Second),
				Alerts: []RuleAlert{{Labels: map[string]string{"alertname": "CheckoutSLOBurn", "service": "checkout"}, State: "firing", ActiveAt: onset.Add(time.Minute), Value: 31.5}}},
		}},
		{File: "rules/infra.yml", Name: "empty", Interval: time.Minute},
	}
}

func shopTargets() []TargetPool {
	target := func(service string, health Health, err string) Target {
		return Target{URL: "http://127.0.0.1:9100/" + service + "/metrics", Health: health, LastScrape: now.Add(-time.Second), Duration: 2100 * time.Microsecond, Error: err,
			Labels: map[string]string{"job": "shop", "service": service, "instance": "127.0.0.1:9100"}, Interval: time.Second, Timeout: time.Second}
	}
	return []TargetPool{{Job: "shop", Targets: []Target{target("frontend", HealthUp, ""), target("checkout", HealthUp, ""), target("payments", HealthUp, ""),
		target("inventory", HealthDown, `Get "http://127.0.0.1:9100/inventory/metrics": dial tcp 127.0.0.1:9100: connect: connection refused`)},
		Dropped: []map[string]string{{"__address__": "old:80"}}, DroppedCount: 3}}
}

// shopOptions is a server in the middle of the night's incident.
func shopOptions() Options {
	incidents := []*incident.Incident{openIncident(), resolvedIncident()}
	changes := []change.Change{openIncident().Changes[0].Change, openIncident().Changes[1].Change}
	return Options{
		Now:       func() time.Time { return now },
		Incidents: func() []*incident.Incident { return incidents },
		Graph:     shopGraph,
		Changes: func(since time.Time) []change.Change {
			var list []change.Change
			for _, c := range changes {
				if !c.Time.Before(since) {
					list = append(list, c)
				}
			}
			return list
		},
		DecodeChange: func(r io.Reader) ([]change.Change, error) {
			var body struct {
				change.Change
				Services []topology.Service `json:"services"`
			}
			if err := json.NewDecoder(r).Decode(&body); err != nil {
				return nil, err
			}
			var list []change.Change
			for _, s := range append(body.Services, body.Service) {
				if body.Change.Service = s; s != "" {
					list = append(list, body.Change)
				}
			}
			if len(list) == 0 {
				return nil, errors.New("a change needs a service")
			}
			return list, nil
		},
		AddChange: func(_ context.Context, c change.Change) error {
			switch c.Service {
			case "full":
				return errors.New("the journal cannot be written")
			case "second":
				return fmt.Errorf("change %q: %w", c.ID, change.ErrTaken{By: "first"})
			}
			return nil
		},
		ChangesToken: "s3cret",
		Rules:        shopRules, Targets: shopTargets,
		Status: func() Status {
			return Status{Version: "0.1.0", Revision: "abc123", GoVersion: "go1.26", Mode: PageMode, Started: now.Add(-50 * time.Hour), Source: "local",
				Alertmanagers: []Alertmanager{{URL: "http://alertmanager:9093"}}, Ready: true, Fraction: -1, ConfigFile: "foreshock.yml", LastReload: now.Add(-50 * time.Hour), Retention: "15d"}
		},
		Ready: func() (bool, string) { return true, "" },
		Query: func(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
			return answer(ctx, expr, ts)
		},
		QueryRange: func(ctx context.Context, expr string, start, end time.Time, _ time.Duration) (parser.Value, annotations.Annotations, error) {
			v, notes, err := answer(ctx, expr, start)
			if vec, ok := v.(promql.Vector); ok && err == nil {
				m := promql.Matrix{}
				for _, s := range vec {
					m = append(m, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{T: start.UnixMilli(), F: s.F}, {T: end.UnixMilli(), F: math.Inf(1)}}})
				}
				return m, notes, nil
			}
			return v, notes, err
		},
		Exemplars: func(_ context.Context, expr string, _, _ time.Time) ([]exemplar.QueryResult, error) {
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
				return nil, err
			}
			return []exemplar.QueryResult{{SeriesLabels: labels.FromStrings("service", "payments"),
				Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", "abc"), Value: 1.5, Ts: onset.UnixMilli()}}}}, nil
		},
		Latest: func(_ context.Context, matches []string, at time.Time) (promql.Vector, error) {
			for _, m := range matches {
				if _, err := parser.NewParser(parser.Options{}).ParseMetricSelector(m); err != nil {
					return nil, err
				}
			}
			return promql.Vector{{T: at.UnixMilli(), F: 1, Metric: labels.FromStrings("__name__", "up", "service", "payments")}}, nil
		},
		ConfigText: func() string { return "global: {}\n" },
		Flags:      map[string]string{"config.file": "foreshock.yml"},
		TSDB: func(limit int) (TSDBStatus, error) {
			one := []TSDBStat{{Name: "up", Value: 7}}
			return TSDBStatus{HeadStats: TSDBHead{NumSeries: 7}, SeriesCountByMetricName: one, LabelValueCountByLabelName: one,
				MemoryInBytesByLabelName: one, SeriesCountByLabelValuePair: one[:min(limit, 1)]}, nil
		},
		Reload: func(context.Context) error { return nil }, Quit: func() {},
		Gatherer: prometheus.NewRegistry(),
	}
}

// answer evaluates the few expressions that the tests ask.
func answer(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	t := ts.UnixMilli()
	switch expr {
	case "1":
		return promql.Scalar{T: t, V: 1}, nil, nil
	case `"text"`:
		return promql.String{T: t, V: "text"}, nil, nil
	case "up":
		return promql.Vector{{T: t, F: 1, Metric: labels.FromStrings("__name__", "up", "service", "payments")},
			{T: t, F: math.NaN(), Metric: labels.FromStrings("__name__", "up", "service", `<script>"`)}}, nil, nil
	case "slow":
		<-ctx.Done()
		return nil, nil, promql.ErrQueryTimeout("expression evaluation")
	case "storage":
		return nil, nil, promql.ErrStorage{Err: errors.New("disk on fire")}
	case "many":
		return nil, nil, errors.New("found duplicate series for the match group")
	}
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
		return nil, nil, err
	}
	return promql.Vector{}, nil, nil
}

// serve makes a handler with changed options.
func serve(t testing.TB, change ...func(*Options)) http.Handler {
	t.Helper()
	o := shopOptions()
	for _, f := range change {
		f(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// ask sends a request; a body makes it a form or JSON, as it looks.
func ask(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}
