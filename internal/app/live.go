package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/source"
)

const (
	// replayStep is the least distance of two evaluations in a cold start.
	replayStep = time.Minute
	// maxCatchUp is how many evaluations of a group are replayed at most at its
	// own interval: those of the longest cold start by default.
	maxCatchUp = 14 * 24 * 60
)

// catchUpStep is the least distance of two evaluations over what has passed since
// the detectors were saved, and what may be left for live evaluation. They know
// their series at the groups' own intervals: a minute between two samples would be
// a gap to them, after which the level begins anew, a fault's as well.
func catchUpStep(span time.Duration, intervals []time.Duration) (step, left time.Duration) {
	shortest := slices.Min(intervals)
	if span/shortest > maxCatchUp {
		return replayStep, replayStep
	}
	return 0, shortest
}

// coldStart lives through the past with delivery off, in as many rounds as it
// takes until little of it is left, and then attaches the engine to the
// present.
func (s *server) coldStart(ctx context.Context) error {
	defer s.carry(ctx)()
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
	if s.remote != nil && !ok && s.o.ColdStart > 0 {
		if err := s.awaitSource(ctx); err != nil {
			return err
		}
		now = time.Now()
	}
	past := span{what: "cold start", from: from, to: now, step: replayStep, left: replayStep}
	if ok && s.o.ColdStart > 0 {
		past.what, past.from = "catching up", learnt.Add(time.Millisecond)
		intervals := []time.Duration{s.engine.Interval()}
		for _, g := range s.engine.Rules().Groups() {
			intervals = append(intervals, g.Interval())
		}
		past.step, past.left = catchUpStep(now.Sub(past.from), intervals)
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
	if now.Sub(past.from) > 2*past.left {
		if err := s.replay(ctx, results, past); err != nil {
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

// every calls f again and again, with the time, until ctx is done.
func every(ctx context.Context, interval time.Duration, f func(now time.Time)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f(time.Now())
		}
	}
}

// carry keeps the alerts of an earlier run alive until the returned function is called.
func (s *server) carry(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.engine.Carry(time.Now())
	var carrying sync.WaitGroup
	carrying.Go(func() { every(ctx, s.engine.Interval(), s.engine.Carry) })
	return func() { cancel(); carrying.Wait() }
}

// sourceEvery is how often a source that does not answer yet is asked again, on
// top of the retries of the query itself.
const sourceEvery = 2 * time.Second

// awaitSource waits until the source answers: what is learnt from a past that
// nobody tells would be nothing. Readiness and pages say so meanwhile.
func (s *server) awaitSource(ctx context.Context) error {
	for told := false; ; {
		err := s.remote.Answers(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !told {
			told = true
			s.log.Warn("waiting for the source before the cold start", "err", err)
		}
		s.progress.Store(&progress{text: "waiting for the source: " + err.Error()})
		timer := time.NewTimer(sourceEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// span is a part of the past that is to be replayed.
type span struct {
	what       string // in the log and beside the progress
	from, to   time.Time
	step, left time.Duration // as [catchUpStep] returns them
}

// replay replays a span; what has passed meanwhile is replayed in a further round.
func (s *server) replay(ctx context.Context, results *source.Local, past span) error {
	p := newProgress(s.o.Out, past.what+": living through the past")
	s.progress.Store(p)
	s.log.Info(past.what+" begins", "from", past.from.UTC().Format(time.RFC3339), "least_step", past.step)
	begin := time.Now()
	first := past.from
	for round := 0; past.to.Sub(past.from) >= past.left && round < 10; round++ {
		if err := s.replayRound(ctx, results, past, func(at time.Time) {
			p.set(float64(at.Sub(first)) / float64(time.Since(first)))
		}); err != nil {
			return err
		}
		past.from, past.to = past.to.Add(time.Millisecond), time.Now()
	}
	p.set(1)
	s.log.Info(past.what+" is over", "span", past.to.Sub(first).Round(time.Second), "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// replayRound replays a span of which the source has all that it will ever have.
func (s *server) replayRound(ctx context.Context, results *source.Local, past span, progress func(time.Time)) error {
	store := engine.ReplayStore(engine.ReplaySource{
		Input: s.store, Results: results, Config: s.config.Engine, From: past.from, To: past.to, MinStep: past.step,
	})
	defer store.Close()
	if err := s.engine.Attach(ctx, store, engine.Live{SkipOutputs: !engine.ReadsOutputs(s.config.Engine)}); err != nil {
		return err
	}
	return s.engine.Replay(ctx, engine.Replay{From: past.from, To: past.to, MinStep: past.step, Progress: progress})
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
		s.save(time.Now())
	}()
	saving.Go(func() { every(rulesCtx, s.o.SnapshotInterval, s.save) })
	saving.Go(func() { s.watcher.Run(rulesCtx) })
	s.ready.Store(true)
	close(s.isLive)
	s.log.Info("ready")
	var last time.Time // the step before
	for before := time.Duration(0); ; {
		interval := s.engine.Interval()
		next := time.Now().Truncate(interval).Add(interval)
		if missed := next.Sub(last)/interval - 1; interval == before && missed > 0 {
			s.missedSteps.Add(float64(missed))
		}
		last, before = next, interval
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
