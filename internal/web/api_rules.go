package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/plot"
)

// scoreMetric is the name of the series that a detection rule writes.
const scoreMetric = "anomaly_score"

type jsonGroup struct {
	Name           string    `json:"name"`
	File           string    `json:"file"`
	Rules          []any     `json:"rules"`
	Interval       number    `json:"interval"`
	Limit          int       `json:"limit"`
	EvaluationTime number    `json:"evaluationTime"`
	LastEvaluation time.Time `json:"lastEvaluation"`
	Missed         int64     `json:"missedEvaluations"`
}

// jsonRule is what all kinds of rules have.
type jsonRule struct {
	Name           string            `json:"name"`
	Query          string            `json:"query"`
	Labels         map[string]string `json:"labels"`
	Health         Health            `json:"health"`
	LastError      string            `json:"lastError,omitempty"`
	EvaluationTime number            `json:"evaluationTime"`
	LastEvaluation time.Time         `json:"lastEvaluation"`
	Type           string            `json:"type"`
}

type jsonAlertingRule struct {
	jsonRule
	State         string            `json:"state"`
	Duration      number            `json:"duration"`
	KeepFiringFor number            `json:"keepFiringFor"`
	Annotations   map[string]string `json:"annotations"`
	Alerts        []jsonAlert       `json:"alerts"`
}

type jsonAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
	ActiveAt    time.Time         `json:"activeAt"`
	Value       string            `json:"value"`
}

// jsonDetectionRule is a recording rule to clients that know only Prometheus's kinds.
type jsonDetectionRule struct {
	jsonRule
	Detect      string            `json:"detect"`
	Signal      string            `json:"signal"`
	Detector    string            `json:"detector"`
	Annotations map[string]string `json:"annotations"`
	Series      int               `json:"series"`
	Anomalies   int               `json:"anomalies"`
	Evaluations []jsonEvaluation  `json:"evaluations"`
	Command     string            `json:"command,omitempty"`
}

type jsonEvaluation struct {
	Time      time.Time `json:"time"`
	Duration  number    `json:"duration"`
	Series    int       `json:"series"`
	NaN       int       `json:"nan,omitempty"` // of the series, without a number as value
	Anomalies int       `json:"anomalies"`
	Error     string    `json:"error,omitempty"`
}

// ruleFilter is what a request asks for, as in Prometheus; a detection rule is
// selected by its own name and as a recording rule.
type ruleFilter struct {
	typ                  string // alert, record; empty: both
	names, groups, files []string
	matchers             [][]*labels.Matcher // of labels; none: all
	excludeAlerts        bool
	limit                int    // of groups; 0: none
	token                string // of the first group
}

func readRuleFilter(r *http.Request) (f ruleFilter, err error) {
	if err := parseForm(r); err != nil {
		return f, err
	}
	f = ruleFilter{typ: strings.ToLower(r.FormValue("type")), names: r.Form["rule_name[]"], groups: r.Form["rule_group[]"], files: r.Form["file[]"], token: r.FormValue("group_next_token")}
	switch f.typ {
	case "", "alert", "record":
	default:
		return f, invalidParam("type", fmt.Errorf("not supported value %q: use alert or record", plot.Clip(f.typ, 100)))
	}
	for _, text := range r.Form["match[]"] {
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
		if err != nil {
			return f, invalidParam("match[]", err)
		}
		f.matchers = append(f.matchers, ms)
	}
	if text := r.FormValue("exclude_alerts"); text != "" {
		if f.excludeAlerts, err = strconv.ParseBool(text); err != nil {
			return f, invalidParam("exclude_alerts", fmt.Errorf("%q is neither true nor false", plot.Clip(text, 100)))
		}
	}
	if f.limit, err = paramCount(r, "group_limit"); err != nil {
		return f, err
	}
	if f.limit == 0 && f.token != "" {
		return f, invalidParam("group_limit", errors.New("group_limit needs to be set to paginate over the groups"))
	}
	return f, nil
}

// rule says whether a rule is asked for.
func (f ruleFilter) rule(rule *Rule) bool {
	if len(f.names) > 0 && !slices.Contains(f.names, rule.Name) || f.typ != "" && (f.typ == "alert") != (rule.Kind == AlertOn) {
		return false
	}
	return len(f.matchers) == 0 || slices.ContainsFunc(f.matchers, func(ms []*labels.Matcher) bool {
		return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(rule.Labels[m.Name]) })
	})
}

// empty says whether a group without a rule that is asked for is shown all the same.
func (f ruleFilter) empty() bool { return f.typ == "" && len(f.names) == 0 && len(f.matchers) == 0 }

// groupToken names a group in the parameter group_next_token.
func groupToken(g RuleGroup) string {
	h := sha256.Sum256([]byte(g.File + ";" + g.Name))
	return hex.EncodeToString(h[:16])
}

// apiRules lists rules in Prometheus's shape, selected as there.
func (s *server) apiRules(w http.ResponseWriter, r *http.Request) {
	f, err := readRuleFilter(r)
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	out := jsonGroups{Groups: []jsonGroup{}}
	all := s.Rules()
	if f.token != "" {
		first := slices.IndexFunc(all, func(g RuleGroup) bool { return groupToken(g) == f.token })
		if first < 0 {
			s.respondError(w, errorBadData, invalidParam("group_next_token", errors.New("there is no such group any more: begin anew")))
			return
		}
		all = all[first:]
	}
	for _, g := range all {
		if len(f.files) > 0 && !slices.Contains(f.files, g.File) || len(f.groups) > 0 && !slices.Contains(f.groups, g.Name) {
			continue
		}
		j := jsonGroup{Name: g.Name, File: g.File, Rules: []any{}, Interval: number(g.Interval.Seconds()), Limit: g.Limit,
			EvaluationTime: number(g.Duration.Seconds()), LastEvaluation: g.LastEvaluation.UTC(), Missed: g.Missed}
		for i := range g.Rules {
			if rule := &g.Rules[i]; f.rule(rule) {
				j.Rules = append(j.Rules, apiRule(rule, f.excludeAlerts))
			}
		}
		if len(j.Rules) == 0 && !f.empty() {
			continue
		}
		if f.limit > 0 && len(out.Groups) == f.limit {
			out.Next = groupToken(g)
			break
		}
		out.Groups = append(out.Groups, j)
	}
	s.respond(w, out)
}

type jsonGroups struct {
	Groups []jsonGroup `json:"groups"`
	Next   string      `json:"groupNextToken,omitempty"`
}

func apiRule(rule *Rule, withoutAlerts bool) any {
	base := jsonRule{Name: rule.Name, Query: rule.Query, Labels: orEmpty(rule.Labels), Health: rule.Health, LastError: rule.LastError,
		EvaluationTime: number(rule.Duration.Seconds()), LastEvaluation: rule.LastEvaluation.UTC(), Type: "recording"}
	if base.Health == "" {
		base.Health = HealthUnknown
	}
	switch rule.Kind {
	case AlertOn:
		base.Type = "alerting"
		j := jsonAlertingRule{jsonRule: base, State: rule.State, Duration: number(rule.For.Seconds()),
			KeepFiringFor: number(rule.KeepFiringFor.Seconds()), Annotations: orEmpty(rule.Annotations), Alerts: []jsonAlert{}}
		if !withoutAlerts {
			j.Alerts = apiRuleAlerts(rule)
		}
		return j
	case Detect:
		base.Name = scoreMetric
		j := jsonDetectionRule{jsonRule: base, Detect: rule.Name, Signal: rule.Signal, Detector: rule.Detector, Annotations: orEmpty(rule.Annotations),
			Series: rule.Series, Anomalies: rule.Anomalies, Evaluations: []jsonEvaluation{}, Command: rule.Command}
		for _, e := range lastEvaluations(rule) {
			j.Evaluations = append(j.Evaluations, jsonEvaluation{Time: e.Time.UTC(), Duration: number(e.Duration.Seconds()), Series: e.Series, NaN: e.NaN, Anomalies: e.Anomalies, Error: e.Error})
		}
		return j
	}
	return base
}

// maxEvaluations bounds how many evaluations of a rule are shown.
const maxEvaluations = 20

func lastEvaluations(rule *Rule) []Evaluation {
	return rule.Evaluations[:min(len(rule.Evaluations), maxEvaluations)]
}

func apiRuleAlerts(rule *Rule) []jsonAlert {
	list := []jsonAlert{}
	for _, a := range rule.Alerts {
		list = append(list, jsonAlert{Labels: orEmpty(a.Labels), Annotations: orEmpty(a.Annotations), State: a.State,
			ActiveAt: a.ActiveAt.UTC(), Value: strconv.FormatFloat(a.Value, 'e', -1, 64)})
	}
	return list
}

// apiAlerts lists the pending and firing alerts of all alerting rules.
func (s *server) apiAlerts(w http.ResponseWriter, _ *http.Request) {
	list := []jsonAlert{}
	for _, g := range s.Rules() {
		for i := range g.Rules {
			list = append(list, apiRuleAlerts(&g.Rules[i])...)
		}
	}
	s.respond(w, map[string]any{"alerts": list})
}
