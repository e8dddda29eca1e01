package rules

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// sideSeries is how many series each rule of the comparison has.
const sideSeries = 10_000

// sideRules are a recording rule and a detection rule of the same expression,
// and the anomaly rules of Grafana's promql-anomaly-detection for the same
// series, by their formulas: median and MAD of a day (robust), mean of an hour
// and smoothed deviation of 26 hours (adaptive), each with the bands of a day and
// a week before, evaluated every five minutes as there. Selectors of the other kinds of
// series, which find nothing here, and the rules of constants are left out.
const sideRules = `groups:
- name: record/selector
  rules: [{record: side:same, expr: requests}]
- name: score/selector
  rules: [{detect: ScoreSelector, expr: requests, signal: traffic, write: [score]}]
- name: band/selector
  rules: [{detect: BandSelector, expr: requests, signal: traffic}]
- name: record/rate
  rules: [{record: side:rate, expr: 'rate(requests_total[5m])'}]
- name: score/rate
  rules: [{detect: ScoreRate, expr: 'rate(requests_total[5m])', signal: traffic, write: [score]}]
- name: band/rate
  rules: [{detect: BandRate, expr: 'rate(requests_total[5m])', signal: traffic}]
- name: grafana/select
  rules: [{record: g:select, expr: 'requests > 0 unless avg_over_time(requests[1h]) < 5/60'}]
- name: grafana/robust
  rules:
  - {record: 'r:median', expr: 'quantile_over_time(0.5, g:select[1d])'}
  - {record: 'r:deviation', expr: 'abs(g:select - r:median)'}
  - {record: 'r:mad', expr: 'quantile_over_time(0.5, r:deviation[1d])'}
  - {record: 'r:margin', expr: 'r:median * 0.5'}
  - {record: 'r:level', expr: 'quantile_over_time(0.5, g:select[1h])'}
  - record: 'r:lower'
    expr: |
      clamp_min(min without (of) (label_replace(r:median - 2 * r:mad, "of", "mad", "", "")
        or label_replace(r:median - r:margin, "of", "margin", "", "") or last_over_time(r:season_lower[10m])), 0)
  - record: 'r:upper'
    expr: |
      max without (of) (label_replace(r:median + 2 * r:mad, "of", "mad", "", "")
        or label_replace(r:median + r:margin, "of", "margin", "", "") or last_over_time(r:season_upper[10m]))
  - {alert: Robust, for: 5m, expr: 'r:level < r:lower or r:level > r:upper'}
- name: grafana/robust, seasons
  rules:
  - {record: 'r:median_1w', expr: 'quantile_over_time(0.5, g:select[1h] offset 167h45m)'}
  - {record: 'r:deviation_1w', expr: 'abs(g:select offset 167h45m - r:median_1w)'}
  - {record: 'r:mad_1w', expr: 'quantile_over_time(0.5, r:deviation_1w[1h])'}
  - {record: 'r:median_1d', expr: 'quantile_over_time(0.5, g:select[1h] offset 23h45m)'}
  - {record: 'r:deviation_1d', expr: 'abs(g:select offset 23h45m - r:median_1d)'}
  - {record: 'r:mad_1d', expr: 'quantile_over_time(0.5, r:deviation_1d[1h])'}
  - record: 'r:season_upper'
    expr: |
      max without (of) (label_replace(r:median_1w + 2 * r:mad_1w, "of", "1w", "", "") or label_replace(r:median_1d + 2 * r:mad_1d, "of", "1d", "", ""))
  - record: 'r:season_lower'
    expr: |
      min without (of) (label_replace(r:median_1w - 2 * r:mad_1w, "of", "1w", "", "") or label_replace(r:median_1d - 2 * r:mad_1d, "of", "1d", "", ""))
- name: grafana/adaptive
  rules:
  - {record: 'a:mean', expr: 'avg_over_time(g:select[1h])'}
  - {record: 'a:filtered', expr: 'stddev_over_time(g:select[1h]) > 0.5 * a:mean'}
  - {record: 'a:smooth', expr: 'avg_over_time(a:filtered[26h])'}
  - {record: 'a:level', expr: 'g:select'}
  - record: 'a:lower'
    expr: |
      clamp_min(min without (of) (label_replace(a:mean - 2 * a:smooth, "of", "sd", "", "")
        or label_replace(a:mean - 0.5 * a:mean, "of", "margin", "", "") or last_over_time(a:season_lower[10m])), 0)
  - record: 'a:upper'
    expr: |
      max without (of) (label_replace(a:mean + 2 * a:smooth, "of", "sd", "", "")
        or label_replace(a:mean + 0.5 * a:mean, "of", "margin", "", "") or last_over_time(a:season_upper[10m]))
  - {alert: Adaptive, for: 5m, expr: 'a:level < a:lower or a:level > a:upper'}
- name: grafana/adaptive, seasons
  rules:
  - record: 'a:season_upper'
    expr: |
      max without (of) (label_replace(avg_over_time(g:select[1h] offset 167h30m) + 2 * stddev_over_time(g:select[1h] offset 167h30m), "of", "1w", "", "")
        or label_replace(avg_over_time(g:select[1h] offset 23h30m) + 2 * stddev_over_time(g:select[1h] offset 23h30m), "of", "1d", "", ""))
  - record: 'a:season_lower'
    expr: |
      min without (of) (label_replace(avg_over_time(g:select[1h] offset 167h30m) - 2 * stddev_over_time(g:select[1h] offset 167h30m), "of", "1w", "", "")
        or label_replace(avg_over_time(g:select[1h] offset 23h30m) - 2 * stddev_over_time(g:select[1h] offset 23h30m), "of", "1d", "", ""))
`

// sideStorage is the storage of the comparison, with the values of its series.
type sideStorage struct {
	*teststorage.TestStorage
	b      testing.TB
	random *rand.Rand
	total  [sideSeries]float64
	refs   map[string][]storage.SeriesRef
}

func (s *sideStorage) labels(name string, i int) labels.Labels {
	return labels.FromStrings("__name__", name, "cluster", "eu-1", "namespace", "shop", "service", fmt.Sprintf("service-%d", i%100), "pod", fmt.Sprintf("pod-%d", i))
}

// put appends one sample of each series of the names; every third series is bursty.
func (s *sideStorage) put(t time.Time, names ...string) {
	s.b.Helper()
	app := s.Appender(context.Background())
	for i := range sideSeries {
		v := 100 + 8*s.random.NormFloat64()
		if i%3 == 0 && s.random.IntN(8) == 0 {
			v *= 6
		}
		s.total[i] += 60 * max(0, v)
		for _, name := range names {
			if s.refs[name] == nil {
				s.refs[name] = make([]storage.SeriesRef, sideSeries)
			}
			x := v
			switch name {
			case "requests_total":
				x = s.total[i]
			case "r:deviation":
				x = max(v-100, 100-v)
			case "a:filtered":
				if i%3 != 0 {
					continue
				}
			}
			var ls labels.Labels
			if s.refs[name][i] == 0 {
				ls = s.labels(name, i)
			}
			ref, err := app.Append(s.refs[name][i], ls, t.UnixMilli(), x)
			if err != nil {
				s.b.Fatal(err)
			}
			s.refs[name][i] = ref
		}
	}
	if err := app.Commit(); err != nil {
		s.b.Fatal(err)
	}
}

// used is the processor time of the process, by getrusage.
func used(b testing.TB) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSideBySide compares the processor time of rules that are evaluated by
// turns, in one Prometheus engine, over one storage of 10,000 series at a
// sample a minute in steady state, and logs a table: first against recording
// rules alone, then against Grafana's rules too. Run it with -benchtime 1x.
func BenchmarkSideBySide(b *testing.B) {
	b.Run("recording", func(b *testing.B) { sideBySide(b, 40, func(g string) bool { return !strings.HasPrefix(g, "grafana") }) })
	b.Run("grafana", func(b *testing.B) { sideBySide(b, 5, func(g string) bool { return !strings.HasSuffix(g, "/rate") }) })
}

// sideBySide evaluates the groups that take part for 45 minutes, of which Grafana's only
// the last five, and then measures as many minutes as said.
func sideBySide(b *testing.B, measured int, takesPart func(group string) bool) {
	const warm, grafana, seasons = 45, 5, 5 // minutes
	st := &sideStorage{TestStorage: teststorage.New(b), b: b, random: rand.New(rand.NewPCG(1, 2)), refs: map[string][]storage.SeriesRef{}}
	st.DisableCompactions()
	m := st.manager(takesPart)
	begin := at(8 * 24 * time.Hour)
	if takesPart("grafana/select") {
		st.past(begin)
	}
	cost, allocated := map[string]time.Duration{}, map[string]uint64{}
	for minute := range warm + measured {
		now := begin.Add(time.Duration(minute) * time.Minute)
		st.put(now, "requests", "requests_total")
		for _, g := range m.Groups() {
			if strings.HasPrefix(g.Name(), "grafana") && minute < warm-grafana {
				st.putSelect(now, g)
				continue
			}
			if strings.HasSuffix(g.Name(), "seasons") && minute%seasons != 0 {
				continue
			}
			var mem, memAfter runtime.MemStats
			if minute >= warm {
				runtime.GC() // what one leaves behind is not the next one's
				runtime.ReadMemStats(&mem)
			}
			before := used(b)
			m.Eval(b.Context(), g, now)
			if minute >= warm {
				cost[g.Name()] += used(b) - before
				runtime.ReadMemStats(&memAfter)
				allocated[g.Name()] += memAfter.TotalAlloc - mem.TotalAlloc
			}
		}
	}
	for _, g := range m.Groups() {
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				b.Fatalf("%s: %v", r.Name(), err)
			}
		}
		for _, d := range g.Detections() {
			if d.Series() != sideSeries {
				b.Fatalf("%s judges %d series, want %d", d.Name(), d.Series(), sideSeries)
			}
		}
	}
	b.Logf("processor time (getrusage) and allocated memory per minute of %d series, mean of %d\n%s",
		sideSeries, measured, sideTable(cost, allocated, measured))
}

// past fills in what Grafana's rules look back on: the last 26 hours, and an
// hour a week ago.
func (s *sideStorage) past(begin time.Time) {
	for t := begin.Add(-169 * time.Hour); t.Before(begin.Add(-166 * time.Hour)); t = t.Add(time.Minute) {
		s.put(t, "g:select")
	}
	for t := begin.Add(-26 * time.Hour); t.Before(begin); t = t.Add(time.Minute) {
		s.put(t, "g:select", "r:deviation", "a:filtered")
	}
}

// putSelect stands in for Grafana's selection while its rules wait.
func (s *sideStorage) putSelect(now time.Time, g *Group) {
	if g.Name() == "grafana/select" {
		s.put(now, "g:select")
	}
}

func (s *sideStorage) manager(takesPart func(group string) bool) *Manager {
	s.b.Helper()
	engine := promqltest.NewTestEngine(s.b, false, 5*time.Minute, 200_000_000)
	m, err := New(Options{
		Query: promrules.EngineQueryFunc(engine, s.TestStorage), Appendable: s.TestStorage, Queryable: s.TestStorage,
		OnEvaluation: func(Evaluation) {},
	})
	if err != nil {
		s.b.Fatal(err)
	}
	f, err := ParseFile("rules.yml", []byte(sideRules))
	if err != nil {
		s.b.Fatal(err)
	}
	f.Groups = slices.DeleteFunc(f.Groups, func(g *GroupSpec) bool { return !takesPart(g.Name) })
	if err := m.Update([]*File{f}); err != nil {
		s.b.Fatal(err)
	}
	return m
}

// sideTable is the table of the comparison, from the cost of the groups.
func sideTable(cost map[string]time.Duration, allocated map[string]uint64, n int) string {
	var out strings.Builder
	line := func(name string, groups []string, of ...string) {
		var d time.Duration
		var mem uint64
		for _, g := range groups {
			d, mem = d+cost[g], mem+allocated[g]
		}
		if d == 0 {
			return // takes no part
		}
		fmt.Fprintf(&out, "%-18s %8.1f ms %8.1f MiB", name, d.Seconds()*1000/float64(n), float64(mem)/float64(n)/(1<<20))
		for _, o := range of {
			fmt.Fprintf(&out, "   %6.2f × %s", float64(d)/float64(cost[o]), o)
		}
		out.WriteByte('\n')
	}
	for _, expr := range []string{"selector", "rate"} {
		for _, kind := range []string{"record/", "score/", "band/"} {
			line(kind+expr, []string{kind + expr}, "record/"+expr)
		}
	}
	for _, kind := range []string{"robust", "adaptive"} {
		line("Grafana, "+kind, []string{"grafana/select", "grafana/" + kind, "grafana/" + kind + ", seasons"}, "score/selector", "band/selector")
	}
	return out.String()
}
