package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// refreshSeconds is how often pages that change by themselves are loaded anew.
const refreshSeconds = 15

// maxListed bounds the resolved incidents on the first page; the API has all.
const maxListed = 100

type incidentsView struct {
	Open     []incidentRow
	Resolved []incidentRow
	More     int // resolved ones that are not shown
	Watch    watchView
	Progress string
	Percent  int // of the cold start; -1: not known
	NotReady string
}

// watchView says what the silence is worth: who watches what.
type watchView struct {
	Rules, Series, Failing, TargetsDown int
	AlertsUnread                        bool
}

type incidentRow struct {
	ID, Link       string
	Class, Badge   string
	Headline, Line string // what fails, why
	Change         string
	Effects        string
	Harm           string
	Age            string // "6 min", or how long it lasted
	Since          time.Time
	SinceClock     string
	Sent           string
}

func (s *server) pageIncidents(w http.ResponseWriter, _ *http.Request) {
	now := s.Now()
	st := s.Status()
	v := incidentsView{Watch: s.watch(st), Progress: st.Progress, Percent: -1}
	if f := st.Fraction; f >= 0 && f <= 1 {
		v.Percent = int(f * 100)
	}
	if ok, reason := s.Ready(); !ok && st.Progress == "" {
		v.NotReady = reason
	}
	for _, inc := range s.Incidents() {
		switch {
		case inc.State != incident.Resolved:
			v.Open = append(v.Open, s.incidentRow(inc, now, st.Mode))
		case len(v.Resolved) < maxListed:
			v.Resolved = append(v.Resolved, s.incidentRow(inc, now, st.Mode))
		default:
			v.More++
		}
	}
	title := "No incident"
	if n := len(v.Open); n > 0 {
		title = plural(n, "open incident")
	}
	s.render(w, http.StatusOK, "incidents", frame{Title: title, Section: "incidents", Refresh: refreshSeconds, Page: v})
}

func (s *server) watch(st Status) watchView {
	v := watchView{AlertsUnread: st.AlertsUnread}
	for _, g := range s.Rules() {
		for i := range g.Rules {
			r := &g.Rules[i]
			if r.Kind == Detect {
				v.Rules++
				v.Series += r.Series
			}
			if r.Health == HealthErr {
				v.Failing++
			}
		}
	}
	for _, p := range s.Targets() {
		for _, t := range p.Targets {
			if t.Health == HealthDown {
				v.TargetsDown++
			}
		}
	}
	return v
}

func (s *server) incidentRow(inc *incident.Incident, now time.Time, mode Mode) incidentRow {
	row := incidentRow{
		ID: plot.Clip(inc.ID, 60), Link: "/incidents/" + pathEscape(inc.ID),
		Headline: s.headline(inc), Since: inc.Onset, SinceClock: clock(now, inc.Onset),
		Age: lasted(inc, now), Sent: sentence(inc, mode),
	}
	row.Class, row.Badge = badge(inc)
	if len(inc.Causes) > 0 && inc.Known {
		row.Line = plot.Clip(inc.Causes[0].Reason, 240)
	}
	if c := suspect(inc); c != nil {
		row.Change = s.describe(c.Change) + ", " + before(inc, c.Change)
	}
	row.Effects = s.effectNames(inc, 3)
	if len(inc.Harm) > 0 {
		row.Harm = plot.Clip(inc.Harm[0], 240)
	}
	return row
}

// badge is the incident's most important word and its CSS class.
func badge(inc *incident.Incident) (class, text string) {
	switch {
	case inc.State == incident.Resolved:
		return "resolved", "resolved"
	case inc.State == incident.Forming:
		return "forming", "forming"
	case inc.Severity == incident.Page:
		return "page", "page"
	case inc.Severity == incident.Ticket:
		return "ticket", "ticket"
	}
	return "forming", "open"
}

// lasted is how long an incident has been going on, or went on.
func lasted(inc *incident.Incident, now time.Time) string {
	if inc.State == incident.Resolved && !inc.Resolved.IsZero() {
		now = inc.Resolved
	}
	if inc.Onset.IsZero() || now.Before(inc.Onset) {
		return "0 s"
	}
	return span(now.Sub(inc.Onset))
}

// headline says what fails first, in a few words.
func (s *server) headline(inc *incident.Incident) string {
	past := inc.State == incident.Resolved
	if inc.Known && len(inc.Causes) > 0 {
		name := s.name(inc.Causes[0].Service)
		alone := !slices.ContainsFunc(inc.Effects, func(e incident.Effect) bool { return e.Suffers })
		switch {
		case alone && past:
			return name + " was in trouble"
		case alone:
			return name + " is in trouble"
		case past:
			return name + " failed first"
		}
		return name + " fails first"
	}
	switch suffer := s.effectNames(inc, 3); {
	case suffer == "":
		return "Cause not known"
	case past:
		return "Cause not known: " + suffer + " suffered"
	case len(inc.Effects) == 1:
		return "Cause not known: " + suffer + " suffers"
	default:
		return "Cause not known: " + suffer + " suffer"
	}
}

// sentence says what was sent, or in shadow mode what would have been.
func sentence(inc *incident.Incident, mode Mode) string {
	var kinds []string
	for _, v := range inc.Sent {
		kinds = append(kinds, plot.Clip(string(v.Severity), 40))
	}
	if len(kinds) == 0 && inc.Severity != incident.None && mode == Shadow {
		kinds = append(kinds, string(inc.Severity))
	}
	switch {
	case len(kinds) == 0 && inc.State == incident.Forming:
		return "Nothing was decided yet"
	case len(kinds) == 0:
		return "Nothing was sent"
	}
	what := "A " + strings.Join(kinds, ", then a ")
	if mode == Shadow {
		return what + " would have been sent"
	}
	return what + " was sent"
}

// lead says how much earlier an incident was told than the first alert of the
// team's own; empty where there is none.
func lead(inc *incident.Incident) string {
	switch d, ok := inc.Lead(); {
	case !ok:
		return ""
	case d >= time.Second:
		return span(d) + " before the first of your own alerts"
	case d <= -time.Second:
		return span(-d) + " after the first of your own alerts"
	}
	return "Together with the first of your own alerts"
}

// suspect returns the first suspected change, or nil.
func suspect(inc *incident.Incident) *incident.Attribution {
	for i := range inc.Changes {
		if inc.Changes[i].Suspect {
			return &inc.Changes[i]
		}
	}
	return nil
}

// describe says a change in a few words: "deploy of payments, 1.4.2 → 1.5.0".
func (s *server) describe(c change.Change) string {
	kind := c.Kind
	if kind == "" {
		kind = "change"
	}
	text := plot.Clip(kind, 40)
	if c.Service != "" {
		text += " of " + s.name(c.Service)
	}
	switch {
	case c.From != "" && c.To != "":
		text += ", " + plot.Clip(c.From, 60) + " → " + plot.Clip(c.To, 60)
	case c.To != "":
		text += ", " + plot.Clip(c.To, 60)
	case c.Title != "":
		text += ": " + plot.Clip(c.Title, 120)
	}
	return text
}

// knownTo is how well the times of changes and onsets are known: to a step or two.
const knownTo = 30 * time.Second

// before is how a change lies to the onset.
func before(inc *incident.Incident, c change.Change) string {
	d := inc.Onset.Sub(c.Time)
	switch {
	case c.Until.After(inc.Onset) && d >= 0:
		return "the first sign came " + span(d) + " into it"
	case !c.Until.IsZero() && d >= 0:
		return "over " + span(inc.Onset.Sub(c.Until)) + " before the first sign"
	case d < 0 && d > -knownTo:
		return "just when it began"
	case d < 0:
		return span(-d) + " after the first sign"
	}
	return span(d) + " before the first sign"
}

func (s *server) effectNames(inc *incident.Incident, most int) string {
	names := make([]string, 0, len(inc.Effects))
	for _, e := range inc.Effects {
		names = append(names, s.name(e.Service))
	}
	return enumerate(names, most)
}
