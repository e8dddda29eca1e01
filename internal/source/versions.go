package source

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"        // dns_sd_configs
	_ "github.com/prometheus/prometheus/discovery/file"       // file_sd_configs
	_ "github.com/prometheus/prometheus/discovery/http"       // http_sd_configs
	_ "github.com/prometheus/prometheus/discovery/kubernetes" // kubernetes_sd_configs
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/prometheus/prometheus/util/logging"
)

// This file holds the calls whose signatures change between Prometheus's
// versions, and which service discoveries are built in.

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

func newEngine(o QueryOptions, step *atomic.Int64, log *slog.Logger, reg prometheus.Registerer) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: log, Reg: reg,
		MaxSamples: o.MaxSamples, Timeout: o.Timeout, LookbackDelta: o.LookbackDelta,
		NoStepSubqueryIntervalFn: func(int64) int64 { return step.Load() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
		Parser: newParser(),
	})
}

// openTSDB opens the database that lives as long as the server.
func openTSDB(o LocalOptions) (*tsdb.DB, error) {
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = o.Retention.Milliseconds()
	opts.MaxBytes = o.RetentionSize
	// Prometheus's own choice: no block is longer than a tenth of the retention.
	opts.MaxBlockDuration = max(opts.MinBlockDuration, min(opts.RetentionDuration/10, (31*24*time.Hour).Milliseconds()))
	opts.WALCompression = compression.Snappy
	opts.OutOfOrderTimeWindow = o.OutOfOrderWindow.Milliseconds()
	opts.EnableExemplarStorage = o.MaxExemplars > 0
	opts.MaxExemplars = o.MaxExemplars
	return tsdb.Open(o.Dir, o.Logger, o.Registerer, opts, nil)
}

// wholeHead is the time range of a temporary database's head. All samples stay
// in it: series may be written one after the other, each over all its time,
// since only samples older than half of it are refused.
const wholeHead = 40 * 365 * 24 * time.Hour

// openScratch opens a database that ends with the process: without a
// write-ahead log, lock, retention and blocks. It is also without isolation,
// which remembers for each series as many appends as it had in one commit, for ever.
func openScratch(dir string, log *slog.Logger) (*tsdb.DB, error) {
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1
	opts.NoLockfile = true
	opts.IsolationDisabled = true
	opts.RetentionDuration = 0
	opts.MinBlockDuration = wholeHead.Milliseconds()
	opts.MaxBlockDuration = opts.MinBlockDuration
	return tsdb.Open(dir, log, nil, opts, nil)
}

// flushDeadline is how long the end waits for what remote_write has not sent yet.
const flushDeadline = 10 * time.Second

// newRemoteWrite sends what is written to the database, as it stands in its
// write-ahead log, to where the configuration says.
func newRemoteWrite(l *Local) *remote.Storage {
	return remote.NewStorage(l.log.With("component", "remote"), l.o.Registerer, l.db.StartTime, l.db.Dir(), flushDeadline, scraping{l}, false)
}

// scraping gives remote_write the metadata of what is scraped.
type scraping struct{ l *Local }

func (s scraping) Get() (*scrape.Manager, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.sm == nil {
		return nil, errors.New("nothing is scraped")
	}
	return s.l.sm, nil
}

func newScrapeManager(reload time.Duration, app storage.Appendable, log *slog.Logger, reg prometheus.Registerer) (*scrape.Manager, error) {
	return scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(reload),
		DiscoveryReloadOnStartup: true,
	}, log, logging.NewJSONFileLogger, app, nil, reg)
}

func newDiscoveryManager(ctx context.Context, update time.Duration, log *slog.Logger, reg prometheus.Registerer, m *discovery.SDMetrics) *discovery.Manager {
	return discovery.NewManager(ctx, log, reg, m, discovery.Name("scrape"), discovery.Updatert(update))
}

func newOpenMetricsParser(b []byte) textparse.Parser { return textparse.NewOpenMetricsParser(b, nil) }
