package rules

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
)

// Group is a group of rules that are evaluated together, in their order.
type Group struct {
	prom       *promrules.Group
	detections []*Detection
	missed     atomic.Uint64

	mu      sync.Mutex // held while the group is evaluated
	stopped bool       // replaced or removed; it is not evaluated any more
	restore bool       // the `for` state of its alerts is still to be restored
}

// Name returns the group's name, which is unique in its file.
func (g *Group) Name() string { return g.prom.Name() }

// File returns the path of the group's file.
func (g *Group) File() string { return g.prom.File() }

// Interval returns the distance of two evaluations.
func (g *Group) Interval() time.Duration { return g.prom.Interval() }

// QueryOffset returns how far behind the evaluation the queries look.
func (g *Group) QueryOffset() time.Duration { return g.prom.QueryOffset() }

// Limit returns the group's limit of series per rule; 0 is none.
func (g *Group) Limit() int { return g.prom.Limit() }

// Rules returns all rules in the order of their evaluation: recording and
// alerting rules of Prometheus and [*Detection].
func (g *Group) Rules() []promrules.Rule { return g.prom.Rules() }

// Detections returns the detection rules in the order of their evaluation.
func (g *Group) Detections() []*Detection { return g.detections }

// LastEvaluation returns when, by the clock, the last evaluation began; zero
// before the first.
func (g *Group) LastEvaluation() time.Time { return g.prom.GetLastEvaluation() }

// LastTimestamp returns the time for which the group was last evaluated.
func (g *Group) LastTimestamp() time.Time { return g.prom.GetLastEvalTimestamp() }

// EvaluationDuration returns how long the last evaluation took.
func (g *Group) EvaluationDuration() time.Duration { return g.prom.GetEvaluationTime() }

// Missed returns how many evaluations were left out because the one before
// took too long.
func (g *Group) Missed() uint64 { return g.missed.Load() }

func (g *Group) key() string { return promrules.GroupKey(g.File(), g.Name()) }

// stop ends the evaluation of the group for good and waits for the running one.
func (g *Group) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

// Eval evaluates the group for the time ts. It is the one way in which groups
// are evaluated, in the present and in any past. The evaluation of a group
// that an update replaced or removed does nothing. Evaluations of one group
// wait for each other.
func (m *Manager) Eval(ctx context.Context, g *Group, ts time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return
	}
	set := m.holds.Load()
	for _, d := range g.detections {
		d.held, d.holds = set, set.of(d.Name(), ts)
	}
	ctx = promql.NewOriginContext(ctx, map[string]any{
		"ruleGroup": map[string]string{"file": g.File(), "name": g.Name()},
	})
	promrules.DefaultEvalIterationFunc(ctx, g.prom, ts)
}
