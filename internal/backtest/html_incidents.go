package backtest

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// htmlIncident is what became of one labelled incident.
type htmlIncident struct {
	Name, Case, Fault string
	Start, Lasted     string
	Hit               bool
	Outcome           string
	Link              string // of what was sent first
	First             string
	Delay, Lead       string
	Truth, Named      string
	CauseClass        string // good, half, bad or ""
	CauseText         string
	Change            string
	ChangeText        string
	ChangeClass       string
}

func htmlIncidentsOf(g *Grades, links map[htmlKey]string) ([]htmlIncident, string) {
	var out []htmlIncident
	for i := range g.Incidents[:min(len(g.Incidents), htmlRows)] {
		out = append(out, newHTMLIncident(&g.Incidents[i], links))
	}
	return out, cutNote(len(g.Incidents), htmlRows, "labelled incidents")
}

func newHTMLIncident(g *IncidentGrade, links map[htmlKey]string) htmlIncident {
	x := htmlIncident{
		Name: plot.Clip(or(g.Name, "(no name)"), htmlNameLength), Case: plot.Clip(g.Case, htmlNameLength), Fault: plot.Clip(g.Fault, htmlNameLength),
		Start: timeText(g.Start), Lasted: durationText(g.End.Sub(g.Start)), Hit: g.Hit, Outcome: "missed", Delay: none, Lead: leadText(g.OwnLead),
		Truth: joinNames(g.Causes, htmlNames), Named: none,
	}
	x.Change, x.ChangeText, x.ChangeClass = htmlChange(g)
	if len(g.Causes) == 0 {
		x.Truth = "none inside"
	}
	if !g.Hit {
		if g.OwnAlert != nil {
			x.Lead = "own alert only"
		}
		return x
	}
	x.Outcome = "sent"
	if g.Sent > 1 {
		x.Outcome = fmt.Sprintf("sent %d×", g.Sent)
	}
	if g.First == nil {
		return x
	}
	x.Link, x.First = links[keyOf(g.First)], plot.Clip(g.First.Summary, htmlNameLength)
	x.Delay = durationText(max(g.First.Time.Sub(g.Start), 0))
	if len(g.First.Causes) > 0 {
		x.Named = joinNames(g.First.Causes[:1], 1)
	}
	switch {
	case len(g.Causes) == 0:
	case g.Rank == 1:
		x.CauseClass, x.CauseText = "good", "right"
	case g.Rank > 1:
		x.CauseClass, x.CauseText = "half", fmt.Sprintf("in place %d", g.Rank)
	default:
		x.CauseClass, x.CauseText = "bad", "wrong"
	}
	if !g.First.Known && x.Named != none {
		x.Named += " (not sure)"
	}
	return x
}

// htmlChange says whether the right change was blamed.
func htmlChange(g *IncidentGrade) (id, text, class string) {
	id = "to blame: " + plot.Clip(or(changeText(g.First, g.Change), "none"), htmlNameLength)
	said := ""
	if g.First != nil {
		said = plot.Clip(changeText(g.First, g.First.Change), htmlNameLength)
	}
	switch g.ChangeVerdict {
	case "":
		return "", none, ""
	case "right":
		return id, "right", "good"
	case "release":
		return id, "its release " + said, "good"
	case "innocent", "wrong":
		return id, "innocent blamed: " + said, "bad"
	case "missed":
		return id, none, ""
	case "none":
		return id, "not named", "half"
	}
	return id, plot.Clip(g.ChangeVerdict, htmlNameLength), ""
}

// changeText says in words which change has the id, where what was sent lists
// it; else it is the id.
func changeText(s *Sent, id string) string {
	if s == nil || s.Last == nil || id == "" {
		return id
	}
	for k := range s.Last.Changes {
		if c := &s.Last.Changes[k]; c.ID == id {
			return c.Text()
		}
	}
	return id
}

// htmlMissed sums up what was missed; "" when nothing was.
func htmlMissed(g *Grades) string {
	var names []string
	own := 0
	for i := range g.Incidents {
		if x := &g.Incidents[i]; !x.Hit {
			names = append(names, or(x.Name, "(no name)"))
			if x.OwnAlert != nil {
				own++
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d missed: %s", len(names), len(g.Incidents), joinNames(names, 5))
	if own > 0 {
		text += fmt.Sprintf("; %d of them had one of the team's own alerts", own)
	}
	return text + "."
}

// htmlSent is one incident that was sent.
type htmlSent struct {
	ID                      string
	Time, Case              string
	Severity, SeverityClass string
	Verdict, VerdictClass   string
	Summary                 string
	Facts                   []htmlFact
	Plots                   []htmlPlot
	NoPlots                 string
}

// htmlPlot is the picture of one series.
type htmlPlot struct {
	Rule, Series, Text string
	SVG                template.HTML
}

// htmlOrder is all that was sent, by time, then case.
func htmlOrder(r *Report) []*Sent {
	var all []*Sent
	for i := range r.Cases {
		for k := range r.Cases[i].Sent {
			all = append(all, &r.Cases[i].Sent[k])
		}
	}
	slices.SortStableFunc(all, func(a, b *Sent) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Case, b.Case)) })
	return all
}

func htmlSentOf(all []*Sent, labelled bool) ([]htmlSent, error) {
	var out []htmlSent
	plotted := htmlPlottedOf(all)
	for i, s := range all[:min(len(all), htmlRows)] {
		x := htmlSent{
			ID: fmt.Sprintf("sent-%d", i+1), Time: timeText(s.Time), Case: plot.Clip(s.Case, htmlNameLength),
			Severity: plot.Clip(or(s.Severity, "sent"), 20), SeverityClass: "ticket", Summary: plot.Clip(or(s.Summary, "(no summary)"), htmlTextLength),
			Facts: sentFacts(s),
		}
		if s.Severity == string(incident.Page) {
			x.SeverityClass = "page"
		}
		if labelled {
			x.Verdict, x.VerdictClass = plot.Clip(or(s.Verdict, "not graded"), 40), verdictClass(s.Verdict)
		}
		if plotted[i] {
			var err error
			if x.Plots, x.NoPlots, err = htmlPlotsOf(s.Last); err != nil {
				return nil, fmt.Errorf("plots of %q: %w", plot.Clip(s.Summary, htmlNameLength), err)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// htmlPlottedOf chooses the places of those that get plots: first what counts,
// then duplicates, then what was sent in the warm-up or in ignored spans.
func htmlPlottedOf(all []*Sent) map[int]bool {
	chosen := map[int]bool{}
	for _, wanted := range []func(class string) bool{
		func(class string) bool { return class != "duplicate" && class != "uncounted" },
		func(class string) bool { return class == "duplicate" },
		func(class string) bool { return class == "uncounted" },
	} {
		for i, s := range all[:min(len(all), htmlRows)] {
			if len(chosen) == htmlPlotted {
				return chosen
			}
			if s.Last != nil && wanted(verdictClass(s.Verdict)) {
				chosen[i] = true
			}
		}
	}
	return chosen
}

func sentFacts(s *Sent) []htmlFact {
	named := slices.Clone(s.Causes)
	if len(named) > 0 && s.Confidence > 0 {
		share := s.Confidence
		named[0] = plot.Clip(named[0], htmlNameLength-20) + " (confidence " + percentOf(&share) + ")"
	}
	cause := joinNames(named, htmlNames)
	switch {
	case len(s.Causes) == 0:
		cause = "not known"
	case !s.Known:
		cause = "not known for sure; candidates: " + cause
	}
	facts := []htmlFact{{"Cause", cause}, {"Effects", or(joinNames(s.Effects, htmlNames), "none")},
		{"Change", plot.Clip(or(changeText(s, s.Change), "none blamed"), htmlNameLength)}, {"Rules", or(joinNames(s.Rules, htmlNames), none)}}
	if !s.Onset.IsZero() {
		facts = append(facts, htmlFact{"Onset", timeText(s.Onset) + ", sent " + durationText(s.Time.Sub(s.Onset)) + " after it"})
	}
	if s.PagedAt != nil && s.PagedAt.After(s.Time) {
		facts = append(facts, htmlFact{"Page", "from " + timeText(*s.PagedAt) + " on, a ticket before"})
	}
	if s.Resolved != nil {
		facts = append(facts, htmlFact{"Resolved", timeText(*s.Resolved) + ", after " + durationText(s.Resolved.Sub(s.Time))})
	} else {
		facts = append(facts, htmlFact{"Resolved", "open at the end"})
	}
	if s.OwnAlert != nil {
		lead := s.OwnAlert.Sub(s.Time).Seconds()
		text := timeText(*s.OwnAlert)
		switch {
		case lead > 0:
			text += ": sent " + secondsText(&lead) + " before it"
		case lead < 0:
			text += ": sent " + durationText(s.Time.Sub(*s.OwnAlert)) + " after it"
		default:
			text += ": sent at the same time"
		}
		facts = append(facts, htmlFact{"First own alert", text})
	}
	if s.Incident != "" {
		facts = append(facts, htmlFact{"Belongs to", plot.Clip(s.Incident, htmlNameLength)})
	}
	return facts
}

// htmlPlotsOf draws the series that left their normal first.
func htmlPlotsOf(i *incident.Incident) (plots []htmlPlot, missing string, err error) {
	if i == nil {
		return nil, "", nil
	}
	for k := range i.Anomalies {
		if len(plots) == htmlPlots {
			break
		}
		a := &i.Anomalies[k]
		unit := unitOf(a)
		name := a.Rule + " " + a.Series
		svg, err := plot.Draw(plot.Options{Points: a.Trail, Onset: a.Onset, End: a.End, Unit: unit, Title: plot.Clip(name, 200), Theme: plot.Page, MaxPoints: htmlPlotPoints})
		if errors.Is(err, plot.ErrNoPoints) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		text := plot.UnitFor(unit, a.Value).Format(a.Value)
		if !math.IsNaN(a.Expected) {
			text += ", expected " + plot.UnitFor(unit, a.Expected).Format(a.Expected)
		}
		if !math.IsNaN(a.Score) {
			text += ", score " + plot.Significant(a.Score)
		}
		plots = append(plots, htmlPlot{Rule: plot.Clip(a.Rule, htmlNameLength), Series: plot.Clip(a.Series, htmlNameLength), Text: text, SVG: template.HTML(svg)})
	}
	if n := len(i.Anomalies) - len(plots); n > 0 && len(plots) > 0 {
		missing = fmt.Sprintf("%d further series without plot.", n)
	}
	return plots, missing, nil
}

// unitOf is the unit of an anomaly's values: its own, or else its signal's.
func unitOf(a *incident.Anomaly) string {
	switch {
	case a.Unit != "":
		return a.Unit
	case a.Signal == incident.Latency:
		return "seconds"
	case a.Signal == incident.Traffic:
		return "/s"
	}
	return ""
}
