package incident

import (
	"math"

	"github.com/foreshock/foreshock/internal/topology"
)

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
// requests accounts: all of it up to the square of the rise, since what queues
// grows faster than the load; beyond that by the orders of magnitude. Nothing
// queues for long where the fullest resource that departs still has room: there
// requests account for no more slowness than 1 / (1 - use), the queue of one server.
func accounts(e *evidence, more *Anomaly) float64 {
	rise := more.ratio()
	queue := rise * rise
	if use := fullest(e); use > 0 && use < room {
		queue = math.Min(queue, 1/(1-use))
	}
	share := 1.0
	for _, a := range e.anomalies {
		fold := queue
		switch {
		case !a.Up || a.Signal != Latency && a.Signal != Saturation:
			continue
		case a.Signal == Saturation:
			fold = rise * rise
		}
		if r := a.ratio(); r > fold {
			share = math.Min(share, math.Log(fold)/math.Log(r))
		}
	}
	return share
}

// room is the use of a resource below which requests hardly wait for it.
const room = 0.8

// fullest is the largest use of the service's resources that depart, where it is
// known as a share of a limit; 0 where it is not.
func fullest(e *evidence) float64 {
	use := 0.0
	for _, a := range e.anomalies {
		if internal(a) && a.Unit == "ratio" {
			use = math.Max(use, a.Value)
		}
	}
	return use
}

// ownTrouble reports whether a service is slower or busier than the requests
// that it gets explain.
func ownTrouble(e *evidence) bool {
	more := e.best(aDemand)
	if more == nil {
		return e.best(aSymptom) != nil || e.best(aInternal) != nil
	}
	return accounts(e, more) < 1
}

// heavy hands the load of a service to callers whose own work rose without
// being asked more: the one whose queries became expensive, say.
func (c Case) heavy(i int, index map[topology.Service]int, row *[]share, left *float64) bool {
	e := c.evidence[i]
	var to []share
	most := 0.0
	for _, caller := range c.callers(e, index) {
		j := caller.at
		p := c.evidence[j]
		work := p.best(aInternal)
		if work != nil && !explains(p.best(aDemand), work) && !p.onset.After(e.onset.Add(c.slack)) {
			to = append(to, share{j, strength(p)})
			most = math.Max(most, credible(work.Score, e))
		}
	}
	give(row, left, toHeavyCaller*most, to)
	return most > 0.5
}

// demanding returns the callers that are asked comparably more themselves.
func (c Case) demanding(e *evidence, more *Anomaly, index map[topology.Service]int) []share {
	var to []share
	for _, caller := range c.callers(e, index) {
		j := caller.at
		p := c.evidence[j]
		if m := p.best(aDemand); m != nil && explains(m, more) && !m.Onset.After(more.Onset.Add(c.slack)) {
			to = append(to, share{j, 1 + caller.rate})
		}
	}
	return to
}

// lacking returns the callers that are asked for less themselves.
func (c Case) lacking(e *evidence, less *Anomaly, index map[topology.Service]int) []share {
	var to []share
	for _, caller := range c.callers(e, index) {
		j := caller.at
		if l := c.evidence[j].best(aLack); l != nil && l.ratio() >= comparable*less.ratio() && !l.Onset.After(less.Onset.Add(c.slack)) {
			to = append(to, share{j, 1 + caller.rate})
		}
	}
	return to
}

// amplifiers returns the callers in trouble of a service that is asked more
// although they are not: they repeat their calls.
func (c Case) amplifiers(e *evidence, index map[topology.Service]int) []share {
	var to, seen []share
	for _, caller := range c.callers(e, index) {
		j := caller.at
		weight := 1.0
		if c.changedBefore(c.evidence[j]) != nil {
			weight = 3
		}
		to = append(to, share{j, weight})
		if c.evidence[j].find(func(a *Anomaly) bool { return repeats(a) && a.Service == e.service }) != nil {
			seen = append(seen, share{j, weight})
		}
	}
	if len(seen) > 0 {
		return seen // it is measured who repeats
	}
	return to
}

// amplifies reports whether a callee is asked for more than the service's own
// traffic explains, and that is where the trouble comes from rather than an
// answer to it.
func (c Case) amplifies(e *evidence, index map[topology.Service]int) bool {
	own := e.best(aDemand)
	for _, a := range e.anomalies {
		if !repeats(a) {
			continue
		}
		if j, ok := index[a.Service]; !ok || !c.answered(j, a, index) {
			return true
		}
	}
	for edge := range c.graph.EachCallee(e.service) {
		j, ok := index[edge.Callee]
		if !ok {
			continue
		}
		if m := c.evidence[j].best(aDemand); m != nil && !explains(own, m) && !c.answered(j, m, index) {
			return true
		}
	}
	return false
}

// breaks reports whether a callee is in trouble with this caller alone: it was
// not changed, and all its other callers are watched and well.
func (c Case) breaks(e *evidence, index map[topology.Service]int) bool {
	if c.well == nil || e.best(aSymptom) == nil {
		return false
	}
	for edge := range c.graph.EachCallee(e.service) {
		j, ok := index[edge.Callee]
		if !ok || c.evidence[j].best(aSymptom) == nil || c.evidence[j].best(aInternal) != nil || c.changedBefore(c.evidence[j]) != nil {
			continue
		}
		others, well := 0, true
		for other := range c.graph.EachCaller(edge.Callee) {
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

// halfExplained is the share of a callee's trouble for which its requests must
// account for it to come from them.
const halfExplained = 0.5

// answered reports whether more calls to a service are repeats: the service
// itself, or what it calls, is in trouble that the calls do not explain.
func (c Case) answered(j int, more *Anomaly, index map[topology.Service]int) bool {
	d := c.evidence[j]
	if work := d.best(aInternal); work != nil && !explains(more, work) {
		return true
	}
	for _, k := range c.below(d.service, index) {
		deep := c.evidence[k]
		asked := deep.best(aDemand)
		byLoad := explains(asked, more) && accounts(deep, asked) >= halfExplained
		if ownTrouble(deep) && !byLoad && !deep.onset.After(more.Onset.Add(c.slack)) {
			return true
		}
	}
	return false
}

// callers returns the callers with evidence, in its order.
func (c Case) callers(e *evidence, index map[topology.Service]int) []neighbour {
	return c.lookups.callers[index[e.service]]
}

// callees returns the callees whose trouble explains symptoms of the service,
// weighted, and how much of them the one that explains most does explain.
func (c Case) callees(e *evidence, index map[topology.Service]int) (to []share, most float64) {
	known := &c.lookups.callees[index[e.service]]
	if known.known {
		return known.to, known.most
	}
	below := c.below(e.service, index)
	to = make([]share, 0, len(below))
	for _, j := range below {
		d := c.evidence[j]
		if d.best(aSymptom) == nil && d.best(aInternal) == nil && d.best(aBetween) == nil && len(d.alerts) == 0 {
			continue
		}
		part := adds(d, e)
		most = math.Max(most, part)
		weight := strength(d) * part
		if d.onset.After(e.onset.Add(c.slack)) {
			weight *= tooLate
		}
		to = append(to, share{j, weight})
	}
	for k := range to {
		to[k].part /= most
	}
	to = inOrder(to)
	*known = calleesOf{to, most, true}
	return to, most
}

// adds is the share of a caller's symptoms that a callee can account for:
// seconds above the expected ones against seconds, failures against failures.
// Where they cannot be compared (the callee fails and the caller waits, or
// only the callee's load is known) it is all.
func adds(callee, caller *evidence) float64 {
	share, compared := 0.0, false
	onTheWay := callee.best(aBetween) != nil
	for _, signal := range []struct {
		Signal
		kind
	}{{Latency, aSlowness}, {Errors, aFailure}} {
		own, added, any := caller.best(signal.kind), 0.0, false
		its := [2]*Anomaly{callee.best(signal.kind)}
		if onTheWay {
			lost := lostBetween(caller.service, callee.service)
			its[1] = callee.find(func(a *Anomaly) bool { return lost(a) && a.Signal == signal.Signal })
		}
		for _, its := range its {
			switch {
			case its == nil:
				continue
			case own == nil || own.Unit != its.Unit || math.IsNaN(its.Value-its.Expected):
				return 1
			}
			added, any = added+its.Value-its.Expected, true
		}
		if !any {
			continue
		}
		had := own.Value - own.Expected
		if !(had > 0) {
			return 1
		}
		compared = true
		share = math.Max(share, math.Min(1, fanOut*added/had))
	}
	if !compared {
		return 1
	}
	return math.Max(share, 0.01)
}

// below returns the callees with evidence, also behind one callee of which
// nothing is known, or which carries the trouble within its noise. One that is
// watched and well cuts the chain.
func (c Case) below(s topology.Service, index map[topology.Service]int) []int {
	self := index[s]
	if known := c.lookups.below[self]; known != nil {
		return known
	}
	out, listed := make([]int, 0, len(c.lookups.calls[self])), c.lookups.listed
	listed[self] = self
	add := func(j int) {
		if listed[j] != self {
			listed[j] = self
			out = append(out, j)
		}
	}
	for _, callee := range c.lookups.calls[self] {
		switch {
		case callee.at >= 0:
			add(callee.at)
		case c.well == nil || !c.well(callee.service) || c.carries(callee.service, c.evidence[self]):
			for next := range c.graph.EachCallee(callee.service) {
				if j, ok := index[next.Callee]; ok {
					add(j)
				}
			}
		}
	}
	c.lookups.below[self] = out
	return out
}

// carries reports whether a service of which nothing departs shows as much more
// time or failures than usual as its caller's symptom needs: too little for its
// own noise to be an anomaly, and enough to hand on what comes from below.
func (c Case) carries(middle topology.Service, caller *evidence) bool {
	if c.excess == nil {
		return false
	}
	for _, a := range caller.anomalies {
		if symptom(a) && c.excess(middle, a.Signal, a.Unit) >= carried*(a.Value-a.Expected) {
			return true
		}
	}
	return false
}
