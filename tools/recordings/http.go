package main

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// serveHTTP answers requests behind promhttp's and OpenTelemetry's middleware.
func serveHTTP(reg *prometheus.Registry) error {
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return err
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests by status and method."}, []string{"code", "method"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Latency of requests."}, []string{"code", "method"})
	reg.MustRegister(requests, seconds)
	n := 0
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		time.Sleep(time.Duration(n%7) * 4 * time.Millisecond)
		if n%50 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("GET /cart", handler)
	handler = promhttp.InstrumentHandlerCounter(requests, promhttp.InstrumentHandlerDuration(seconds, mux))
	server := httptest.NewServer(otelhttp.NewHandler(handler, "server", otelhttp.WithMeterProvider(provider)))
	defer server.Close()
	for range 200 {
		resp, err := http.Get(server.URL + "/cart")
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
	return nil
}
