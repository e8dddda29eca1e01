package plot

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/foreshock/foreshock/internal/incident"
)

// runs cuts points into stretches in which all of what ok asks for is known.
func runs(points []incident.Point, ok func(incident.Point) bool) [][]incident.Point {
	var all [][]incident.Point
	begin := -1
	for i, p := range points {
		switch {
		case ok(p) && begin < 0:
			begin = i
		case !ok(p) && begin >= 0:
			all = append(all, points[begin:i])
			begin = -1
		}
	}
	if begin >= 0 {
		all = append(all, points[begin:])
	}
	return all
}

// addLine draws one of the points' values; where it is missing the line breaks.
func addLine(p *plot.Plot, points []incident.Point, of func(incident.Point) float64, style draw.LineStyle) {
	for _, run := range runs(points, func(q incident.Point) bool { return !math.IsNaN(of(q)) }) {
		xys := make(plotter.XYs, len(run))
		for i, q := range run {
			xys[i] = plotter.XY{X: seconds(q.Time), Y: of(q)}
		}
		if len(run) == 1 {
			p.Add(&plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: style.Color, Radius: vg.Points(1.8), Shape: draw.CircleGlyph{}}})
			continue
		}
		p.Add(&plotter.Line{XYs: xys, LineStyle: style})
	}
}

// addBand fills what lies between the lower and the upper bound.
func addBand(p *plot.Plot, points []incident.Point, t palette) {
	for _, run := range runs(points, func(q incident.Point) bool { return !math.IsNaN(q.Lower) && !math.IsNaN(q.Upper) }) {
		if len(run) < 2 {
			continue
		}
		ring := make(plotter.XYs, 0, 2*len(run))
		for _, q := range run {
			ring = append(ring, plotter.XY{X: seconds(q.Time), Y: clamp(q.Upper, p)})
		}
		for i := len(run) - 1; i >= 0; i-- {
			ring = append(ring, plotter.XY{X: seconds(run[i].Time), Y: clamp(run[i].Lower, p)})
		}
		p.Add(&plotter.Polygon{XYs: []plotter.XYs{ring}, Color: t.band})
	}
}

// clamp keeps a bound within the plot.
func clamp(v float64, p *plot.Plot) float64 { return min(max(v, p.Y.Min), p.Y.Max) }

// onsetMark is a vertical line at the onset and a tint over what follows.
type onsetMark struct {
	at, until float64
	colours   palette
}

// Plot draws the mark, if it lies within the plot's time.
func (m onsetMark) Plot(c draw.Canvas, p *plot.Plot) {
	if m.at < p.X.Min || m.at > p.X.Max {
		return
	}
	trX, _ := p.Transforms(&c)
	x, right := trX(m.at), trX(min(max(m.until, m.at), p.X.Max))
	if right > x {
		c.FillPolygon(m.colours.after, []vg.Point{{X: x, Y: c.Min.Y}, {X: right, Y: c.Min.Y}, {X: right, Y: c.Max.Y}, {X: x, Y: c.Max.Y}})
	}
	c.StrokeLine2(draw.LineStyle{Color: color.Color(m.colours.onset), Width: vg.Points(1.2)}, x, c.Min.Y, x, c.Max.Y)
}
