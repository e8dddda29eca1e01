package demo

import (
	"fmt"
	"slices"
	"time"
)

// Release is a version of a service and what it does differently.
type Release struct {
	Service string
	Version string
	Rows    float64           // factor on the rows that its queries examine; 0 means 1
	Work    float64           // factor on the execution time of its queries; 0 means 1
	Policy  map[string]Policy // by callee: replaces the policy of the spec
}

// Action is what an [Event] does to the shop.
type Action string

// The actions.
const (
	Rollout Action = "rollout" // Service runs Release from now on; a rollback is a rollout too
	Slow    Action = "slow"    // queries take Factor times as long as normal
	Surge   Action = "surge"   // Factor times as many users as normal
	Stop    Action = "stop"    // the process of Service is gone
	Restart Action = "restart" // the process of Service is there again, with fresh counters
)

// Event is something that happens to the shop.
type Event struct {
	At      time.Duration // since the story began
	Action  Action
	Service string
	Release Release // with Rollout
	Factor  float64 // with Slow and Surge
	Text    string  // what happens, for people
}

// TimedEvent is an event at a point in time.
type TimedEvent struct {
	Time time.Time
	Event
}

// Conditions are all that varies while a shop runs.
type Conditions struct {
	Releases []Release // by position of the service in the spec
	Stopped  []bool    // by position of the service in the spec
	Users    float64   // factor on the traffic
	Slowness float64   // factor on every query's execution time
}

// normal returns the conditions of a shop in which nothing happened yet.
func (s Spec) normal() Conditions {
	c := Conditions{Stopped: make([]bool, len(s.Services)), Users: 1, Slowness: 1}
	for _, svc := range s.Services {
		c.Releases = append(c.Releases, Release{Service: svc.Name, Version: svc.Version})
	}
	return c
}

// after returns the conditions after an event; c stays as it is.
func (c Conditions) after(spec Spec, e Event) (Conditions, error) {
	i := spec.index(e.Service)
	if i < 0 && e.Action != Surge {
		return c, fmt.Errorf("demo: event %q is about %q, which is no service of the shop", e.Action, e.Service)
	}
	c.Releases, c.Stopped = slices.Clone(c.Releases), slices.Clone(c.Stopped)
	switch e.Action {
	case Rollout:
		if e.Release.Version == "" || e.Release.Service != e.Service {
			return c, fmt.Errorf("demo: rollout of %s has release %q of %q: it needs a version of the same service", e.Service, e.Release.Version, e.Release.Service)
		}
		for callee, p := range e.Release.Policy {
			if p.Timeout <= 0 || p.Retries < 0 || p.Backoff < 0 {
				return c, fmt.Errorf("demo: rollout of %s: policy towards %s needs a time-out above 0 and no negative retries", e.Service, callee)
			}
		}
		c.Releases[i] = e.Release
	case Slow, Surge:
		if !(e.Factor > 0) || e.Factor > maxFactor {
			return c, fmt.Errorf("demo: event %q has factor %g: it must be above 0 and at most %d", e.Action, e.Factor, maxFactor)
		}
		if e.Action == Slow {
			c.Slowness = e.Factor
		} else {
			c.Users = e.Factor
		}
	case Stop:
		c.Stopped[i] = true
	case Restart:
		c.Stopped[i] = false
	default:
		return c, fmt.Errorf("demo: unknown action %q", e.Action)
	}
	return c, nil
}

// Bounds that keep both kinds of run finite.
const (
	maxFactor    = 100
	maxPatience  = 4 * time.Second
	maxExecution = 8 * time.Second // of one query
)

// policy returns how a service treats a callee now.
func (c *Conditions) policy(service int, call *Call) Policy {
	if p, ok := c.Releases[service].Policy[call.Callee]; ok {
		return p
	}
	return call.Policy
}

// query returns the median execution time and the rows of one query.
func (c *Conditions) query(service int, call *Call, pool *Pool) (median time.Duration, rows int) {
	work, factor := c.Releases[service].Work, c.Releases[service].Rows
	if work == 0 {
		work = 1
	}
	if factor == 0 {
		factor = 1
	}
	return time.Duration(float64(pool.Query) * work * c.Slowness), int(float64(call.Rows) * factor)
}
