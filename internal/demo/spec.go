// Package demo is a small shop whose faults show what Foreshock does: five
// services that call each other, users who buy, and stories in which something
// goes wrong.
//
// One [Spec] of the shop is run in two ways. [Start] runs it live: real HTTP
// servers on loopback, real calls with time-outs and retries, real client
// metrics at /metrics. [Simulate] runs the same shop as a fast simulation that
// writes the same series, so that the live shop has days of history to be
// compared with, and so that tests run days and faults in seconds. A [Story]
// is one fault with an innocent rollout beside it, and knows the truth that a
// responder should find; it can be told to both.
package demo

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Spec describes the shop: who calls whom, how long it takes, how many users
// come. It is not changed after it was made; what varies while the shop runs
// is in [Conditions].
type Spec struct {
	Services []Service // callers before callees; users call the first
	Traffic  Rhythm
	Failure  float64       // probability that a service fails a request for no reason (code 500)
	Spread   float64       // standard deviation of the logarithm of all latencies
	Patience time.Duration // after which a user goes away
	Hop      time.Duration // simulation only: what one call costs beside the callee's own time
}

// Service is one kind of process of the shop.
type Service struct {
	Name    string
	Version string        // which runs at first
	Next    string        // which a rollout brings
	Latency time.Duration // median of the service's own time per request
	Calls   []Call        // made side by side after the own time has passed
	Pool    *Pool         // set on the database
}

// Instance is the stable name of the service's one process; live and simulated
// series carry it as their instance label.
func (s Service) Instance() string { return s.Name + "-1" }

// Call is what a service asks of another one for each request that it serves.
type Call struct {
	Callee string
	Times  int // this often, one after the other, until one fails
	Rows   int // median of the rows that a query of this caller examines; queries only
	Policy
}

// Policy is a caller's patience with a callee.
type Policy struct {
	Timeout time.Duration // of each attempt
	Retries int           // attempts after the first
	Backoff time.Duration // median wait before the first retry, doubled for each further one; half to one and a half of it is drawn
}

// Pool is what all clients of the database share.
type Pool struct {
	Size  int           // queries that run at the same time, at most 255
	Queue int           // queries that may wait, at most 255; more are refused with code 503
	Query time.Duration // median execution time
}

// Rhythm is the number of users over the day.
type Rhythm struct {
	Mean  float64       // requests per second
	Swing float64       // share of the mean by which peak and trough differ from it
	Peak  time.Duration // time of day of the peak, UTC
}

// At returns the rate at t in requests per second.
func (r Rhythm) At(t time.Time) float64 {
	t = t.UTC()
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	phase := (t.Sub(midnight) - r.Peak).Hours() / 24
	return r.Mean * (1 + r.Swing*math.Cos(2*math.Pi*phase))
}

// NewSpec returns the shop: frontend → checkout → payments and inventory →
// database. At its peak the database is busy for four tenths of its capacity,
// so that five times the users, or queries that take 25 times as long, exhaust
// it at any time of the day.
func NewSpec() Spec {
	const ms = time.Millisecond
	return Spec{
		Services: []Service{
			{
				Name: "frontend", Version: "3.14.2", Next: "3.15.0", Latency: 15 * ms,
				Calls: []Call{
					{Callee: "checkout", Times: 1, Policy: Policy{Timeout: 1500 * ms, Retries: 1, Backoff: 100 * ms}},
				},
			},
			{
				Name: "checkout", Version: "1.8.0", Next: "1.9.0", Latency: 20 * ms,
				Calls: []Call{
					{Callee: "payments", Times: 1, Policy: Policy{Timeout: 700 * ms, Retries: 2, Backoff: 100 * ms}},
					{Callee: "inventory", Times: 1, Policy: Policy{Timeout: 700 * ms, Retries: 2, Backoff: 100 * ms}},
				},
			},
			{
				Name: "payments", Version: "2.3.1", Next: "2.4.0", Latency: 25 * ms,
				Calls: []Call{
					{Callee: "database", Times: 2, Rows: 120, Policy: Policy{Timeout: 500 * ms, Retries: 1, Backoff: 20 * ms}},
				},
			},
			{
				Name: "inventory", Version: "5.0.7", Next: "5.1.0", Latency: 15 * ms,
				Calls: []Call{
					{Callee: "database", Times: 2, Rows: 80, Policy: Policy{Timeout: 500 * ms, Retries: 1, Backoff: 20 * ms}},
				},
			},
			{
				Name: "database", Version: "17.2", Next: "17.3",
				Pool: &Pool{Size: 4, Queue: 48, Query: 20 * ms},
			},
		},
		Traffic:  Rhythm{Mean: 16, Swing: 0.25, Peak: 13 * time.Hour},
		Failure:  0.001,
		Spread:   0.25,
		Patience: 4 * time.Second,
		Hop:      800 * time.Microsecond,
	}
}

// index returns the position of the named service, -1 when there is none.
func (s Spec) index(name string) int {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return i
		}
	}
	return -1
}

// validate says what would make the shop impossible to run.
func (s Spec) validate() error {
	if len(s.Services) == 0 {
		return errors.New("demo: the shop has no services")
	}
	if !(s.Traffic.Mean > 0) || s.Traffic.Swing < 0 || s.Traffic.Swing >= 1 {
		return fmt.Errorf("demo: traffic needs a mean above 0 and a swing from 0 to below 1, have %g and %g", s.Traffic.Mean, s.Traffic.Swing)
	}
	if s.Patience <= 0 || s.Patience > maxPatience {
		return fmt.Errorf("demo: patience of users must be above 0 and at most %v, is %v", maxPatience, s.Patience)
	}
	for i, svc := range s.Services {
		if p := svc.Pool; p != nil && (p.Size < 1 || p.Size > 255 || p.Queue < 0 || p.Queue > 255 || len(svc.Calls) > 0) {
			return fmt.Errorf("demo: service %s: a pool has 1 to 255 connections, 0 to 255 waiting, and no calls of its own", svc.Name)
		}
		for _, c := range svc.Calls {
			if j := s.index(c.Callee); j <= i {
				return fmt.Errorf("demo: service %s calls %q, which is not a service listed after it", svc.Name, c.Callee)
			}
			if c.Times < 1 || c.Timeout <= 0 || c.Retries < 0 || c.Backoff < 0 {
				return fmt.Errorf("demo: service %s: calls to %s need a positive number and time-out, and no negative retries", svc.Name, c.Callee)
			}
		}
	}
	return nil
}
