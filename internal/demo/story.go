package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The faults that a story can be about.
const (
	BadDeploy    = "bad-deploy"    // payments' new version scans a table: the database's pool is exhausted
	SlowDatabase = "slow-database" // the database gets slow by itself
	TrafficSurge = "traffic-surge" // five times the users
	DeadService  = "dead-service"  // the process of inventory is gone
	RetryStorm   = "retry-storm"   // checkout's new version retries payments without mercy
	NoFault      = "none"          // only an innocent rollout
)

// Faults returns the names of all faults; the first is the usual one.
func Faults() []string {
	return []string{BadDeploy, SlowDatabase, TrafficSurge, DeadService, RetryStorm, NoFault}
}

// Change is a rollout as a responder should name it.
type Change struct {
	Service, From, To string
}

// Story is a fault, an innocent rollout before it, and the truth about both.
// Durations count from the beginning of the story.
type Story struct {
	Fault    string
	Seed     uint64
	Innocent time.Duration // the innocent rollout
	Start    time.Duration // the fault begins; 0 without a fault
	Repair   time.Duration // the rollback or repair; 0 without a fault

	Cause     string  // service that a perfect responder names; empty without a fault. Of a surge: the service that users call
	Change    *Change // what is to be rolled back; nil when no change is to blame
	Acquitted Change  // the innocent rollout
	Summary   string  // one sentence for people, which gives the truth away

	events []Event
}

// StoryOptions say when a story happens; zero values take the defaults.
type StoryOptions struct {
	Quiet time.Duration // nothing happens before; 10s
	Lead  time.Duration // the fault begins at least this long after the innocent rollout; 20s
	Vary  time.Duration // at most this much is drawn on top of Lead; 20s
	Lasts time.Duration // from the fault to its repair; 90s
}

// NewStory draws the story of a fault from a seed. The same arguments give the
// same story. The error of an unknown fault lists the known ones.
func NewStory(fault string, seed uint64, o StoryOptions) (Story, error) {
	if !slices.Contains(Faults(), fault) {
		return Story{}, fmt.Errorf("demo: unknown fault %q: use one of %s", fault, strings.Join(Faults(), ", "))
	}
	o = o.withDefaults()
	if o.Quiet < 0 || o.Lead < 0 || o.Vary < 0 || o.Lasts < 0 {
		return Story{}, fmt.Errorf("demo: story options must not be negative: %+v", o)
	}
	spec := NewSpec()
	rng := rand.New(rand.NewPCG(seed, streamStory))
	s := Story{Fault: fault, Seed: seed}
	s.Innocent = o.Quiet + time.Duration(rng.Int64N(int64(5*time.Second)))
	start := s.Innocent + o.Lead + time.Duration(rng.Int64N(int64(o.Vary)+1))
	bystanders := innocents(fault)
	s.rollOutInnocent(spec, bystanders[rng.IntN(len(bystanders))])
	if fault == NoFault {
		s.Summary = fmt.Sprintf("nothing breaks; %s is rolled out and works", s.Acquitted.Service)
		return s, nil
	}
	s.Start, s.Repair = start, start+o.Lasts
	s.addFault(spec)
	return s, nil
}

func (o StoryOptions) withDefaults() StoryOptions {
	if o.Quiet == 0 {
		o.Quiet = 10 * time.Second
	}
	if o.Lead == 0 {
		o.Lead = 20 * time.Second
	}
	if o.Vary == 0 {
		o.Vary = 20 * time.Second
	}
	if o.Lasts == 0 {
		o.Lasts = 90 * time.Second
	}
	return o
}

// innocents returns the services whose rollout may be the innocent one.
func innocents(fault string) []string {
	switch fault {
	case BadDeploy, RetryStorm:
		return []string{"inventory", "frontend"}
	case SlowDatabase:
		return []string{"frontend", "checkout"}
	case DeadService:
		return []string{"frontend", "payments"}
	default:
		return []string{"frontend", "checkout", "payments", "inventory"}
	}
}

func (s *Story) rollOutInnocent(spec Spec, service string) {
	svc := spec.Services[spec.index(service)]
	s.Acquitted = Change{Service: service, From: svc.Version, To: svc.Next}
	s.events = append(s.events, rollout(s.Innocent, Release{Service: service, Version: svc.Next}, svc.Version))
}

// addFault adds the fault and its repair.
func (s *Story) addFault(spec Spec) {
	var broken, repaired Event
	deploy := func(r Release) {
		svc := spec.Services[spec.index(r.Service)]
		r.Version = svc.Next
		s.Cause = svc.Name
		s.Change = &Change{Service: svc.Name, From: svc.Version, To: svc.Next}
		broken = rollout(s.Start, r, svc.Version)
		repaired = rollout(s.Repair, Release{Service: svc.Name, Version: svc.Version}, svc.Next)
		repaired.Text = fmt.Sprintf("%s is rolled back: %s → %s", svc.Name, svc.Next, svc.Version)
	}
	switch s.Fault {
	case BadDeploy:
		deploy(Release{Service: "payments", Rows: 40, Work: 25})
		s.Summary = "the new version of payments scans a table with every query and exhausts the database's pool"
	case RetryStorm:
		deploy(Release{Service: "checkout", Policy: map[string]Policy{"payments": {Timeout: 55 * time.Millisecond, Retries: 8}}})
		s.Summary = "the new version of checkout gives payments too little time and retries at once, eight times"
	case SlowDatabase:
		s.Cause = "database"
		broken = Event{Action: Slow, Service: "database", Factor: 20, Text: "the database gets 20 times slower"}
		repaired = Event{Action: Slow, Service: "database", Factor: 1, Text: "the database is as fast as before"}
		s.Summary = "the database gets slow by itself; nothing was rolled out there"
	case TrafficSurge:
		s.Cause = "frontend"
		broken = Event{Action: Surge, Factor: 5, Text: "five times as many users arrive"}
		repaired = Event{Action: Surge, Factor: 1, Text: "as many users as before"}
		s.Summary = "five times as many users as normal exhaust the database's pool"
	case DeadService:
		s.Cause = "inventory"
		broken = Event{Action: Stop, Service: "inventory", Text: "the process of inventory is gone"}
		repaired = Event{Action: Restart, Service: "inventory", Text: "inventory is started again"}
		s.Summary = "inventory is dead: connections are refused, its metrics are gone"
	}
	broken.At, repaired.At = s.Start, s.Repair
	s.events = append(s.events, broken, repaired)
}

func rollout(at time.Duration, r Release, from string) Event {
	return Event{
		At: at, Action: Rollout, Service: r.Service, Release: r,
		Text: fmt.Sprintf("%s is rolled out: %s → %s", r.Service, from, r.Version),
	}
}

// Events returns what happens, in order of time.
func (s Story) Events() []Event { return slices.Clone(s.events) }

// From returns the events of a story that begins at a point in time.
func (s Story) From(begin time.Time) []TimedEvent {
	var timed []TimedEvent
	for _, e := range s.events {
		timed = append(timed, TimedEvent{Time: begin.Add(e.At), Event: e})
	}
	return timed
}

// Streams of random numbers, so that the same seed does not repeat itself.
const (
	streamStory uint64 = 1 + iota
	streamUsers
	streamServices
	streamSimulation
)
