package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
	"github.com/foreshock/foreshock/rules"
)

// loadRules reads the rule files, of which prom holds the paths as they are to
// be opened. One that is not there is said at the place that names it.
func loadRules(path string, root *yaml.Node, prom []string) ([]*rules.File, error) {
	var errs []error
	for i, f := range prom {
		if strings.ContainsAny(f, `*?[\`) {
			continue
		}
		info, err := os.Stat(f)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder: write %s", f, filepath.Join(f, "*.yml"))
		}
		if err != nil {
			errs = append(errs, at(path, item(field(root, "rule_files"), i), "rule file: "+err.Error()))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rules.Load(prom, ".") // SetDirectory has put the file's own in front
}

// checkQuery parses PromQL; an error is at its place inside the expression.
func checkQuery(path string, data []byte, n *yaml.Node, name, expr string) error {
	if expr == "" {
		return at(path, n, name+": the query is missing")
	}
	_, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err == nil {
		return nil
	}
	var list parser.ParseErrors
	if !errors.As(err, &list) || len(list) == 0 {
		return at(path, n, fmt.Sprintf("%s: %v", name, err))
	}
	e := &yamlfile.Error{File: path, Msg: fmt.Sprintf("%s: PromQL: %v", name, list[0].Err)}
	e.Line, e.Column = yamlfile.Position(data, n, int(list[0].PositionRange.Start))
	return e
}

func checkLabel(path string, n *yaml.Node, name, label string) error {
	if !model.UTF8Validation.IsValidLabelName(label) {
		return at(path, n, fmt.Sprintf("%s: %q is no label name", name, label))
	}
	return nil
}

// defaultIgnored are alerts that say nothing of trouble.
var defaultIgnored = []string{"Watchdog", "InfoInhibitor", `severity=~"none|info"`}

// ignoreAlerts turns alert names and matchers such as severity=~"none|info" into matchers.
func ignoreAlerts(list []string) ([][]*labels.Matcher, error) {
	if list == nil {
		list = defaultIgnored
	}
	var out [][]*labels.Matcher
	for _, s := range list {
		if !strings.ContainsAny(s, `=!~"{}`) {
			out = append(out, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.AlertName, s)})
			continue
		}
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector("{" + strings.Trim(s, "{}") + "}")
		if err != nil {
			return nil, fmt.Errorf("ignore_alerts: %q is neither an alert's name nor a matcher such as severity=\"info\": %w", s, err)
		}
		out = append(out, ms)
	}
	return out, nil
}
