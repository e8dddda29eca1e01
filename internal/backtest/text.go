package backtest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TextOptions say what the text has.
type TextOptions struct {
	Sent bool // every incident sent
}

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	var b strings.Builder
	if r.Partial != "" {
		fmt.Fprintf(&b, "PARTIAL: %s\n\n", r.Partial)
	}
	if o.Sent {
		for _, s := range r.All() {
			b.WriteString(s.text(len(r.Cases) > 1))
		}
	}
	r.summaryText(&b)
	r.noteText(&b)
	if r.Grades != nil {
		b.WriteString("\n")
		if err := r.Grades.WriteTable(&b); err != nil {
			return err
		}
		r.labelledText(&b)
	}
	r.ruleText(&b)
	if r.Comparison != nil {
		r.Comparison.text(&b, r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const stamp = "2006-01-02 15:04:05"

func (s *Sent) text(withCase bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-6s  %s", s.Time.Format(stamp), s.Severity, s.Summary)
	if withCase {
		fmt.Fprintf(&b, "  [%s]", s.Case)
	}
	b.WriteString("\n")
	detail := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%21s%-8s %s\n", "", name, text)
		}
	}
	if len(s.Causes) > 0 {
		what := listed(s.Causes, 5)
		if !s.Known {
			what += " (not sure)"
		}
		detail("causes", what)
	}
	detail("effects", listed(s.Effects, 8))
	detail("change", s.Change)
	detail("rules", listed(s.Rules, 6))
	if s.PagedAt != nil && s.PagedAt.After(s.Time) {
		detail("paged", fmt.Sprintf("%s, %s after it was sent as a ticket", s.PagedAt.Format(stamp), s.PagedAt.Sub(s.Time).Round(time.Second)))
	}
	if s.Resolved != nil {
		detail("until", fmt.Sprintf("%s, %s later", s.Resolved.Format(stamp), s.Resolved.Sub(s.Time).Round(time.Second)))
	}
	if s.OwnAlert != nil {
		detail("lead", lead(s.OwnAlert.Sub(s.Time)))
	}
	switch s.Verdict {
	case "":
	case "hit", "duplicate":
		detail("truth", s.Verdict+" of "+s.Incident)
	default:
		detail("truth", s.Verdict)
	}
	return b.String()
}

func lead(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d > 0:
		return d.String() + " before the first of the team's own alerts"
	case d < 0:
		return (-d).String() + " after the first of the team's own alerts"
	}
	return "together with the first of the team's own alerts"
}

func (r *Report) summaryText(b *strings.Builder) {
	s := r.Summary
	fmt.Fprintf(b, "%s and %s in %.1f days", count(s.Pages, "page"), count(s.Tickets, "ticket"), s.Days)
	if s.Days > 0 {
		fmt.Fprintf(b, " (%.2f and %.2f a day)", float64(s.Pages)/s.Days, float64(s.Tickets)/s.Days)
	}
	fmt.Fprintf(b, "; the team's own alerts fired %s", count(s.OwnAlerts, "time"))
	if s.LeadMedian != nil {
		fmt.Fprintf(b, "; median lead over them %s (%s)", time.Duration(*s.LeadMedian*float64(time.Second)).Round(time.Second), count(s.LeadOver, "incident"))
	}
	b.WriteString("\n")
}

func (r *Report) noteText(b *strings.Builder) {
	for _, c := range r.Cases {
		for _, n := range c.Notes {
			fmt.Fprintf(b, "note: case %s: %s\n", c.Name, n)
		}
	}
}

// labelledText says what the table has no column for.
func (r *Report) labelledText(b *strings.Builder) {
	a := r.all()
	fmt.Fprintf(b, "precision %s, recall %s; false pages %s and false tickets %s a day\n",
		shown(a.Precision, 2), shown(a.All.Recall, 2), shown(r.perQuietDay(a.FalsePages), 2), shown(r.perQuietDay(a.FalseTickets), 2))
	if a.All.OwnAlerted > 0 {
		fmt.Fprintf(b, "the team's own alerts fired in %d of %d incidents, in %d of them alone; median lead over them %s s\n",
			a.All.OwnAlerted, a.All.Incidents, a.All.OwnOnly, shown(a.All.OwnLead, 0))
	}
}

// maxRuleRows bounds the rules that the text lists.
const maxRuleRows = 20

func (r *Report) ruleText(b *strings.Builder) {
	if len(r.Rules) == 0 {
		return
	}
	total := 0.0
	for _, s := range r.Rules {
		total += s.Seconds
	}
	list := slices.Clone(r.Rules)
	slices.SortStableFunc(list, func(x, y RuleStats) int { return cmp.Compare(y.Seconds, x.Seconds) })
	rows := [][]string{{"rule", "kind", "cost", "series", "evals", "failed", "empty", "episodes", "sent", "false"}}
	for _, s := range list[:min(len(list), maxRuleRows)] {
		cost := "-"
		if total > 0 {
			cost = fmt.Sprintf("%.0f%%", 100*s.Seconds/total)
		}
		rows = append(rows, []string{
			s.Name, s.Kind, cost, strconv.Itoa(s.Series), strconv.Itoa(s.Evaluations), strconv.Itoa(s.Failed), strconv.Itoa(s.Empty),
			strconv.Itoa(s.Episodes), strconv.Itoa(s.Sent), strconv.Itoa(s.False),
		})
	}
	fmt.Fprintf(b, "\n%s\n", strings.Join(aligned(rows), "\n"))
	if n := len(list) - maxRuleRows; n > 0 {
		fmt.Fprintf(b, "and %s of less cost: see the report\n", count(n, "rule"))
	}
	for _, s := range r.odd() {
		fmt.Fprintf(b, "%s: %s\n", s.Name, s.oddity())
	}
}

// oddity says what is odd about a rule, in words.
func (s RuleStats) oddity() string {
	var parts []string
	if s.State != "" {
		parts = append(parts, s.State)
	}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("failed %s, last: %s", count(s.Failed, "time"), s.LastError))
	}
	if len(s.Missing) > 0 {
		parts = append(parts, "nothing ever matched "+listed(s.Missing, 5))
	}
	return strings.Join(parts, "; ")
}

func (c *Comparison) text(b *strings.Builder, before *Report) {
	fmt.Fprintf(b, "\nCompared with %s:\n", c.Config)
	rows := [][]string{{"", "before", "after"}}
	for _, name := range Metrics() {
		x, y := metrics[name](before), metrics[name](c.Other)
		if x != nil || y != nil {
			rows = append(rows, []string{name, shown(x, 2), shown(y, 2)})
		}
	}
	fmt.Fprintf(b, "%s\n", strings.Join(aligned(rows), "\n"))
	if len(c.Changes) == 0 {
		b.WriteString("Nothing that is sent differs.\n")
	}
	for _, d := range c.Changes {
		s := d.Before
		if s == nil {
			s = d.After
		}
		fmt.Fprintf(b, "%-8s  %s  %-6s  %s", d.Kind, s.Time.Format(stamp), s.Severity, s.Summary)
		if len(before.Cases) > 1 {
			fmt.Fprintf(b, "  [%s]", s.Case)
		}
		if len(d.What) > 0 {
			fmt.Fprintf(b, "\n%10s%s", "", strings.Join(d.What, "; "))
		}
		b.WriteString("\n")
	}
}
