package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/livecheck"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// CheckSourceOptions say which server is asked about a configuration's rules.
type CheckSourceOptions struct {
	ConfigFile string
	URL        string // "": none is asked
	HTTPFile   string // HTTP client configuration, as promtool takes it; "": the configuration's, if the server is its source
	// ColdStart is how much of the past a server would replay at its start; see [Options].
	ColdStart time.Duration
	Out       io.Writer
	Progress  io.Writer
}

// CheckSource asks a server what the rules of a configuration would meet there.
// It writes warnings, what each rule costs, and what to expect; the error holds
// what cannot work.
func CheckSource(ctx context.Context, o CheckSourceOptions) error {
	if o.URL == "" {
		return nil
	}
	cfg, err := LoadConfig(o.ConfigFile)
	if err != nil {
		return err
	}
	results, err := source.OpenTemporary(source.TemporaryOptions{})
	if err != nil {
		return err
	}
	defer results.Close()
	own := engine.Outputs(cfg.Engine)
	ro := source.RemoteOptions{URL: o.URL, Results: results, Concurrency: 1, Own: func() map[string]bool { return own }, Logger: slog.New(slog.DiscardHandler)}
	switch {
	case o.HTTPFile != "":
		if ro.HTTPClient, _, err = config_util.LoadHTTPConfigFile(o.HTTPFile); err != nil {
			return fmt.Errorf("--http.config.file: %w", err)
		}
	case cfg.Source != nil && cfg.Source.URL == o.URL:
		ro.HTTPClient = &cfg.sourceClient
	}
	remote, err := source.NewRemote(ro)
	if err != nil {
		return err
	}
	defer remote.Close()
	now := time.Now()
	progress := newProgress(o.Progress, "asking about rules")
	report, err := livecheck.Run(ctx, livecheck.Options{
		Query: remote.Store().Query, Range: remote.Store().Range, Now: now, Files: cfg.Engine.Rules, Own: own,
		Names: func(ctx context.Context) ([]string, error) {
			names, _, err := remote.LabelValues(ctx, model.MetricNameLabel, nil, now.Add(-initRecent), now, 0)
			return names, err
		},
		Place: cfg.packPlace, Service: cfg.hasService, Identity: cfg.Engine.Identity.Names(),
		Interval: cfg.Engine.EvaluationInterval, Progress: progress.set,
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range report.Findings {
		if f.Fails {
			failed = append(failed, errors.New(f.String()))
			continue
		}
		if _, err := fmt.Fprintf(o.Out, "warning: %s\n", f); err != nil {
			return err
		}
	}
	sourceReport{cfg, report, o.ColdStart, remote.URL()}.write(o.Out)
	return errors.Join(failed...)
}

// packPlace is where the pack stands whose rules have this path.
func (c *Config) packPlace(file string) livecheck.Place {
	n := c.packAt[file]
	if n == nil {
		return livecheck.Place{}
	}
	return livecheck.Place{File: c.File, Line: n.Line, Column: n.Column}
}

// hasService reports whether a series belongs to a service or measures the
// calls between two.
func (c *Config) hasService(ls labels.Labels) bool {
	if c.Engine.Identity.OfLabels(ls) != "" {
		return true
	}
	for _, d := range append(slices.Clip(c.Engine.Edges), topology.Discovery{Caller: "client", Callee: "server"}) {
		if _, _, ok := d.Ends(c.Engine.Identity, ls); ok {
			return true
		}
	}
	return false
}

// sourceReport says what the rules cost and what is to be expected of them.
type sourceReport struct {
	cfg       *Config
	report    livecheck.Report
	coldStart time.Duration
	url       string
}

func (r sourceReport) write(out io.Writer) {
	r.table(out)
	r.packs(out)
	var series, queries, empty int
	var perSecond, coldSamples, anomalies float64
	coldQueries := 0
	for _, x := range r.report.Rules {
		every := max(x.Every, time.Second)
		queries++
		if x.Series == 0 {
			empty++
		}
		perSecond += x.Samples / every.Seconds()
		steps := float64(r.coldStart) / float64(max(x.Every, replayStep))
		coldQueries += int(math.Ceil(steps / coldSteps))
		coldSamples += x.Samples * steps
		if x.Kind == "detect" {
			series += x.Series
			anomalies += x.Anomalies
		}
	}
	fmt.Fprintf(out, "%s would be asked %d queries in turn, which read about %s samples a second\n", r.url, queries, rounded(perSecond))
	if r.coldStart > 0 {
		fmt.Fprintf(out, "a cold start over %s asks about %d range queries, one at a time, which read about %s samples\n",
			model.Duration(r.coldStart), coldQueries, rounded(coldSamples))
	}
	if empty > 0 {
		fmt.Fprintf(out, "%d of %d rules have no result now\n", empty, queries)
	}
	fmt.Fprintf(out, "expected: %s anomalies recorded a week, by the budgets of %d series; %s\n", rounded(anomalies), series, r.sent())
}

// coldSteps is how many steps one query of a cold start is for.
const coldSteps = 500

// sent says how much may be sent for nothing.
func (r sourceReport) sent() string {
	week := func(events float64, per time.Duration) string {
		if per <= 0 {
			return "any number of"
		}
		return fmt.Sprintf("%.2g", events*float64(7*24*time.Hour)/float64(per))
	}
	e := r.cfg.Engine
	pages, tickets := week(e.FalsePages.Events, e.FalsePages.Per), week(e.FalseTickets.Events, e.FalseTickets.Per)
	switch e.Mode {
	case "shadow":
		return fmt.Sprintf("nothing is sent in shadow mode; without it %s pages and %s tickets a week for nothing at most", pages, tickets)
	case "ticket":
		return fmt.Sprintf("%s tickets a week sent for nothing at most", tickets)
	}
	return fmt.Sprintf("%s pages and %s tickets a week sent for nothing at most", pages, tickets)
}

// table lists the rules that have results.
func (r sourceReport) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tseries\tsamples\tevery\tmedian life\tanomalies a week")
	for _, x := range r.report.Rules {
		if x.Series == 0 {
			continue
		}
		life, anomalies := "", ""
		if x.Kind == "detect" {
			anomalies = fmt.Sprintf("%.2g", x.Anomalies)
			if x.Life > 0 {
				life = model.Duration(x.Life.Round(time.Minute)).String()
			}
			if x.WholeDay {
				life = "≥ " + life
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", x.Name, x.Series, rounded(x.Samples), model.Duration(x.Every), life, anomalies)
	}
	w.Flush()
}

// packs says which packs have data.
func (r sourceReport) packs(out io.Writer) {
	for _, p := range r.cfg.Packs {
		all, some := 0, 0
		for _, x := range r.report.Rules {
			if x.File == packFile(p.Name) {
				all++
				if x.Series > 0 {
					some++
				}
			}
		}
		at := r.cfg.packPlace(packFile(p.Name))
		switch some {
		case 0:
			fmt.Fprintf(out, "warning: %s:%d:%d: pack %s has no data: remove it, or scrape what it reads, such as %s\n",
				at.File, at.Line, at.Column, p.Name, strings.Join(p.Metrics[:min(2, len(p.Metrics))], " or "))
		default:
			fmt.Fprintf(out, "pack %s: %d of %d rules have data\n", p.Name, some, all)
		}
	}
}

// rounded is a number as people say it.
func rounded(x float64) string {
	switch {
	case x >= 1e9:
		return fmt.Sprintf("%.3gG", x/1e9)
	case x >= 1e6:
		return fmt.Sprintf("%.3gM", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.3gk", x/1e3)
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2g", x)
}
