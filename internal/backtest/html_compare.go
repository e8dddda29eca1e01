package backtest

import (
	"fmt"
	"math"
	"strings"

	"github.com/foreshock/foreshock/internal/plot"
)

// htmlComparison is how the other configuration differs from this one.
type htmlComparison struct {
	Before, After string // the configurations
	Line          string // one sentence
	Figures       []htmlFigure
	Changes       []htmlDifference
	ChangesCut    string
}

// htmlFigure is a key figure with both configurations.
type htmlFigure struct {
	Name, Before, After string
	Delta               string
	Class               string // good, bad or ""
}

type htmlDifference struct {
	Kind, Class, Case string
	Before, After     *htmlSide
	What              string
}

type htmlSide struct{ Time, Severity, Summary, Verdict string }

func newHTMLComparison(r *Report) *htmlComparison {
	c := r.Comparison
	out := &htmlComparison{Before: plot.Clip(or(r.Config, "this configuration"), htmlNameLength), After: plot.Clip(or(c.Config, "the other configuration"), htmlNameLength)}
	counts := map[string]int{}
	for i := range c.Changes {
		d := &c.Changes[i]
		counts[d.Kind]++
		if len(out.Changes) == htmlRows {
			continue
		}
		row := htmlDifference{Kind: plot.Clip(d.Kind, 20), Class: "moves", What: joinNames(d.What, htmlNames)}
		if d.Kind == "appears" || d.Kind == "vanishes" {
			row.Class = d.Kind
		}
		for _, side := range []*Sent{d.After, d.Before} {
			if side != nil {
				row.Case = plot.Clip(side.Case, htmlNameLength)
			}
		}
		row.Before, row.After = sideOf(d.Before), sideOf(d.After)
		out.Changes = append(out.Changes, row)
	}
	out.ChangesCut = cutNote(len(c.Changes), htmlRows, "differences")
	out.Line = fmt.Sprintf("With %s %s, %s and %s.", out.After, doing(counts["appears"], "appears", "appear"), doing(counts["vanishes"], "vanishes", "vanish"), doing(counts["moves"], "moves", "move"))
	if len(c.Changes) == 0 {
		out.Line = fmt.Sprintf("With %s the same is sent.", out.After)
	}
	if c.Other != nil {
		out.Figures = compareFigures(r, c.Other)
		if c.Other.Partial != "" {
			out.Line += " Its replay is partial: " + plot.Clip(c.Other.Partial, htmlTextLength)
		}
	}
	return out
}

func doing(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func sideOf(s *Sent) *htmlSide {
	if s == nil {
		return nil
	}
	return &htmlSide{Time: timeText(s.Time), Severity: plot.Clip(s.Severity, 20), Summary: plot.Clip(s.Summary, htmlTextLength), Verdict: plot.Clip(s.Verdict, 20)}
}

// compareFigures are the key figures of both reports.
func compareFigures(a, b *Report) []htmlFigure {
	var out []htmlFigure
	// add takes which direction is better: 1 up, -1 down, 0 neither.
	add := func(name string, before, after *float64, better float64, show func(*float64) string) {
		if before == nil && after == nil {
			return
		}
		f := htmlFigure{Name: name, Before: show(before), After: show(after)}
		if before != nil && after != nil && f.Before != f.After {
			d := *after - *before
			size := math.Abs(d)
			sign := "+"
			if d < 0 {
				sign = "−"
			}
			f.Delta = sign + strings.TrimPrefix(show(&size), "−")
			switch {
			case better*d > 0:
				f.Class = "good"
			case better*d < 0:
				f.Class = "bad"
			}
		}
		out = append(out, f)
	}
	whole := func(v *float64) string {
		if v == nil {
			return none
		}
		return fmt.Sprintf("%.0f", *v)
	}
	num := func(n int) *float64 { v := float64(n); return &v }
	add("Pages", num(a.Summary.Pages), num(b.Summary.Pages), 0, whole)
	add("Tickets", num(a.Summary.Tickets), num(b.Summary.Tickets), 0, whole)
	ga, gb := overall(a.Grades), overall(b.Grades)
	if ga == nil || gb == nil {
		add("Lead time over own alerts, median", a.Summary.LeadMedian, b.Summary.LeadMedian, 1, secondsText)
		return out
	}
	add("Recall", ga.All.Recall, gb.All.Recall, 1, percentOf)
	add("Precision", ga.Precision, gb.Precision, 1, percentOf)
	add("False pages", num(ga.FalsePages), num(gb.FalsePages), -1, whole)
	add("False tickets", num(ga.FalseTickets), num(gb.FalseTickets), -1, whole)
	add("Sent per incident hit", ga.All.SentPerHit, gb.All.SentPerHit, -1, twoDigits)
	add("Delay, median", ga.All.DelaySeconds, gb.All.DelaySeconds, -1, secondsText)
	add("Right cause first", ga.All.Top1, gb.All.Top1, 1, percentOf)
	add("Right cause among three", ga.All.Top3, gb.All.Top3, 1, percentOf)
	if ga.All.Changes > 0 || gb.All.Changes > 0 {
		add("Change right", ga.All.ChangeShare, gb.All.ChangeShare, 1, percentOf)
		add("Innocent changes blamed", num(ga.All.InnocentBlamed), num(gb.All.InnocentBlamed), -1, whole)
	}
	add("Lead time over own alerts, median", ga.All.OwnLead, gb.All.OwnLead, 1, secondsText)
	return out
}
