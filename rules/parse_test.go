package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

const whole = `groups:
  - name: checkout
    interval: 15s
    query_offset: 30s
    limit: 100
    labels: {team: shop}
    rules:
      - record: job:rate
        expr: sum by (job) (rate(http_requests_total[1m]))
      - detect: CheckoutLatency
        expr: histogram_quantile(0.9, sum by (service, le) (rate(http_request_duration_seconds_bucket[1m])))
        signal: latency
        detector: {other: {unit: 5, wait: 1m}}
        direction: both
        false_alarms: 2 per 7d
        min_change: {absolute: 0.05, relative: 20%}
        for: 30s
        write: [score]
        unit: ms
        labels: {team: shop}
        annotations: {summary: slow}
      - alert: Down
        expr: up == 0
        for: 5m
`

func TestParseFile(t *testing.T) {
	f, err := ParseFile("a.yml", []byte(whole), catalogue()...)
	if err != nil {
		t.Fatal(err)
	}
	g := f.Groups[0]
	if g.Name != "checkout" || g.Interval != 15*time.Second || *g.QueryOffset != 30*time.Second || g.Limit != 100 || g.Labels["team"] != "shop" {
		t.Errorf("group: got %+v", g)
	}
	if len(g.Rules) != 3 || g.Rules[0].Prometheus.Record != "job:rate" || g.Rules[1].Detection == nil || g.Rules[2].Prometheus.Alert != "Down" {
		t.Fatalf("rules: got %+v", g.Rules)
	}
	d := *g.Rules[1].Detection
	got := fmt.Sprintf("%s %d:%d %s %s %s %+v %s %s %+v %s %v %v %q %v %v", d.File, d.Line, d.Column, d.Name, d.Signal, d.Detector.Name, *d.Options.(*stepOptions),
		d.Direction, d.Budget, d.MinChange, d.For, d.WriteScore, d.WriteBand, d.Unit, d.Labels, d.Annotations)
	want := `a.yml 10:17 CheckoutLatency latency other {Unit:5 Wait:1m0s} both 2 per 1w {Absolute:0.05 Relative:0.2} 30s true false "ms" map[team:shop] map[summary:slow]`
	same(t, "detection rule", got, want)
	same(t, "records", fmt.Sprint(f.Records()), "[job:rate]")
	same(t, "expressions", strings.Join(g.Expressions(), "\n"), `sum by (job) (rate(http_requests_total[1m]))
histogram_quantile(0.9, sum by (service, le) (rate(http_request_duration_seconds_bucket[1m])))
up == 0`)
}

func TestParseDefaults(t *testing.T) {
	for _, tc := range []struct{ signal, want string }{
		{"latency", `spike up 1 per 30d "seconds" true true`},
		{"traffic", `spike both 1 per 30d "" true true`},
		{"errors", `spike up 1 per 30d "" true true`},
		{"saturation", `spike up 1 per 30d "" true true`},
	} {
		f, err := ParseFile("a.yml", []byte("groups: [{name: g, rules: [{detect: D, expr: x, signal: "+tc.signal+"}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		d := f.Groups[0].Rules[0].Detection
		same(t, tc.signal, fmt.Sprintf("%s %s %s %q %v %v", d.Detector.Name, d.Direction, d.Budget, d.Unit, d.WriteScore, d.WriteBand), tc.want)
	}
	f, err := ParseFile("a.yml", []byte("groups: [{name: g, rules: [{detect: D, expr: x, signal: errors, write: []}]}]"))
	if err != nil || f.Groups[0].Rules[0].Detection.WriteScore || f.Groups[0].Rules[0].Detection.WriteBand {
		t.Errorf("write: []: got %+v and %v, want nothing written", f, err)
	}
}

func TestParseErrors(t *testing.T) {
	// The rule's fields begin at line 5.
	rule := func(fields string) string {
		return "groups:\n- name: g\n  rules:\n  - detect: D\n    " + strings.ReplaceAll(fields, "\n", "\n    ") + "\n"
	}
	const good = "signal: errors\nexpr: x\n"
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"unknown field", rule(good + "detectr: spike"), []string{`a.yml:7:5: unknown field "detectr"; did you mean "detect"?`}},
		{"up", rule(good + "by: [service]\nup: y"), []string{`a.yml:8:9: up: says why series are missing, which detector spike does not judge: remove it, or take silence`}},
		{"of", rule(good + "of: sum("), []string{`a.yml:7:13: PromQL: unclosed left parenthesis`}},
		{"of that cannot join", "groups:\n- name: g\n  rules:\n  - {detect: D, signal: errors, expr: sum by (a) (x),\n    of: sum by (b) (y)}\n", []string{`a.yml:5:9: of: its series have the label "b", which those of expr cannot have`}},
		{"two kinds", rule(good + "record: x"), []string{`a.yml:7:5: a rule has one of record, alert and detect`}},
		{"no signal", rule("expr: x"), []string{`a.yml:4:5: signal is missing: it must be latency, traffic, errors or saturation`}},
		{"bad signal", rule("expr: x\nsignal: latncy"), []string{`a.yml:6:13: unknown signal "latncy"; did you mean "latency"?`}},
		{"no expression", rule("signal: errors"), []string{`a.yml:4:5: detection rule "D" has no expression`}},
		{"no name", "groups:\n- name: g\n  rules:\n  - detect:\n    expr: x\n    signal: errors\n", []string{`a.yml:4:12: the detection rule has no name`}},
		{"direction", rule(good + "direction: left"), []string{`a.yml:7:16: unknown direction "left"; known are up, down, both`}},
		{"detector", rule(good + "detector: spyke"), []string{`a.yml:7:15: unknown detector "spyke"; did you mean "spike"?`}},
		{"no such detector", rule(good + "detector: zzz"), []string{`a.yml:7:15: unknown detector "zzz"; known are other, spike`}},
		{"two detectors", rule(good + "detector: {spike: , other: }"), []string{`a.yml:7:15: expected the name of a detector, its name with options`}},
		{"unknown part of a mean", rule(good + "detector: [spike, othr]"), []string{`a.yml:7:23: unknown detector "othr"; did you mean "other"?`}},
		{"options of a part", rule(good + "detector: [spike, {other: {unit: -5}}]"), []string{`a.yml:7:31: detector other: unit is -5`}},
		{"mean of the same", rule(good + "detector: [spike, spike]"), []string{`a.yml:7:15: detector spike is there twice with the same options`}},
		{"mean of none", rule(good + "detector: []"), []string{`a.yml:7:15: a mean is taken of 2 to 8 detectors, not of 0`}},
		{"mean of a mean", rule(good + "detector: [spike, [other, spike]]"), []string{`a.yml:7:23: a list within a list of detectors`}},
		{"option", rule(good + "detector: {spike: {unti: 5}}"), []string{`a.yml:7:24: unknown field "unti"; did you mean "unit"?`}},
		{"option values", rule(good + "detector:\n  spike:\n    unit: -5"), []string{`a.yml:9:9: detector spike: unit is -5; it must be above zero`}},
		{"budget", rule(good + "false_alarms: often"), []string{`a.yml:7:19: false-alarm budget "often"`}},
		{"share", rule(good + "min_change: {relative: much}"), []string{`a.yml:7:28: expected a share above zero such as 20% or 0.2, not "much"`}},
		{"negative change", rule(good + "min_change: {absolute: -1}"), []string{`a.yml:7:17: min_change: absolute is -1: it must be above zero`}},
		{"for", rule(good + "for: 5"), []string{`a.yml:7:10: expected a duration such as 30s, 5m or 1h30m, not "5"`}},
		{"write", rule(good + "write: [score, bands]"), []string{`a.yml:7:20: unknown result "bands"; did you mean "band"?`}},
		{"label", rule(good + "labels: {rule: x}"), []string{`a.yml:7:14: label "rule" is set by Foreshock itself`}},
		{"label name", rule(good + "labels: {__name__: x}"), []string{`a.yml:7:14: "__name__" is no label name`}},
		{"PromQL", rule("signal: errors\nexpr: rate(x[5m)"), []string{`a.yml:6:20: PromQL: unexpected`}},
		{"PromQL in a block", rule("signal: errors\nexpr: |\n  sum(\n    rate(x)\n  )"), []string{`a.yml:8:14: PromQL: expected type range vector`}},
		{"range vector", rule("signal: errors\nexpr: x[5m]"), []string{`a.yml:6:11: the expression returns a range vector`}},
		{"string", rule("signal: errors\nexpr: '\"x\"'"), []string{`a.yml:6:11: the expression returns a string`}},
		{"typo of the kind", "groups:\n- name: g\n  rules:\n  - detct: D\n    expr: x\n", []string{`a.yml:4:5: unknown field "detct"; did you mean "detect"?`}},
		{"no kind", "groups:\n- name: g\n  rules:\n  - expr: x\n", []string{`a.yml:4:5: expected a rule: a mapping with one of the fields record, alert and detect`}},
		{"no group name", "groups:\n- rules: []\n", []string{`a.yml:2:3: the group has no name`}},
		{"group twice", "groups:\n- name: a\n- name: a\n", []string{`a.yml:3:3: group "a" is repeated in this file: the first is at line 2`}},
		{"rule twice", rule(good) + "  - detect: D\n    expr: x\n    signal: errors\n", []string{`a.yml:8:13: detection rule "D" is also at a.yml:4:13`}},
		{"group field", "groups:\n- name: a\n  intervall: 1m\n", []string{`a.yml:3:3: unknown field "intervall"; did you mean "interval"?`}},
		{"top level", "gruops: []\n", []string{`a.yml:1:1: unknown field "gruops"; did you mean "groups"?`}},
		{"Prometheus's check", "groups:\n- name: a\n  rules:\n  - record: a b\n    expr: x\n    for: 5m\n", []string{`a.yml:4:13: rule "a b": invalid field 'for' in recording rule`}},
		{"Prometheus's PromQL", "groups:\n- name: a\n  rules:\n  - detect: D\n    expr: x\n    signal: errors\n  - record: r\n    expr: sum(\n", []string{`a.yml:8:15: PromQL: unclosed left parenthesis`}},
		{"Prometheus's field", "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: x\n    fro: 5m\n", []string{`a.yml:6:5: unknown field "fro"; did you mean "for"?`}},
		{"all at once", rule("signal: x\nexpr: )") + "  - record: r\n    nope: 1\n", []string{`PromQL`, `unknown signal "x"`, `unknown field "nope"`}},
		{"syntax", "groups:\n- name: [\n", []string{`a.yml:2:1: did not find expected node content`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseFile("a.yml", []byte(tc.text), catalogue()...)
			if err == nil {
				t.Fatalf("no error; want %q", tc.want)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(tc.want), err)
			}
			for i, w := range tc.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("error %d:\n got %s\nwant %s", i, lines[i], w)
				}
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	detect := func(name string) string {
		return "groups: [{name: g, rules: [{detect: " + name + ", expr: x, signal: errors}]}]\n"
	}
	write("b.yml", detect("B"))
	write("a.yml", detect("A"))
	files, err := Load([]string{"*.yml", "b.yml", "none*.yml"}, dir)
	if err != nil || len(files) != 2 || filepath.Base(files[0].Path) != "a.yml" {
		t.Fatalf("got %v and %v, want a.yml and b.yml once each", files, err)
	}
	write("c.yml", detect("A"))
	write("d.yml", "groups: 5\n")
	write("e.yml", "groups: [{}]\n")
	_, err = Load([]string{"*.yml", "missing.yml", "[", filepath.Join(dir, "a.yml")}, dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"missing.yml does not exist", "syntax error in pattern", "d.yml:1:9: expected a list", "e.yml:1:10: the group has no name",
		`c.yml:1:37: detection rule "A" is also at ` + filepath.Join(dir, "a.yml") + ":1:37"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

// A file without detection rules is taken exactly where Prometheus takes it,
// and as the same.
func checkAgainstPrometheus(t *testing.T, text string) {
	t.Helper()
	f, err := ParseFile("a.yml", []byte(text), catalogue()...)
	want, wantErrs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, newPromQLParser(), slog.New(slog.DiscardHandler))
	if err != nil {
		return // only refusing what Prometheus takes would be wrong: see FuzzParseFile
	}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Detection != nil {
				return
			}
		}
	}
	if len(wantErrs) > 0 {
		t.Fatalf("%q was taken, but Prometheus says %v", text, wantErrs)
	}
	var got rulefmt.RuleGroups
	for _, g := range f.Groups {
		rg := rulefmt.RuleGroup{Name: g.Name, Interval: model.Duration(g.Interval), QueryOffset: (*model.Duration)(g.QueryOffset), Limit: g.Limit, Labels: g.Labels}
		for _, r := range g.Rules {
			rg.Rules = append(rg.Rules, *r.Prometheus)
		}
		got.Groups = append(got.Groups, rg)
	}
	if diff := cmp.Diff(fmt.Sprintf("%+v", dropPointers(*want)), fmt.Sprintf("%+v", dropPointers(got))); diff != "" {
		t.Fatalf("%q: -Prometheus +ours:\n%s", text, diff)
	}
}

// dropPointers makes groups comparable as text.
func dropPointers(g rulefmt.RuleGroups) []string {
	var out []string
	for _, g := range g.Groups {
		offset := "none"
		if g.QueryOffset != nil {
			offset = g.QueryOffset.String()
		}
		out = append(out, fmt.Sprintf("%q %s %s %d %v %+v", g.Name, g.Interval, offset, g.Limit, g.Labels, g.Rules))
	}
	return out
}

const prometheusFile = `# A file as Prometheus has it.
groups:
- name: node
  interval: 1m
  rules: &rules
  - record: instance:node_cpu:rate5m
    expr: |
      sum by (instance) (
        rate(node_cpu_seconds_total{mode!="idle"}[5m])
      )
    labels: &l
      severity: 1
      on: true
  - alert: "HighLoad"
    expr: >-
      node_load1
        > 5
    for: 1h30m
    keep_firing_for: 5m
    labels: {<<: *l, severity: page}
    annotations:
      summary: '{{ $labels.instance }} is loaded'
- name: empty
- name: again
  query_offset: 1m
  limit: 5
  rules: *rules
---
`

func TestPrometheusFile(t *testing.T) {
	text := []byte(prometheusFile)
	if _, errs := rulefmt.Parse(text, false, model.UTF8Validation, newPromQLParser(), slog.New(slog.DiscardHandler)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, err := ParseFile("a.yml", text); err != nil {
		t.Fatal(err)
	}
	checkAgainstPrometheus(t, prometheusFile)
}

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{whole, prometheusFile, "", "groups:", "groups: [~]", "groups: [{name: a, rules: [~, 1, []]}]", "groups: [{name: a, rules: [{detect: }]}]",
		"groups: &a [{name: b, rules: *a}]", "groups: [{name: a, rules: [{record: r, expr: \"a\\n+\"}]}]", "groups: [{name: a, rules: [{detect: d, expr: 'x[', signal: latency, detector: {spike: }}]}]",
		"groups: [{name: a, rules: [{<<: {detect: d}, expr: 1, signal: traffic, min_change: {relative: 1%}, write: [~]}]}]", "groups:\n- name: a\n  rules:\n  - alert: a\n    expr: up\n    annotations: {a: '{{'}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ParseFile("a.yml", data, catalogue()...)
		if err == nil {
			for _, g := range file.Groups {
				g.Expressions()
			}
			checkAgainstPrometheus(t, string(data))
			return
		}
		// What Prometheus takes, we take: apart from keys that are not names and
		// further documents, which Prometheus drops in silence.
		if _, errs := rulefmt.Parse(data, false, model.UTF8Validation, newPromQLParser(), slog.New(slog.DiscardHandler)); len(errs) > 0 {
			return
		}
		dec := yaml.NewDecoder(bytes.NewReader(data))
		var doc yaml.Node
		if dec.Decode(&doc) == nil && !errors.Is(dec.Decode(&doc), io.EOF) {
			return
		}
		if !strings.Contains(err.Error(), "expected a name as the key") && !bytes.Contains(data, []byte("<<")) {
			t.Fatalf("%q: Prometheus takes it, but we say %v", data, err)
		}
	})
}

func TestMinChange(t *testing.T) {
	for _, tc := range []struct {
		m               MinChange
		value, expected float64
		want            bool
	}{
		{MinChange{}, 1, 1, true},
		{MinChange{Absolute: 1}, 11, 10, false},
		{MinChange{Absolute: 1}, 11.1, 10, true},
		{MinChange{Absolute: 1}, 8.9, 10, true},
		{MinChange{Relative: 0.2}, 12, 10, false},
		{MinChange{Relative: 0.2}, -12.1, -10, true},
		{MinChange{Absolute: 1, Relative: 0.2}, 11.5, 10, false},
		{MinChange{Absolute: 3, Relative: 0.2}, 12.5, 10, false},
		{MinChange{Absolute: 1, Relative: 0.2}, 12.5, 10, true},
	} {
		if got := tc.m.Exceeded(tc.value, tc.expected); got != tc.want {
			t.Errorf("%+v, %g against %g: got %v, want %v", tc.m, tc.value, tc.expected, got, tc.want)
		}
	}
}

var _ detectors.Bank = (*stepBank)(nil)

// The example of the documentation is right.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```yaml\n")
	if !ok {
		t.Fatal("there is no example")
	}
	example, _, _ = strings.Cut(example, "```")
	f, err := ParseFile("rules.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.Groups[0].Rules); n != 4 {
		t.Errorf("got %d rules, want 4", n)
	}
	for _, name := range yamlfile.Fields(detectionFields{}) {
		if !strings.Contains(string(text), "\n| `"+name+"` |") {
			t.Errorf("field %q is not in the table", name)
		}
	}
}
