// Package app wires the parts of the server together: configuration, clock,
// cold start, reload and shutdown.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/config"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/source"
)

// Options of the server.
type Options struct {
	ConfigFile       string
	ListenAddress    string
	WebConfigFile    string // exporter-toolkit's format; "" means neither TLS nor authentication
	ExternalURL      string // "" means http://ListenAddress
	EnableLifecycle  bool
	MaxConnections   int // at once, to pages and API; 0 means 512
	ChangesTokenFile string
	// EnableWriteReceiver takes Prometheus's remote write; not beside a source.
	EnableWriteReceiver bool
	Flags               map[string]string // the command line's, for /api/v1/status/flags
	StoragePath         string
	Retention           time.Duration
	Query               source.QueryOptions
	SnapshotInterval    time.Duration // how often what was learnt is saved; 0 means 5m
	ColdStart           time.Duration // how much of the past is replayed at start, where there is that much
	Position            int           // of this replica
	Replicas            int
	Reload              <-chan struct{} // asks to read the configuration again
	Out                 io.Writer       // progress
	Logger              *slog.Logger

	// DiscoveryInterval is how often changed targets are taken over; 0 means 5s.
	DiscoveryInterval time.Duration
	// History writes a past into the embedded TSDB before the cold start; nil
	// for none. It is there for the demo.
	History func(ctx context.Context, db *source.Local) error
	// Started is told the address once pages are served; may be nil.
	Started func(url string)
	// Step is told after each incident step; may be nil.
	Step func(now time.Time, e *engine.Engine)
}

// server is one running Foreshock.
type server struct {
	o        Options
	log      *slog.Logger
	reg      *prometheus.Registry
	external *url.URL
	listener net.Listener

	local     *source.Local  // TSDB: input and results, or results alone
	remote    *source.Remote // nil when scraping
	store     source.Store
	sender    *alertmanager.Sender
	watcher   *alertmanager.Watcher // of what is active in the Alertmanagers
	write     http.Handler          // nil: remote write is not received
	journal   *engine.Journal
	posted    *change.Log
	engine    *engine.Engine
	snapshots snapshots

	own      atomic.Pointer[map[string]bool]
	ready    atomic.Bool
	isLive   chan struct{} // closed when ready
	progress atomic.Pointer[progress]
	started  time.Time

	sourceURL string // without a password; "" when scraping

	mu         sync.Mutex
	config     *Config
	reloadedAt time.Time
	reloadErr  error
	quit       chan struct{}
	quitOnce   sync.Once
	token      string

	reloadOK      prometheus.Gauge
	reloadSeconds prometheus.Gauge
	missedSteps   prometheus.Counter
}

// Run serves until ctx ends or somebody asks to quit. Nothing is started
// before the configuration was read in full.
func Run(ctx context.Context, o Options) error {
	cfg, err := LoadConfig(o.ConfigFile)
	if err != nil {
		return err
	}
	s, err := newServer(o, cfg)
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx), s.close())
}

// newServer opens everything that can be refused, from what leaves no trace to
// the data directory, and closes it again on an error.
func newServer(o Options, cfg *Config) (*server, error) {
	s := &server{o: o, log: o.Logger, config: cfg, quit: make(chan struct{}), isLive: make(chan struct{}), started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.o.SnapshotInterval <= 0 {
		s.o.SnapshotInterval = 5 * time.Minute
	}
	if cfg.Source != nil {
		s.sourceURL = redacted(cfg.Source.URL)
	}
	if err := s.open(cfg); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) open(cfg *Config) (err error) {
	o := s.o
	if o.Replicas < 1 || o.Position < 0 || o.Position >= o.Replicas {
		return fmt.Errorf("replica %d of %d: positions go from 0 to the number of replicas less one", o.Position, max(o.Replicas, 1))
	}
	if o.ChangesTokenFile != "" {
		b, err := os.ReadFile(o.ChangesTokenFile)
		if err != nil {
			return fmt.Errorf("token for changes: %w", err)
		}
		if s.token = strings.TrimSpace(string(b)); s.token == "" {
			return fmt.Errorf("token for changes: %s is empty", o.ChangesTokenFile)
		}
	}
	if err := toolkit.Validate(o.WebConfigFile); err != nil {
		return fmt.Errorf("web configuration: %w", err)
	}
	if s.listener, err = net.Listen("tcp", o.ListenAddress); err != nil {
		return fmt.Errorf("cannot serve pages on %s: %w: stop what uses the address, or choose another one with --web.listen-address", o.ListenAddress, err)
	}
	if s.external, err = externalURL(o.ExternalURL, s.listener.Addr()); err != nil {
		return err
	}
	s.registry()
	if err := s.openStorage(cfg); err != nil {
		return err
	}
	if s.journal, err = engine.OpenJournal(filepath.Join(o.StoragePath, "incidents.journal"), s.log); err != nil {
		return err
	}
	s.sender, err = alertmanager.New(alertmanager.Options{
		Logger: s.log.With("component", "alertmanager"), Registerer: s.reg, ExternalURL: s.external.String(),
	})
	if err != nil {
		return err
	}
	eo := engine.Options{
		Config: cfg.Engine, ExternalURL: s.external, Deliver: s.sender.Put, Journal: s.journal,
		Wait: time.Duration(o.Position) * 15 * time.Second, Paged: s.watch().Last,
		Logger: s.log.With("component", "engine"), Registerer: s.reg,
	}
	if o.Replicas > 1 {
		eo.Active = s.others
	}
	if s.engine, err = engine.New(eo); err != nil {
		return err
	}
	if s.posted, err = change.OpenLog(filepath.Join(o.StoragePath, "changes.log"), s.engine.Changes(), s.log); err != nil {
		return err
	}
	return s.apply(cfg)
}

// externalURL is the URL under which people reach the server.
func externalURL(text string, addr net.Addr) (*url.URL, error) {
	if text == "" {
		host, port, err := net.SplitHostPort(addr.String())
		if err != nil {
			return nil, err
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			if host, err = os.Hostname(); err != nil {
				host = "localhost"
			}
		}
		text = "http://" + net.JoinHostPort(host, port) + "/"
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("external URL %q: want one such as https://foreshock.example.org/", text)
	}
	return u, nil
}

func (s *server) registry() {
	s.reg = prometheus.NewRegistry()
	s.snapshots = newSnapshots(s.o.StoragePath, s.reg)
	s.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "foreshock_config_last_reload_successful", Help: "Whether the last configuration reload attempt was successful.",
	})
	s.reloadSeconds = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "foreshock_config_last_reload_success_timestamp_seconds", Help: "Timestamp of the last successful configuration reload.",
	})
	s.missedSteps = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "foreshock_incident_steps_missed_total", Help: "Incident steps that were left out since the one before took too long, or the clock was set forward.",
	})
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "foreshock_ready", Help: "Whether the cold start is over.",
	}, func() float64 {
		if s.ready.Load() {
			return 1
		}
		return 0
	})
	s.reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("foreshock"), s.reloadOK, s.reloadSeconds, s.missedSteps, ready,
	)
}

// openStorage opens the TSDB, and the remote source where there is one.
func (s *server) openStorage(cfg *Config) error {
	own := engine.Outputs(cfg.Engine)
	s.own.Store(&own)
	var err error
	s.local, err = source.OpenLocal(source.LocalOptions{
		Dir: s.o.StoragePath, Retention: s.o.Retention, Query: s.o.Query, MaxExemplars: maxExemplars(cfg), DiscoveryInterval: s.o.DiscoveryInterval,
		Logger: s.log.With("component", "source"), Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	s.store = s.local.Store()
	if cfg.Source == nil {
		if s.o.EnableWriteReceiver {
			s.write, err = s.local.Receiver(s.reg, s.outputs)
		}
		return err
	}
	if s.o.EnableWriteReceiver {
		return errors.New("--web.enable-remote-write-receiver: what is received would not be read beside a source: remove the flag, or the block source")
	}
	ro := cfg.remote()
	ro.Results, ro.Own, ro.LookbackDelta = s.local, s.outputs, s.o.Query.LookbackDelta
	ro.Logger, ro.Registerer = s.log.With("component", "source"), s.reg
	if s.remote, err = source.NewRemote(ro); err != nil {
		return err
	}
	s.store = s.remote.Store()
	return nil
}

// maxExemplars is Prometheus's default; beside a source there are none to keep.
func maxExemplars(cfg *Config) int64 {
	if cfg.Source != nil {
		return 0
	}
	return int64(config.DefaultExemplarsConfig.MaxExemplars)
}

// outputs are the names of the series that are kept here in the configuration in force.
func (s *server) outputs() map[string]bool { return *s.own.Load() }

// apply hands a configuration to the parts that are not the engine's.
func (s *server) apply(cfg *Config) error {
	if err := s.local.ApplyConfig(cfg.Prometheus); err != nil {
		return err
	}
	if err := s.sender.ApplyConfig(cfg.Prometheus); err != nil {
		return err
	}
	own := engine.Outputs(cfg.Engine)
	s.own.Store(&own)
	s.reloadOK.Set(1)
	s.reloadSeconds.Set(float64(time.Now().Unix()))
	return nil
}

// reload reads the configuration again; a bad one leaves the old one running.
func (s *server) reload(context.Context) (err error) {
	if !s.ready.Load() {
		return errors.New("the past is still being learnt: reload again when the server is ready")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		s.reloadedAt, s.reloadErr = time.Now(), err
		if err != nil {
			s.reloadOK.Set(0)
			s.log.Error("reload failed; the old configuration goes on", "err", err)
			return
		}
		s.log.Info("configuration reloaded", "file", s.o.ConfigFile)
	}()
	cfg, err := LoadConfig(s.o.ConfigFile)
	if err != nil {
		return err
	}
	if !sameSource(cfg.Source, s.config.Source) {
		return fmt.Errorf("%s: the source cannot be changed by a reload: restart", s.o.ConfigFile)
	}
	if err := s.engine.Reload(cfg.Engine); err != nil {
		return err
	}
	if err := s.apply(cfg); err != nil {
		return errors.Join(err, s.engine.Reload(s.config.Engine), s.apply(s.config))
	}
	s.config = cfg
	return nil
}

// run starts everything, waits for the end, and stops it in reverse order.
func (s *server) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	errs := make(chan error, 8)
	start := func(name string, ctx context.Context, f func(context.Context) error) {
		tasks.Go(func() {
			if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%s: %w", name, err)
				errs <- err
				cancel(err)
			}
		})
	}
	// Delivery outlives the rest: what was decided last is still sent.
	delivery, stopDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivery()
	start("alertmanager", delivery, s.sender.Run)
	start("pages", ctx, s.serve)
	if s.o.Started != nil {
		s.o.Started(s.external.String())
	}
	work := func(ctx context.Context) error {
		if s.o.History != nil {
			if err := s.o.History(ctx, s.local); err != nil {
				return err
			}
		}
		if s.remote == nil {
			start("scraping", ctx, s.local.Run)
		}
		if err := s.coldStart(ctx); err != nil {
			return err
		}
		return s.live(ctx)
	}
	start("engine", ctx, work)
	start("reload", ctx, s.reloads)
	select {
	case <-ctx.Done():
	case <-s.quit:
		s.log.Info("asked to quit")
		cancel(nil)
	}
	s.log.Info("shutting down")
	stopDelivery()
	tasks.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// reloads reads the configuration again whenever it is asked to. What asks
// during the cold start waits for its end.
func (s *server) reloads(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.isLive:
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.o.Reload:
			_ = s.reload(ctx) // said in the log and on the pages
		}
	}
}

// close releases what newServer opened.
func (s *server) close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.posted != nil {
		errs = append(errs, s.posted.Close())
	}
	if s.remote != nil {
		errs = append(errs, s.remote.Close())
	}
	if s.local != nil {
		errs = append(errs, s.local.Close())
	}
	return errors.Join(errs...)
}
