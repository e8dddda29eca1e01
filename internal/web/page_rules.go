package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/plot"
)

type groupView struct {
	File, Name, Interval, Last, Took string
	Missed                           int64
	Rules                            []ruleView
}

type ruleView struct {
	Kind                    string
	Name, Query             string
	Health, Class           string
	Error                   string
	Signal, Detector, State string
	Last, Took              string
	Series, Anomalies       int
	Detects                 bool
	OnlyNaN                 bool // the last evaluation had series, and no number
	Open                    bool // shown unfolded: something is wrong with it
	Evaluations             []evaluationView
	Labels                  []pair
	Command                 string
}

type evaluationView struct {
	Clock, Took, Error string
	Series, Anomalies  int
}

func (s *server) pageRules(w http.ResponseWriter, _ *http.Request) {
	now := s.Now()
	var groups []groupView
	for _, g := range s.Rules() {
		v := groupView{File: plot.Clip(g.File, 200), Name: plot.Clip(g.Name, 200), Interval: g.Interval.String(), Last: ago(now, g.LastEvaluation), Took: took(g.Duration), Missed: g.Missed}
		for i := range g.Rules {
			v.Rules = append(v.Rules, makeRuleView(&g.Rules[i], now))
		}
		groups = append(groups, v)
	}
	s.render(w, http.StatusOK, "rules", frame{Title: "Rules", Section: "rules", Page: map[string]any{"Groups": groups}})
}

func makeRuleView(r *Rule, now time.Time) ruleView {
	v := ruleView{Kind: plot.Clip(string(r.Kind), 40), Name: plot.Clip(r.Name, 200), Query: plot.Clip(r.Query, 4000), Health: string(r.Health), Error: plot.Clip(r.LastError, 1000),
		Signal: plot.Clip(r.Signal, 40), Detector: plot.Clip(r.Detector, 100), State: plot.Clip(r.State, 40), Last: ago(now, r.LastEvaluation), Took: took(r.Duration),
		Series: r.Series, Anomalies: r.Anomalies, Detects: r.Kind == Detect, Open: r.Health == HealthErr, Labels: pairs(r.Labels), Command: plot.Clip(r.Command, 8000)}
	v.Class, v.Health = healthClass(r.Health)
	if len(r.Evaluations) > 0 {
		last := r.Evaluations[0]
		v.OnlyNaN = last.NaN > 0 && last.NaN == last.Series
	}
	for _, e := range lastEvaluations(r) {
		v.Evaluations = append(v.Evaluations, evaluationView{Clock: clock(now, e.Time), Took: took(e.Duration), Series: e.Series, Anomalies: e.Anomalies, Error: plot.Clip(e.Error, 1000)})
	}
	return v
}

// healthClass is the CSS class and the word for a health.
func healthClass(h Health) (class, word string) {
	switch h {
	case HealthOK, HealthUp:
		return "good", string(h)
	case HealthErr, HealthDown:
		return "bad", string(h)
	}
	return "unknown", string(HealthUnknown)
}

type poolView struct {
	Job     string
	Up, All int
	Targets []targetView
}

type targetView struct {
	URL, Health, Class, Last, Took, Error string
	Labels                                []pair
}

// maxTargets bounds the rows of one pool; the API has all.
const maxTargets = 1000

func (s *server) pageTargets(w http.ResponseWriter, _ *http.Request) {
	now := s.Now()
	var pools []poolView
	for _, p := range s.Targets() {
		v := poolView{Job: plot.Clip(p.Job, 200), All: len(p.Targets)}
		for _, t := range p.Targets {
			if t.Health == HealthUp {
				v.Up++
			}
			if len(v.Targets) == maxTargets {
				continue
			}
			row := targetView{URL: plot.Clip(t.URL, 300), Last: ago(now, t.LastScrape), Took: took(t.Duration), Error: plot.Clip(t.Error, 1000), Labels: pairs(t.Labels)}
			row.Class, row.Health = healthClass(t.Health)
			v.Targets = append(v.Targets, row)
		}
		pools = append(pools, v)
	}
	s.render(w, http.StatusOK, "targets", frame{Title: "Targets", Section: "targets", Page: map[string]any{"Pools": pools, "Source": plot.Clip(s.Status().Source, 300)}})
}

type statusRow struct{ Name, Value, Class string }

func (s *server) pageStatus(w http.ResponseWriter, _ *http.Request) {
	now := s.Now()
	st := s.Status()
	var rows []statusRow
	add := func(name, value, class string) {
		if value != "" {
			rows = append(rows, statusRow{name, plot.Clip(value, 1000), class})
		}
	}
	modes := map[Mode]string{Shadow: "shadow: nothing is sent", TicketMode: "ticket: nobody is woken", PageMode: "page"}
	mode, ok := modes[st.Mode]
	if !ok {
		mode = string(st.Mode)
	}
	if ready, reason := s.Ready(); ready {
		add("Ready", "yes", "good")
	} else {
		add("Ready", strings.TrimSuffix("no: "+reason, ": "), "bad")
	}
	add("Cold start", st.Progress, "")
	add("Mode", mode, "")
	add("Metrics come from", st.Source, "")
	for _, am := range st.Alertmanagers {
		if am.Error != "" {
			add("Alertmanager", am.URL+": "+am.Error, "bad")
		} else {
			add("Alertmanager", am.URL, "good")
		}
	}
	if len(st.Alertmanagers) == 0 {
		add("Alertmanager", "none is configured", "")
	}
	if !st.Started.IsZero() {
		add("Running for", span(now.Sub(st.Started))+", since "+clock(now, st.Started)+" UTC", "")
	}
	add("Configuration", st.ConfigFile, "")
	if !st.LastReload.IsZero() {
		add("Loaded", ago(now, st.LastReload), "")
	}
	add("Last reload failed", st.ReloadError, "bad")
	add("Version", st.Version, "")
	add("Revision", st.Revision, "")
	add("Built", strings.TrimSpace(st.BuildDate+" "+st.GoVersion), "")
	s.render(w, http.StatusOK, "status", frame{Title: "Status", Section: "status", Page: map[string]any{"Rows": rows}})
}
