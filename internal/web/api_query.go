package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// maxPoints bounds the steps of a range query, as in Prometheus.
const maxPoints = 11000

// maxNotes bounds the warnings and, apart from them, the infos of an answer.
const maxNotes = 10

func (s *server) apiQuery(w http.ResponseWriter, r *http.Request) {
	if s.Query == nil {
		s.respondError(w, errorNotFound, errors.New("this server answers no queries"))
		return
	}
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	ts, err := paramTime(r, "time", s.Now())
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	s.evaluate(w, r, func(ctx context.Context, expr string) (parser.Value, annotations.Annotations, error) {
		return s.Query(ctx, expr, ts)
	})
}

func (s *server) apiQueryRange(w http.ResponseWriter, r *http.Request) {
	if s.QueryRange == nil {
		s.respondError(w, errorNotFound, errors.New("this server answers no range queries"))
		return
	}
	start, end, step, err := parseRange(r)
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	s.evaluate(w, r, func(ctx context.Context, expr string) (parser.Value, annotations.Annotations, error) {
		return s.QueryRange(ctx, expr, start, end, step)
	})
}

// parseRange reads start, end and step and refuses what Prometheus refuses.
func parseRange(r *http.Request) (start, end time.Time, step time.Duration, err error) {
	if err = parseForm(r); err != nil {
		return start, end, 0, err
	}
	if start, err = parseTime(r.FormValue("start")); err != nil {
		return start, end, 0, invalidParam("start", err)
	}
	if end, err = parseTime(r.FormValue("end")); err != nil {
		return start, end, 0, invalidParam("end", err)
	}
	if end.Before(start) {
		return start, end, 0, invalidParam("end", errors.New("end timestamp must not be before start time"))
	}
	if step, err = parseDuration(r.FormValue("step")); err != nil {
		return start, end, 0, invalidParam("step", err)
	}
	if step <= 0 {
		return start, end, 0, invalidParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	// PromQL counts in milliseconds: a shorter step would be one of zero.
	if step < time.Millisecond {
		return start, end, 0, invalidParam("step", fmt.Errorf("%s is too short: use 1ms at least", step))
	}
	// As floats, since a Duration does not reach from the first to the last time that can be asked for.
	if float64(end.UnixMilli())-float64(start.UnixMilli()) > maxPoints*float64(step.Milliseconds()) {
		return start, end, 0, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return start, end, step, nil
}

// evaluate runs one query under the request's timeout and limit and answers it.
func (s *server) evaluate(w http.ResponseWriter, r *http.Request, run func(context.Context, string) (parser.Value, annotations.Annotations, error)) {
	ctx := r.Context()
	if text := r.FormValue("timeout"); text != "" {
		timeout, err := parseDuration(text)
		if err != nil {
			s.respondError(w, errorBadData, invalidParam("timeout", err))
			return
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	limit, err := paramCount(r, "limit")
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	expr := r.FormValue("query")
	val, notes, err := run(ctx, expr)
	if err != nil {
		typ := classify(err)
		s.write(w, typ.code(), envelope{Status: "error", ErrorType: typ, Error: err.Error()})
		return
	}
	data, err := encodeValue(val)
	if err != nil {
		s.respondError(w, errorInternal, err)
		return
	}
	warnings, infos := notes.AsStrings(expr, maxNotes, maxNotes)
	if limit > 0 && data.truncate(limit) {
		warnings = append(warnings, "results truncated due to limit")
	}
	s.write(w, http.StatusOK, envelope{Status: "success", Data: data, Warnings: warnings, Infos: infos})
}

// classify finds Prometheus's class of a query's error.
func classify(err error) errorType {
	var (
		parse    parser.ParseErrors
		parseOne *parser.ParseErr
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		storage  promql.ErrStorage
		remote   *v1.Error
		gone     interface{ Unavailable() bool }
	)
	switch {
	case errors.As(err, &parse), errors.As(err, &parseOne):
		return errorBadData
	case errors.As(err, &canceled):
		return errorCanceled
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return errorTimeout
	case errors.As(err, &storage):
		return errorInternal
	case errors.As(err, &remote):
		return classifyRemote(remote.Type)
	case errors.As(err, &gone):
		return errorUnavailable
	case errors.Is(err, context.Canceled):
		return errorCanceled
	}
	return errorExec
}

// classifyRemote passes on what a remote server said, and tells its own
// faults from those of the query.
func classifyRemote(t v1.ErrorType) errorType {
	switch t {
	case v1.ErrBadData:
		return errorBadData
	case v1.ErrTimeout:
		return errorTimeout
	case v1.ErrCanceled:
		return errorCanceled
	case v1.ErrExec:
		return errorExec
	}
	return errorUnavailable
}

// queryData is the data of a query's answer.
type queryData struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     any              `json:"result"`
}

type jsonSample struct {
	Metric    labels.Labels `json:"metric"`
	Value     *jsonPair     `json:"value,omitempty"`
	Histogram *jsonHistPair `json:"histogram,omitempty"`
}

type jsonSeries struct {
	Metric     labels.Labels  `json:"metric"`
	Values     []jsonPair     `json:"values,omitempty"`
	Histograms []jsonHistPair `json:"histograms,omitempty"`
}

// jsonPair is a timestamp in Unix seconds and a value.
type jsonPair struct {
	millis int64
	value  any
}

func (p jsonPair) MarshalJSON() ([]byte, error) {
	v, err := json.Marshal(p.value)
	if err != nil {
		return nil, err
	}
	b := []byte{'['}
	b = strconv.AppendFloat(b, float64(p.millis)/1000, 'f', -1, 64)
	b = append(b, ',')
	return append(append(b, v...), ']'), nil
}

// encodeValue turns a result into the API's shape. It copies what it keeps.
func encodeValue(val parser.Value) (*queryData, error) {
	d := &queryData{}
	switch v := val.(type) {
	case promql.Vector:
		list := make([]jsonSample, 0, len(v))
		for _, sm := range v {
			j := jsonSample{Metric: sm.Metric}
			if sm.H != nil {
				j.Histogram = histPair(sm.T, sm.H)
			} else {
				j.Value = &jsonPair{sm.T, sampleValue(sm.F)}
			}
			list = append(list, j)
		}
		d.ResultType, d.Result = parser.ValueTypeVector, list
	case promql.Matrix:
		list := make([]jsonSeries, 0, len(v))
		for _, sr := range v {
			j := jsonSeries{Metric: sr.Metric}
			for _, p := range sr.Floats {
				j.Values = append(j.Values, jsonPair{p.T, sampleValue(p.F)})
			}
			for _, p := range sr.Histograms {
				j.Histograms = append(j.Histograms, *histPair(p.T, p.H))
			}
			list = append(list, j)
		}
		d.ResultType, d.Result = parser.ValueTypeMatrix, list
	case promql.Scalar:
		d.ResultType, d.Result = parser.ValueTypeScalar, jsonPair{v.T, sampleValue(v.V)}
	case promql.String:
		d.ResultType, d.Result = parser.ValueTypeString, jsonPair{v.T, v.V}
	default:
		return nil, fmt.Errorf("a result of type %T cannot be shown", val)
	}
	return d, nil
}

// truncate keeps at most limit series and says whether it dropped any.
func (d *queryData) truncate(limit int) bool {
	switch v := d.Result.(type) {
	case []jsonSample:
		if len(v) > limit {
			d.Result = v[:limit]
			return true
		}
	case []jsonSeries:
		if len(v) > limit {
			d.Result = v[:limit]
			return true
		}
	}
	return false
}
