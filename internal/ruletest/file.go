package ruletest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// testFile is a test file. The first five fields are promtool's.
type testFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	Tests              []yaml.Node    `yaml:"tests"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare"`

	Config    string    `yaml:"config"`
	Identity  []string  `yaml:"identity"`
	Topology  yaml.Node `yaml:"topology"`
	Changes   yaml.Node `yaml:"changes"`
	Incidents yaml.Node `yaml:"incidents"`

	root   *yaml.Node
	groups []*testGroup
}

// testGroup is what is lived through together. All but the last four fields are promtool's.
type testGroup struct {
	Interval        model.Duration    `yaml:"interval"`
	InputSeries     []yaml.Node       `yaml:"input_series"`
	AlertRuleTests  []yaml.Node       `yaml:"alert_rule_test"`
	PromqlExprTests []yaml.Node       `yaml:"promql_expr_test"`
	ExternalLabels  map[string]string `yaml:"external_labels"`
	ExternalURL     string            `yaml:"external_url"`
	Name            string            `yaml:"name"`
	Start           timestamp         `yaml:"start_timestamp"`

	DetectionTests []yaml.Node `yaml:"detection_test"`
	IncidentTests  []yaml.Node `yaml:"incident_test"`
	Topology       yaml.Node   `yaml:"topology"`
	Changes        yaml.Node   `yaml:"changes"`

	node       *yaml.Node
	index      int
	input      []placed[inputSeries]
	alerts     []placed[alertTest]
	samples    []placed[sampleTest]
	detections []placed[detectionTest]
	incidents  []placed[incidentTest]
}

// title names the group in messages, as promtool does.
func (g *testGroup) title() string {
	if g.Name != "" {
		return g.Name
	}
	return fmt.Sprintf("unnamed#%d", g.index)
}

// start is when the group's time begins: the epoch unless it says otherwise.
func (g *testGroup) start() time.Time {
	if g.Start.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return g.Start.UTC()
}

// extended: the group expects something of detections or incidents, so it is
// lived through as in production, every rule group at its own interval.
func (g *testGroup) extended() bool { return len(g.detections)+len(g.incidents) > 0 }

// end is how long the group lasts: its last eval_time.
func (g *testGroup) end() time.Duration {
	var end model.Duration
	for _, t := range g.alerts {
		end = max(end, t.v.EvalTime)
	}
	for _, t := range g.samples {
		end = max(end, t.v.EvalTime)
	}
	for _, t := range g.detections {
		end = max(end, t.v.EvalTime)
	}
	for _, t := range g.incidents {
		end = max(end, t.v.EvalTime)
	}
	return time.Duration(end)
}

// placed is something of the file with its place.
type placed[T any] struct {
	node *yaml.Node
	v    T
}

// timestamp is RFC 3339 or Unix seconds.
type timestamp struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *timestamp) UnmarshalText(text []byte) error {
	s := string(text)
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		whole, part := math.Modf(f)
		t.Time = time.Unix(int64(whole), int64(part*float64(time.Second))).UTC()
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("expected a time as of RFC 3339 or in Unix seconds, not %q", s)
	}
	t.Time = at
	return nil
}

type inputSeries struct {
	Series   string    `yaml:"series"`
	Values   string    `yaml:"values"`
	Generate *generate `yaml:"generate"`
}

type alertTest struct {
	EvalTime  model.Duration  `yaml:"eval_time"`
	Alertname string          `yaml:"alertname"`
	ExpAlerts []expectedAlert `yaml:"exp_alerts"`
}

type expectedAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

type sampleTest struct {
	Expr       string           `yaml:"expr"`
	EvalTime   model.Duration   `yaml:"eval_time"`
	ExpSamples []expectedSample `yaml:"exp_samples"`
}

type expectedSample struct {
	Labels    string  `yaml:"labels"`
	Value     float64 `yaml:"value"`
	Histogram string  `yaml:"histogram"`
}

// parseFile reads the text of a test file. The error joins all that is wrong, each with its place.
func parseFile(path string, data []byte) (*testFile, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return nil, err
	}
	f := &testFile{root: root}
	if err := yamlfile.Decode(path, root, f); err != nil {
		return nil, err
	}
	if f.EvaluationInterval == 0 {
		f.EvaluationInterval = model.Duration(time.Minute)
	}
	d := &listDecoder{path: path}
	seen := map[string]bool{}
	for _, name := range f.GroupEvalOrder {
		if seen[name] {
			d.fail(yamlfile.Field(root, "group_eval_order"), "group name repeated in evaluation order: %s", name)
		}
		seen[name] = true
	}
	for i := range f.Tests {
		g := &testGroup{node: &f.Tests[i], index: i}
		if err := yamlfile.Decode(path, g.node, g); err != nil {
			d.errs = append(d.errs, err)
			continue
		}
		if g.Interval == 0 {
			g.Interval = f.EvaluationInterval
		}
		g.input = decodeList[inputSeries](d, g.InputSeries)
		g.alerts = decodeList[alertTest](d, g.AlertRuleTests)
		g.samples = decodeList[sampleTest](d, g.PromqlExprTests)
		g.detections = decodeList[detectionTest](d, g.DetectionTests)
		g.incidents = decodeList[incidentTest](d, g.IncidentTests)
		f.groups = append(f.groups, g)
	}
	for _, g := range f.groups {
		d.check(g)
	}
	return f, errors.Join(d.errs...)
}

type listDecoder struct {
	path string
	errs []error
}

func (d *listDecoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, yamlfile.At(d.path, n, format, args...))
}

func decodeList[T any](d *listDecoder, nodes []yaml.Node) []placed[T] {
	var out []placed[T]
	for i := range nodes {
		p := placed[T]{node: &nodes[i]}
		if err := yamlfile.Decode(d.path, p.node, &p.v); err != nil {
			d.errs = append(d.errs, err)
			continue
		}
		out = append(out, p)
	}
	return out
}

// check looks at what is ours; what is promtool's is checked when it is used, as promtool does.
func (d *listDecoder) check(g *testGroup) {
	for _, s := range g.input {
		if s.v.Generate == nil {
			continue
		}
		at := yamlfile.Field(s.node, "generate")
		if s.v.Values != "" {
			d.fail(at, "the series has values already: give it values or generate, not both")
		}
		s.v.Generate.check(d, at)
	}
	for _, t := range g.detections {
		t.v.check(d, t.node)
	}
	for _, t := range g.incidents {
		t.v.check(d, t.node)
	}
}
