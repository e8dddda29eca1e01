package backtest

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/foreshock/foreshock/internal/plot"
)

//go:embed html.tmpl
var htmlTemplate string

//go:embed html.css
var htmlStyle string

// What the HTML report shows at most; the JSON report has everything.
const (
	htmlRows        = 500 // of a table
	htmlStrips      = 200 // cases with a time line
	htmlMarks       = 300 // of one kind on a time line
	htmlBars        = 90  // of the chart of days
	htmlServices    = 20  // of the chart of services
	htmlPlotted     = 60  // incidents with plots
	htmlPlots       = 3   // per incident
	htmlPlotPoints  = 160 // per plot
	htmlNames       = 12  // causes, effects or rules of one incident
	htmlTextLength  = 400 // of a text, in characters
	htmlNameLength  = 120 // of a name
	htmlNotes       = 50
	htmlTimeLayout  = "2006-01-02 15:04:05"
	htmlShortLayout = "2 Jan 15:04"
)

// htmlPage is the report as the template needs it: texts and places, no arithmetic.
type htmlPage struct {
	Style       template.CSS
	Title       string // of the document
	Config      string
	Facts       []htmlFact
	Partial     []string
	Notes       []string
	Tiles       []htmlTile
	Compared    string
	Days        *htmlDays
	Services    []htmlService
	ServicesCut string
	Strips      []htmlStrip
	StripsCut   string
	Labelled    bool
	Grades      []htmlGrade
	GradesCut   string
	Alarms      []htmlAlarms
	Incidents   []htmlIncident
	IncidentCut string
	Missed      string
	Changes     bool // are graded
	Sent        []htmlSent
	SentCut     string
	PlotsCut    string
	Cases       bool // more than one
	Rules       []htmlRule
	RulesCut    string
	RulesOdd    string
	RulesCost   string
	Comparison  *htmlComparison
}

// htmlFact is a line of the head.
type htmlFact struct{ Name, Value string }

// WriteHTML writes the report as one self-contained page: no scripts, nothing
// loaded from elsewhere, plots inside. The same report gives the same bytes. Long
// tables are cut and say so; all times are in UTC.
func WriteHTML(w io.Writer, r *Report) error {
	t, err := template.New("report").Parse(htmlTemplate)
	if err != nil {
		return fmt.Errorf("HTML report: %w", err)
	}
	page, err := newHTMLPage(r)
	if err != nil {
		return fmt.Errorf("HTML report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, page); err != nil {
		return fmt.Errorf("HTML report: %w", err)
	}
	// A page without control characters is readable by strict readers as well.
	if _, err := io.WriteString(w, plot.XMLText(b.String())); err != nil {
		return fmt.Errorf("HTML report: %w", err)
	}
	return nil
}

func newHTMLPage(r *Report) (*htmlPage, error) {
	sent := htmlOrder(r)
	links := map[htmlKey]string{}
	for i := range sent[:min(len(sent), htmlRows)] {
		links[keyOf(sent[i])] = fmt.Sprintf("sent-%d", i+1)
	}
	p := &htmlPage{
		Style: template.CSS(htmlStyle), Title: "Backtest of " + plot.Clip(or(r.Config, "a configuration"), htmlNameLength), Config: plot.Clip(or(r.Config, "Backtest"), htmlNameLength),
		Facts: htmlFacts(r), Partial: htmlPartial(r), Tiles: htmlTiles(r), Labelled: r.Grades != nil,
		Days: newHTMLDays(r), Cases: len(r.Cases) > 1,
	}
	p.Notes = htmlNotesOf(r)
	p.Services, p.ServicesCut = htmlServicesOf(r)
	p.Strips, p.StripsCut = htmlStripsOf(r, links)
	if r.Grades != nil {
		p.Grades, p.GradesCut = htmlGradesOf(r.Grades)
		p.Alarms = htmlAlarmsOf(r.Grades)
		p.Incidents, p.IncidentCut = htmlIncidentsOf(r.Grades, links)
		p.Missed = htmlMissed(r.Grades)
		p.Changes = slices.ContainsFunc(r.Grades.Incidents, func(g IncidentGrade) bool { return g.ChangeVerdict != "" })
	}
	var err error
	if p.Sent, err = htmlSentOf(sent, r.Grades != nil); err != nil {
		return nil, err
	}
	p.SentCut = cutNote(len(sent), htmlRows, "incidents")
	if len(sent) > htmlPlotted {
		p.PlotsCut = fmt.Sprintf("%d incidents have plots: what counts first, in order of time.", htmlPlotted)
	}
	p.Rules, p.RulesCut = htmlRulesOf(r.Rules)
	p.RulesOdd, p.RulesCost = htmlOdd(r.Rules), htmlCost(r.Rules)
	if r.Comparison != nil {
		p.Comparison = newHTMLComparison(r)
		p.Compared = p.Comparison.Line
	}
	return p, nil
}

// htmlKey finds again what was sent, also in a report that was read from JSON.
type htmlKey struct {
	name    string
	at      time.Time
	summary string
}

func keyOf(s *Sent) htmlKey { return htmlKey{s.Case, s.Time.UTC(), s.Summary} }

func htmlFacts(r *Report) []htmlFact {
	var facts []htmlFact
	switch len(r.Cases) {
	case 0:
		return append(facts, htmlFact{"Span", "nothing was replayed"})
	case 1:
		c := &r.Cases[0]
		facts = append(facts, htmlFact{"Case", plot.Clip(or(c.Name, "–"), htmlNameLength)})
	default:
		facts = append(facts, htmlFact{"Cases", strconv.Itoa(len(r.Cases))})
	}
	from, until := r.Cases[0].From, r.Cases[0].From
	for _, c := range r.Cases {
		from, until = earlier(from, c.From), later(later(until, c.Until), c.From)
	}
	return append(facts, htmlFact{"Span", fmt.Sprintf("%s to %s UTC, %s replayed", from.UTC().Format("2006-01-02 15:04"), until.UTC().Format("2006-01-02 15:04"), daysText(r.Summary.Days))})
}

// htmlPartial says why the report is not whole.
func htmlPartial(r *Report) []string {
	var out []string
	if r.Partial != "" {
		out = append(out, plot.Clip(r.Partial, htmlTextLength))
	}
	for _, c := range r.Cases {
		if c.Partial == "" || c.Partial == r.Partial {
			continue
		}
		if len(out) == htmlNotes {
			return append(out, "Further cases are partial as well: the JSON report names them.")
		}
		out = append(out, fmt.Sprintf("%s: %s (replayed until %s of %s UTC)", plot.Clip(or(c.Name, "the case"), htmlNameLength), plot.Clip(c.Partial, htmlTextLength),
			c.Until.UTC().Format(htmlTimeLayout), c.To.UTC().Format(htmlTimeLayout)))
	}
	return out
}

func htmlNotesOf(r *Report) []string {
	var out []string
	for _, c := range r.Cases {
		for _, n := range c.Notes {
			if len(out) == htmlNotes {
				return append(out, "There are more notes in the JSON report.")
			}
			text := plot.Clip(n, htmlTextLength)
			if len(r.Cases) > 1 {
				text = plot.Clip(c.Name, htmlNameLength) + ": " + text
			}
			out = append(out, text)
		}
	}
	return out
}
