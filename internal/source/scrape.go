package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
)

// TargetPool is what one scrape job scrapes.
type TargetPool struct {
	Job    string
	Active []Target // by URL
	// Targets that relabelling dropped, by their discovered labels, as many as the
	// configuration keeps (keep_dropped_targets), and how many there are.
	DroppedTargets []labels.Labels
	Dropped        int
}

// Target is one scraped endpoint.
type Target struct {
	URL              string
	Health           string        // unknown, up, down
	LastScrape       time.Time     // zero: not yet
	Duration         time.Duration // of the last scrape
	Error            string        // of the last scrape
	Labels           labels.Labels
	DiscoveredLabels labels.Labels
	Interval         time.Duration
	Timeout          time.Duration
}

// Run discovers and scrapes targets until ctx is done, at the times of the real
// clock. When it returns, all its goroutines have ended. As in Prometheus a
// target that discovery no longer finds leaves stale markers; the end of Run and
// the removal of a whole job do not. It may be called again, but not twice at
// once.
func (l *Local) Run(ctx context.Context) error {
	if l.temporary {
		return errors.New("a temporary store scrapes nothing")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sd, sm, err := l.startRun(ctx)
	if err != nil {
		return err
	}
	discovered, scraped := make(chan error, 1), make(chan error, 1)
	go func() { discovered <- sd.Run() }()
	go func() { scraped <- sm.Run(sd.SyncCh()) }()

	<-ctx.Done()
	// Discovery ends first, so that no target comes back after the last scrape.
	err = <-discovered
	sm.Stop()
	err = errors.Join(ignoreDone(err), ignoreDone(<-scraped))

	l.mu.Lock()
	defer l.mu.Unlock()
	l.sd, l.sm, l.running = nil, nil, false
	sd.UnregisterMetrics()
	sm.UnregisterMetrics()
	if err != nil {
		return fmt.Errorf("scraping: %w", err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// startRun makes the managers and gives them the configuration.
func (l *Local) startRun(ctx context.Context) (*discovery.Manager, *scrape.Manager, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		return nil, nil, errors.New("scraping runs already")
	}
	if l.history {
		return nil, nil, errors.New("scraping cannot start while history is written: close the writer first")
	}
	if l.metrics == nil {
		m, err := discovery.CreateAndRegisterSDMetrics(l.o.Registerer)
		if err != nil {
			return nil, nil, fmt.Errorf("service discovery: %w", err)
		}
		l.metrics = m
	}
	sm, err := newScrapeManager(l.o.DiscoveryInterval, l.db, l.log, l.o.Registerer)
	if err != nil {
		return nil, nil, fmt.Errorf("scraping: %w", err)
	}
	sd := newDiscoveryManager(ctx, l.o.DiscoveryInterval, l.log, l.o.Registerer, l.metrics)
	if sd == nil { // its reason is in the log only
		sm.UnregisterMetrics()
		return nil, nil, errors.New("service discovery cannot start: see the log")
	}
	l.sd, l.sm = sd, sm
	if l.cfg != nil {
		if err := l.apply(l.cfg); err != nil {
			l.sd, l.sm = nil, nil
			sd.UnregisterMetrics()
			sm.UnregisterMetrics()
			return nil, nil, err
		}
	}
	l.running = true
	return sd, sm, nil
}

// Targets returns what is scraped now, by job; nothing while [Local.Run] does not run.
func (l *Local) Targets() []TargetPool {
	l.mu.Lock()
	sm := l.sm
	l.mu.Unlock()
	if sm == nil {
		return nil
	}
	dropped, droppedTargets := sm.TargetsDroppedCounts(), sm.TargetsDropped()
	var pools []TargetPool
	for job, targets := range sm.TargetsActive() {
		p := TargetPool{Job: job, Dropped: dropped[job]}
		for _, t := range targets {
			p.Active = append(p.Active, describe(t))
		}
		slices.SortFunc(p.Active, func(a, b Target) int {
			return cmp.Or(cmp.Compare(a.URL, b.URL), labels.Compare(a.Labels, b.Labels))
		})
		for _, t := range droppedTargets[job] {
			p.DroppedTargets = append(p.DroppedTargets, t.DiscoveredLabels(labels.NewBuilder(labels.EmptyLabels())))
		}
		slices.SortFunc(p.DroppedTargets, labels.Compare)
		pools = append(pools, p)
	}
	slices.SortFunc(pools, func(a, b TargetPool) int { return cmp.Compare(a.Job, b.Job) })
	return pools
}

func describe(t *scrape.Target) Target {
	b := labels.NewBuilder(labels.EmptyLabels())
	out := Target{
		URL: t.URL().Redacted(), Health: string(t.Health()),
		LastScrape: t.LastScrape(), Duration: t.LastScrapeDuration(),
		Labels: t.Labels(b), DiscoveredLabels: t.DiscoveredLabels(b),
	}
	if err := t.LastError(); err != nil {
		out.Error = err.Error()
	}
	// A relabelling may have set them to anything; the scrape then failed and said so.
	if d, err := model.ParseDuration(t.GetValue(model.ScrapeIntervalLabel)); err == nil {
		out.Interval = time.Duration(d)
	}
	if d, err := model.ParseDuration(t.GetValue(model.ScrapeTimeoutLabel)); err == nil {
		out.Timeout = time.Duration(d)
	}
	return out
}
