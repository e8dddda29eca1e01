package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/app"
)

func runBacktest(ctx context.Context, args []string, std streams) error {
	o := app.BacktestOptions{Out: std.err, Stdout: std.out}
	var from, to string
	var cache int
	var conditions []string
	f := flags("backtest", "--config.file=foreshock.yml (--case DIR | --input FILE | --source.url URL --from T --to T)", std)
	f.StringVar(&o.ConfigFile, "config.file", "foreshock.yml", "configuration file")
	f.StringVar(&o.Compare, "compare", "", "a second configuration: show what it sends otherwise; files and conditions are those of the first")
	f.StringArrayVar(&o.Cases, "case", nil, "a case folder (with incidents.yml), or a folder below which they are; may be repeated")
	f.StringArrayVar(&o.Inputs, "input", nil, "an OpenMetrics file with timestamps, plain or gzip (may be repeated, in time order), or a Prometheus TSDB directory, which is only read")
	f.StringVar(&o.SourceURL, "source.url", "", "a server with Prometheus's query API; the default is the configuration's source")
	f.StringVar(&o.HTTPFile, "http.config.file", "", "HTTP client configuration for --source.url, as promtool takes it")
	f.StringVar(&from, "from", "", "begin: RFC 3339, Unix seconds, or an age such as 7d; the default is the first sample")
	f.StringVar(&to, "to", "", "end, in the same forms; the default is the last sample, for a server five minutes ago")
	f.StringVar(&o.Changes, "changes", "", "changes file, where no case names one")
	f.StringArrayVar(&o.Topology, "topology", nil, "topology file beside those of the configuration; may be repeated")
	f.StringVar(&o.Incidents, "incidents", "", "labelled incidents (incidents.yml) to grade against, where no case has them")
	f.StringVar(&o.Cache, "cache", "", "directory in which a server's answers are kept, so that the next run asks it nothing")
	f.IntVar(&cache, "cache.max-mib", 1024, "most MiB of a server's answers that are kept in memory and in the cache")
	f.StringVar(&o.Pages, "pages", "", "write one JSON object per incident sent; - is standard output")
	f.StringVar(&o.Report, "report", "", "write the machine-readable report (JSON)")
	f.StringVar(&o.HTML, "html", "", "write the report as one HTML file")
	f.BoolVar(&o.Summary, "summary", false, "print figures only, not each incident")
	f.StringArrayVar(&conditions, "fail-under", nil, "conditions such as 'recall>=0.8,false_pages_per_day<=0.1'; exit status 3 when one is not met; may be repeated")
	durationFlag(f, &o.Query.LookbackDelta, "query.lookback-delta", 5*time.Minute, "how far a query looks back for the newest sample of a series")
	f.IntVar(&o.Query.MaxSamples, "query.max-samples", 50_000_000, "most samples that one query may have in memory")
	logger := logFlags(f, std, "error")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	now := time.Now()
	var errs [3]error
	o.From, errs[0] = moment("--from", from, now)
	o.To, errs[1] = moment("--to", to, now)
	o.FailUnder, errs[2] = app.Conditions(conditions)
	if err := errors.Join(errs[:]...); err != nil {
		return usageError{err}
	}
	if len(o.Cases) == 0 && len(o.Inputs) == 0 && to == "" {
		o.To = now.Add(-5 * time.Minute).Truncate(time.Minute) // what is newer may still change
	}
	if !o.From.IsZero() && !o.To.IsZero() && !o.To.After(o.From) {
		return usageError{fmt.Errorf("--to %s is not after --from %s", o.To.UTC().Format(time.RFC3339), o.From.UTC().Format(time.RFC3339))}
	}
	if len(o.Cases) == 0 && len(o.Inputs) == 0 {
		o.CacheSize = cache << 20
	}
	files := map[string]string{}
	for flag, path := range map[string]string{"--pages": o.Pages, "--report": o.Report, "--html": o.HTML} {
		switch {
		case path == "-" && flag != "--pages":
			return usageError{fmt.Errorf("%s -: only --pages goes to standard output", flag)}
		case path != "" && files[path] != "":
			return usageError{fmt.Errorf("%s and %s are the same file %s", min(flag, files[path]), max(flag, files[path]), path)}
		}
		files[path] = flag
	}
	if o.Query.MaxSamples <= 0 || cache <= 0 {
		return usageError{errors.New("--query.max-samples and --cache.max-mib must be above zero")}
	}
	var err error
	if o.Logger, err = logger(); err != nil {
		return err
	}
	return app.Backtest(ctx, o)
}

// moment reads a time: RFC 3339, Unix seconds, "now", or an age.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if text == "now" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(s) < 1e11 {
		return time.UnixMilli(int64(math.Round(s * 1000))).UTC(), nil
	}
	age := strings.TrimPrefix(strings.TrimPrefix(text, "now"), "-")
	if d, err := model.ParseDuration(age); err == nil {
		return now.Add(-time.Duration(d)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%s: %q: want a time as of RFC 3339, Unix seconds, now, or an age such as 7d", flag, text)
}
