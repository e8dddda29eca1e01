package app

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foreshock/foreshock/internal/engine"
)

// snapshots keeps what the engine learnt in a file of the data directory.
type snapshots struct {
	path     string
	saved    prometheus.Gauge
	failures prometheus.Counter
}

func newSnapshots(dir string, reg prometheus.Registerer) snapshots {
	k := snapshots{
		path: filepath.Join(dir, "learnt.snapshot"),
		saved: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "foreshock_snapshot_last_success_timestamp_seconds", Help: "When what was learnt was last saved; 0 since the start: not yet.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_snapshot_failures_total", Help: "Times that what was learnt could not be saved.",
		}),
	}
	reg.MustRegister(k.saved, k.failures)
	return k
}

// takeUp gives the engine what an earlier run learnt, if it is there and not
// older than the time that a cold start looks back, and returns until when.
func (s *server) takeUp(ctx context.Context, now time.Time) (until time.Time, ok bool, err error) {
	if err := s.engine.Attach(ctx, s.store, engine.Live{}); err != nil {
		return until, false, err
	}
	begin := time.Now()
	until, err = s.engine.Restore(s.snapshots.path, func(until time.Time) error {
		switch age := now.Sub(until); {
		case age < 0:
			return errors.New("it is of a later time than now: the clock was set back")
		case s.o.ColdStart > 0 && age > s.o.ColdStart:
			return errors.New("it is older than the time that a cold start looks back")
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return until, false, nil
	case err != nil:
		s.log.Warn("what an earlier run learnt is not used; it is learnt again from the past, as far as there is one", "err", err)
		return until, false, nil
	}
	s.log.Info("took up what an earlier run learnt", "until", until.UTC().Format(time.RFC3339), "took", time.Since(begin).Round(time.Millisecond))
	return until, true, nil
}

// save writes a snapshot; a failure is said, and the last one stays.
func (s *server) save(now time.Time) {
	if err := s.engine.Save(s.snapshots.path); err != nil {
		s.snapshots.failures.Inc()
		s.log.Error("what was learnt could not be saved; after a restart it is learnt again", "err", err)
		return
	}
	s.snapshots.saved.Set(float64(now.Unix()))
}
