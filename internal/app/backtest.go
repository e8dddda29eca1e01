package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/foreshock/foreshock/internal/backtest"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// BacktestOptions say what to replay, and what to write of it. Either Cases,
// Inputs or a server (SourceURL, or the configuration's source) is replayed.
type BacktestOptions struct {
	ConfigFile string
	Compare    string // a second configuration; "" for none

	Cases     []string // case folders, or folders below which they are
	Inputs    []string // OpenMetrics files, or one TSDB directory
	SourceURL string
	HTTPFile  string    // HTTP client configuration for SourceURL; "" takes the configuration's
	From, To  time.Time // zero: as far as the input reaches; a server needs both
	Changes   string    // with Inputs or a server; so are the next two
	Topology  []string
	Incidents string
	Cache     string // directory of saved answers of a server; "" saves none
	CacheSize int    // bytes of answers kept in memory; 0: 256 MiB

	Pages     string // file for the JSON lines; "-" is Stdout, "" writes none
	Report    string // file for the machine-readable report
	HTML      string // file for the HTML report
	Summary   bool   // the text leaves out the single incidents
	FailUnder []backtest.Condition

	Query  source.QueryOptions
	Stdout io.Writer
	Out    io.Writer // progress
	Logger *slog.Logger
}

// UsageError is a wrong call.
type UsageError struct{ error }

func usage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// UnmetError says which conditions of a backtest were not met.
type UnmetError struct{ Conditions []string }

func (e *UnmetError) Error() string {
	return "not met: " + strings.Join(e.Conditions, "; ")
}

// Backtest replays the past and says what would have been sent. When ctx ends it reports
// what was found so far, and returns an error.
func Backtest(ctx context.Context, o BacktestOptions) error {
	b := &backtester{o: o, progress: newProgress(o.Out, "backtest")}
	for _, path := range []string{o.ConfigFile, o.Compare} {
		if path == "" {
			continue
		}
		cfg, err := LoadConfig(path)
		if err != nil {
			return err
		}
		b.configs = append(b.configs, cfg)
	}
	if err := b.cases(); err != nil {
		return err
	}
	outputs, err := b.outputs()
	if err != nil {
		return err
	}
	runErr := b.run(ctx)
	report := b.report(runErr)
	if report == nil {
		if runErr == nil {
			runErr = fmt.Errorf("stopped before anything was replayed: %w", context.Cause(ctx))
		}
		return errors.Join(runErr, outputs.drop())
	}
	if err := errors.Join(runErr, outputs.write(report, o)); err != nil {
		return err
	}
	if report.Partial != "" {
		return errors.New("the report is partial: " + report.Partial)
	}
	if unmet := report.Unmet(o.FailUnder); len(unmet) > 0 {
		return &UnmetError{unmet}
	}
	return nil
}

// backtester is one run of the command.
type backtester struct {
	o        BacktestOptions
	progress *progress
	configs  []*Config // the configuration, and the one to compare with
	// list has the cases, each as the configurations name its services.
	list [][]*backtest.Case

	mu      sync.Mutex
	done    []float64 // of each case
	replays [][]*backtest.Replayed
}

// cases reads all headers before anything runs: a broken one must not cost
// hours, nor the reports of an earlier run.
func (b *backtester) cases() error {
	kinds := 0
	for _, given := range []bool{len(b.o.Cases) > 0, len(b.o.Inputs) > 0, b.o.SourceURL != ""} {
		if given {
			kinds++
		}
	}
	if kinds > 1 {
		return usage("--case, --input and --source.url exclude each other: replay one kind at a time")
	}
	var errs []error
	if len(b.o.Cases) > 0 {
		if b.o.Changes != "" || b.o.Incidents != "" || len(b.o.Topology) > 0 {
			return usage("--changes, --topology and --incidents go with --input or a server: cases name such files themselves")
		}
		dirs, err := caseDirs(b.o.Cases)
		if err != nil {
			return err
		}
		names := map[string]string{}
		for _, dir := range dirs {
			var same []*backtest.Case
			for _, cfg := range b.configs {
				c, err := backtest.LoadCase(dir, cfg.Engine.Identity)
				errs = append(errs, err)
				same = append(same, c)
			}
			if c := same[0]; c != nil {
				if other, twice := names[c.Name]; twice {
					errs = append(errs, fmt.Errorf("%s: the case %q is in %s already: give it another name with `case:`", filepath.Join(dir, "incidents.yml"), c.Name, other))
				}
				names[c.Name] = dir
				for _, c := range same {
					errs = append(errs, b.narrow(c))
				}
			}
			b.list = append(b.list, same)
		}
		return errors.Join(errs...)
	}
	input, name, err := b.input()
	if err != nil {
		return err
	}
	var same []*backtest.Case
	for _, cfg := range b.configs {
		c := &backtest.Case{Name: name, Input: input, From: b.o.From, To: b.o.To}
		errs = append(errs, b.known(c, cfg.Engine.Identity))
		same = append(same, c)
	}
	b.list = [][]*backtest.Case{same}
	return errors.Join(errs...)
}

// narrow takes --from and --to over into a case.
func (b *backtester) narrow(c *backtest.Case) error {
	if c == nil {
		return nil
	}
	if !b.o.From.IsZero() && b.o.From.After(c.From) {
		c.From = b.o.From
	}
	if !b.o.To.IsZero() && b.o.To.Before(c.To) {
		c.To = b.o.To
	}
	if !c.To.After(c.From) {
		return fmt.Errorf("case %s: nothing of it lies between --from and --to", c.Name)
	}
	return nil
}

// known reads what is known beside the metrics.
func (b *backtester) known(c *backtest.Case, id topology.Identity) error {
	var errs []error
	for _, f := range b.o.Topology {
		errs = append(errs, c.LoadTopology(f, id))
	}
	if b.o.Changes != "" {
		errs = append(errs, c.LoadChanges(b.o.Changes, id))
	}
	if b.o.Incidents != "" {
		errs = append(errs, c.LoadTruth(b.o.Incidents))
	}
	return errors.Join(errs...)
}

// input is where the metrics come from when no case is given, and a name for it.
func (b *backtester) input() (backtest.Input, string, error) {
	if len(b.o.Inputs) > 0 {
		for _, path := range b.o.Inputs {
			info, err := os.Stat(path)
			if err != nil {
				return backtest.Input{}, "", fmt.Errorf("--input %s: %w: want an OpenMetrics file or a TSDB directory", path, reason(err))
			}
			if info.IsDir() && len(b.o.Inputs) > 1 {
				return backtest.Input{}, "", fmt.Errorf("--input %s is a directory: a TSDB directory is replayed by itself", path)
			}
			if info.IsDir() {
				return backtest.Input{TSDB: path}, filepath.Base(filepath.Clean(path)), nil
			}
		}
		return backtest.Input{Files: b.o.Inputs}, filepath.Base(b.o.Inputs[0]), nil
	}
	remote := &source.RemoteOptions{LookbackDelta: b.o.Query.LookbackDelta, Concurrency: 1, Logger: b.o.Logger}
	cfg := b.configs[0]
	if cfg.Source != nil {
		client := cfg.sourceClient
		remote.URL, remote.HTTPClient, remote.Timeout = cfg.Source.URL, &client, cfg.Source.Timeout
	}
	if b.o.SourceURL != "" {
		remote.URL = b.o.SourceURL
	}
	if remote.URL == "" {
		return backtest.Input{}, "", usage("what to replay is missing: give --case, --input or --source.url")
	}
	u, err := url.Parse(remote.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return backtest.Input{}, "", usage("--source.url: want http://host:port or https://host, with the path before /api/v1 where there is one")
	}
	if b.o.Cache != "" {
		if err := os.MkdirAll(b.o.Cache, 0o777); err != nil {
			return backtest.Input{}, "", fmt.Errorf("--cache %s: %w", b.o.Cache, reason(err))
		}
	}
	if b.o.HTTPFile != "" {
		client, _, err := promconfig.LoadHTTPConfigFile(b.o.HTTPFile)
		if err != nil {
			return backtest.Input{}, "", fmt.Errorf("--http.config.file: %w", err)
		}
		remote.HTTPClient = client
	}
	if b.o.From.IsZero() || b.o.To.IsZero() {
		return backtest.Input{}, "", usage("a server is replayed over a span: give --from and --to")
	}
	return backtest.Input{Remote: remote, Cache: b.o.Cache}, u.Host, nil
}

// run replays all cases, as many at a time as there are processors.
func (b *backtester) run(ctx context.Context) error {
	b.done = make([]float64, len(b.list))
	b.replays = make([][]*backtest.Replayed, len(b.list))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	errs := make([]error, len(b.list))
	var workers sync.WaitGroup
	for range min(len(b.list), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for n := range next {
				if errs[n] = b.replay(ctx, n); errs[n] != nil {
					cancel(errCaseFailed)
				}
			}
		})
	}
	for n := range b.list {
		select {
		case next <- n:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, errCaseFailed) })
	return errors.Join(errs...)
}

// errCaseFailed stops the other cases.
var errCaseFailed = errors.New("another case failed")

// replay lives through one case with each configuration.
func (b *backtester) replay(ctx context.Context, n int) (err error) {
	h, err := backtest.Open(ctx, b.list[n][0], backtest.OpenOptions{Query: b.o.Query, Logger: b.o.Logger, CacheBytes: b.o.CacheSize})
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was stopped, which the report says
		}
		return err
	}
	// What was asked is kept also when the rest fails: the next run goes on from there.
	defer func() { err = errors.Join(err, h.Save(), h.Close()) }()
	for k, c := range b.list[n] {
		r, err := h.Replay(ctx, backtest.Options{
			Config: b.configs[k].Engine, Case: c,
			Progress: func(done float64) { b.show(n, (float64(k)+done)/float64(len(b.configs))) },
		})
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.replays[n] = append(b.replays[n], r)
		b.mu.Unlock()
	}
	return nil
}

func (b *backtester) show(n int, done float64) {
	b.mu.Lock()
	b.done[n] = done
	sum := 0.0
	for _, d := range b.done {
		sum += d
	}
	b.mu.Unlock()
	b.progress.set(sum / float64(len(b.done)))
}

// report grades what was replayed; nil where nothing was.
func (b *backtester) report(failed error) *backtest.Report {
	reports := make([]*backtest.Report, len(b.configs))
	for k, cfg := range b.configs {
		var got []*backtest.Replayed
		for _, r := range b.replays {
			if k < len(r) {
				got = append(got, r[k])
			}
		}
		if len(got) == 0 && k == 0 {
			return nil
		}
		partial := ""
		switch {
		case failed != nil:
			partial = failed.Error()
		case len(got) < len(b.list):
			partial = fmt.Sprintf("stopped: %d of %d cases were begun", len(got), len(b.list))
		}
		reports[k] = backtest.NewReport(cfg.File, got, partial, backtest.GradeOptions{})
	}
	if len(reports) > 1 {
		reports[0].Compare(reports[1])
		if reports[0].Partial == "" {
			reports[0].Partial = reports[1].Partial
		}
	}
	b.progress.end(reports[0].Partial == "")
	return reports[0]
}

// reason is what is wrong with a file, where its path has been said already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// caseDirs finds the case folders at or below the given ones, in order.
func caseDirs(roots []string) ([]string, error) {
	var out []string
	for _, root := range roots {
		var found []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "incidents.yml" {
				found = append(found, filepath.Dir(path))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("case %s: %w: want a folder with incidents.yml in it or below it", root, reason(err))
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("case %s: neither it nor a folder below it has an incidents.yml", root)
		}
		slices.Sort(found)
		out = append(out, found...)
	}
	return out, nil
}

// Conditions reads what --fail-under says.
func Conditions(texts []string) ([]backtest.Condition, error) {
	c, err := backtest.ParseConditions(texts)
	if err != nil {
		return nil, fmt.Errorf("--fail-under: %w", err)
	}
	return c, nil
}
