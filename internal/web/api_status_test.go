package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// What Prometheus says of itself, as its own client reads it.
func TestClientReadsStatus(t *testing.T) {
	ctx, c := t.Context(), dial(t)
	if got, err := c.Config(ctx); err != nil || got.YAML != "global: {}\n" {
		t.Errorf("Config: %q %v", got.YAML, err)
	}
	if got, err := c.Flags(ctx); err != nil || got["config.file"] != "foreshock.yml" {
		t.Errorf("Flags: %v %v", got, err)
	}
	if got, err := c.Runtimeinfo(ctx); err != nil || !got.ReloadConfigSuccess || got.GOMAXPROCS < 1 || got.StorageRetention != "15d" || got.StartTime.IsZero() {
		t.Errorf("Runtimeinfo: %+v %v", got, err)
	}
	if got, err := c.TSDB(ctx); err != nil || got.HeadStats.NumSeries != 7 || len(got.SeriesCountByMetricName) != 1 || got.SeriesCountByMetricName[0].Name != "up" {
		t.Errorf("TSDB: %+v %v", got, err)
	}
	if got, err := c.WalReplay(ctx); err != nil || got.Max != got.Current {
		t.Errorf("WalReplay: %+v %v", got, err)
	}
	if got, err := c.AlertManagers(ctx); err != nil || len(got.Active) != 1 || got.Active[0].URL != "http://alertmanager:9093" {
		t.Errorf("AlertManagers: %+v %v", got, err)
	}
	if got, err := c.FormatQuery(ctx, `sum   by(a)(up{b="c"})`); err != nil || got != `"sum by (a) (up{b=\"c\"})"` { // the client leaves the quotes
		t.Errorf("FormatQuery: %q %v", got, err)
	}
	if _, err := c.FormatQuery(ctx, `sum(`); err == nil || !strings.Contains(err.Error(), "bad_data") {
		t.Errorf("FormatQuery of no PromQL: %v, want bad_data", err)
	}
	got, err := c.QueryExemplars(ctx, "up", onset, onset.Add(time.Minute))
	if err != nil || len(got) != 1 || got[0].SeriesLabels["service"] != "payments" || len(got[0].Exemplars) != 1 ||
		got[0].Exemplars[0].Labels["trace_id"] != "abc" || got[0].Exemplars[0].Timestamp.Time().UTC() != onset || got[0].Exemplars[0].Value != 1.5 {
		t.Errorf("QueryExemplars: %+v %v", got, err)
	}
	if _, err := c.QueryExemplars(ctx, "up", onset, onset.Add(-time.Minute)); err == nil || !strings.Contains(err.Error(), "must not be before") {
		t.Errorf("QueryExemplars, the end first: %v", err)
	}
	targets, err := c.Targets(ctx)
	if err != nil || len(targets.Dropped) != 1 || targets.Dropped[0].DiscoveredLabels["__address__"] != "old:80" {
		t.Errorf("Targets: dropped %v %v, want one", targets.Dropped, err)
	}
}

func TestStatusLimits(t *testing.T) {
	h := serve(t)
	for target, want := range map[string]int{
		"/api/v1/status/tsdb?limit=1": 200, "/api/v1/status/tsdb?limit=0": 400, "/api/v1/status/tsdb?limit=10001": 400, "/api/v1/status/tsdb?limit=x": 400,
		"/federate": 400, "/federate?match[]={": 400, "/api/v1/query_exemplars?query=sum(": 400,
	} {
		if w := ask(h, http.MethodGet, target, ""); w.Code != want {
			t.Errorf("%s: status %d, want %d\n%s", target, w.Code, want, w.Body)
		}
	}
	bare := serve(t, func(o *Options) { o.ConfigText, o.Flags, o.TSDB, o.Exemplars, o.Latest = nil, nil, nil, nil, nil })
	for target, want := range map[string]int{
		"/api/v1/status/config": 404, "/api/v1/status/flags": 200, "/api/v1/status/tsdb": 404, "/api/v1/query_exemplars?query=up": 404, "/federate?match[]=up": 404,
	} {
		if w := ask(bare, http.MethodGet, target, ""); w.Code != want {
			t.Errorf("%s without what it needs: status %d, want %d", target, w.Code, want)
		}
	}
}

func TestTargetsByState(t *testing.T) {
	h := serve(t)
	for query, want := range map[string][2]int{"": {4, 1}, "?state=any": {4, 1}, "?state=active": {4, 0}, "?state=dropped": {0, 1}, "?state=dropped&scrapePool=none": {0, 0}} {
		data := decode[jsonAny](t, ask(h, "GET", "/api/v1/targets"+query, "")).Data
		if got := [2]int{len(data["activeTargets"].([]any)), len(data["droppedTargets"].([]any))}; got != want {
			t.Errorf("%q: %v active and dropped, want %v", query, got, want)
		}
	}
	data := decode[jsonAny](t, ask(h, "GET", "/api/v1/targets", "")).Data
	if n := data["droppedTargetCounts"].(map[string]any)["shop"]; n != 3.0 {
		t.Errorf("dropped targets of shop: %v, want 3", n)
	}
}

// The filters of rules are Prometheus's.
func TestRuleFilters(t *testing.T) {
	h := serve(t)
	type groups struct {
		Groups []struct {
			Name  string
			Rules []struct{ Alerts []any }
		}
		Next string `json:"groupNextToken"`
	}
	list := func(query string) groups {
		t.Helper()
		w := ask(h, "GET", "/api/v1/rules"+query, "")
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		return decode[groups](t, w).Data
	}
	if g := list("?match[]=" + pathEscape(`{severity="page"}`)); len(g.Groups) != 1 || len(g.Groups[0].Rules) != 1 {
		t.Errorf("rules with severity page: %+v, want one", g)
	}
	if g := list("?match[]=" + pathEscape(`{severity="none"}`)); len(g.Groups) != 0 {
		t.Errorf("rules with severity none: %+v, want none", g)
	}
	if g := list("?type=alert&exclude_alerts=true"); len(g.Groups) != 1 || len(g.Groups[0].Rules[0].Alerts) != 0 {
		t.Errorf("without alerts: %+v", g)
	}
	first := list("?group_limit=1")
	if len(first.Groups) != 1 || first.Next == "" {
		t.Fatalf("one group at a time: %+v, want one and a token", first)
	}
	second := list("?group_limit=1&group_next_token=" + first.Next)
	if len(second.Groups) != 1 || second.Groups[0].Name == first.Groups[0].Name || second.Next != "" {
		t.Errorf("the next group: %+v, want the other one and no token", second)
	}
	for _, bad := range []string{"?match[]=sum(up)", "?exclude_alerts=perhaps", "?group_limit=-1", "?group_next_token=abc", "?group_limit=1&group_next_token=abc"} {
		if w := ask(h, "GET", "/api/v1/rules"+bad, ""); w.Code != 400 {
			t.Errorf("%s: status %d, want 400", bad, w.Code)
		}
	}
}

// What /federate shows is read by Prometheus's own parser, whatever the labels hold.
func TestFederate(t *testing.T) {
	series := func(pairs ...string) labels.Labels { return labels.FromStrings(pairs...) }
	h := serve(t, func(o *Options) {
		o.Latest = func(_ context.Context, matches []string, _ time.Time) (promql.Vector, error) {
			if matches[0] != "anomaly_score" {
				return nil, &parser.ParseErr{Err: errors.New("no")}
			}
			return promql.Vector{
				{Metric: series("__name__", "anomaly_score", "service", "a \"b\"\\ \n<c>", "rule", "R"), T: 1000, F: 2.5},
				{Metric: series("__name__", "anomaly_score", "instance", "x"), T: 2000, F: math.Inf(1)},
				{Metric: series("__name__", "yhat_upper"), T: 2000, F: math.NaN()},
				{Metric: series("__name__", "not legacy"), T: 2000, F: 1},
			}, nil
		}
	})
	w := ask(h, http.MethodGet, "/federate?match[]=anomaly_score", "")
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(w.Body)
	if err != nil || len(families) != 2 || len(families["anomaly_score"].Metric) != 2 {
		t.Fatalf("families: %v %v, want two", families, err)
	}
	m := families["anomaly_score"].Metric[0]
	got := map[string]string{}
	for _, l := range m.Label {
		got[l.GetName()] = l.GetValue()
	}
	if got["service"] != "a \"b\"\\ \n<c>" || got["rule"] != "R" || m.GetTimestampMs() != 1000 || m.GetUntyped().GetValue() != 2.5 {
		t.Errorf("first sample: %v, want its labels and value unchanged", m)
	}
	if v, ok := got["instance"]; !ok || v != "" {
		t.Errorf("labels %v: want an empty instance", got)
	}
}

// A source that does not answer is not a fault of the expression.
func TestUnavailableSource(t *testing.T) {
	h := serve(t, func(o *Options) {
		o.Query = func(context.Context, string, time.Time) (parser.Value, annotations.Annotations, error) {
			return nil, nil, errors.Join(errors.New("source http://x: query up"), gone{})
		}
	})
	if r := decode[jsonAny](t, ask(h, http.MethodGet, "/api/v1/query?query=up", "")); r.ErrorType != "unavailable" {
		t.Errorf("error type %q, want unavailable", r.ErrorType)
	}
}

type gone struct{}

func (gone) Error() string     { return "connection refused" }
func (gone) Unavailable() bool { return true }
