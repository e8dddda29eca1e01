package ruletest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

var rewrite = flag.Bool("rewrite", false, "write what the failure messages are into their golden file; read the diff")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runFile runs one file and returns what was said on either stream.
func runFile(t *testing.T, path string, o Options) (out, failures string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o.Out, o.Err = &stdout, &stderr
	err = Run(t.Context(), []string{path}, o)
	return stdout.String(), stderr.String(), err
}

// runText runs the text of a test file, with rule files beside it.
func runText(t *testing.T, text string, o Options, files map[string]string) (out, failures string, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("t.yml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return runFile(t, "t.yml", o)
}

// Every expectation, met and not met; the messages of those that are not are golden.
func TestExpectations(t *testing.T) {
	const path = "testdata/expect/life_test.yml"
	out, failures, err := runFile(t, path, Options{})
	if failed := (*FailedError)(nil); !errors.As(err, &failed) {
		t.Fatalf("error: got %v, want a FailedError", err)
	}
	if want := path + "\n\n"; out != want {
		t.Errorf("output: got %q, want %q", out, want)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, m := range regexp.MustCompile(`life_test\.yml:(\d+):\d+: test group`).FindAllStringSubmatch(failures, -1) {
		failed[m[1]] = true
	}
	for i, line := range strings.Split(string(text), "\n") {
		want, ok := strings.CutSuffix(line, "# fail")
		if !ok {
			if want, ok = strings.CutSuffix(line, "# pass"); !ok {
				continue
			}
		}
		if got := failed[fmt.Sprint(i+1)]; got != strings.HasSuffix(line, "# fail") {
			t.Errorf("line %d: failed is %v:%s", i+1, got, want)
		}
	}
	const golden = "testdata/expect/failures.golden"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(failures), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), failures); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// The examples pass as they stand.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/rule-tests/*_test.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, error %v", len(files), err)
	}
	for _, path := range files {
		if out, failures, err := runFile(t, path, Options{}); err != nil || failures != "" || !strings.Contains(out, "SUCCESS") {
			t.Errorf("%v\n%s%s", err, out, failures)
		}
	}
}

func TestBadFiles(t *testing.T) {
	series := func(generate string) string {
		return "tests:\n- input_series:\n  - series: a\n    generate: " + generate + "\n"
	}
	for _, tc := range []struct {
		name, text, want string
	}{
		{"unknown field", "tets: []\n", `t.yml:1:1: unknown field "tets"; did you mean "tests"?`},
		{"unknown field of an item", "tests:\n- detection_test:\n  - detect: A\n    exp_anomalys: []\n", `t.yml:4:5: unknown field "exp_anomalys"; did you mean "exp_anomalies"?`},
		{"no rule named", "tests:\n- detection_test:\n  - {eval_time: 1m}\n", `t.yml:3:5: an item of detection_test has no detect`},
		{"direction", "tests: [{detection_test: [{detect: A, exp_anomalies: [{direction: upp}]}]}]\n", `t.yml:1:67: unknown direction "upp"; did you mean "up"?`},
		{"kind", "tests: [{detection_test: [{detect: A, exp_anomalies: [{kind: step}]}]}]\n", `unknown kind "step"`},
		{"labels", "tests: [{detection_test: [{detect: A, exp_anomalies: [{labels: '{a='}]}]}]\n", `t.yml:1:64: labels "{a=": `},
		{"labels of a list", "tests: [{detection_test: [{detect: A, exp_anomalies: [{labels: [a]}]}]}]\n", `t.yml:1:64: labels: want a mapping, or a series`},
		{"severity", "tests: [{incident_test: [{exp_incidents: [{severity: pgae}]}]}]\n", `t.yml:1:54: unknown severity "pgae"; did you mean "page"?`},
		{"nothing decided", "tests: [{incident_test: [{exp_incidents: [{severity: none, cause: db}]}]}]\n", `only its onset can be expected`},
		{"since", "tests: [{incident_test: [{eval_time: 1m, since: 2m}]}]\n", `t.yml:1:49: since: 2m is after the eval_time, 1m`},
		{"incident duration", "incidents: {hold: 0s}\n", `t.yml:1:19: hold: it must be more than zero`},
		{"mode", "incidents: {mode: pager}\n", `t.yml:1:19: mode "pager": want shadow, ticket or page`},
		{"identity", "identity: ['']\n", `t.yml:1:11: identity:`},
		{"topology", "topology:\n  services:\n  - name: a\n    cals: [b]\n", `t.yml:4:5: unknown field "cals"; did you mean "calls"?`},
		{"topology of a group", "tests:\n- topology: {services: [{calls: [b]}]}\n", `t.yml:2:25: the service has no name`},
		{"topology by alias", "identity: [&s service]\ntests:\n- topology: {services: [{name: *s, entry: 5}]}\n", `t.yml:3:43: expected true or false, not "5"`},
		{"changes", "changes:\n- {service: a}\n", `t.yml:2:3: the change has no time`},
		{"time of a change", "changes:\n- {service: a, time: 3x}\n", `t.yml:2:22: time: "3x" is no time`},
		{"field of a change", "tests: [{changes: [{service: a, time: 1h, kidn: deploy}]}]\n", `t.yml:1:43: unknown field "kidn"; did you mean "kind"?`},
		{"values and generate", "tests: [{input_series: [{series: a, values: 1, generate: {}}]}]\n", `t.yml:1:58: the series has values already`},
		{"generator field", series("{nosie: {}}"), `t.yml:4:16: unknown field "nosie"; did you mean "noise"?`},
		{"generator step", series("{steps: [{by: 1, at: 2}]}"), `t.yml:4:36: expected a duration such as 30s, 5m or 1h30m, not "2"`},
		{"generator gap", series("{gaps: [{from: 2m, to: 1m}]}"), `t.yml:4:23: gaps: it ends at 1m, which is not after its beginning at 2m`},
		{"generator bounds", series("{min: 2, max: 1}"), `t.yml:4:29: max: 1 is below min, which is 2`},
		{"generator number", series("{base: .inf}"), `t.yml:4:15: base: +Inf is no finite number`},
		{"generator noise", series("{noise: {stddev: -1}}"), `noise: the standard deviation is below zero`},
		{"generator resets", series("{resets: [1m]}"), `resets: only a counter is reset`},
		{"generator length", series("{for: 100y}") + "  interval: 1s\n", `t.yml:3:5: series "a": 3153600001 samples`},
		{"generator series", "tests: [{input_series: [{series: 'a{', generate: {}}]}]\n", `t.yml:1:25: series "a{":`},
		{"repetition", "tests: [{input_series: [{series: 'a{b=\"c x99999999999\"}', values: 1x99999999999}]}]\n", `t.yml:1:25: x99999999999 repeats a value more than`},
		{"series", "tests: [{input_series: [{series: 'a{', values: 1}]}]\n", `t.yml:1:25: 1:`},
		{"config without a loader", "config: foreshock.yml\n", `t.yml:1:9: config: no configuration can be loaded here`},
		{"rule file", "rule_files: [r.yml]\ntests: [{}]\n", `r.yml:2:5: unknown field "exprs"; did you mean "expr"?`},
		{"no such rule", "rule_files: [good.yml]\ntests: [{detection_test: [{detect: Latncy}]}]\n", `unknown detection rule "Latncy"; did you mean "Latency"?`},
		{"missing attribute", "tests: [{name: x, alert_rule_test: [{eval_time: 1m}]}]\n", `t.yml:1:37: an item under alert_rule_test misses required attribute alertname at eval_time 1m (in test group "x")`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, failures, err := runText(t, tc.text, Options{}, map[string]string{
				"r.yml":    "groups: [{name: a, rules: [{record: a,\n    exprs: 1}]}]\n",
				"good.yml": "groups: [{name: a, rules: [{detect: Latency, expr: a, signal: latency}]}]\n",
			})
			if failed := (*FailedError)(nil); !errors.As(err, &failed) || !strings.Contains(failures, tc.want) {
				t.Errorf("error %v\n got %s\nwant %s", err, failures, tc.want)
			}
		})
	}
}

// A configuration gives what the file leaves out, and its rules where it names none.
func TestConfig(t *testing.T) {
	id, err := topology.NewIdentity([]string{"zone", "service"})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loadRules([]string{"testdata/expect/rules.yml"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	load := func(path string) (Config, error) {
		asked = path
		if strings.HasSuffix(path, "bad.yml") {
			return Config{}, errors.New("bad.yml:1:1: bad")
		}
		c := engine.Config{Identity: id, Rules: rules, Mode: incident.ModeShadow, ReadAlerts: true}
		c.Interval, c.Settle, c.Hold = 30e9, 60e9, 600e9
		return c, nil
	}
	const tests = "tests: [{promql_expr_test: [{expr: 'ALERTS{alertname=\"Watchdog\"}', exp_samples: [{labels: 'ALERTS{alertname=\"Watchdog\",alertstate=\"firing\"}', value: 1}]}]}]\n"
	if _, failures, err := runText(t, "config: conf/foreshock.yml\n"+tests, Options{LoadConfig: load}, nil); err != nil {
		t.Errorf("with the configuration's rules: %v\n%s", err, failures)
	}
	if want := filepath.Join("conf", "foreshock.yml"); asked != want {
		t.Errorf("loaded %s, want %s", asked, want)
	}
	if _, failures, _ := runText(t, "config: bad.yml\n", Options{LoadConfig: load}, nil); !strings.Contains(failures, "bad.yml:1:1: bad") {
		t.Errorf("a bad configuration is not told: %s", failures)
	}
	r := &runner{Options: Options{LoadConfig: load}, path: "t.yml"}
	f, err := parseFile("t.yml", []byte("config: c.yml\nincidents: {settle: 2m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.config(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(string(c.Mode), " ", c.Interval, c.Settle, c.Hold, c.Identity.Names(), c.ReadAlerts); got != "shadow 30s 2m0s 10m0s [zone service] false" {
		t.Errorf("got %s", got)
	}
}

func TestRun(t *testing.T) {
	if err := CheckRun([]string{"a", "("}); err == nil {
		t.Error("a broken expression was taken")
	}
	if _, _, err := runText(t, "", Options{Run: []string{"("}}, nil); err == nil || errors.As(err, new(*FailedError)) {
		t.Errorf("a broken expression: got %v", err)
	}
	var junit bytes.Buffer
	text := "tests: [{name: good}, {name: bad, promql_expr_test: [{expr: '1'}]}, {name: left out}]\n"
	_, failures, err := runText(t, text, Options{Run: []string{"^good$", "bad"}, JUnit: &junit, Debug: true, Color: true}, nil)
	if err == nil {
		t.Error("no error of a test that failed")
	}
	for _, want := range []string{"DEBUG: Starting test good", red + "!"} {
		if !strings.Contains(failures, want) {
			t.Errorf("%q is missing in\n%s", want, failures)
		}
	}
	for want, times := range map[string]int{`<testsuite name="t.yml" tests="2" failures="1"`: 1, "<testcase": 2, "<failure>": 1} {
		if n := strings.Count(junit.String(), want); n != times {
			t.Errorf("%q: %d times, want %d, in\n%s", want, n, times, junit.String())
		}
	}
	_, failures, err = runFile(t, "no-such-file.yml", Options{})
	if err == nil || !strings.Contains(failures, "no-such-file.yml") {
		t.Errorf("missing file: got %v, %s", err, failures)
	}
}

// Errors of a rule file without its unknown fields keep their lines.
func TestIgnoreUnknownFieldsKeepsLines(t *testing.T) {
	rules := "groups:\n- owner: |\n    me\n\n    you\n  name: a\n  rules:\n  - x: 1\n    record: r\n    expr: 1 +\n"
	_, failures, err := runText(t, "rule_files: [r.yml]\ntests: [{}]\n", Options{IgnoreUnknownFields: true}, map[string]string{"r.yml": rules})
	if want := "r.yml:10:14: PromQL: unexpected end of input"; err == nil || !strings.Contains(failures, want) {
		t.Errorf("got %v\n%s\nwant %s", err, failures, want)
	}
}

// A test file that is wrong is an error, not a panic, and a generator gives the
// same again.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"tests: [{input_series: [{series: a, generate: {base: 1, counter: true, resets: [1m], noise: {stddev: 1}}}]}]",
		"tests: [{input_series: [{series: 'a@st', values: -1mx2}, {series: a, values: '1 {{sum:1}}x2'}]}]",
		"tests: [{changes: [{time: 1h, service: a}], topology: {services: [{name: a, calls: [b]}]}}]",
		"a: &a [*a]\ntests: *a", "tests: [{topology: &t {services: [*t]}}]", "tests: [~]\nchanges: [~]\ntopology: {services: ~}",
		"tests: [{detection_test: [{detect: A, exp_anomalies: [~, {labels: {a: b}}]}], incident_test: [{exp_incidents: [~, {}]}]}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range repetition.FindAllString(text, -1) {
			if len(m) > 4 {
				return // the parser would fill the memory within our bound
			}
		}
		file, err := parseFile("f.yml", []byte(text))
		if err != nil {
			return
		}
		r := &runner{path: "f.yml", Options: Options{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}}
		c, err := r.config(file)
		if err != nil {
			return
		}
		if _, err := r.declared(file, c); err != nil && !strings.Contains(err.Error(), "f.yml:") {
			t.Errorf("no place in %q", err)
		}
		for _, g := range file.groups {
			if _, err := r.changesOf(file, g, c); err != nil && !strings.Contains(err.Error(), "f.yml:") {
				t.Errorf("no place in %q", err)
			}
			a, _, err := g.inputs("f.yml")
			if err != nil {
				continue
			}
			b, _, _ := g.inputs("f.yml")
			for k := range a {
				for i := range min(a[k].length, 50) {
					if x, y := a[k].sample(i), b[k].sample(i); fmt.Sprint(x) != fmt.Sprint(y) {
						t.Fatalf("series %s, sample %d: %v, and then %v", a[k].labels, i, x, y)
					}
				}
			}
		}
	})
}
