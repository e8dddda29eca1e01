package alertmanager

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
)

// entry is an alert that is kept alive.
type entry struct {
	alert    Alert
	resolved bool // by its end at the time of the Put that brought it
	history  history
	wires    []uint64 // label hashes under which Alertmanagers see it since the last send
	endsAt   int64    // Unix milliseconds, as it was last sent
}

// lapsed reports whether an alert that was put as firing has ended since by itself. Sent now, it
// would be taken for resolved, which nobody decided.
func (e *entry) lapsed(now time.Time) bool {
	return !e.resolved && resolvedAt(now, e.alert.EndsAt)
}

// Put gives the whole set of alerts that are to be kept alive at now, identified by their labels (of alerts with
// the same labels the first counts). New ones are sent at once, known ones when ResendDelay has passed, and at once
// when they are resolved. A resolved alert needs to be put once: it is sent again until ResolvedRetention after its
// end, and then forgotten. One that is no longer in the set without having been resolved is not sent any
// more: it lapses at its last EndsAt.
//
// What no Alertmanager took is sent again after RetryDelay, then after twice as long, up to ResendDelay, without
// waiting for the next Put. Put never blocks on I/O. now must not be behind earlier calls.
func (s *Sender) Put(now time.Time, alerts []Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.now, s.wall = now, time.Now()
	put := make(map[uint64]bool, len(alerts))
	for _, a := range alerts {
		id := a.Labels.Hash()
		if put[id] {
			continue
		}
		put[id] = true
		e := s.entries[id]
		if e == nil {
			e = &entry{}
			s.entries[id] = e
		}
		e.alert, e.resolved = a, resolvedAt(now, a.EndsAt)
	}
	for id, e := range s.entries {
		if e.resolved && expired(now, e.alert.EndsAt, s.pace) || !e.resolved && !put[id] {
			delete(s.entries, id)
		}
	}
	s.sendDueLocked(now)
	s.wakeUp()
}

// sendDueLocked queues what is due at now.
func (s *Sender) sendDueLocked(now time.Time) {
	for _, e := range s.sortedLocked() {
		if e.lapsed(now) || e.resolved && expired(now, e.alert.EndsAt, s.pace) || !due(now, e.resolved, e.history, s.pace) {
			continue
		}
		h := history{sent: now, resolved: e.resolved, tries: 1}
		if !e.history.taken && e.history.resolved == e.resolved {
			h.tries += e.history.tries
		}
		e.wires = s.routing.wires(e.alert.Labels)
		e.endsAt = e.alert.EndsAt.UnixMilli()
		if s.routing.configured() && len(e.wires) == 0 {
			// The user's relabelling says that nobody shall get it: there is nothing to try again.
			if e.history.sent.IsZero() {
				s.log.Info("Alert is dropped by alert_relabel_configs for every Alertmanager", "labels", e.alert.Labels.String())
			}
			h.taken = true
			e.history = h
			continue
		}
		if h.tries > 1 && len(s.routing.urls()) == 0 && !s.alone {
			s.alone = true
			s.log.Warn("No Alertmanager is configured or discovered; alerts wait until there is one", "alerts", len(s.entries))
		}
		e.history = h
		s.enqueueLocked(&notifier.Alert{
			Labels:       e.alert.Labels,
			Annotations:  e.alert.Annotations,
			StartsAt:     e.alert.StartsAt,
			EndsAt:       e.alert.EndsAt,
			GeneratorURL: e.alert.GeneratorURL,
		})
	}
}

// sortedLocked returns the entries in the order of their labels, so that what is sent does not depend
// on the order of a map.
func (s *Sender) sortedLocked() []*entry {
	out := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entry) int { return labels.Compare(a.alert.Labels, b.alert.Labels) })
	return out
}

// enqueueLocked queues alerts for the notifier; when the queue is full, the oldest are dropped.
func (s *Sender) enqueueLocked(alerts ...*notifier.Alert) {
	if s.closed {
		s.metrics.dropped.Add(float64(len(alerts)))
		return
	}
	s.queue = append(s.queue, alerts...)
	if over := len(s.queue) - s.opts.QueueCapacity; over > 0 {
		s.queue = slices.Delete(s.queue, 0, over)
		s.metrics.dropped.Add(float64(over))
		if !s.full {
			s.full = true
			s.log.Warn("Alert queue is full; the oldest alerts are dropped", "capacity", s.opts.QueueCapacity, "dropped", over)
		}
	}
	s.wakeUp()
}

func (s *Sender) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to look already
	}
}

// deliver moves the queue to the notifier and sends again what nobody took, until ctx ends; at last
// it closes the queue and hands over what is left.
func (s *Sender) deliver(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if batch := s.takeQueue(true); len(batch) > 0 {
				s.notifier.Send(batch...)
			}
			return
		case <-s.wake:
		case <-timer.C:
		}
		// It waits for the notifier's locks, which it may hold during I/O: only this goroutine may.
		if batch := s.takeQueue(false); len(batch) > 0 {
			s.notifier.Send(batch...)
		}
		if wait, ok := s.retry(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

func (s *Sender) takeQueue(last bool) []*notifier.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.queue
	s.queue, s.full = nil, false
	s.closed = s.closed || last
	return batch
}

// retry queues again what nobody took, when it is due, and returns how long to wait for the next such alert.
// Its time is that of the last Put, carried on by the clock.
func (s *Sender) retry() (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.IsZero() {
		return 0, false
	}
	now := s.now.Add(time.Since(s.wall))
	pending := func(e *entry) bool {
		return !e.history.taken && !e.lapsed(now) && !(e.resolved && expired(now, e.alert.EndsAt, s.pace))
	}
	for _, e := range s.entries {
		if pending(e) && due(now, e.resolved, e.history, s.pace) {
			s.sendDueLocked(now)
			break
		}
	}
	for _, e := range s.entries {
		if !pending(e) {
			continue
		}
		if d := max(0, e.history.sent.Add(s.pace.wait(e.history)).Sub(now)); !ok || d < wait {
			wait, ok = d, true
		}
	}
	return wait, ok
}
