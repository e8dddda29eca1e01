package incident

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// storm is trouble everywhere at once: ten callers of each service, and for
// each two services five anomalies, of which every step brings a new reading.
type storm struct {
	graph    *topology.Graph
	readings []Reading
}

func newStorm(services int, signals ...Signal) *storm {
	rng := rand.New(rand.NewPCG(1, 1))
	svc := func(i int) topology.Service { return topology.Service(fmt.Sprintf("s%04d", i)) }
	var edges []topology.Edge
	for i := 1; i < services; i++ {
		for range 10 {
			edges = append(edges, topology.Edge{Caller: svc(rng.IntN(i)), Callee: svc(i), Rate: 1})
		}
	}
	s := &storm{graph: topology.NewGraph(nil, edges)}
	for i := range services * 5 / 2 {
		signal := signals[i/services%len(signals)]
		s.readings = append(s.readings, Reading{
			Rule: string(signal), Series: fmt.Sprint(i), Service: svc(i % services), Signal: signal,
			Value: 1 + rng.Float64(), Expected: .5, Score: 2 + rng.Float64(), Up: true, Anomalous: true,
			Onset: day.Add(-time.Duration(rng.IntN(60)) * time.Second),
		})
	}
	return s
}

// at is what a step sees.
func (s *storm) at(now time.Time) Input {
	in := Input{Graph: s.graph, Readings: make([]Reading, len(s.readings))}
	copy(in.Readings, s.readings)
	for i := range in.Readings {
		r := &in.Readings[i]
		r.Time = now
		r.Value += float64(i%7) * .01 * float64(now.Unix()/15%5)
	}
	return in
}

// An incident of very many services names those that are most to blame, and
// everybody who suffers. What was put out stays as it was.
func TestStormIsBounded(t *testing.T) {
	s := newStorm(maxCandidates+50, Latency, Saturation, Traffic)
	c := mustNew(t, testOptions())
	var outputs []Output
	var written []string
	for now := day; now.Before(day.Add(4 * time.Minute)); now = now.Add(c.o.Interval) {
		out := c.Step(now, s.at(now))
		outputs, written = append(outputs, out), append(written, marshal(t, out))
	}
	for i, out := range outputs {
		if got := marshal(t, out); got != written[i] {
			t.Fatalf("output %d was changed by later steps:\n%s\nwas\n%s", i, got, written[i])
		}
	}
	last := outputs[len(outputs)-1].Incidents[0]
	sum := 0.0
	for _, x := range last.Causes {
		sum += x.Confidence
		if x.Reason == "" {
			t.Errorf("%s has no reason", x.Service)
		}
	}
	if last.State != Open || len(last.Causes) != maxCandidates || len(last.Effects) < maxCandidates+49 || sum > 1.001 {
		t.Errorf("%s, %d causes with confidences that sum to %g, %d effects; want open, %d, at most 1, at least %d",
			last.State, len(last.Causes), sum, len(last.Effects), maxCandidates, maxCandidates+49)
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// BenchmarkStepStorm times one step while the incident of a storm is open. It
// also reports its processor time, with the collection of garbage, the first step, which sees everything for the first time, and
// the heap that is kept, which grows until the trails are full.
func BenchmarkStepStorm(b *testing.B) {
	for _, kind := range []struct {
		name    string
		signals []Signal
	}{{"errors", []Signal{Errors}}, {"mixed", []Signal{Latency, Saturation, Traffic}}} {
		for _, services := range []int{1000, 2000, 4000} {
			b.Run(fmt.Sprintf("%s/services=%d", kind.name, services), func(b *testing.B) {
				s := newStorm(services, kind.signals...)
				before := heap()
				c, err := New(testOptions())
				if err != nil {
					b.Fatal(err)
				}
				now := day
				in := s.at(now)
				start := time.Now()
				out := c.Step(now, in)
				first := time.Since(start)
				for range 4 {
					now = now.Add(c.o.Interval)
					out = c.Step(now, s.at(now))
				}
				if len(out.Incidents) != 1 || out.Incidents[0].State != Open || len(out.Incidents[0].Anomalies) != len(s.readings) {
					b.Fatalf("%d incidents, want one that is open with %d anomalies", len(out.Incidents), len(s.readings))
				}
				b.ReportAllocs()
				steps, used := 0, time.Duration(0)
				for b.Loop() {
					b.StopTimer()
					now = now.Add(c.o.Interval)
					in = s.at(now)
					before := processor(b)
					b.StartTimer()
					out = c.Step(now, in)
					used, steps = used+processor(b)-before, steps+1
				}
				b.ReportMetric(used.Seconds()*1000/float64(steps), "cpu-ms")
				b.ReportMetric(first.Seconds()*1000, "first-ms")
				b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MiB")
				runtime.KeepAlive(s)
				runtime.KeepAlive(c)
				runtime.KeepAlive(out)
			})
		}
	}
}

// processor is the processor time that was used, which other work on the machine
// lengthens less than the time on the wall.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
