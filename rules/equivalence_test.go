package rules

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
)

// inputs is what the rule files below read, one value a minute.
const inputs = `
up{job="web", instance="a"} 1x5 0x20 1x30
up{job="web", instance="b"} 1x20 0x3 1x3 0x3 1x20
up{job="api", instance="c"} 1x10 _x10 1x30
up{job="db", instance="d"} 1x12 stale _x8 1x30
http_requests_total{job="job1", cluster="cluster1", namespace="namespace1"} 0+30x50
http_requests_total{job="job1", cluster="cluster2", namespace="namespace2"} 0+10x20 0+10x30
http_requests{job="app-server", group="canary", instance="0"} 0+70x50
http_requests{job="app-server", group="canary", instance="1"} 0+80x50
errors_total{job="x"} 0+1x50
requests_total{job="web", code="200"} 0+60x50
requests_total{job="web", code="500"} 0+1x10 11+30x40
requests_total{job="api", code="200"} 0+40x20 _x5 0+40x20
requests_total{job="api", code="500"} 0+0x50
disk_size_bytes{instance="a"} 1000x50
disk_free_bytes{instance="a"} 900-18x45
last_seen_seconds{instance="a"} 946684800+60x20 946686000x20 946688400+60x5
cpu_seconds_total{instance="a", cpu="0", mode="idle"} 0+50x50
cpu_seconds_total{instance="a", cpu="1", mode="idle"} 0+10x50
pod_owner{pod="p1", owner_name="web-5f"} 1x50
restarts_total{pod="p1"} 0x10 0+1x10 10x30
replicas_wanted{owner="web"} 3x50
replicas_ready{owner="web"} 3x10 2x20 3x20
latency_bucket{job="web", le="0.1"} 0+50x20 1000+1x30
latency_bucket{job="web", le="0.5"} 0+55x20 1100+10x30
latency_bucket{job="web", le="1"} 0+59x20 1180+40x30
latency_bucket{job="web", le="+Inf"} 0+60x50
`

// load writes the inputs from a time on.
func load(t testing.TB, s *teststorage.TestStorage, from time.Time) {
	t.Helper()
	app := s.Appender(context.Background())
	for line := range strings.Lines(strings.TrimSpace(inputs)) {
		ls, values, err := newPromQLParser().ParseSeriesDesc(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for i, v := range values {
			if v.Omitted {
				continue
			}
			if _, err := app.Append(0, ls, from.Add(time.Duration(i)*time.Minute).UnixMilli(), v.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// side is one of the two engines with a store of its own.
type side struct {
	store *teststorage.TestStorage
	reg   *prometheus.Registry

	mu       sync.Mutex
	notified []string
}

func (s *side) notify(_ context.Context, expr string, alerts ...*promrules.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range alerts {
		s.notified = append(s.notified, fmt.Sprintf("%s %s %s %s %s value %v active %s fired %s resolved %s valid until %s",
			clock(time.Now()), expr, a.State, a.Labels, a.Annotations, a.Value, clock(a.ActiveAt), clock(a.FiredAt), clock(a.ResolvedAt), clock(a.ValidUntil)))
	}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04:05.000")
}

// query answers from the side's store. slow is how long a query takes.
func (s *side) query(slow func() time.Duration) promrules.QueryFunc {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Hour, LookbackDelta: 5 * time.Minute, Parser: newPromQLParser(), EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() }})
	ask := promrules.EngineQueryFunc(engine, s.store)
	return func(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
		if slow != nil {
			time.Sleep(slow())
		}
		return ask(ctx, expr, ts)
	}
}

// told is what the side notified, in the order of time.
func (s *side) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.notified)
	return strings.Join(s.notified, "\n")
}

// counted are the metrics that Prometheus has of its rules, without durations.
func (s *side) counted(t *testing.T) string {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		switch f.GetName() {
		case "prometheus_rule_evaluations_total", "prometheus_rule_evaluation_failures_total", "prometheus_rule_group_iterations_total",
			"prometheus_rule_group_iterations_missed_total", "prometheus_rule_group_rules", "prometheus_rule_group_last_evaluation_samples", "prometheus_rule_group_interval_seconds":
			for _, m := range f.GetMetric() {
				out = append(out, fmt.Sprintf("%s %v %v", f.GetName(), m.GetLabel(), m.GetCounter().GetValue()+m.GetGauge().GetValue()))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// stage is a span of a run: with which file, and what the queries cost.
type stage struct {
	file string // its path; all stages of a run share one
	text string
	slow func() time.Duration
	// down is how long nothing runs before the stage begins; below 0: the
	// managers of the stage before go on and take the file over.
	down, span time.Duration
}

// duel runs stages with both engines at the same time and compares all that
// they write, send and count.
func duel(t *testing.T, stages ...stage) (series string) {
	t.Helper()
	sides := [2]*side{}
	for i := range sides {
		sides[i] = &side{store: teststorage.New(t)} // its goroutines live outside of the bubble
		defer sides[i].store.Close()
	}
	external, outside := labels.FromStrings("region", "eu"), &url.URL{Scheme: "http", Host: "foreshock.example.org", Path: "/"}
	synctest.Test(t, func(t *testing.T) {
		for _, s := range sides {
			load(t, s.store, time.Now())
		}
		var update func(text string)
		stop := func() {}
		for _, st := range stages {
			if st.down >= 0 {
				stop()
				time.Sleep(st.down)
				update, stop = start2(t, sides, st, external, outside)
			} else {
				update(st.text)
			}
			time.Sleep(st.span)
			synctest.Wait()
		}
		stop()
		// In the bubble, since summaries would live through the years since its time.
		sameLines(t, "metrics", sides[1].counted(t), sides[0].counted(t))
	})
	theirs, ours := bench{TB: t, storage: sides[0].store}, bench{TB: t, storage: sides[1].store}
	all := `{__name__!=""}`
	series = theirs.stored(all)
	sameLines(t, "series", ours.stored(all), series)
	sameLines(t, "alerts sent", sides[1].told(), sides[0].told())
	if strings.Contains(stages[0].text, "alert: Down") && (len(sides[0].notified) < 2 || strings.Count(series, "ALERTS") < 2) {
		t.Errorf("only %d alerts were sent: what is compared?", len(sides[0].notified))
	}
	return series
}

// start2 starts Prometheus's manager and ours over the same file.
func start2(t *testing.T, sides [2]*side, st stage, external labels.Labels, outside *url.URL) (update func(string), stop func()) {
	t.Helper()
	for _, s := range sides {
		s.reg = prometheus.NewRegistry()
	}
	prom := promrules.NewManager(&promrules.ManagerOptions{
		QueryFunc: sides[0].query(st.slow), NotifyFunc: sides[0].notify, Appendable: sides[0].store, Queryable: sides[0].store,
		ExternalURL: outside, Context: t.Context(), Logger: promslog.NewNopLogger(), Registerer: sides[0].reg, Parser: newPromQLParser(),
		OutageTolerance: time.Hour, ForGracePeriod: 2 * time.Minute, ResendDelay: time.Minute,
		DefaultRuleQueryOffset: func() time.Duration { return 0 },
	})
	our, err := New(Options{
		Query: sides[1].query(st.slow), Notify: sides[1].notify, Appendable: sides[1].store, Queryable: sides[1].store,
		ExternalURL: outside, ExternalLabels: external, Registerer: sides[1].reg, Now: time.Now, Context: t.Context(),
		OutageTolerance: time.Hour, ForGracePeriod: 2 * time.Minute, ResendDelay: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	update = func(text string) {
		t.Helper()
		if err := os.WriteFile(st.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := prom.Update(time.Minute, []string{st.file}, external, outside.String(), nil); err != nil {
			t.Fatal(err)
		}
		f, err := ParseFile(st.file, []byte(text), catalogue()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := our.Update([]*File{f}); err != nil {
			t.Fatal(err)
		}
	}
	update(st.text)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { prom.Run(); done <- nil }()
	go func() { done <- our.Run(ctx) }()
	return update, func() {
		cancel()
		prom.Stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}

func sameLines(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range w {
		if !slices.Contains(g, line) {
			t.Errorf("%s: Prometheus alone has\n\t%s", what, line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			t.Errorf("%s: we alone have\n\t%s", what, line)
		}
	}
	if !t.Failed() {
		t.Errorf("%s: in another order\ngot\n%s\nwant\n%s", what, got, want)
	}
}

// ruleFiles are Prometheus's own test files and ours.
func ruleFiles(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dir := strings.TrimSpace(string(out))
	files := map[string]string{}
	for _, pattern := range []string{
		filepath.Join(dir, "rules", "fixtures", "*.yaml"), filepath.Join(dir, "cmd", "promtool", "testdata", "rules.yml"),
		filepath.Join(dir, "config", "testdata", "first.rules"), filepath.Join("testdata", "equivalence", "*.yml"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(path)] = string(text)
		}
	}
	return files
}

// Rule files give in our manager what they give in Prometheus's: every sample
// with its time, every alert that is sent, every count. Files that Prometheus
// refuses are refused.
func TestPrometheusEquivalence(t *testing.T) {
	files := ruleFiles(t)
	if len(files) < 15 {
		t.Fatalf("only %d files: where are Prometheus's?", len(files))
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m := promrules.NewManager(&promrules.ManagerOptions{Parser: newPromQLParser(), Logger: promslog.NewNopLogger(), Registerer: prometheus.NewRegistry()})
			_, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, path)
			_, err := ParseFile(path, []byte(text), catalogue()...)
			if name == "rules_multi_doc.yaml" { // of which Prometheus ignores all but the first document without a word
				if err == nil || !strings.Contains(err.Error(), "a second YAML document") {
					t.Errorf("got %v, want that a second document is refused", err)
				}
				return
			}
			if (err != nil) != (len(errs) > 0) {
				t.Fatalf("ours refuses it: %v; Prometheus: %v", err, errs)
			}
			if len(errs) > 0 {
				return
			}
			series := duel(t, stage{file: path, text: text, span: 45 * time.Minute})
			if n := len(strings.Split(series, "\n")); n < 20 {
				t.Errorf("only %d series were compared", n)
			}
		})
	}
}

// The `for` state comes back after a restart as it does in Prometheus,
// whatever the time that nothing ran.
func TestPrometheusEquivalenceRestart(t *testing.T) {
	text := ruleFiles(t)["alerts.yml"]
	for _, c := range []struct{ at, down time.Duration }{{7 * time.Minute, 0}, {8 * time.Minute, 2 * time.Minute}, {9*time.Minute + 10*time.Second, 90 * time.Second}, {22 * time.Minute, 10 * time.Minute}} {
		t.Run(fmt.Sprintf("%s down at %s", c.down, c.at), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "alerts.yml")
			duel(t, stage{file: path, text: text, span: c.at}, stage{file: path, text: text, down: c.down, span: 15 * time.Minute})
		})
	}
}

// Rules and groups that a reload adds, changes, moves and removes begin and end
// their series as in Prometheus.
func TestPrometheusEquivalenceReload(t *testing.T) {
	const before = `
groups:
- {name: a, interval: 1m, rules: [{record: one, expr: up}, {record: two, expr: sum(up)}, {alert: Down, expr: up == 0, for: 10m}]}
- {name: b, interval: 1m, rules: [{record: three, expr: count(up)}, {alert: Gone, expr: up == 0}]}
`
	for name, after := range map[string]string{
		"a rule less":     `groups: [{name: a, interval: 1m, rules: [{record: two, expr: sum(up)}, {alert: Down, expr: up == 0, for: 10m}]}, {name: b, interval: 1m, rules: [{record: three, expr: count(up)}, {alert: Gone, expr: up == 0}]}]`,
		"a group less":    `groups: [{name: a, interval: 1m, rules: [{record: one, expr: up}, {record: two, expr: sum(up)}, {alert: Down, expr: up == 0, for: 10m}]}]`,
		"another label":   strings.Replace(before, "{record: one, expr: up}", "{record: one, expr: up, labels: {x: y}}", 1),
		"another order":   strings.Replace(before, "{record: one, expr: up}, {record: two, expr: sum(up)}", "{record: two, expr: sum(up)}, {record: one, expr: up}", 1),
		"a rule moved":    `groups: [{name: a, interval: 1m, rules: [{record: two, expr: sum(up)}]}, {name: b, interval: 1m, rules: [{record: three, expr: count(up)}, {record: one, expr: up}, {alert: Down, expr: up == 0, for: 10m}]}]`,
		"another for":     strings.Replace(before, "for: 10m", "for: 3m", 1),
		"the same":        before,
		"another minute":  strings.ReplaceAll(before, "interval: 1m", "interval: 30s"),
		"nothing remains": "groups: []",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rules.yml")
			duel(t, stage{file: path, text: before, span: 9 * time.Minute}, stage{file: path, text: after, down: -1, span: 16 * time.Minute})
		})
	}
}

// Evaluations that take too long are missed, and counted, at the same slots.
func TestPrometheusEquivalenceMissed(t *testing.T) {
	text := `groups: [{name: slow, interval: 1m, rules: [{record: one, expr: up}, {alert: Down, expr: up == 0, for: 3m}]}]`
	path := filepath.Join(t.TempDir(), "rules.yml")
	duel(t, stage{file: path, text: text, span: 45 * time.Minute, slow: func() time.Duration {
		if time.Now().Minute() > 35 {
			return 0 // nothing runs when it ends
		}
		return time.Duration(1+time.Now().Minute()%4) * 25 * time.Second
	}})
}
