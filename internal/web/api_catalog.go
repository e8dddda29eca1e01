package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/foreshock/foreshock/internal/plot"
)

// Catalog says what series there are. matches are series selectors, of which
// one must match (none: all do); from and to bound the time (zero: they do not);
// limit bounds the answer, 0: it does not. Answers are sorted, never nil; that
// one was cut is a warning.
type Catalog interface {
	LabelNames(ctx context.Context, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error)
	LabelValues(ctx context.Context, name string, matches []string, from, to time.Time, limit int) ([]string, annotations.Annotations, error)
	Series(ctx context.Context, matches []string, from, to time.Time, limit int) ([]labels.Labels, annotations.Annotations, error)
	// Metadata is what is known of a metric, or of all when it is empty.
	Metadata(ctx context.Context, metric string) (map[string][]v1.Metadata, error)
}

// selection are the parameters that the lookups share.
type selection struct {
	matches  []string
	from, to time.Time
	limit    int
}

// readSelection answers the request itself where it returns false.
func (s *server) readSelection(w http.ResponseWriter, r *http.Request) (sel selection, ok bool) {
	if s.Catalog == nil {
		s.respondError(w, errorNotFound, errors.New("this server does not list series"))
		return sel, false
	}
	err := parseForm(r)
	if err == nil {
		sel.from, err = paramTime(r, "start", time.Time{})
	}
	if err == nil {
		sel.to, err = paramTime(r, "end", time.Time{})
	}
	if err == nil && !sel.from.IsZero() && !sel.to.IsZero() && sel.to.Before(sel.from) {
		err = invalidParam("end", errors.New("end timestamp must not be before start time"))
	}
	if err == nil {
		sel.limit, err = paramCount(r, "limit")
	}
	if err != nil {
		s.respondError(w, errorBadData, err)
		return sel, false
	}
	sel.matches = r.Form["match[]"]
	return sel, true
}

// paramCount reads an optional non-negative number; 0 is none.
func paramCount(r *http.Request, name string) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalidParam(name, fmt.Errorf("%q is not a non-negative number", plot.Clip(text, 100)))
	}
	return n, nil
}

func (s *server) apiLabels(w http.ResponseWriter, r *http.Request) {
	if sel, ok := s.readSelection(w, r); ok {
		names, notes, err := s.Catalog.LabelNames(r.Context(), sel.matches, sel.from, sel.to, sel.limit)
		s.respondNoted(w, names, notes, err)
	}
}

func (s *server) apiLabelValues(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		s.respondError(w, errorBadData, fmt.Errorf("invalid label name: %q", plot.Clip(name, 100)))
		return
	}
	if sel, ok := s.readSelection(w, r); ok {
		values, notes, err := s.Catalog.LabelValues(r.Context(), name, sel.matches, sel.from, sel.to, sel.limit)
		s.respondNoted(w, values, notes, err)
	}
}

func (s *server) apiSeries(w http.ResponseWriter, r *http.Request) {
	sel, ok := s.readSelection(w, r)
	if !ok {
		return
	}
	if len(sel.matches) == 0 {
		s.respondError(w, errorBadData, errors.New("no match[] parameter provided"))
		return
	}
	series, notes, err := s.Catalog.Series(r.Context(), sel.matches, sel.from, sel.to, sel.limit)
	s.respondNoted(w, series, notes, err)
}

func (s *server) apiMetadata(w http.ResponseWriter, r *http.Request) {
	if s.Catalog == nil {
		s.respondError(w, errorNotFound, errors.New("this server knows no metadata"))
		return
	}
	limit, err := paramCount(r, "limit")
	perMetric := 0
	if err == nil {
		perMetric, err = paramCount(r, "limit_per_metric")
	}
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	all, err := s.Catalog.Metadata(r.Context(), r.FormValue("metric"))
	out := map[string][]v1.Metadata{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if limit > 0 && len(out) == limit {
			break
		}
		of := all[name]
		if perMetric > 0 && len(of) > perMetric {
			of = of[:perMetric]
		}
		out[name] = of
	}
	s.respondNoted(w, out, nil, err)
}

// respondNoted answers with data and what must be known of it, or with the error.
func (s *server) respondNoted(w http.ResponseWriter, data any, notes annotations.Annotations, err error) {
	if err != nil {
		s.respondError(w, classify(err), err)
		return
	}
	warnings, infos := notes.AsStrings("", maxNotes, maxNotes)
	s.write(w, http.StatusOK, envelope{Status: "success", Data: data, Warnings: warnings, Infos: infos})
}
