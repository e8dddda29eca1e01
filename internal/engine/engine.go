// Package engine is the one step that live evaluation, cold start and
// backtest share: rules are evaluated, their readings, the alerts that fire,
// the dependency graph and the changes become an incident step, and what that
// decides goes to delivery and back to the rules as holds.
//
// The engine translates between the parts, which do not know each other. It
// never reads a clock: [Engine.Eval] and [Engine.Tick] are given the time.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

// Config is what a configuration file says, in the engine's terms. It may be
// exchanged while the engine runs; see [Engine.Reload].
type Config struct {
	Rules              []*rules.File
	EvaluationInterval time.Duration // default of groups
	QueryOffset        time.Duration
	ExternalLabels     labels.Labels
	Identity           topology.Identity
	Declared           topology.Declared
	Edges              []topology.Discovery
	Versions           []change.Discovery
	Rollout            time.Duration   // how long a rollout excuses its service; 0: the default of incident
	Rollback           *change.Command // undoes a change; nil: none is shown
	Maintenance        []change.Window
	Mode               incident.Mode
	Interval           time.Duration // distance of two incident steps
	Settle, Hold       time.Duration
	FalsePages         incident.Rate // what may be sent for nothing; zero sets no bound
	FalseTickets       incident.Rate
	IgnoreAlerts       [][]*labels.Matcher // an alert that one of them matches is no evidence
	ReadAlerts         bool                // the team's alerts are read as ALERTS from the source
	ReadAlertmanager   bool                // and from the Alertmanagers, see Options.Paged
}

// Options of an engine that stay for its life.
type Options struct {
	Config      Config
	ExternalURL *url.URL // where people reach the pages; may be nil
	// Deliver takes over all alerts that shall be alive at now; nil delivers nothing.
	Deliver func(now time.Time, alerts []alertmanager.Alert)
	// Active reads what other replicas have open; nil when there is one replica.
	Active func(ctx context.Context) ([]alertmanager.Alert, error)
	// Paged returns what was last read from the Alertmanagers, without waiting;
	// nil: nothing is read there. A replay never asks.
	Paged func() alertmanager.Answer
	// Wait before opening an incident: a replica's position × 15 s.
	Wait    time.Duration
	Journal *Journal // nil keeps none
	// Changes are kept beside the engine, since they are posted as well; nil makes an empty set.
	Changes *change.Tracker
	// Observe is told each evaluation of a detection rule; may be nil.
	Observe    func(rules.Evaluation)
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil registers nothing
}

// Engine holds the state of all parts between two steps.
type Engine struct {
	o       Options
	metrics *metrics
	log     *slog.Logger

	inbox inbox[rules.Evaluation] // since the last tick; a group's own rhythm bounds them
	acts  inbox[incident.Act]     // of operators since the last tick
	rules atomic.Pointer[rules.Manager]
	shown atomic.Pointer[shown]

	mu         sync.Mutex // guards what follows; held for the whole of a tick
	config     Config
	store      source.Store
	topology   *topology.Topology
	correlator *incident.Correlator
	firing     map[string]time.Time // since when an alert of the source fires
	lastFiring []labels.Labels      // those of the last answer of the source
	recent     []*incident.Incident // resolved ones, newest last, bounded
	open       []*incident.Incident // as of the last tick
	saved      map[string]string    // what the journal has of an incident
	held       []incident.Hold      // in force in the rules
	buffer     []incident.Reading   // of the last tick, for the next one
	named      map[string][]named   // the services of a rule's series, in the order of its last evaluation
	coverage   coverage
	lastTick   time.Time
	live       bool            // journal and deliver; see GoLive
	told       map[string]bool // incidents that were delivered
	nameless   time.Time       // since when Alertmanager's alerts wait for a first service
	recorded   []labels.Labels // series of the incidents that were open at the last tick, in order
	warned     map[string]bool // discovery queries whose failure is in the log
}

// New makes an engine. [Engine.Attach] gives it something to read before the first step.
func New(o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changes == nil {
		o.Changes = change.NewTracker()
	}
	e := &Engine{
		o: o, config: o.Config, log: o.Logger,
		firing: map[string]time.Time{}, saved: map[string]string{}, warned: map[string]bool{}, told: map[string]bool{},
	}
	e.shown.Store(&shown{})
	e.metrics = newMetrics(o.Registerer, e.Gaps, e.known)
	if err := e.configure(o.Config); err != nil {
		return nil, err
	}
	if err := e.recallChanges(); err != nil {
		return nil, err
	}
	return e, nil
}

// recallChanges takes up the changes that open incidents of the journal list. A
// replay finds them again, but only to its step; what was said of the cause
// would be doubted after a restart.
func (e *Engine) recallChanges() error {
	if e.o.Journal == nil {
		return nil
	}
	for _, i := range e.o.Journal.Past() {
		if i.State != incident.Open {
			continue
		}
		for _, a := range i.Changes {
			if !a.Until.IsZero() {
				continue // maintenance is declared, or kept where it was posted
			}
			if err := e.o.Changes.Add(a.Change); err != nil {
				return fmt.Errorf("incident %s of the journal: %w", i.ID, err)
			}
		}
	}
	return nil
}

func (e *Engine) incidentOptions(c Config) incident.Options {
	return incident.Options{
		Mode: c.Mode, Interval: c.Interval, Settle: c.Settle, Hold: c.Hold, Wait: e.o.Wait,
		FalsePages: c.FalsePages, FalseTickets: c.FalseTickets,
		Labels: c.Identity.Labels, Rollout: c.Rollout, Command: c.Rollback.Expand,
	}
}

// configure builds what depends on the configuration alone.
func (e *Engine) configure(c Config) error {
	t, err := topology.New(topology.Options{Identity: c.Identity, Declared: c.Declared})
	if err != nil {
		return err
	}
	io := e.incidentOptions(c)
	if e.correlator == nil {
		e.correlator, err = incident.New(io)
	} else {
		err = e.correlator.Configure(io)
	}
	if err != nil {
		return err
	}
	if e.topology != nil {
		t.Keep(e.topology)
	}
	e.topology, e.config, e.named, e.coverage = t, c, map[string][]named{}, coverage{}
	return nil
}

// Attach makes the engine read from and write to the store from now on. What
// the detectors have learnt is carried over from the store before.
// Notify takes the alerts of plain alerting rules; nil drops them.
func (e *Engine) Attach(ctx context.Context, s source.Store, live Live) error {
	m, err := rules.New(rules.Options{
		Query: s.Query, Partial: source.WatchPartial, Appendable: s.Appendable, Queryable: s.Queryable, Notify: live.Notify,
		ExternalURL: e.o.ExternalURL, ExternalLabels: e.config.ExternalLabels,
		EvaluationInterval: e.config.EvaluationInterval, QueryOffset: e.config.QueryOffset,
		Logger: e.log, Registerer: live.Registerer, Context: ctx, Now: live.Now,
		OnEvaluation: e.evaluated, SkipOutputs: live.SkipOutputs,
	})
	if err != nil {
		return err
	}
	if err := m.Update(e.config.Rules); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.rules.Load(); old != nil {
		m.CopyDetections(old)
	}
	e.rules.Store(m)
	e.store, e.held = s, nil
	return nil
}

// evaluated takes in the evaluation of a detection rule.
func (e *Engine) evaluated(ev rules.Evaluation) {
	e.inbox.put(ev, 0)
	if e.o.Observe != nil {
		e.o.Observe(ev)
	}
}

// Live is what only a running server gives the rules. The zero value is that of a replay.
type Live struct {
	// SkipOutputs: what detection rules give is judged, but not written to the
	// store. For a replay that nobody reads it in; see [ReadsOutputs].
	SkipOutputs bool
	Notify      promrules.NotifyFunc
	Registerer  prometheus.Registerer
	Now         func() time.Time // the clock of the schedule
}

// Rules returns the manager in use, for its schedule and for pages.
func (e *Engine) Rules() *rules.Manager { return e.rules.Load() }

// Reload exchanges the configuration; on an error the old one goes on.
func (e *Engine) Reload(c Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.rules.Load()
	if m == nil {
		return errors.New("reload before the engine was started: try again when it is ready")
	}
	old := e.config
	if err := e.configure(c); err != nil {
		return err
	}
	m.Configure(c.EvaluationInterval, c.QueryOffset, c.ExternalLabels)
	if err := m.Update(c.Rules); err != nil {
		return errors.Join(fmt.Errorf("rules: %w", err), e.configure(old))
	}
	return nil
}

// shown is what readers see between two ticks; it is replaced, never changed.
type shown struct {
	open, recent []*incident.Incident
	alerts       []incident.Alert // the team's own
	graph        *topology.Graph
	services     []topology.Service // with readings
	topology     *topology.Topology
}

// Incidents returns the open ones, oldest first, and then the resolved ones,
// newest first. It never waits for a tick.
func (e *Engine) Incidents() []*incident.Incident {
	v := e.shown.Load()
	out := slices.Clone(v.open)
	for k := len(v.recent) - 1; k >= 0; k-- {
		out = append(out, v.recent[k])
	}
	return out
}

// Alerts returns the team's own alerts that fired at the last tick.
func (e *Engine) Alerts() []incident.Alert { return e.shown.Load().alerts }

// Graph returns the dependency graph as of the last tick.
func (e *Engine) Graph() *topology.Graph { return e.shown.Load().graph }

// Gaps says what the dependency graph does not know, as of the last tick.
func (e *Engine) Gaps() topology.Gaps {
	v := e.shown.Load()
	return v.graph.Gaps(v.services)
}

// show publishes the state after a tick.
func (e *Engine) show(in incident.Input) {
	v := &shown{recent: slices.Clone(e.recent), alerts: in.Alerts, graph: in.Graph, services: e.correlator.Services(), topology: e.topology}
	for _, i := range e.open {
		if i.State == incident.Open {
			v.open = append(v.open, i)
		}
	}
	e.shown.Store(v)
}

// known says what the graph and the changes hold, as of the last tick.
func (e *Engine) known() (t topology.Stats, c change.Stats) {
	if known := e.shown.Load().topology; known != nil {
		t = known.Stats()
	}
	return t, e.o.Changes.Stats()
}

// Changes returns the tracker of changes.
func (e *Engine) Changes() *change.Tracker { return e.o.Changes }

// Interval returns the distance of two incident steps.
func (e *Engine) Interval() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config.Interval
}

// Identity returns which labels name a service.
func (e *Engine) Identity() topology.Identity {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config.Identity
}
