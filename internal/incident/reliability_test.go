package incident

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

var simulated = flag.Int("simulated", 400, "number of incidents that TestReliability plays; its table takes a thousand or more to be steady")

// tally counts how often the first candidate was right.
type tally struct{ sent, known, right, wrong, inThree int }

func (t *tally) add(i *Incident, f fault) {
	t.sent++
	has := func(cs []Candidate) bool {
		return slices.ContainsFunc(cs, func(c Candidate) bool { return slices.Contains(f.right, c.Service) })
	}
	right := has(i.Causes[:min(1, len(i.Causes))])
	if right {
		t.right++
	}
	if has(i.Causes[:min(3, len(i.Causes))]) {
		t.inThree++
	}
	if i.Known {
		t.known++
		if !right {
			t.wrong++
		}
	}
}

// TestReliability plays simulated incidents and shows, with -v, how often the
// first candidate is right, by fault and by stated confidence:
//
//	go test ./internal/incident -run Reliability -v -args -simulated=1500
//
// A cause that is not watched, or that no known edge leads to, cannot be named
// and counts as wrong in the lower table.
func TestReliability(t *testing.T) {
	kinds, bins := map[string]*tally{}, make([]tally, 10)
	stated := make([]float64, 10)
	all, able := &tally{}, &tally{}
	for seed := range uint64(*simulated) {
		h := simulate(seed)
		i, err := h.play(testOptions(), seed)
		if err != nil {
			t.Fatal(err)
		}
		if kinds[h.fault.kind] == nil {
			kinds[h.fault.kind] = &tally{}
		}
		if i == nil || len(i.Causes) == 0 {
			continue
		}
		kinds[h.fault.kind].add(i, h.fault)
		if len(h.fault.right) > 0 {
			able.add(i, h.fault)
		}
		all.add(i, h.fault)
		b := min(9, int(10*i.Causes[0].Confidence))
		bins[b].add(i, h.fault)
		stated[b] += i.Causes[0].Confidence
	}
	var b strings.Builder
	line := func(name string, x *tally) {
		n := float64(max(1, x.sent))
		fmt.Fprintf(&b, "%-10s sent %4d  AC@1 %.2f  AC@3 %.2f  named %.2f  named wrong %.2f\n", name, x.sent,
			float64(x.right)/n, float64(x.inThree)/n, float64(x.known)/n, float64(x.wrong)/float64(max(1, x.known)))
	}
	var names []string
	for k := range kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		line(k, kinds[k])
	}
	line("all", all)
	line("watched", able)
	b.WriteString("stated confidence against the share that is right\n")
	for k, x := range bins {
		if x.sent > 0 {
			fmt.Fprintf(&b, "  %.1f to %.1f: %4d, stated %.2f, right %.2f\n", float64(k)/10, float64(k+1)/10, x.sent, stated[k]/float64(x.sent), float64(x.right)/float64(x.sent))
		}
	}
	t.Log("\n" + b.String())
	if share := float64(able.right) / float64(able.sent); share < 0.8 {
		t.Errorf("of the causes that are watched %.2f are ranked first, want at least .80", share)
	}
	sum := 0.0
	for k, x := range bins {
		sum += math.Abs(stated[k] - float64(x.right))
	}
	if off := sum / float64(all.sent); off > 0.08 {
		t.Errorf("stated confidence and the share that is right differ by %.3f on average, want at most .08", off)
	}
}
