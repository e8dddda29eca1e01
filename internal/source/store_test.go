package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// stores are all implementations of Store over the samples of shop, each with
// `job:x` in their results.
func stores(t *testing.T) map[string]Store {
	own := map[string]bool{"job:x": true, "written": true}
	l := local(t, LocalOptions{})
	shop(t, l.db)

	input, results := temporary(t), temporary(t)
	shop(t, input.db)

	behind := temporary(t)
	shop(t, behind.db)
	remote := remoteOver(t, behind, RemoteOptions{Own: func() map[string]bool { return own }})

	all := map[string]Store{
		"local":             l.Store(),
		"overlay of local":  Overlay(input.Store(), results, own),
		"remote":            remote.Store(),
		"overlay of remote": Overlay(remote.Store(), temporary(t), own),
	}
	for _, s := range all {
		write(t, s.Appendable, `job:x{a="b"}`, 3, time.Minute, func(i int) (float64, bool) { return float64(10 * i), true })
	}
	return all
}

// What every Store promises.
func TestStoreConformance(t *testing.T) {
	oracle := temporary(t)
	shop(t, oracle.db)
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) { conform(t, s, oracle, prometheusDialect) })
	}
}

// dialect is how a server may differ from Prometheus.
type dialect struct {
	// same says whether two answers to the expression are the same.
	same func(expr string, got, want promql.Vector) bool
	// other are expressions that the server answers in a way of its own.
	other func(expr string) bool
	// told is called when the server was told the samples; may be nil.
	told func(t *testing.T, url string)
	// takes are expressions that Prometheus refuses and the server takes.
	takes []string
}

var prometheusDialect = dialect{
	same:  func(_ string, got, want promql.Vector) bool { return normal(got) == normal(want) },
	other: func(string) bool { return false },
}

// conform checks a store over the samples of shop, and closes it.
func conform(t *testing.T, s Store, oracle *Local, d dialect) {
	ts := t0.Add(30 * time.Minute)
	wantValues(t, s.Query, `sum by (service) (up{service=~"s[01]"})`, ts, `{service="s0"} 1`, `{service="s1"} 1`)
	wantValues(t, s.Query, `3 + 4`, ts, `{} 7`)
	wantValues(t, s.Query, `scalar(count(up))`, ts, `{} 4`)
	wantValues(t, s.Query, `nothing`, ts)
	wantValues(t, s.Query, `count(pool_in_use{service="s0"}) / 0`, ts, `{} +Inf`)
	wantValues(t, s.Query, `job:x`, t0.Add(2*time.Minute), `{__name__="job:x", a="b"} 20`)
	for _, c := range shopQueries {
		if strings.Contains(c.expr, `({service="s0"})`) || d.other(c.expr) {
			continue // the former may read our outputs as well: refused by remote stores
		}
		want, got := mustQuery(t, oracle.query, c.expr, ts), mustQuery(t, s.Query, c.expr, ts)
		if !d.same(c.expr, got, want) {
			t.Errorf("%s:\ngot\n%swant\n%s", c.expr, normal(got), normal(want))
		}
	}
	testRange(t, s, oracle, d)
	testWrite(t, s)

	for _, bad := range []string{`rate(up)`, `up[5m]`, `"text"`, `sum(`} {
		if v, err := s.Query(context.Background(), bad, ts); err == nil && !slices.Contains(d.takes, bad) {
			t.Errorf("%s: got %v, want an error", bad, v)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Query(ctx, `up`, ts); err == nil {
		t.Error("a done context gives no error")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func normal(v promql.Vector) string {
	v = slices.Clone(v)
	slices.SortStableFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	var b strings.Builder
	for _, s := range v {
		fmt.Fprintf(&b, "%s %v @%d\n", s.Metric, s.F, s.T)
	}
	return b.String()
}

func testRange(t *testing.T, s Store, oracle *Local, d dialect) {
	t.Helper()
	from, to := t0.Add(10*time.Minute), t0.Add(20*time.Minute)
	for _, expr := range []string{`up`, `rate(requests_total[2m])`, `time()`, `nothing`, `absent(requests_total{service="s2"})`} {
		got, err := s.Range(context.Background(), expr, from, to, time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		want, err := oracle.queryRange(context.Background(), expr, from, to, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if d.other(expr) {
			continue
		}
		for _, m := range []promql.Matrix{got, want} {
			slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
		}
		for at := from; !at.After(to); at = at.Add(time.Minute) {
			if g, w := column(got, at), column(want, at); !d.same(expr, g, w) {
				t.Errorf("%s over a range, at %s:\ngot\n%s\nwant\n%s", expr, at, normal(g), normal(w))
			}
		}
	}
	for _, bad := range []string{`rate(up)`, `up[5m]`} {
		if _, err := s.Range(context.Background(), bad, from, to, time.Minute); err == nil && !slices.Contains(d.takes, bad) {
			t.Errorf("%s over a range gives no error", bad)
		}
	}
	if _, err := s.Range(context.Background(), `up`, from, to, 0); err == nil {
		t.Error("a range query without step gives no error")
	}
}

// column is a matrix at one time.
func column(m promql.Matrix, at time.Time) promql.Vector {
	var out promql.Vector
	for _, s := range m {
		for _, p := range s.Floats {
			if p.T == at.UnixMilli() {
				out = append(out, promql.Sample{T: p.T, F: p.F, Metric: s.Metric})
			}
		}
	}
	return out
}

// testWrite: what is appended is there, for queries and for Queryable.
func testWrite(t *testing.T, s Store) {
	t.Helper()
	at := t0.Add(50 * time.Minute)
	app := s.Appendable.Appender(context.Background())
	if _, err := app.Append(0, mustLabels(`written{x="y"}`), at.UnixMilli(), 5); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	wantValues(t, s.Query, `written`, at, `{__name__="written", x="y"} 5`)
	q, err := s.Queryable.Querier(t0.UnixMilli(), at.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "written"))
	n := 0
	for set.Next() {
		n++
	}
	if set.Err() != nil || n != 1 {
		t.Errorf("Queryable: got %d series, %v, want 1", n, set.Err())
	}
}

// Names of our own come from the results only, whatever selects them.
func TestOverlayHidesOwnNames(t *testing.T) {
	input, results := temporary(t), temporary(t)
	always := func(int) (float64, bool) { return 1, true }
	for _, s := range []string{`up{i="in"}`, `anomaly_score{i="in"}`, `job:x{i="in"}`, `ALERTS{i="in"}`, `jobs{i="in"}`} {
		write(t, input.db, s, 3, time.Minute, always)
	}
	write(t, results.db, `anomaly_score{i="out"}`, 3, time.Minute, always)
	s := Overlay(input.Store(), results, map[string]bool{"anomaly_score": true, "job:x": true, "ALERTS": true})
	ts := t0.Add(2 * time.Minute)
	wantValues(t, s.Query, `anomaly_score`, ts, `{__name__="anomaly_score", i="out"} 1`)
	wantValues(t, s.Query, `ALERTS`, ts)
	wantValues(t, s.Query, `absent(job:x)`, ts, `{} 1`)
	wantValues(t, s.Query, `count by (__name__) ({i=~"in|out"})`, ts, `{__name__="up"} 1`, `{__name__="jobs"} 1`, `{__name__="anomaly_score"} 1`)
	wantValues(t, s.Query, `{__name__=~"job.*"}`, ts, `{__name__="jobs", i="in"} 1`)
	wantValues(t, s.Query, `up + on () anomaly_score`, ts, `{} 2`)

	q, err := s.Queryable.Querier(t0.UnixMilli(), ts.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	names, _, err := q.LabelValues(context.Background(), "__name__", &storage.LabelHints{})
	if got := strings.Join(names, " "); err != nil || got != "anomaly_score jobs up" {
		t.Errorf("names: got %q, %v", got, err)
	}
	values, _, err := q.LabelValues(context.Background(), "i", &storage.LabelHints{}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "anomaly_score"))
	if got := strings.Join(values, " "); err != nil || got != "out" {
		t.Errorf("values of i: got %q, %v", got, err)
	}
	all, _, err := q.LabelNames(context.Background(), &storage.LabelHints{}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "ALERTS"))
	if err != nil || len(all) != 0 {
		t.Errorf("labels of ALERTS: got %q, %v", all, err)
	}
	if _, _, ok := input.Extent(context.Background()); !ok {
		t.Error("the input is empty")
	}
	wantValues(t, input.query, `count({i="out"})`, ts)
}

func TestCheckRemote(t *testing.T) {
	own := map[string]bool{"anomaly_score": true, "job:x": true}
	for expr, ok := range map[string]bool{
		`up`: true, `anomaly_score > 1`: true, `time()`: true, `job:x / anomaly_score`: true, `{__name__=~"job:x|anomaly_score"}`: true,
		`{__name__=~"up|down"}`: true, `up and anomaly_score`: false, `{job="x"}`: false, `{__name__=~"anomaly.+"}`: false, `sum(`: false,
	} {
		if err := CheckRemote(expr, own); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %v", expr, err, ok)
		}
	}
	wantError(t, CheckRemote(`up and anomaly_score`, own), "reads both anomaly_score", "and up", "record")
	wantError(t, CheckRemote(`{job="x"}`, own), `{job="x"}`, "name the metric")
}
