package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"sort"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/foreshock/foreshock/internal/plot"
)

// maxBody bounds a request's body in bytes: a posted change, or the form of a query.
const maxBody = 1 << 20

// csp lets a page load its own style sheet and images and nothing else.
const csp = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// route is one path and what it answers to each method; HEAD goes with GET.
type route struct {
	path    string // as http.ServeMux takes it, without method
	name    string // value of the label `handler`
	methods map[string]http.HandlerFunc
}

func get(h http.HandlerFunc) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{http.MethodGet: h}
}

func (s *server) table() []route {
	form := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: h, http.MethodPost: h}
	}
	act := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodPost: h, http.MethodPut: h}
	}
	metrics := promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return []route{
		{"/{$}", "/", get(s.pageIncidents)},
		{"/incidents/{id}", "/incidents/:id", get(s.pageIncident)},
		{"/incidents/{id}/plot.svg", "/incidents/:id/plot.svg", get(s.plot)},
		{"/incidents/{id}/act", "/incidents/:id/act", form(s.pageAct)},
		{"/services", "/services", get(s.pageServices)},
		{"/rules", "/rules", get(s.pageRules)},
		{"/targets", "/targets", get(s.pageTargets)},
		{"/status", "/status", get(s.pageStatus)},
		{"/static/{name}", "/static", get(s.serveStatic)},

		{"/api/v1/incidents", "/api/v1/incidents", get(s.apiIncidents)},
		{"/api/v1/incidents/{id}", "/api/v1/incidents/:id", get(s.apiIncident)},
		{"/api/v1/incidents/{id}/{act}", "/api/v1/incidents/:id/:act", map[string]http.HandlerFunc{http.MethodPost: s.apiAct}},
		{"/api/v1/anomalies", "/api/v1/anomalies", get(s.apiAnomalies)},
		{"/api/v1/topology", "/api/v1/topology", get(s.apiTopology)},
		{"/api/v1/changes", "/api/v1/changes", map[string]http.HandlerFunc{
			http.MethodGet: s.apiChanges, http.MethodPost: s.apiAddChange}},
		{"/api/v1/rules", "/api/v1/rules", get(s.apiRules)},
		{"/api/v1/alerts", "/api/v1/alerts", get(s.apiAlerts)},
		{"/api/v1/targets", "/api/v1/targets", get(s.apiTargets)},
		{"/api/v1/scrape_pools", "/api/v1/scrape_pools", get(s.apiScrapePools)},
		{"/api/v1/alertmanagers", "/api/v1/alertmanagers", get(s.apiAlertmanagers)},
		{"/api/v1/status/buildinfo", "/api/v1/status/buildinfo", get(s.apiBuildInfo)},
		{"/api/v1/status/runtimeinfo", "/api/v1/status/runtimeinfo", get(s.apiRuntimeInfo)},
		{"/api/v1/status/config", "/api/v1/status/config", get(s.apiConfig)},
		{"/api/v1/status/flags", "/api/v1/status/flags", get(s.apiFlags)},
		{"/api/v1/status/tsdb", "/api/v1/status/tsdb", get(s.apiTSDB)},
		{"/api/v1/status/walreplay", "/api/v1/status/walreplay", get(s.apiWALReplay)},
		{"/api/v1/query", "/api/v1/query", form(s.apiQuery)},
		{"/api/v1/query_range", "/api/v1/query_range", form(s.apiQueryRange)},
		{"/api/v1/query_exemplars", "/api/v1/query_exemplars", form(s.apiExemplars)},
		{"/api/v1/format_query", "/api/v1/format_query", form(s.apiFormatQuery)},
		{"/api/v1/series", "/api/v1/series", form(s.apiSeries)},
		{"/api/v1/labels", "/api/v1/labels", form(s.apiLabels)},
		{"/api/v1/label/{name}/values", "/api/v1/label/:name/values", get(s.apiLabelValues)},
		{writePath, writePath, map[string]http.HandlerFunc{http.MethodPost: s.apiWrite}},
		{"/api/v1/metadata", "/api/v1/metadata", get(s.apiMetadata)},

		{"/federate", "/federate", get(s.federate)},
		{"/metrics", "/metrics", get(metrics.ServeHTTP)},
		{"/-/healthy", "/-/healthy", get(s.healthy)},
		{"/-/ready", "/-/ready", get(s.ready)},
		{"/-/reload", "/-/reload", act(s.reload)},
		{"/-/quit", "/-/quit", act(s.quit)},
		{"/", "not_found", get(s.notFound)},
	}
}

func (s *server) routes(m *httpMetrics) http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table() {
		mux.Handle(r.path, m.observe(r.name, s.allow(r.methods)))
	}
	return s.guard(s.stripPrefix(s.recoverPanics(mux)))
}

// allow answers 405 to methods that the route does not have.
func (s *server) allow(methods map[string]http.HandlerFunc) http.Handler {
	var names []string
	for name := range methods {
		names = append(names, name)
		if name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	sort.Strings(names)
	allowed := strings.Join(names, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := methods[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			s.fail(w, r, http.StatusMethodNotAllowed, errorBadData,
				fmt.Errorf("method %s is not allowed here: use %s", plot.Clip(r.Method, 20), allowed))
			return
		}
		h(w, r)
	})
}

// guard sets the headers of every answer and bounds bodies.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if s.Write == nil || !strings.HasSuffix(r.URL.Path, writePath) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}

const writePath = "/api/v1/write"

func (s *server) apiWrite(w http.ResponseWriter, r *http.Request) {
	if s.Write == nil {
		s.respondError(w, errorNotFound, errors.New("remote write is not received here: start with --web.enable-remote-write-receiver"))
		return
	}
	s.Write.ServeHTTP(w, r)
}

// recoverPanics turns a panic into a 500.
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // how a handler aborts an answer; net/http expects to see it
			}
			s.Logger.Error("a request could not be answered", "path", plot.Clip(r.URL.Path, 200), "panic", p, "stack", string(debug.Stack()))
			s.fail(w, r, http.StatusInternalServerError, errorInternal, errors.New("internal error: the log has the details"))
		}()
		next.ServeHTTP(w, r)
	})
}

// stripPrefix takes the path of the external URL off where the proxy in front has left it.
func (s *server) stripPrefix(next http.Handler) http.Handler {
	if s.prefix == "" {
		return next
	}
	prefix := strings.TrimRight(s.ExternalURL.Path, "/")
	strip := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == prefix:
			http.Redirect(w, r, s.prefix+"/", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, prefix+"//"):
			// The mux would send the browser to the clean path, but without the prefix.
			u := url.URL{Path: prefix + "/" + strings.TrimLeft(r.URL.Path[len(prefix):], "/"), RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
		case strings.HasPrefix(r.URL.Path, prefix+"/"):
			strip.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fail answers with an error in the form that the caller expects: the API's
// envelope, or a page. The path has no prefix any more.
func (s *server) fail(w http.ResponseWriter, r *http.Request, code int, typ errorType, err error) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/"):
		s.respondErrorCode(w, code, typ, err)
	case strings.HasPrefix(path, "/-/"), path == "/metrics", path == "/federate":
		http.Error(w, err.Error(), code)
	default:
		s.pageError(w, code, err)
	}
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, http.StatusNotFound, errorNotFound, errors.New("there is nothing at this address"))
}

type httpMetrics struct{ duration *prometheus.HistogramVec }

func newMetrics(reg prometheus.Registerer) (*httpMetrics, error) {
	m := &httpMetrics{duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "foreshock_http_request_duration_seconds",
		Help:    "Time to answer HTTP requests, by handler.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"handler"})}
	if reg == nil {
		return m, nil
	}
	if err := reg.Register(m.duration); err != nil {
		return nil, fmt.Errorf("web: register metrics: %w", err)
	}
	return m, nil
}

func (m *httpMetrics) observe(name string, next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(prometheus.Labels{"handler": name}), next)
}
