package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// groupFields is a group as Prometheus has it.
type groupFields struct {
	Name        string            `yaml:"name"`
	Interval    model.Duration    `yaml:"interval"`
	QueryOffset *model.Duration   `yaml:"query_offset"`
	Limit       int               `yaml:"limit"`
	Labels      map[string]string `yaml:"labels"`
	Rules       []yaml.Node       `yaml:"rules"`
}

// ParseFile reads the text of a rule file; the path is for errors and for the
// identity of its groups. The recording and alerting rules are checked by
// Prometheus's own code. See [Load] for the catalogue. The error joins all that
// is wrong, each with its place.
func ParseFile(path string, data []byte, catalogue ...detectors.Detector) (*File, error) {
	if len(catalogue) == 0 {
		catalogue = detectors.All()
	}
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return nil, err
	}
	p := &fileParser{path: path, data: data, catalogue: catalogue, promql: newPromQLParser()}
	f := p.file(root)
	if len(p.errs) == 0 {
		p.add(Unique([]*File{f}))
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return f, nil
}

func newPromQLParser() parser.Parser { return parser.NewParser(parser.Options{}) }

type fileParser struct {
	path      string
	data      []byte
	catalogue []detectors.Detector
	promql    parser.Parser
	errs      []error
}

func (p *fileParser) add(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

func (p *fileParser) fail(n *yaml.Node, format string, args ...any) {
	p.add(yamlfile.At(p.path, n, format, args...))
}

func (p *fileParser) decode(n *yaml.Node, into any) bool {
	err := yamlfile.Decode(p.path, n, into)
	p.add(err)
	return err == nil
}

func (p *fileParser) file(root *yaml.Node) *File {
	f := &File{Path: p.path}
	var fields struct {
		Groups []yaml.Node `yaml:"groups"`
	}
	if !p.decode(root, &fields) {
		return f
	}
	names := map[string]*yaml.Node{}
	for i := range fields.Groups {
		n := yamlfile.Resolve(&fields.Groups[i])
		if n.ShortTag() == "!!null" {
			continue // as in Prometheus
		}
		g := p.group(n)
		if first, ok := names[g.Name]; ok && g.Name != "" {
			p.fail(n, "group %q is repeated in this file: the first is at line %d", g.Name, first.Line)
		}
		names[g.Name] = n
		f.Groups = append(f.Groups, g)
	}
	return f
}

func (p *fileParser) group(n *yaml.Node) *GroupSpec {
	var fields groupFields
	if !p.decode(n, &fields) {
		return &GroupSpec{}
	}
	if fields.Name == "" {
		p.fail(n, "the group has no name: give it one that is unique in the file")
	}
	p.labels(n, fields.Labels)
	g := &GroupSpec{
		Name: fields.Name, Interval: time.Duration(fields.Interval), QueryOffset: (*time.Duration)(fields.QueryOffset),
		Limit: fields.Limit, Labels: fields.Labels,
	}
	for i := range fields.Rules {
		r := yamlfile.Resolve(&fields.Rules[i])
		if r.ShortTag() == "!!null" {
			continue // as in Prometheus
		}
		switch kindOf(r) {
		case "detect":
			g.Rules = append(g.Rules, RuleSpec{Detection: p.detection(r)})
		case "record", "alert":
			g.Rules = append(g.Rules, RuleSpec{Prometheus: p.prometheusRule(r)})
		default:
			p.noKind(r)
		}
	}
	return g
}

// kindOf returns the first of the keys that make a mapping a rule.
func kindOf(n *yaml.Node) string {
	for _, kind := range []string{"detect", "record", "alert"} {
		if yamlfile.Field(n, kind) != nil {
			return kind
		}
	}
	return ""
}

// noKind says what is wrong with a rule that is none.
func (p *fileParser) noKind(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		known := append([]string{"detect"}, yamlfile.Fields(rulefmt.Rule{})...)
		for i := 0; i < len(n.Content); i += 2 {
			near, ok := yamlfile.Nearest(n.Content[i].Value, known)
			if ok && near != n.Content[i].Value && (near == "detect" || near == "record" || near == "alert") {
				p.fail(n.Content[i], "unknown field %q; did you mean %q?", n.Content[i].Value, near)
				return
			}
		}
	}
	p.fail(n, "expected a rule: a mapping with one of the fields record, alert and detect")
}

// prometheusRule has a recording or alerting rule checked by Prometheus's code.
func (p *fileParser) prometheusRule(n *yaml.Node) *rulefmt.Rule {
	rule := &rulefmt.Rule{}
	if !p.decode(n, rule) {
		return rule
	}
	var node rulefmt.RuleNode
	if err := n.Decode(&node); err != nil {
		p.fail(n, "%v", err)
		return rule
	}
	what := rule.Record
	if rule.Alert != "" {
		what = rule.Alert
	}
	wrapped := rule.Validate(node, model.UTF8Validation, p.promql)
	for i := range wrapped {
		err := &wrapped[i]
		if parseErrs := (parser.ParseErrors)(nil); errors.As(err, &parseErrs) {
			p.promqlErrors(yamlfile.Field(n, "expr"), parseErrs)
			continue
		}
		at, text := placed(err.Error())
		if at == nil {
			at = n
		}
		p.fail(at, "rule %q: %s", what, text)
	}
	return rule
}

var place = regexp.MustCompile(`^(\d+):(\d+): `)

// placed takes the places off the front of an error of rulefmt; the node is
// the first place that is one.
func placed(text string) (*yaml.Node, string) {
	var at *yaml.Node
	for {
		m := place.FindStringSubmatch(text)
		if m == nil {
			return at, text
		}
		line, lineErr := strconv.Atoi(m[1])
		column, columnErr := strconv.Atoi(m[2])
		if at == nil && lineErr == nil && columnErr == nil && line > 0 {
			at = &yaml.Node{Line: line, Column: column}
		}
		text = text[len(m[0]):]
	}
}

// promqlErrors reports the first thing that is wrong with an expression, at its
// place in the file; what follows is mostly a consequence.
func (p *fileParser) promqlErrors(n *yaml.Node, errs parser.ParseErrors) {
	if len(errs) == 0 {
		p.fail(n, "PromQL: the expression is wrong")
		return
	}
	line, column := yamlfile.Position(p.data, n, int(errs[0].PositionRange.Start))
	p.add(&yamlfile.Error{File: p.path, Line: line, Column: column, Msg: fmt.Sprintf("PromQL: %v", errs[0].Err)})
}

// expression parses PromQL that must return a vector or a scalar.
func (p *fileParser) expression(n *yaml.Node, text string) parser.Expr {
	expr, err := p.promql.ParseExpr(text)
	if parseErrs := (parser.ParseErrors)(nil); errors.As(err, &parseErrs) {
		p.promqlErrors(n, parseErrs)
		return nil
	}
	if err != nil {
		p.fail(n, "PromQL: %v", err)
		return nil
	}
	switch t := expr.Type(); t {
	case parser.ValueTypeVector, parser.ValueTypeScalar:
		return expr
	default:
		p.fail(n, "the expression returns a %s: it must return an instant vector or a scalar", parser.DocumentedType(t))
		return nil
	}
}

// labels checks names and values of labels that are set on results.
func (p *fileParser) labels(n *yaml.Node, set map[string]string, reserved ...string) {
	at := yamlfile.Field(n, "labels")
	for _, name := range sortedKeys(set) {
		key, value := yamlfile.Lookup(at, name)
		switch {
		case !model.UTF8Validation.IsValidLabelName(name) || name == model.MetricNameLabel:
			p.fail(key, "%q is no label name", name)
		case !model.LabelValue(set[name]).IsValid():
			p.fail(value, "label %q: the value is not valid UTF-8", name)
		}
		for _, r := range reserved {
			if name == r {
				p.fail(key, "label %q is set by Foreshock itself: choose another name", name)
			}
		}
	}
}

func article(list []string) string {
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}
