package source

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// reach says whose series an expression reads: our own outputs, those of the
// input, or both. The zero value reads nothing.
type reach struct {
	own, input string // the first selector of each kind
}

func (r reach) mixed() bool { return r.own != "" && r.input != "" }

// reachOf looks at every selector of an expression. One without a name that
// could match our outputs is taken to read both, unless it lists only ours.
func reachOf(expr parser.Expr, own map[string]bool) reach {
	var r reach
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		mine, theirs := selects(s, own)
		if mine && r.own == "" {
			r.own = s.String()
		}
		if theirs && r.input == "" {
			r.input = s.String()
		}
		return nil
	})
	return r
}

func selects(s *parser.VectorSelector, own map[string]bool) (mine, theirs bool) {
	names := nameMatchers(s.LabelMatchers)
	for _, m := range names {
		if m.Type == labels.MatchEqual && m.Value != "" {
			return own[m.Value], !own[m.Value]
		}
	}
	for name := range own {
		if matchesAll(names, name) {
			mine = true
			break
		}
	}
	if !mine {
		return false, true
	}
	for _, m := range names {
		if m.Type != labels.MatchRegexp {
			continue
		}
		if set := m.SetMatches(); len(set) > 0 && !slices.ContainsFunc(set, func(name string) bool { return !own[name] }) {
			return true, false
		}
	}
	return true, true
}

func nameMatchers(ms []*labels.Matcher) []*labels.Matcher {
	var out []*labels.Matcher
	for _, m := range ms {
		if m.Name == model.MetricNameLabel {
			out = append(out, m)
		}
	}
	return out
}

func matchesAll(ms []*labels.Matcher, v string) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(v) })
}

// CheckRemote says why an expression cannot be evaluated with a [Remote]: it
// reads both our own outputs (own, by metric name), which are here, and series
// of the server, which cannot be joined across the two.
func CheckRemote(expr string, own map[string]bool) error {
	e, err := newParser().ParseExpr(expr)
	if err != nil {
		return err
	}
	return checkMixed(expr, reachOf(e, own))
}

func checkMixed(expr string, r reach) error {
	if !r.mixed() {
		return nil
	}
	if r.own == r.input {
		return fmt.Errorf("%s: the selector %s may match series of the server and results that are kept here: name the metric", clip(expr), r.own)
	}
	return fmt.Errorf("%s reads both %s, which is a result kept here, and %s, which is on the server: record the part that needs the server under a name of its own first, or write the results to the server", clip(expr), r.own, r.input)
}

// exclude returns a matcher that no series named in own passes.
func exclude(own map[string]bool) *labels.Matcher {
	names := make([]string, 0, len(own))
	for n := range own {
		names = append(names, regexp.QuoteMeta(n))
	}
	slices.Sort(names)
	return labels.MustNewMatcher(labels.MatchNotRegexp, model.MetricNameLabel, strings.Join(names, "|"))
}
