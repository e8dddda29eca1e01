package web

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
)

type jsonExemplars struct {
	SeriesLabels labels.Labels  `json:"seriesLabels"`
	Exemplars    []jsonExemplar `json:"exemplars"`
}

type jsonExemplar struct {
	Labels    labels.Labels `json:"labels"`
	Value     sampleValue   `json:"value"`
	Timestamp number        `json:"timestamp"` // Unix seconds
}

// apiExemplars answers in Prometheus's shape.
func (s *server) apiExemplars(w http.ResponseWriter, r *http.Request) {
	if s.Exemplars == nil {
		s.respondError(w, errorNotFound, errors.New("this server keeps no exemplars"))
		return
	}
	err := parseForm(r)
	from, to := minTime, maxTime
	if err == nil {
		from, err = paramTime(r, "start", from)
	}
	if err == nil {
		to, err = paramTime(r, "end", to)
	}
	if err == nil && to.Before(from) {
		err = invalidParam("end", errors.New("end timestamp must not be before start time"))
	}
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	found, err := s.Exemplars(r.Context(), r.FormValue("query"), from, to)
	if err != nil {
		s.respondError(w, classify(err), err)
		return
	}
	s.respond(w, apiExemplars(found))
}

func apiExemplars(found []exemplar.QueryResult) []jsonExemplars {
	out := []jsonExemplars{}
	for _, of := range found {
		j := jsonExemplars{SeriesLabels: of.SeriesLabels, Exemplars: []jsonExemplar{}}
		for _, e := range of.Exemplars {
			j.Exemplars = append(j.Exemplars, jsonExemplar{Labels: e.Labels, Value: sampleValue(e.Value), Timestamp: number(float64(e.Ts) / 1000)})
		}
		out = append(out, j)
	}
	return out
}

// federate shows the newest samples of series that are kept here, for another
// Prometheus to scrape, as Prometheus's endpoint of this name does. Native
// histograms, which the text format does not have, are left out.
func (s *server) federate(w http.ResponseWriter, r *http.Request) {
	if s.Latest == nil {
		http.Error(w, "this server keeps no samples", http.StatusNotFound)
		return
	}
	if err := parseForm(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(r.Form["match[]"]) == 0 {
		http.Error(w, "no match[] parameter provided", http.StatusBadRequest)
		return
	}
	v, err := s.Latest(r.Context(), r.Form["match[]"], s.Now())
	if err != nil {
		http.Error(w, err.Error(), classify(err).code())
		return
	}
	var b bytes.Buffer
	last := ""
	for _, sample := range v {
		name := sample.Metric.Get(model.MetricNameLabel)
		if sample.H != nil || !model.LegacyValidation.IsValidMetricName(name) {
			continue
		}
		if name != last {
			b.WriteString("# TYPE " + name + " untyped\n")
			last = name
		}
		writeSample(&b, name, sample.Metric)
		b.WriteString(" " + strconv.FormatFloat(sample.F, 'g', -1, 64) + " " + strconv.FormatInt(sample.T, 10) + "\n")
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	// An error here means that the client has gone: nobody is left to tell.
	_, _ = w.Write(b.Bytes())
}

// writeSample writes a series as the text format has it. As in Prometheus one
// without an instance gets an empty one, so that a scrape with honor_labels adds none.
func writeSample(b *bytes.Buffer, name string, ls labels.Labels) {
	b.WriteString(name)
	first := true
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel || !model.LegacyValidation.IsValidLabelName(l.Name) {
			return
		}
		b.WriteByte(map[bool]byte{true: '{', false: ','}[first])
		first = false
		b.WriteString(l.Name + `="` + escaper.Replace(l.Value) + `"`)
	})
	if !ls.Has(model.InstanceLabel) {
		b.WriteString(map[bool]string{true: "{", false: ","}[first] + `instance=""`)
		first = false
	}
	if !first {
		b.WriteByte('}')
	}
}

// escaper escapes a label's value as the text format wants it.
var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
