package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Sink takes the samples of a simulation, in order of time and always in the
// same order of series.
type Sink interface {
	// Append takes one sample at t (Unix milliseconds). The first call of a
	// series has ref 0; the ref that it returns comes with the next ones. A
	// series that ends gets a stale marker (StaleNaN), as a scrape leaves it.
	Append(ref uint64, l labels.Labels, t int64, v float64) (uint64, error)
	// Commit is called after the samples of each step.
	Commit(t int64) error
}

// SimulationOptions say what is simulated.
type SimulationOptions struct {
	Spec   Spec
	From   time.Time // first sample, all counters at 0
	To     time.Time // no sample is later
	Step   time.Duration
	Seed   uint64
	Events []TimedEvent // in any order; those before From are in effect from the start
	Sink   Sink
	// Progress, when set, hears after every simulated hour how far it came.
	Progress func(now time.Time)
}

// SimulationStats count what a simulation did.
type SimulationStats struct {
	Requests int64 // of users
	Samples  int64
	Series   int64
}

// Simulate runs the shop from From to To and hands the sink one sample per
// series and step: the names and labels that scrapes of the live shop give.
// The same options give the same samples.
//
// Users are simulated one after another in order of arrival, each with all its
// calls, time-outs and retries. The approximations: the database's pool is a
// calendar of milliseconds in which each query takes the first free place, so
// queries of a user who came earlier go before those of a later user even where
// a retry reaches the database late; a request that is under way when its
// service stops is answered; the number of users varies by the minute; a call
// costs a fixed time beside its callee's. As in the live shop a query that runs
// is not cancelled when its client goes away, and one that waits is.
func Simulate(ctx context.Context, o SimulationOptions) (SimulationStats, error) {
	if err := o.validate(); err != nil {
		return SimulationStats{}, err
	}
	s, err := newSimulation(o)
	if err != nil {
		return SimulationStats{}, err
	}
	step := o.Step.Microseconds()
	end := o.To.Sub(o.From).Microseconds()
	rateUntil, hourly := int64(0), int64(0)
	for next := int64(0); next <= end; {
		border := min(next, rateUntil, s.nextEvent())
		s.run(border)
		if border == s.nextEvent() {
			s.enterPhase()
		}
		if border == rateUntil {
			rateUntil += time.Minute.Microseconds()
		}
		s.rate = o.Spec.Traffic.At(s.clock(border)) * s.phases[s.phase].Users / 1e6
		if border != next {
			continue
		}
		if err := s.emit(border); err != nil {
			return s.stats, fmt.Errorf("demo: simulation at %s: %w", s.clock(border).UTC().Format(time.RFC3339), err)
		}
		if err := ctx.Err(); err != nil {
			return s.stats, err
		}
		if o.Progress != nil && border >= hourly {
			o.Progress(s.clock(border))
			hourly += time.Hour.Microseconds()
		}
		next += step
	}
	return s.stats, nil
}

func (o *SimulationOptions) validate() error {
	switch {
	case o.Sink == nil:
		return errors.New("demo: a simulation needs a sink")
	case o.Step < time.Second || o.Step%time.Millisecond != 0:
		return fmt.Errorf("demo: a simulation's step must be whole milliseconds and at least 1s, is %v", o.Step)
	case o.To.Before(o.From):
		return fmt.Errorf("demo: a simulation cannot end (%v) before it begins (%v)", o.To, o.From)
	}
	return o.Spec.validate()
}

// phase are conditions that hold from a point in time.
type phase struct {
	Conditions
	from  int64
	event Event // which began it
}

// simulation is the state of a run. All times are microseconds since its start.
type simulation struct {
	spec  Spec
	dice  *dice
	sink  Sink
	start time.Time
	stats SimulationStats

	phases []phase
	phase  int // which holds now

	rate    float64 // users per microsecond
	arrival int64   // of the next user
	border  int64   // records before it are counted at once, later ones are deferred
	later   []record

	processes []*process
	pool      *calendar
	database  *Pool
	callees   [][]int // by service and call: position of the callee
	hop       int64
}

func newSimulation(o SimulationOptions) (*simulation, error) {
	s := &simulation{
		spec:  o.Spec,
		dice:  newDice(&o.Spec, o.Seed, streamSimulation),
		sink:  o.Sink,
		start: o.From,
		hop:   o.Spec.Hop.Microseconds() / 2,
	}
	events := slices.Clone(o.Events)
	slices.SortStableFunc(events, func(a, b TimedEvent) int { return a.Time.Compare(b.Time) })
	s.phases = []phase{{Conditions: o.Spec.normal()}}
	for _, e := range events {
		c, err := s.phases[len(s.phases)-1].after(o.Spec, e.Event)
		if err != nil {
			return nil, err
		}
		p := phase{Conditions: c, from: e.Time.Sub(o.From).Microseconds(), event: e.Event}
		if p.from <= 0 {
			s.phases[0].Conditions = c
			continue
		}
		s.phases = append(s.phases, p)
	}
	for i := range o.Spec.Services {
		svc := &o.Spec.Services[i]
		if svc.Pool != nil {
			s.database, s.pool = svc.Pool, newCalendar(svc.Pool)
		}
		var callees []int
		for _, c := range svc.Calls {
			callees = append(callees, o.Spec.index(c.Callee))
		}
		s.callees = append(s.callees, callees)
		s.processes = append(s.processes, newProcess(&o.Spec, i, s.phases[0].Releases[i].Version))
	}
	s.rate = o.Spec.Traffic.At(o.From) * s.phases[0].Users / 1e6
	s.arrival = int64(s.dice.arrival() / s.rate)
	return s, nil
}

func (s *simulation) clock(t int64) time.Time {
	return s.start.Add(time.Duration(t) * time.Microsecond)
}

// nextEvent returns when the next phase begins; far away when there is none.
func (s *simulation) nextEvent() int64 {
	if s.phase+1 == len(s.phases) {
		return 1 << 62
	}
	return s.phases[s.phase+1].from
}

// at returns the conditions at t, which is not before the present phase.
func (s *simulation) at(t int64) *Conditions {
	i := s.phase
	for i+1 < len(s.phases) && s.phases[i+1].from <= t {
		i++
	}
	return &s.phases[i].Conditions
}

// run serves all users who arrive before border.
func (s *simulation) run(border int64) {
	s.border = border
	kept := s.later[:0]
	for _, r := range s.later {
		if r.at < border {
			s.count(r)
		} else {
			kept = append(kept, r)
		}
	}
	s.later = kept
	patience := s.spec.Patience.Microseconds()
	for s.arrival < border {
		if s.pool != nil {
			s.pool.advance(s.arrival)
		}
		s.stats.Requests++
		if !s.at(s.arrival).Stopped[0] {
			s.serve(0, -1, nil, s.arrival, s.arrival+patience)
		}
		s.arrival += int64(s.dice.arrival() / s.rate)
	}
	if s.pool != nil {
		s.pool.advance(border)
	}
}

// enterPhase begins the next phase.
func (s *simulation) enterPhase() {
	s.phase++
	p := &s.phases[s.phase]
	i := s.spec.index(p.event.Service)
	switch p.event.Action {
	case Stop:
		s.processes[i].stop()
	case Restart:
		s.processes[i].restart()
	case Rollout:
		s.processes[i].setVersion(p.event.Release.Version)
	}
}
