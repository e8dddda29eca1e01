package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// Options of a manager. Query and Appendable must be given.
type Options struct {
	Query      promrules.QueryFunc
	Appendable storage.Appendable // takes the results
	// Partial watches the queries of a context and says whether an answer was
	// incomplete, as source.WatchPartial does; nil: all are whole.
	Partial func(context.Context) (context.Context, func() bool)
	// Queryable holds earlier results, from which the `for` state of alerts is
	// restored; nil restores none.
	Queryable storage.Queryable
	// Notify takes the alerts of alerting rules that are due for sending; nil drops them.
	Notify promrules.NotifyFunc

	ExternalURL        *url.URL // for templates of alerts; may be nil
	ExternalLabels     labels.Labels
	EvaluationInterval time.Duration // of groups that name none; default 1m
	QueryOffset        time.Duration // of groups that name none

	// As Prometheus's --rules.alert.* flags: default 1m, 10m and 1h.
	ResendDelay, ForGracePeriod, OutageTolerance time.Duration

	// SkipOutputs: the results of detection rules are not written.
	SkipOutputs bool

	SeriesLimit int           // series per detection rule; default 50,000
	ForgetAfter time.Duration // a series that vanished is forgotten then; default 24h

	Logger     *slog.Logger          // nil logs nothing
	Registerer prometheus.Registerer // nil registers nothing
	Context    context.Context       // of queries that restore state; default the background
	// Now is the clock of [Manager.Run] and of the durations in evaluations.
	Now func() time.Time
	// OnEvaluation is told each evaluation of a detection rule, from the
	// goroutine that evaluates, before the results are written; may be nil.
	OnEvaluation func(Evaluation)
}

// Manager holds groups of rules and evaluates them.
type Manager struct {
	o       Options
	prom    *promrules.ManagerOptions
	log     *slog.Logger
	offset  atomic.Int64 // the global query offset, nanoseconds
	holds   atomic.Pointer[holdSet]
	changed chan struct{} // wakes Run after an update
	running atomic.Bool

	update sync.Mutex // one update at a time

	mu       sync.Mutex // guards what follows
	groups   []*Group   // by file and name
	removed  []grave
	global   global // in force
	next     global // from the next successful update on
	updated  bool
	restored bool // alerts of new groups have nothing to restore
}

// global are the settings that a configuration sets for all groups.
type global struct {
	interval, offset time.Duration
	external         labels.Labels
}

// New makes a manager without rules; see [Manager.Update].
func New(o Options) (*Manager, error) {
	if o.Query == nil || o.Appendable == nil {
		return nil, errors.New("rules: Options.Query and Options.Appendable must be given")
	}
	o.EvaluationInterval = cmp.Or(o.EvaluationInterval, time.Minute)
	o.ResendDelay = cmp.Or(o.ResendDelay, time.Minute)
	o.ForGracePeriod = cmp.Or(o.ForGracePeriod, 10*time.Minute)
	o.OutageTolerance = cmp.Or(o.OutageTolerance, time.Hour)
	o.SeriesLimit = cmp.Or(o.SeriesLimit, 50_000)
	o.ForgetAfter = cmp.Or(o.ForgetAfter, 24*time.Hour)
	for name, d := range map[string]time.Duration{"EvaluationInterval": o.EvaluationInterval, "ForgetAfter": o.ForgetAfter} {
		if d <= 0 {
			return nil, fmt.Errorf("rules: Options.%s is %s; it must be above zero", name, d)
		}
	}
	if o.SeriesLimit < 0 {
		return nil, fmt.Errorf("rules: Options.SeriesLimit is %d; it must be above zero", o.SeriesLimit)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Notify == nil {
		o.Notify = func(context.Context, string, ...*promrules.Alert) {}
	}
	m := &Manager{o: o, log: o.Logger, changed: make(chan struct{}, 1)}
	m.global = global{interval: o.EvaluationInterval, offset: o.QueryOffset, external: o.ExternalLabels}
	m.next = m.global
	m.offset.Store(int64(o.QueryOffset))
	m.holds.Store(&holdSet{})
	if o.Registerer != nil {
		if err := o.Registerer.Register(collector{m}); err != nil {
			return nil, fmt.Errorf("rules: metrics: %w", err)
		}
	}
	m.prom = &promrules.ManagerOptions{
		QueryFunc: o.Query, NotifyFunc: o.Notify, Appendable: o.Appendable, Queryable: o.Queryable,
		ExternalURL: o.ExternalURL, Context: o.Context, Logger: o.Logger,
		OutageTolerance: o.OutageTolerance, ForGracePeriod: o.ForGracePeriod, ResendDelay: o.ResendDelay,
		DefaultRuleQueryOffset: func() time.Duration { return time.Duration(m.offset.Load()) },
		Metrics:                promrules.NewGroupMetrics(o.Registerer),
		Parser:                 newPromQLParser(),
	}
	return m, nil
}

// Configure sets what a configuration says for all groups. It takes effect
// with the next successful [Manager.Update].
func (m *Manager) Configure(interval, queryOffset time.Duration, external labels.Labels) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = global{interval: cmp.Or(interval, m.o.EvaluationInterval), offset: queryOffset, external: external}
}

// Groups returns the groups by file and name.
func (m *Manager) Groups() []*Group {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.groups)
}

// SetRestored declares the `for` state of all alerts, present and future ones,
// to be complete, as it is where a past is lived through from its beginning.
// Without it and without [Manager.Run] alerts write no ALERTS series.
func (m *Manager) SetRestored() {
	m.mu.Lock()
	m.restored = true
	groups := slices.Clone(m.groups)
	m.mu.Unlock()
	for _, g := range groups {
		g.mu.Lock()
		g.restore = false
		g.mu.Unlock()
		for _, r := range g.prom.AlertingRules() {
			r.SetRestored(true)
		}
	}
}

// ActiveAlert is an alert that is pending or firing.
type ActiveAlert struct {
	*promrules.Alert
	Rule  *promrules.AlertingRule
	Group *Group
}

// ActiveAlerts returns the pending and firing alerts of all alerting rules, by
// the rule's name and the alert's labels.
func (m *Manager) ActiveAlerts() []ActiveAlert {
	var out []ActiveAlert
	for _, g := range m.Groups() {
		for _, r := range g.Rules() {
			rule, ok := r.(*promrules.AlertingRule)
			if !ok {
				continue
			}
			for _, a := range rule.ActiveAlerts() {
				out = append(out, ActiveAlert{Alert: a, Rule: rule, Group: g})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b ActiveAlert) int {
		return cmp.Or(strings.Compare(a.Rule.Name(), b.Rule.Name()), labels.Compare(a.Labels, b.Labels))
	})
	return out
}

// CopyDetections moves what the detection rules of another manager have learnt
// to the same rules of this one, with the holds in force. Rules are the same
// when name, expression, detector with options, interval and budget are. The
// other manager's rules start anew.
func (m *Manager) CopyDetections(from *Manager) {
	learnt := map[string]*states{}
	collectStates(learnt, from.Groups())
	m.holds.Store(from.holds.Load())
	for _, g := range m.Groups() {
		g.mu.Lock()
		for _, d := range g.detections {
			if st, ok := learnt[d.stateKey()]; ok {
				d.give(st)
			}
		}
		g.mu.Unlock()
	}
}

// collectStates takes the states of all detection rules of the groups away.
func collectStates(into map[string]*states, groups []*Group) {
	for _, g := range groups {
		g.mu.Lock()
		for _, d := range g.detections {
			if st := d.takeStates(); st != nil {
				into[d.stateKey()] = st
			}
		}
		g.mu.Unlock()
	}
}
