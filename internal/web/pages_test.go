package web

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// everyPage is the path of each page that the options below serve.
var everyPage = []string{"/", "/incidents/20260314-021410-7c2f", "/incidents/20260312-191410-0b11", "/services", "/rules", "/targets", "/status", "/none"}

var (
	handlerAttr = regexp.MustCompile(`(?i)^on[a-z]+$`)
	addressAttr = regexp.MustCompile(` (?:href|src|srcset)="([^"]*)"`)
)

// addresses lists what a page links to or loads.
func addresses(page string) []string {
	var all []string
	for _, m := range addressAttr.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return all
}

// checkPage reads a page as balanced markup and looks for whatever could run.
func checkPage(t *testing.T, path, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(plot.XMLText(page))) // HTML allows characters that XML does not
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids := map[string]bool{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: the markup is broken: %v", path, err)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch el.Name.Local {
		case "script", "iframe", "object", "embed", "style", "form", "base":
			t.Errorf("%s: has a <%s>, want none", path, el.Name.Local)
		}
		for _, a := range el.Attr {
			name := a.Name.Local
			if handlerAttr.MatchString(name) || name == "style" {
				t.Errorf("%s: <%s> has the attribute %s, want none", path, el.Name.Local, name)
			}
			if name == "id" && ids[a.Value] {
				t.Errorf("%s: the id %q stands twice", path, a.Value)
			} else if name == "id" {
				ids[a.Value] = true
			}
			if el.Name.Local == "img" && name == "alt" && a.Value == "" && !strings.Contains(page, `alt="" width="24"`) {
				t.Errorf("%s: a picture has no text", path)
			}
		}
	}
	for _, a := range addresses(page) {
		if !strings.HasPrefix(a, "/") && !strings.HasPrefix(a, "#") && !strings.HasPrefix(a, "https://runbooks.example/") {
			t.Errorf("%s: links to %q, want addresses of our own only", path, a)
		}
		if strings.HasPrefix(a, "//") {
			t.Errorf("%s: links to another host: %q", path, a)
		}
	}
	if n := strings.Count(page, "<h1"); n != 1 {
		t.Errorf("%s: %d headlines, want 1", path, n)
	}
}

func TestPagesAreWellFormed(t *testing.T) {
	for name, h := range map[string][]func(*Options){"shop": nil, "hostile": {hostileOptions}, "shadow": {inShadow}, "quiet": {quiet}} {
		t.Run(name, func(t *testing.T) {
			handler := serve(t, h...)
			pages := everyPage
			if name == "hostile" {
				pages = append([]string{"/incidents/hostile"}, pages...)
			}
			for _, path := range pages {
				page := ask(handler, "GET", path, "").Body.String()
				if name == "quiet" && strings.HasPrefix(path, "/incidents/") {
					continue
				}
				if path == "/" && len(page) > 200_000 || len(page) > 1<<20 {
					t.Errorf("%s: %d bytes, want it to be bounded", path, len(page))
				}
				if path != "/" || name == "hostile" || strings.Contains(page, "<h1") {
					checkPage(t, path, page)
				}
				for _, bad := range []string{"<script", "<img src=x", "ZgotmplZ", "<no value>", "%!"} {
					if strings.Contains(page, bad) {
						t.Errorf("%s: contains %q", path, bad)
					}
				}
			}
		})
	}
}

// contains checks a page for texts, which must appear in this order.
func contains(t *testing.T, page string, texts ...string) {
	t.Helper()
	rest := page
	for _, want := range texts {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("got a page without %q at its place, want %q in this order; page:\n%s", want, texts, page)
		}
		rest = after
	}
}

func lacks(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			t.Errorf("the page contains %q, want it not to", text)
		}
	}
}

func TestIncidentsPage(t *testing.T) {
	page := ask(serve(t), "GET", "/", "").Body.String()
	contains(t, page, `http-equiv="refresh" content="15"`, "1 open incident", "payments fails first", "6 min 20 s", "deploy of payments, 1.4.2 → 1.5.0", "40 s before the first sign",
		"payments-db, checkout and frontend", "A page was sent", "1 rule cannot be evaluated", "1 target cannot be scraped", "Resolved", "Cause not known: search suffered", "52 min")
	lacks(t, page, "Shadow mode")
}

func TestShadowMode(t *testing.T) {
	h := serve(t, inShadow)
	for _, path := range everyPage {
		contains(t, ask(h, "GET", path, "").Body.String(), "Shadow mode: nothing is sent.")
	}
	contains(t, ask(h, "GET", "/", "").Body.String(), "A page would have been sent", "A ticket would have been sent")
	contains(t, ask(h, "GET", "/incidents/20260314-021410-7c2f", "").Body.String(), "A page would have been sent")
}

func TestEmptyPageReassures(t *testing.T) {
	page := ask(serve(t, quiet), "GET", "/", "").Body.String()
	contains(t, page, "No incident.", "3 rules judge 36 series")
	page = ask(serve(t, quiet, func(o *Options) { o.Rules = nil }), "GET", "/", "").Body.String()
	contains(t, page, "No detection rule is loaded")
	page = ask(serve(t, quiet, func(o *Options) {
		status := o.Status
		o.Status = func() Status {
			st := status()
			st.Progress, st.Fraction = "day 2 of 7, 41 s left", 0.285
			return st
		}
	}), "GET", "/", "").Body.String()
	contains(t, page, "day 2 of 7, 41 s left", `<progress max="100" value="28"`)
}

func TestIncidentPage(t *testing.T) {
	page := ask(serve(t), "GET", "/incidents/20260314-021410-7c2f", "").Body.String()
	contains(t, page, `http-equiv="refresh"`, `<h1 id="headline"><bdi>payments fails first`, "rose to 1.42 s", "deploy of payments, 1.4.2 → 1.5.0", "frontend, payments-db and checkout",
		"Roll payments back to 1.4.2", "kubectl -n shop rollout undo deployment/payments", "https://runbooks.example/payments", "Confidence in the cause 86", "team-pay",
		"In the order in which they were hit", ">payments<", "cause", "&#43;0s", ">payments-db<", "&#43;12s", ">checkout<", "&#43;31s", ">frontend<", "&#43;47s",
		"Series out of their normal", "theme=dark", "prefers-color-scheme: dark", "theme=light", "Causes", "86 %", "11 %", "Changes", "suspect", "acquitted", "inventory is healthy",
		"not paged", "CheckoutLatencyHigh", "What was sent", "severity</bdi>=<bdi>page", "Log", "opened as page")
	page = ask(serve(t), "GET", "/incidents/20260312-191410-0b11", "").Body.String()
	contains(t, page, "lasted <strong>52 min", "Cause not known", "no change is suspected", "quiet for 15 minutes")
	lacks(t, page, "http-equiv", "Roll ")
}

func TestOtherPages(t *testing.T) {
	h := serve(t)
	contains(t, ask(h, "GET", "/services", "").Body.String(), ">checkout<", "frontend", "118 /s", "payments", "42 /s", "entry", "fails first", "declared", "runbook", "7 min ago", "deploy of payments")
	lacks(t, ask(h, "GET", "/services", "").Body.String(), "javascript:")
	rules := ask(h, "GET", "/rules", "").Body.String()
	contains(t, rules, "checkout", "2 missed", "PaymentsLatency", "histogram_quantile", "Last evaluations", "curl -G", "FrontendTraffic", "query timed out", "service:requests:rate1m", "CheckoutSLOBurn", "firing", "No rules.")
	if n := strings.Count(rules, "<td>02:1"); n < 40 || n > 20*3 {
		t.Errorf("got %d rows of evaluations, want at most 20 for each of 3 rules", n)
	}
	contains(t, ask(h, "GET", "/targets", "").Body.String(), "3 of 4 up", "connection refused", "down")
	contains(t, ask(h, "GET", "/status", "").Body.String(), "yes", "page", "local", "http://alertmanager:9093", "2 d 2 h", "0.1.0")
}

func TestRuleWithoutNumbers(t *testing.T) {
	for _, c := range []struct {
		last Evaluation
		want bool
	}{{Evaluation{Series: 3, NaN: 3}, true}, {Evaluation{Series: 3, NaN: 2}, false}, {Evaluation{}, false}} {
		v := makeRuleView(&Rule{Kind: Detect, Evaluations: []Evaluation{c.last, {Series: 1, NaN: 1}}}, now)
		if v.OnlyNaN != c.want {
			t.Errorf("after %+v: only NaN %v, want %v", c.last, v.OnlyNaN, c.want)
		}
	}
}

func TestIncidentWithoutAnything(t *testing.T) {
	h := serve(t, func(o *Options) {
		bare := &incident.Incident{ID: "bare", State: incident.Forming, Known: true}
		odd := &incident.Incident{ID: "odd", State: incident.Open, Onset: now.Add(time.Hour), Severity: "strange",
			Causes:    []incident.Candidate{{Service: "a", Confidence: math.NaN()}, {Service: "b", Confidence: 7}},
			Effects:   []incident.Effect{{Service: "c"}},
			Anomalies: []incident.Anomaly{{Rule: "r", Value: math.Inf(1), Expected: math.NaN(), Score: math.Inf(-1)}}}
		o.Incidents = func() []*incident.Incident { return []*incident.Incident{bare, odd} }
	})
	for _, path := range []string{"/", "/incidents/bare", "/incidents/odd", "/api/v1/incidents", "/api/v1/incidents/odd"} {
		w := ask(h, "GET", path, "")
		if w.Code != 200 {
			t.Errorf("GET %s: got %d, want 200: %s", path, w.Code, w.Body)
		}
		if !strings.HasPrefix(path, "/api") {
			checkPage(t, path, w.Body.String())
		}
	}
}
