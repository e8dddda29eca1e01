package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// RemoteOptions say which server is asked and within which bounds.
type RemoteOptions struct {
	// URL of a server with Prometheus's query API: Prometheus, Mimir, Thanos,
	// VictoriaMetrics. Its query parameters are sent along. Required.
	URL string
	// HTTPClient is TLS, authentication and headers; nil is Prometheus's default.
	HTTPClient *config_util.HTTPClientConfig
	// Results takes what is written and answers what reads only that. Required.
	Results *Local
	// Own are the metric names that are in Results; nil: none. It is asked at each query.
	Own func() map[string]bool

	Timeout       time.Duration // of one attempt; 30 s
	LookbackDelta time.Duration // sent along; 0: the server's own
	MaxBytes      int64         // of one answer, uncompressed; 256 MiB
	MaxSamples    int           // of one answer; 10,000,000
	Retries       int           // further attempts after the first; 3, below 0: none
	Backoff       time.Duration // before the first retry, doubled for each further one up to 30 s; 500 ms
	Concurrency   int           // queries at the same time; 8
	// Waiting bounds the queries that wait for their turn, none of them longer
	// than Timeout; 100. What comes beyond is refused at once.
	Waiting    int
	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are not exposed
}

func (o *RemoteOptions) fillDefaults() {
	if o.HTTPClient == nil {
		c := config_util.DefaultHTTPClientConfig
		o.HTTPClient = &c
	}
	if o.Own == nil {
		o.Own = func() map[string]bool { return nil }
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxSamples <= 0 {
		o.MaxSamples = 10_000_000
	}
	if o.Retries == 0 {
		o.Retries = 3
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.Waiting <= 0 {
		o.Waiting = 100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
}

// Remote reads from a server with Prometheus's query API and writes into a
// local store. An expression that reads only our own outputs (or nothing) is
// evaluated here, every other one whole by the server; one that reads both is
// an error, see [CheckRemote].
type Remote struct {
	router
	o       RemoteOptions
	shown   string // the URL without credentials and parameters
	client  *http.Client
	http    *bounded
	api     apiv1.API
	log     *slog.Logger
	metrics *remoteMetrics

	mu     sync.Mutex
	warned map[string]bool // expressions whose warnings are in the log
}

// maxWarned bounds the expressions that are remembered to have been warned of.
const maxWarned = 10_000

// NewRemote checks the options; it does not ask the server.
func NewRemote(o RemoteOptions) (*Remote, error) {
	o.fillDefaults()
	if o.Results == nil {
		return nil, errors.New("source: a store for results is missing")
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("source: url: %w", withoutURL(err))
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("source: url %q: want http://host:port or https://host, with the path before /api/v1 where there is one", u.Redacted())
	}
	if err := o.HTTPClient.Validate(); err != nil {
		return nil, fmt.Errorf("source: http_client: %w", err)
	}
	client, err := config_util.NewClientFromConfig(*o.HTTPClient, "foreshock_source")
	if err != nil {
		return nil, fmt.Errorf("source: http_client: %w", err)
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v1")
	r := &Remote{o: o, shown: showURL(u), client: client, log: o.Logger, warned: map[string]bool{}}
	r.http = &bounded{base: u, client: client, o: &r.o, log: r.log, slots: make(chan struct{}, o.Concurrency)}
	if r.metrics, err = newRemoteMetrics(o.Registerer, r.http); err != nil {
		return nil, err
	}
	r.http.metrics = r.metrics
	r.api = apiv1.NewAPI(r.http)
	r.router = router{remote: r, local: o.Results.evaluator, own: o.Own}
	return r, nil
}

var _ api.Client = (*bounded)(nil)

// Store returns the server and the results as what a step reads and writes.
// Its Close is [Remote.Close].
func (r *Remote) Store() Store {
	return Store{
		Query: r.query, Range: r.queryRange,
		Queryable: r.o.Results.db, Appendable: r.o.Results.db, Close: r.Close, remote: r,
	}
}

// Close gives up idle connections. The results stay open.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// URL returns the server's address without credentials and parameters.
func (r *Remote) URL() string { return r.shown }

// Key names the server and what else an answer depends on, as
// [WindowsOptions] wants it: address, query parameters, user name, headers (a
// tenant is often one of them) and lookback. It shows no credentials: what may
// hold some is in it as a hash, and passwords and tokens, which change while
// the data do not, are left out.
func (r *Remote) Key() string {
	h := sha256.New()
	u, c := *r.http.base, r.o.HTTPClient
	fmt.Fprintf(h, "%q\n", u.RawQuery)
	if u.User != nil {
		fmt.Fprintf(h, "user %q\n", u.User.Username())
	}
	if c.BasicAuth != nil {
		fmt.Fprintf(h, "user %q %q\n", c.BasicAuth.Username, c.BasicAuth.UsernameFile)
	}
	if c.HTTPHeaders != nil {
		for _, name := range slices.Sorted(maps.Keys(c.HTTPHeaders.Headers)) {
			v := c.HTTPHeaders.Headers[name]
			fmt.Fprintf(h, "header %q %q %q\n", name, v.Values, v.Files)
		}
	}
	return fmt.Sprintf("%s lookback=%s options=%x", r.shown, r.o.LookbackDelta, h.Sum(nil)[:8])
}

// router sends an expression to where its series are.
type router struct {
	remote *Remote
	local  evaluator
	own    func() map[string]bool
}

// here says whether an expression is evaluated from our own outputs.
func (r router) here(expr string) (bool, error) {
	e, err := newParser().ParseExpr(expr)
	if err != nil {
		return false, err
	}
	reads := reachOf(e, r.own())
	return reads.input == "", checkMixed(expr, reads)
}

// Evaluate evaluates any expression at ts, for the query API.
func (r router) Evaluate(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	here, err := r.here(expr)
	if err != nil {
		return nil, nil, err
	}
	if here {
		return r.local.instant(ctx, expr, ts)
	}
	return r.remote.instant(ctx, expr, ts)
}

// EvaluateRange is Evaluate over a range, both ends included.
func (r router) EvaluateRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (parser.Value, annotations.Annotations, error) {
	here, err := r.here(expr)
	if err != nil {
		return nil, nil, err
	}
	if here {
		return r.local.span(ctx, expr, from, to, step)
	}
	return r.remote.span(ctx, expr, from, to, step)
}

func (r router) query(ctx context.Context, expr string, ts time.Time) (promql.Vector, error) {
	v, _, err := r.Evaluate(ctx, expr, ts)
	if err != nil {
		return nil, err
	}
	return asVector(expr, v)
}

func (r router) queryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	v, _, err := r.EvaluateRange(ctx, expr, from, to, step)
	if err != nil {
		return nil, err
	}
	return asMatrix(expr, v)
}

func (r *Remote) instant(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	ctx, partial := WatchPartial(ctx)
	v, warnings, err := r.api.Query(ctx, expr, ts, r.params()...)
	return r.finish(ctx, expr, v, withPartial(warnings, partial()), err)
}

func (r *Remote) span(ctx context.Context, expr string, from, to time.Time, step time.Duration) (parser.Value, annotations.Annotations, error) {
	if step <= 0 {
		return nil, nil, fmt.Errorf("range query with step %s: it must be more than zero", step)
	}
	ctx, partial := WatchPartial(ctx)
	v, warnings, err := r.api.QueryRange(ctx, expr, apiv1.Range{Start: from, End: to, Step: step}, r.params()...)
	return r.finish(ctx, expr, v, withPartial(warnings, partial()), err)
}

func (r *Remote) params() []apiv1.Option {
	ps := []apiv1.Option{apiv1.WithTimeout(r.o.Timeout)}
	if r.o.LookbackDelta > 0 {
		ps = append(ps, apiv1.WithLookbackDelta(r.o.LookbackDelta))
	}
	return ps
}

// withPartial adds the warning of an answer that says in another way that it is partial.
func withPartial(warnings apiv1.Warnings, partial bool) apiv1.Warnings {
	if !partial {
		return warnings
	}
	return append(warnings, vmPartialWarning)
}

// finish turns an answer into the engine's values, and its error into one that
// says who was asked what.
func (r *Remote) finish(ctx context.Context, expr string, v model.Value, warnings apiv1.Warnings, err error) (parser.Value, annotations.Annotations, error) {
	notes := annotations.New()
	for _, w := range warnings {
		notes.Add(fmt.Errorf("%s: %s", r.shown, clip(w)))
	}
	r.logWarnings(expr, warnings)
	if slices.ContainsFunc(warnings, isPartial) {
		tellPartial(ctx)
		r.metrics.partial.Inc()
	}
	if err == nil {
		var out parser.Value
		if out, err = convert(v, r.o.MaxSamples); err == nil {
			return out, *notes, nil
		}
	}
	return nil, *notes, fmt.Errorf("source %s: query %s: %w", r.shown, clip(expr), r.classify(ctx, explainServer(err)))
}

// logWarnings logs the first warnings of each expression.
func (r *Remote) logWarnings(expr string, warnings apiv1.Warnings) {
	if len(warnings) == 0 {
		return
	}
	r.mu.Lock()
	known := r.warned[expr] || len(r.warned) >= maxWarned
	if !known {
		r.warned[expr] = true
	}
	r.mu.Unlock()
	if !known {
		r.log.Warn("the source answers with warnings; further ones of this expression are not logged",
			"url", r.shown, "expr", expr, "warnings", clip(strings.Join(warnings, "; ")))
	}
}

// explainServer puts what the server said into the message.
func explainServer(err error) error {
	var e *apiv1.Error
	if errors.As(err, &e) && e.Detail != "" {
		return fmt.Errorf("%w: %s", err, clip(strings.TrimSpace(e.Detail)))
	}
	return withoutURL(err)
}

// withoutURL strips the URL, which may hold credentials, from errors of net/http and net/url.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func showURL(u *url.URL) string {
	c := *u
	c.User, c.RawQuery, c.Fragment = nil, "", ""
	return c.String()
}
