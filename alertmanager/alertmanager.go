// Package alertmanager delivers alerts to Alertmanagers at a given time and reads the alerts that
// are active there. It knows alerts only: not where they come from, nor what they mean.
//
// Discovery, TLS, authentication, relabelling, path prefixes, batches and time-outs are those of
// Prometheus's `alerting:` block, done by Prometheus's own notifier. On top of it a Sender keeps a set of
// alerts alive: it sends them again at intervals, tells their resolution for a while, and, unlike
// Prometheus, knows which of them no Alertmanager has taken yet and sends those again soon.
package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/rules"
)

// Alert is one alert as Alertmanager knows it. Its labels are its identity.
type Alert struct {
	Labels      labels.Labels // with an alertname; external labels and relabelling are added when it is sent
	Annotations labels.Labels
	StartsAt    time.Time
	// EndsAt is when Alertmanager takes the alert for resolved unless it hears of it again. At or before the time
	// at which the alert is put it says that the alert is resolved; zero leaves it to Alertmanager's resolve_timeout.
	EndsAt       time.Time
	GeneratorURL string

	// Silenced and Inhibited are what Active read; they are not sent.
	Silenced, Inhibited bool
}

// Options of a Sender. The zero value of each field is usable.
type Options struct {
	Logger *slog.Logger // nil discards
	// Registerer takes the metrics foreshock_alerts_* and Prometheus's own prometheus_notifications_* and
	// prometheus_sd_* (name="notify"). One Sender per Registerer. Nil keeps them private.
	Registerer prometheus.Registerer
	// SDMetrics are the service discovery mechanisms' metrics, which a process can register only once under
	// their own names. Nil registers them with the prefix foreshock_alertmanager_.
	SDMetrics *discovery.SDMetrics
	// ExternalURL is where users reach this server; the generator URL of plain alerts begins with it.
	ExternalURL string

	QueueCapacity     int           // alerts waiting to be sent, in all and per Alertmanager; 0: 10,000
	ResendDelay       time.Duration // between two sends of an alert that was taken; 0: 1m
	RetryDelay        time.Duration // after the first send that nobody took, doubling up to ResendDelay; 0: 5s
	ResolvedRetention time.Duration // how long after its end a resolved alert is sent again; 0: 15m
	DrainTimeout      time.Duration // how long Run goes on sending what is queued after its context ended; 0: 10s

	// do replaces the HTTP request of a send in tests.
	do func(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error)
}

func (o Options) withDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.QueueCapacity == 0 {
		o.QueueCapacity = 10_000
	}
	for _, d := range []struct {
		value   *time.Duration
		missing time.Duration
		name    string
	}{
		{&o.ResendDelay, time.Minute, "ResendDelay"},
		{&o.RetryDelay, 5 * time.Second, "RetryDelay"},
		{&o.ResolvedRetention, 15 * time.Minute, "ResolvedRetention"},
		{&o.DrainTimeout, 10 * time.Second, "DrainTimeout"},
	} {
		if *d.value < 0 {
			return o, fmt.Errorf("alertmanager: %s is %s, want a positive duration", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.missing
		}
	}
	if o.QueueCapacity < 0 {
		return o, fmt.Errorf("alertmanager: QueueCapacity is %d, want a positive number", o.QueueCapacity)
	}
	if o.do == nil {
		o.do = func(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
			return client.Do(req.WithContext(ctx))
		}
	}
	return o, nil
}

// Sender delivers alerts. Its methods may be called from several goroutines.
type Sender struct {
	opts    Options
	log     *slog.Logger
	pace    pace
	metrics *metrics

	notifier      *notifier.Manager
	discovery     *discovery.Manager
	stopDiscovery context.CancelFunc
	abandon       context.CancelFunc // ends every send that is under way, and fails those to come
	abandoned     context.Context

	apply   sync.Mutex // one ApplyConfig at a time; guards config and running
	config  *config.Config
	running bool

	wake chan struct{} // holds one: there is something to hand to the notifier, or a new time to wait for

	mu      sync.Mutex // never held during I/O; guards all that follows
	idle    *sync.Cond // on mu: sends is 0
	sends   int        // requests under way
	entries map[uint64]*entry
	queue   []*notifier.Alert // waiting to be handed to the notifier, oldest first
	full    bool              // a drop was logged since the queue was last empty
	closed  bool              // nothing is taken any more
	now     time.Time         // time of the last Put …
	wall    time.Time         // … and the clock's then
	routing routing
	outages map[string]*outage // by Alertmanager
	alone   bool               // it was logged that there is no Alertmanager
	clients map[*http.Client]struct{}
}

// New returns a Sender that has no Alertmanagers yet.
func New(o Options) (*Sender, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.SDMetrics == nil {
		o.SDMetrics, err = discovery.CreateAndRegisterSDMetrics(prometheus.WrapRegistererWithPrefix("foreshock_alertmanager_", o.Registerer))
		if err != nil {
			return nil, fmt.Errorf("alertmanager: register service discovery metrics: %w", err)
		}
	}
	s := &Sender{
		opts:    o,
		log:     o.Logger,
		pace:    pace{resend: o.ResendDelay, retry: o.RetryDelay, retention: o.ResolvedRetention},
		wake:    make(chan struct{}, 1),
		entries: make(map[uint64]*entry),
		outages: make(map[string]*outage),
		clients: make(map[*http.Client]struct{}),
	}
	s.idle = sync.NewCond(&s.mu)
	if s.metrics, err = newMetrics(o.Registerer, s); err != nil {
		return nil, fmt.Errorf("alertmanager: register metrics: %w", err)
	}
	s.abandoned, s.abandon = context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	s.stopDiscovery = cancel
	s.discovery = discovery.NewManager(ctx, o.Logger, o.Registerer, o.SDMetrics, discovery.Name("notify"))
	if s.discovery == nil {
		cancel()
		return nil, errors.New("alertmanager: service discovery could not be set up: its metrics are registered already (one Sender per Registerer)")
	}
	s.notifier = notifier.NewManager(&notifier.Options{
		QueueCapacity:   o.QueueCapacity,
		DrainOnShutdown: true, // bounded by abandon
		Registerer:      o.Registerer,
		Do:              s.send,
	}, model.UTF8Validation, slog.New(attemptsToDebug{o.Logger.Handler()}))
	return s, nil
}

// ApplyConfig takes over the `alerting:` block and the external labels of a configuration that was loaded by
// Prometheus's config package. When it fails, the configuration before stays. It may be called before Run and
// at any time while Run runs; discovery starts with Run.
func (s *Sender) ApplyConfig(cfg *config.Config) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	// The notifier overwrites part of its state before it can fail, so all that fails for a
	// configuration's sake is tried here first.
	next, err := newRouting(cfg)
	if err != nil {
		return err
	}
	if err := s.notifier.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("alerting: %w", err)
	}
	s.mu.Lock()
	next.keepTargets(&s.routing)
	old := s.routing
	s.routing = next
	s.afterRoutingLocked(&old)
	// Those still in use come back with their next request.
	for c := range s.clients {
		c.CloseIdleConnections()
	}
	clear(s.clients)
	s.mu.Unlock()
	old.close()
	s.config = cfg
	if s.running {
		return s.discovery.ApplyConfig(discoveryConfigs(cfg))
	}
	return nil
}

func discoveryConfigs(cfg *config.Config) map[string]discovery.Configs {
	out := make(map[string]discovery.Configs)
	for id, am := range cfg.AlertingConfig.AlertmanagerConfigs.ToMap() {
		out[id] = am.ServiceDiscoveryConfigs
	}
	return out
}

// Run discovers Alertmanagers and sends until ctx ends. Then it sends what is queued, for at most
// DrainTimeout and without further tries, ends all that it started and returns nil. It can be called once.
func (s *Sender) Run(ctx context.Context) error {
	s.apply.Lock()
	if s.running {
		s.apply.Unlock()
		return errors.New("alertmanager: Run was called twice")
	}
	s.running = true
	if s.config != nil {
		if err := s.discovery.ApplyConfig(discoveryConfigs(s.config)); err != nil {
			s.apply.Unlock()
			return fmt.Errorf("alertmanager: start service discovery: %w", err)
		}
	}
	s.apply.Unlock()

	var discovering, relaying, notifying, bounding sync.WaitGroup
	targets := make(chan map[string][]*targetgroup.Group)
	stopRelay := make(chan struct{})
	// Run of the discovery manager returns its context's error, which says nothing here.
	discovering.Go(func() { _ = s.discovery.Run() })
	notifying.Go(func() { s.notifier.Run(targets) })
	relaying.Go(func() { s.relay(targets, stopRelay) })
	// The bound counts from the end of ctx, whatever the notifier is busy with at that moment.
	drained := make(chan struct{})
	bounding.Go(func() { s.boundDrain(ctx, drained) })

	s.deliver(ctx)

	// Discovery ends last: a target that vanishes takes its queue along.
	s.notifier.Stop()
	notifying.Wait()
	s.awaitSends()
	close(drained)
	bounding.Wait()
	s.abandon()
	close(stopRelay)
	relaying.Wait()
	s.stopDiscovery()
	discovering.Wait()
	s.closeClients()
	return nil
}

// boundDrain abandons what is still being sent DrainTimeout after ctx ended.
func (s *Sender) boundDrain(ctx context.Context, drained <-chan struct{}) {
	<-ctx.Done()
	timer := time.NewTimer(s.opts.DrainTimeout)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		s.log.Warn("Alerts that are still queued are given up: shutdown has taken too long", "timeout", s.opts.DrainTimeout)
		s.abandon()
	}
}

// relay hands discovered targets to the notifier and notes them.
func (s *Sender) relay(out chan<- map[string][]*targetgroup.Group, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case found, ok := <-s.discovery.SyncCh():
			if !ok {
				return
			}
			// The notifier takes the second only when it is done with the first; only then can alerts be
			// sent to the targets. Taking the same targets twice changes nothing.
			for range 2 {
				select {
				case out <- found:
				case <-stop:
					return
				}
			}
			s.mu.Lock()
			old := s.routing
			s.routing = s.routing.withTargets(found)
			s.afterRoutingLocked(&old)
			s.mu.Unlock()
		}
	}
}

// Alertmanagers returns the push URLs of the Alertmanagers that are known now, sorted.
func (s *Sender) Alertmanagers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routing.urls()
}

// Notify returns what Prometheus's rule groups call to send the alerts of `alert:` rules. They are sent once per
// call, as Prometheus does; the rules package calls again when they are due again.
func (s *Sender) Notify() rules.NotifyFunc {
	return rules.SendAlerts(plain{s}, s.opts.ExternalURL)
}

type plain struct{ s *Sender }

func (p plain) Send(alerts ...*notifier.Alert) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.enqueueLocked(alerts...)
}
