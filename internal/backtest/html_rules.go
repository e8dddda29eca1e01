package backtest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/foreshock/foreshock/internal/plot"
)

// htmlRule is a row of the table of rules.
type htmlRule struct {
	Name, Kind, Place                  string
	State, StateClass                  string
	Details                            []string
	Share                              string
	ShareWidth                         float64 // percent of the most expensive rule
	Seconds                            string
	Evaluations, Failed, Empty, Series int
	Episodes, Sent, False              int
}

// stateOrder is how urgent it is to look at what is odd.
func stateOrder(state string) int {
	i := slices.Index([]string{"always fails", "never has data", "only NaN", "always fires", "never fires"}, state)
	switch {
	case i >= 0:
		return i
	case state != "":
		return 4
	}
	return 5
}

// htmlRulesOf puts the odd rules first and leaves the others in their order.
func htmlRulesOf(rules []RuleStats) ([]htmlRule, string) {
	total, most := 0.0, 0.0
	for i := range rules {
		total += rules[i].Seconds
		most = max(most, rules[i].Seconds)
	}
	order := make([]*RuleStats, 0, len(rules))
	for i := range rules {
		order = append(order, &rules[i])
	}
	slices.SortStableFunc(order, func(a, b *RuleStats) int { return cmp.Compare(stateOrder(a.State), stateOrder(b.State)) })
	var out []htmlRule
	for _, s := range order[:min(len(order), htmlRows)] {
		r := htmlRule{Name: plot.Clip(or(s.Name, "(no name)"), htmlNameLength), Kind: plot.Clip(s.Kind, 20), Place: plot.Clip(s.File, htmlNameLength) + " › " + plot.Clip(s.Group, htmlNameLength),
			State: plot.Clip(s.State, 40), Share: none, Seconds: shortSeconds(s.Seconds), Evaluations: s.Evaluations, Failed: s.Failed, Empty: s.Empty, Series: s.Series,
			Episodes: s.Episodes, Sent: s.Sent, False: s.False}
		if s.State != "" {
			r.StateClass = "bad"
			if s.State == "never fires" {
				r.StateClass = "quiet"
			}
		}
		if total > 0 {
			share := s.Seconds / total
			r.Share, r.ShareWidth = percentOf(&share), round2(100*s.Seconds/most)
			if share > 0 && share < 0.005 {
				r.Share = "< 1 %"
			}
		}
		if len(s.Missing) > 0 {
			r.Details = append(r.Details, "no series ever matched "+joinNames(s.Missing, htmlNames))
		}
		if s.LastError != "" {
			r.Details = append(r.Details, "last error: "+plot.Clip(s.LastError, htmlTextLength))
		}
		out = append(out, r)
	}
	return out, cutNote(len(rules), htmlRows, "rules")
}

// htmlOdd counts the odd rules by what is odd; "" when none is.
func htmlOdd(rules []RuleStats) string {
	counts := map[string]int{}
	for i := range rules {
		if s := rules[i].State; s != "" {
			counts[s]++
		}
	}
	var parts []string
	for _, s := range []string{"always fails", "never has data", "only NaN", "always fires", "never fires"} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, " · ")
}

func htmlCost(rules []RuleStats) string {
	total := 0.0
	for i := range rules {
		total += rules[i].Seconds
	}
	if total <= 0 {
		return count(len(rules), "rule")
	}
	return fmt.Sprintf("%s, evaluated in %s", count(len(rules), "rule"), shortSeconds(total))
}

// shortSeconds is a small amount of time: 2 ms, 1.2 s, 95 s.
func shortSeconds(s float64) string {
	switch {
	case s <= 0 || math.IsNaN(s):
		return none
	case s < 0.0995:
		return strconv.FormatFloat(s*1000, 'f', 1, 64) + " ms"
	case s < 9.95:
		return strconv.FormatFloat(s, 'f', 2, 64) + " s"
	}
	return strconv.FormatFloat(s, 'f', 0, 64) + " s"
}
