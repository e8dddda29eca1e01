package source

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// remoteMetrics are what a [Remote] says of the server that it asks.
type remoteMetrics struct {
	duration *prometheus.HistogramVec // by outcome; further attempts are in it
	retries  prometheus.Counter
	refused  prometheus.Counter
	partial  prometheus.Counter
}

func newRemoteMetrics(reg prometheus.Registerer, b *bounded) (*remoteMetrics, error) {
	m := &remoteMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "foreshock_source_request_duration_seconds",
			Help:    "How long requests to the source took with all their attempts, by outcome: ok, refused (the server's answer is an error), failed (no answer).",
			Buckets: []float64{.01, .05, .2, 1, 5, 20, 60},
		}, []string{"outcome"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_source_retries_total", Help: "Further attempts at requests to the source.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_source_queries_refused_total", Help: "Queries that were not sent, since the source did not keep up with those before.",
		}),
		partial: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_source_partial_answers_total", Help: "Answers of which the source says that data may be missing in them.",
		}),
	}
	for _, outcome := range []string{outcomeOK, outcomeRefused, outcomeFailed} {
		m.duration.WithLabelValues(outcome)
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "foreshock_source_queries_waiting", Help: "Queries that wait for others to be answered first.",
	}, func() float64 { return float64(b.waiting.Load()) })
	for _, c := range []prometheus.Collector{m.duration, m.retries, m.refused, m.partial, waiting} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("source: register metrics: %w", err)
		}
	}
	return m, nil
}

const (
	outcomeOK      = "ok"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

func outcome(resp *http.Response, err error) string {
	switch {
	case errors.Is(err, errTooLarge):
		return outcomeRefused
	case err != nil, resp == nil:
		return outcomeFailed
	case resp.StatusCode/100 != 2:
		return outcomeRefused
	}
	return outcomeOK
}
