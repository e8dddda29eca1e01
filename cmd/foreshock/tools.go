package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/app"
)

func runDemo(ctx context.Context, args []string, std streams) error {
	o := app.DemoOptions{Out: std.out}
	f := flags("demo", "[--fault=NAME]", std)
	f.StringVar(&o.Fault, "fault", "bad-deploy", "what goes wrong: "+strings.Join(app.DemoFaults(), ", "))
	f.Uint64Var(&o.Seed, "seed", 1, "makes the shop, its past and its fault repeatable")
	durationFlag(f, &o.Duration, "duration", 0, "stop after this time; 0s runs until Ctrl-C")
	durationFlag(f, &o.Past, "past", 4*24*time.Hour, "how much of a past the shop lives through first")
	f.StringVar(&o.AlertmanagerURL, "alertmanager.url", "", "an Alertmanager that gets the alert as well")
	f.StringVar(&o.ListenAddress, "web.listen-address", "127.0.0.1:9095", "address of the pages; port 0 picks a free one")
	f.StringVar(&o.Dir, "storage.path", "", "directory of the demo's data and configuration; the default is a temporary one, removed at the end")
	logger := logFlags(f, std, "error")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	var err error
	if o.Logger, err = logger(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	return app.Demo(ctx, o)
}

func runDetect(ctx context.Context, args []string, std streams) error {
	var o app.DetectOptions
	var budget string
	f := flags("detect", "[FILE] < series.csv", std)
	f.StringVar(&o.Detector, "detector", "spike", "the detector: "+strings.Join(app.Detectors(), ", "))
	f.StringVar(&budget, "false-alarms", "1 per 30d", "budget of the series: at score 1 an alarm is as rare as this")
	durationFlag(f, &o.Step, "step", 0, "distance of samples; 0s takes it from the first ones")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if err := o.SetBudget(budget); err != nil {
		return usageError{fmt.Errorf("--false-alarms: %w", err)}
	}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	in, name := std.in, "standard input"
	if f.NArg() == 1 && f.Arg(0) != "-" {
		file, err := os.Open(f.Arg(0))
		if err != nil {
			return err
		}
		defer file.Close()
		in, name = file, f.Arg(0)
	}
	if err := app.Detect(ctx, in, std.out, o); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func runInit(ctx context.Context, args []string, std streams) error {
	o := app.InitOptions{Out: std.out}
	f := flags("init", "--source.url=URL", std)
	f.StringVar(&o.SourceURL, "source.url", "", "a server with Prometheus's query API")
	f.StringVar(&o.HTTPFile, "http.config.file", "", "HTTP client configuration for --source.url, as promtool takes it")
	f.StringVar(&o.Dir, "output.dir", ".", "where foreshock.yml and rules.yml are written")
	logger := logFlags(f, std, "error")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	var err error
	if o.Logger, err = logger(); err != nil {
		return err
	}
	if o.SourceURL == "" {
		return usageError{errors.New("--source.url is missing: the Prometheus for which a configuration is written")}
	}
	return app.Init(ctx, o)
}
