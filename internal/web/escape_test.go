package web

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/foreshock/foreshock/internal/topology"

	"github.com/foreshock/foreshock/internal/plot"
)

// hostileGraph names services as an attacker would.
func hostileGraph() *topology.Graph {
	var nodes []topology.Node
	var edges []topology.Edge
	for _, text := range nasty[:len(nasty)-1] { // the last is no name
		nodes = append(nodes, topology.Node{Service: topology.Service(text), Owner: text, Runbook: text, Entry: true})
		edges = append(edges, topology.Edge{Caller: topology.Service(text), Callee: "payments", Rate: 1})
	}
	return topology.NewGraph(nodes, edges)
}

func withHostileGraph(o *Options) { o.Graph = hostileGraph }

// hostileAddresses are the pages on which hostile text is shown, and addresses
// that carry it themselves.
func hostileAddresses() []string {
	list := []string{"/", "/incidents/hostile", "/services", "/rules", "/targets", "/status"}
	for _, text := range nasty {
		if text != "" {
			list = append(list, "/incidents/"+pathEscape(text), "/"+pathEscape(text), "/static/"+pathEscape(text))
		}
	}
	return list
}

// elements are those that our templates use; anything else was smuggled in.
var elements = strings.Fields(`html head meta title link body a header img nav p strong main footer section article span time h1 h2 ul ol li dl dt dd bdi br
	div figure figcaption picture source svg rect code pre table caption thead tbody tr th td details summary progress`)

func TestHostileTextStaysText(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"shadow":     serve(t, hostileOptions, withHostileGraph, inShadow),
		"cold start": serve(t, hostileOptions, withHostileGraph),
		"not ready": serve(t, hostileOptions, withHostileGraph, func(o *Options) {
			status := o.Status
			o.Status = func() Status { st := status(); st.Progress = ""; return st }
		}),
	} {
		for _, address := range hostileAddresses() {
			t.Run(name+address[:min(len(address), 30)], func(t *testing.T) {
				w := ask(h, http.MethodGet, address, "")
				if w.Code >= 500 {
					t.Fatalf("status = %d, want less than 500", w.Code)
				}
				if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
					t.Fatalf("Content-Type = %q, want HTML", got)
				}
				checkHTML(t, w.Body.String())
				if n := w.Body.Len(); n > 1<<20 {
					t.Errorf("the page has %d bytes, want long texts cut", n)
				}
			})
		}
	}
}

// checkHTML walks a page's elements: it fails for elements and attributes which
// no template has, for links that a browser should not follow, and for text of
// the wrong direction that is not isolated from its surroundings.
func checkHTML(t *testing.T, body string) {
	t.Helper()
	if !utf8.ValidString(body) {
		t.Error("the page is not valid UTF-8")
	}
	d := xml.NewDecoder(strings.NewReader(plot.XMLText(body)))
	d.Strict, d.AutoClose, d.Entity = false, append([]string{"source", "rect"}, xml.HTMLAutoClose...), xml.HTMLEntity
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page cannot be read: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			checkElement(t, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.Comment:
			t.Errorf("comment %q, want none", e)
		case xml.CharData:
			isolated := slices.ContainsFunc(open, func(name string) bool { return name == "bdi" || name == "pre" || name == "title" })
			if strings.Contains(string(e), "\u202e") && !isolated {
				t.Errorf("%q lies in %v, want it in an element that isolates its direction", plot.Clip(string(e), 80), open)
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("elements that nothing closes: %v", open)
	}
}

func checkElement(t *testing.T, e xml.StartElement) {
	t.Helper()
	if !slices.Contains(elements, e.Name.Local) {
		t.Errorf("element <%s>, which no template has", e.Name.Local)
	}
	for _, a := range e.Attr {
		switch name := a.Name.Local; {
		case strings.HasPrefix(name, "on"), name == "style", name == "srcdoc", name == "action":
			t.Errorf("attribute %s=%q of <%s>, want none of its kind", name, plot.Clip(a.Value, 80), e.Name.Local)
		case name == "href", name == "src", name == "srcset":
			v := a.Value
			if v != "#main" && (!strings.HasPrefix(v, "/") || strings.HasPrefix(v, "//")) && !strings.HasPrefix(v, "https://runbooks.example/") {
				t.Errorf("%s=%q of <%s>, want a path of ours or a runbook", name, plot.Clip(v, 80), e.Name.Local)
			}
			if e.Name.Local == "img" && !strings.HasPrefix(v, "/static/icon.svg") && !strings.Contains(v, "/plot.svg?") {
				t.Errorf("picture %q, want only ours", plot.Clip(v, 80))
			}
		case name == "class":
			for _, word := range strings.Fields(a.Value) {
				if strings.ContainsAny(word, "<>'\"(") {
					t.Errorf("class %q of <%s>, want plain words", plot.Clip(a.Value, 80), e.Name.Local)
				}
			}
		}
	}
}

func TestHostileTextInJSON(t *testing.T) {
	h := serve(t, hostileOptions, withHostileGraph)
	addresses := []string{"/api/v1/incidents", "/api/v1/incidents/hostile", "/api/v1/anomalies", "/api/v1/topology", "/api/v1/changes", "/api/v1/rules", "/api/v1/alerts", "/api/v1/targets", "/api/v1/status/buildinfo"}
	for _, text := range nasty[:len(nasty)-1] {
		addresses = append(addresses, "/api/v1/incidents/"+pathEscape(text), "/api/v1/incidents"+query("state", text), "/api/v1/changes"+query("since", text),
			"/api/v1/rules"+query("type", text), "/api/v1/query"+query("query", text), "/api/v1/query"+query("query", "up", "time", text),
			"/api/v1/query_range"+query("query", "up", "start", "1", "end", "2", "step", text))
	}
	for _, address := range addresses {
		w := ask(h, http.MethodGet, address, "")
		if w.Code >= 500 {
			t.Errorf("%s: status = %d, want less than 500", plot.Clip(address, 80), w.Code)
		}
		if !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %q, want JSON", plot.Clip(address, 80), w.Header().Get("Content-Type"), plot.Clip(w.Body.String(), 200))
		}
		// A browser that is tricked into reading it as HTML finds no elements.
		wantNotIn(t, w.Body.String(), "<script>", "<img")
	}
	var answer struct{ Data jsonIncident }
	if err := json.Unmarshal(ask(h, http.MethodGet, "/api/v1/incidents/hostile", "").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{nasty[0], nasty[1], nasty[4], nasty[8]} { // those that are valid UTF-8 come through unchanged
		if !slices.Contains(answer.Data.Harm, text) {
			t.Errorf("harm does not contain %q", plot.Clip(text, 80))
		}
	}
}

func TestHostileTextInPlots(t *testing.T) {
	h := serve(t, hostileOptions)
	for _, text := range nasty {
		for _, theme := range []string{"light", "dark", text} {
			w := ask(h, http.MethodGet, plotPath("hostile", text, `{a="`+text+`"}`, "theme", theme), "")
			if w.Code != http.StatusOK {
				t.Errorf("%q: status = %d, want 200", plot.Clip(text, 80), w.Code)
			}
			svgTexts(t, w.Body.Bytes())
			if w := ask(h, http.MethodGet, plotPath(text+"?", text, text), ""); w.Code != http.StatusNotFound {
				t.Errorf("unknown incident %q: status = %d, want 404", plot.Clip(text, 80), w.Code)
			} else {
				svgTexts(t, w.Body.Bytes())
			}
		}
	}
}

func TestWebAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://runbooks.example/a?b=c": "https://runbooks.example/a?b=c", "http://x": "http://x", "javascript:alert(1)": "", "JaVaScRiPt:alert(1)": "", "data:text/html,x": "",
		"//evil.example": "", "/local": "", "": "", "https://": "", "ftp://x/y": "", "https://\x00": "", " https://x": "", "vbscript:x": "",
	} {
		if got := webAddress(text); got != want {
			t.Errorf("webAddress(%q) = %q, want %q", text, got, want)
		}
	}
}
