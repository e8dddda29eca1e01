package demo

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

var (
	trough = time.Date(2024, 5, 6, 1, 0, 0, 0, time.UTC)
	peak   = time.Date(2024, 5, 6, 13, 0, 0, 0, time.UTC)
)

// digest is a sink that remembers all bytes by their hash.
type digest struct {
	refs uint64
	text strings.Builder
}

func (d *digest) Append(ref uint64, l labels.Labels, t int64, v float64) (uint64, error) {
	if ref == 0 {
		d.refs++
		ref = d.refs
	}
	fmt.Fprintf(&d.text, "%s %d %x\n", l, t, math.Float64bits(v))
	return ref, nil
}

func (d *digest) Commit(t int64) error {
	fmt.Fprintf(&d.text, "commit %d\n", t)
	return nil
}

func TestSimulationIsRepeatable(t *testing.T) {
	run := func(seed uint64) uint64 {
		story, err := NewStory(DeadService, 3, StoryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var d digest
		_, err = Simulate(context.Background(), SimulationOptions{
			Spec: NewSpec(), From: trough, To: trough.Add(10 * time.Minute), Step: 15 * time.Second,
			Seed: seed, Events: story.From(trough), Sink: &d,
		})
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		h.Write([]byte(d.text.String()))
		return h.Sum64()
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("the same seed gives other samples: hashes %x and %x", a, b)
	}
	if a, b := run(1), run(2); a == b {
		t.Errorf("another seed gives the same samples: hash %x", a)
	}
}

func TestSimulationCounts(t *testing.T) {
	end := peak.Add(20 * time.Minute)
	m := simulate(t, peak, end, 1, nil)
	count := func(pairs ...string) float64 { return m.increase(peak, end, pairs...) }
	frontend := count("__name__", "http_requests_total", "service", "frontend")
	if rate := frontend / end.Sub(peak).Seconds(); math.Abs(rate-20) > 0.6 {
		t.Errorf("%v requests per second at the peak, want 20", rate)
	}
	// Every histogram counts what the counter beside it counts, and its last
	// bucket is its count.
	for _, svc := range NewSpec().Services[:4] {
		total := count("__name__", "http_requests_total", "service", svc.Name)
		observed := count("__name__", "http_request_duration_seconds_count", "service", svc.Name)
		all := count("__name__", "http_request_duration_seconds_bucket", "service", svc.Name, "le", "+Inf")
		// A lazily made child's first sample is no increase.
		if math.Abs(total-observed) > 5 || all != observed {
			t.Errorf("%s: %v requests, %v observed, %v in the last bucket", svc.Name, total, observed, all)
		}
	}
	// Callers and callee agree, but for what is on its way at the end.
	for _, callee := range []string{"checkout", "payments", "inventory", "database"} {
		calls := count("__name__", "http_client_requests_total", "callee", callee)
		requests := count("__name__", "http_requests_total", "service", callee)
		if math.Abs(calls-requests) > 10 {
			t.Errorf("%s: callers count %v, it counts %v itself", callee, calls, requests)
		}
	}
	// Little's law: the pool is busy for the queries' time, which is 4 of 20 ms
	// per user, of 4 places.
	if busy, want := m.busy(peak, end), 20*4*0.020*math.Exp(0.25*0.25/2)/4; math.Abs(busy-want) > 0.03 {
		t.Errorf("pool busy for %v, want about %v", busy, want)
	}
	for client, want := range map[string]float64{"payments": 120, "inventory": 80} {
		rows := count("__name__", "db_rows_examined_total", "client", client)
		queries := count("__name__", "db_queries_total", "client", client)
		if want *= math.Exp(0.25 * 0.25 / 2); math.Abs(rows/queries-want) > 0.01*want {
			t.Errorf("%s examined %v rows in %v queries, want about %v each", client, rows, queries, want)
		}
	}
}

func TestEveryFaultBitesAndHeals(t *testing.T) {
	for _, begin := range []time.Time{trough, peak} {
		for _, fault := range Faults() {
			for seed := range uint64(2) {
				name := fmt.Sprintf("%s at %d o'clock, seed %d", fault, begin.Hour(), seed)
				story, err := NewStory(fault, seed, StoryOptions{})
				if err != nil {
					t.Fatal(err)
				}
				m := simulate(t, begin, begin.Add(5*time.Minute), seed, story.From(begin))
				start, repair := begin.Add(story.Start), begin.Add(story.Repair)
				if fault == NoFault {
					start, repair = begin.Add(time.Minute), begin.Add(2*time.Minute)
				}
				const latency = "http_request_duration_seconds"
				normal := m.quantile(0.9, begin, start, latency, "frontend")
				bad := m.quantile(0.9, start.Add(5*time.Second), start.Add(15*time.Second), latency, "frontend")
				failing := m.errors(start.Add(5*time.Second), start.Add(10*time.Second), "frontend")
				healed := m.quantile(0.9, repair.Add(10*time.Second), repair.Add(time.Minute), latency, "frontend")
				failed := m.errors(repair.Add(10*time.Second), repair.Add(time.Minute), "frontend")
				if fault == NoFault {
					if bad > 1.5*normal || failing > 0.05 {
						t.Errorf("%s: p90 %v after %v, %v fail; want nothing to happen", name, bad, normal, failing)
					}
					continue
				}
				if bad < 3*normal || failing < 0.1 {
					t.Errorf("%s: p90 %v after %v, %v fail; want three times and a tenth", name, bad, normal, failing)
				}
				if healed > 1.3*normal || failed > 0.02 {
					t.Errorf("%s: after the repair p90 %v after %v, %v fail; want it as before", name, healed, normal, failed)
				}
			}
		}
	}
}

func TestBadDeployIsSeenInItsQueriesOnly(t *testing.T) {
	story, err := NewStory(BadDeploy, 1, StoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := simulate(t, peak, peak.Add(3*time.Minute), 1, story.From(peak))
	from, to := peak.Add(story.Start+3*time.Second), peak.Add(story.Repair)
	for client, want := range map[string]float64{"payments": 40 * 120, "inventory": 80} {
		rows := m.increase(from, to, "__name__", "db_rows_examined_total", "client", client)
		queries := m.increase(from, to, "__name__", "db_queries_total", "client", client)
		if got := rows / queries / math.Exp(0.25*0.25/2); math.Abs(got-want) > 0.1*want {
			t.Errorf("a query of %s examines %v rows, want about %v", client, got, want)
		}
	}
}

func TestDeadServiceLeavesItsSeries(t *testing.T) {
	events := []TimedEvent{
		{peak.Add(70 * time.Second), Event{Action: Restart, Service: "inventory"}},
		{peak.Add(30500 * time.Millisecond), Event{Action: Stop, Service: "inventory"}},
	}
	m := simulate(t, peak, peak.Add(2*time.Minute), 1, events)
	seen := 0
	for _, s := range m.series {
		if s.labels.Get("service") != "inventory" {
			continue
		}
		for i, at := range s.times {
			second := (at - peak.UnixMilli()) / 1000
			dead := second >= 31 && second < 70
			stale := value.IsStaleNaN(s.samples[i])
			switch {
			case s.labels.Get("__name__") == "up":
				if want := map[bool]float64{true: 0, false: 1}[dead]; s.samples[i] != want {
					t.Errorf("up is %v in second %d, want %v", s.samples[i], second, want)
				}
			case stale != (second == 31):
				t.Errorf("%s: stale is %v in second %d", s.labels, stale, second)
			case dead && second > 31:
				t.Errorf("%s: a sample in second %d, while it is dead", s.labels, second)
			case second == 71 && strings.HasSuffix(s.labels.Get("__name__"), "_total") && s.samples[i] > 200:
				t.Errorf("%s is %v just after the restart, want it to count from 0", s.labels, s.samples[i])
			}
			seen++
		}
	}
	if seen == 0 {
		t.Error("no series of inventory")
	}
}

func TestRolloutChangesTheVersion(t *testing.T) {
	events := []TimedEvent{{peak.Add(10 * time.Second), Event{
		Action: Rollout, Service: "payments", Release: Release{Service: "payments", Version: "9"},
	}}}
	m := simulate(t, peak, peak.Add(20*time.Second), 1, events)
	got := map[string]string{}
	for _, s := range m.series {
		if s.labels.Get("__name__") == "build_info" && s.labels.Get("service") == "payments" {
			got[s.labels.Get("version")] = fmt.Sprintf("%d from %d, stale %v",
				len(s.times), (s.times[0]-peak.UnixMilli())/1000, value.IsStaleNaN(s.samples[len(s.samples)-1]))
		}
	}
	want := map[string]string{"2.3.1": "11 from 0, stale true", "9": "11 from 10, stale false"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("build_info has %v, want %v", got, want)
	}
}

func TestEventsBeforeTheStartAreInEffect(t *testing.T) {
	events := []TimedEvent{{peak.Add(-time.Hour), Event{Action: Surge, Factor: 2}}}
	m := simulate(t, peak, peak.Add(time.Minute), 1, events)
	if rate := m.increase(peak, peak.Add(time.Minute), "__name__", "http_requests_total", "service", "frontend") / 60; rate < 33 {
		t.Errorf("%v requests per second, want about 40", rate)
	}
}

type brokenSink struct{ memory }

func (*brokenSink) Commit(int64) error { return errors.New("disk full") }

func TestSimulateErrors(t *testing.T) {
	good := func() SimulationOptions {
		return SimulationOptions{Spec: NewSpec(), From: peak, To: peak.Add(time.Minute), Step: 15 * time.Second, Sink: &memory{}}
	}
	for name, tc := range map[string]struct {
		change func(*SimulationOptions)
		want   string
	}{
		"no sink":   {func(o *SimulationOptions) { o.Sink = nil }, "sink"},
		"tiny step": {func(o *SimulationOptions) { o.Step = time.Millisecond }, "step"},
		"backwards": {func(o *SimulationOptions) { o.To = peak.Add(-1) }, "end"},
		"bad spec":  {func(o *SimulationOptions) { o.Spec.Services = nil }, "services"},
		"bad event": {func(o *SimulationOptions) {
			o.Events = []TimedEvent{{peak, Event{Action: "burn", Service: "payments"}}}
		}, "burn"},
		"broken sink": {func(o *SimulationOptions) { o.Sink = &brokenSink{} }, "2024-05-06T13:00:00Z: disk full"},
	} {
		o := good()
		tc.change(&o)
		if _, err := Simulate(context.Background(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Simulate(ctx, good()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// BenchmarkSimulateDay measures one simulated day with a sample every 15 seconds.
func BenchmarkSimulateDay(b *testing.B) {
	for b.Loop() {
		stats, err := Simulate(context.Background(), SimulationOptions{
			Spec: NewSpec(), From: trough, To: trough.Add(24 * time.Hour), Step: 15 * time.Second, Seed: 1, Sink: &forgetful{},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(stats.Requests), "requests/op")
		b.ReportMetric(float64(stats.Samples), "samples/op")
	}
}

// forgetful is a sink that keeps nothing.
type forgetful struct{ refs uint64 }

func (f *forgetful) Append(ref uint64, _ labels.Labels, _ int64, _ float64) (uint64, error) {
	if ref == 0 {
		f.refs++
		ref = f.refs
	}
	return ref, nil
}

func (*forgetful) Commit(int64) error { return nil }
