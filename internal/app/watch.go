package app

import (
	"context"
	"fmt"
	"time"

	"github.com/foreshock/foreshock/alertmanager"
)

// othersEvery is how often the Alertmanagers are read where there are replicas:
// the next one waits 15 s for what this one has sent.
const othersEvery = 5 * time.Second

// watch makes what reads the active alerts of the Alertmanagers.
func (s *server) watch() *alertmanager.Watcher {
	s.watcher = alertmanager.NewWatcher(alertmanager.WatcherOptions{
		Read: func(ctx context.Context, filter ...string) ([]alertmanager.Alert, error) {
			if !s.readsAlertmanager() {
				return nil, alertmanager.ErrNone
			}
			// One that hangs does not keep the answers of the others for long.
			ctx, cancel := context.WithTimeout(ctx, othersEvery)
			defer cancel()
			return s.sender.Active(ctx, filter...)
		},
		Every: func() time.Duration {
			if s.o.Replicas > 1 {
				return min(s.engine.Interval(), othersEvery)
			}
			return s.engine.Interval()
		},
		Logger: s.log.With("component", "alertmanager"), Registerer: s.reg,
	})
	return s.watcher
}

// readsAlertmanager reports whether anybody wants to know what is active there.
func (s *server) readsAlertmanager() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Engine.ReadAlertmanager || s.o.Replicas > 1
}

// others returns what is active in the Alertmanagers for finding the incidents
// of other replicas. It never waits: an answer that is too old to have what the
// replica before this one sent is none.
func (s *server) others(context.Context) ([]alertmanager.Alert, error) {
	answer := s.watcher.Last()
	if answer.Err != nil {
		return nil, answer.Err
	}
	if answer.Read.IsZero() {
		return nil, alertmanager.ErrNone
	}
	if age := time.Since(answer.Read); age > 3*othersEvery {
		return nil, fmt.Errorf("active alerts were last read %s ago", age.Round(time.Second))
	}
	return answer.Alerts, nil
}
