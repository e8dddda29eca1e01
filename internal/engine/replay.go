package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/rules"
)

// Replay says which past to live through.
type Replay struct {
	From, To time.Time
	// MinStep is the least distance of two evaluations of a group; 0 replays
	// every evaluation.
	MinStep time.Duration
	// Evaluated is told each evaluation of a group; an error ends the replay. May be nil.
	Evaluated func(g *rules.Group, at time.Time) error
	// Before is called before each incident step, for what comes in from outside; may be nil.
	Before func(now time.Time) error
	// Progress is told how far the replay is, in order; may be nil.
	Progress func(at time.Time)
	// Step is told the incidents after each incident step; may be nil.
	Step func(now time.Time, incidents []*incident.Incident)
}

// Step returns the distance at which a replay evaluates a group of the interval.
func (r Replay) StepOf(interval time.Duration) time.Duration { return max(interval, r.MinStep) }

// event is the next evaluation of a group, or, where group is nil, of the incidents.
type event struct {
	at    time.Time
	step  time.Duration
	group *rules.Group
}

// Replay lives through the past with the same step as the present: groups in
// the order of (time, file, group) at whole multiples of their interval, and
// the incident step last at each of its own times.
func (e *Engine) Replay(ctx context.Context, r Replay) error {
	m := e.Rules()
	m.SetRestored()
	var queue []*event
	for _, g := range m.Groups() {
		step := r.StepOf(g.Interval())
		queue = append(queue, &event{at: firstAt(r.From, step), step: step, group: g})
	}
	tick := &event{step: r.StepOf(e.config.Interval)}
	tick.at = firstAt(r.From, tick.step)
	queue = append(queue, tick)
	order := func(a, b *event) int {
		if a.group == nil || b.group == nil {
			return cmp.Or(a.at.Compare(b.at), boolOrder(a.group == nil, b.group == nil))
		}
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.group.File(), b.group.File()), cmp.Compare(a.group.Name(), b.group.Name()))
	}
	for {
		next := slices.MinFunc(queue, order)
		if next.at.After(r.To) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replay stopped at %s: %w", next.at.UTC().Format(time.RFC3339), context.Cause(ctx))
		}
		if next.group != nil {
			m.Eval(ctx, next.group, next.at)
			if r.Evaluated != nil {
				if err := r.Evaluated(next.group, next.at); err != nil {
					return err
				}
			}
		} else {
			if r.Before != nil {
				if err := r.Before(next.at); err != nil {
					return err
				}
			}
			incidents := e.Tick(ctx, next.at)
			if r.Step != nil {
				r.Step(next.at, incidents)
			}
			if r.Progress != nil {
				r.Progress(next.at)
			}
		}
		next.at = next.at.Add(next.step)
	}
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// firstAt returns the first whole multiple of the step at or after t.
func firstAt(t time.Time, step time.Duration) time.Time {
	at := t.Truncate(step)
	if at.Before(t) {
		at = at.Add(step)
	}
	return at
}
