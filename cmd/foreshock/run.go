package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	"github.com/spf13/pflag"

	"github.com/foreshock/foreshock/internal/app"
)

// duration is a flag with Prometheus's units (30s, 12h, 15d).
type duration struct{ d *time.Duration }

func (d duration) String() string {
	if d.d == nil {
		return "0s"
	}
	return model.Duration(*d.d).String()
}

func (d duration) Set(s string) error {
	v, err := model.ParseDuration(s)
	*d.d = time.Duration(v)
	return err
}

func (duration) Type() string { return "duration" }

func durationFlag(f *pflag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	f.Var(duration{p}, name, usage)
}

// logFlags adds --log.level and --log.format; the function gives the logger after parsing.
func logFlags(f *pflag.FlagSet, std streams, level string) func() (*slog.Logger, error) {
	l := f.String("log.level", level, "only log messages of this level or above: debug, info, warn, error")
	format := f.String("log.format", "logfmt", "logfmt or json")
	return func() (*slog.Logger, error) {
		c := &promslog.Config{Level: promslog.NewLevel(), Format: promslog.NewFormat(), Writer: std.err}
		if err := c.Level.Set(*l); err != nil {
			return nil, usageError{fmt.Errorf("--log.level: %w", err)}
		}
		if err := c.Format.Set(*format); err != nil {
			return nil, usageError{fmt.Errorf("--log.format: %w", err)}
		}
		return promslog.New(c), nil
	}
}

func runServer(ctx context.Context, args []string, std streams) error {
	o := app.Options{Out: std.err}
	f := flags("run", "[--config.file=foreshock.yml]", std)
	f.StringVar(&o.ConfigFile, "config.file", "foreshock.yml", "configuration file")
	f.StringVar(&o.ListenAddress, "web.listen-address", "127.0.0.1:9095", "address of pages, API and metrics")
	f.StringVar(&o.WebConfigFile, "web.config.file", "", "TLS and basic auth, in the format of exporter-toolkit's web configuration")
	f.StringVar(&o.ExternalURL, "web.external-url", "", "URL under which people reach this server; used for links")
	f.IntVar(&o.MaxConnections, "web.max-connections", 512, "how many connections to pages and API there may be at once")
	f.BoolVar(&o.EnableLifecycle, "web.enable-lifecycle", false, "allow /-/reload and /-/quit by HTTP")
	f.StringVar(&o.ChangesTokenFile, "web.changes-token-file", "", "file with the bearer token that POST /api/v1/changes asks for; without it posting is refused")
	f.BoolVar(&o.EnableWriteReceiver, "web.enable-remote-write-receiver", false, "take Prometheus's remote write at /api/v1/write")
	f.StringVar(&o.StoragePath, "storage.tsdb.path", "data/", "directory of the TSDB, of the journal of incidents and of what was learnt")
	durationFlag(f, &o.Retention, "storage.tsdb.retention.time", 15*24*time.Hour, "how long samples are kept")
	durationFlag(f, &o.SnapshotInterval, "storage.snapshot.interval", 5*time.Minute, "how often what was learnt is saved")
	durationFlag(f, &o.Query.LookbackDelta, "query.lookback-delta", 5*time.Minute, "how far a query looks back for the newest sample of a series")
	durationFlag(f, &o.Query.Timeout, "query.timeout", 2*time.Minute, "how long a query may take")
	f.IntVar(&o.Query.MaxSamples, "query.max-samples", 50_000_000, "how many samples a query may hold in memory")
	durationFlag(f, &o.ColdStart, "coldstart.lookback", 14*24*time.Hour, "how much of the past is replayed at start, where there is that much; 0s replays nothing")
	f.IntVar(&o.Position, "replica.position", 0, "position of this replica, from 0: it waits so many times 15s before it opens an incident")
	f.IntVar(&o.Replicas, "replica.count", 1, "how many replicas run with the same configuration")
	logger := logFlags(f, std, "info")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	o.Flags = map[string]string{}
	f.VisitAll(func(f *pflag.Flag) { o.Flags[f.Name] = f.Value.String() })
	var err error
	if o.Logger, err = logger(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reload := make(chan struct{})
	o.Reload = reload
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				select {
				case reload <- struct{}{}:
				case <-ctx.Done():
				}
			}
		}
	}()
	return app.Run(ctx, o)
}

func runCheck(ctx context.Context, args []string, std streams) error {
	var file string
	var fail bool
	out := &warnings{Writer: std.out}
	routing := app.RoutingOptions{Out: out}
	asked := app.CheckSourceOptions{Out: out, Progress: std.err}
	f := flags("check", "[--config.file=foreshock.yml]", std)
	f.StringVar(&file, "config.file", "foreshock.yml", "configuration file")
	f.StringVar(&routing.AlertmanagerFile, "alertmanager.config.file", "", "an Alertmanager's configuration: warn where it routes pages and tickets otherwise than they need")
	f.StringVar(&routing.AlertmanagerURL, "alertmanager.url", "", "a running Alertmanager, whose configuration is asked for instead")
	f.StringVar(&asked.URL, "source.url", "", "a server with Prometheus's query API: ask it what the rules would meet there")
	f.StringVar(&routing.HTTPFile, "http.config.file", "", "HTTP client configuration for --source.url and --alertmanager.url, as promtool takes it; the source's own needs none")
	durationFlag(f, &asked.ColdStart, "coldstart.lookback", 14*24*time.Hour, "with --source.url: how much of the past run would replay")
	f.BoolVar(&fail, "fail-on-warnings", false, "exit with status 1 also for warnings")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := app.Check(file, out); err != nil {
		return err
	}
	asked.ConfigFile, asked.HTTPFile, routing.ConfigFile = file, routing.HTTPFile, file
	if err := app.CheckSource(ctx, asked); err != nil {
		return err
	}
	if err := app.CheckRouting(ctx, routing); err != nil {
		return err
	}
	if fail && out.n > 0 {
		return fmt.Errorf("%d warnings, and --fail-on-warnings", out.n)
	}
	return nil
}

// warnings counts what is written line by line and begins with "warning: ".
type warnings struct {
	io.Writer
	n int
}

func (w *warnings) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("warning: ")) {
		w.n++
	}
	return w.Writer.Write(p)
}

func runVersion(_ context.Context, args []string, std streams) error {
	if err := parse(flags("version", "", std), args, 0); err != nil {
		return err
	}
	fmt.Fprintln(std.out, version.Print("foreshock"))
	return nil
}
