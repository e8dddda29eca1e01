package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
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
	theme := plot.Light
	if q.Get("theme") == "dark" {
		theme = plot.Dark
	}
	code, body := http.StatusOK, []byte(nil)
	inc := s.find(r.PathValue("id"))
	var a *incident.Anomaly
	if inc != nil {
		a = anomalyOf(inc, q.Get("rule"), q.Get("series"))
	}
	switch {
	case inc == nil:
		code, body = http.StatusNotFound, plot.Text(errUnknownIncident(r.PathValue("id")).Error(), theme)
	case a == nil:
		code, body = http.StatusNotFound, plot.Text("this rule and series are not part of the incident", theme)
	default:
		ctx, cancel := context.WithTimeout(r.Context(), plotTimeout)
		defer cancel()
		points, err := s.points(ctx, inc, a)
		if err == nil {
			body, err = plot.Draw(plot.Options{Points: points, Onset: a.Onset, End: a.End, Unit: s.unitName(a), Theme: theme,
				Title: plot.Clip(a.Rule+" of "+s.name(a.Service), 200)})
		}
		switch {
		case err != nil && r.Context().Err() != nil:
			return // the browser has left the page: nobody is left to draw for
		case errors.Is(err, plot.ErrNoPoints):
			body = plot.Text(err.Error(), theme)
		case err != nil:
			s.Logger.Warn("a plot could not be drawn", "incident", inc.ID, "rule", a.Rule, "series", plot.Clip(a.Series, 200), "err", err)
			code, body = http.StatusInternalServerError, plot.Text(err.Error(), theme)
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
