package backtest

import "testing"

// TestRuleStates: what is odd about a rule, also over several cases.
func TestRuleStates(t *testing.T) {
	stats := func(kind string, evaluations, failed, empty, onlyNaN, fired int) *ruleCount {
		return &ruleCount{RuleStats: RuleStats{Kind: kind, Evaluations: evaluations, Failed: failed, Empty: empty, OnlyNaN: onlyNaN, Fired: fired}}
	}
	for _, c := range []struct {
		name   string
		counts []*ruleCount
		want   string
	}{
		{"not evaluated", []*ruleCount{stats("detection", 0, 0, 0, 0, 0)}, ""},
		{"fails", []*ruleCount{stats("detection", 10, 10, 0, 0, 0)}, "always fails"},
		{"no series", []*ruleCount{stats("detection", 10, 1, 9, 0, 0)}, "never has data"},
		{"no series, of a pack", []*ruleCount{{optional: true, RuleStats: stats("detection", 10, 1, 9, 0, 0).RuleStats}}, ""},
		{"no numbers", []*ruleCount{stats("detection", 10, 0, 0, 10, 0)}, "only NaN"},
		{"first no series, then no numbers", []*ruleCount{stats("detection", 10, 2, 3, 5, 0)}, "only NaN"},
		{"numbers at last", []*ruleCount{stats("detection", 10, 0, 3, 6, 0)}, "never fires"},
		{"numbers in one of two cases", []*ruleCount{stats("detection", 10, 0, 0, 10, 0), stats("detection", 10, 0, 0, 0, 1)}, ""},
		{"none in two cases", []*ruleCount{stats("detection", 10, 0, 0, 10, 0), stats("detection", 10, 0, 10, 0, 0)}, "only NaN"},
		{"fires", []*ruleCount{stats("alerting", 10, 0, 0, 0, 9)}, "always fires"},
	} {
		sum := &ruleCount{optional: c.counts[0].optional, RuleStats: RuleStats{Kind: c.counts[0].Kind}}
		for _, o := range c.counts {
			sum.add(o)
		}
		if got := sum.result().State; got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
