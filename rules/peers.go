package rules

import (
	"github.com/foreshock/foreshock/detectors"
)

// together has a detector of groups judge the present members of each group,
// and returns the verdicts in the order of the series; nil where the detector
// judges each series by itself.
func (d *Detection) together(t int64, of *joined) []detectors.Verdict {
	bank, ok := d.states.bank.(detectors.GroupBank)
	if !ok || !d.spec.Detector.Groups {
		return nil
	}
	type group struct {
		members []detectors.Member
		at      []int // their places among the series
	}
	var (
		groups []*group
		byHash = map[uint64]*group{}
		buf    []byte
	)
	for i, s := range d.states.sorted {
		if s.round != d.states.round {
			continue
		}
		hash := hashOf(&buf, s.input, d.spec.By)
		g := byHash[hash]
		if g == nil {
			g = &group{}
			byHash[hash] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, detectors.Member{Ref: s.ref, Value: d.shareOf(s, of)})
		g.at = append(g.at, i)
	}
	out := make([]detectors.Verdict, len(d.states.sorted))
	for _, g := range groups {
		bank.ObserveGroup(t, g.members)
		for i, at := range g.at {
			out[at] = g.members[i].Verdict
		}
	}
	return out
}
