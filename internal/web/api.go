package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/plot"
)

// errorType is Prometheus's class of an error in the envelope.
type errorType string

const (
	errorBadData     errorType = "bad_data"
	errorExec        errorType = "execution"
	errorCanceled    errorType = "canceled"
	errorTimeout     errorType = "timeout"
	errorInternal    errorType = "internal"
	errorUnavailable errorType = "unavailable"
	errorNotFound    errorType = "not_found"
)

// statusClientClosed is what Prometheus answers when the client went before the result came.
const statusClientClosed = 499

func (t errorType) code() int {
	switch t {
	case errorBadData:
		return http.StatusBadRequest
	case errorExec:
		return http.StatusUnprocessableEntity
	case errorCanceled:
		return statusClientClosed
	case errorTimeout, errorUnavailable:
		return http.StatusServiceUnavailable
	case errorNotFound:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// envelope is Prometheus's frame around each answer.
type envelope struct {
	Status    string    `json:"status"`
	Data      any       `json:"data,omitempty"`
	ErrorType errorType `json:"errorType,omitempty"`
	Error     string    `json:"error,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	Infos     []string  `json:"infos,omitempty"`
}

func (s *server) respond(w http.ResponseWriter, data any) {
	s.write(w, http.StatusOK, envelope{Status: "success", Data: data})
}

func (s *server) respondError(w http.ResponseWriter, typ errorType, err error) {
	s.respondErrorCode(w, typ.code(), typ, err)
}

func (s *server) respondErrorCode(w http.ResponseWriter, code int, typ errorType, err error) {
	s.write(w, code, envelope{Status: "error", ErrorType: typ, Error: err.Error()})
}

// write encodes first and sends then, so that no answer breaks off in the middle.
func (s *server) write(w http.ResponseWriter, code int, e envelope) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(e); err != nil {
		s.Logger.Error("an answer could not be encoded", "err", err)
		code = http.StatusInternalServerError
		b.Reset()
		fmt.Fprintf(&b, `{"status":"error","errorType":"internal","error":%q}`+"\n", "the answer could not be encoded: the log has the details")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// An error here means that the client has gone: nobody is left to tell.
	_, _ = w.Write(b.Bytes())
}

// number is a float in JSON; NaN and infinities, which JSON does not have, are null.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(f)
}

// sampleValue is a sample's value in Prometheus's API: a string, which has NaN and infinities too.
type sampleValue float64

func (v sampleValue) MarshalJSON() ([]byte, error) {
	f := float64(v)
	form := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	b := append([]byte{'"'}, strconv.FormatFloat(f, form, -1, 64)...)
	return append(b, '"'), nil
}

// Limits of the times that JSON and the TSDB can carry.
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()
)

// parseTime reads Unix seconds with a fraction, or RFC 3339, as Prometheus does.
func parseTime(text string) (time.Time, error) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(f) || f < float64(minTime.Unix()) || f > float64(maxTime.Unix()) {
			return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp: it is out of range", plot.Clip(text, 100))
		}
		sec, frac := math.Modf(f)
		frac = math.Round(frac*1000) / 1000
		return time.Unix(int64(sec), int64(frac*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	switch text {
	case minTime.Format(time.RFC3339Nano):
		return minTime, nil
	case maxTime.Format(time.RFC3339Nano):
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp: give Unix seconds or RFC 3339", plot.Clip(text, 100))
}

// parseDuration reads seconds with a fraction, or Prometheus's notation.
func parseDuration(text string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		ns := f * float64(time.Second)
		// float64(MaxInt64) is 2^63, one more than fits.
		if math.IsNaN(ns) || ns >= float64(math.MaxInt64) || ns <= float64(math.MinInt64) {
			return 0, fmt.Errorf("cannot parse %q to a valid duration: it overflows", plot.Clip(text, 100))
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration: give seconds, or as in 5m or 1h30m", plot.Clip(text, 100))
}

func invalidParam(name string, err error) error {
	return fmt.Errorf("invalid parameter %q: %w", name, err)
}

// paramTime reads an optional time parameter.
func paramTime(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, invalidParam(name, err)
	}
	return t, nil
}

// parseForm reads query and form parameters and names what is wrong with them.
func parseForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("error parsing form values: %w", err)
	}
	return nil
}
