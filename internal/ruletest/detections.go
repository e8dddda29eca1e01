package ruletest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
	"github.com/foreshock/foreshock/rules"
)

// detectionTest says which series of a detection rule are anomalous at a time: these and no others.
type detectionTest struct {
	EvalTime     model.Duration    `yaml:"eval_time"`
	Detect       string            `yaml:"detect"`
	ExpAnomalies []expectedAnomaly `yaml:"exp_anomalies"`
}

// expectedAnomaly is a series that is anomalous. What is left out is not compared.
type expectedAnomaly struct {
	Labels    yaml.Node       `yaml:"labels"` // a mapping, or a series in promtool's notation
	Direction string          `yaml:"direction"`
	Kind      string          `yaml:"kind"`
	Onset     *model.Duration `yaml:"onset"` // of the first departing sample, from the start of the test
	MinScore  *float64        `yaml:"min_score"`

	labels *labels.Labels
}

func (t *detectionTest) check(d *listDecoder, n *yaml.Node) {
	if t.Detect == "" {
		d.fail(n, "an item of detection_test has no detect: name the detection rule")
	}
	list := yamlfile.Field(n, "exp_anomalies")
	for i := range t.ExpAnomalies {
		a := &t.ExpAnomalies[i]
		at := func(name string) *yaml.Node {
			if i < len(list.Content) {
				if v := yamlfile.Field(list.Content[i], name); v != nil {
					return v
				}
				return list.Content[i]
			}
			return list
		}
		if a.Labels.Kind != 0 {
			ls, err := readLabels(d.path, &a.Labels)
			if err != nil {
				d.errs = append(d.errs, err)
			}
			a.labels = &ls
		}
		oneOf(d, at("direction"), "direction", a.Direction, string(rules.Up), string(rules.Down))
		oneOf(d, at("kind"), "kind", a.Kind, detectors.KindSpike.String(), detectors.KindShift.String(),
			detectors.KindSilence.String(), detectors.KindLimit.String(), detectors.KindTrend.String(), detectors.KindPeer.String())
		if a.MinScore != nil && math.IsNaN(*a.MinScore) {
			d.fail(at("min_score"), "min_score is no number")
		}
	}
}

// oneOf checks a text that may be left out.
func oneOf(d *listDecoder, n *yaml.Node, name, text string, known ...string) {
	if text != "" && !slices.Contains(known, text) {
		d.fail(n, "%s", yamlfile.Unknown(name, text, known))
	}
}

func readLabels(path string, n *yaml.Node) (labels.Labels, error) {
	if n.Kind == yaml.MappingNode {
		var m map[string]string
		err := yamlfile.Decode(path, n, &m)
		return labels.FromMap(m), err
	}
	var text string
	if err := yamlfile.Decode(path, n, &text); err != nil {
		return labels.EmptyLabels(), yamlfile.At(path, n, `labels: want a mapping, or a series such as {service="checkout"}`)
	}
	ls, err := parser.NewParser(parser.Options{}).ParseMetric(text)
	if err != nil {
		return ls, yamlfile.At(path, n, "labels %q: %v", text, err)
	}
	return ls, nil
}

// detectionsAt checks one item of detection_test against the rule's newest evaluation.
func (l *life) detectionsAt(t placed[detectionTest]) error {
	what := fmt.Sprintf("detection_test: detect: %s, time: %s", t.v.Detect, t.v.EvalTime)
	ev, ok := l.evaluations[t.v.Detect]
	if !ok {
		if !l.hasDetection(t.v.Detect) {
			return l.failure(t.node, what, yamlfile.Unknown("detection rule", t.v.Detect, l.detectionNames()))
		}
		return l.failure(t.node, what, "the rule has not been evaluated yet")
	}
	var c comparison
	for _, a := range t.v.ExpAnomalies {
		c.expected = append(c.expected, a.item())
	}
	for _, r := range ev.Readings {
		if r.Anomalous {
			c.found = append(c.found, l.anomalyItem(r))
		}
	}
	table := c.table(l.color)
	if table == "" {
		return nil
	}
	return l.failure(t.node, what, table+l.unexpectedlyNormal(t.v, ev))
}

func (a expectedAnomaly) item() item {
	var out item
	if a.labels != nil {
		out = append(out, field{name: "labels", text: a.labels.String(), names: true})
	}
	if a.Direction != "" {
		out = append(out, field{name: "direction", text: a.Direction})
	}
	if a.Kind != "" {
		out = append(out, field{name: "kind", text: a.Kind})
	}
	if a.Onset != nil {
		out = append(out, field{name: "onset", text: a.Onset.String()})
	}
	if a.MinScore != nil {
		out = append(out, field{
			name: "score", text: "at least " + number(*a.MinScore),
			accepts: func(found field) bool { return found.num >= *a.MinScore },
		})
	}
	if out == nil {
		out = item{{name: "labels", text: "any", accepts: func(field) bool { return true }}}
	}
	return out
}

func (l *life) anomalyItem(r rules.Reading) item {
	v := r.Verdict
	direction := rules.Down
	if v.Up {
		direction = rules.Up
	}
	return item{
		{name: "labels", text: r.Series.String()},
		{name: "direction", text: string(direction)},
		{name: "kind", text: v.Kind.String()},
		{name: "onset", text: l.since(r.Onset)},
		{name: "score", text: number(v.Score), num: v.Score},
		{name: "value", text: number(v.Value)},
		{name: "normal", text: number(v.Expected)},
	}
}

// unexpectedlyNormal says what the rule found of the expected series that are not anomalous.
func (l *life) unexpectedlyNormal(t detectionTest, ev rules.Evaluation) string {
	var out string
	for _, a := range t.ExpAnomalies {
		if a.labels == nil {
			continue
		}
		i := slices.IndexFunc(ev.Readings, func(r rules.Reading) bool { return labels.Equal(r.Series, *a.labels) })
		switch {
		case i < 0:
			out += fmt.Sprintf("\n  %s: the rule has no such series at that time; it has %s", a.labels, seriesOf(ev))
		case !ev.Readings[i].Anomalous:
			v := ev.Readings[i].Verdict
			out += fmt.Sprintf("\n  %s: not anomalous: value %s, normal %s, score %s", a.labels, number(v.Value), number(v.Expected), number(v.Score))
			if d := v.Doubts.String(); d != "" {
				out += " (" + d + ")"
			}
		}
	}
	return out
}

// seriesOf lists the first few series of an evaluation.
func seriesOf(ev rules.Evaluation) string {
	const most = 3
	out := ""
	for i, r := range ev.Readings {
		if i == most {
			return fmt.Sprintf("%s and %d more", out, len(ev.Readings)-most)
		}
		if i > 0 {
			out += ", "
		}
		out += r.Key
	}
	if out == "" {
		return "none"
	}
	return out
}

func (l *life) detectionNames() []string {
	names := map[string]bool{}
	for _, g := range l.groups {
		for _, d := range g.Detections() {
			names[d.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (l *life) hasDetection(name string) bool { return slices.Contains(l.detectionNames(), name) }

// since writes a time as a duration from the start of the test.
func (l *life) since(at time.Time) string {
	switch {
	case at.IsZero():
		return "none"
	case at.Before(l.start):
		return "before the start"
	}
	return model.Duration(at.Sub(l.start)).String()
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
