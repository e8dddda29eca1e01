package rules

import (
	"context"
	"errors"
	"sync"
	"time"

	promrules "github.com/prometheus/prometheus/rules"
)

// Run evaluates the groups at their intervals until the context is done, and
// returns when the last evaluation ended. Each group has its own slots in time,
// as in Prometheus; an evaluation that takes longer than the interval makes the
// group miss slots, which are counted. Alerts of groups that were there from the
// start have their `for` state restored after their second evaluation. Groups
// that [Manager.Update] adds start, those that it removes stop. This is the one
// part of the package that reads a clock.
func (m *Manager) Run(ctx context.Context) error {
	if m.o.Now == nil {
		return errors.New("rules: Run needs a clock: Options.Now must be given")
	}
	if !m.running.CompareAndSwap(false, true) {
		return errors.New("rules: the manager is running already")
	}
	defer m.running.Store(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	started := map[*Group]context.CancelFunc{}
	for {
		m.mu.Lock()
		groups, removed := m.groups, m.removed
		m.removed = nil
		m.mu.Unlock()

		present := make(map[*Group]bool, len(groups))
		for _, g := range groups {
			present[g] = true
			if _, ok := started[g]; ok {
				continue
			}
			// The evaluation itself keeps the outer context: a group that is
			// replaced has ended its evaluation by then.
			wait, stop := context.WithCancel(ctx)
			started[g] = stop
			wg.Go(func() { m.runGroup(ctx, wait, g) })
		}
		for g, stop := range started {
			if !present[g] {
				stop()
				delete(started, g)
			}
		}
		for _, r := range removed {
			wg.Go(func() { m.endSeries(ctx, r) })
		}
		select {
		case <-ctx.Done():
			for _, stop := range started {
				stop()
			}
			return nil
		case <-m.changed:
		}
	}
}

// runGroup evaluates a group at its slots until wait is done.
func (m *Manager) runGroup(ctx, wait context.Context, g *Group) {
	slot := g.prom.EvalTimestamp(m.o.Now().UnixNano()).Add(g.Interval())
	for n := 1; m.sleepUntil(wait, slot); n++ {
		m.Eval(ctx, g, slot)
		if n == 2 {
			// Before the second evaluation there may be too little to restore from.
			m.restore(g)
		}
		slot = m.nextSlot(g, slot)
	}
}

// nextSlot returns the time of the evaluation after the one at last, which is
// over, and counts those that were missed.
func (m *Manager) nextSlot(g *Group, last time.Time) time.Time {
	now := m.o.Now()
	latest := g.prom.EvalTimestamp(now.UnixNano())
	if !latest.After(last) {
		if last.Sub(latest) > g.Interval() {
			m.log.Warn("the clock was set back; evaluating by the new time", "file", g.File(), "group", g.Name(), "last", last, "now", now)
			return latest.Add(g.Interval())
		}
		return last.Add(g.Interval())
	}
	if missed := latest.Sub(last)/g.Interval() - 1; missed > 0 {
		g.missed.Add(uint64(missed))
		m.prom.Metrics.IterationsMissed.WithLabelValues(g.key()).Add(float64(missed))
		m.prom.Metrics.IterationsScheduled.WithLabelValues(g.key()).Add(float64(missed))
	}
	return latest
}

// restore restores the `for` state of the group's alerts, once.
func (m *Manager) restore(g *Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || !g.restore {
		return
	}
	g.restore = false
	if m.o.Queryable == nil {
		for _, r := range g.prom.AlertingRules() {
			r.SetRestored(true)
		}
		return
	}
	g.prom.RestoreForState(m.o.Now())
}

// endSeries ends what a removed group wrote: two intervals later, so that a
// rule that was moved can go on with a series first, but as of now, so that
// its going on wins.
func (m *Manager) endSeries(ctx context.Context, r grave) {
	removed := m.o.Now()
	if !m.sleepUntil(ctx, removed.Add(2*r.interval)) {
		return // as in Prometheus: the end of the program ends no series
	}
	r.empty.Eval(ctx, removed)
	key := promrules.GroupKey(r.empty.File(), r.empty.Name())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.groups {
		if g.key() == key {
			return // there is such a group again
		}
	}
	p := m.prom.Metrics
	for _, vec := range []interface{ DeleteLabelValues(...string) bool }{
		p.IterationsMissed, p.IterationsScheduled, p.EvalTotal, p.EvalFailures, p.GroupInterval, p.GroupLastEvalTime,
		p.GroupLastDuration, p.GroupLastRuleDurationSum, p.GroupLastRestoreDuration, p.GroupRules, p.GroupSamples,
	} {
		vec.DeleteLabelValues(key)
	}
}

// sleepUntil says whether the time came before the context was done.
func (m *Manager) sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(t.Sub(m.o.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
