package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// onset is when the drawn series leave their normal.
var onset = time.Date(2026, 3, 14, 2, 14, 10, 0, time.UTC)

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
			t.Fatalf("not well-formed: %v\n%s", err, Clip(string(body), 2000))
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
					t.Errorf("attribute %s=%q of <%s>, want none of its kind", a.Name.Local, Clip(a.Value, 200), e.Name.Local)
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

// trail is values at ten seconds' distance, without band or expectation.
func trail(values ...float64) []incident.Point {
	var points []incident.Point
	nan := math.NaN()
	for i, v := range values {
		points = append(points, incident.Point{Time: onset.Add(time.Duration(i) * 10 * time.Second), Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan})
	}
	return points
}

func TestDraw(t *testing.T) {
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
				body, err := Draw(Options{Points: test.points, Onset: onset.Add(15 * time.Second), Unit: unit, Title: "a < b & c"})
				if test.lines < 0 {
					if !errors.Is(err, ErrNoPoints) {
						t.Errorf("error %v, want %v", err, ErrNoPoints)
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
				if got := strings.Count(strings.ToLower(string(body)), hexOf(Light.palette().line)); got < test.lines {
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
	got := thin(trail(values...), maxPoints)
	if len(got) > maxPoints {
		t.Fatalf("%d points, want %d at most", len(got), maxPoints)
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
	out := prepare(in, 0)
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

func TestThemes(t *testing.T) {
	points := trail(1, 2, 3, 9, 8)
	for i := range points {
		points[i].Lower, points[i].Upper, points[i].Expected = 1, 3, 2
	}
	draw := func(theme Theme, unit string) string {
		body, err := Draw(Options{Points: points, Onset: onset.Add(20 * time.Second), Unit: unit, Title: "fill:#010101", Theme: theme})
		if err != nil {
			t.Fatal(err)
		}
		checkSVG(t, body)
		return strings.ToLower(string(body))
	}
	light, dark, page := draw(Light, ""), draw(Dark, ""), draw(Page, "#010101")
	if want := hexOf(Light.palette().line); !strings.Contains(light, want) || strings.Contains(dark, want) {
		t.Errorf("the value is not %s in the light theme only", want)
	}
	for _, name := range []string{"text", "grid", "band", "value", "expected", "onset", "after"} {
		if want := "var(--plot-" + name + ")"; !strings.Contains(page, want) {
			t.Errorf("the page's theme has no %s:\n%s", want, page)
		}
	}
	if got := regexp.MustCompile(`style="[^"]*#[^"]*"`).FindString(page); got != "" {
		t.Errorf("a colour of its own in the page's theme: %s", got)
	}
	if !strings.Contains(page, "<title>fill:#010101</title>") || !strings.Contains(page, " #010101<") {
		t.Errorf("title or unit changed with the colours, want texts left alone:\n%s", page)
	}
}

func TestMaxPoints(t *testing.T) {
	long := make([]float64, 5000)
	for i := range long {
		long[i] = math.Sin(float64(i) / 3)
	}
	size := func(most int) int {
		body, err := Draw(Options{Points: trail(long...), MaxPoints: most, Title: "long"})
		if err != nil {
			t.Fatalf("at most %d points: %v", most, err)
		}
		return len(body)
	}
	if few, many := size(60), size(0); few > many/2 {
		t.Errorf("%d bytes with 60 points and %d with the default of %d, want far less", few, many, maxPoints)
	}
	for _, most := range []int{-1, 1, 2, 3, 4} {
		size(most)
	}
}

func TestText(t *testing.T) {
	for _, theme := range []Theme{Light, Dark, Page} {
		_, texts := checkSVG(t, Text("no <values> were kept \x00 "+strings.Repeat("long ", 100), theme))
		if len(texts) != 3 || !strings.HasPrefix(texts[0], "no <values> were kept \uFFFD") {
			t.Errorf("theme %d: texts %q, want three lines", theme, texts)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	for _, test := range []struct {
		span time.Duration
		want []string
	}{
		{40 * time.Second, []string{"02:14:15", "02:14:30", "02:14:45"}},
		{10 * time.Minute, []string{"02:16", "02:18", "02:20", "02:22", "02:24"}},
		{20 * time.Hour, []string{"06:00", "12:00", "18:00"}},
		{26 * time.Hour, []string{"14 Mar 12:00", "15 Mar 00:00"}},
		{4 * 24 * time.Hour, []string{"15 Mar", "16 Mar", "17 Mar", "18 Mar"}},
	} {
		var got []string
		for _, tick := range timeTicks(seconds(onset), seconds(onset.Add(test.span))) {
			got = append(got, tick.Label)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: labels %q, want %q", test.span, got, test.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"seconds", 0.0123, "12.3 ms"}, {"s", 2.5, "2.5 s"}, {"seconds", 4e-5, "40 µs"}, {"ratio", 0.031, "3.1 %"},
		{"bytes", 3 << 20, "3 MiB"}, {"bytes", 12, "12 B"}, {"per second", 3, "3 /s"}, {"requests/s", 12345, "12.3 krequests/s"}, {"", 7, "7"},
		{"", math.NaN(), "–"}, {"seconds", math.Inf(-1), "−∞ s"}, {"", 2.5e9, "2.5 G"}, {"a\x00b", 1, "1 a\uFFFDb"},
	} {
		if got := UnitFor(test.unit, test.value).Format(test.value); got != test.want {
			t.Errorf("%v %q: got %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}
