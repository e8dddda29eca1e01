package backtest

import (
	"fmt"
	"strconv"
)

// htmlTile is one key figure.
type htmlTile struct {
	Name  string
	Value string
	Means string // one sentence
	Bad   bool
}

// htmlTiles are the key figures: graded where something is labelled, else what was sent.
func htmlTiles(r *Report) []htmlTile {
	var tiles []htmlTile
	all := overall(r.Grades)
	if all != nil {
		tiles = append(tiles, recallTile(all), precisionTile(r, all))
	}
	tiles = append(tiles, sentTile("Pages a day", r.Summary.Pages, r.Summary.Days, "page", all, func(s *SetGrade) int { return s.FalsePages }),
		sentTile("Tickets a day", r.Summary.Tickets, r.Summary.Days, "ticket", all, func(s *SetGrade) int { return s.FalseTickets }))
	if all != nil {
		tiles = append(tiles, causeTile(&all.All))
	} else {
		tiles = append(tiles, namedTile(r))
	}
	return append(tiles, leadTile(r, all))
}

// overall is the grade over all sets; nil where nothing is labelled.
func overall(g *Grades) *SetGrade {
	if g == nil || len(g.Sets) == 0 {
		return nil
	}
	return &g.Sets[len(g.Sets)-1]
}

func recallTile(s *SetGrade) htmlTile {
	t := &s.All
	means := fmt.Sprintf("%d of %s was sent", t.Hit, count(t.Incidents, "labelled incident"))
	if t.Incidents != 1 {
		means = fmt.Sprintf("%d of %s were sent", t.Hit, count(t.Incidents, "labelled incident"))
	}
	if t.DelaySeconds != nil {
		means += ", half of them within " + secondsText(t.DelaySeconds)
	}
	return htmlTile{Name: "Recall", Value: percentOf(t.Recall), Means: means + ".", Bad: t.Hit < t.Incidents}
}

func precisionTile(r *Report, s *SetGrade) htmlTile {
	means := "Nothing that counts was sent."
	if s.Precision != nil {
		means = fmt.Sprintf("of what was sent belongs to a labelled incident; %d false in %s without one", s.False, daysText(s.QuietDays))
		if s.FalsePerDay != nil {
			means += ", " + rate(*s.FalsePerDay) + " a day"
		}
		means += "."
	}
	if n := s.WarmUp + s.Ignored; n > 0 {
		means += fmt.Sprintf(" %d in warm-up or ignored spans not counted.", n)
	}
	return htmlTile{Name: "Precision", Value: percentOf(s.Precision), Means: means}
}

func sentTile(name string, n int, days float64, what string, all *SetGrade, wrong func(*SetGrade) int) htmlTile {
	t := htmlTile{Name: name, Value: perDay(n, days), Means: fmt.Sprintf("%s in %s", count(n, what), daysText(days))}
	if all != nil {
		t.Bad = what == "page" && wrong(all) > 0
		t.Means += ", " + strconv.Itoa(wrong(all)) + " of them false"
	}
	t.Means += "."
	return t
}

func causeTile(t *Tally) htmlTile {
	if t.Causes == 0 {
		return htmlTile{Name: "Right cause first", Value: none, Means: "No labelled incident has a known cause."}
	}
	means := fmt.Sprintf("The true cause is named first, over %s with a known cause; a missed one counts as wrong", count(t.Causes, "incident"))
	if t.Top1Hit != nil {
		means += ". Over those that were sent: " + percentOf(t.Top1Hit)
	}
	return htmlTile{Name: "Right cause first", Value: percentOf(t.Top1), Means: means + "."}
}

// namedTile is how often a cause was named, where nobody knows whether it was right.
func namedTile(r *Report) htmlTile {
	all, known := 0, 0
	for _, c := range r.Cases {
		for _, s := range c.Sent {
			all++
			if s.Known {
				known++
			}
		}
	}
	if all == 0 {
		return htmlTile{Name: "Cause named", Value: none, Means: "Nothing was sent."}
	}
	share := float64(known) / float64(all)
	return htmlTile{Name: "Cause named", Value: percentOf(&share), Means: fmt.Sprintf("%d of %s name a cause; whether it is right is not known without labels.", known, count(all, "incident"))}
}

func leadTile(r *Report, all *SetGrade) htmlTile {
	t := htmlTile{Name: "Lead time", Value: none, Means: "None of the team's own alerting rules fired for what was sent."}
	lead, over := r.Summary.LeadMedian, r.Summary.LeadOver
	what := "sent incident"
	if all != nil && all.All.OwnLead != nil {
		lead, over, what = all.All.OwnLead, all.All.OwnAlerted-all.All.OwnOnly, "labelled incident"
	}
	if lead == nil {
		return t
	}
	t.Value = secondsText(lead)
	t.Means = fmt.Sprintf("Median by which it was sent before the first of the team's own alerts, over %s with one", count(over, what))
	if *lead < 0 {
		t.Means = fmt.Sprintf("The team's own alerts came first: the median over %s with one", count(over, what))
		t.Bad = true
	}
	if all != nil && all.All.OwnOnly > 0 {
		t.Means += fmt.Sprintf("; %d more had an own alert but nothing sent", all.All.OwnOnly)
	}
	t.Means += "."
	return t
}
