package web

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

var (
	badNumber = regexp.MustCompile(`(?i)[^a-z](nan|[+-]?inf)[^a-z]`)
	badColor  = regexp.MustCompile(`#([^0-9a-fA-F]|[0-9a-fA-F]{0,5}([^0-9a-fA-F]|$)|[0-9a-fA-F]{7})`)
)

// checkSVG fails for what is not one well-formed SVG, for scripts, for things
// that would be loaded, and for coordinates that are no numbers.
func checkSVG(t *testing.T, body []byte) (titles, texts []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(body))
	var open []string
	roots := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, clip(string(body), 2000))
		}
		switch e := token.(type) {
		case xml.StartElement:
			if len(open) == 0 {
				roots++
				if e.Name.Local != "svg" || e.Name.Space != "http://www.w3.org/2000/svg" {
					t.Errorf("root element %v, want svg", e.Name)
				}
			}
			open = append(open, e.Name.Local)
			if !slices.Contains([]string{"svg", "title", "g", "path", "text"}, e.Name.Local) {
				t.Errorf("element <%s>, want none of its kind", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || badNumber.MatchString(" "+a.Value+" ") || badColor.MatchString(a.Value) {
					t.Errorf("attribute %s=%q of <%s>, want none of its kind", a.Name.Local, clip(a.Value, 200), e.Name.Local)
				}
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			switch text := string(e); {
			case len(open) == 0:
			case open[len(open)-1] == "title":
				titles = append(titles, text)
			case open[len(open)-1] == "text":
				texts = append(texts, text)
			}
		}
	}
	if roots != 1 || len(titles) != 1 || titles[0] == "" {
		t.Errorf("%d root elements and titles %q, want one of each", roots, titles)
	}
	return titles, texts
}

func TestPlot(t *testing.T) {
	h := serve(t)
	light := ask(h, http.MethodGet, plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`), "")
	wantCode(t, light, http.StatusOK)
	titles, texts := checkSVG(t, light.Body.Bytes())
	if want := "PaymentsLatency of payments"; titles[0] != want {
		t.Errorf("title %q, want %q", titles[0], want)
	}
	labels := strings.Join(texts, "|")
	wantIn(t, labels, " s", "02:1") // seconds on one axis, the time of day on the other
	dark := ask(h, http.MethodGet, plotPath("20260314-021410-7c2f", "PaymentsLatency", `{service="payments"}`, "theme", "dark"), "")
	checkSVG(t, dark.Body.Bytes())
	wantIn(t, strings.ToLower(light.Body.String()), hexOf(lightTheme.line))
	wantIn(t, strings.ToLower(dark.Body.String()), hexOf(darkTheme.line))
	wantNotIn(t, strings.ToLower(dark.Body.String()), hexOf(lightTheme.line), hexOf(lightTheme.text))
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
		_, texts := checkSVG(t, w.Body.Bytes())
		if got := strings.Join(texts, " "); !strings.Contains(got, test.text) {
			t.Errorf("%s: text %q, want %q in it", test.name, got, test.text)
		}
	}
	// A resolved incident without a trail is no failure.
	w := ask(serve(t), http.MethodGet, plotPath("20260312-191410-0b11", "SearchLatency", `{service="search"}`), "")
	wantCode(t, w, http.StatusOK)
	wantIn(t, w.Body.String(), errNoPoints.Error())
	if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "max-age") {
		t.Errorf("Cache-Control of a resolved incident's plot = %q, want it kept", got)
	}
}

// trail is values at ten seconds' distance, without band or expectation.
func trail(values ...float64) []incident.Point {
	var points []incident.Point
	nan := math.NaN()
	for i, v := range values {
		points = append(points, incident.Point{Time: onset.Add(time.Duration(i) * 10 * time.Second), Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan})
	}
	return points
}

func TestDrawPlot(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	banded := func(lower, upper float64) []incident.Point {
		points := trail(1, 2, 3, 2)
		for i := range points {
			points[i].Lower, points[i].Upper, points[i].Expected = lower, upper, 2
		}
		return points
	}
	ancient := trail(1, 2)
	ancient[0].Time = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
	ancient[1].Time = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	long := make([]float64, 20000)
	for i := range long {
		long[i] = math.Sin(float64(i) / 50)
	}
	tests := []struct {
		name   string
		points []incident.Point
		lines  int // strokes of the value at least; -1: nothing can be drawn
	}{
		{"none", nil, -1}, {"only NaN", trail(nan, nan), -1}, {"only infinities", trail(inf, -inf), -1}, {"too large", trail(1e200, -1e300), -1},
		{"without times", []incident.Point{{Value: 1}}, -1},
		{"one point", trail(5), 1}, {"one point of zero", trail(0), 1}, {"one negative point", trail(-3), 1},
		{"constant", trail(7, 7, 7, 7), 1}, {"a gap", trail(1, 2, nan, 4, 5), 2}, {"a lone point between gaps", trail(1, 2, nan, 4, nan, 6, 7), 3}, {"an infinity", trail(1, 2, inf, 4, 5), 2},
		{"tiny", trail(1e-300, 2e-300), 1}, {"denormal", trail(5e-324, 1e-323), 1}, {"huge", trail(-9e149, 9e149), 1}, {"nearly equal", trail(1e15, math.Nextafter(1e15, 2e15)), 1},
		{"equal times", []incident.Point{{Time: onset, Value: 1}, {Time: onset, Value: 2}}, 1}, {"long times", ancient, 1}, {"long", trail(long...), 1},
		{"band", banded(1, 3), 1}, {"band upside down", banded(3, 1), 1}, {"endless band", banded(-inf, inf), 1}, {"wide band", banded(-1e140, 1e140), 1},
	}
	for _, test := range tests {
		for _, unit := range []string{"seconds", "ratio", "bytes", "", "<b>&\x00"} {
			t.Run(test.name+"/"+unit, func(t *testing.T) {
				body, err := drawPlot(chart{points: test.points, onset: onset.Add(15 * time.Second), unit: unit, title: "a < b & c", theme: lightTheme})
				if test.lines < 0 {
					if !errors.Is(err, errNoPoints) {
						t.Errorf("error %v, want %v", err, errNoPoints)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				titles, _ := checkSVG(t, body)
				if titles[0] != "a < b & c" {
					t.Errorf("title %q, want it as given", titles[0])
				}
				if got := strings.Count(strings.ToLower(string(body)), hexOf(lightTheme.line)); got < test.lines {
					t.Errorf("%d strokes in the value's colour, want %d at least", got, test.lines)
				}
				if len(body) > 100_000 {
					t.Errorf("%d bytes, want the points thinned out", len(body))
				}
			})
		}
	}
}

func TestThinKeepsSpikesAndGaps(t *testing.T) {
	values := make([]float64, 10000)
	values[4321], values[1234], values[7777] = 100, -50, math.NaN()
	got := thin(trail(values...), maxPlotPoints)
	if len(got) > maxPlotPoints {
		t.Fatalf("%d points, want %d at most", len(got), maxPlotPoints)
	}
	has := func(ok func(float64) bool) bool {
		return slices.ContainsFunc(got, func(p incident.Point) bool { return ok(p.Value) })
	}
	if !has(func(v float64) bool { return v == 100 }) || !has(func(v float64) bool { return v == -50 }) || !has(math.IsNaN) {
		t.Error("the spike, the dip or the gap is lost")
	}
	if !slices.IsSortedFunc(got, func(a, b incident.Point) int { return a.Time.Compare(b.Time) }) {
		t.Error("the points are not in the order of time")
	}
}

func TestPrepareLeavesItsInputAlone(t *testing.T) {
	in := trail(1, math.Inf(1), 3)
	in[0], in[2] = in[2], in[0]
	before := fmt.Sprint(in)
	out := prepare(in)
	if got := fmt.Sprint(in); got != before {
		t.Errorf("the input became %s, want %s: it belongs to the incident", got, before)
	}
	if !out[0].Time.Before(out[2].Time) || !math.IsNaN(out[1].Value) {
		t.Errorf("got %v, want them by time and without infinities", out)
	}
}

func TestMarkGaps(t *testing.T) {
	points := trail(1, 2, 3, 4, 5, 6)
	for i := 3; i < len(points); i++ {
		points[i].Time = points[i].Time.Add(5 * time.Minute)
	}
	got := markGaps(points)
	if len(got) != 7 || !math.IsNaN(got[3].Value) || !got[3].Time.After(points[2].Time) || !got[3].Time.Before(points[3].Time) {
		t.Errorf("got %v, want one missing point within the pause", got)
	}
	if got := markGaps(trail(1, 2, 3, 4)); len(got) != 4 {
		t.Errorf("%d points of a trail without pause, want 4", len(got))
	}
}
