package engine

import (
	"context"
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
		"ALERTS": true, "ALERTS_FOR_STATE": true,
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

// ReplaySource says what a replay reads.
type ReplaySource struct {
	Input    source.Store
	Results  *source.Local // takes what the rules write; starts empty
	Config   Config
	From, To time.Time
	MinStep  time.Duration // as in [Replay]
}

// ReplayStore makes the store of a replay: the input and the results as one,
// where what the rules write is never read from the input, and where each
// rule's expression is fetched in windows ahead of its evaluations.
//
// The input must hold all of the span already. Close the store after use.
func ReplayStore(r ReplaySource) source.Store {
	store := source.Overlay(r.Input, r.Results, Outputs(r.Config))
	w := source.NewWindows(source.WindowsOptions{Store: store, Own: Outputs(r.Config), From: r.From, To: r.To})
	// The manager knows one query function; the step of a window follows from
	// the group that has the expression.
	steps := map[string]promrules.QueryFunc{}
	replay := Replay{MinStep: r.MinStep}
	for _, f := range r.Config.Rules {
		for _, g := range f.Groups {
			interval := g.Interval
			if interval == 0 {
				interval = r.Config.EvaluationInterval
			}
			for _, expr := range g.Expressions() {
				steps[expr] = w.For(replay.StepOf(interval))
			}
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
		w.Close()
		return nil
	}
	return store
}
