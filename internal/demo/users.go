package demo

import (
	"context"
	"net/http"
	"time"
)

// maxUsers bounds the users who wait for an answer at the same time.
const maxUsers = 1024

// admit lets users arrive at random, each independent of the others, until the
// shop ends. Late wake-ups are made up for, so the rate holds on a busy machine.
func (s *Shop) admit(d *dice) {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	places := make(chan struct{}, maxUsers)
	next := time.Now()
	for {
		rate := s.spec.Traffic.At(s.clock()) * s.conditions.Load().Users
		next = next.Add(time.Duration(d.arrival() / rate * float64(time.Second)))
		if late := time.Since(next); late > time.Second {
			next = next.Add(late) // the machine slept; nobody queued meanwhile
		}
		if !sleep(s.ctx, time.Until(next)) {
			break
		}
		s.arrived.Add(1)
		select {
		case places <- struct{}{}:
		default:
			s.refused.Add(1)
			s.failed.Add(1)
			continue
		}
		s.users.Go(func() {
			defer func() { <-places }()
			if !s.visit(client) {
				s.failed.Add(1)
			}
		})
	}
	for range maxUsers { // until the last one has left
		places <- struct{}{}
	}
}

// visit is one user's request.
func (s *Shop) visit(client *http.Client) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.spec.Patience)
	defer cancel()
	status, err := get(ctx, client, s.URL())
	return err == nil && status == http.StatusOK
}
