// Package livecheck asks a metrics server what rules would meet there: selectors
// without series, labels that results lack, ranges that are too short for the
// scrapes, and what each rule costs. It only asks, one query after the other.
package livecheck

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/rules"
)

// Options say which rules are checked, and whom they would read from.
type Options struct {
	Query func(ctx context.Context, expr string, at time.Time) (promql.Vector, error)
	Range func(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error)
	// Names lists the metrics that the server has; a name that is not there is compared with them.
	Names func(ctx context.Context) ([]string, error)
	Now   time.Time

	Files []*rules.File
	// Place is where what is said of a file's rule should point to, instead of the
	// rule: of packs the item that names them. nil, or a zero result: the rule.
	Place func(file string) Place
	// Service reports whether a series belongs to a service, or measures the calls between two.
	Service func(labels.Labels) bool
	// Identity are the labels that name a service, the most general first.
	Identity []string
	// Interval is how often a group without an interval of its own is evaluated.
	Interval time.Duration
	// Own are names that the rules themselves write: they need not be there yet.
	Own map[string]bool
	// Progress is told which part of the rules was asked about; may be nil.
	Progress func(part float64)
}

// Place is a place in a file. The zero Place is none.
type Place struct {
	File         string
	Line, Column int
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Place
	Rule  string
	Text  string
	Fails bool // the rule cannot work; else it is a warning
}

// String is the finding as compilers write theirs.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Rule, f.Text)
}

// Rule is what is known of one rule.
type Rule struct {
	Name, File string
	Kind       string  // detect, alert or record
	Series     int     // now
	Samples    float64 // that the server reads for one evaluation, estimated
	Every      time.Duration
	// Life is the median time that a series of the last day was there, at least; 0: not asked or unknown.
	// WholeDay: most were there throughout.
	Life     time.Duration
	WholeDay bool
	// Anomalies per week that the budgets allow all series together.
	Anomalies float64
}

// Report is what was found.
type Report struct {
	Findings []Finding // in the order of rules
	Rules    []Rule
}

// checker asks about the rules of one configuration.
type checker struct {
	Options
	report    Report
	selected  map[string]selection // by selector
	intervals map[string]time.Duration
	names     []string
	listed    bool // names are there
}

// Run asks about all rules. An error is that of a server that does not answer,
// or of ctx; what is wrong with a rule is a finding.
func Run(ctx context.Context, o Options) (Report, error) {
	c := &checker{Options: o, selected: map[string]selection{}}
	var err error
	if c.intervals, err = ScrapeIntervals(ctx, o.Query, o.Range, o.Now); err != nil {
		return c.report, err
	}
	all, done := 0, 0
	for _, f := range o.Files {
		for _, g := range f.Groups {
			all += len(g.Rules)
		}
	}
	for _, f := range o.Files {
		texts := readTexts(f.Path)
		for gi, g := range f.Groups {
			for ri := range g.Rules {
				if err := c.rule(ctx, f, gi, ri, texts); err != nil {
					return c.report, err
				}
				done++
				if o.Progress != nil {
					o.Progress(float64(done) / float64(all))
				}
			}
		}
	}
	return c.report, nil
}

// asked is a rule while it is asked about.
type asked struct {
	*checker
	Rule
	place   Place // of the rule
	spec    *rules.DetectionSpec
	missing bool // a selector has no series
	// optional: the rule may be without data
	optional bool
	static   map[string]string // labels that the rule sets
	texts    texts
	at       [2]int // group and rule in the file
}

func (c *checker) rule(ctx context.Context, f *rules.File, gi, ri int, t texts) error {
	g := f.Groups[gi]
	r := g.Rules[ri]
	a := &asked{checker: c, texts: t, at: [2]int{gi, ri}, static: g.Labels, optional: f.Optional}
	a.File, a.Every = f.Path, cmp.Or(g.Interval, c.Interval)
	exprs := map[string]parser.Expr{}
	var needed []string // labels that templates ask for
	switch {
	case r.Detection != nil:
		a.Name, a.Kind, a.spec = r.Detection.Name, "detect", r.Detection
		exprs["expr"] = r.Detection.Expr
		if r.Detection.Of != nil {
			exprs["of"] = r.Detection.Of
		}
		a.static = merged(g.Labels, r.Detection.Labels)
	default:
		a.Name, a.Kind = cmp.Or(r.Prometheus.Alert, r.Prometheus.Record), "record"
		if r.Prometheus.Alert != "" {
			a.Kind = "alert"
			needed = templateLabels(r.Prometheus.Annotations, r.Prometheus.Labels)
		}
		e, err := parser.NewParser(parser.Options{}).ParseExpr(r.Prometheus.Expr)
		if err != nil {
			return nil // the rule file would not have been read
		}
		exprs["expr"] = e
		a.static = merged(g.Labels, r.Prometheus.Labels)
	}
	a.place = a.texts.rule(a.at)
	if a.place == (Place{}) {
		a.place = Place{File: f.Path, Line: 1, Column: 1}
	}
	if c.Place != nil {
		if p := c.Place(f.Path); p != (Place{}) {
			a.place = p
		}
	}
	if err := a.check(ctx, exprs, needed); err != nil {
		return err
	}
	c.report.Rules = append(c.report.Rules, a.Rule)
	return nil
}

func (a *asked) check(ctx context.Context, exprs map[string]parser.Expr, needed []string) error {
	now, err := a.Query(ctx, exprs["expr"].String(), a.Now)
	if err != nil {
		if fatal(ctx, err) {
			return err
		}
		a.fail(a.place, "the server refuses the expression: %v", err)
		return nil
	}
	a.Series = len(now)
	for _, field := range []string{"expr", "of"} {
		if e := exprs[field]; e != nil {
			if err := a.selectors(ctx, field, e, len(now) > 0); err != nil {
				return err
			}
		}
	}
	if a.Kind != "alert" && !a.optional && len(now) == 0 && !a.missing && !compares(exprs["expr"]) {
		a.warn(a.inside("expr", 0), "all selectors have series, and the expression has no result: do the labels on both sides of its operators match?")
	}
	if err := a.labels(ctx, exprs["expr"], now, needed); err != nil {
		return err
	}
	if a.spec == nil {
		return nil
	}
	if b := a.spec.Budget; b.Per > 0 {
		a.Anomalies = float64(a.Series) * b.Events * float64(7*24*time.Hour) / float64(b.Per)
	}
	return a.life(ctx, exprs["expr"])
}

// compares reports whether an expression leaves results out on purpose.
func compares(e parser.Expr) bool {
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		found = found || ok && (b.Op.IsComparisonOperator() || b.Op == parser.LUNLESS || b.Op == parser.LAND)
		return nil
	})
	return found
}

func merged(group, rule map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{group, rule} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func (a *asked) warn(at Place, format string, args ...any) { a.add(at, false, format, args...) }
func (a *asked) fail(at Place, format string, args ...any) { a.add(at, true, format, args...) }

func (a *asked) add(at Place, fails bool, format string, args ...any) {
	f := Finding{Place: at, Rule: a.Name, Text: strings.TrimSpace(fmt.Sprintf(format, args...)), Fails: fails}
	if !slices.Contains(a.report.Findings, f) {
		a.report.Findings = append(a.report.Findings, f)
	}
}
