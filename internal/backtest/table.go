package backtest

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WriteTable writes the grades per set and fault in the layout of the data
// sets' own scorer, so that the two can be compared line by line.
func (g *Grades) WriteTable(w io.Writer) error {
	rows := [][]string{{"set / fault", "inc", "paged", "share", "open", "pg/inc", "delay s", "smpl", "AC@1", "AC@3", "Avg5", "AC@1p", "AC@3p", "Avg5p", "change", "innoc"}}
	for _, s := range g.Sets {
		rows = append(rows, s.All.row(s.Name))
		for _, f := range s.Faults {
			name := f.Fault
			if name == "" {
				name = "(none)"
			}
			rows = append(rows, f.row("  "+name))
		}
	}
	out := aligned(rows)
	out = append(out, "")
	for _, s := range g.Sets {
		out = append(out, s.line())
	}
	_, err := io.WriteString(w, strings.Join(out, "\n")+"\n")
	return err
}

func (t Tally) row(name string) []string {
	two := func(v *float64) string { return shown(v, 2) }
	change, innocent := "-", "-"
	if t.Changes > 0 {
		change, innocent = fmt.Sprintf("%d/%d", t.ChangeRight, t.Changes), strconv.Itoa(t.InnocentBlamed)
	}
	return []string{
		name, strconv.Itoa(t.Incidents), strconv.Itoa(t.Hit), two(t.Recall), strconv.Itoa(t.MissedWhileOpen), two(t.SentPerHit),
		shown(t.DelaySeconds, 0), shown(t.DelaySamples, 1), two(t.Top1), two(t.Top3), two(t.Avg5),
		two(t.Top1Hit), two(t.Top3Hit), two(t.Avg5Hit), change, innocent,
	}
}

func (s SetGrade) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s in %.2f quiet days = %s per day", s.Name, count(s.Cases, "case"), count(s.False, "false page"), s.QuietDays, shown(s.FalsePerDay, 2))
	if s.All.Changes > 0 {
		fmt.Fprintf(&b, "; change right %d, right or release %d of %d, innocent blamed %d, false pages blaming a change %d",
			s.All.ChangeRight, s.All.ChangeOrRelease, s.All.Changes, s.All.InnocentBlamed, s.FalseWithChange)
	}
	if s.All.LabelLead != nil {
		fmt.Fprintf(&b, "; median lead over the set's own alert %.0f s", *s.All.LabelLead)
	}
	if s.All.EffectsJaccard != nil {
		fmt.Fprintf(&b, "; effects Jaccard %.2f", *s.All.EffectsJaccard)
	}
	if s.WarmUp > 0 || s.Ignored > 0 {
		fmt.Fprintf(&b, "; not counted: %s in warm-up, %d in ignored spans", count(s.WarmUp, "page"), s.Ignored)
	}
	return b.String()
}

func shown(v *float64, digits int) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}

// aligned lays out rows with the first column to the left and all others to the right.
func aligned(rows [][]string) []string {
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", wide[i]-utf8.RuneCountInString(c))
			switch {
			case i == 0:
				b.WriteString(c + pad)
			default:
				b.WriteString("  " + pad + c)
			}
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}
