package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// server is one live process of a service.
type server struct {
	shop    *Shop
	service int
	spec    *Service
	metrics *metrics
	client  *http.Client
	http    *http.Server

	ctx     context.Context // ends with the process
	cancel  context.CancelFunc
	mu      sync.Mutex // orders running.Add before running.Wait
	closed  bool
	running sync.WaitGroup

	places  chan struct{} // database only: one per running query
	waiting atomic.Int64
}

// startServer serves a service on a listener, which it owns from now on.
func startServer(shop *Shop, service int, listener net.Listener) *server {
	s := &server{
		shop:    shop,
		service: service,
		spec:    &shop.spec.Services[service],
		metrics: newMetrics(&shop.spec, service, shop.conditions.Load().Releases[service].Version),
		client:  &http.Client{Transport: newTransport()},
	}
	s.ctx, s.cancel = context.WithCancel(shop.ctx)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	if s.spec.Pool != nil {
		s.places = make(chan struct{}, s.spec.Pool.Size)
		mux.HandleFunc("GET /query", s.handle(s.query))
	} else {
		mux.HandleFunc("GET /{$}", s.handle(s.answer))
	}
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(shop.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	s.running.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			shop.log.Error("the demo's server ended", "service", s.spec.Name, "error", err)
		}
	})
	return s
}

// close ends the process at once: connections break, requests are cancelled.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if err := s.http.Close(); err != nil {
		s.shop.log.Debug("closing the demo's server", "service", s.spec.Name, "error", err)
	}
	s.running.Wait()
	s.client.CloseIdleConnections()
}

// handle counts what a handler answers.
func (s *server) handle(answer func(ctx context.Context, r *http.Request) code) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			return
		}
		defer s.running.Done()
		begin := time.Now()
		result := answer(r.Context(), r)
		if result != codeClosed && r.Context().Err() != nil {
			result = codeClosed
		}
		s.metrics.requests.WithLabelValues(result.String()).Inc()
		if s.metrics.durations != nil {
			s.metrics.durations.WithLabelValues(result.String()).Observe(time.Since(begin).Seconds())
		}
		w.WriteHeader(result.status())
	}
}

// enter reports whether the process still takes requests, and counts one in.
func (s *server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// answer serves one request: the service's own time, then its calls side by side.
func (s *server) answer(ctx context.Context, _ *http.Request) code {
	if !sleep(ctx, time.Duration(s.shop.draw(float64(s.spec.Latency)))) {
		return codeClosed
	}
	if s.shop.fails() {
		return codeFailed
	}
	results := make([]code, len(s.spec.Calls))
	var calls sync.WaitGroup
	for i := range s.spec.Calls {
		calls.Go(func() {
			for n := 0; n < s.spec.Calls[i].Times && results[i] == codeOK; n++ {
				results[i] = s.call(ctx, &s.spec.Calls[i])
			}
		})
	}
	calls.Wait()
	for _, r := range results {
		if r != codeOK {
			return r.ofCallee()
		}
	}
	return codeOK
}

// call calls once, with retries.
func (s *server) call(ctx context.Context, c *Call) code {
	conditions := s.shop.conditions.Load()
	policy := conditions.policy(s.service, c)
	for retry := 0; ; retry++ {
		result := s.attempt(ctx, c, policy.Timeout)
		if result == codeOK || result == codeCanceled || retry == policy.Retries {
			return result
		}
		if !sleep(ctx, s.shop.backoff(policy.Backoff, retry)) {
			return codeCanceled
		}
		s.metrics.clientRetries.WithLabelValues(c.Callee).Inc()
	}
}

// attempt is one HTTP request to a callee.
func (s *server) attempt(ctx context.Context, c *Call, timeout time.Duration) code {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin := time.Now()
	status, err := get(limited, s.client, s.url(c))
	result := codeOfStatus(status)
	switch {
	case ctx.Err() != nil:
		result = codeCanceled
	case limited.Err() != nil:
		result = codeTimeout
	case err != nil:
		result = codeUnreachable
	}
	s.metrics.clientDurations.WithLabelValues(c.Callee).Observe(time.Since(begin).Seconds())
	s.metrics.clientRequests.WithLabelValues(c.Callee, result.String()).Inc()
	return result
}

// url returns what is requested of a callee; of the database, a query with what
// it demands.
func (s *server) url(c *Call) string {
	i := s.shop.spec.index(c.Callee)
	callee := &s.shop.spec.Services[i]
	if callee.Pool == nil {
		return "http://" + s.shop.addresses[i] + "/"
	}
	median, rows := s.shop.conditions.Load().query(s.service, c, callee.Pool)
	return fmt.Sprintf("http://%s/query?client=%s&median=%s&rows=%d", s.shop.addresses[i], s.spec.Name, median, rows)
}

// query runs a query on the database: it waits for a place while its client is
// there, and then runs to its end whether the client is there or not.
func (s *server) query(ctx context.Context, r *http.Request) code {
	if s.shop.fails() {
		return codeFailed
	}
	client := r.FormValue("client")
	median, err := time.ParseDuration(r.FormValue("median"))
	rows, err2 := strconv.Atoi(r.FormValue("rows"))
	if err != nil || err2 != nil || median < 0 || rows < 0 || !s.isClient(client) {
		return codeFailed
	}
	if result := s.takePlace(ctx); result != codeOK {
		return result
	}
	s.metrics.inUse.Inc()
	begin := time.Now()
	finished := sleep(s.ctx, min(time.Duration(s.shop.draw(float64(median))), maxExecution))
	s.metrics.inUse.Dec()
	<-s.places
	if !finished {
		return codeClosed
	}
	s.metrics.queryDuration.Observe(time.Since(begin).Seconds())
	s.metrics.queries.WithLabelValues(client).Inc()
	s.metrics.rows.WithLabelValues(client).Add(float64(s.shop.draw(float64(rows))))
	return codeOK
}

func (s *server) isClient(name string) bool {
	i := s.shop.spec.index(name)
	if i < 0 {
		return false
	}
	for _, c := range s.shop.spec.Services[i].Calls {
		if c.Callee == s.spec.Name {
			return true
		}
	}
	return false
}

// takePlace takes a place in the pool, waiting in the bounded queue if need be.
func (s *server) takePlace(ctx context.Context) code {
	select {
	case s.places <- struct{}{}:
		return codeOK
	default:
	}
	if s.waiting.Add(1) > int64(s.spec.Pool.Queue) {
		s.waiting.Add(-1)
		return codeBusy
	}
	s.metrics.waiting.Inc()
	defer func() {
		s.metrics.waiting.Dec()
		s.waiting.Add(-1)
	}()
	select {
	case s.places <- struct{}{}:
		return codeOK
	case <-ctx.Done():
		return codeClosed
	}
}

func newTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

// get requests a URL and reads the answer to its end, so that the connection is
// used again.
func get(ctx context.Context, client *http.Client, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response.StatusCode, errors.Join(err, response.Body.Close())
}
