package detectors

import (
	"errors"
	"math"
	"slices"
	"time"
)

// Peers finds members of a group that are unlike the others.
var Peers = groups(Define("peers", `One replica unlike its group.

Each member of a group is compared with the group's median at the same time,
freed of its own lasting difference. What all do together is no departure. New
members are judged at once, by what is usual among the others.`,
	func() *PeersOptions {
		return &PeersOptions{Window: 5 * time.Minute, Habit: day, Scale: week, Transform: TransformNone}
	}, newPeers))

// PeersOptions are the options of [Peers].
type PeersOptions struct {
	// Window is the time constant of the mean that is judged, shorter than Habit.
	Window time.Duration `yaml:"window"`
	// Habit is the time constant in which a lasting difference becomes normal.
	Habit time.Duration `yaml:"habit"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Transform is none or log.
	Transform string `yaml:"transform"`
}

// Validate implements [Options].
func (o *PeersOptions) Validate() error {
	err := errors.Join(validTau("window", o.Window), validTau("habit", o.Habit), validTau("scale", o.Scale), validTransform(o.Transform))
	if err == nil && o.Window >= o.Habit {
		return errors.New("window must be shorter than habit")
	}
	return err
}

// Directions implements [DirectedOptions]: a replica may be unlike the others in both.
func (o *PeersOptions) Directions() (up, down bool) { return true, true }

const (
	// leastPeers is the least group: of two members neither is the odd one.
	leastPeers = 3
	// leastSettled is how many members must be known for a new one to be judged by them.
	leastSettled = 2
	// spreadShare of the group's present spread is the least scale: where the group falls apart no one is unlike it.
	spreadShare = 0.5
	// madToGauss turns a median absolute deviation into a standard deviation, for Gaussian values.
	madToGauss = 1.4826
)

// peersModel judges members by the median of their group, by the two-way table
// of members and times: value = the group's course + the member's habit + rest.
// The course is the median over the members of value less habit.
type peersModel struct {
	scoring              scoring
	transform            transform
	step                 time.Duration
	window, habit, scale float64 // time constants in seconds

	present []*peer // those of the group with a value, in no order
	peers   []peer
	sorted  []float64
}

// peer is a member in the present evaluation, on the model's scale.
type peer struct {
	state   *peersState
	out     *Verdict
	tick    tick
	value   float64 // −Inf where there is no logarithm
	rest    float64 // the mean of the window less course and habit
	newest  float64 // the same of the sample
	teaches float64 // what the rest teaches the habit
	late    bool    // not later than the sample before
	learns  bool
}

// among is what the group is in the present evaluation.
type among struct {
	course   float64
	middle   float64 // median of the rests
	spread   float64 // of the rests, as a standard deviation
	usual    float64 // median of the members' scales
	habit    float64 // median of the habits
	habits   float64 // spread of the habits, as a standard deviation
	level    float64 // medians of the members' calibration
	tail     float64
	count    float64
	first    float64 // ms; median of since when members are known
	settled  int     // members of which these are
	expected float64 // course and middle
}

func newPeers(o *PeersOptions, c Conditions) (Model[peersState], error) {
	return &peersModel{
		scoring: newScoring(c.Budget), transform: newTransform(o.Transform), step: c.Step,
		window: o.Window.Seconds(), habit: o.Habit.Seconds(), scale: o.Scale.Seconds(),
	}, nil
}

// Observe is of a series without a group: there is nothing to compare it with.
func (m *peersModel) Observe(s *peersState, _ int64, v float64) Verdict {
	out := s.unjudged(v)
	out.Doubts |= DoubtFewPeers
	return out
}

// ObserveGroup implements [GroupModel].
func (m *peersModel) ObserveGroup(states []*peersState, t int64, members []Member) {
	m.take(states, members)
	g, ok := m.compare()
	if !ok {
		for i := range members {
			members[i].Verdict.Doubts |= DoubtFewPeers
		}
		return
	}
	for _, p := range m.present {
		m.admit(p, t, &g)
	}
	m.center(&g)
	for _, p := range m.present {
		if !p.late {
			m.judge(p, &g)
		}
	}
	m.learn(&g)
}

// take collects the members that have a value.
func (m *peersModel) take(states []*peersState, members []Member) {
	m.present = m.present[:0]
	m.peers = slices.Grow(m.peers[:0], len(members))[:len(members)]
	for i := range members {
		v := members[i].Value
		members[i].Verdict = states[i].unjudged(v)
		if !(math.Abs(v) <= maxMagnitude) {
			continue
		}
		p := &m.peers[i]
		*p = peer{state: states[i], out: &members[i].Verdict, value: v}
		if m.transform.log {
			p.value = math.Inf(-1)
			if v > 0 {
				p.value = math.Log(v)
			}
		}
		m.present = append(m.present, p)
	}
}

// compare finds the group's course and what is usual in it; ok is false where
// there is none to compare with.
func (m *peersModel) compare() (g among, ok bool) {
	if len(m.present) < leastPeers {
		return g, false
	}
	settled := func(p *peer) bool { return p.state.residuals >= warmUp }
	of := func(f func(s *peersState) float64) float64 {
		return m.median(settled, func(p *peer) float64 { return f(p.state) })
	}
	g.habit = of(func(s *peersState) float64 { return s.habit.mean })
	if g.settled = len(m.sorted); g.settled > 0 {
		g.habits = madToGauss * of(func(s *peersState) float64 { return math.Abs(s.habit.mean - g.habit) })
		g.usual = of(func(s *peersState) float64 { return s.scale.sigma(0) })
	}
	if g.settled >= leastSettled && slices.ContainsFunc(m.present, func(p *peer) bool { return p.state.clock.samples == 0 }) {
		g.level = of(func(s *peersState) float64 { return s.episodes.level })
		g.tail = of(func(s *peersState) float64 { return s.episodes.tail })
		g.count = of(func(s *peersState) float64 { return s.episodes.count })
		g.first = of(func(s *peersState) float64 { return float64(s.clock.first) })
	}
	g.course = m.median(all, func(p *peer) float64 { return p.value - m.habitOf(p.state, &g) })
	return g, !math.IsInf(g.course, 0)
}

func all(*peer) bool { return true }

// habitOf is the habit of a member, that of the median for a new one.
func (m *peersModel) habitOf(s *peersState, g *among) float64 {
	if s.clock.samples == 0 && g.settled >= leastSettled {
		return g.habit
	}
	return s.habit.mean
}

// median is the median of a figure of some members present; 0 where there are none.
func (m *peersModel) median(which func(*peer) bool, figure func(*peer) float64) float64 {
	m.sorted = m.sorted[:0]
	for _, p := range m.present {
		if which(p) {
			m.sorted = append(m.sorted, figure(p))
		}
	}
	n := len(m.sorted)
	if n == 0 {
		return 0
	}
	slices.Sort(m.sorted)
	return m.sorted[(n-1)/2]/2 + m.sorted[n/2]/2
}

// center takes the group's median out of the rests, and finds their spread.
func (m *peersModel) center(g *among) {
	judged := func(p *peer) bool { return !p.late }
	g.middle = m.median(judged, func(p *peer) float64 { return p.rest })
	g.expected = g.course + g.middle
	for _, p := range m.present {
		p.newest = rounded(clip(p.newest-g.middle, maxMagnitude), g, p.state)
		p.rest = rounded(clip(p.rest-g.middle, maxMagnitude), g, p.state)
	}
	g.spread = madToGauss * m.median(judged, func(p *peer) float64 { return math.Abs(p.rest) })
}

// rounded is zero for what the arithmetic alone may leave.
func rounded(rest float64, g *among, s *peersState) float64 {
	if math.Abs(rest) <= 1e-12*(math.Abs(g.course)+math.Abs(s.habit.mean)) {
		return 0
	}
	return rest
}

// learn has the habits learn. What all members would learn in common is left
// out, so that the habits do not drift together.
func (m *peersModel) learn(g *among) {
	learns := func(p *peer) bool { return p.learns }
	m.median(learns, func(p *peer) float64 { return p.teaches })
	common := 0.0
	for _, x := range m.sorted { // sorted, so that the order of members does not matter
		common += x / float64(len(m.sorted))
	}
	for _, p := range m.present {
		if !p.learns {
			continue
		}
		s := p.state
		s.habit.learn(p.teaches-common, gain(p.tick.dt, m.habit))
		s.habit.mean = clip(s.habit.mean, maxMagnitude)
	}
	for _, p := range m.present {
		if !p.late {
			p.state.middle = g.middle
		}
	}
}
