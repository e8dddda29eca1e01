package incident

import (
	"math"
	"slices"
)

// How sure a cause can be. The values are the round ones nearest to what
// simulated incidents show (TestReliability); none is fitted to a data set.
const (
	// Who is not watched, and edges that are not known, cannot be ruled out:
	// blame alone makes no cause surer than this.
	surest = 0.9
	// How many times the odds of a cause rise when it was changed just before,
	// and fall when it calls something of which nothing is known.
	oddsOfHint = 4
	// Below this confidence the cause counts as not known. A candidate that is
	// right in two cases of five, and well before the next one, is worth naming
	// first at night; its confidence is said beside it.
	leastConfidence = 0.4
)

// calibrate turns shares of the blame into confidences: how often a first
// candidate like this one is right. With s the first one's share, at most
// [surest], its odds s/(1-s) are multiplied by [oddsOfHint] when its service was
// changed just before its trouble and ran no longer well than a change takes to
// show, and divided by it when a callee of it has no readings or nothing is
// known of whom it calls. The others share
// what is left, in proportion to their blame; the order stays.
func (c Case) calibrate(cs []Candidate) {
	if len(cs) == 0 {
		return
	}
	share := math.Min(cs[0].Confidence, surest)
	odds := share / (1 - share)
	// Where several alike were changed, the change does not tell one from the other.
	if c.hinted(cs[0]) && !(len(cs) > 1 && c.hinted(cs[1]) && alike(cs[0], cs[1])) {
		odds *= oddsOfHint
	}
	if len(c.dark(cs[0].Service)) > 0 || edgeless(c.graph, cs[0].Service) {
		odds /= oddsOfHint
	}
	first := odds / (1 + odds)
	others := 0.0
	if cs[0].Confidence > 0 && cs[0].Confidence < 1 {
		others = math.Min(first/cs[0].Confidence, (1-first)/(1-cs[0].Confidence))
	}
	for i := range cs {
		cs[i].Confidence = math.Round(1000*cs[i].Confidence*others) / 1000
	}
	cs[0].Confidence = math.Round(1000*first) / 1000
}

// hinted reports whether a change of the service came just before its trouble.
func (c Case) hinted(of Candidate) bool {
	i := slices.IndexFunc(c.evidence, func(e *evidence) bool { return e.service == of.Service })
	if i < 0 {
		return false
	}
	e := c.evidence[i]
	ch := c.changedBefore(e)
	return ch != nil && ch.Before(e.onset) <= c.ranWell(*ch) && !c.outside(e)
}

// alike reports whether two candidates are too near to tell which it is.
func alike(first, second Candidate) bool { return first.Confidence < 1.2*second.Confidence }

// known reports whether the first candidate can be named as the cause.
func known(cs []Candidate) bool {
	return len(cs) > 0 && cs[0].Service != "" && cs[0].Confidence >= leastConfidence &&
		(len(cs) == 1 || !alike(cs[0], cs[1]))
}
