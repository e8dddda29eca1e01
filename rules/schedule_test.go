package rules

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// memory is storage that remembers what was appended, as text.
type memory struct {
	mu      sync.Mutex
	samples []string
}

func (m *memory) Appender(context.Context) storage.Appender { return memoryAppender{memory: m} }

type memoryAppender struct {
	storage.Appender // for what the rules do not use
	memory           *memory
}

func (memoryAppender) SetOptions(*storage.AppendOptions) {}
func (memoryAppender) Commit() error                     { return nil }
func (a memoryAppender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	m := a.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	text := fmt.Sprintf("%s %s", l, time.UnixMilli(t).UTC().Format("04:05"))
	if value.IsStaleNaN(v) {
		text += " stale"
	}
	m.samples = append(m.samples, text)
	return 0, nil
}

// take returns what was appended since.
func (m *memory) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := strings.Join(m.samples, "\n")
	m.samples = nil
	return out
}

const recordings = `groups:
- name: %s
  interval: 10s
  rules:
  - {record: %s, expr: vector(1)}
`

// running is a manager that runs in a bubble of synctest.
type running struct {
	t *testing.T
	*Manager
	*memory
	stop func()
}

func start(t *testing.T, rules string, delay func() time.Duration) *running {
	t.Helper()
	r := &running{t: t, memory: &memory{}}
	var err error
	r.Manager, err = New(Options{
		Appendable: r.memory, Now: time.Now,
		Query: func(context.Context, string, time.Time) (promql.Vector, error) {
			if delay != nil {
				time.Sleep(delay())
			}
			return vector(1), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.update(rules)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	synctest.Wait()
	return r
}

func (r *running) update(rules ...string) {
	r.t.Helper()
	var files []*File
	for i, text := range rules {
		f, err := ParseFile(fmt.Sprintf("%d.yml", i), []byte(text), catalogue()...)
		if err != nil {
			r.t.Fatal(err)
		}
		files = append(files, f)
	}
	if err := r.Update(files); err != nil {
		r.t.Fatal(err)
	}
}

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRunSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, fmt.Sprintf(recordings, "g", "a"), nil)
		defer r.stop()
		g := r.Groups()[0]
		first := g.prom.EvalTimestamp(time.Now().UnixNano()).Add(10 * time.Second)
		sleep(60 * time.Second)
		if n := strings.Count(r.take(), "\n") + 1; n != 6 {
			t.Errorf("got %d evaluations in 60s, want 6", n)
		}
		if got := g.LastTimestamp().Sub(first); got != 50*time.Second {
			t.Errorf("the sixth evaluation is %v after the first, want 50s", got)
		}
		if err := r.Run(t.Context()); err == nil {
			t.Error("running twice gave no error")
		}
	})
}

func TestRunMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		r := start(t, fmt.Sprintf(recordings, "g", "a"), func() time.Duration {
			if slow {
				slow = false
				return 35 * time.Second
			}
			return 0
		})
		defer r.stop()
		g := r.Groups()[0]
		first := g.prom.EvalTimestamp(time.Now().UnixNano()).Add(10 * time.Second)
		sleep(time.Until(first) + 36*time.Second)
		// The evaluation of the first slot ended after 35s: the slots at 10s and
		// 20s are missed, that of 30s is late.
		if got := g.LastTimestamp().Sub(first); got != 30*time.Second || g.Missed() != 2 {
			t.Errorf("got %v after the first slot and %d missed, want 30s and 2", got, g.Missed())
		}
		if got := testutil.ToFloat64(r.prom.Metrics.IterationsMissed.WithLabelValues(g.key())); got != 2 {
			t.Errorf("prometheus_rule_group_iterations_missed_total: got %v, want 2", got)
		}
		if got := testutil.ToFloat64(r.prom.Metrics.IterationsScheduled.WithLabelValues(g.key())); got != 4 {
			t.Errorf("prometheus_rule_group_iterations_total: got %v, want 4", got)
		}
		sleep(4 * time.Second)
		if got := g.LastTimestamp().Sub(first); got != 40*time.Second || g.Missed() != 2 {
			t.Errorf("got %v after the first slot and %d missed, want 40s and 2", got, g.Missed())
		}
	})
}

func TestRunUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, fmt.Sprintf(recordings, "g", "a"), nil)
		defer r.stop()
		old := r.Groups()[0]
		sleep(20 * time.Second)
		if r.take() == "" {
			t.Fatal("nothing was evaluated")
		}
		r.update(fmt.Sprintf(recordings, "h", "b"))
		synctest.Wait()
		last := old.LastTimestamp()
		sleep(10 * time.Second)
		if got := r.take(); strings.Contains(got, "stale") || !strings.Contains(got, `"b"`) || strings.Contains(got, `"a"`) {
			t.Errorf("after an interval: got\n%s\nwant the new group only", got)
		}
		sleep(10 * time.Second)
		if got := r.take(); !strings.Contains(got, `{__name__="a", i="0"} 00:20 stale`) {
			t.Errorf("after two intervals: got\n%s\nwant a stale marker of the time of the removal", got)
		}
		if !old.LastTimestamp().Equal(last) {
			t.Error("the removed group was evaluated")
		}
		if n := testutil.CollectAndCount(r.prom.Metrics.GroupRules); n != 1 {
			t.Errorf("got metrics of %d groups, want 1", n)
		}
	})
}

func TestRunClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, fmt.Sprintf(recordings, "g", "a"), nil)
		r.stop()
		g := r.Groups()[0]
		latest := g.prom.EvalTimestamp(time.Now().UnixNano())
		if got := r.nextSlot(g, latest.Add(time.Hour)); !got.Equal(latest.Add(10 * time.Second)) {
			t.Errorf("clock set back by an hour: got slot %v, want %v", got, latest.Add(10*time.Second))
		}
		if got := r.nextSlot(g, latest); !got.Equal(latest.Add(10 * time.Second)) {
			t.Errorf("got slot %v, want %v", got, latest.Add(10*time.Second))
		}
	})
}

func TestRunNeedsClock(t *testing.T) {
	b := newBench(t, "", "")
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Now") {
		t.Errorf("got %v, want an error that names Options.Now", err)
	}
}

// An alert that was pending for 20 of its 30 minutes before a restart fires
// ten minutes later, not thirty.
func TestRunRestoresFor(t *testing.T) {
	b := newBench(t, "", "") // its goroutines live outside of the bubble
	const file = `groups:
- name: g
  interval: 1m
  rules:
  - {alert: A, expr: vector(1), for: 30m}
`
	synctest.Test(t, func(t *testing.T) {
		run := func(d time.Duration) []ActiveAlert {
			m, err := New(Options{
				Appendable: b.storage, Queryable: b.storage, Now: time.Now,
				Query: func(_ context.Context, _ string, ts time.Time) (promql.Vector, error) {
					return promql.Vector{{T: ts.UnixMilli(), F: 1, Metric: labels.EmptyLabels()}}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			f, err := ParseFile("rules.yml", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Update([]*File{f}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- m.Run(ctx) }()
			time.Sleep(d)
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			return m.ActiveAlerts()
		}
		began := time.Now()
		if a := run(21 * time.Minute); len(a) != 1 || a[0].State != promrules.StatePending {
			t.Fatalf("before the restart: got %+v, want one pending alert", a)
		}
		time.Sleep(5 * time.Minute) // down
		a := run(10 * time.Minute)
		if len(a) != 1 || a[0].State != promrules.StatePending {
			t.Fatalf("ten minutes after: got %+v, want one pending alert", a)
		}
		// It was active all the time but for the five minutes.
		if since := a[0].ActiveAt.Sub(began.Add(5 * time.Minute)); since < 0 || since > 3*time.Minute {
			t.Errorf("restored as active since %v, want about %v", a[0].ActiveAt, began.Add(6*time.Minute))
		}
	})
}

// Pages and metrics read while groups are evaluated and replaced; this is for
// the race detector.
func TestRunConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const file = `groups:
- name: g
  interval: 1s
  rules:
  - {detect: D, expr: x, signal: errors, labels: {n: "%d"}}
  - {alert: A, expr: x}
`
		r := start(t, fmt.Sprintf(file, 0), nil)
		defer r.stop()
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for ctx.Err() == nil {
					for _, g := range r.Groups() {
						for _, d := range g.Detections() {
							d.History()
							d.Health()
							d.LastError()
						}
					}
					testutil.CollectAndCount(collector{r.Manager})
					r.ActiveAlerts()
					r.Hold([]Hold{{Rule: "D", Series: `{i="0", n="1"}`, Since: time.Now()}})
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for i := range 20 {
			r.update(fmt.Sprintf(file, i))
			time.Sleep(1500 * time.Millisecond)
		}
		cancel()
		readers.Wait()
		if d := r.Groups()[0].Detections()[0]; d.Series() != 1 || d.LastError() != nil {
			t.Errorf("got %d series and error %v, want 1 and none", d.Series(), d.LastError())
		}
	})
}
