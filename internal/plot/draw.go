package plot

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/foreshock/foreshock/internal/incident"
)

// A plot's size in units of its viewBox; on a phone one unit is about one pixel.
const (
	width  = 350
	height = 170
)

// fonts are what a plot is lettered in: the reader's own, since nothing may
// be loaded, and first those as wide as Liberation Sans, which the layout is made with.
const fonts = "Arial,'Liberation Sans',Arimo,Helvetica,Roboto,sans-serif"

// Options of a plot.
type Options struct {
	// Points are the series' verdicts in any order; what has no time is left
	// out, what is NaN, infinite or too large breaks the line.
	Points []incident.Point
	// Onset is marked by a line and what follows it until End by a tint. Zero: no mark.
	Onset time.Time
	End   time.Time // zero while the anomaly lasts
	Spans []Span    // further anomalies, marked in the same way
	Unit  string    // of the values, as [UnitFor] takes it
	Title string    // the document's title, for those who do not see the picture
	Theme Theme
	// MaxPoints bounds what is drawn of the points, spikes and gaps first; 0 stands for 600.
	MaxPoints int
}

// Span is the time from an onset to its end.
type Span struct{ From, To time.Time }

// ErrNoPoints is a fact about the series, not a failure.
var ErrNoPoints = errors.New("no values were kept of this series")

// Draw draws value, band, expectation and onset over time as an SVG. Without a
// single value it returns [ErrNoPoints].
func Draw(o Options) ([]byte, error) {
	colours := o.Theme.palette()
	points := prepare(o.Points, o.MaxPoints)
	low, high, ok := valueRange(points)
	if !ok {
		return nil, ErrNoPoints
	}
	p := plot.New()
	p.BackgroundColor = nil // vgsvg cannot write color.Transparent: it divides by the alpha
	begin, end := timeRange(points, o.Onset)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = begin, end, low, high
	u := UnitFor(o.Unit, math.Max(math.Abs(low), math.Abs(high)))
	styleAxes(p, colours)
	p.X.Tick.Marker = plot.TickerFunc(timeTicks)
	p.Y.Tick.Marker = plot.TickerFunc(func(lo, hi float64) []plot.Tick { return valueTicks(lo, hi, u) })

	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color, grid.Horizontal.Width = colours.grid, vg.Points(1)
	p.Add(grid)
	if !o.Onset.IsZero() {
		p.Add(onsetMark{at: seconds(o.Onset), until: until(o.End, end), colours: colours})
	}
	for _, s := range o.Spans {
		p.Add(onsetMark{at: seconds(s.From), until: seconds(s.To), colours: colours})
	}
	addBand(p, points, colours)
	addLine(p, points, func(q incident.Point) float64 { return q.Expected }, draw.LineStyle{
		Color: colours.expected, Width: vg.Points(1.2), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}})
	addLine(p, points, func(q incident.Point) float64 { return q.Value }, draw.LineStyle{Color: colours.line, Width: vg.Points(1.8)})

	canvas := vgsvg.New(width, height)
	p.Draw(draw.Crop(draw.New(canvas), 2, -14, 2, -4))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw plot: %w", err)
	}
	return finish(b.String(), o), nil
}

// finish gives the document a title, the reader's own fonts and the theme's colours.
func finish(svg string, o Options) []byte {
	_, body, ok := strings.Cut(svg, "xmlns:xlink=\"http://www.w3.org/1999/xlink\">")
	if !ok {
		return []byte(svg)
	}
	body = strings.ReplaceAll(body, "font-family:Liberation Sans;", "font-family:"+fonts+";")
	if o.Theme == Page {
		body = pageColours(body)
	}
	return []byte(head(height) + "\n<title>" + html.EscapeString(XMLText(o.Title)) + "</title>" + body)
}

// head opens a document of our width.
func head(height int) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`, width, height, width, height)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func until(t time.Time, otherwise float64) float64 {
	if t.IsZero() {
		return otherwise
	}
	return seconds(t)
}

// valueRange is the span of what is drawn with some air around it. The band
// may widen the span of the values by their size at most: a band of a hundred
// times the values would flatten them.
func valueRange(points []incident.Point) (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range points {
		for _, v := range []float64{p.Value, p.Expected} {
			if !math.IsNaN(v) {
				low, high = math.Min(low, v), math.Max(high, v)
			}
		}
	}
	if low > high {
		return 0, 0, false
	}
	nonNegative := low >= 0
	room := math.Max(high-low, math.Abs(high))
	bandLow, bandHigh := low, high
	for _, p := range points {
		if !math.IsNaN(p.Lower) {
			bandLow = math.Min(bandLow, p.Lower)
		}
		if !math.IsNaN(p.Upper) {
			bandHigh = math.Max(bandHigh, p.Upper)
		}
	}
	low, high = math.Max(bandLow, low-room), math.Min(bandHigh, high+room)
	if low == high {
		pad := math.Max(math.Abs(low)/2, 1e-9)
		low, high = low-pad, high+pad
	}
	air := (high - low) * 0.06
	low, high = low-air, high+air
	if nonNegative && low < 0 {
		low = 0
	}
	// Where the values reach down near zero anyway, zero makes a better base.
	if nonNegative && low < 0.35*high {
		low = 0
	}
	return low, high, true
}

func timeRange(points []incident.Point, onset time.Time) (begin, end float64) {
	begin, end = seconds(points[0].Time), seconds(points[len(points)-1].Time)
	if o := seconds(onset); !onset.IsZero() && o > begin-86400 && o < end+86400 {
		begin, end = math.Min(begin, o), math.Max(end, o)
	}
	if end-begin < 2 {
		begin, end = begin-30, end+30
	}
	return begin, end
}

func styleAxes(p *plot.Plot, t palette) {
	label := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11.5}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding = 0
		a.LineStyle.Width = 0
		a.Tick.Length = 0
		a.Tick.LineStyle.Width = 0
		a.Tick.Label.Font = label
		a.Tick.Label.Color = t.text
		a.Tick.Label.Handler = text.Plain{Fonts: font.DefaultCache}
	}
	p.X.Tick.Label.YAlign = text.YTop
	p.X.Padding = 4
	p.Y.Padding = 9
}

// timeTicks puts labels at whole multiples of a round step, in UTC, as many as
// have room beside one another.
func timeTicks(begin, end float64) []plot.Tick {
	steps := []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400}
	step, layout, most := 0.0, "", 0.0
	for _, step = range steps {
		if layout, most = timeLayout(step, end-begin); (end-begin)/step <= most {
			break
		}
	}
	for (end-begin)/step > most {
		step *= 2
	}
	var ticks []plot.Tick
	for v := math.Ceil(begin/step) * step; v <= end; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: time.Unix(int64(v), 0).UTC().Format(layout)})
	}
	return ticks
}

// timeLayout is how a time is labelled, and how many steps have room then.
func timeLayout(step, span float64) (layout string, most float64) {
	switch {
	case span > 300*86400:
		return "Jan 2006", 4
	case step >= 86400:
		return "2 Jan", 5
	case span > 86400:
		return "2 Jan 15:04", 2.99
	case step < 60:
		return "15:04:05", 3
	}
	return "15:04", 5
}

// valueTicks puts about four labels at round multiples, with the unit.
func valueTicks(low, high float64, u Unit) []plot.Tick {
	lo, hi := low*u.scale, high*u.scale
	raw := (hi - lo) / 4
	magnitude := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * magnitude
	for _, f := range []float64{1, 2, 2.5, 5} {
		if raw <= f*magnitude {
			step = f * magnitude
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi && len(ticks) < 8; i++ {
		v := i * step
		if math.Abs(v) < step*1e-6 {
			v = 0
		}
		ticks = append(ticks, plot.Tick{Value: v / u.scale, Label: tickLabel(v, step) + u.suffix})
	}
	return ticks
}

// tickLabel shows as many digits as neighbouring ticks need to differ.
func tickLabel(v, step float64) string {
	if a := math.Abs(v); a != 0 && (a >= 1e7 || step < 1e-4) {
		return fmt.Sprintf("%.3g", v)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	s := fmt.Sprintf("%.*f", digits, v)
	if digits == 0 && math.Abs(step-math.Round(step)) > 1e-9 { // 2.5
		s = fmt.Sprintf("%.1f", v)
	} else if r := step * math.Pow(10, float64(digits)); math.Abs(r-math.Round(r)) > 1e-6 { // 0.25
		s = fmt.Sprintf("%.*f", digits+1, v)
	}
	return s
}
