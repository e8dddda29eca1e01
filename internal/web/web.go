// Package web serves Foreshock's HTTP API and its pages. It knows incidents,
// changes and the dependency graph; everything else reaches it as functions in
// [Options], so that it can be tried out without a server around it.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// Options are what the pages and the API are made from. All functions are
// called from many goroutines at once and what they return is only read, so
// they must return copies or values that nobody changes any more.
type Options struct {
	// Now is the clock: required.
	Now func() time.Time
	// Incidents returns open incidents first, then newest first: required.
	Incidents func() []*incident.Incident
	// Status says how the program is: required.
	Status func() Status
	// Ready says whether the program serves, and why not: required.
	Ready func() (bool, string)

	// Annotations are the words of an incident's alert; nil: those that the
	// incident has by itself, without links.
	Annotations func(*incident.Incident) map[string]string
	// Graph returns the dependency graph; nil or a nil graph: no services are known.
	Graph func() *topology.Graph
	// Gaps says what the graph does not know; nil: nothing is said.
	Gaps func() topology.Gaps
	// ServiceName shows a service to people; nil: as it is.
	ServiceName func(topology.Service) string
	// Changes returns what was changed at or after a time; nil: none.
	Changes func(since time.Time) []change.Change
	// DecodeChange reads a posted change, of one service or of each of several;
	// AddChange keeps it, or gives a [change.ErrTaken]. Both or none.
	DecodeChange func(io.Reader) ([]change.Change, error)
	AddChange    func(context.Context, change.Change) error
	// Act takes what an operator does with an open incident; nil: refused.
	Act func(incident.Act) error
	// ChangesToken is asked of who posts changes or acts, as bearer token. Empty: both are refused.
	ChangesToken string
	// Rules returns the groups in the order of their files; nil: none.
	Rules func() []RuleGroup
	// Targets returns what is scraped, by job; nil: none.
	Targets func() []TargetPool
	// Plot returns the points of an involved series; nil: the trail which the incident carries.
	Plot func(ctx context.Context, incidentID, rule, series string) ([]incident.Point, error)

	// Query and QueryRange evaluate PromQL; nil: the two endpoints answer 404.
	// An error of the expression is a [parser.ParseErrors]; errors of
	// Prometheus's engine and of client_golang's API client are understood too,
	// and one with a method Unavailable() bool says that the source does not answer.
	Query      func(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error)
	QueryRange func(ctx context.Context, expr string, start, end time.Time, step time.Duration) (parser.Value, annotations.Annotations, error)

	// Catalog says what series there are; nil: its endpoints answer 404.
	Catalog Catalog

	// Exemplars returns the exemplars of the series that an expression reads; nil: the endpoint answers 404.
	Exemplars func(ctx context.Context, expr string, from, to time.Time) ([]exemplar.QueryResult, error)
	// Latest returns the newest samples, at their own times, of the series kept
	// here that one of the selectors matches, for /federate; nil: it answers 404.
	Latest func(ctx context.Context, matches []string, at time.Time) (promql.Vector, error)
	// ConfigText is the configuration in force without its secrets; nil: the endpoint answers 404.
	ConfigText func() string
	// Flags are the command line's, by name, with their values; none may be a secret.
	Flags map[string]string
	// TSDB says what the embedded database holds, at most limit entries a list; nil: the endpoint answers 404.
	TSDB func(limit int) (TSDBStatus, error)

	// Write takes Prometheus's remote write and bounds its bodies itself; nil:
	// the endpoint answers 404.
	Write http.Handler

	// Reload and Quit are served at /-/reload and /-/quit if EnableLifecycle is set.
	Reload          func(context.Context) error
	Quit            func()
	EnableLifecycle bool

	// Gatherer is what /metrics shows; nil: prometheus.DefaultGatherer.
	Gatherer prometheus.Gatherer
	// Registerer takes the handlers' own metrics; nil: they are not exposed.
	Registerer prometheus.Registerer
	// ExternalURL is where users reach the server; its path is the prefix of all links. Nil: "/".
	ExternalURL *url.URL
	// Logger is for errors that the user of the browser cannot mend; nil: none.
	Logger *slog.Logger
}

func (o *Options) validate() error {
	var missing []string
	for _, f := range []struct {
		name string
		nil  bool
	}{
		{"Now", o.Now == nil}, {"Incidents", o.Incidents == nil},
		{"Status", o.Status == nil}, {"Ready", o.Ready == nil},
	} {
		if f.nil {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("web: options without %s: set them", strings.Join(missing, ", "))
	}
	if (o.AddChange == nil) != (o.DecodeChange == nil) {
		return errors.New("web: options AddChange and DecodeChange: set both or none")
	}
	if o.EnableLifecycle && (o.Reload == nil || o.Quit == nil) {
		return errors.New("web: options with EnableLifecycle need Reload and Quit")
	}
	if u := o.ExternalURL; u != nil && u.Path != "" && !strings.HasPrefix(u.Path, "/") {
		return fmt.Errorf("web: external URL %q: its path must begin with a slash", u)
	}
	return nil
}

// server holds what the handlers share; nothing in it changes after New.
type server struct {
	Options
	prefix string // path of the external URL without the last slash
	static map[string]asset
	pages  pages
}

// New returns the handler of all endpoints and pages. It serves them under the
// path of the external URL and, for proxies that strip it, without that path.
func New(o Options) (http.Handler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &server{Options: o}
	s.fillDefaults()
	if o.ExternalURL != nil {
		s.prefix = strings.TrimRight(o.ExternalURL.EscapedPath(), "/")
	}
	var err error
	if s.static, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = s.parsePages(); err != nil {
		return nil, err
	}
	m, err := newMetrics(s.Registerer)
	if err != nil {
		return nil, err
	}
	return s.routes(m), nil
}

func (s *server) fillDefaults() {
	if s.Graph == nil {
		s.Graph = func() *topology.Graph { return nil }
	}
	if s.Gaps == nil {
		s.Gaps = func() topology.Gaps { return topology.Gaps{} }
	}
	if s.ServiceName == nil {
		s.ServiceName = func(v topology.Service) string { return string(v) }
	}
	if s.Changes == nil {
		s.Changes = func(time.Time) []change.Change { return nil }
	}
	if s.Rules == nil {
		s.Rules = func() []RuleGroup { return nil }
	}
	if s.Targets == nil {
		s.Targets = func() []TargetPool { return nil }
	}
	if s.Gatherer == nil {
		s.Gatherer = prometheus.DefaultGatherer
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
}

// find returns the incident with the ID, or nil.
func (s *server) find(id string) *incident.Incident {
	for _, inc := range s.Incidents() {
		if inc.ID == id {
			return inc
		}
	}
	return nil
}

// link makes a path of ours into one that the browser can follow.
func (s *server) link(path string) string { return s.prefix + path }
