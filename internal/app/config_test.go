package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// files writes files below a new folder and returns the path of the first.
func files(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, pairs[0])
}

const sampleRules = `groups:
- name: g
  rules:
  - record: a:b
    expr: sum(up)
  - detect: Up
    expr: sum by (service) (up)
    signal: saturation
`

func TestLoadConfig(t *testing.T) {
	path := files(t, "foreshock.yml", `
global:
  evaluation_interval: 20s
  external_labels: {replica: a}
rule_files: [rules/*.yml]
identity: [namespace, service]
topology:
  files: [topology.yml]
  discover:
  - edges: sum by (client, server) (rate(calls_total[5m]))
    caller: client
    callee: server
changes:
  discover:
  - versions: max by (service, version) (build_info)
    version_label: version
scrape_configs:
- job_name: a
  static_configs: [{targets: ['127.0.0.1:1']}]
incidents:
  mode: shadow
  settle: 1m
alerting:
  alertmanagers:
  - static_configs: [{targets: ['127.0.0.1:9093']}]
`, "rules/a.yml", sampleRules, "topology.yml", "services:\n- {name: a, calls: [b], entry: true}\n")
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Engine
	if e.Mode != incident.ModeShadow || e.Settle != time.Minute || e.Hold != 15*time.Minute || e.Interval != 15*time.Second ||
		e.EvaluationInterval != 20*time.Second || len(e.Rules) != 1 || len(e.Edges) != 1 || len(e.Versions) != 1 ||
		e.Versions[0].Kind != "deploy" || len(e.Declared.Nodes) != 2 || len(e.IgnoreAlerts) != 3 || !c.SendAlerts {
		t.Errorf("got %+v", e)
	}
	if len(c.Prometheus.ScrapeConfigs) != 1 || len(c.Prometheus.AlertingConfig.AlertmanagerConfigs) != 1 || e.ExternalLabels.Get("replica") != "a" {
		t.Errorf("Prometheus's blocks: %+v", c.Prometheus)
	}
}

// A query that uses nothing else means what it meant before there was more.
func TestDiscoverQuery(t *testing.T) {
	c, err := ParseConfig("foreshock.yml", []byte("topology:\n  discover: [{edges: 'calls > 0', caller: client, callee: server}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []topology.Discovery{{Edges: "calls > 0", Caller: "client", Callee: "server"}}
	if diff := cmp.Diff(want, c.Engine.Edges, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The item's own relabelling comes before that of all items.
func TestDiscoverRelabel(t *testing.T) {
	c, err := ParseConfig("foreshock.yml", []byte(`topology:
  discover:
    - {edges: a, caller: b, callee: c, relabel: [{source_labels: [x, y], separator: '', regex: 1, target_label: first, replacement: ''}]}
    - {recipe: db-client, caller_labels: {namespace: ns}, match: 'env="prod"'}
  relabel: [{action: LabelDrop, regex: second}]
`))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Engine.Edges[0].Relabel
	if len(r) != 2 || r[0].TargetLabel != "first" || r[0].Separator != "" || r[0].Replacement != "" || len(r[0].SourceLabels) != 2 ||
		r[0].Action != relabel.Replace || r[1].Action != relabel.LabelDrop || r[1].Regex.String() != "second" {
		t.Errorf("got %+v", r)
	}
	if d := c.Engine.Edges[1]; d.Kind != topology.Database || !strings.Contains(d.Edges, `{env="prod"}`) || !strings.Contains(d.Edges, ", ns,") {
		t.Errorf("got %+v", d)
	}
}

// One clear error each, with file, line, column and what to do.
func TestConfigErrors(t *testing.T) {
	f := func(text, want string, more ...string) {
		t.Helper()
		path := files(t, append([]string{"foreshock.yml", text}, more...)...)
		_, err := LoadConfig(path)
		if err == nil {
			t.Errorf("%q: no error, want %s", text, want)
			return
		}
		got := strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
	f("incident:\n  mode: page\n", `foreshock.yml:1:1: unknown block "incident"; did you mean "incidents"?`)
	f("a: 1\nincidents:\n  setle: 1m\n", `foreshock.yml:1:1: unknown block "a"; known are source, packs, identity, topology, changes, incidents, global, rule_files, scrape_configs, scrape_config_files, alerting, remote_write, storage`)
	f("\nincidents:\n  setle: 1m\n", `foreshock.yml:3:3: unknown field "setle"; did you mean "settle"?`)
	f("incidents:\n  mode: loud\n", `foreshock.yml:2:9: mode "loud": want shadow, ticket or page`)
	f("incidents:\n  settle: 0s\n", `foreshock.yml:2:11: settle is 0s: it must be more than zero`)
	f("incidents:\n  false_pages: often\n", `foreshock.yml:2:16: false_pages: false-alarm budget "often": not of the form "EVENTS per DURATION"; expected a number, "per" and a duration, such as "1 per 30d" or "3 per 1w"`)
	f("otlp:\n  x: 1\n", `foreshock.yml:1:1: otlp is not supported yet: remove the block`)
	f("global:\n  scrape_intervall: 5s\n", `foreshock.yml:2:3: unknown field "scrape_intervall"; did you mean "scrape_interval"?`)
	f("identity: [service]\nscrape_configs:\n- job_name: a\n  scrape_intervall: 5s\n", `foreshock.yml:4:3: unknown field "scrape_intervall"; did you mean "scrape_interval"?`)
	f("identity: []\n", `foreshock.yml:1:11: identity: no label: at least one must name a service`)
	f("topology:\n  discover:\n  - edges: sum(rate(\n    caller: a\n    callee: b\n", `foreshock.yml:3:21: edges: PromQL: unclosed left parenthesis`)
	discover := "topology:\n  discover:\n  - "
	f(discover+"recipe: isto\n", `foreshock.yml:3:13: unknown recipe "isto"; did you mean "istio"?`)
	f(discover+"recipe: mesh\n", `foreshock.yml:3:13: unknown recipe "mesh"; known are `+strings.Join(topology.Recipes(), ", "))
	f(discover+"recipe: istio\n    edges: up\n", `foreshock.yml:4:12: edges: the recipe istio has its own queries: leave out one of the two`)
	f(discover+"recipe: istio\n    calee: up\n", `foreshock.yml:4:5: unknown field "calee"; did you mean "callee"?`)
	f(discover+"recipe: istio\n    match: env=prod\n", `foreshock.yml:4:12: match: "env=prod" is no list of label matchers such as env="prod": 1:6: parse error: unexpected identifier "prod" in label matching, expected string`)
	f(discover+"recipe: istio\n    kind: databse\n", `foreshock.yml:4:11: unknown kind "databse"; did you mean "database"?`)
	f(discover+"recipe: istio\n    caller_labels: {zone: a}\n", `foreshock.yml:4:27: caller_labels: "zone" is none of the identity labels before service, which caller gives: ["cluster" "namespace"]`)
	f(discover+"edges: up\n    caller: a\n    callee: b\n    match: a=\"b\"\n", `foreshock.yml:6:12: match: only a recipe has it: write it into the query`)
	f(discover+"recipe: istio\n    relabel: [{regex: '('}]\n", "foreshock.yml:4:23: relabel: regex: error parsing regexp: missing closing ): `^(?s:()$`")
	f(discover+"recipe: istio\n    relabel: [{action: replce}]\n", `foreshock.yml:4:24: relabel: unknown relabel action "replce"`)
	f("topology:\n  relabel: [{source_label: [a]}]\n", `foreshock.yml:2:14: unknown field "source_label"; did you mean "source_labels"?`)
	f("topology:\n  relabel: [{source_labels: [a]}]\n", `foreshock.yml:2:13: relabel: relabel configuration for replace action requires 'target_label' value`)
	f("topology:\n  files: [t.yml]\n", `t.yml:2:21: unknown kind "queu"; did you mean "queue"?`, "t.yml", "services:\n  - {name: a, kind: queu}\n")
	f("topology:\n  files: [gone.yml]\n", `foreshock.yml:2:11: open gone.yml: no such file or directory`)
	f("source: {}\n", `foreshock.yml:1:9: source: url is missing: give the address of a Prometheus-compatible server`)
	f("source: {url: 'http://x'}\nscrape_configs:\n- job_name: a\n", `foreshock.yml:1:9: source and scrape_configs exclude each other: query a server or scrape targets`)
	f("source: {url: 'localhost:9090'}\n", `foreshock.yml:1:15: source: url: want http://host:port or https://host, with the path before /api/v1 where there is one`)
	f("source:\n  url: http://x\n  http_client: {basic_aut: {}}\n", `foreshock.yml:3:17: http_client: unknown field "basic_aut"; did you mean "basic_auth"?`)
	f("rule_files: [a.yml, gone.yml]\n", `foreshock.yml:1:21: rule file: stat gone.yml: no such file or directory`, "a.yml", sampleRules)
	f("rule_files:\n- rules\n", `foreshock.yml:2:3: rule file: rules is a folder: write rules/*.yml`, "rules/a.yml", sampleRules)
	f("{incidents: {mode: page}}\n", `foreshock.yml:1:1: write the top-level blocks on lines of their own, not in {…}`)
	f("incidents:\n  ignore_alerts: ['a=b']\n", `foreshock.yml:2:18: ignore_alerts: "a=b" is neither an alert's name nor a matcher such as severity="info": 1:4: parse error: unexpected identifier "b" in label matching, expected string`)
	f("topology:\n  files: [t.yml]\n", `t.yml:2:15: unknown field "cals"; did you mean "calls"?`, "t.yml", "services:\n  - {name: a, cals: [b]}\n")
}

func TestSameSource(t *testing.T) {
	a, b := &SourceConfig{URL: "http://a"}, &SourceConfig{URL: "http://b"}
	if !sameSource(nil, nil) || sameSource(a, nil) || sameSource(a, b) || !sameSource(a, &SourceConfig{URL: "http://a"}) {
		t.Error("sources are compared wrongly")
	}
}

// Whatever a configuration says: a configuration or an error, and no panic.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("identity: [service]\nincidents: {mode: shadow, hold: 1m}\n"))
	f.Add([]byte("source: {url: http://a:1, http_client: {basic_auth: {username: a}}}\nrule_files: [no/*.yml]\n"))
	f.Add([]byte("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: a, static_configs: [{targets: [b]}]}]\nalerting: {alertmanagers: [{}]}\n"))
	f.Add([]byte("topology: {discover: [{edges: a, caller: b, callee: c}]}\nchanges: {discover: [{kind: deploy, versions: a, version_label: b}]}\n"))
	f.Add([]byte("packs: [http]\nincidents: {ignore_alerts: ['a=~\"(\"'], false_pages: 1 per}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("rule_files")) || bytes.Contains(data, []byte("files:")) || bytes.Contains(data, []byte("_file")) {
			return // it may name any file of this machine
		}
		c, err := ParseConfig(filepath.Join(dir, "foreshock.yml"), data)
		if (c == nil) == (err == nil) {
			t.Errorf("configuration %v and error %v", c, err)
		}
	})
}
