package examples

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/app"
	"github.com/foreshock/foreshock/internal/peers"
)

const selfRules = "self-monitoring/foreshock.rules.yml"

func selfAlerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	b, err := os.ReadFile(selfRules)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(b, false, prommodel.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []rulefmt.Rule
	for _, g := range groups.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// The rules are good for Prometheus, and their tests pass in both programs.
func TestSelfMonitoringRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "foreshock.rules.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), peers.Path(t, "promtool"), args...)
		cmd.Dir = "self-monitoring"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	var out strings.Builder
	if err := app.RuleTests(t.Context(), []string{"self-monitoring/rules_test.yml"}, app.RuleTestOptions{Out: &out}); err != nil {
		t.Errorf("foreshock test: %v\n%s", err, &out)
	}
}

// Each alert has a section in the runbooks that its annotation names, and the other way round.
func TestRunbooks(t *testing.T) {
	b, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections, alerts []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(b), -1) {
		sections = append(sections, m[1])
	}
	tests, err := os.ReadFile("self-monitoring/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range selfAlerts(t) {
		alerts = append(alerts, r.Alert)
		if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/runbooks.md#"+strings.ToLower(r.Alert)) {
			t.Errorf("%s: runbook_url %q, want its section", r.Alert, url)
		}
		if !strings.Contains(string(tests), "name: "+r.Alert+"\n") {
			t.Errorf("%s has no test", r.Alert)
		}
	}
	if !slices.Equal(sections, alerts) {
		t.Errorf("docs/runbooks.md has sections for %q, want %q", sections, alerts)
	}
}

// Each metric that the rules and dashboards read is one that a server really has.
func TestSelfMonitoringMetrics(t *testing.T) {
	names := ownMetrics(t)
	for _, result := range []string{"anomaly_score", "yhat_lower", "yhat_upper", "ALERTS"} {
		names[result] = true // what rules write
	}
	read := func(where, expr string) {
		t.Helper()
		e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
			return
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok && v.Name != "up" && !names[v.Name] {
				t.Errorf("%s: there is no metric %q in %s", where, v.Name, expr)
			}
			return nil
		})
	}
	for _, r := range selfAlerts(t) {
		read(r.Alert, r.Expr)
	}
	queries := dashboardQueries(t)
	for _, where := range slices.Sorted(maps.Keys(queries)) {
		read(where, queries[where])
	}
}

// ownMetrics are the names of all series of /metrics of two running servers, one
// that scrapes and one over a source, with an incident open.
func ownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","service":"shop"},"value":[`, time.Now().Unix(), `,"1"]}]}}`)
	}))
	t.Cleanup(source.Close)
	const rest = "incidents: {interval: 1s, settle: 1s, mode: shadow}\nalerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}\nglobal: {evaluation_interval: 1s}\nrule_files: [rules.yml]\nidentity: [service]\n"
	names := map[string]bool{}
	for _, config := range []string{rest, rest + "source: {url: " + source.URL + "}\n"} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"foreshock.yml": config,
			"rules.yml":     "groups: [{name: g, rules: [{alert: Down, expr: vector(1), labels: {service: shop}}, {detect: Traffic, expr: up, signal: traffic}]}]\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		scrape(t, dir, names)
	}
	return names
}

// scrape runs a server until it has an incident open, and takes in the names of its metrics.
func scrape(t *testing.T, dir string, names map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{
			ConfigFile: filepath.Join(dir, "foreshock.yml"), StoragePath: filepath.Join(dir, "data"), ListenAddress: "127.0.0.1:0", Replicas: 1,
			Out: io.Discard, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Started: func(url string) { started <- url },
		})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server: %v", err)
		}
	}()
	var url string
	select {
	case url = <-started:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
	}
	deadline, tick := time.After(time.Minute), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for seen := false; !seen; {
		select {
		case <-deadline:
			t.Fatal("no incident opened")
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		p := expfmt.NewTextParser(prommodel.UTF8Validation)
		families, err := p.TextToMetricFamilies(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range families {
			names[name] = true
			if f.GetMetric()[0].Histogram != nil || f.GetMetric()[0].Summary != nil {
				names[name+"_bucket"], names[name+"_sum"], names[name+"_count"] = true, true, true
			}
		}
		_, seen = families["foreshock_incidents"]
	}
}
