package incident

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// Case is what a ranker is given: the evidence of one incident.
type Case struct {
	evidence []*evidence // in order of onset
	graph    *topology.Graph
	changes  []change.Change // within the window before the onset, oldest first
	slack    time.Duration   // onsets nearer than this count as equal
	// watched reports whether there are readings of a service; nil: of all.
	watched func(topology.Service) bool
	// well reports whether latency or errors of a service are watched and
	// normal just now; nil: of none.
	well func(topology.Service) bool
}

// Ranker orders the services of an incident by how much of the trouble they explain.
type Ranker func(Case) []Candidate

// Shares of the blame that a service hands on or keeps. They say which
// explanation wins where several are possible; none is fitted to a data set.
const (
	// A callee in trouble explains its caller's symptoms almost entirely.
	toCallees = 0.9
	// Work of its own that rose (rows read, CPU) and that the number of
	// requests does not explain stays.
	keepsOwnWork = 0.75
	// More requests than usual explain the symptoms of the service that gets them.
	toDemand = 0.8
	// A service that asks more of its callees than it is asked, after it was changed.
	keepsAmplifying = 0.8
	// A change just before, on a service whose trouble others explain as well.
	keepsChanged = 0.1
	// A caller whose own work rose explains the load on what it calls.
	toHeavyCaller = 0.85
	// Where a later onset than the caller's speaks against a callee.
	tooLate = 0.2
	// Of a callee's rise in requests, how much a caller's must reach to explain
	// it: retries multiply on the way.
	comparable = 0.5
	// Of a rise in work, how much the rise in requests must reach to explain it:
	// work is at least proportional to requests, or the requests changed.
	proportional = 0.75
	// How many calls to a callee a caller may make for one of its own: what a
	// callee adds to a caller's symptom is at most so many times its own.
	fanOut = 10
	rounds = 60
)

// BlameFlow starts the blame at the services that suffer harm (or at all, if
// none does) and hands it along the graph: symptoms to callees in trouble,
// load to the callers that cause it; what no neighbour explains stays. The
// share that stays with a service in the end is its confidence. It converges
// since every service keeps some of what it is given.
//
// Assumptions: edges point from caller to callee; onsets nearer than two steps
// have no order. Limits: a service without any reading cannot be blamed; its
// callers keep the blame.
func BlameFlow(c Case) []Candidate {
	n := len(c.evidence)
	index := map[topology.Service]int{}
	for i, e := range c.evidence {
		index[e.service] = i
	}
	flow := make([]map[int]float64, n)
	to := make([][]int, n) // the keys of flow, sorted
	for i := range flow {
		flow[i] = c.handOn(i, index)
		to[i] = slices.Sorted(maps.Keys(flow[i]))
	}
	held, moving := make([]float64, n), c.start()
	for range rounds {
		next := make([]float64, n)
		for i, amount := range moving {
			if amount < 1e-6 {
				held[i] += amount
				continue
			}
			for _, j := range to[i] {
				if j == i {
					held[i] += amount * flow[i][j]
				} else {
					next[j] += amount * flow[i][j]
				}
			}
		}
		moving = next
	}
	for i, amount := range moving {
		held[i] += amount
	}
	out := make([]Candidate, 0, n)
	for i, e := range c.evidence {
		out = append(out, Candidate{
			Service: e.service, Onset: e.onset,
			Confidence: math.Round(held[i]*1000) / 1000,
			Reason:     c.reason(i, index),
		})
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), a.Onset.Compare(b.Onset), cmp.Compare(a.Service, b.Service))
	})
	return out
}

// start distributes one unit of blame over the services that suffer harm.
func (c Case) start() []float64 {
	w := make([]float64, len(c.evidence))
	sum := 0.0
	for i, e := range c.evidence {
		node, _ := c.graph.Node(e.service)
		if (c.graph.IsEntry(e.service) || node.Critical) && (e.find(symptom) != nil || e.find(staysAway) != nil) {
			w[i] = 1
			sum++
		}
	}
	if sum == 0 {
		for i, e := range c.evidence {
			w[i] = strength(e)
			sum += w[i]
		}
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}

// strength bounds a score, so that a huge one does not silence the others.
func strength(e *evidence) float64 { return math.Min(math.Max(e.score, 0.5), 8) }

// handOn returns how the service divides the blame it is given; the entry of
// the service itself is what stays. The row sums to 1.
func (c Case) handOn(i int, index map[topology.Service]int) map[int]float64 {
	row := map[int]float64{}
	e := c.evidence[i]
	left := 1.0
	keep := func(share float64) {
		row[i] += left * share
		left -= left * share
	}
	more := e.find(demand)
	heavy := ownTrouble(e) && c.heavy(i, index, row, &left)
	if work := e.find(internal); work != nil && !explains(more, work) && !heavy {
		keep(keepsOwnWork)
	}
	if more != nil {
		callers := c.demanding(e, more, index)
		switch {
		case len(callers) > 0:
			give(row, &left, toDemand*accounts(e, more), callers)
		case len(c.graph.Callers(e.service)) == 0:
			keep(keepsOwnWork) // more users than usual: nobody inside asks for more
		case !c.answered(i, more, index):
			give(row, &left, toDemand/2, c.amplifiers(e, index))
		}
	}
	if less := e.find(lack); less != nil && !ownTrouble(e) {
		switch callers := c.lacking(e, less, index); {
		case len(callers) > 0:
			give(row, &left, toDemand, callers)
		case len(c.graph.Callers(e.service)) == 0:
			keep(keepsOwnWork) // fewer users than usual: nobody inside asks for less
		}
	}
	if ch := c.changedBefore(e); ch != nil {
		if c.amplifies(e, index) || c.breaks(e, index) {
			keep(keepsAmplifying * nearness(e.onset.Sub(ch.Time)))
		} else {
			keep(keepsChanged * nearness(e.onset.Sub(ch.Time)))
		}
	}
	callees, most := c.callees(e, index)
	give(row, &left, toCallees*most, callees)
	row[i] += left
	return row
}

// nearness of a change to the onset that follows it: 1 at once, one half after five minutes.
func nearness(before time.Duration) float64 {
	return 1 / (1 + math.Max(0, before.Minutes())/5)
}

// give hands a share of what is left to the targets, in proportion to their weights.
func give(row map[int]float64, left *float64, share float64, to map[int]float64) {
	sum := 0.0
	keys := make([]int, 0, len(to))
	for j, w := range to {
		if w > 0 {
			keys = append(keys, j)
		}
	}
	slices.Sort(keys)
	for _, j := range keys {
		sum += to[j]
	}
	if sum == 0 {
		return
	}
	amount := *left * share * math.Min(1, sum)
	for _, j := range keys {
		row[j] += amount * to[j] / sum
	}
	*left -= amount
}

// explains reports whether the rise in requests accounts for the rise in
// work, or, for requests to a callee, is comparable to theirs.
func explains(more, rise *Anomaly) bool {
	share := proportional
	if demand(rise) {
		share = comparable
	}
	return more != nil && more.ratio() >= share*rise.ratio()
}

// accounts is the share of a service's slowness and load for which the rise in
// requests accounts: all of it where the two are comparable.
func accounts(e *evidence, more *Anomaly) float64 {
	worst := 1.0
	for _, a := range e.anomalies {
		if a.Up && (a.Signal == Latency || a.Signal == Saturation) {
			worst = math.Max(worst, a.ratio())
		}
	}
	return math.Min(1, more.ratio()/(comparable*worst))
}

// ownTrouble reports whether a service is slower or busier than the requests
// that it gets explain.
func ownTrouble(e *evidence) bool {
	more := e.find(demand)
	if more == nil {
		return e.find(symptom) != nil || e.find(internal) != nil
	}
	return accounts(e, more) < 1
}

// heavy hands the load of a service to callers whose own work rose without
// being asked more: the one whose queries became expensive, say.
func (c Case) heavy(i int, index map[topology.Service]int, row map[int]float64, left *float64) bool {
	e := c.evidence[i]
	to := map[int]float64{}
	for _, edge := range c.graph.Callers(e.service) {
		j, ok := index[edge.Caller]
		if !ok {
			continue
		}
		p := c.evidence[j]
		work := p.find(internal)
		if work != nil && !explains(p.find(demand), work) && !p.onset.After(e.onset.Add(c.slack)) {
			to[j] = strength(p)
		}
	}
	give(row, left, toHeavyCaller, to)
	return len(to) > 0
}

// demanding returns the callers that are asked comparably more themselves.
func (c Case) demanding(e *evidence, more *Anomaly, index map[topology.Service]int) map[int]float64 {
	to := map[int]float64{}
	for _, edge := range c.graph.Callers(e.service) {
		j, ok := index[edge.Caller]
		if !ok {
			continue
		}
		p := c.evidence[j]
		if m := p.find(demand); m != nil && explains(m, more) && !m.Onset.After(more.Onset.Add(c.slack)) {
			to[j] = 1 + edge.Rate
		}
	}
	return to
}

// lacking returns the callers that are asked for less themselves.
func (c Case) lacking(e *evidence, less *Anomaly, index map[topology.Service]int) map[int]float64 {
	to := map[int]float64{}
	for _, edge := range c.graph.Callers(e.service) {
		j, ok := index[edge.Caller]
		if !ok {
			continue
		}
		if l := c.evidence[j].find(lack); l != nil && l.ratio() >= comparable*less.ratio() && !l.Onset.After(less.Onset.Add(c.slack)) {
			to[j] = 1 + edge.Rate
		}
	}
	return to
}

// amplifiers returns the callers in trouble of a service that is asked more
// although they are not: they repeat their calls.
func (c Case) amplifiers(e *evidence, index map[topology.Service]int) map[int]float64 {
	to := map[int]float64{}
	for _, edge := range c.graph.Callers(e.service) {
		if j, ok := index[edge.Caller]; ok {
			to[j] = 1
			if c.changedBefore(c.evidence[j]) != nil {
				to[j] = 3
			}
		}
	}
	return to
}

// amplifies reports whether a callee is asked for more than the service's own
// traffic explains, and that is where the trouble comes from rather than an
// answer to it.
func (c Case) amplifies(e *evidence, index map[topology.Service]int) bool {
	own := e.find(demand)
	for _, edge := range c.graph.Callees(e.service) {
		j, ok := index[edge.Callee]
		if !ok {
			continue
		}
		if m := c.evidence[j].find(demand); m != nil && !explains(own, m) && !c.answered(j, m, index) {
			return true
		}
	}
	return false
}

// breaks reports whether a callee is in trouble with this caller alone: it was
// not changed, and all its other callers are watched and well.
func (c Case) breaks(e *evidence, index map[topology.Service]int) bool {
	if c.well == nil || e.find(symptom) == nil {
		return false
	}
	for _, edge := range c.graph.Callees(e.service) {
		j, ok := index[edge.Callee]
		if !ok || c.evidence[j].find(symptom) == nil || c.evidence[j].find(internal) != nil || c.changedBefore(c.evidence[j]) != nil {
			continue
		}
		others, well := 0, true
		for _, other := range c.graph.Callers(edge.Callee) {
			if other.Caller != e.service {
				others++
				well = well && c.well(other.Caller)
			}
		}
		if others > 0 && well {
			return true
		}
	}
	return false
}

// answered reports whether more calls to a service are repeats: the service
// itself, or what it calls, is in trouble that the calls do not explain.
func (c Case) answered(j int, more *Anomaly, index map[topology.Service]int) bool {
	d := c.evidence[j]
	if work := d.find(internal); work != nil && !explains(more, work) {
		return true
	}
	for _, k := range c.below(d.service, index) {
		if deep := c.evidence[k]; ownTrouble(deep) && !deep.onset.After(more.Onset.Add(c.slack)) {
			return true
		}
	}
	return false
}

// callees returns the callees whose trouble explains symptoms of the service,
// weighted, and how much of them the one that explains most does explain.
func (c Case) callees(e *evidence, index map[topology.Service]int) (to map[int]float64, most float64) {
	to = map[int]float64{}
	for _, j := range c.below(e.service, index) {
		d := c.evidence[j]
		if d.find(symptom) == nil && d.find(internal) == nil && len(d.alerts) == 0 {
			continue
		}
		share := adds(d, e)
		most = math.Max(most, share)
		to[j] = strength(d) * share
		if d.onset.After(e.onset.Add(c.slack)) {
			to[j] *= tooLate
		}
	}
	for j := range to {
		to[j] /= most
	}
	return to, most
}

// adds is the share of a caller's symptoms that a callee can account for:
// seconds above the expected ones against seconds, failures against failures.
// Where they cannot be compared (the callee fails and the caller waits, or
// only the callee's load is known) it is all.
func adds(callee, caller *evidence) float64 {
	share, compared := 0.0, false
	for _, signal := range []Signal{Latency, Errors} {
		is := func(a *Anomaly) bool { return symptom(a) && a.Signal == signal }
		its, own := callee.find(is), caller.find(is)
		switch {
		case its == nil:
			continue
		case own == nil || own.Unit != its.Unit:
			return 1
		}
		compared = true
		if had := own.Value - own.Expected; had > 0 && !math.IsNaN(its.Value-its.Expected) {
			share = math.Max(share, math.Min(1, fanOut*(its.Value-its.Expected)/had))
		} else {
			return 1
		}
	}
	if !compared {
		return 1
	}
	return math.Max(share, 0.01)
}

// below returns the callees with evidence, also behind one callee of which
// nothing is known: a rule that is missing does not cut a chain. One that is
// watched and well does.
func (c Case) below(s topology.Service, index map[topology.Service]int) []int {
	seen := map[int]bool{index[s]: true}
	var out []int
	add := func(t topology.Service) bool {
		j, ok := index[t]
		if ok && !seen[j] {
			seen[j] = true
			out = append(out, j)
		}
		return ok
	}
	for _, edge := range c.graph.Callees(s) {
		if !add(edge.Callee) && (c.well == nil || !c.well(edge.Callee)) {
			for _, next := range c.graph.Callees(edge.Callee) {
				add(next.Callee)
			}
		}
	}
	return out
}
