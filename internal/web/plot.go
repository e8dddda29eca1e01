package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// plotCSP lets a plot that is opened by itself keep the colours in its
// attributes; scripts stay forbidden.
const plotCSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

// plotTimeout bounds the wait for a plot's points.
const plotTimeout = 10 * time.Second

// plot answers with a picture in any case: the page shows it in an <img>, where
// nothing but a picture could carry an error's text.
func (s *server) plot(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	theme := lightTheme
	if q.Get("theme") == "dark" {
		theme = darkTheme
	}
	code, body := http.StatusOK, []byte(nil)
	inc := s.find(r.PathValue("id"))
	var a *incident.Anomaly
	if inc != nil {
		a = anomalyOf(inc, q.Get("rule"), q.Get("series"))
	}
	switch {
	case inc == nil:
		code, body = http.StatusNotFound, errorPlot(errUnknownIncident(r.PathValue("id")).Error(), theme)
	case a == nil:
		code, body = http.StatusNotFound, errorPlot("this rule and series are not part of the incident", theme)
	default:
		ctx, cancel := context.WithTimeout(r.Context(), plotTimeout)
		defer cancel()
		points, err := s.points(ctx, inc, a)
		if err == nil {
			body, err = drawPlot(chart{points: points, onset: a.Onset, end: a.End, unit: s.unitName(a), theme: theme,
				title: clip(a.Rule+" of "+s.name(a.Service), 200)})
		}
		switch {
		case err != nil && r.Context().Err() != nil:
			return // the browser has left the page: nobody is left to draw for
		case errors.Is(err, errNoPoints):
			body = errorPlot(err.Error(), theme)
		case err != nil:
			s.Logger.Warn("a plot could not be drawn", "incident", inc.ID, "rule", a.Rule, "series", clip(a.Series, 200), "err", err)
			code, body = http.StatusInternalServerError, errorPlot(err.Error(), theme)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Content-Security-Policy", plotCSP)
	h.Set("Cache-Control", "no-store")
	if code == http.StatusOK && inc.State == incident.Resolved {
		h.Set("Cache-Control", "private, max-age=3600")
	}
	w.WriteHeader(code)
	// An error here means that the client has gone: nobody is left to tell.
	_, _ = w.Write(body)
}

func (s *server) points(ctx context.Context, inc *incident.Incident, a *incident.Anomaly) ([]incident.Point, error) {
	if s.Plot == nil {
		return a.Trail, nil
	}
	points, err := s.Plot(ctx, inc.ID, a.Rule, a.Series)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the points did not come within %s", plotTimeout)
	}
	return points, err
}

func anomalyOf(inc *incident.Incident, rule, series string) *incident.Anomaly {
	for i := range inc.Anomalies {
		if a := &inc.Anomalies[i]; a.Rule == rule && a.Series == series {
			return a
		}
	}
	return nil
}

// maxPlotPoints bounds what is drawn; a phone has fewer pixels than that.
const maxPlotPoints = 600

// maxPlotValue bounds what is drawn: beyond it the arithmetic of the axes overflows.
const maxPlotValue = 1e150

// prepare sorts points by time, drops those without a time, marks what cannot
// be drawn as missing and thins them out.
func prepare(points []incident.Point) []incident.Point {
	clean := make([]incident.Point, 0, len(points))
	for _, p := range points {
		if p.Time.IsZero() {
			continue
		}
		for _, v := range []*float64{&p.Value, &p.Expected, &p.Lower, &p.Upper} {
			if math.IsInf(*v, 0) || math.Abs(*v) > maxPlotValue {
				*v = math.NaN()
			}
		}
		if p.Lower > p.Upper {
			p.Lower, p.Upper = p.Upper, p.Lower
		}
		clean = append(clean, p)
	}
	sort.SliceStable(clean, func(i, j int) bool { return clean[i].Time.Before(clean[j].Time) })
	return markGaps(thin(clean, maxPlotPoints))
}

// thin keeps of each run of points the one with the least and the one with the
// greatest value, so that a spike is never lost, and one without a value, so
// that a gap is not lost either.
func thin(points []incident.Point, most int) []incident.Point {
	if len(points) <= most {
		return points
	}
	runs := most / 3
	out := make([]incident.Point, 0, most)
	for i := range runs {
		run := points[i*len(points)/runs : (i+1)*len(points)/runs]
		low, high, gap := -1, -1, -1
		for k, p := range run {
			switch {
			case math.IsNaN(p.Value):
				gap = k
			case low < 0:
				low, high = k, k
			case p.Value < run[low].Value:
				low = k
			case p.Value > run[high].Value:
				high = k
			}
		}
		for k := range run {
			if k == low || k == high || k == gap {
				out = append(out, run[k])
			}
		}
	}
	return out
}

// markGaps puts a missing point wherever the time to the next point is more
// than three times the usual one, so that no line is drawn over what was not seen.
func markGaps(points []incident.Point) []incident.Point {
	if len(points) < 4 {
		return points
	}
	steps := make([]time.Duration, 0, len(points)-1)
	for i := 1; i < len(points); i++ {
		steps = append(steps, points[i].Time.Sub(points[i-1].Time))
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i] < steps[j] })
	usual := steps[len(steps)/2]
	out := make([]incident.Point, 0, len(points)+8)
	for i, p := range points {
		if i > 0 && usual > 0 {
			if d := p.Time.Sub(points[i-1].Time); d > 3*usual {
				nan := math.NaN()
				out = append(out, incident.Point{Time: points[i-1].Time.Add(d / 2), Value: nan, Expected: nan, Lower: nan, Upper: nan, Score: nan})
			}
		}
		out = append(out, p)
	}
	return out
}

// errorPlot is a small picture with a text.
func errorPlot(text string, t theme) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="60" viewBox="0 0 %d 60" role="img">`, plotWidth, plotWidth)
	b.WriteString("<title>No plot</title>")
	for i, line := range wrap(xmlText(clip(text, 180)), 62) {
		fmt.Fprintf(&b, `<text x="8" y="%d" font-family="%s" font-size="11" fill="%s">%s</text>`, 18+15*i, plotFonts, hexOf(t.text), html.EscapeString(line))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// wrap breaks text into at most three lines of about width runes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		word = clip(word, width)
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	lines = append(lines, line)
	return lines[:min(len(lines), 3)]
}

// xmlText replaces what XML 1.0 does not allow in a document, even escaped.
func xmlText(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000 && r <= 0x10FFFF:
			return r
		}
		return '\uFFFD'
	}, text)
}
