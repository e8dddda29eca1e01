package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/livecheck"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/starter"
)

// What `init` asks a server at most.
const (
	initMetrics = 5000 // metrics whose labels are looked at
	initSeries  = 500  // series of each
	initLabel   = 100  // values of each label
	initRecent  = time.Hour
)

// InitOptions say for which server a configuration is written, and where to.
type InitOptions struct {
	SourceURL string
	HTTPFile  string // HTTP client configuration, as promtool takes it; "" for none
	Dir       string
	Out       io.Writer
	Logger    *slog.Logger
}

// Init looks at the metrics of a server, one bounded query after the other, and
// writes foreshock.yml and rules.yml in shadow mode. Files that are there already
// are not touched: that is an error.
func Init(ctx context.Context, o InitOptions) error {
	for _, name := range []string{"foreshock.yml", "rules.yml"} {
		if _, err := os.Stat(filepath.Join(o.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: choose another directory with --output.dir, or move it away", filepath.Join(o.Dir, name))
		}
	}
	results, err := source.OpenTemporary(source.TemporaryOptions{})
	if err != nil {
		return err
	}
	defer results.Close()
	ro := source.RemoteOptions{URL: o.SourceURL, Results: results, Concurrency: 1, Logger: o.Logger}
	if o.HTTPFile != "" {
		client, _, err := config_util.LoadHTTPConfigFile(o.HTTPFile)
		if err != nil {
			return fmt.Errorf("--http.config.file: %w", err)
		}
		ro.HTTPClient = client
	}
	remote, err := source.NewRemote(ro)
	if err != nil {
		return err
	}
	defer remote.Close()
	sys, err := survey(ctx, remote, o, time.Now())
	if err != nil {
		return err
	}
	files, err := starter.Write(sys)
	if err != nil {
		return fmt.Errorf("%s has %d metrics: %w", remote.URL(), len(sys.Metrics), err)
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return err
	}
	for name, text := range map[string]string{"foreshock.yml": files.Config, "rules.yml": files.Rules} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return o.report(remote, sys)
}

// survey asks for metrics, types, labels, the distance of samples and how far they reach back.
func survey(ctx context.Context, remote *source.Remote, o InitOptions, now time.Time) (starter.System, error) {
	sys := starter.System{SourceURL: o.SourceURL, Mode: "shadow", Brief: true}
	names, _, err := remote.LabelValues(ctx, model.MetricNameLabel, nil, now.Add(-initRecent), now, 0)
	if err != nil {
		return sys, err
	}
	if len(names) > initMetrics {
		fmt.Fprintf(o.Out, "%d metrics: the first %d by name are looked at\n", len(names), initMetrics)
		names = names[:initMetrics]
	}
	types, err := remote.Metadata(ctx, "")
	if err != nil {
		fmt.Fprintf(o.Out, "types are taken from names, since the server tells none: %v\n", err)
	}
	p := newProgress(o.Out, "looking at metrics")
	for i, name := range names {
		m := starter.Metric{Name: name, Labels: map[string][]string{}}
		for _, suffix := range []string{"", "_total", "_bucket", "_sum", "_count"} {
			if of := types[strings.TrimSuffix(name, suffix)]; len(of) > 0 && m.Type == "" {
				m.Type = string(of[0].Type)
			}
		}
		series, _, err := remote.Series(ctx, []string{"{" + model.MetricNameLabel + "=" + strconv.Quote(name) + "}"}, now.Add(-initRecent), now, initSeries)
		if err != nil {
			return sys, err
		}
		for _, s := range series {
			describe(&m, s)
		}
		sys.Metrics = append(sys.Metrics, m)
		p.set(float64(i+1) / float64(len(names)))
	}
	p.set(1)
	sys.Interval, err = interval(ctx, remote, time.Now()) // a young server has more samples by now
	return sys, err
}

// describe adds the labels of a series to what is known of its metric.
func describe(m *starter.Metric, series labels.Labels) {
	series.Range(func(l labels.Label) {
		if v := m.Labels[l.Name]; l.Name != model.MetricNameLabel && len(v) < initLabel && !slices.Contains(v, l.Value) {
			m.Labels[l.Name] = append(v, l.Value)
		}
	})
}

// interval is the usual distance of two scrapes: that of most jobs; 0 where none is known.
func interval(ctx context.Context, remote *source.Remote, now time.Time) (time.Duration, error) {
	jobs, err := livecheck.ScrapeIntervals(ctx, remote.Store().Query, remote.Store().Range, now)
	if err != nil || len(jobs) == 0 {
		return 0, err
	}
	list := slices.Sorted(maps.Values(jobs))
	return list[len(list)/2], nil
}

// report says what was written, of what, and what to do next.
func (o InitOptions) report(remote *source.Remote, sys starter.System) error {
	path := filepath.Join(o.Dir, "foreshock.yml")
	cfg, err := LoadConfig(path)
	if err != nil {
		return fmt.Errorf("what was written for %s cannot be loaded; please report it: %w", remote.URL(), err)
	}
	rules := 0
	for _, f := range cfg.Engine.Rules {
		for _, g := range f.Groups {
			rules += len(g.Rules)
		}
	}
	fmt.Fprintf(o.Out, "wrote %s and rules.yml: %d rules of %d metrics, %d queries for edges, %d for changes, in shadow mode\n",
		path, rules, len(sys.Metrics), len(cfg.Engine.Edges), len(cfg.Engine.Versions))
	if o.HTTPFile != "" {
		fmt.Fprintf(o.Out, "what is in %s was not copied: add it to the block source as http_client\n", o.HTTPFile)
	}
	fmt.Fprintf(o.Out, "read both files, then: foreshock check --config.file=%s --source.url=… && foreshock --config.file=%s\n", path, path)
	return nil
}
