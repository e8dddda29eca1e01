package app

import (
	"context"
	"errors"
	"sync"
	"time"

	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/source"
)

// replayStep is the least distance of two evaluations in a cold start.
const replayStep = time.Minute

// coldStart lives through the past with delivery off, in as many rounds as it
// takes until little of it is left, and then attaches the engine to the
// present.
func (s *server) coldStart(ctx context.Context) error {
	now := time.Now()
	from := now.Add(-s.o.ColdStart)
	if s.remote == nil {
		oldest, _, ok := s.local.Extent(ctx)
		if !ok || s.o.ColdStart == 0 {
			from = now
		} else if oldest.After(from) {
			from = oldest
		}
	}
	learnt, ok, err := s.takeUp(ctx, now)
	if err != nil {
		return err
	}
	if ok && s.o.ColdStart > 0 {
		from = learnt.Add(time.Millisecond)
	}
	results, err := source.OpenTemporary(source.TemporaryOptions{Query: s.o.Query, Logger: s.log})
	if err != nil {
		return err
	}
	defer func() {
		if err := results.Close(); err != nil {
			s.log.Warn("the results of the cold start could not be removed", "err", err)
		}
	}()
	if now.Sub(from) > 2*replayStep {
		if err := s.replay(ctx, results, from, now); err != nil {
			return err
		}
	}
	live := engine.Live{Registerer: s.reg, Now: time.Now}
	if s.config.SendAlerts {
		live.Notify = s.sender.Notify()
	} else {
		live.Notify = func(context.Context, string, ...*promrules.Alert) {}
	}
	if err := s.engine.Attach(ctx, s.store, live); err != nil {
		return err
	}
	s.engine.GoLive(time.Now())
	return nil
}

// replay replays what lies between from and now; what has passed meanwhile is
// replayed in a further round.
func (s *server) replay(ctx context.Context, results *source.Local, from, now time.Time) error {
	p := newProgress(s.o.Out, "cold start: living through the past")
	s.progress.Store(p)
	s.log.Info("cold start begins", "from", from.UTC().Format(time.RFC3339), "step", replayStep)
	begin := time.Now()
	first := from
	for round := 0; now.Sub(from) >= replayStep && round < 10; round++ {
		if err := s.replayRound(ctx, results, from, now, func(at time.Time) {
			p.set(float64(at.Sub(first)) / float64(time.Since(first)))
		}); err != nil {
			return err
		}
		from, now = now.Add(time.Millisecond), time.Now()
	}
	p.set(1)
	s.log.Info("cold start is over", "span", now.Sub(first).Round(time.Minute), "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// replayRound replays a span of which the source has all that it will ever have.
func (s *server) replayRound(ctx context.Context, results *source.Local, from, to time.Time, progress func(time.Time)) error {
	store := engine.ReplayStore(engine.ReplaySource{
		Input: s.store, Results: results, Config: s.config.Engine, From: from, To: to, MinStep: replayStep,
	})
	defer store.Close()
	if err := s.engine.Attach(ctx, store, engine.Live{SkipOutputs: !engine.ReadsOutputs(s.config.Engine)}); err != nil {
		return err
	}
	return s.engine.Replay(ctx, engine.Replay{From: from, To: to, MinStep: replayStep, Progress: progress})
}

// live evaluates the rules on their schedule and steps through the incidents.
func (s *server) live(ctx context.Context) error {
	rulesDone := make(chan error, 1)
	rulesCtx, stopRules := context.WithCancel(ctx)
	go func() { rulesDone <- s.engine.Rules().Run(rulesCtx) }()
	var saving sync.WaitGroup
	defer func() {
		stopRules()
		saving.Wait()
		s.save()
	}()
	saving.Go(func() { s.saveRegularly(rulesCtx) })
	saving.Go(func() { _ = s.watcher.Run(rulesCtx) })
	s.ready.Store(true)
	close(s.isLive)
	s.log.Info("ready")
	for {
		interval := s.engine.Interval()
		next := time.Now().Truncate(interval).Add(interval)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ignoreCanceled(<-rulesDone)
		case err := <-rulesDone:
			timer.Stop()
			return ignoreCanceled(err)
		case <-timer.C:
		}
		s.engine.Tick(ctx, next)
		if s.o.Step != nil {
			s.o.Step(next, s.engine)
		}
	}
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
