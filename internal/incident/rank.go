package incident

import (
	"cmp"
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
	lookups  *lookups        // made by the ranker
	// watched reports whether there are readings of a service; nil: of all.
	watched func(topology.Service) bool
	// well reports whether latency or errors of a service are watched and
	// normal just now; nil: of none.
	well func(topology.Service) bool
	// excess is what a service's newest reading of a signal in a unit lies above
	// what is expected, anomalous or not; nil: nothing is known.
	excess func(s topology.Service, signal Signal, unit string) float64
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
	// Time or requests that are lost on the calls of a service, in or out, and
	// that neither end accounts for stay with the end where they are lost.
	keepsLost = 0.75
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
	// Of its caller's symptom, how much a service of which nothing departs must
	// show to stand between the caller and what is in trouble below.
	carried = 0.3
	rounds  = 60
)

// BlameFlow starts the blame at the services that suffer harm (or at all, if
// none does) and hands it along the graph: symptoms to callees in trouble,
// load to the callers that cause it; what no neighbour explains stays. The
// share that stays with a service in the end is its Confidence here, until it is
// calibrated. It converges since every service keeps some of what it is given.
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
	c.lookups = newLookups(c, index)
	flow := make([][]share, n)
	for i := range flow {
		flow[i] = c.handOn(i, index)
	}
	held, moving, next := make([]float64, n), c.start(), make([]float64, n)
	for range rounds {
		clear(next)
		for i, amount := range moving {
			if amount < 1e-6 {
				held[i] += amount
				continue
			}
			for _, s := range flow[i] {
				if s.to == i {
					held[i] += amount * s.part
				} else {
					next[s.to] += amount * s.part
				}
			}
		}
		moving, next = next, moving
	}
	for i, amount := range moving {
		held[i] += amount
	}
	out := make([]Candidate, 0, n)
	for i, e := range c.evidence {
		out = append(out, Candidate{
			Service: e.service, Onset: e.onset,
			Confidence: math.Round(held[i]*1000) / 1000,
		})
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), a.Onset.Compare(b.Onset), cmp.Compare(a.Service, b.Service))
	})
	out = slices.Clone(out[:min(len(out), maxCandidates)])
	for k := range out {
		out[k].Reason = c.reason(index[out[k].Service], index)
	}
	return out
}

// maxCandidates bounds the candidates that are kept and explained.
const maxCandidates = 100

// start distributes one unit of blame over the services that suffer harm, or,
// where no calls are known, by how suspicious each is.
func (c Case) start() []float64 {
	w := make([]float64, len(c.evidence))
	guessed := c.guessed()
	if guessed {
		w = c.suspicions()
	}
	sum := 0.0
	for i, e := range c.evidence {
		node, _ := c.graph.Node(e.service)
		if !guessed && (c.graph.IsEntry(e.service) || node.Critical) && (e.best(aSymptom) != nil || e.find(staysAway) != nil) {
			w[i] = 1
		}
		sum += w[i]
	}
	if sum == 0 {
		for i, e := range c.evidence {
			w[i] = deviation(e)
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

// deviation is how far a service is from its normal inside (work, resources) and
// outside (what others feel), taken together: of services among which no calls
// are known, the cause shows in both. It is the order of PRISM
// ("Graph-Free Root Cause Analysis", arXiv 2601.21359).
func deviation(e *evidence) float64 {
	inside, outside := 0.0, 0.0
	for _, a := range e.anomalies {
		if internal(a) {
			inside = math.Max(inside, math.Min(a.Score, 8))
		} else {
			outside = math.Max(outside, math.Min(a.Score, 8))
		}
	}
	if len(e.alerts) > 0 {
		outside = math.Max(outside, alertScore)
	}
	return math.Max(inside+outside, 0.5)
}

// handOn returns how the service divides the blame it is given; the entry of
// the service itself is what stays. The row sums to 1.
func (c Case) handOn(i int, index map[topology.Service]int) []share {
	e := c.evidence[i]
	row := make([]share, 0, len(c.lookups.calls[i])+4)
	left := 1.0
	keep := func(part float64) {
		row = append(row, share{i, left * part})
		left -= left * part
	}
	more := e.best(aDemand)
	heavy := ownTrouble(e) && c.heavy(i, index, &row, &left)
	if work := e.best(aInternal); work != nil && !explains(more, work) && !heavy {
		keep(keepsOwnWork * credible(work.Score, e))
	}
	if lost := e.best(aBetween); lost != nil {
		keep(keepsLost * credible(lost.Score, e))
	}
	if again := e.best(aRepeats); again != nil && c.amplifies(e, index) {
		keep(keepsAmplifying * credible(again.Score, e))
	}
	callees, most := c.callees(e, index)
	if more != nil {
		callers := c.demanding(e, more, index)
		switch {
		case len(callers) > 0:
			give(&row, &left, toDemand*accounts(e, more), callers)
		case !c.graph.HasCallers(e.service):
			// More users than usual: nobody inside asks for more.
			keep(keepsOwnWork * credible(more.Score, e) * (1 - c.unasked(callees, most, index)))
		case !c.answered(i, more, index):
			give(&row, &left, toDemand*accounts(e, more), c.amplifiers(e, index))
		}
	}
	if less := e.best(aLack); less != nil && !ownTrouble(e) {
		switch callers := c.lacking(e, less, index); {
		case len(callers) > 0:
			give(&row, &left, toDemand, callers)
		case !c.graph.HasCallers(e.service):
			keep(keepsOwnWork) // fewer users than usual: nobody inside asks for less
		}
	}
	if ch := c.changedBefore(e); ch != nil {
		if c.amplifies(e, index) || c.breaks(e, index) {
			keep(keepsAmplifying * nearness(ch.Before(e.onset)))
		} else {
			keep(keepsChanged * nearness(ch.Before(e.onset)))
		}
	}
	give(&row, &left, toCallees*most, callees)
	return inOrder(append(row, share{i, left}))
}

// sure is how much a departure counts as more than a coincidence. A score of 1
// is what a series reaches by itself as often as its budget allows, and there
// are many series; at 2 it is one half, at 3 nine tenths.
func sure(score float64) float64 { return 1 / (1 + math.Pow(10, 2-score)) }

// credible is how far a departure may explain the symptoms of a service: a weak
// one does not explain a strong one, though it may explain another weak one.
func credible(score float64, e *evidence) float64 {
	felt := e.best(aSymptom)
	if felt == nil {
		return 1
	}
	return math.Min(1, sure(score)/sure(felt.Score))
}

// unasked is the largest share of a service's symptoms for which a callee
// accounts whose trouble arises where no more is asked than usual.
func (c Case) unasked(callees []share, most float64, index map[topology.Service]int) float64 {
	largest := 0.0
	for _, s := range callees {
		if !c.asked(s.to, index, map[int]bool{}) {
			largest = math.Max(largest, s.part*most)
		}
	}
	return math.Min(1, largest)
}

// asked reports whether more is asked than usual of a service in trouble, or of
// one below it that it may have its trouble from.
func (c Case) asked(j int, index map[topology.Service]int, seen map[int]bool) bool {
	seen[j] = true
	d := c.evidence[j]
	if d.best(aDemand) != nil {
		return true
	}
	for _, k := range c.below(d.service, index) {
		if !seen[k] && ownTrouble(c.evidence[k]) && c.asked(k, index, seen) {
			return true
		}
	}
	return false
}

// nearness of a change to the onset that follows it: 1 at once, one half after five minutes.
func nearness(before time.Duration) float64 {
	return 1 / (1 + math.Max(0, before.Minutes())/5)
}
