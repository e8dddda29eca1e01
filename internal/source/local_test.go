package source

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

func local(t testing.TB, o LocalOptions) *Local {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	l, err := OpenLocal(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func loadConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Load(text, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// eventually polls for something that the scrape loop's own clock brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}

func TestOpenLocalErrors(t *testing.T) {
	dir := t.TempDir()
	local(t, LocalOptions{Dir: dir})
	_, err := OpenLocal(LocalOptions{Dir: dir})
	wantError(t, err, dir, "in use", "another foreshock", "--storage.tsdb.path")

	_, err = OpenLocal(LocalOptions{})
	wantError(t, err, "none is given")

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenLocal(LocalOptions{Dir: filepath.Join(file, "data")})
	wantError(t, err, file, "not a directory", "--storage.tsdb.path")

	if os.Getuid() != 0 { // root writes anywhere
		sealed := filepath.Join(dir, "sealed")
		if err := os.Mkdir(sealed, 0o500); err != nil {
			t.Fatal(err)
		}
		_, err = OpenLocal(LocalOptions{Dir: sealed})
		wantError(t, err, sealed, "not writable", "permission denied")
	}
}

func TestLocalSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLocal(LocalOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := l.Extent(context.Background()); ok {
		t.Error("an empty database has an extent")
	}
	write(t, l.Store().Appendable, `a{b="c"}`, 3, time.Minute, func(i int) (float64, bool) { return float64(i), true })
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l = local(t, LocalOptions{Dir: dir})
	wantValues(t, l.Store().Query, `a`, t0.Add(2*time.Minute), `{__name__="a", b="c"} 2`)
	from, to, ok := l.Extent(context.Background())
	if !ok || !from.Equal(t0) || !to.Equal(t0.Add(2*time.Minute)) {
		t.Errorf("extent: got %s to %s, %v", from, to, ok)
	}
}

func TestOutOfOrderWindow(t *testing.T) {
	late := func(l *Local) error {
		app := l.db.Appender(context.Background())
		if _, err := app.Append(0, mustLabels(`a`), t0.Add(-time.Minute).UnixMilli(), 1); err != nil {
			return err
		}
		return app.Commit()
	}
	for _, c := range []struct {
		window time.Duration
		config string
		ok     bool
	}{
		{0, "", false},
		{10 * time.Minute, "", true},
		{0, "storage: {tsdb: {out_of_order_time_window: 10m}}", true},
	} {
		l := local(t, LocalOptions{OutOfOrderWindow: c.window, MaxExemplars: 10})
		if err := l.ApplyConfig(loadConfig(t, c.config)); err != nil {
			t.Fatal(err)
		}
		write(t, l.db, `a`, 1, time.Second, func(int) (float64, bool) { return 1, true })
		if err := late(l); (err == nil) != c.ok {
			t.Errorf("window %s, configuration %q: a sample one minute late gives %v", c.window, c.config, err)
		}
	}
}

// A configuration that does not speak of retention must not switch it off.
func TestRetention(t *testing.T) {
	for _, c := range []struct {
		config string
		want   float64 // seconds
	}{
		{"", 86400}, {"storage: {tsdb: {retention: {time: 2h}}}", 7200},
	} {
		reg := prometheus.NewRegistry()
		l := local(t, LocalOptions{Retention: 24 * time.Hour, Registerer: reg})
		if err := l.ApplyConfig(loadConfig(t, c.config)); err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := -1.0
		for _, f := range families {
			if f.GetName() == "prometheus_tsdb_retention_limit_seconds" {
				got = f.Metric[0].Gauge.GetValue()
			}
		}
		if got != c.want {
			t.Errorf("configuration %q: retention is %v s, want %v s", c.config, got, c.want)
		}
	}
}

// A subquery without a step takes the configuration's evaluation interval.
func TestSubqueryStep(t *testing.T) {
	l := local(t, LocalOptions{})
	wantValues(t, l.query, `count_over_time(vector(1)[10m:])`, t0, `{} 10`)
	if err := l.ApplyConfig(loadConfig(t, "global: {evaluation_interval: 30s}")); err != nil {
		t.Fatal(err)
	}
	wantValues(t, l.query, `count_over_time(vector(1)[10m:])`, t0, `{} 20`)
}

// target serves what it is told to.
func target(t *testing.T, body string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func scrapeConfig(t *testing.T, jobs map[string]string) *config.Config {
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 50ms, scrape_timeout: 50ms}\nscrape_configs:\n")
	for job, address := range jobs {
		fmt.Fprintf(&b, "- {job_name: %s, static_configs: [{targets: ['%s'], labels: {team: shop}}]}\n", job, address)
	}
	return loadConfig(t, b.String())
}

func TestScrape(t *testing.T) {
	l := local(t, LocalOptions{DiscoveryInterval: 10 * time.Millisecond, Registerer: prometheus.NewRegistry()})
	good, bad := target(t, "good_metric{x=\"1\"} 42\n"), target(t, "<html>this is no metric</html>\n")
	if err := l.ApplyConfig(scrapeConfig(t, map[string]string{"good": good, "bad": bad})); err != nil {
		t.Fatal(err)
	}
	if got := l.Targets(); got != nil {
		t.Errorf("targets before Run: %v", got)
	}
	for range 2 { // Run may be called again
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		eventually(t, "both targets scraped", func() bool {
			ts := l.Targets()
			return len(ts) == 2 && len(ts[0].Active) == 1 && len(ts[1].Active) == 1 &&
				ts[0].Active[0].Health == "down" && ts[1].Active[0].Health == "up"
		})
		if err := l.Run(ctx); err == nil {
			t.Error("a second Run at the same time gives no error")
		}
		if _, err := l.WriteHistory(ctx); err == nil {
			t.Error("history beside scraping gives no error")
		}
		ts := l.Targets()
		if ts[0].Job != "bad" || ts[1].Job != "good" {
			t.Errorf("jobs: got %s, %s", ts[0].Job, ts[1].Job)
		}
		b, g := ts[0].Active[0], ts[1].Active[0]
		if b.Error == "" || g.Error != "" || g.URL != "http://"+good+"/metrics" || g.Interval != 50*time.Millisecond || g.Timeout != 50*time.Millisecond {
			t.Errorf("targets: got %+v and %+v", b, g)
		}
		if g.LastScrape.IsZero() || g.Labels.Get("team") != "shop" || g.DiscoveredLabels.Get("__address__") != good {
			t.Errorf("good target: got %+v", g)
		}
		eventually(t, "up of both jobs is stored", func() bool {
			v := mustQuery(t, l.query, `up`, time.Now())
			return len(v) == 2
		})
		now := time.Now()
		for _, s := range mustQuery(t, l.query, `up`, now) {
			if want := map[string]float64{"good": 1, "bad": 0}[s.Metric.Get("job")]; s.F != want {
				t.Errorf("%s: got %v, want %v", s.Metric, s.F, want)
			}
		}
		if v := mustQuery(t, l.query, `good_metric`, now); len(v) != 1 || v[0].F != 42 {
			t.Errorf("good_metric: got %v", v)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestReloadWhileScraping(t *testing.T) {
	l := local(t, LocalOptions{DiscoveryInterval: 10 * time.Millisecond})
	one, two := target(t, "one 1\n"), target(t, "two 2\n")
	if err := l.ApplyConfig(scrapeConfig(t, map[string]string{"one": one})); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	has := func(expr string) func() bool {
		return func() bool { return len(mustQuery(t, l.query, expr, time.Now())) == 1 }
	}
	eventually(t, "one is scraped", has("one"))
	if err := l.ApplyConfig(scrapeConfig(t, map[string]string{"two": two})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two is scraped", has("two"))

	broken := *scrapeConfig(t, map[string]string{"one": one})
	broken.StorageConfig.TSDBConfig = &config.TSDBConfig{ChunkEncoding: config.ChunkEncodingConfig{Floats: "none"}}
	wantError(t, l.ApplyConfig(&broken), "storage", "none")
	if got := l.Targets(); len(got) != 1 || got[0].Job != "two" {
		t.Errorf("after a refused configuration: got %+v, want the one before", got)
	}
}

func TestFileDiscovery(t *testing.T) {
	l := local(t, LocalOptions{DiscoveryInterval: 10 * time.Millisecond})
	file := filepath.Join(t.TempDir(), "targets.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, `[{"targets":[%q]}]`, target(t, "three 3\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := loadConfig(t, fmt.Sprintf("global: {scrape_interval: 50ms, scrape_timeout: 50ms}\nscrape_configs: [{job_name: f, file_sd_configs: [{files: ['%s']}]}]", file))
	if err := l.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	eventually(t, "the target of the file is scraped", func() bool { return len(mustQuery(t, l.query, `three`, time.Now())) == 1 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestBuiltInDiscoveries(t *testing.T) {
	for _, sd := range []string{
		"http_sd_configs: [{url: 'http://localhost/targets'}]",
		"dns_sd_configs: [{names: [shop.example]}]",
		"kubernetes_sd_configs: [{role: pod, api_server: 'http://localhost'}]",
		"file_sd_configs: [{files: [targets.yml]}]",
	} {
		if got := len(loadConfig(t, "scrape_configs: [{job_name: a, "+sd+"}]").ScrapeConfigs); got != 1 {
			t.Errorf("%s: got %d scrape configurations, want 1", sd, got)
		}
	}
}

func TestHistory(t *testing.T) {
	l := local(t, LocalOptions{})
	ctx := context.Background()
	h, err := l.WriteHistory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteHistory(ctx); err == nil {
		t.Error("a second writer gives no error")
	}
	const series, step = 5, time.Minute
	n := int((10 * time.Hour) / step)
	var refs [series + 1]uint64
	for i := range n {
		ts := t0.Add(time.Duration(i) * step).UnixMilli()
		for s := range series {
			if refs[s], err = h.Append(refs[s], labels.FromStrings("__name__", "m", "s", fmt.Sprint(s)), ts, float64(i*s)); err != nil {
				t.Fatal(err)
			}
		}
		if i < 100 { // one that ends
			v := float64(i)
			if i == 99 {
				v = math.Float64frombits(value.StaleNaN)
			}
			if refs[series], err = h.Append(refs[series], mustLabels("ended"), ts, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Commit(ts); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.Append(refs[0], mustLabels(`m{s="0"}`), t0.UnixMilli(), 0)
	wantError(t, err, "comes after")
	_, err = h.Append(0, mustLabels(`m{s="0"}`), t0.Add(time.Duration(n-1)*step).UnixMilli(), 7)
	wantError(t, err, `s="0"`, "second sample")
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.db.Blocks()) == 0 {
		t.Error("ten hours of history made no block")
	}
	last := t0.Add(time.Duration(n-1) * step)
	wantValues(t, l.query, `m{s="3"}`, last, fmt.Sprintf(`{__name__="m", s="3"} %d`, 3*(n-1)))
	wantValues(t, l.query, `sum(count_over_time(m[10h]))`, last, fmt.Sprintf(`{} %d`, series*n))
	wantValues(t, l.query, `ended`, t0.Add(98*time.Minute), `{__name__="ended"} 98`)
	wantValues(t, l.query, `ended`, t0.Add(99*time.Minute))
	from, to, ok := l.Extent(ctx)
	if !ok || !from.Equal(t0) || !to.Equal(last) {
		t.Errorf("extent: got %s to %s, want %s to %s", from, to, t0, last)
	}
	// Scrapes go on where history ends, and a second past is refused.
	app := l.db.Appender(ctx)
	if _, err := app.Append(0, mustLabels(`m{s="3"}`), last.Add(time.Second).UnixMilli(), 1); err != nil {
		t.Error(err)
	}
	if err := app.Commit(); err != nil {
		t.Error(err)
	}
	if h, err = l.WriteHistory(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = h.Append(0, mustLabels("x"), t0.UnixMilli(), 0)
	wantError(t, err, "empty data directory")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTemporary(t *testing.T) {
	parent := t.TempDir()
	l, err := OpenTemporary(TemporaryOptions{Dir: parent})
	if err != nil {
		t.Fatal(err)
	}
	// Whole series one after the other, over years.
	for _, s := range []string{"a", "b"} {
		write(t, l.db, s, 3, 365*24*time.Hour, func(i int) (float64, bool) { return float64(i), true })
	}
	wantValues(t, l.query, `{__name__=~"a|b"}`, t0.Add(365*24*time.Hour), `{__name__="a"} 1`, `{__name__="b"} 1`)
	wantError(t, l.Run(context.Background()), "scrapes nothing")
	wantError(t, l.ApplyConfig(&config.Config{}), "no configuration")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("after Close: %v, %v", left, err)
	}
	_, err = OpenTemporary(TemporaryOptions{Dir: filepath.Join(parent, "absent")})
	wantError(t, err, "TMPDIR")
}
