package backtest

import (
	"fmt"

	"github.com/foreshock/foreshock/internal/plot"
)

// htmlGrade is a row of the table per set and fault.
type htmlGrade struct {
	Name  string
	Class string // all, set or fault
	Cells []htmlCell
}

// htmlCell is a figure; bad ones are marked.
type htmlCell struct {
	Text string
	Bad  bool
}

func htmlGradesOf(g *Grades) ([]htmlGrade, string) {
	var rows []htmlGrade
	n := 0
	add := func(row htmlGrade) {
		if n++; n <= htmlRows {
			rows = append(rows, row)
		}
	}
	for i := range g.Sets {
		s := &g.Sets[i]
		class, name := "set", plot.Clip(or(s.Name, "(no set)"), htmlNameLength)
		if i == len(g.Sets)-1 {
			class, name = "all", "All"
		}
		add(htmlGrade{Name: name, Class: class, Cells: tallyCells(&s.All)})
		for k := range s.Faults {
			f := &s.Faults[k]
			add(htmlGrade{Name: plot.Clip(or(f.Fault, "(no fault named)"), htmlNameLength), Class: "fault", Cells: tallyCells(&f.Tally)})
		}
	}
	return rows, cutNote(n, htmlRows, "rows")
}

// tallyCells are in the order of the template's columns.
func tallyCells(t *Tally) []htmlCell {
	change, innocent := none, none
	if t.Changes > 0 {
		change, innocent = fmt.Sprintf("%d/%d", t.ChangeRight, t.Changes), fmt.Sprint(t.InnocentBlamed)
	}
	own := none
	if t.OwnAlerted > 0 {
		own = fmt.Sprint(t.OwnAlerted)
	}
	return []htmlCell{
		{Text: fmt.Sprint(t.Incidents)}, {Text: fmt.Sprint(t.Hit)}, {Text: twoDigits(t.Recall)}, {Text: fmt.Sprint(t.MissedWhileOpen), Bad: t.MissedWhileOpen > 0}, {Text: twoDigits(t.SentPerHit)},
		{Text: secondsText(t.DelaySeconds)}, {Text: oneDigit(t.DelaySamples)},
		{Text: twoDigits(t.Top1)}, {Text: twoDigits(t.Top3)}, {Text: twoDigits(t.Avg5)},
		{Text: twoDigits(t.Top1Hit)}, {Text: twoDigits(t.Top3Hit)}, {Text: twoDigits(t.Avg5Hit)},
		{Text: change}, {Text: innocent, Bad: t.Changes > 0 && t.InnocentBlamed > 0},
		{Text: own}, {Text: secondsText(t.OwnLead), Bad: t.OwnLead != nil && *t.OwnLead < 0},
	}
}

// htmlAlarms is a row of the table of false alarms per set.
type htmlAlarms struct {
	Name, Class                               string
	Cases, False, Pages, Tickets              int
	Days, PerDay, Precision, Blaming, Jaccard string
	Uncounted                                 int
}

func htmlAlarmsOf(g *Grades) []htmlAlarms {
	var rows []htmlAlarms
	for i := range g.Sets[:min(len(g.Sets), htmlRows)] {
		s := &g.Sets[i]
		row := htmlAlarms{Name: plot.Clip(or(s.Name, "(no set)"), htmlNameLength), Class: "set", Cases: s.Cases, False: s.False, Pages: s.FalsePages, Tickets: s.FalseTickets,
			Days: twoDigits(&s.QuietDays), PerDay: twoDigits(s.FalsePerDay), Precision: percentOf(s.Precision), Blaming: none, Jaccard: twoDigits(s.All.EffectsJaccard), Uncounted: s.WarmUp + s.Ignored}
		if i == len(g.Sets)-1 {
			row.Name, row.Class = "All", "all"
		}
		if s.All.Changes > 0 {
			row.Blaming = fmt.Sprint(s.FalseWithChange)
		}
		rows = append(rows, row)
	}
	return rows
}
