package rules

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// ruleLabel is the label of results that names the detection rule.
const ruleLabel = "rule"

// detectionFields is a detection rule as it is written.
type detectionFields struct {
	Detect      string            `yaml:"detect"`
	Expr        string            `yaml:"expr"`
	Of          *string           `yaml:"of"`
	By          []string          `yaml:"by"`
	Up          *string           `yaml:"up"`
	Signal      string            `yaml:"signal"`
	Detector    yaml.Node         `yaml:"detector"`
	Direction   string            `yaml:"direction"`
	FalseAlarms detectors.Budget  `yaml:"false_alarms"`
	MinChange   minChangeFields   `yaml:"min_change"`
	For         model.Duration    `yaml:"for"`
	Write       *[]string         `yaml:"write"`
	Unit        *string           `yaml:"unit"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type minChangeFields struct {
	Absolute *float64 `yaml:"absolute"`
	Relative share    `yaml:"relative"`
}

// refused are fields of a detection rule for which there is a better answer
// than that they are unknown.
func refused() map[string]string {
	return map[string]string{
		"record": "a rule has one of record, alert and detect",
		"alert":  "a rule has one of record, alert and detect",
	}
}

func (p *fileParser) detection(n *yaml.Node) *DetectionSpec {
	spec := &DetectionSpec{File: p.path, Line: n.Line, Column: n.Column}
	before := len(p.errs)
	fields := detectionFields{FalseAlarms: detectors.DefaultBudget()}
	if !p.decode(p.withoutRefused(n), &fields) || len(p.errs) > before {
		return spec
	}
	at := func(name string) *yaml.Node {
		if v := yamlfile.Field(n, name); v != nil {
			return v
		}
		return n
	}
	spec.Name = fields.Detect
	spec.Line, spec.Column = at("detect").Line, at("detect").Column
	switch {
	case fields.Detect == "":
		p.fail(at("detect"), "the detection rule has no name: detect: must name it")
	case !model.LabelValue(fields.Detect).IsValid():
		p.fail(at("detect"), "the name is not valid UTF-8")
	}
	if fields.Expr == "" {
		p.fail(at("expr"), "detection rule %q has no expression: expr: is missing", fields.Detect)
	} else {
		spec.Expr = p.expression(at("expr"), fields.Expr)
	}
	signalOK := p.oneOf(at("signal"), "signal", fields.Signal, signalNames())
	spec.Signal = Signal(fields.Signal)
	if fields.Of != nil {
		spec.Of = p.expression(at("of"), *fields.Of)
		if spec.Expr != nil && spec.Of != nil {
			if err := joinable(spec.Expr, spec.Of); err != nil {
				p.fail(at("of"), "%v", err)
			}
		}
	}
	if detector := &fields.Detector; detector.Kind != 0 && detector.ShortTag() != "!!null" {
		spec.Detector, spec.Options = p.detector(yamlfile.Resolve(detector))
	} else if signalOK {
		spec.Detector, spec.Options = p.detectorNamed(n, spec.defaultDetector(p.catalogue), nil)
	}
	spec.Direction = spec.Signal.defaultDirection()
	if spec.Detector.Falls {
		spec.Direction = Down
	}
	bounds, directed := spec.Options.(detectors.DirectedOptions)
	if directed {
		spec.Direction = directionOf(bounds.Directions())
	}
	if yamlfile.Field(n, "direction") != nil {
		p.oneOf(at("direction"), "direction", fields.Direction, directionNames())
		if d := Direction(fields.Direction); directed && spec.Direction != Both && d != Both && d != spec.Direction {
			p.fail(at("direction"), "direction %s: the options of detector %s bound it %s only", d, spec.Detector.Name, spec.Direction)
		}
		spec.Direction = Direction(fields.Direction)
	}
	spec.setEvent()
	p.groups(at, spec, fields)
	spec.Budget = fields.FalseAlarms
	p.minChange(at("min_change"), spec, fields.MinChange)
	spec.For = time.Duration(fields.For)
	p.write(at("write"), spec, fields.Write)
	spec.Unit = spec.Signal.defaultUnit()
	if o, ok := spec.Options.(detectors.OfOptions); spec.Of != nil && !(ok && o.OfDiffers()) {
		spec.Unit = "ratio"
	}
	if fields.Unit != nil {
		spec.Unit = *fields.Unit
	}
	p.labels(n, fields.Labels, ruleLabel)
	spec.Labels, spec.Annotations = fields.Labels, fields.Annotations
	return spec
}

// groups reads the fields that say which series belong together, and how
// missing ones are judged.
func (p *fileParser) groups(at func(string) *yaml.Node, spec *DetectionSpec, fields detectionFields) {
	switch {
	case fields.Up == nil:
	case spec.Detector.Name != "" && !spec.Detector.Absences:
		p.fail(at("up"), "up: says why series are missing, which detector %s does not judge: remove it, or take silence", spec.Detector.Name)
	default:
		spec.Up = p.expression(at("up"), *fields.Up)
	}
	if spec.Detector.Groups && len(fields.By) == 0 {
		p.fail(at("by"), "by: detector %s compares the members of a group: by must list the labels that they have in common, such as [service]", spec.Detector.Name)
	}
	for _, name := range fields.By {
		if !model.UTF8Validation.IsValidLabelName(name) || name == model.MetricNameLabel {
			p.fail(at("by"), "by: %q is no label name", name)
		}
	}
	if twice, ok := sameNames(fields.By); !ok {
		p.fail(at("by"), "by: label %q is there twice", twice)
	}
	spec.By = slices.Sorted(slices.Values(fields.By))
}

// withoutRefused reports the fields that are refused and returns the rule without them.
func (p *fileParser) withoutRefused(n *yaml.Node) *yaml.Node {
	texts := refused()
	rest := *n
	rest.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if text, ok := texts[n.Content[i].Value]; ok && n.Content[i].Kind == yaml.ScalarNode {
			p.fail(n.Content[i], "%s", text)
			continue
		}
		rest.Content = append(rest.Content, n.Content[i], n.Content[i+1])
	}
	return &rest
}

// oneOf says whether the value is one of the names.
func (p *fileParser) oneOf(at *yaml.Node, field, value string, names []string) bool {
	if slices.Contains(names, value) {
		return true
	}
	if value == "" {
		p.fail(at, "%s is missing: it must be %s", field, article(names))
	} else {
		p.fail(at, "%s", yamlfile.Unknown(field, value, names))
	}
	return false
}

// detector reads a detector's name, its name with options, or a list of such.
func (p *fileParser) detector(n *yaml.Node) (detectors.Detector, detectors.Options) {
	switch {
	case n.Kind == yaml.ScalarNode:
		return p.detectorNamed(n, n.Value, nil)
	case n.Kind == yaml.MappingNode && len(n.Content) == 2:
		return p.detectorNamed(n.Content[0], n.Content[0].Value, n.Content[1])
	case n.Kind == yaml.SequenceNode:
		return p.mean(n)
	}
	p.fail(n, "expected the name of a detector, its name with options such as {spike: {level: 1h}}, or a list of detectors whose scores are averaged")
	return detectors.Detector{}, nil
}

// mean reads a list of detectors.
func (p *fileParser) mean(n *yaml.Node) (detectors.Detector, detectors.Options) {
	if len(n.Content) == 1 {
		return p.detector(yamlfile.Resolve(n.Content[0]))
	}
	before := len(p.errs)
	var parts []detectors.Part
	for _, item := range n.Content {
		item = yamlfile.Resolve(item)
		if item.Kind == yaml.SequenceNode {
			p.fail(item, "a list within a list of detectors: expected a detector's name, or its name with options")
			continue
		}
		d, o := p.detector(item)
		parts = append(parts, detectors.Part{Detector: d, Options: o})
	}
	if len(p.errs) > before {
		return detectors.Detector{}, nil
	}
	d, err := detectors.Mean(parts...)
	if err != nil {
		p.fail(n, "%v", err)
		return detectors.Detector{}, nil
	}
	return d, d.Options()
}

func (p *fileParser) detectorNamed(at *yaml.Node, name string, options *yaml.Node) (detectors.Detector, detectors.Options) {
	var names []string
	for _, d := range p.catalogue {
		names = append(names, d.Name)
		if d.Name != name {
			continue
		}
		opts := d.Options()
		if options == nil {
			options = at
		} else if !p.decode(options, opts) {
			return d, opts
		}
		for _, err := range split(opts.Validate()) {
			p.fail(options, "detector %s: %v", d.Name, err)
		}
		if o, ok := opts.(detectors.RequiredOptions); ok {
			if err := o.Required(); err != nil {
				p.fail(options, "detector %s: %v", d.Name, err)
			}
		}
		return d, opts
	}
	slices.Sort(names)
	p.fail(at, "%s", yamlfile.Unknown("detector", name, names))
	return detectors.Detector{}, nil
}

// directionOf is the direction of options that have one of their own.
func directionOf(up, down bool) Direction {
	switch {
	case up && down:
		return Both
	case down:
		return Down
	}
	return Up
}

// split takes a joined error apart.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func (p *fileParser) minChange(at *yaml.Node, spec *DetectionSpec, f minChangeFields) {
	spec.MinChange.Relative = float64(f.Relative)
	if f.Absolute == nil {
		return
	}
	spec.MinChange.Absolute = *f.Absolute
	if !(*f.Absolute > 0) || math.IsInf(*f.Absolute, 0) {
		p.fail(at, "min_change: absolute is %g: it must be above zero", *f.Absolute)
	}
}

func (p *fileParser) write(at *yaml.Node, spec *DetectionSpec, list *[]string) {
	if list == nil {
		spec.WriteScore, spec.WriteBand = true, true
		return
	}
	for i, what := range *list {
		switch what {
		case "score":
			spec.WriteScore = true
		case "band":
			spec.WriteBand = true
		default:
			item := at
			if at.Kind == yaml.SequenceNode && i < len(at.Content) {
				item = at.Content[i]
			}
			p.fail(item, "%s", yamlfile.Unknown("result", what, []string{"score", "band"}))
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
