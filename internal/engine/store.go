package engine

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/rules"
)

// Outputs are the names of all series that the rules of a configuration write.
func Outputs(c Config) map[string]bool {
	out := map[string]bool{
		rules.ScoreName: true, rules.LowerName: true, rules.UpperName: true,
		"ALERTS": true, "ALERTS_FOR_STATE": true, IncidentName: true,
	}
	for _, f := range c.Rules {
		for _, name := range f.Records() {
			out[name] = true
		}
	}
	if c.ReadAlerts {
		// The server's own alerts are evidence, so they are not hidden.
		delete(out, "ALERTS")
		delete(out, "ALERTS_FOR_STATE")
	}
	return out
}

// ReadsOutputs reports whether a rule or a discovery query of the configuration
// may read what its detection rules write.
func ReadsOutputs(c Config) bool {
	written := map[string]bool{rules.ScoreName: true, rules.LowerName: true, rules.UpperName: true}
	for expr := range expressions(c, Replay{}) {
		if source.Reads(expr, written) {
			return true
		}
	}
	return false
}

// Unanswerable says which expressions of a configuration cannot be evaluated
// where the input is a server: those that read both its series and our results.
func Unanswerable(c Config) []string {
	own := Outputs(c)
	var out []string
	for expr := range expressions(c, Replay{}) {
		if err := source.CheckRemote(expr, own); err != nil {
			out = append(out, err.Error())
		}
	}
	slices.Sort(out)
	return out
}

// expressions are all that a configuration asks, and how far apart in a replay.
// An expression that is asked at several distances has one of them.
func expressions(c Config, r Replay) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, d := range c.Edges {
		out[d.Edges] = r.StepOf(c.Interval)
	}
	for _, d := range c.Versions {
		out[d.Versions] = r.StepOf(c.Interval)
	}
	out[coverageQuery(c.Identity)] = r.StepOf(c.Interval)
	if c.ReadAlerts {
		out[firingAlerts] = r.StepOf(c.Interval)
	}
	for _, f := range c.Rules {
		for _, g := range f.Groups {
			interval := g.Interval
			if interval == 0 {
				interval = c.EvaluationInterval
			}
			for _, expr := range g.Expressions() {
				out[expr] = r.StepOf(interval)
			}
		}
	}
	return out
}

// ReplaySource says what a replay reads.
type ReplaySource struct {
	Input    source.Store
	Results  *source.Local // takes what the rules write; starts empty
	Config   Config
	From, To time.Time
	MinStep  time.Duration // as in [Replay]
	// Windows of Input, which may have been used by an earlier replay of the
	// same input, with any configuration. nil makes new ones.
	Windows *source.Windows
}

// ReplayStore makes the store of a replay: the input and the results as one,
// where what the rules write is never read from the input, and where what does
// not depend on results is fetched from the input in windows ahead of the step.
//
// The input must hold all of the span already. Close the store after use.
func ReplayStore(r ReplaySource) source.Store {
	own := Outputs(r.Config)
	store := source.Overlay(r.Input, r.Results, own)
	w := r.Windows
	if w == nil {
		w = source.NewWindows(source.WindowsOptions{Store: r.Input, From: r.From, To: r.To})
	}
	// The manager knows one query function; the step of a window follows from
	// the group that has the expression.
	steps := map[string]promrules.QueryFunc{}
	for expr, step := range expressions(r.Config, Replay{MinStep: r.MinStep}) {
		if !source.Reads(expr, own) {
			steps[expr] = w.For(step)
		}
	}
	instant := store.Query
	store.Query = func(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
		if q, ok := steps[expr]; ok {
			return q(ctx, expr, ts)
		}
		return instant(ctx, expr, ts)
	}
	store.Close = func() error {
		if r.Windows == nil {
			w.Close()
		}
		return nil
	}
	return store
}
