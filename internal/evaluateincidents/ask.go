package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/backtest"
	"github.com/foreshock/foreshock/internal/topology"
)

// windowSamples is the length of the window of a fault when the true start is given.
const windowSamples = 5

// normalSamples are the lengths of normal windows: that of a fault, and one such
// as PetShop's evaluation has, a few of which make a day.
var normalSamples = [...]int{windowSamples, 48}

// answer is how far a method came: hits over the incidents with a known cause.
// Random hits by its share.
type answer struct {
	method string
	// At the time when we sent, over what was sent for an incident with a known cause.
	sent1, sent3 float64
	// With the true start given, over all with a known cause.
	start1, start3 float64
	named          [len(normalSamples)]float64 // normal windows in which somebody was named
	faults         map[string]*hits
}

type hits struct {
	n          int // sent
	top1, top3 float64
}

// changeAnswer is how often a rule names the right change.
type changeAnswer struct {
	rule            string
	right, innocent int
}

// answers are those of all methods on one set; the first is ours.
type answers struct {
	list    []*answer
	causes  int // incidents with a known cause
	sent    int // of those, sent
	all1    float64
	all3    float64
	windows [len(normalSamples)]int
	changes []changeAnswer
	graded  int // incidents of cases with changes
	users   users
	stated  []stated
}

type normalPart struct {
	file string
	target
}

// ask gives every method the incidents and the normal windows. The pages are
// the grades without tickets.
func (s *system) ask(r *backtest.Report, pages *backtest.Grades) (*answers, error) {
	out := &answers{}
	for _, name := range []string{"Foreshock", "random service"} {
		out.list = append(out.list, &answer{method: name, faults: map[string]*hits{}})
	}
	for _, m := range methods() {
		out.list = append(out.list, &answer{method: m.name, faults: map[string]*hits{}})
	}
	for _, rule := range []string{"Foreshock", "last change before it was sent", "last change before our onset", "nobody, ever"} {
		out.changes = append(out.changes, changeAnswer{rule: rule})
	}
	normal := map[normalPart]bool{}
	for k, c := range s.cases {
		rec, err := readRecording(c.Input.Files)
		if err != nil {
			return nil, err
		}
		q := question{services: rec.byService(), graph: c.graph(rec)}
		for n, g := range r.Grades.Incidents {
			if g.Case == c.Name {
				out.incident(c, q, g)
				out.state(g)
				out.users.count(c, q.services[c.targets[g.Name].Service], g, pages.Incidents[n].Hit)
			}
		}
		// A normal part that several cases share counts once for each kind of alert.
		if len(c.Truth.Incidents) > 0 {
			q.target = c.targets[c.Truth.Incidents[0].Name]
		}
		if part := (normalPart{c.Input.Files[0], q.target}); !normal[part] {
			normal[part] = true
			out.normal(c, q, r.Cases[k].Sent)
		}
	}
	return out, nil
}

// byService are the series of each service, counters as increases. Edges are no
// service's.
func (r *recording) byService() map[string][]*series {
	out := map[string][]*series{}
	for _, s := range r.series {
		name := s.labels.Get(identity.Last())
		if name == "" {
			continue
		}
		if r.counter(s) {
			s = s.differences()
		}
		out[name] = append(out[name], s)
	}
	return out
}

// edges are those that series with both ends tell of.
func (r *recording) edges() []topology.Edge {
	var out []topology.Edge
	for _, s := range r.series {
		if from, to := s.labels.Get("client"), s.labels.Get("server"); from != "" && to != "" {
			out = append(out, topology.Edge{Caller: service(from), Callee: service(to)})
		}
	}
	return out
}

// graph is what is declared, and what edges' series tell.
func (c *labelledCase) graph(rec *recording) *topology.Graph {
	return topology.NewGraph(c.Declared.Nodes, slices.Concat(c.Declared.Edges, rec.edges()))
}

// incident asks all methods who is to blame for a labelled incident.
func (a *answers) incident(c *labelledCase, q question, g backtest.IncidentGrade) {
	if c.Truth.Changes {
		a.change(c, g)
	}
	if len(g.Causes) == 0 {
		return
	}
	a.causes++
	q.target = c.targets[g.Name]
	names := slices.Sorted(maps.Keys(q.services))
	hit := func(list []string, k int) float64 {
		var seen []string
		for _, n := range list {
			if n = strings.TrimSuffix(n, c.Truth.StripSuffix); !slices.Contains(seen, n) {
				seen = append(seen, n)
			}
		}
		for _, n := range seen[:min(k, len(seen))] {
			for _, want := range g.Causes {
				if n == strings.TrimSuffix(want, c.Truth.StripSuffix) {
					return 1
				}
			}
		}
		return 0
	}
	if g.Hit {
		a.sent++
		from, to := g.First.Onset.UnixMilli(), g.First.Time.UnixMilli()
		chance := func(k float64) float64 { return min(1, k*float64(len(g.Causes))/float64(max(1, len(names)))) }
		a.list[0].add(g.Fault, hit(g.First.Causes, 1), hit(g.First.Causes, 3))
		a.list[1].add(g.Fault, chance(1), chance(3))
		a.all1 += hit(g.First.Causes, 1)
		a.all3 += hit(g.First.Causes, 3)
		for i, m := range methods() {
			at := q
			at.from, at.to = from, to
			list := m.rank(&at)
			a.list[i+2].add(g.Fault, hit(list, 1), hit(list, 3))
		}
	}
	n := float64(max(1, len(names)))
	a.list[1].start1 += 1 / n
	a.list[1].start3 += min(1, 3/n)
	for i, m := range methods() {
		at := q
		at.from = g.Start.UnixMilli()
		at.to = min(g.End.UnixMilli(), at.from+int64(windowSamples)*c.Truth.Interval.Milliseconds())
		list := m.rank(&at)
		a.list[i+2].start1 += hit(list, 1)
		a.list[i+2].start3 += hit(list, 3)
	}
}

func (a *answer) add(fault string, top1, top3 float64) {
	a.sent1 += top1
	a.sent3 += top3
	h := a.faults[fault]
	if h == nil {
		h = &hits{}
		a.faults[fault] = h
	}
	h.n++
	h.top1 += top1
	h.top3 += top3
}

// change asks the rules which change is to blame.
func (a *answers) change(c *labelledCase, g backtest.IncidentGrade) {
	a.graded++
	count := func(i int, said string) {
		switch {
		case said == g.Change:
			a.changes[i].right++
		case said != "":
			a.changes[i].innocent++
		}
	}
	before := func(at time.Time) string {
		last := ""
		for _, ch := range c.Changes { // in order of time
			if ch.Service != "" && !ch.Time.After(at) {
				last = ch.ID
			}
		}
		return last
	}
	switch g.ChangeVerdict {
	case "right":
		a.changes[0].right++
	case "innocent":
		a.changes[0].innocent++
	}
	if g.Hit {
		count(1, before(g.First.Time))
		count(2, before(g.First.Onset))
	}
	count(3, "")
}

// normal asks all methods about windows, one after the other, in which nothing
// is known to be wrong. We have named somebody when something was sent in one.
func (a *answers) normal(c *labelledCase, q question, sent []backtest.Sent) {
	for n, samples := range normalSamples {
		length := time.Duration(samples) * c.Truth.Interval
		for _, from := range c.normalWindows(length) {
			a.windows[n]++
			to := from.Add(length)
			if slices.ContainsFunc(sent, func(s backtest.Sent) bool { return !s.Time.Before(from) && s.Time.Before(to) && len(s.Causes) > 0 }) {
				a.list[0].named[n]++
			}
			a.list[1].named[n]++
			for i, m := range methods() {
				at := q
				at.from, at.to = from.UnixMilli(), to.UnixMilli()-1
				if len(m.rank(&at)) > 0 {
					a.list[i+2].named[n]++
				}
			}
		}
	}
}

// normalWindows are the starts of windows from where grading begins that touch
// neither an incident, with a grace of ten minutes or two samples, nor an ignored span.
func (c *labelledCase) normalWindows(length time.Duration) []time.Time {
	grace := max(10*time.Minute, 2*c.Truth.Interval)
	var out []time.Time
	for from := c.Truth.From; !from.Add(length).After(c.Truth.To); from = from.Add(length) {
		to := from.Add(length)
		touched := false
		for _, i := range c.Truth.Incidents {
			touched = touched || to.After(i.Start) && from.Before(i.End.Add(grace))
		}
		for _, i := range c.Truth.Ignore {
			touched = touched || to.After(i.Start) && from.Before(i.End)
		}
		if !touched {
			out = append(out, from)
		}
	}
	return out
}
