package detectors

import (
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"
)

var benchSeries = flag.Int("bench.series", 100_000, "series of the round-robin benchmarks; the target bench-detectors takes a million")

// phases is how many different points of their slots, blocks and hours the
// series of a benchmark stand at, one minute apart: the work that falls due at
// the end of one is spread as it is over the series of a fleet.
const phases = 60

// settledSeries are values of one series at a minute's distance, and its states
// a fortnight on, one for each phase.
type settledSeries struct {
	values []float64
	states [phases][]byte
}

// benchValues is what a detector is for: a few events an hour where it counts
// them, a noisy daily wave otherwise.
func benchValues(d Detector) []float64 {
	values := make([]float64, 15*1440)
	f := daily(1, 100, 30, 5)
	if d.Name == Rate.Name {
		f = errorsPerSecond(1, 5, 0, func(time.Duration) float64 { return 0.05 })
	}
	for i := range values {
		values[i] = f(time.Duration(i) * minute)
	}
	return values
}

// benchBank is a bank of the detector's defaults; where it counts events, of
// those of a rate over five minutes.
func benchBank(b *testing.B, d Detector) Bank {
	b.Helper()
	opts := d.Options()
	if o, ok := opts.(EventOptions); ok {
		*o.EventOption() = 1.0 / 300
	}
	bank, err := d.New(opts, Conditions{Budget: mustBudget(b, "1 per 30d"), Step: minute})
	if err != nil {
		b.Fatal(err)
	}
	return bank
}

// settle plays a fortnight.
func settle(b *testing.B, bank Bank, values []float64) *settledSeries {
	b.Helper()
	s := &settledSeries{values: values}
	ref := bank.Add()
	for i := range 14*1440 + phases {
		if k := i - 14*1440; k >= 0 {
			s.states[k] = bank.AppendState(nil, ref)
		}
		bank.Observe(ref, start+int64(i)*60_000, values[i%len(values)])
	}
	bank.Remove(ref)
	return s
}

// BenchmarkDetectors observes series that have a fortnight behind them, one
// after the other as a rule's evaluation does, at a minute's distance. An
// operation is one sample.
func BenchmarkDetectors(b *testing.B) {
	for _, d := range All() {
		for _, n := range []int{1, *benchSeries} {
			b.Run(fmt.Sprintf("%s/series=%d", d.Name, n), func(b *testing.B) {
				if d.Groups {
					benchGroups(b, d, n)
					return
				}
				bank := benchBank(b, d)
				s := settle(b, bank, benchValues(d))
				for i := range n {
					if err := bank.SetState(bank.Add(), s.states[i%phases]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				begin := processTime(b)
				// No division here: it would cost a tenth of a sample.
				at, place := int64(start+14*dayMs), 14*1440
				i, phase := 0, 0
				for b.Loop() {
					bank.Observe(Ref(i), at+int64(phase)*60_000, s.values[place+phase])
					if phase++; phase == phases {
						phase = 0
					}
					if i++; i == n {
						i, phase, at = 0, 0, at+60_000
						if place++; place == len(s.values)-phases {
							place = 0
						}
					}
				}
				reportCost(b, bank, begin)
			})
		}
	}
}

// benchGroups is BenchmarkDetectors for a detector of groups, each of ten series;
// a single series is one group.
func benchGroups(b *testing.B, d Detector, n int) {
	const size = 10
	bank := benchBank(b, d)
	groups := bank.(GroupBank)
	values := benchValues(d)
	members := make([]Member, size)
	states := make([][]byte, size)
	for i := range members {
		members[i].Ref = bank.Add()
	}
	observe := func(minute int) {
		for i := range members {
			members[i].Value = values[(minute+i)%len(values)]
		}
		groups.ObserveGroup(start+int64(minute)*60_000, members)
	}
	for minute := range 14 * 1440 {
		observe(minute)
	}
	for i := range members {
		states[i] = bank.AppendState(nil, members[i].Ref)
	}
	for len := size; len < n; len++ {
		if err := bank.SetState(bank.Add(), states[len%size]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	begin := processTime(b)
	first, member, minute := 0, 0, 14*1440
	for b.Loop() {
		if member++; member < size { // the group is judged with its last sample
			continue
		}
		for i := range members {
			members[i].Ref = Ref(first + i)
		}
		observe(minute)
		member = 0
		if first += size; first+size > n {
			first, minute = 0, minute+1
		}
	}
	reportCost(b, bank, begin)
}

// reportCost adds what the table of bench-detectors shows.
func reportCost(b *testing.B, bank Bank, begin time.Duration) {
	b.Helper()
	b.ReportMetric(float64((processTime(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/sample")
	b.ReportMetric(float64(bank.StateSize()), "B/series")
}

// processTime is the processor time that the process has used: unlike the time
// on the wall it does not count what else the machine does.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
