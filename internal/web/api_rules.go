package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

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

// apiRules lists rules in Prometheus's shape; type, file[], rule_group[] and
// rule_name[] select as there, a detection rule by its own name.
func (s *server) apiRules(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	typ := r.FormValue("type")
	switch typ {
	case "", "alert", "record":
	default:
		s.respondError(w, errorBadData, invalidParam("type", fmt.Errorf("not supported value %q: use alert or record", plot.Clip(typ, 100))))
		return
	}
	chosen := func(param, value string) bool {
		set := r.Form[param]
		return len(set) == 0 || slices.Contains(set, value)
	}
	groups := []jsonGroup{}
	for _, g := range s.Rules() {
		if !chosen("file[]", g.File) || !chosen("rule_group[]", g.Name) {
			continue
		}
		j := jsonGroup{Name: g.Name, File: g.File, Rules: []any{}, Interval: number(g.Interval.Seconds()),
			EvaluationTime: number(g.Duration.Seconds()), LastEvaluation: g.LastEvaluation.UTC(), Missed: g.Missed}
		for i := range g.Rules {
			rule := &g.Rules[i]
			if !chosen("rule_name[]", rule.Name) || typ != "" && (typ == "alert") != (rule.Kind == AlertOn) {
				continue
			}
			j.Rules = append(j.Rules, apiRule(rule))
		}
		if len(j.Rules) == 0 && (typ != "" || len(r.Form["rule_name[]"]) > 0) {
			continue
		}
		groups = append(groups, j)
	}
	s.respond(w, map[string]any{"groups": groups})
}

func apiRule(rule *Rule) any {
	base := jsonRule{Name: rule.Name, Query: rule.Query, Labels: orEmpty(rule.Labels), Health: rule.Health, LastError: rule.LastError,
		EvaluationTime: number(rule.Duration.Seconds()), LastEvaluation: rule.LastEvaluation.UTC(), Type: "recording"}
	if base.Health == "" {
		base.Health = HealthUnknown
	}
	switch rule.Kind {
	case AlertOn:
		base.Type = "alerting"
		return jsonAlertingRule{jsonRule: base, State: rule.State, Duration: number(rule.For.Seconds()),
			KeepFiringFor: number(rule.KeepFiringFor.Seconds()), Annotations: orEmpty(rule.Annotations), Alerts: apiRuleAlerts(rule)}
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

type jsonTarget struct {
	DiscoveredLabels   map[string]string `json:"discoveredLabels"`
	Labels             map[string]string `json:"labels"`
	ScrapePool         string            `json:"scrapePool"`
	ScrapeURL          string            `json:"scrapeUrl"`
	GlobalURL          string            `json:"globalUrl"`
	LastError          string            `json:"lastError"`
	LastScrape         time.Time         `json:"lastScrape"`
	LastScrapeDuration number            `json:"lastScrapeDuration"`
	Health             Health            `json:"health"`
	ScrapeInterval     string            `json:"scrapeInterval"`
	ScrapeTimeout      string            `json:"scrapeTimeout"`
}

// apiTargets lists the active targets in Prometheus's shape; scrapePool selects.
func (s *server) apiTargets(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	pool := r.FormValue("scrapePool")
	list := []jsonTarget{}
	for _, p := range s.Targets() {
		if pool != "" && p.Job != pool {
			continue
		}
		for _, t := range p.Targets {
			j := jsonTarget{DiscoveredLabels: orEmpty(t.DiscoveredLabels), Labels: orEmpty(t.Labels), ScrapePool: p.Job, ScrapeURL: t.URL, GlobalURL: t.URL,
				LastError: t.Error, LastScrape: t.LastScrape.UTC(), LastScrapeDuration: number(t.Duration.Seconds()), Health: t.Health,
				ScrapeInterval: model.Duration(t.Interval).String(), ScrapeTimeout: model.Duration(t.Timeout).String()}
			if j.Health == "" {
				j.Health = HealthUnknown
			}
			list = append(list, j)
		}
	}
	s.respond(w, map[string]any{"activeTargets": list, "droppedTargets": []any{}, "droppedTargetCounts": map[string]int{}})
}

func (s *server) apiBuildInfo(w http.ResponseWriter, _ *http.Request) {
	st := s.Status()
	s.respond(w, map[string]string{"version": st.Version, "revision": st.Revision, "branch": st.Branch,
		"buildUser": st.BuildUser, "buildDate": st.BuildDate, "goVersion": st.GoVersion})
}
