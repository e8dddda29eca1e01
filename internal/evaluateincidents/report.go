package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/foreshock/foreshock/internal/backtest"
)

func row(out io.Writer, cells ...string) { fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |") }

func header(out io.Writer, title string, cells ...string) {
	fmt.Fprintf(out, "## %s\n\n", title)
	row(out, cells...)
	fmt.Fprintln(out, strings.Repeat("|---", len(cells))+"|")
}

// share writes n of a number without the leading zero; "-" of none.
func share(n float64, of int) string {
	if of == 0 {
		return "-"
	}
	return short(n / float64(of))
}

func short(x float64) string { return strings.TrimPrefix(fmt.Sprintf("%.2f", x), "0") }

func optional(v *float64, format func(float64) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

func plain(x float64) string { return fmt.Sprintf("%g", x) }

// pagesOnly grades once more without tickets; what became a page counts from then.
func (s *system) pagesOnly(r *backtest.Report) *backtest.Grades {
	var list []backtest.Labelled
	for k, c := range s.cases {
		list = append(list, backtest.Labelled{Truth: c.Truth, Report: r.Cases[k].PagesOnly()})
	}
	return backtest.Grade(list, backtest.GradeOptions{})
}

// toldTable says how the incidents were told, by fault.
func (s *system) toldTable(r *backtest.Report, pages *backtest.Grades, out io.Writer) {
	header(out, "What was sent", "set, fault", "incidents", "sent", "AC@1 of all", "AC@1 of sent", "AC@3 of sent",
		"sent per incident", "median delay, samples", "false pages a day", "false tickets a day")
	for _, part := range []struct {
		name   string
		grades *backtest.Grades
	}{{"pages and tickets", r.Grades}, {"pages alone", pages}} {
		for _, g := range part.grades.Sets {
			if g.Name == "ALL" && len(part.grades.Sets) == 2 {
				continue
			}
			row(out, slices.Concat([]string{g.Name + ", " + part.name}, told(g.All), []string{daily(g.FalsePages, g.QuietDays), daily(g.FalseTickets, g.QuietDays)})...)
			for _, f := range g.Faults {
				row(out, slices.Concat([]string{f.Fault}, told(f.Tally), []string{"", ""})...)
			}
		}
	}
	fmt.Fprintln(out)
}

func told(t backtest.Tally) []string {
	return []string{
		fmt.Sprint(t.Incidents), optional(t.Recall, short), optional(t.Top1, short), optional(t.Top1Hit, short), optional(t.Top3Hit, short),
		optional(t.SentPerHit, short), optional(t.DelaySamples, plain),
	}
}

func daily(n int, days float64) string {
	if days == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(n)/days)
}

// methodTable sets us beside what is published, on the same incidents.
func (a *answers) methodTable(out io.Writer) {
	if a.causes == 0 {
		return
	}
	header(out, "Who is to blame", "method", "AC@1 when we sent", "AC@3", "AC@1 of all, true start given", "AC@3", "names nobody on normal windows", "on long ones")
	for i, m := range a.list {
		one, three := share(m.start1, a.causes), share(m.start3, a.causes)
		if i == 0 {
			one, three = share(a.all1, a.causes)+" (start not given)", share(a.all3, a.causes)
		}
		row(out, m.method, share(m.sent1, a.sent), share(m.sent3, a.sent), one, three, share(float64(a.windows[0])-m.named[0], a.windows[0]), share(float64(a.windows[1])-m.named[1], a.windows[1]))
	}
	fmt.Fprintf(out, "\n%d incidents with a known cause, %d of them sent; %d normal windows of %d samples and %d of %d.\n\n",
		a.causes, a.sent, a.windows[0], normalSamples[0], a.windows[1], normalSamples[1])
}

// faultTable has AC@1 when we sent, by method and fault.
func (a *answers) faultTable(out io.Writer) {
	faults := slices.Sorted(maps.Keys(a.list[0].faults))
	if len(faults) < 2 {
		return
	}
	cells := []string{"method"}
	for _, f := range faults {
		cells = append(cells, fmt.Sprintf("%s (%d)", f, a.list[0].faults[f].n))
	}
	header(out, "Who is to blame, by fault: AC@1 when we sent", cells...)
	for _, m := range a.list {
		cells := []string{m.method}
		for _, f := range faults {
			cells = append(cells, share(m.faults[f].top1, m.faults[f].n))
		}
		row(out, cells...)
	}
	fmt.Fprintln(out)
}

// changeTable says who blames which change, where changes are known.
func (a *answers) changeTable(out io.Writer) {
	if a.graded == 0 {
		return
	}
	header(out, "What changed", "rule", "right", "innocent blamed")
	for _, c := range a.changes {
		row(out, c.rule, fmt.Sprintf("%d of %d", c.right, a.graded), fmt.Sprint(c.innocent))
	}
	fmt.Fprintln(out)
}
