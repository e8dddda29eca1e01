package app

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/web"
	"github.com/foreshock/foreshock/rules"
)

// handler makes the pages and the API over what the server has.
func (s *server) handler() (http.Handler, error) {
	o := web.Options{
		Now: time.Now, Incidents: s.engine.Incidents, Status: s.status, Ready: s.isReady,
		Graph: s.engine.Graph, Gaps: s.engine.Gaps, Changes: s.engine.Changes().Since,
		ChangesToken: s.token, Rules: s.ruleGroups, Plot: s.plot,
		Reload: s.reload, Quit: func() { s.quitOnce.Do(func() { close(s.quit) }) }, EnableLifecycle: s.o.EnableLifecycle,
		Gatherer: s.reg, Registerer: s.reg, ExternalURL: s.external, Logger: s.log.With("component", "web"),
		Query: s.query, QueryRange: s.queryRange,
	}
	o.Write = s.write
	o.DecodeChange = func(r io.Reader) ([]change.Change, error) {
		return change.Decode(r, s.engine.Identity(), time.Now())
	}
	o.AddChange = func(_ context.Context, c change.Change) error { return s.posted.Add(c) }
	o.Act, o.Annotations = s.engine.Act, s.engine.Annotations
	o.ConfigText, o.Flags, o.TSDB, o.Latest = s.configText, s.o.Flags, s.tsdbStatus, s.latest
	o.Catalog = s.remote
	if s.remote == nil {
		o.Targets, o.Catalog, o.Exemplars = s.targets, s.local, s.local.Exemplars
	} else {
		o.Exemplars = s.remote.Exemplars
	}
	return web.New(o)
}

func (s *server) isReady() (bool, string) {
	if s.ready.Load() {
		return true, ""
	}
	if p := s.progress.Load(); p != nil {
		return false, p.String()
	}
	return false, "starting"
}

func (s *server) status() web.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := web.Status{
		Version: version.Version, Revision: version.GetRevision(), Branch: version.Branch, BuildUser: version.BuildUser,
		BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		Mode: web.Mode(s.config.Engine.Mode), Started: s.started, Source: "local",
		ConfigFile: s.o.ConfigFile, LastReload: s.reloadedAt, Fraction: -1, Retention: model.Duration(s.o.Retention).String(),
	}
	if s.sourceURL != "" {
		st.Source = s.sourceURL
	}
	for _, u := range s.sender.Alertmanagers() {
		st.Alertmanagers = append(st.Alertmanagers, web.Alertmanager{URL: u})
	}
	st.AlertsUnread = s.watcher.Last().Err != nil
	if s.reloadErr != nil {
		st.ReloadError = s.reloadErr.Error()
	}
	st.Ready = s.ready.Load()
	if p := s.progress.Load(); p != nil && !st.Ready {
		st.Progress = p.String()
		st.Fraction = p.fraction()
	}
	return st
}

func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

func (s *server) targets() []web.TargetPool {
	var out []web.TargetPool
	for _, p := range s.local.Targets() {
		pool := web.TargetPool{Job: p.Job, DroppedCount: p.Dropped}
		for _, ls := range p.DroppedTargets {
			pool.Dropped = append(pool.Dropped, ls.Map())
		}
		for _, t := range p.Active {
			pool.Targets = append(pool.Targets, web.Target{
				URL: t.URL, Health: web.Health(t.Health), LastScrape: t.LastScrape, Duration: t.Duration,
				Error: t.Error, Labels: t.Labels.Map(), DiscoveredLabels: t.DiscoveredLabels.Map(),
				Interval: t.Interval, Timeout: t.Timeout,
			})
		}
		out = append(out, pool)
	}
	return out
}

// ruleGroups shows the rules and how their last evaluations went.
func (s *server) ruleGroups() []web.RuleGroup {
	m := s.engine.Rules()
	if m == nil {
		return nil
	}
	var out []web.RuleGroup
	for _, g := range m.Groups() {
		group := web.RuleGroup{
			File: g.File(), Name: g.Name(), Interval: g.Interval(),
			LastEvaluation: g.LastEvaluation(), Duration: g.EvaluationDuration(), Missed: int64(g.Missed()),
			Limit: g.Limit(),
		}
		for _, r := range g.Rules() {
			group.Rules = append(group.Rules, s.ruleView(r))
		}
		out = append(out, group)
	}
	return out
}

func (s *server) ruleView(r promrules.Rule) web.Rule {
	v := web.Rule{
		Kind: web.Record, Name: r.Name(), Query: r.Query().String(), Labels: r.Labels().Map(),
		Health: web.Health(r.Health()), LastEvaluation: r.GetEvaluationTimestamp(), Duration: r.GetEvaluationDuration(),
		Command: s.command(r.Query().String(), r.GetEvaluationTimestamp()),
	}
	if err := r.LastError(); err != nil {
		v.LastError = err.Error()
	}
	switch r := r.(type) {
	case *promrules.AlertingRule:
		v.Kind, v.State, v.For, v.KeepFiringFor = web.AlertOn, r.State().String(), r.HoldDuration(), r.KeepFiringFor()
		v.Annotations = r.Annotations().Map()
		for _, a := range r.ActiveAlerts() {
			v.Alerts = append(v.Alerts, web.RuleAlert{
				Labels: a.Labels.Map(), Annotations: a.Annotations.Map(), State: a.State.String(), ActiveAt: a.ActiveAt, Value: a.Value,
			})
		}
		slices.SortFunc(v.Alerts, func(a, b web.RuleAlert) int {
			return strings.Compare(fmt.Sprint(a.Labels), fmt.Sprint(b.Labels))
		})
	case *rules.Detection:
		v.Kind, v.Signal, v.Unit, v.Detector, v.For = web.Detect, r.Signal(), r.Unit(), r.DetectorName(), r.Spec().For
		v.Annotations = r.Annotations().Map()
		history := r.History()
		for k := len(history) - 1; k >= 0; k-- {
			h := history[k]
			e := web.Evaluation{Time: h.Time, Duration: h.Duration, Series: h.Series, NaN: h.NaN, Anomalies: h.Anomalies}
			if h.Err != nil {
				e.Error = h.Err.Error()
			}
			v.Evaluations = append(v.Evaluations, e)
		}
		if len(v.Evaluations) > 0 {
			v.Series, v.Anomalies = v.Evaluations[0].Series, v.Evaluations[0].Anomalies
		}
	}
	return v
}

// command is a line that asks for what a rule last saw.
func (s *server) command(expr string, at time.Time) string {
	base := strings.TrimSuffix(s.external.String(), "/")
	if s.sourceURL != "" {
		base = strings.TrimSuffix(s.sourceURL, "/")
	}
	cmd := "curl -sG " + quote(base+"/api/v1/query") + " --data-urlencode " + quote("query="+expr)
	if !at.IsZero() {
		cmd += " -d time=" + strconv.FormatInt(at.Unix(), 10)
	}
	return cmd
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (s *server) query(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	if s.remote != nil {
		return s.remote.Evaluate(ctx, expr, ts)
	}
	return s.local.Evaluate(ctx, expr, ts)
}

func (s *server) queryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (parser.Value, annotations.Annotations, error) {
	if s.remote != nil {
		return s.remote.EvaluateRange(ctx, expr, from, to, step)
	}
	return s.local.EvaluateRange(ctx, expr, from, to, step)
}

// plotSpan is how much of the time before the onset a plot shows.
const plotSpan = 20 * time.Minute

// plot returns the values of an involved series from before the onset to the
// end of the incident, with the band where verdicts are at hand.
func (s *server) plot(ctx context.Context, id, rule, series string) ([]incident.Point, error) {
	var a *incident.Anomaly
	for _, i := range s.engine.Incidents() {
		if i.ID != id {
			continue
		}
		for k := range i.Anomalies {
			if i.Anomalies[k].Rule == rule && i.Anomalies[k].Series == series {
				a = &i.Anomalies[k]
			}
		}
	}
	if a == nil {
		return nil, fmt.Errorf("incident %s has no series %s of rule %s", id, series, rule)
	}
	trail := slices.Clone(a.Trail)
	first := a.Onset
	if len(trail) > 0 {
		first = trail[0].Time
	}
	before, err := s.before(ctx, rule, series, first.Add(-plotSpan), first.Add(-time.Second))
	if err != nil {
		s.log.Debug("a plot goes without what was before the onset", "rule", rule, "err", err)
	}
	return append(before, trail...), nil
}

// before asks the rule's own expression for the values before the onset, and
// the results for the band where they were written.
func (s *server) before(ctx context.Context, rule, series string, from, to time.Time) ([]incident.Point, error) {
	d := s.detection(rule)
	if d == nil {
		return nil, fmt.Errorf("rule %s is gone", rule)
	}
	step := max(to.Sub(from)/120, time.Second).Truncate(time.Second)
	m, err := s.store.Range(ctx, d.Query().String(), from, to, step)
	if err != nil {
		return nil, err
	}
	var out []incident.Point
	index := map[int64]int{}
	for _, ser := range m {
		if key(ser.Metric, d.Labels()) != series {
			continue
		}
		for _, p := range ser.Floats {
			index[p.T] = len(out)
			out = append(out, incident.Point{
				Time: time.UnixMilli(p.T).UTC(), Value: p.F, Expected: math.NaN(), Lower: math.NaN(), Upper: math.NaN(), Score: math.NaN(),
			})
		}
	}
	bound := func(name string, set func(*incident.Point, float64)) {
		m, err := s.local.Store().Range(ctx, fmt.Sprintf("%s{rule=%q}", name, rule), from, to, step)
		if err != nil {
			return // the band is an extra
		}
		for _, ser := range m {
			if key(ser.Metric, labels.EmptyLabels()) != series {
				continue
			}
			for _, p := range ser.Floats {
				if k, ok := index[p.T]; ok {
					set(&out[k], p.F)
				}
			}
		}
	}
	bound("yhat_lower", func(p *incident.Point, v float64) { p.Lower = v })
	bound("yhat_upper", func(p *incident.Point, v float64) { p.Upper = v })
	return out, nil
}

// key is the name that readings give the series of a rule: its labels without
// the metric's name and the rule's own mark, and with the labels that the rule adds.
func key(series, added labels.Labels) string {
	b := labels.NewBuilder(series).Del(model.MetricNameLabel, "rule")
	added.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
	return b.Labels().String()
}

func (s *server) detection(name string) *rules.Detection {
	for _, g := range s.engine.Rules().Groups() {
		for _, d := range g.Detections() {
			if d.Name() == name {
				return d
			}
		}
	}
	return nil
}
