package demo

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what one live process exposes; [process] is its simulated twin.
type metrics struct {
	registry  *prometheus.Registry
	version   *prometheus.GaugeVec
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec // nil on the database

	clientRequests  *prometheus.CounterVec
	clientDurations *prometheus.HistogramVec
	clientRetries   *prometheus.CounterVec

	inUse, waiting prometheus.Gauge // these and below: database only
	queryDuration  prometheus.Histogram
	queries, rows  *prometheus.CounterVec
}

func newMetrics(spec *Spec, service int, version string) *metrics {
	svc := &spec.Services[service]
	m := &metrics{registry: prometheus.NewRegistry()}
	m.version = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "build_info", Help: "The running version; always 1.",
	}, []string{"version"})
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests served.",
	}, []string{"code"})
	m.registry.MustRegister(m.version, m.requests)
	m.setVersion(version)
	for _, c := range serverCodes {
		m.requests.WithLabelValues(c.String())
	}
	if svc.Pool != nil {
		m.addDatabase(svc.Pool, spec.clients(svc.Name))
		return m
	}
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time to serve a request.", Buckets: buckets[:],
	}, []string{"code"})
	m.durations.WithLabelValues(codeOK.String())
	m.registry.MustRegister(m.durations)
	m.addClient(svc.Calls)
	return m
}

func (m *metrics) addClient(calls []Call) {
	m.clientRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_client_requests_total", Help: "Calls made, each attempt counted.",
	}, []string{"callee", "code"})
	m.clientDurations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_client_request_duration_seconds", Help: "Time of a call, of each attempt.", Buckets: buckets[:],
	}, []string{"callee"})
	m.clientRetries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_client_retries_total", Help: "Attempts after the first.",
	}, []string{"callee"})
	m.registry.MustRegister(m.clientRequests, m.clientDurations, m.clientRetries)
	for _, call := range calls {
		m.clientDurations.WithLabelValues(call.Callee)
		m.clientRetries.WithLabelValues(call.Callee)
		for _, c := range clientCodes {
			m.clientRequests.WithLabelValues(call.Callee, c.String())
		}
	}
}

func (m *metrics) addDatabase(pool *Pool, clients []string) {
	m.inUse = prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_pool_in_use", Help: "Queries that run."})
	size := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_pool_size", Help: "Queries that can run at the same time."})
	size.Set(float64(pool.Size))
	m.waiting = prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_pool_waiting", Help: "Queries that wait for a place."})
	m.queryDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "db_query_duration_seconds", Help: "Execution time of queries, without waiting.", Buckets: buckets[:],
	})
	m.queries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "db_queries_total", Help: "Queries executed, by client.",
	}, []string{"client"})
	m.rows = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "db_rows_examined_total", Help: "Rows that queries examined, by client.",
	}, []string{"client"})
	m.registry.MustRegister(m.inUse, size, m.waiting, m.queryDuration, m.queries, m.rows)
	for _, c := range clients {
		m.queries.WithLabelValues(c)
		m.rows.WithLabelValues(c)
	}
}

func (m *metrics) setVersion(version string) {
	m.version.Reset()
	m.version.WithLabelValues(version).Set(1)
}
