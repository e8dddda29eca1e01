package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ShopOptions say how a live shop runs.
type ShopOptions struct {
	Spec Spec
	// Seed makes the users come as they came before. What they meet depends
	// on the scheduling of real servers too, so no two runs are quite equal.
	Seed uint64
	// Clock tells the time of day for the rhythm of the traffic; nil takes
	// time.Now.
	Clock func() time.Time
	// Log hears of what goes wrong in the shop itself; nil discards.
	Log *slog.Logger
}

// Shop is a live shop: real servers on loopback and users who call them.
type Shop struct {
	spec  Spec
	log   *slog.Logger
	clock func() time.Time

	ctx    context.Context // ends with the shop
	cancel context.CancelFunc
	users  sync.WaitGroup

	diceMu sync.Mutex
	dice   *dice

	conditions atomic.Pointer[Conditions]
	addresses  []string // by service
	mu         sync.Mutex
	closed     bool
	servers    []*server // by service; nil while stopped

	arrived, failed, refused atomic.Int64
}

// Users counts the users of a live shop.
type Users struct {
	Arrived int64
	Failed  int64 // of them, without a good answer
	Refused int64 // of them, not even tried: too many are waiting
}

// Start starts the servers on free loopback ports and lets the users in. The
// shop ends when ctx does or when it is closed; Close must be called in any case.
func Start(ctx context.Context, o ShopOptions) (*Shop, error) {
	if err := o.Spec.validate(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Shop{spec: o.Spec, log: o.Log, clock: o.Clock, dice: newDice(&o.Spec, o.Seed, streamServices)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	normal := o.Spec.normal()
	s.conditions.Store(&normal)
	s.servers = make([]*server, len(o.Spec.Services))
	s.addresses = make([]string, len(o.Spec.Services))
	for i, svc := range o.Spec.Services {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("demo: cannot start %s on loopback: %w", svc.Name, err), s.Close())
		}
		s.addresses[i] = listener.Addr().String()
		s.servers[i] = startServer(s, i, listener)
	}
	s.users.Go(func() { s.admit(newDice(&o.Spec, o.Seed, streamUsers)) })
	return s, nil
}

// Targets returns what is to be scraped, in the order of the spec. A stopped
// service stays a target, as its address stays its own.
func (s *Shop) Targets() []Target {
	var targets []Target
	for i, svc := range s.spec.Services {
		targets = append(targets, Target{Service: svc.Name, Instance: svc.Instance(), Address: s.addresses[i]})
	}
	return targets
}

// URL returns where users reach the shop.
func (s *Shop) URL() string { return "http://" + s.addresses[0] + "/" }

// Users returns how many users there were.
func (s *Shop) Users() Users {
	return Users{Arrived: s.arrived.Load(), Failed: s.failed.Load(), Refused: s.refused.Load()}
}

// Apply lets an event happen now. A restart waits, at most a few seconds, until
// the service's port is free.
func (s *Shop) Apply(ctx context.Context, e Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("demo: the shop is closed")
	}
	c, err := s.conditions.Load().after(s.spec, e)
	if err != nil {
		return err
	}
	i := s.spec.index(e.Service)
	switch e.Action {
	case Stop:
		if s.servers[i] != nil {
			s.servers[i].close()
			s.servers[i] = nil
		}
	case Restart:
		if s.servers[i] == nil {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(s.ctx, cancel)()
			listener, err := relisten(ctx, s.addresses[i])
			if err != nil {
				return fmt.Errorf("demo: cannot restart %s: %w", e.Service, err)
			}
			s.servers[i] = startServer(s, i, listener)
		}
	case Rollout:
		if s.servers[i] != nil {
			s.servers[i].metrics.setVersion(e.Release.Version)
		}
	}
	s.conditions.Store(&c)
	return nil
}

// relisten takes an address again that was listened on before. A client's
// connection may own the port for a moment.
func relisten(ctx context.Context, address string) (net.Listener, error) {
	const attempts, pause = 100, 100 * time.Millisecond
	var err error
	for range attempts {
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			return listener, nil
		}
		if !sleep(ctx, pause) {
			return nil, context.Cause(ctx)
		}
	}
	return nil, err
}

// Play tells a story in real time, from its beginning to its last event.
// Notify, when set, hears of each event just after it happened.
func (s *Shop) Play(ctx context.Context, story Story, notify func(Event)) error {
	begin := time.Now()
	for _, e := range story.Events() {
		if !sleep(ctx, e.At-time.Since(begin)) {
			return context.Cause(ctx)
		}
		if err := s.Apply(ctx, e); err != nil {
			return err
		}
		if notify != nil {
			notify(e)
		}
	}
	return nil
}

// Close sends the users home, stops all servers, and returns when nothing of
// the shop runs any more. Closing twice does no harm.
func (s *Shop) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.users.Wait()
	for i, srv := range s.servers {
		if srv != nil {
			srv.close()
			s.servers[i] = nil
		}
	}
	return nil
}

// draw draws around a median of any unit.
func (s *Shop) draw(median float64) int64 {
	s.diceMu.Lock()
	defer s.diceMu.Unlock()
	return s.dice.around(median)
}

// fails draws whether a request fails for no reason.
func (s *Shop) fails() bool {
	s.diceMu.Lock()
	defer s.diceMu.Unlock()
	return s.dice.fails()
}

func (s *Shop) backoff(base time.Duration, retry int) time.Duration {
	s.diceMu.Lock()
	defer s.diceMu.Unlock()
	return time.Duration(s.dice.backoff(int64(base), retry))
}

// sleep waits for d and reports whether the context lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
