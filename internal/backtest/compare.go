package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Compare sets the report of another configuration over the same cases beside r.
func (r *Report) Compare(other *Report) {
	c := &Comparison{Config: other.Config, Other: other, Changes: []Difference{}}
	after := map[string][]Sent{}
	for _, o := range other.Cases {
		after[o.Name] = o.Sent
	}
	for _, o := range r.Cases {
		c.Changes = append(c.Changes, differences(o.Sent, after[o.Name])...)
		delete(after, o.Name)
	}
	r.Comparison = c
}

// nearby is how far apart two incidents may be sent and still be the same one,
// where neither was open when the other was sent.
const nearby = 10 * time.Minute

// differences pairs what both send: the nearest in time of those that were open
// at the same time, or sent shortly after each other, and share a service.
func differences(before, after []Sent) []Difference {
	taken := make([]bool, len(after))
	var out []Difference
	for i := range before {
		b := &before[i]
		best := -1
		for k := range after {
			a := &after[k]
			if taken[k] || !overlap(b, a) || !related(b, a) {
				continue
			}
			if best < 0 || a.Time.Sub(b.Time).Abs() < after[best].Time.Sub(b.Time).Abs() {
				best = k
			}
		}
		if best < 0 {
			out = append(out, Difference{Kind: "vanishes", Before: b})
			continue
		}
		taken[best] = true
		if what := moved(b, &after[best]); len(what) > 0 {
			out = append(out, Difference{Kind: "moves", Before: b, After: &after[best], What: what})
		}
	}
	for k := range after {
		if !taken[k] {
			out = append(out, Difference{Kind: "appears", After: &after[k]})
		}
	}
	slices.SortStableFunc(out, func(a, b Difference) int { return a.at().Compare(b.at()) })
	return out
}

func (d Difference) at() time.Time {
	if d.Before != nil {
		return d.Before.Time
	}
	return d.After.Time
}

func overlap(a, b *Sent) bool {
	if a.Time.Sub(b.Time).Abs() <= nearby {
		return true
	}
	first, second := a, b
	if second.Time.Before(first.Time) {
		first, second = second, first
	}
	return first.Resolved == nil || first.Resolved.After(second.Time)
}

// related: they name a service in common, as cause or effect, or neither names any.
func related(a, b *Sent) bool {
	x, y := slices.Concat(a.Causes, a.Effects), slices.Concat(b.Causes, b.Effects)
	return len(x) == 0 && len(y) == 0 || slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) })
}

func moved(b, a *Sent) []string {
	var out []string
	switch d := a.Time.Sub(b.Time); {
	case d < 0:
		out = append(out, (-d).String()+" earlier")
	case d > 0:
		out = append(out, d.String()+" later")
	}
	if b.Severity != a.Severity {
		out = append(out, fmt.Sprintf("%s instead of %s", a.Severity, b.Severity))
	}
	if x, y := firstCause(b), firstCause(a); x != y {
		out = append(out, fmt.Sprintf("cause %s instead of %s", y, x))
	}
	if b.Change != a.Change {
		out = append(out, fmt.Sprintf("change %s instead of %s", cmp.Or(a.Change, "none"), cmp.Or(b.Change, "none")))
	}
	if !slices.Equal(slices.Sorted(slices.Values(b.Effects)), slices.Sorted(slices.Values(a.Effects))) {
		out = append(out, fmt.Sprintf("effects %s instead of %s", cmp.Or(strings.Join(a.Effects, ", "), "none"), cmp.Or(strings.Join(b.Effects, ", "), "none")))
	}
	return out
}

func firstCause(s *Sent) string {
	if len(s.Causes) == 0 || !s.Known {
		return "not known"
	}
	return s.Causes[0]
}
