package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
	"github.com/foreshock/foreshock/internal/topology"
)

// maxPlots bounds the plots of a page: each one is a request.
const maxPlots = 24

type incidentView struct {
	Act               string // address of the form that ends it; "" where nobody may
	ID, Link, JSON    string
	Class, Badge      string
	Open              bool
	Headline          string
	Reason            string // why the cause is the cause
	Confidence        string
	Since             time.Time
	SinceClock, Age   string
	Ended             string // when and why it was over
	Change            string // the suspected one
	ChangeBefore      string
	ChangeReason      string
	Rollback, Command string
	Harm              []string
	Suffer            string
	Owner, Runbook    string
	Hit               []hitRow
	Causes            []causeRow
	Guess             bool // no calls between the services are known
	Suspects, Cleared []changeRow
	Plots             []plotRow
	MorePlots         int
	NotPaged          []string
	Log               []noteRow
	Sent              []sentRow
	Sentence          string
	Lead              string // against the team's own alerts
}

// hitRow is one service on the timeline; X and Width are in percent of its length.
type hitRow struct {
	Name, Offset, Role, Class, What, Clock string
	X, Width                               float64
}

type causeRow struct {
	Name, Reason, Percent, Offset string
	Width                         float64
	First                         bool
}

type changeRow struct {
	What, Title, Clock, Before, Reason string
}

type plotRow struct {
	Rule, Series, Service, Signal, Text, Offset, Ended string
	Doubts                                             string
	Light, Dark, Alt                                   string
}

type noteRow struct{ Clock, Offset, Text string }

type sentRow struct {
	Severity, Clock string
	Labels          []pair
}

type pair struct{ Name, Value string }

func (s *server) pageIncident(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	inc := s.find(id)
	if inc == nil {
		s.pageError(w, http.StatusNotFound, errUnknownIncident(id))
		return
	}
	v := s.incidentView(inc, s.Now(), s.Status().Mode)
	f := frame{Title: v.Headline, Section: "incidents", Page: v}
	if v.Open {
		f.Refresh = refreshSeconds
	}
	s.render(w, http.StatusOK, "incident", f)
}

func (s *server) incidentView(inc *incident.Incident, now time.Time, mode Mode) incidentView {
	v := incidentView{
		ID: inc.ID, Link: "/incidents/" + pathEscape(inc.ID), JSON: "/api/v1/incidents/" + pathEscape(inc.ID),
		Open: inc.State != incident.Resolved, Headline: s.headline(inc),
		Since: inc.Onset, SinceClock: clock(now, inc.Onset), Age: lasted(inc, now),
		Suffer: s.sufferers(inc), Sentence: sentence(inc, mode),
	}
	if s.mayAct(inc) {
		v.Act = v.Link + "/act"
	}
	v.Class, v.Badge = badge(inc)
	v.Lead = lead(inc)
	if !v.Open {
		v.Ended = clock(now, inc.Resolved)
		if inc.Why != "" {
			v.Ended += ": " + plot.Clip(inc.Why, 300)
		}
	}
	for _, h := range inc.Harm {
		v.Harm = append(v.Harm, plot.Clip(h, 500))
	}
	if inc.Known && len(inc.Causes) > 0 {
		c := inc.Causes[0]
		v.Reason, v.Confidence = plot.Clip(c.Reason, 1000), percent(c.Confidence)
		v.Owner, v.Runbook = s.ownership(c.Service)
	}
	if c := suspect(inc); c != nil {
		v.Change, v.ChangeBefore, v.ChangeReason = s.describe(c.Change), before(inc, c.Change), plot.Clip(c.Reason, 500)
	}
	if r := inc.Rollback; r != nil && v.Open {
		v.Rollback, v.Command = sentenceCase(plot.Clip(r.Text, 300)), plot.Clip(r.Command, 2000)
	}
	v.Hit = s.hitRows(inc, now)
	v.Causes, v.Guess = s.causeRows(inc), inc.Guess
	for _, c := range inc.Changes {
		row := changeRow{What: s.describe(c.Change), Title: plot.Clip(c.Title, 300), Clock: clock(now, c.Time), Before: before(inc, c.Change), Reason: plot.Clip(c.Reason, 500)}
		if c.Suspect {
			v.Suspects = append(v.Suspects, row)
		} else {
			v.Cleared = append(v.Cleared, row)
		}
	}
	v.Plots, v.MorePlots = s.plotRows(inc, now)
	for _, n := range inc.NotPaged {
		v.NotPaged = append(v.NotPaged, plot.Clip(n, 500))
	}
	for _, n := range inc.Log {
		v.Log = append(v.Log, noteRow{Clock: clock(now, n.Time), Offset: offset(n.Time.Sub(inc.Onset)), Text: plot.Clip(n.Text, 1000)})
	}
	for _, a := range inc.Sent {
		v.Sent = append(v.Sent, sentRow{Severity: string(a.Severity), Clock: clock(now, a.Time), Labels: pairs(a.Labels)})
	}
	return v
}

// sufferers names entries first, since their users are people, then the others.
func (s *server) sufferers(inc *incident.Incident) string {
	entries := s.entries()
	var first, rest []string
	for _, e := range inc.Effects {
		if entries[e.Service] {
			first = append(first, s.name(e.Service))
		} else {
			rest = append(rest, s.name(e.Service))
		}
	}
	return enumerate(append(first, rest...), 5)
}

// hitRows lists services in the order in which they were hit.
func (s *server) hitRows(inc *incident.Incident, now time.Time) []hitRow {
	type hit struct {
		service topology.Service
		onset   time.Time
		what    string
		role    string
	}
	byService := map[topology.Service]*hit{}
	note := func(svc topology.Service, onset time.Time, role, what string) {
		if onset.IsZero() {
			onset = inc.Onset
		}
		h := byService[svc]
		if h == nil {
			byService[svc] = &hit{service: svc, onset: onset, role: role, what: what}
			return
		}
		if onset.Before(h.onset) {
			h.onset = onset
		}
	}
	if inc.Known && len(inc.Causes) > 0 {
		c := inc.Causes[0]
		what := ""
		for i := range inc.Anomalies {
			if inc.Anomalies[i].Service == c.Service {
				what = s.anomalyText(&inc.Anomalies[i])
				break
			}
		}
		note(c.Service, c.Onset, "cause", what)
	}
	for _, e := range inc.Effects {
		note(e.Service, e.Onset, "effect", e.What)
	}
	for i := range inc.Anomalies {
		a := &inc.Anomalies[i]
		note(a.Service, a.Onset, "involved", s.anomalyText(a))
	}
	hits := make([]*hit, 0, len(byService))
	for _, h := range byService {
		hits = append(hits, h)
	}
	sort.Slice(hits, func(i, j int) bool {
		if !hits[i].onset.Equal(hits[j].onset) {
			return hits[i].onset.Before(hits[j].onset)
		}
		if (hits[i].role == "cause") != (hits[j].role == "cause") {
			return hits[i].role == "cause"
		}
		return hits[i].service < hits[j].service
	})
	begin, end := inc.Onset, s.ended(inc, now)
	if len(hits) > 0 && hits[0].onset.Before(begin) {
		begin = hits[0].onset
	}
	rows := make([]hitRow, 0, len(hits))
	for _, h := range hits {
		x := share(h.onset.Sub(begin), end.Sub(begin))
		rows = append(rows, hitRow{Name: s.name(h.service), Offset: offset(h.onset.Sub(inc.Onset)), Role: h.role, Class: h.role,
			What: plot.Clip(h.what, 400), Clock: clock(now, h.onset), X: x, Width: 100 - x})
	}
	return rows
}

// ended is where the timeline stops: now while the incident is open. A timeline
// that ends long after the last service was hit would squeeze all onsets into
// its first pixels, so it ends soon after that one.
func (s *server) ended(inc *incident.Incident, now time.Time) time.Time {
	end := now
	if inc.State == incident.Resolved && !inc.Resolved.IsZero() {
		end = inc.Resolved
	}
	last := inc.Onset
	for _, e := range inc.Effects {
		if e.Onset.After(last) {
			last = e.Onset
		}
	}
	for i := range inc.Anomalies {
		if t := inc.Anomalies[i].Onset; t.After(last) {
			last = t
		}
	}
	if most := inc.Onset.Add(2*last.Sub(inc.Onset) + 10*time.Second); most.Before(end) {
		end = most
	}
	return end
}

// share is part of whole in percent, between 0 and 98 so that a bar stays visible.
func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Round(1000*min(max(float64(part)/float64(whole), 0), 0.98)) / 10
}

func (s *server) causeRows(inc *incident.Incident) []causeRow {
	rows := make([]causeRow, 0, len(inc.Causes))
	for i, c := range inc.Causes {
		row := causeRow{Name: s.name(c.Service), Reason: plot.Clip(c.Reason, 1000), Percent: percent(c.Confidence), First: i == 0 && inc.Known}
		if f := c.Confidence; f > 0 && f <= 1 {
			row.Width = math.Round(f * 100)
		}
		if !c.Onset.IsZero() {
			row.Offset = offset(c.Onset.Sub(inc.Onset))
		}
		rows = append(rows, row)
	}
	return rows
}

func (s *server) plotRows(inc *incident.Incident, now time.Time) (rows []plotRow, more int) {
	for i := range inc.Anomalies {
		if i == maxPlots {
			return rows, len(inc.Anomalies) - maxPlots
		}
		a := &inc.Anomalies[i]
		base := s.link("/incidents/" + pathEscape(inc.ID) + "/plot.svg?")
		address := func(theme string) string {
			return base + url.Values{"rule": {a.Rule}, "series": {a.Series}, "theme": {theme}}.Encode()
		}
		row := plotRow{Rule: plot.Clip(a.Rule, 100), Series: plot.Clip(a.Series, 300), Service: s.name(a.Service), Signal: plot.Clip(string(a.Signal), 40),
			Text: s.anomalyText(a), Offset: offset(a.Onset.Sub(inc.Onset)), Doubts: plot.Clip(strings.Join(a.Doubts, ", "), 300),
			Light: address("light"), Dark: address("dark")}
		if !a.End.IsZero() {
			row.Ended = clock(now, a.End)
		}
		row.Alt = plot.Clip(fmt.Sprintf("%s of %s over time: %s, from %s on", a.Rule, row.Service, row.Text, clock(now, a.Onset)), 400)
		rows = append(rows, row)
	}
	return rows, 0
}

// anomalyText is an anomaly in numbers: "latency 1.4 s, expected 120 ms, score 6.1".
func (s *server) anomalyText(a *incident.Anomaly) string {
	name := s.unitName(a)
	what := plot.Clip(string(a.Signal), 40)
	if what == "" {
		what = plot.Clip(a.Rule, 60)
	}
	text := what + " " + plot.UnitFor(name, a.Value).Format(a.Value)
	if !math.IsNaN(a.Expected) {
		text += ", expected " + plot.UnitFor(name, a.Expected).Format(a.Expected)
	}
	if !math.IsNaN(a.Score) {
		text += ", score " + plot.Significant(a.Score)
	}
	if limit := a.Forecast(); limit != "" {
		text += ", " + limit
	}
	return text
}

// sentenceCase begins a text with a capital letter.
func sentenceCase(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// percent shows a confidence.
func percent(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*f)
}

// pairs are labels in the order of their names, cut to a readable length.
func pairs(m map[string]string) []pair {
	list := make([]pair, 0, len(m))
	for k, v := range m {
		list = append(list, pair{plot.Clip(k, 100), plot.Clip(v, 300)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
