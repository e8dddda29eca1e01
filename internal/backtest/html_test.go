package backtest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/plot"
)

var htmlOut = flag.String("html", "", "file to write the report of the tests to, for looking at it")

func htmlOf(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// htmlElements fails for a page that is not well-formed, that loads something or
// runs scripts, and returns its ids, the targets of its links and its text.
func htmlElements(t *testing.T, page string) (ids, links []string, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	var words strings.Builder
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			if slices.Contains([]string{"script", "img", "iframe", "object", "embed", "form", "use", "image", "video", "base"}, e.Name.Local) {
				t.Errorf("element <%s>, want none of its kind", e.Name.Local)
			}
			for _, a := range e.Attr {
				switch name := a.Name.Local; {
				case name == "id":
					ids = append(ids, a.Value)
				case name == "href" && a.Value == "data:,": // the icon that no browser shall ask for
				case name == "href" && strings.HasPrefix(a.Value, "#"):
					links = append(links, a.Value[1:])
				case strings.HasPrefix(name, "on"), name == "src", name == "href", strings.Contains(a.Value, "url("):
					t.Errorf("attribute %s=%q of <%s>, want none of its kind", name, a.Value, e.Name.Local)
				case name == "class" && !regexp.MustCompile(`^[a-z -]*$`).MatchString(a.Value):
					t.Errorf("class %q of <%s>, want plain words", a.Value, e.Name.Local)
				}
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if !slices.Contains(open, "style") {
				words.Write(e)
				words.WriteByte(' ')
			}
		}
	}
	style := page[strings.Index(page, "<style>"):strings.Index(page, "</style>")]
	for _, bad := range []string{"url(", "@import", "@font-face", "ZgotmplZ"} {
		if strings.Contains(style, bad) {
			t.Errorf("%q in the style, want nothing loaded", bad)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template refused a value")
	}
	return ids, links, strings.Join(strings.Fields(words.String()), " ")
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("the report does not say %q; it says:\n%s", p, plot.Clip(text, 8000))
		}
	}
}

func TestHTMLSections(t *testing.T) {
	page := htmlOf(t, htmlReport())
	if *htmlOut != "" {
		if err := os.WriteFile(*htmlOut, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ids, links, text := htmlElements(t, page)
	order := []string{"when", "grades", "incidents", "sent", "sent-1", "sent-9", "rules", "comparison"}
	at := -1
	for _, id := range order {
		i := slices.Index(ids, id)
		if i <= at {
			t.Errorf("section %s at place %d of %q, want it after the one before", id, i, ids)
		}
		at = i
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			t.Errorf("id %q twice", id)
		}
	}
	for _, l := range links {
		if !slices.Contains(ids, l) {
			t.Errorf("a link to #%s, which is not there", l)
		}
	}
	wantText(t, text,
		"examples/shop/foreshock.yml", "2026-03-09 00:00 to 2026-03-18 00:00 UTC, 9 days replayed", "PARTIAL", "shop/week-12: interrupted",
		"83 % 5 of 6 labelled incidents were sent, half of them within 2 min 15 s.", "75 %", "2 false in 7.4 days without one, 0.27 a day", "5 pages in 9 days, 1 of them false", "50 %", "9 min Median by which",
		"2026-03-10: 1 page, 1 ticket", "orders-db", "labelled shop-4, 2026-03-14 10:00:00 to 2026-03-14 11:00:00: missed", "own alert SlowQueries", "not counted: 2026-03-09 00:00:00 to", "not replayed: interrupted",
		"network delay 6 5 0.83 1 1.20 2 min 15 s 3.0 0.50 0.83 0.72 0.60 1.00 0.86 4/6 1 3 9 min", "incident shop-9 lies outside",
		"1 of 5 missed: shop-4; 1 of them had one of the team's own alerts.", "9 min earlier", "12 min later", "own alert only", "in place 2 checkout (not sure)", "innocent blamed: flag-new-cart", "sent 2×",
		"to blame: deploy-orders-8f3e", "orders-db (confidence 82 %), checkout, payments", "value", "840 ms, expected 12 ms, score 5.2", "2 further series without plot.", "open at the end", "sent 9 min before it", "sent 12 min after it",
		"1 always fails · 1 never has data · 1 always fires · 1 never fires", `no series ever matched billing_requests_total{job="billing"}`, "last error: found duplicate series", "66 %", "6 rules, evaluated in 11 s",
		"With examples/shop/strict.yml 1 appears, 1 vanishes and 1 moves.", "4 min earlier, cause orders-db instead of checkout", "75 % 86 % +11 %", "2 min 15 s 2 min 45 s +30 s")
	if got := strings.Count(page, "<figure>"); got != 9*htmlPlots {
		t.Errorf("%d plots, want %d for each of 9 incidents", got, htmlPlots)
	}
	rules := text[strings.LastIndex(text, "Worth a look"):]
	if odd, calm := strings.Index(rules, "Watchdog"), strings.Index(rules, "CheckoutErrors"); odd > calm {
		t.Error("a rule that always fires comes after one that is as it should be, want the odd ones first")
	}
	if again := htmlOf(t, htmlReport()); again != page {
		t.Error("the same report gives other bytes the second time")
	}
}

func TestHTMLFromJSON(t *testing.T) {
	data, err := json.Marshal(htmlReport())
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	page := htmlOf(t, &r)
	_, links, _ := htmlElements(t, page)
	if !slices.Contains(links, "sent-2") || strings.Contains(page, "<figure>") {
		t.Errorf("links %q, want the labelled incidents linked and no plots, since JSON has no trails", links)
	}
}

func TestHTMLWithoutParts(t *testing.T) {
	ungraded := htmlReport()
	ungraded.Grades, ungraded.Comparison, ungraded.Cases = nil, nil, ungraded.Cases[:1]
	for i := range ungraded.Cases[0].Sent {
		ungraded.Cases[0].Sent[i].Verdict = ""
	}
	stopped := &Report{Config: "foreshock.yml", Partial: "the source stopped answering: 502", Cases: []CaseReport{{Name: "", From: htmlStart, To: htmlAt(24), Until: htmlStart}}}
	nothing := &Report{Grades: &Grades{}, Comparison: &Comparison{}}
	empty := &Report{Cases: []CaseReport{{From: htmlAt(1), To: htmlStart}}, Grades: &Grades{Sets: []SetGrade{{}, {}}, Incidents: []IncidentGrade{{}}}, Days: []DayCount{{}}, Services: []Count{{}}, Rules: []RuleStats{{}},
		Comparison: &Comparison{Other: &Report{}, Changes: []Difference{{}}}}
	for _, test := range []struct {
		name   string
		report *Report
		want   []string
		not    []string
	}{
		{"ungraded", ungraded, []string{"not graded: nothing is labelled", "Cause named", "88 % 7 of 8 incidents name a cause", "The team's own alerts came first"}, []string{"Recall", "Grades per set", "Comparison", "PARTIAL", "sent: hit"}},
		{"stopped", stopped, []string{"PARTIAL", "the source stopped answering: 502", "Nothing was sent.", "There are no rules.", "Nothing was replayed."}, []string{"Recall"}},
		{"zero", &Report{}, []string{"nothing was replayed", "whole"}, []string{"PARTIAL", "NaN", "Inf"}},
		{"nothing", nothing, []string{"The labels list no incident", "the same is sent"}, []string{"NaN", "Inf"}},
		{"empty", empty, []string{"(no name)", "(no set)"}, []string{"NaN", "Inf"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, text := htmlElements(t, htmlOf(t, test.report))
			wantText(t, text, test.want...)
			for _, n := range test.not {
				if strings.Contains(text, n) {
					t.Errorf("the report says %q, want nothing of it", n)
				}
			}
		})
	}
}

func TestHTMLEscapes(t *testing.T) {
	for _, nasty := range []string{
		`</title><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><script>`, `{{.Title}}`, `javascript:alert(1)`, "\x00\x1b[31m\xff\u202Eabc", `]]>&amp;<!--`, strings.Repeat("long", 5000), "https://evil.example/x.png",
	} {
		r := htmlReport()
		r.Config, r.Partial, r.Comparison.Config = nasty, nasty, nasty
		r.Cases[0].Name, r.Cases[0].Partial, r.Cases[0].Notes = nasty, nasty, []string{nasty}
		for i := range r.Cases[0].Sent {
			s := &r.Cases[0].Sent[i]
			s.Case, s.Severity, s.Causes, s.Effects, s.Change, s.Summary, s.Rules, s.Incident, s.Verdict = nasty, nasty, []string{nasty}, []string{nasty}, nasty, nasty, []string{nasty}, nasty, nasty
			for k := range s.Last.Anomalies {
				a := &s.Last.Anomalies[k]
				a.Rule, a.Series, a.Unit = nasty, nasty, nasty
			}
		}
		r.Cases[0].Alerts[0].Name = nasty
		for i := range r.Grades.Incidents {
			g := &r.Grades.Incidents[i]
			g.Case, g.Name, g.Causes, g.Fault, g.Change = nasty, nasty, []string{nasty}, nasty, nasty
		}
		r.Grades.Incidents[1].ChangeVerdict = nasty
		r.Grades.Sets[0].Name, r.Grades.Sets[0].Faults[0].Fault = nasty, nasty
		r.Days[0].Day, r.Services[0].Service = nasty, nasty
		r.Rules[0] = RuleStats{Name: nasty, Kind: nasty, File: nasty, Group: nasty, State: nasty, LastError: nasty, Missing: []string{nasty}}
		r.Comparison.Changes[0].Kind, r.Comparison.Changes[0].What = nasty, []string{nasty}
		page := htmlOf(t, r)
		htmlElements(t, page)
		if strings.Contains(page, "<script") || strings.Contains(page, "<img") || len(page) > 2_000_000 {
			t.Errorf("%q: elements of a name, or %d bytes", plot.Clip(nasty, 40), len(page))
		}
	}
}

func TestHTMLBounds(t *testing.T) {
	page := htmlOf(t, hugeReport())
	if len(page) > 6_000_000 {
		t.Errorf("%d bytes, want the report bounded", len(page))
	}
	ids, _, text := htmlElements(t, page)
	wantText(t, text, "701 more incidents are not shown here; the JSON report has all 1201.", "700 more labelled incidents", "706 more rules are", "more services are", "1002 more cases", "more rows are", "700 more differences",
		"There are more notes in the JSON report.", "Further cases are partial", "only the first are drawn", "60 incidents have plots: what counts first, in order of time.")
	if got := strings.Count(page, "<figure>"); got != htmlPlotted*htmlPlots {
		t.Errorf("%d plots, want %d", got, htmlPlotted*htmlPlots)
	}
	late := hugeReport()
	for i := range late.Cases[0].Sent[:100] {
		late.Cases[0].Sent[i].Verdict = []string{"warm-up", "duplicate"}[i%2]
	}
	page = htmlOf(t, late)
	if i, k := strings.Index(page, "<figure>"), strings.Index(page, `id="sent-101"`); i < k {
		t.Error("what does not count took the plots of what does")
	}
	if slices.Contains(ids, "sent-501") || !slices.Contains(ids, "sent-500") {
		t.Error("not 500 incidents in detail")
	}
}

func TestHTMLFormats(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{secondsText(ptr(45.)), "45 s"}, {secondsText(ptr(390.)), "6 min 30 s"}, {secondsText(ptr(-7500.)), "−2 h 5 min"}, {secondsText(ptr(273600.)), "3 d 4 h"}, {secondsText(nil), none}, {secondsText(ptr(-0.2)), "0 s"},
		{leadText(ptr(60.)), "1 min earlier"}, {leadText(ptr(-60.)), "1 min later"}, {leadText(ptr(0.)), "same time"}, {leadText(nil), none},
		{percentOf(ptr(0.831)), "83 %"}, {percentOf(nil), none}, {perDay(3, 7), "0.43"}, {perDay(100, 7), "14.3"}, {perDay(1, 0), none}, {perDay(0, 7), "0"},
		{daysText(0.5), "12 h"}, {daysText(7), "7 days"}, {daysText(0), "0 days"}, {shortSeconds(0.002), "2.0 ms"}, {shortSeconds(1.234), "1.23 s"}, {shortSeconds(95.4), "95 s"}, {shortSeconds(0), none},
		{joinNames([]string{"a", "b", "c"}, 2), "a, b and 1 more"}, {joinNames(nil, 2), ""}, {cutNote(5, 5, "rules"), ""}, {count(1, "page"), "1 page"}, {plot.Clip("äöü", 2), "ä…"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
