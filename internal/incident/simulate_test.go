package incident

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// A system is a small microservice application in arithmetic: rates, own times,
// failures and what is handed along the calls. It knows nothing of how causes are
// ranked. Faults change a parameter; what is seen follows from the arithmetic,
// with noise, delays, blind spots and coincidences.
type system struct {
	rng   *rand.Rand
	names []topology.Service
	calls [][]call // by caller; callees have larger numbers
	entry float64  // requests per second from outside at service 0

	own, fails, capacity []float64 // seconds and failure ratio of its own; busy seconds per second that it can do
	work                 []float64 // work per request, 1 usually
	watched, cpu         []bool
}

type call struct {
	to     int
	times  float64 // per request of the caller
	net    float64 // seconds between the two
	passes float64 // share of the callee's failures that fail the caller
	known  bool    // in the graph
}

type fault struct {
	kind  string
	right []topology.Service // whom to blame; empty: nobody who is watched
	of    int                // where a change would have caused it; -1: nowhere
	apply func(*system)
}

// seen is what one service shows.
type seen struct{ rate, latency, errors, cpu float64 }

func newSystem(rng *rand.Rand) *system {
	n := 8 + rng.IntN(18)
	s := &system{rng: rng, entry: 50 + 200*rng.Float64(), calls: make([][]call, n)}
	for i := range n {
		s.names = append(s.names, topology.Service(fmt.Sprintf("s%02d", i)))
		s.own = append(s.own, 0.002*math.Exp(3*rng.Float64()))
		s.fails = append(s.fails, 0.001*rng.Float64())
		s.work = append(s.work, 1)
		s.watched = append(s.watched, i == 0 || rng.Float64() < 0.92)
		s.cpu = append(s.cpu, rng.Float64() < 0.6)
	}
	for j := 1; j < n; j++ {
		callers := 1
		if rng.Float64() < 0.35 {
			callers += 1 + rng.IntN(3)
		}
		for range callers {
			i := rng.IntN(j)
			if i < j-6 {
				i = j - 1 - rng.IntN(6)
			}
			if slices.ContainsFunc(s.calls[i], func(c call) bool { return c.to == j }) {
				continue
			}
			s.calls[i] = append(s.calls[i], call{
				to: j, times: math.Exp(1.5*rng.Float64() - 1.2), net: 0.0005, passes: 0.4 + 0.6*rng.Float64(),
				known: rng.Float64() < 0.95,
			})
		}
	}
	s.capacity = make([]float64, n)
	for i, v := range s.show() {
		s.capacity[i] = v.rate * s.own[i] / (0.2 + 0.3*rng.Float64())
	}
	return s
}

// show works out what each service shows: load from the top, times and failures
// from the bottom.
func (s *system) show() []seen {
	out := make([]seen, len(s.names))
	out[0].rate = s.entry
	for i := range out {
		for _, c := range s.calls[i] {
			out[c.to].rate += out[i].rate * c.times
		}
	}
	for i := len(out) - 1; i >= 0; i-- {
		v := &out[i]
		busy := 0.0
		if len(s.capacity) > 0 {
			busy = v.rate * s.own[i] * s.work[i] / s.capacity[i]
		}
		v.cpu = math.Min(busy, 1)
		wait := 1 / (1 - math.Min(busy, 0.97)*math.Min(busy, 0.97)) // queues grow towards the limit
		v.latency = s.own[i] * s.work[i] * wait
		ok := 1 - math.Min(0.95, s.fails[i]+math.Max(0, busy-1)*0.5)
		for _, c := range s.calls[i] {
			v.latency += c.times * (out[c.to].latency + c.net)
			ok *= 1 - math.Min(1, c.times)*out[c.to].errors*c.passes
		}
		v.errors = 1 - ok
	}
	return out
}

// pick draws a service that carries a fair part of the load.
func (s *system) pick(from int) int {
	usual := s.show()
	for {
		if i := from + s.rng.IntN(len(s.names)-from); usual[i].rate > 0.05*s.entry || s.rng.IntN(20) == 0 {
			return i
		}
	}
}

func (s *system) draw() fault {
	r, i := s.rng, s.pick(1)
	size := math.Exp(1 + 2.5*r.Float64()) // 2.7 to 33
	named := func(is ...int) (out []topology.Service) {
		for _, i := range is {
			if s.watched[i] {
				out = append(out, s.names[i])
			}
		}
		return out
	}
	switch kind := []string{"slow", "slow", "fails", "fails", "busy", "surge", "amplify", "heavy", "network", "between", "unseen"}[r.IntN(11)]; kind {
	case "slow": // waits for something of its own: a lock, a disk
		return fault{kind, named(i), i, func(s *system) { s.own[i] *= size; s.capacity[i] *= size }}
	case "fails":
		return fault{kind, named(i), i, func(s *system) { s.fails[i] += 0.02 + 0.6*r.Float64() }}
	case "busy": // each request costs more
		return fault{kind, named(i), i, func(s *system) { s.work[i] *= 2 + size/4 }}
	case "surge":
		return fault{kind, named(0), -1, func(s *system) { s.entry *= 1.8 + 3*r.Float64() }}
	case "amplify":
		for len(s.calls[i]) == 0 {
			i = r.IntN(len(s.calls))
		}
		return fault{kind, named(i), i, func(s *system) { s.calls[i][r.IntN(len(s.calls[i]))].times *= 3 + size/4 }}
	case "heavy": // a caller's requests make the callee work
		for len(s.calls[i]) == 0 {
			i = r.IntN(len(s.calls))
		}
		to := s.calls[i][r.IntN(len(s.calls[i]))].to
		s.cpu[i] = true // rows, bytes or objects asked for are measured at the caller
		return fault{kind, named(i), i, func(s *system) { s.work[to] *= 2 + size/4; s.work[i] *= 3 }}
	case "network": // all calls of one service
		return fault{kind, named(i), -1, func(s *system) { s.lose(0.02*size, func(a, b int) bool { return a == i || b == i }) }}
	case "between": // one edge: either end is right
		for len(s.calls[i]) == 0 {
			i = r.IntN(len(s.calls))
		}
		to := s.calls[i][r.IntN(len(s.calls[i]))].to
		return fault{kind, named(i, to), -1, func(s *system) { s.lose(0.02*size, func(a, b int) bool { return a == i && b == to }) }}
	default: // what several share and nobody watches: a resolver, a switch
		var hit []int
		for j := range s.names {
			if r.Float64() < 0.3 {
				hit = append(hit, j)
			}
		}
		return fault{"unseen", nil, -1, func(s *system) {
			for _, j := range hit {
				s.fails[j] += 0.05 + 0.3*r.Float64()
			}
		}}
	}
}

func (s *system) lose(seconds float64, on func(a, b int) bool) {
	for a := range s.calls {
		for k := range s.calls[a] {
			if on(a, s.calls[a][k].to) {
				s.calls[a][k].net += seconds
			}
		}
	}
}

// history is one simulated incident, ready to be played.
type history struct {
	fault  fault
	graph  *topology.Graph
	change []change.Change
	series []movement
	began  time.Time
}

// movement is one series: what it was, what it becomes, and when that is seen.
type movement struct {
	Reading
	before, after float64
	noise         float64 // standard deviation of the logarithm
	from, to      time.Time
}

func simulate(seed uint64) history {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := newSystem(rng)
	usual := s.show()
	nets := s.nets()
	h := history{began: day.Add(10 * time.Hour)}
	h.graph = s.graph()
	h.fault = s.draw()
	h.fault.apply(s)
	now, later := s.show(), s.nets()
	if i := h.fault.of; i >= 0 && rng.Float64() < 0.4 {
		h.change = append(h.change, change.Change{ID: "guilty", Kind: "deploy", Service: s.names[i], Time: h.began.Add(-time.Duration(rng.IntN(40)) * time.Second), To: "2"})
	}
	for k := range rng.IntN(3) {
		h.change = append(h.change, change.Change{
			ID: fmt.Sprintf("innocent%d", k), Kind: "deploy", Service: s.names[rng.IntN(len(s.names))], To: "9",
			Time: h.began.Add(-time.Duration(rng.IntN(25*60)) * time.Second),
		})
	}
	steps := func(n int) time.Duration { return time.Duration(n) * 15 * time.Second }
	put := func(r Reading, before, after, noise float64) {
		m := movement{Reading: r, before: before, after: after, noise: noise, from: h.began.Add(steps(rng.IntN(4))), to: h.began.Add(time.Hour)}
		if rng.Float64() < 0.01 && math.Abs(math.Log(after/before)) < noise { // something else that has nothing to do with it
			m.after, m.from = before*(1+6*noise), h.began.Add(steps(rng.IntN(8)-6))
		}
		h.series = append(h.series, m)
	}
	for i, name := range s.names {
		if !s.watched[i] {
			continue
		}
		r := Reading{Service: name}
		r.Rule, r.Signal, r.Unit = "Latency", Latency, "seconds"
		put(r, usual[i].latency, now[i].latency, 0.05+0.15*rng.Float64()) // a quantile, of which the mean says a part
		r.Rule, r.Signal, r.Unit = "Errors", Errors, "ratio"
		put(r, usual[i].errors, now[i].errors, 0.4)
		r.Rule, r.Signal, r.Unit = "Traffic", Traffic, ""
		put(r, usual[i].rate, now[i].rate*(1-0.3*now[i].errors), 0.05+0.1*rng.Float64())
		if s.cpu[i] {
			r.Rule, r.Signal, r.Unit = "CPU", Saturation, "ratio"
			put(r, usual[i].cpu, now[i].cpu, 0.05+0.1*rng.Float64())
		}
	}
	s.edgeReadings(nets, later, put)
	return h
}

// nets is the time lost on each edge, by caller and place.
func (s *system) nets() (out [][]float64) {
	for _, cs := range s.calls {
		var row []float64
		for _, c := range cs {
			row = append(row, c.net)
		}
		out = append(out, row)
	}
	return out
}

// edgeReadings are the rules for single edges, in half of all systems: what
// callers measure less what callees do.
func (s *system) edgeReadings(before, after [][]float64, put func(Reading, float64, float64, float64)) {
	if s.rng.Float64() < 0.5 {
		return
	}
	for a, cs := range s.calls {
		for k, c := range cs {
			if s.watched[a] && s.watched[c.to] {
				r := Reading{Caller: s.names[a], Service: s.names[c.to], Rule: "TimeLost", Signal: Latency, Unit: "seconds"}
				put(r, before[a][k], after[a][k], 0.3)
			}
		}
	}
}

func (s *system) graph() *topology.Graph {
	var edges []topology.Edge
	usual := s.show()
	rates := s.rng.Float64() < 0.5 // discovered; else declared
	for i, cs := range s.calls {
		for _, c := range cs {
			if c.known {
				e := topology.Edge{Caller: s.names[i], Callee: s.names[c.to]}
				if rates {
					e.Rate = usual[i].rate * c.times
				}
				edges = append(edges, e)
			}
		}
	}
	return topology.NewGraph([]topology.Node{{Service: s.names[0], Entry: true}}, edges)
}

// read is what the series shows at a step: a departure in units of its noise,
// on a scale where four standard deviations are as rare as the budget.
func (m movement) read(now time.Time, rng *rand.Rand) Reading {
	r := m.Reading
	r.Series = fmt.Sprintf("{client=%q, server=%q}", r.Caller, r.Service)
	r.Time, r.Expected, r.Value = now, m.before, m.before*math.Exp(m.noise*rng.NormFloat64()*0.5)
	if now.Before(m.from) || !now.Before(m.to) {
		return r
	}
	r.Value = m.after * math.Exp(m.noise*rng.NormFloat64()*0.5)
	r.Up = r.Value > r.Expected
	z := math.Abs(math.Log((m.after+1e-6)/(m.before+1e-6))) / m.noise
	r.Score = math.Max(0, math.Min(8, 1+(z-4)/1.5))
	if r.Score >= 1 && math.Abs(m.after-m.before) > 0.2*m.before {
		r.Anomalous, r.Onset = true, m.from
	}
	return r
}

// play returns the first incident that is sent, at the step when it is.
func (h history) play(o Options, seed uint64) (*Incident, error) {
	rng := rand.New(rand.NewPCG(seed, 8))
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	for step := -12; step < 24; step++ {
		now := h.began.Add(time.Duration(step) * o.Interval)
		in := Input{Graph: h.graph}
		for _, m := range h.series {
			in.Readings = append(in.Readings, m.read(now, rng))
		}
		for _, ch := range h.change {
			if !ch.Time.After(now) {
				in.Changes = append(in.Changes, ch)
			}
		}
		for _, i := range c.Step(now, in).Incidents {
			if len(i.Sent) > 0 && step >= 0 {
				return i, nil
			}
		}
	}
	return nil, nil
}
