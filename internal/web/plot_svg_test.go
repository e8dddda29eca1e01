package web

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// svgTexts fails for what is not well-formed and for scripts and links, and returns the title and the texts.
func svgTexts(t *testing.T, body []byte) (title string, texts []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(body))
	in := ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return title, texts
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, plot.Clip(string(body), 2000))
		}
		switch e := token.(type) {
		case xml.StartElement:
			in = e.Name.Local
			if !slices.Contains([]string{"svg", "title", "g", "path", "text"}, in) {
				t.Errorf("element <%s>, want none of its kind", in)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Errorf("attribute %s=%q of <%s>, want none of its kind", a.Name.Local, plot.Clip(a.Value, 200), in)
				}
			}
		case xml.EndElement:
			in = ""
		case xml.CharData:
			switch in {
			case "title":
				title = string(e)
			case "text":
				texts = append(texts, string(e))
			}
		}
	}
}

func TestPlot(t *testing.T) {
	h := serve(t)
	light := ask(h, http.MethodGet, plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`), "")
	wantCode(t, light, http.StatusOK)
	title, texts := svgTexts(t, light.Body.Bytes())
	if want := "PaymentsLatency of payments"; title != want {
		t.Errorf("title %q, want %q", title, want)
	}
	labels := strings.Join(texts, "|")
	wantIn(t, labels, " s", "02:1") // seconds on one axis, the time of day on the other
	dark := ask(h, http.MethodGet, plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`, "theme", "dark"), "")
	svgTexts(t, dark.Body.Bytes())
	if bytes.Equal(light.Body.Bytes(), dark.Body.Bytes()) {
		t.Error("the dark plot has the bytes of the light one, want other colours")
	}
	if got := light.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of an open incident's plot = %q, want no-store", got)
	}
	again := ask(h, http.MethodGet, plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`, "theme", "nonsense"), "")
	if !bytes.Equal(again.Body.Bytes(), light.Body.Bytes()) {
		t.Error("the same plot again, with an unknown theme, has other bytes than the light one")
	}
}

func TestPlotErrors(t *testing.T) {
	fails := func(o *Options) {
		o.Plot = func(_ context.Context, _, rule, _ string) ([]incident.Point, error) {
			if rule == "PoolInUse" {
				return nil, context.DeadlineExceeded
			}
			return nil, errors.New("the source <b>answered</b> 502 \x00")
		}
	}
	open := "20260314-021410-7c2f"
	for _, test := range []struct {
		name, address string
		code          int
		text          string
	}{
		{"unknown incident", plotPath("nope", "PaymentsLatency", `{service="payments"}`), 404, `no incident "nope"`},
		{"unknown rule", plotPath(open, "Nope", `{service="payments"}`), 404, "not part of the incident"},
		{"unknown series", plotPath(open, "PaymentsLatency", `{}`), 404, "not part of the incident"},
		{"no parameters", "/incidents/" + open + "/plot.svg", 404, "not part of the incident"},
		{"failure", plotPath(open, "PaymentsLatency", `{service="payments"}`), 500, "the source <b>answered</b> 502"},
		{"late", plotPath(open, "PoolInUse", `{service="payments-db"}`), 500, "did not come within 10s"},
	} {
		w := ask(serve(t, fails), http.MethodGet, test.address, "")
		if w.Code != test.code || w.Header().Get("Content-Type") != "image/svg+xml" {
			t.Errorf("%s: %d %s, want %d and a picture", test.name, w.Code, w.Header().Get("Content-Type"), test.code)
		}
		_, texts := svgTexts(t, w.Body.Bytes())
		if got := strings.Join(texts, " "); !strings.Contains(got, test.text) {
			t.Errorf("%s: text %q, want %q in it", test.name, got, test.text)
		}
	}
	// A resolved incident without a trail is no failure.
	w := ask(serve(t), http.MethodGet, plotPath("20260312-191410-0b11", "SearchLatency", `{service="search"}`), "")
	wantCode(t, w, http.StatusOK)
	wantIn(t, w.Body.String(), plot.ErrNoPoints.Error())
	if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "max-age") {
		t.Errorf("Cache-Control of a resolved incident's plot = %q, want it kept", got)
	}
}
