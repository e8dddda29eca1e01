package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// made is a series of a minute's step with events at the given rows.
func made(n int, events ...event) *series {
	s := &series{set: "made", name: "a.csv"}
	for i := range n {
		s.stamps = append(s.stamps, "")
		s.at = append(s.at, int64(i)*60_000)
		s.value = append(s.value, 0)
		s.label = append(s.label, slices.ContainsFunc(events, func(e event) bool { return i >= e.begin && i < e.end }))
	}
	s.prepare()
	return s
}

// TestAlarms counts by the definition: an alarm begins after an hour of quiet
// and every four hours, false outside events and the hour after them.
func TestAlarms(t *testing.T) {
	const n = 10_000
	s := made(n, event{3000, 3010}, event{5000, 5200}, event{5230, 5240})
	hit := func(rows ...int) []float64 {
		x := make([]float64, n)
		for _, r := range rows {
			x[r] = 5
		}
		return x
	}
	long := make([]float64, n)
	for i := 7000; i < 7000+9*60; i++ {
		long[i] = 5
	}
	for _, c := range []struct {
		name         string
		scores       []float64
		false_, hits int
		delay        float64
	}{
		{"nothing", hit(), 0, 0, math.NaN()},
		{"in history", hit(100), 0, 0, math.NaN()},
		{"in an event", hit(3004), 0, 1, 240},
		{"just before", hit(2999, 3001), 1, 1, 60},
		{"the hour after", hit(3069), 0, 0, math.NaN()},
		{"later than that", hit(3071), 1, 0, math.NaN()},
		{"close together", hit(8000, 8050, 8100), 1, 0, math.NaN()},
		{"apart", hit(8000, 8061), 2, 0, math.NaN()},
		{"nine hours", long, 3, 0, math.NaN()},
		{"an event in the hour after another", hit(5100, 5235), 0, 2, 6000},
	} {
		f := countAlarms([]hot{hotRows(s, c.scores, 4)}, 4)
		if f.falseAlarms != c.false_ || f.found != c.hits || f.events != 3 {
			t.Errorf("%s: %d false alarms, %d of %d events; want %d, %d of 3", c.name, f.falseAlarms, f.found, f.events, c.false_, c.hits)
		}
		if got := f.medianDelay(); c.hits < 2 && got != c.delay && !(math.IsNaN(got) && math.IsNaN(c.delay)) {
			t.Errorf("%s: delay %v, want %v", c.name, got, c.delay)
		}
	}
}

// TestEventsOracle compares the sweep with a count at each threshold anew.
func TestEventsOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	all := []*series{made(3000, event{600, 620}, event{1500, 1530}), made(2000, event{900, 901})}
	var scores [][]float64
	for _, s := range all {
		x := make([]float64, len(s.at))
		for i := range x {
			x[i] = math.Round(20*r.ExpFloat64()) / 10
			if s.label[i] && r.IntN(3) == 0 {
				x[i] += 5
			}
		}
		scores = append(scores, x)
	}
	got := scoreEvents(all, scores)
	var levels []float64
	for _, x := range scores {
		levels = append(levels, x...)
	}
	slices.Sort(levels)
	levels = slices.Compact(levels)
	best, recall := 0.0, make([]float64, len(eventBudgets))
	for _, level := range levels[len(levels)/2:] {
		tp, fp, positives, hit, events, alarms, days := 0, 0, 0, 0, 0, 0, 0.0
		for k, s := range all {
			days += s.days()
			last := -1000
			for i := s.first; i < len(s.at); i++ {
				if scores[k][i] >= level && !s.label[i] {
					fp++
					if i-last > eventCool {
						alarms++
					}
					last = i
				}
			}
			for _, e := range s.events {
				events++
				positives += e.end - e.begin
				i := slices.IndexFunc(scores[k][e.begin:e.end], func(v float64) bool { return v >= level })
				if i >= 0 {
					hit++
				}
				if i >= 0 && i <= eventDelay {
					tp += e.end - e.begin
				}
			}
		}
		if tp > 0 {
			best = max(best, 2*float64(tp)/float64(2*tp+fp+positives-tp))
		}
		for b, most := range eventBudgets {
			if float64(alarms)/days <= most {
				recall[b] = max(recall[b], float64(hit)/float64(events))
			}
		}
	}
	if math.Abs(got.kF1-best) > 1e-12 || !slices.Equal(got.recall, recall) {
		t.Errorf("kF1 %v, recall %v; counted anew %v, %v", got.kF1, got.recall, best, recall)
	}
}

func TestWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	s := made(600)
	for i := range s.value {
		s.value[i] = math.Round(r.NormFloat64() * 5)
	}
	var w window
	var m moments
	every := func(int) bool { return true }
	rw := rolling{s: s, length: 3600e3, values: s.value, keep: every, enter: w.enter, leave: w.leave}
	rm := rolling{s: s, length: 3600e3, values: s.value, keep: every, enter: m.enter, leave: m.leave}
	for i := range s.value {
		rw.to(i)
		rm.to(i)
		x := slices.Clone(s.value[max(0, i-59) : i+1])
		slices.Sort(x)
		mean, square := 0.0, 0.0
		for _, v := range x {
			mean += v / float64(len(x))
			square += v * v / float64(len(x))
		}
		if want := (x[(len(x)-1)/2] + x[len(x)/2]) / 2; w.median() != want {
			t.Fatalf("row %d: median %v, want %v", i, w.median(), want)
		}
		if sd := math.Sqrt(max(0, square-mean*mean)); math.Abs(m.mean()-mean) > 1e-9 || math.Abs(m.sd()-sd) > 1e-6 {
			t.Fatalf("row %d: mean %v, deviation %v; want %v, %v", i, m.mean(), m.sd(), mean, sd)
		}
	}
}

// TestGrafanaMissesZero: the shipped rules never see traffic at exactly zero.
func TestGrafanaMissesZero(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct {
		name  string
		fault float64
		fires [2]bool // adaptive, robust
	}{{"zero", 0, [2]bool{false, false}}, {"one", 1, [2]bool{true, true}}, {"none", 100, [2]bool{false, false}}} {
		s := made(47 * 60)
		for i := range s.value {
			s.value[i] = 100 + 8*r.NormFloat64()
			if i >= 44*60 && c.fault < 100 {
				s.value[i] = c.fault
			}
		}
		for k, f := range []func(*series) []float64{grafanaAdaptive, grafanaRobust} {
			if fired := slices.Max(f(s)[44*60:]) > 1; fired != c.fires[k] {
				t.Errorf("%s, rule %d: fires %v, want %v", c.name, k, fired, c.fires[k])
			}
		}
	}
}

func TestInterval(t *testing.T) {
	// Garwood's table: 0 events 0 to 3.69, 10 events 4.80 to 18.39.
	for _, c := range []struct {
		n         int
		low, high float64
	}{{0, 0, 3.689}, {10, 4.795, 18.39}} {
		if low, high := interval(c.n, 1); math.Abs(low-c.low) > 0.01 || math.Abs(high-c.high) > 0.01 {
			t.Errorf("%d events: %v to %v, want %v to %v", c.n, low, high, c.low, c.high)
		}
	}
}

// TestRun goes from files to tables and scores.
func TestRun(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, "series", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(4, 4))
	var labelled, plain strings.Builder
	labelled.WriteString("timestamp,value,label\n")
	plain.WriteString("timestamp,value\n")
	for i := range 3000 {
		v, l := r.NormFloat64(), "0"
		if i == 2000 {
			v, l = 50, "1"
		}
		at := time.Unix(int64(i)*300, 0).UTC()
		labelled.WriteString(at.Format(time.RFC3339) + "," + format(v) + "," + l + "\n")
		plain.WriteString(at.Format("2006-01-02 15:04:05") + "," + format(v) + "\n")
	}
	write("aiops_kpi/data/a.csv", labelled.String())
	write("ms_cloud/data/group/b.csv", labelled.String())
	write("nab/data/real/c.csv", plain.String())
	write("nab/labels/combined_windows.json", `{"real/c.csv": [["1970-01-07 22:00:00.000000", "1970-01-07 23:00:00.000000"]]}`)
	var report bytes.Buffer
	o := options{data: dir, out: out, only: []string{"spike", "rolling 3-sigma 24 h"}, progress: &bytes.Buffer{}}
	if err := run(o, &report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- aiops_kpi: 1 series, 3000 rows, 1 events", "| spike | 1.00 |", "| spike | 1 per 30d |", "| rolling 3-sigma 24 h |"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, report.String())
		}
	}
	for _, path := range []string{"spike/aiops_kpi/a.csv.gz", "spike/ms_cloud/group/b.csv.gz", "spike/nab/real/c.csv"} {
		if _, err := os.Stat(filepath.Join(out, path)); err != nil {
			t.Error(err)
		}
	}
	if err := run(options{data: t.TempDir(), progress: &bytes.Buffer{}}, &report); err == nil || !strings.Contains(err.Error(), "set aiops_kpi") {
		t.Errorf("a folder without data: error %v", err)
	}
}

func TestProvisional(t *testing.T) {
	s := made(10 * 1440)
	day := 24 * time.Hour
	if got := s.provisional(day); math.Abs(got-8.5) > 0.01 {
		t.Errorf("one a day over 8.5 days: %v allowed", got)
	}
	// The span rises from 1.5 to 10 days: the integral of 1/span.
	if got, want := s.provisional(30*day), math.Log(10/1.5); math.Abs(got-want) > 0.01 {
		t.Errorf("one in 30 days with a history of 10: %v allowed, want %v", got, want)
	}
	if _, err := judge(detectors.Spike, s, detectors.DefaultBudget()); err != nil {
		t.Error(err)
	}
}
