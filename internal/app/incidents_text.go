package app

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
)

// shownIncident is what the texts need of an incident of the API.
type shownIncident struct {
	ID       string    `json:"id"`
	URL      string    `json:"url"`
	State    string    `json:"state"`
	Severity string    `json:"severity"`
	Onset    time.Time `json:"onset"`
	Opened   time.Time `json:"opened"`
	Resolved time.Time `json:"resolved"`
	Why      string    `json:"why"`
	Known    bool      `json:"known"`
	Causes   []struct {
		Service    string  `json:"service"`
		Confidence float64 `json:"confidence"`
	} `json:"causes"`
	Effects []struct {
		Service string `json:"service"`
	} `json:"effects"`
	Changes []struct {
		Kind, Service, From, To, Title string
		Suspect                        bool
	} `json:"changes"`
	Lead        *float64          `json:"lead_seconds"`
	Annotations map[string]string `json:"annotations"`
}

// writeIncidents writes a table, newest first, and what it comes to.
func writeIncidents(o IncidentsOptions, mode string, list []shownIncident) error {
	slices.SortStableFunc(list, func(a, b shownIncident) int {
		return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(a.ID, b.ID))
	})
	var b bytes.Buffer
	if len(list) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "OPENED (UTC)\tSEVERITY\tSTATE\tCAUSE\tCHANGE\tEFFECTS\tLEAD\tINCIDENT")
		for i := range list {
			fmt.Fprintln(w, list[i].row(o.Now))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	b.WriteString(summary(o, mode, list) + "\n")
	// Of rows without the last columns nothing is left at the end.
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(o.Out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func (i *shownIncident) row(now time.Time) string {
	state := "open for " + short(now.Sub(i.Opened))
	if i.State == "resolved" {
		state = "lasted " + short(i.Resolved.Sub(i.Opened))
	}
	change := "-"
	for _, c := range i.Changes {
		if c.Suspect {
			change = clean(cmp.Or(c.Kind, "change") + " of " + c.Service + " " + cmp.Or(c.To, c.Title))
			break
		}
	}
	lead := "-"
	if i.Lead != nil {
		lead = signed(*i.Lead)
	}
	return strings.Join([]string{
		i.Opened.UTC().Format("2006-01-02 15:04:05"), clean(i.Severity), state, clean(i.cause()), strings.TrimSpace(change),
		fmt.Sprint(len(i.Effects)), lead, clean(i.ID),
	}, "\t")
}

func (i *shownIncident) cause() string {
	switch {
	case len(i.Causes) == 0:
		return "not known"
	case !i.Known:
		return "not known (" + i.Causes[0].Service + "?)"
	}
	return fmt.Sprintf("%s %.0f%%", i.Causes[0].Service, 100*i.Causes[0].Confidence)
}

// summary is one line of what a list comes to.
func summary(o IncidentsOptions, mode string, list []shownIncident) string {
	span := " since " + o.Since.UTC().Format("2006-01-02 15:04")
	if len(list) == 0 {
		return "No incident" + span + "."
	}
	pages := 0
	var leads []float64
	for _, i := range list {
		if i.Severity == "page" {
			pages++
		}
		if i.Lead != nil {
			leads = append(leads, *i.Lead)
		}
	}
	sent := "sent"
	if mode == "shadow" {
		sent = "that would have been sent (shadow mode sends nothing)"
	}
	text := fmt.Sprintf("%s%s: %s and %s %s", countOf(len(list), "incident"), span, countOf(pages, "page"), countOf(len(list)-pages, "ticket"), sent)
	if len(leads) > 0 {
		slices.Sort(leads)
		early := 0
		for _, l := range leads {
			if l > 0 {
				early++
			}
		}
		text += fmt.Sprintf("; %d of the %d with an alert of your own came before it, lead in the median %s", early, len(leads), signed(leads[len(leads)/2]))
	}
	return text + "."
}

// write writes one incident with the text of its page.
func (i *shownIncident) write(out io.Writer, now time.Time) error {
	var b bytes.Buffer
	state := "open for " + short(now.Sub(i.Opened))
	if i.State == "resolved" {
		state = fmt.Sprintf("over since %s after %s (%s)", i.Resolved.UTC().Format("15:04:05"), short(i.Resolved.Sub(i.Opened)), i.Why)
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", i.Opened.UTC().Format("2006-01-02 15:04:05"), strings.ToUpper(clean(i.Severity)), clean(i.Annotations["summary"]))
	fmt.Fprintf(&b, "  %-11s %s\n", "state", clean(state))
	writeAnnotations(&b, "  ", i.Annotations)
	if i.Lead != nil {
		fmt.Fprintf(&b, "  %-11s %s %s\n", "lead", signed(*i.Lead), "against the first of your own alerts")
	}
	for _, link := range []struct{ name, url string }{{"more", i.URL}, {"runbook", i.Annotations["runbook_url"]}} {
		if link.url != "" {
			fmt.Fprintf(&b, "  %-11s %s\n", link.name, clean(link.url))
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

// writeAnnotations writes the words of an incident's alert, the most urgent first.
func writeAnnotations(w io.Writer, indent string, an map[string]string) {
	for _, k := range []string{"cause", "confidence", "rollback", "effects", "changes", "harm", "evidence", "not_paged", "blind", "resolved"} {
		name := strings.ReplaceAll(k, "_", " ")
		for line := range strings.SplitSeq(an[k], "\n") {
			if line != "" {
				fmt.Fprintf(w, "%s%-11s %s\n", indent, name, clean(line))
				name = ""
			}
		}
	}
}

// clean takes from a text what would not stay on its line of a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '�'
	}, s)
}

// short writes a duration in Prometheus's units, to the second below an hour and to the minute above.
func short(d time.Duration) string {
	to := time.Second
	if d >= time.Hour {
		to = time.Minute
	}
	return model.Duration(max(d, 0).Round(to)).String()
}

// signed writes a lead time: with a plus what came before.
func signed(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 0 {
		return "-" + short(-d)
	}
	return "+" + short(d)
}

func countOf(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
