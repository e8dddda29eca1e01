package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/annotations"
)

// LocalOptions say where and how samples are kept. Zero values are Prometheus's
// defaults. What a configuration says under `storage` goes before them.
type LocalOptions struct {
	Dir              string        // data directory, made if it is absent; required
	Retention        time.Duration // how long samples are kept at least; 15 days
	RetentionSize    int64         // bytes of blocks kept; 0: no bound
	OutOfOrderWindow time.Duration // how late a sample may be, where the configuration does not say it
	MaxExemplars     int64         // exemplars kept in memory; 0: none are
	BodySizeLimit    int64         // bytes of a scrape, uncompressed, where the configuration sets no limit; 0: [DefaultBodySizeLimit]
	// DiscoveryInterval is how often changed targets are taken over; 5 s.
	DiscoveryInterval time.Duration
	Query             QueryOptions
	Logger            *slog.Logger          // nil: silent
	Registerer        prometheus.Registerer // nil: metrics are not exposed
}

// DefaultBodySizeLimit is how many bytes, uncompressed, a target may send where
// body_size_limit is not set. Prometheus takes any number then, and a target that
// never ends would fill the memory within one scrape.
const DefaultBodySizeLimit = 128 << 20

// Local is an embedded TSDB with a PromQL engine, and what scrapes into it.
// All methods may be called from several goroutines at once.
type Local struct {
	evaluator
	db        *tsdb.DB
	sending   *remote.Storage // what remote_write sends to; nil in a temporary store
	o         LocalOptions
	log       *slog.Logger
	temporary bool // removed at Close; its samples are all in the head

	mu      sync.Mutex // guards what follows
	cfg     *config.Config
	sd      *discovery.Manager
	sm      *scrape.Manager
	metrics *discovery.SDMetrics // registered once, at the first Run
	running bool
	history bool

	close    sync.Once
	closeErr error
}

// OpenLocal opens (or makes) the database in a directory, which it locks.
// Nothing is scraped before [Local.Run].
func OpenLocal(o LocalOptions) (*Local, error) {
	if o.Dir == "" {
		return nil, errors.New("data directory: none is given")
	}
	if o.Retention <= 0 {
		o.Retention = 15 * 24 * time.Hour
	}
	if o.DiscoveryInterval <= 0 {
		o.DiscoveryInterval = 5 * time.Second
	}
	if o.BodySizeLimit <= 0 {
		o.BodySizeLimit = DefaultBodySizeLimit
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if err := checkWritable(o.Dir); err != nil {
		return nil, err
	}
	db, err := openTSDB(o)
	if err != nil {
		return nil, explainOpen(o.Dir, err)
	}
	l := &Local{
		evaluator: newEvaluator(db, o.Query, o.Logger, o.Registerer),
		db:        db, o: o, log: o.Logger,
	}
	l.sending = newRemoteWrite(l)
	db.SetWriteNotified(l.sending)
	return l, nil
}

// checkWritable tells an unusable directory before the database fails somewhere inside it.
func checkWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("data directory %s: %w: choose another with --storage.tsdb.path or make its parent writable", dir, inner(err))
	}
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return fmt.Errorf("data directory %s is not writable: %w: change its owner or mode, or choose another with --storage.tsdb.path", dir, inner(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// inner strips the path from an error that will be shown after a better one.
func inner(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func explainOpen(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("data directory %s is in use: another foreshock (or a Prometheus) holds %s: stop it, or give this one a directory of its own with --storage.tsdb.path",
			dir, filepath.Join(dir, "lock"))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data directory %s: %w: what is in it belongs to another user: change its owner, or choose another directory with --storage.tsdb.path", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("data directory %s: %w: free some space, or lower --storage.tsdb.retention.time", dir, err)
	}
	return fmt.Errorf("data directory %s cannot be opened: %w: if its files are damaged, move them away and start again", dir, err)
}

// Store returns the database as what a step reads and writes. Its Close is [Local.Close].
func (l *Local) Store() Store {
	return Store{Query: l.query, Range: l.queryRange, Queryable: l.db, Appendable: l.db, Close: l.Close}
}

// Evaluate evaluates any expression at ts, for the query API. Errors are
// Prometheus's own: [parser.ParseErrors], promql.ErrQueryTimeout and so on.
func (l *Local) Evaluate(ctx context.Context, expr string, ts time.Time) (parser.Value, annotations.Annotations, error) {
	return l.instant(ctx, expr, ts)
}

// EvaluateRange is Evaluate over a range, both ends included.
func (l *Local) EvaluateRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (parser.Value, annotations.Annotations, error) {
	return l.span(ctx, expr, from, to, step)
}

// Extent returns the times of the first and the last sample; ok is false while there is none.
func (l *Local) Extent(ctx context.Context) (first, last time.Time, ok bool) {
	if ctx.Err() != nil {
		return first, last, false
	}
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, b := range l.db.Blocks() {
		lo, hi = min(lo, b.MinTime()), max(hi, b.MaxTime()-1) // a block's end is not in it
	}
	if h := l.db.Head(); h.NumSeries() > 0 && h.MinTime() <= h.MaxTime() {
		lo, hi = min(lo, h.MinTime()), max(hi, h.MaxTime())
	}
	if lo > hi {
		return first, last, false
	}
	return time.UnixMilli(lo).UTC(), time.UnixMilli(hi).UTC(), true
}

// ApplyConfig takes over scrape_configs, remote_write and storage of a configuration, before
// or while [Local.Run] runs. On an error the configuration before stays in use.
func (l *Local) ApplyConfig(cfg *config.Config) error {
	if l.temporary {
		return errors.New("a temporary store takes no configuration")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.apply(cfg)
	if err == nil {
		l.cfg = cfg
		return nil
	}
	if l.cfg != nil {
		if back := l.apply(l.cfg); back != nil {
			err = errors.Join(err, fmt.Errorf("and the configuration before could not be restored: %w", back))
		}
	}
	return err
}

func (l *Local) apply(cfg *config.Config) error {
	scrapes, err := cfg.GetScrapeConfigs()
	if err != nil {
		return fmt.Errorf("scrape_configs: %w", err)
	}
	for _, s := range scrapes {
		if s.BodySizeLimit == 0 {
			set(&s.BodySizeLimit, l.o.BodySizeLimit)
		}
	}
	if err := l.db.ApplyConfig(l.withStorage(cfg)); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if err := l.sending.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("remote_write: %w", err)
	}
	if step := time.Duration(cfg.GlobalConfig.EvaluationInterval); step > 0 {
		l.step.Store(step.Milliseconds())
	}
	if l.sm == nil {
		return nil
	}
	// The scrape manager first, as in Prometheus: discovery then finds all jobs known.
	if err := l.sm.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("scrape_configs: %w", err)
	}
	jobs := make(map[string]discovery.Configs, len(scrapes))
	for _, s := range scrapes {
		jobs[s.JobName] = s.ServiceDiscoveryConfigs
	}
	if err := l.sd.ApplyConfig(jobs); err != nil {
		return fmt.Errorf("service discovery: %w", err)
	}
	return nil
}

// withStorage fills in what a configuration leaves open from our options. A
// retention of zero is what config.Load gives a configuration that does not
// speak of it: Prometheus's main puts its flags in there, and without them
// nothing would ever be deleted.
func (l *Local) withStorage(cfg *config.Config) *config.Config {
	c := *cfg
	var ts config.TSDBConfig
	if c.StorageConfig.TSDBConfig != nil {
		ts = *c.StorageConfig.TSDBConfig
	}
	if ts.OutOfOrderTimeWindow == 0 {
		ts.OutOfOrderTimeWindow = l.o.OutOfOrderWindow.Milliseconds()
	}
	if ts.Retention == nil || *ts.Retention == (config.TSDBRetentionConfig{}) {
		ts.Retention = &config.TSDBRetentionConfig{Time: model.Duration(l.o.Retention)}
		set(&ts.Retention.Size, l.o.RetentionSize)
	}
	c.StorageConfig.TSDBConfig = &ts
	if c.StorageConfig.ExemplarsConfig == nil {
		c.StorageConfig.ExemplarsConfig = &config.ExemplarsConfig{MaxExemplars: l.o.MaxExemplars}
	}
	return &c
}

// set assigns to a field whose type belongs to a module that is not ours to import.
func set[T ~int64](p *T, v int64) { *p = T(v) }

// Close closes the database; [Local.Run] must have returned. A temporary store
// is removed. Closing again changes nothing.
func (l *Local) Close() error {
	l.close.Do(func() {
		l.mu.Lock()
		running := l.running
		l.mu.Unlock()
		if running {
			l.log.Warn("data directory is closed while it is scraped into", "dir", l.db.Dir())
		}
		if l.sending != nil {
			l.closeErr = l.sending.Close() // flushes, for flushDeadline at most
		}
		l.closeErr = errors.Join(l.closeErr, l.db.Close())
		if l.temporary {
			l.closeErr = errors.Join(l.closeErr, os.RemoveAll(l.db.Dir()))
		}
	})
	return l.closeErr
}
