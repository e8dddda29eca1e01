package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/foreshock/foreshock/internal/backtest"
)

// delayTable says where the time from the start of an incident to what was sent
// goes: until the first departing sample was seen, and from then on.
func (s *system) delayTable(g *backtest.Grades, out io.Writer) {
	interval := s.interval().Seconds()
	var seen, waited, all []float64
	for _, i := range g.Incidents {
		if !i.Hit || i.First == nil {
			continue
		}
		sent := max(0, i.First.Time.Sub(i.Start).Seconds()/interval)
		first := min(sent, max(0, i.First.Onset.Sub(i.Start).Seconds()/interval))
		seen, waited, all = append(seen, first), append(waited, sent-first), append(all, sent)
	}
	if len(all) == 0 {
		return
	}
	header(out, "Where the time goes, in samples", "part", "quartile", "median", "quartile")
	for _, p := range []struct {
		name   string
		values []float64
	}{
		{"from the start to the first departing sample, as it was evaluated", seen},
		{"from there until it was sent", waited},
		{"together", all},
	} {
		slices.Sort(p.values)
		at := func(q float64) string { return fmt.Sprintf("%.1f", p.values[int(q*float64(len(p.values)-1)+0.5)]) }
		row(out, p.name, at(0.25), at(0.5), at(0.75))
	}
	fmt.Fprintln(out)
}
