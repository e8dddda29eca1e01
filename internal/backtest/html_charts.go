package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/plot"
)

// htmlDays is the chart of what was sent per day. Places are in percent of the chart.
type htmlDays struct {
	Bars  []htmlBar
	Top   string   // the greatest number
	Ticks []string // first, middle and last day
	Per   string   // day, or how many days a bar stands for
}

// htmlBar is one bar of stacked pages (below) and tickets.
type htmlBar struct {
	X, Width          float64
	PageY, PageHeight float64
	TickY, TickHeight float64
	Title             string
}

// newHTMLDays stacks what was sent per day; days on which nothing was sent
// are there as well, those between cases are not. nil when nothing was replayed.
func newHTMLDays(r *Report) *htmlDays {
	days, cut := replayedDays(r)
	if len(days) == 0 {
		return nil
	}
	at := map[string]int{}
	for i, d := range days {
		at[d] = i
	}
	per := (len(days) + htmlBars - 1) / htmlBars
	type stack struct{ pages, tickets int }
	stacks := make([]stack, (len(days)+per-1)/per)
	for _, d := range r.Days {
		if i, ok := at[d.Day]; ok {
			stacks[i/per].pages += d.Pages
			stacks[i/per].tickets += d.Tickets
		}
	}
	top := 1
	for _, s := range stacks {
		top = max(top, s.pages+s.tickets)
	}
	c := &htmlDays{Top: fmt.Sprint(top), Per: "day"}
	if per > 1 {
		c.Per = count(per, "day")
	}
	if cut {
		c.Per += " (the first 10,000 days only)"
	}
	slot := 100 / float64(len(stacks))
	width := min(slot*0.8, 6)
	for i, s := range stacks {
		page, ticket := 100*float64(s.pages)/float64(top), 100*float64(s.tickets)/float64(top)
		name := days[i*per]
		if last := days[min((i+1)*per, len(days))-1]; last != name {
			name += " to " + last
		}
		c.Bars = append(c.Bars, htmlBar{
			X: round2(slot*(float64(i)+0.5) - width/2), Width: round2(width),
			PageY: round2(100 - page), PageHeight: round2(page), TickY: round2(100 - page - ticket), TickHeight: round2(ticket),
			Title: fmt.Sprintf("%s: %s, %s", name, count(s.pages, "page"), count(s.tickets, "ticket")),
		})
	}
	c.Ticks = []string{days[0]}
	if len(stacks) > 2 {
		c.Ticks = append(c.Ticks, days[len(days)/2])
	}
	if len(days) > 1 {
		c.Ticks = append(c.Ticks, days[len(days)-1])
	}
	return c
}

// replayedDays are the days that a case touches or on which something was
// sent, in order; cut when there are too many to draw.
func replayedDays(r *Report) (days []string, cut bool) {
	const most, day = 10_000, 24 * time.Hour
	type span struct{ from, until time.Time }
	var spans []span
	for _, c := range r.Cases {
		if c.From.Before(c.Until) {
			spans = append(spans, span{c.From.UTC().Truncate(day), c.Until.UTC()})
		}
	}
	for _, d := range r.Days {
		if at, err := time.Parse(time.DateOnly, d.Day); err == nil {
			spans = append(spans, span{at, at.Add(day)})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.until.Compare(b.until)) })
	var next time.Time // the first day that is not there yet
	for _, s := range spans {
		for at := later(s.from, next); at.Before(s.until); at = at.Add(day) {
			if len(days) == most {
				return days, true
			}
			days = append(days, at.Format(time.DateOnly))
			next = at.Add(day)
		}
	}
	return days, false
}

// htmlService is a bar of the chart of services.
type htmlService struct {
	Name           string
	Pages, Tickets int
	PageWidth      float64 // percent of the widest bar
	TicketX        float64
	TicketWidth    float64
}

func htmlServicesOf(r *Report) ([]htmlService, string) {
	top := 1
	for _, s := range r.Services {
		top = max(top, s.Pages+s.Tickets)
	}
	var out []htmlService
	for _, s := range r.Services[:min(len(r.Services), htmlServices)] {
		page := round2(100 * float64(s.Pages) / float64(top))
		out = append(out, htmlService{Name: plot.Clip(or(s.Service, "(no service)"), htmlNameLength), Pages: s.Pages, Tickets: s.Tickets,
			PageWidth: page, TicketX: page, TicketWidth: round2(100 * float64(s.Tickets) / float64(top))})
	}
	return out, cutNote(len(r.Services), htmlServices, "services")
}

// htmlStrip is the time line of a case. Places are in thousandths of its span.
type htmlStrip struct {
	Name, From, To  string
	Text            string // for those who do not see the picture
	Labels, Ignored []htmlSpan
	Sent            []htmlMark
	Open            []htmlSpan // from when something was sent to when it was resolved
	Alerts          []htmlSpan
	Unseen          *htmlSpan // what was not replayed
	Dense           bool      // the marks are many
	Cut             bool
}

type htmlSpan struct {
	X, Width float64
	Class    string
	Title    string
}

type htmlMark struct {
	X           float64
	Class, Link string
	Title       string
}

func htmlStripsOf(r *Report, links map[htmlKey]string) ([]htmlStrip, string) {
	labels := map[string][]*IncidentGrade{}
	if r.Grades != nil {
		for i := range r.Grades.Incidents {
			g := &r.Grades.Incidents[i]
			labels[g.Case] = append(labels[g.Case], g)
		}
	}
	var out []htmlStrip
	for i := range r.Cases[:min(len(r.Cases), htmlStrips)] {
		out = append(out, newStrip(&r.Cases[i], labels[r.Cases[i].Name], links))
	}
	return out, cutNote(len(r.Cases), htmlStrips, "cases")
}

func newStrip(c *CaseReport, labels []*IncidentGrade, links map[htmlKey]string) htmlStrip {
	to := later(c.To, c.Until)
	whole := to.Sub(c.From).Seconds()
	place := func(t time.Time) float64 {
		if whole <= 0 {
			return 0
		}
		return round2(min(max(1000*t.Sub(c.From).Seconds()/whole, 0), 1000))
	}
	between := func(a time.Time, b *time.Time, class, title string) htmlSpan {
		end := c.Until
		if b != nil {
			end = *b
		}
		x := place(a)
		return htmlSpan{X: x, Width: round2(max(place(end)-x, 1.5)), Class: class, Title: title}
	}
	s := htmlStrip{Name: plot.Clip(or(c.Name, "(no name)"), htmlNameLength), From: c.From.UTC().Format(htmlShortLayout), To: to.UTC().Format(htmlShortLayout)}
	if to.Sub(c.From) > 300*24*time.Hour {
		s.From, s.To = c.From.UTC().Format(time.DateOnly), to.UTC().Format(time.DateOnly)
	}
	missed := 0
	for _, g := range labels {
		class, what := "hit", "sent"
		if !g.Hit {
			class, what = "missed", "missed"
			missed++
		}
		if len(s.Labels) < htmlMarks {
			s.Labels = append(s.Labels, between(g.Start, &g.End, class, fmt.Sprintf("labelled %s, %s to %s: %s", plot.Clip(g.Name, htmlNameLength), timeText(g.Start), timeText(g.End), what)))
		}
	}
	for _, u := range c.Uncounted[:min(len(c.Uncounted), htmlMarks)] {
		s.Ignored = append(s.Ignored, between(u.Start, &u.End, "", fmt.Sprintf("not counted: %s to %s", timeText(u.Start), timeText(u.End))))
	}
	for i := range c.Sent[:min(len(c.Sent), htmlMarks)] {
		x := &c.Sent[i]
		title := strings.TrimSuffix(fmt.Sprintf("%s %s %s, %s", timeText(x.Time), x.Severity, plot.Clip(x.Summary, htmlNameLength), or(x.Verdict, "")), ", ")
		s.Sent = append(s.Sent, htmlMark{X: place(x.Time), Class: verdictClass(x.Verdict), Link: links[keyOf(x)], Title: title})
		s.Open = append(s.Open, between(x.Time, x.Resolved, verdictClass(x.Verdict), ""))
	}
	for _, a := range c.Alerts[:min(len(c.Alerts), htmlMarks)] {
		s.Alerts = append(s.Alerts, between(a.Start, a.End, "", fmt.Sprintf("own alert %s, %s on", plot.Clip(a.Name, htmlNameLength), timeText(a.Start))))
	}
	if c.Until.Before(c.To) {
		u := between(c.Until, &c.To, "", "not replayed: "+plot.Clip(or(c.Partial, "the backtest ended"), htmlTextLength))
		s.Unseen = &u
	}
	s.Dense = len(c.Sent) > 40
	s.Cut = len(labels) > htmlMarks || len(c.Sent) > htmlMarks || len(c.Alerts) > htmlMarks || len(c.Uncounted) > htmlMarks
	s.Text = fmt.Sprintf("%d sent", len(c.Sent))
	if len(labels) > 0 {
		s.Text += fmt.Sprintf(", %d labelled, %d missed", len(labels), missed)
	}
	if s.Unseen != nil {
		s.Text += ", replayed in part"
	}
	if len(c.Alerts) > 0 {
		s.Text += ", " + count(len(c.Alerts), "own alert")
	}
	return s
}

// verdictClass is the class of a mark; only known words become one.
func verdictClass(verdict string) string {
	switch verdict {
	case "hit", "duplicate", "false":
		return verdict
	case "warm-up", "ignored":
		return "uncounted"
	}
	return "plain"
}
