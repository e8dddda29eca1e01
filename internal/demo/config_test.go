package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

func testTargets() []Target {
	return []Target{
		{Service: "frontend", Instance: "frontend-1", Address: "127.0.0.1:8080"},
		{Service: "database", Instance: "database-1", Address: "127.0.0.1:8081"},
	}
}

type mainFile struct {
	Global struct {
		ScrapeInterval string `yaml:"scrape_interval"`
	}
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName       string `yaml:"job_name"`
		FileSDConfigs []struct {
			Files []string
		} `yaml:"file_sd_configs"`
	} `yaml:"scrape_configs"`
	Alerting *struct {
		Alertmanagers []struct {
			Scheme        string
			PathPrefix    string `yaml:"path_prefix"`
			StaticConfigs []struct {
				Targets []string
			} `yaml:"static_configs"`
		}
	}
	Topology struct {
		Files    []string
		Discover []struct{ Edges string }
	}
	Changes struct {
		Discover []struct{ Versions string }
	}
}

func render(t *testing.T, o ConfigOptions) (map[string]string, mainFile) {
	t.Helper()
	files, err := Config(o)
	if err != nil {
		t.Fatal(err)
	}
	var main mainFile
	if err := yaml.Unmarshal([]byte(files["foreshock.yml"]), &main); err != nil {
		t.Fatalf("foreshock.yml: %v\n%s", err, files["foreshock.yml"])
	}
	return files, main
}

func TestConfig(t *testing.T) {
	files, main := render(t, ConfigOptions{})
	if main.Alerting != nil {
		t.Errorf("without a URL there is an alerting block: %+v", main.Alerting)
	}
	if main.Global.ScrapeInterval != "1s" {
		t.Errorf("scrape interval is %q, want 1s", main.Global.ScrapeInterval)
	}
	if sc := main.ScrapeConfigs[0]; sc.JobName != Job || files[sc.FileSDConfigs[0].Files[0]] != "[]\n" {
		t.Errorf("scrape config is %+v", main.ScrapeConfigs)
	}
	text, err := TargetsFile(testTargets())
	if err != nil || !strings.Contains(string(text), "127.0.0.1:8081") || !strings.Contains(string(text), `"instance": "database-1"`) {
		t.Errorf("targets file is %s, %v", text, err)
	}
	if _, err := TargetsFile([]Target{{Service: "a", Address: "localhost"}}); err == nil || !strings.Contains(err.Error(), "port") {
		t.Errorf("a target without port: %v", err)
	}
	for _, name := range append(main.RuleFiles, main.Topology.Files...) {
		if files[name] == "" {
			t.Errorf("foreshock.yml names %q, which is not among the files", name)
		}
	}
}

func TestConfigWithAlertmanager(t *testing.T) {
	_, main := render(t, ConfigOptions{
		AlertmanagerURL: "https://alerts.example:9093/am/", ScrapeInterval: 500 * time.Millisecond,
	})
	am := main.Alerting.Alertmanagers[0]
	if am.Scheme != "https" || am.PathPrefix != "/am" || am.StaticConfigs[0].Targets[0] != "alerts.example:9093" {
		t.Errorf("alerting block is %+v", am)
	}
	if main.Global.ScrapeInterval != "500ms" {
		t.Errorf("scrape interval is %q, want 500ms", main.Global.ScrapeInterval)
	}
	_, main = render(t, ConfigOptions{AlertmanagerURL: "http://localhost:9093"})
	if got := main.Alerting.Alertmanagers[0].PathPrefix; got != "" {
		t.Errorf("path prefix is %q, want none", got)
	}
}

func TestConfigErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		options ConfigOptions
		want    string
	}{
		"no scheme":          {ConfigOptions{AlertmanagerURL: "localhost:9093"}, "must be like"},
		"not a URL":          {ConfigOptions{AlertmanagerURL: "http://[::1"}, "URL"},
		"with user":          {ConfigOptions{AlertmanagerURL: "http://me:secret@am:9093"}, "xxxxx"},
		"interval too short": {ConfigOptions{ScrapeInterval: time.Nanosecond}, "interval"},
	} {
		_, err := Config(tc.options)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// TestRulesReadWhatTheShopHas parses every expression of the configuration, and
// wants each metric and each label value in it to be one of the shop's or one
// that an earlier rule records.
func TestRulesReadWhatTheShopHas(t *testing.T) {
	files, main := render(t, ConfigOptions{})
	var rules struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Detect, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(files["rules/shop.yml"]), &rules); err != nil {
		t.Fatal(err)
	}
	simulated := simulate(t, peak, peak.Add(time.Minute), 1, nil)
	known := map[string]bool{}
	for _, s := range simulated.series {
		known[s.labels.Get("__name__")] = true
	}
	promql := parser.NewParser(parser.Options{})
	check := func(rule, text string) {
		expr, err := promql.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			return
		}
		for _, selectors := range parser.ExtractSelectors(expr) {
			for _, m := range selectors {
				if m.Name == "__name__" && !known[m.Value] {
					t.Errorf("%s reads %s, which nobody exposes or recorded before", rule, m.Value)
				}
			}
		}
	}
	names := map[string]bool{}
	for _, r := range rules.Groups[0].Rules {
		name := r.Record + r.Alert + r.Detect
		if name == "" || names[name] {
			t.Errorf("rule %q has no name or that of another one", name)
		}
		names[name] = true
		check(name, r.Expr)
		known[r.Record] = true
	}
	check("topology", main.Topology.Discover[0].Edges)
	check("changes", main.Changes.Discover[0].Versions)
}
