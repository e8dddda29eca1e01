package livecheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"go.uber.org/goleak"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// server has two hours of samples that are a minute apart, of two jobs; pods of
// one live for ten minutes.
func server(t *testing.T) *source.Local {
	t.Helper()
	store, err := source.OpenTemporary(source.TemporaryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	app := store.Store().Appendable.Appender(t.Context())
	for k := range 121 {
		at := now.Add(time.Duration(k-120) * time.Minute)
		list := []labels.Labels{
			labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", "a:1", "namespace", "prod", "service", "cart", "code", "200"),
			labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", "a:1", "namespace", "prod", "service", "cart", "code", "404"),
			labels.FromStrings("__name__", "up", "job", "shop", "instance", "a:1", "namespace", "prod", "service", "cart"),
			labels.FromStrings("__name__", "up", "job", "node", "instance", "b:1"),
			labels.FromStrings("__name__", "load", "job", "node", "instance", "b:1"),
			labels.FromStrings("__name__", "worker_busy", "job", "shop", "service", "worker", "pod", fmt.Sprintf("w-%d", k/10)),
		}
		if k < 90 {
			list = append(list, labels.FromStrings("__name__", "old_total", "job", "shop", "service", "cart"))
		}
		for _, ls := range list {
			v := 1.0
			if strings.HasSuffix(ls.Get("__name__"), "_total") {
				v = float64(60 * k)
			}
			if _, err := app.Append(0, ls, at.UnixMilli(), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return store
}

// options are those of a rule file with the given text, read by a server.
func options(t *testing.T, store *source.Local, text string) Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := rules.ParseFile(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Query: store.Store().Query, Range: store.Store().Range, Now: now, Files: []*rules.File{f},
		Names: func(ctx context.Context) ([]string, error) {
			names, _, err := store.LabelValues(ctx, "__name__", nil, time.Time{}, time.Time{}, 0)
			return names, err
		},
		Service:  func(ls labels.Labels) bool { return ls.Get("service") != "" },
		Identity: []string{"namespace", "service"}, Interval: time.Minute, Own: map[string]bool{"anomaly_score": true},
	}
}

func TestFindings(t *testing.T) {
	store := server(t)
	f := func(rule string, want ...string) {
		t.Helper()
		o := options(t, store, "groups:\n  - name: g\n    rules:\n      - "+strings.ReplaceAll(rule, "\n", "\n        ")+"\n")
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range r.Findings {
			kind := "warning "
			if x.Fails {
				kind = "error "
			}
			got = append(got, kind+strings.TrimPrefix(x.String(), filepath.Dir(o.Files[0].Path)+"/"))
		}
		if len(got) != len(want) || slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
		}) {
			t.Errorf("%s:\n got %q\nwant %q", rule, got, want)
		}
	}
	f("detect: Good\nexpr: sum by (namespace, service) (rate(requests_total[5m]))\nsignal: traffic")
	f("detect: Typo\nexpr: sum by (service, namespace) (rate(request_total[5m]))\nsignal: traffic",
		"warning rules.yml:5:49: Typo: there is no metric request_total; did you mean requests_total?")
	f("detect: Nothing\nexpr: sum by (service, namespace) (rate(oracle_sessions[5m]))\nsignal: traffic",
		"warning rules.yml:5:49: Nothing: there is no metric oracle_sessions: scrape it, or remove the rule")
	f("detect: Gone\nexpr: sum by (service, namespace) (rate(old_total[5m]))\nsignal: traffic",
		"warning rules.yml:5:49: Gone: the metric old_total has no series now; it had some in the last day")
	f("detect: Value\nexpr: |\n  sum by (service, namespace) (\n    rate(requests_total{code=~\"5..\"}[5m]))\nsignal: errors",
		`warning rules.yml:7:18: Value: no series of requests_total match code=~"5..": code is 200, 404. Nothing is wrong if`)
	f("detect: Either\nexpr: sum by (service, namespace) (rate(requests_total{code=~\"5..\"}[5m])) or 0 * sum by (service, namespace) (rate(requests_total[5m]))\nsignal: errors")
	f("detect: Label\nexpr: sum by (service, namespace) (rate(requests_total{kode=\"200\"}[5m]))\nsignal: errors",
		`warning rules.yml:5:49: Label: the series of requests_total have no label kode, which kode="200" asks for`)
	f("detect: Drops\nexpr: sum by (code) (rate(requests_total[5m]))\nsignal: traffic",
		"warning rules.yml:5:15: Drops: the expression drops the label service, which names services: its results take no part in incidents. Add it")
	f("detect: Half\nexpr: sum by (service) (rate(requests_total[5m]))\nsignal: traffic",
		"warning rules.yml:5:15: Half: the expression drops the label namespace, which is part of a service's name")
	f("detect: Never\nexpr: load\nsignal: saturation",
		"warning rules.yml:4:17: Never: no series has the label service, which names services, they have only __name__, instance, job")
	f("detect: Set\nexpr: load\nsignal: saturation\nlabels: {service: node}")
	f("detect: Short\nexpr: sum by (namespace, service) (rate(requests_total[1m]))\nsignal: traffic",
		"error rules.yml:5:49: Short: [1m] over requests_total has never two samples, which are 1m apart (job shop): write [4m]")
	f("detect: Few\nexpr: sum by (namespace, service) (rate(requests_total[2m]))\nsignal: traffic",
		"warning rules.yml:5:49: Few: [2m] over requests_total has few samples, which are 1m apart (job shop): one scrape that fails leaves a gap. Write [4m]")
	f("detect: Churns\nexpr: max by (service, pod) (worker_busy)\nsignal: saturation",
		"warning rules.yml:4:17: Churns: 9 series in a day, and 2 now: the median one lives for 30m, too short to learn from. Aggregate away what changes, or name with by: what stays (pod has 9 values)")
	f("detect: By\nexpr: max by (namespace, service) (requests_total)\nsignal: traffic\nby: [pod]",
		"warning rules.yml:5:15: By: by: the expression drops the label pod, so that all series are one group")
	f("alert: Down\nexpr: sum by (service) (up) < 0\nannotations: {summary: '{{ $labels.job }} at {{ $value }}'}",
		"warning rules.yml:5:15: Down: a template reads the label job, which the expression drops")
	f("alert: Nobody\nexpr: sum by (job) (up) < 0",
		"warning rules.yml:5:15: Nobody: the expression drops the label service, which names services")
	f("alert: Absent\nexpr: absent(no_such_thing)\nlabels: {service: cart, namespace: prod}")
	f("record: a:b\nexpr: requests_total / load",
		"warning rules.yml:5:15: a:b: all selectors have series, and the expression has no result")
	f("record: a:c\nexpr: requests_total / ignoring (code) requests_total",
		"error rules.yml:4:17: a:c: the server refuses the expression: ")
	f("detect: Own\nexpr: max by (namespace, service) (anomaly_score)\nsignal: saturation")
}

// What rules cost, and what their budgets allow.
func TestCost(t *testing.T) {
	o := options(t, server(t), `groups:
  - name: g
    interval: 30s
    rules:
      - detect: Traffic
        expr: sum by (namespace, service, code) (rate(requests_total[5m]))
        signal: traffic
        false_alarms: 1 per 7d
      - record: busy
        expr: max_over_time(avg(worker_busy)[10m:1m])
`)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{
		{Name: "Traffic", File: o.Files[0].Path, Kind: "detect", Series: 2, Samples: 10, Every: 30 * time.Second, Life: 2 * time.Hour, WholeDay: true, Anomalies: 2},
		{Name: "busy", File: o.Files[0].Path, Kind: "record", Series: 1, Samples: 20, Every: 30 * time.Second},
	}
	if !slices.Equal(r.Rules, want) {
		t.Errorf("got\n%+v, want\n%+v", r.Rules, want)
	}
}

// A pack has no text of its own: what is wrong is said where it is chosen, and
// metrics that are not there are no fault.
func TestPackPlace(t *testing.T) {
	o := options(t, server(t), "groups: [{name: g, rules: [{detect: A, expr: no_such_thing, signal: traffic}, {detect: B, expr: load, signal: traffic}]}]\n")
	o.Files[0].Path, o.Files[0].Optional = "pack:x", true
	o.Place = func(file string) Place { return Place{File: "foreshock.yml", Line: 3, Column: 9} }
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 1 || !strings.HasPrefix(r.Findings[0].String(), "foreshock.yml:3:9: B: no series has the label service") {
		t.Errorf("findings %v, want one about B at foreshock.yml:3:9", r.Findings)
	}
}

// A server that does not answer is asked no further.
func TestUnavailable(t *testing.T) {
	o := options(t, server(t), "groups: [{name: g, rules: [{detect: A, expr: load, signal: traffic}, {detect: B, expr: load, signal: traffic}]}]\n")
	asked := 0
	query := o.Query
	o.Query = func(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
		if expr == "load" {
			asked++
			return nil, fmt.Errorf("connection refused: %w", source.ErrUnavailable)
		}
		return query(ctx, expr, at)
	}
	if _, err := Run(t.Context(), o); !errors.Is(err, source.ErrUnavailable) || asked != 1 {
		t.Errorf("error %v after %d queries, want that it is unavailable after one", err, asked)
	}
}

func TestUsual(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: time.Second, 900 * time.Millisecond: time.Second, 14 * time.Second: 15 * time.Second, 40 * time.Second: 30 * time.Second,
		61 * time.Second: time.Minute, time.Hour: 10 * time.Minute,
	} {
		if got := Usual(d); got != want {
			t.Errorf("Usual(%s) = %s, want %s", d, got, want)
		}
	}
}
