package detectors

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkSettled observes series that have a fortnight behind them, one after
// the other as a rule's evaluation does, at a minute's distance.
func BenchmarkSettled(b *testing.B) {
	values := make([]float64, 14*1440)
	f := daily(1, 100, 30, 5)
	for i := range values {
		values[i] = f(time.Duration(i) * minute)
	}
	for _, d := range []Detector{Spike, LevelShift} {
		for _, n := range []int{1, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/series=%d", d.Name, n), func(b *testing.B) {
				bank := newBank(b, d, "1 per 30d", minute)
				settled := bank.Add()
				for i, v := range values {
					bank.Observe(settled, start+int64(i)*60_000, v)
				}
				state := bank.AppendState(nil, settled)
				for range n - 1 {
					if err := bank.SetState(bank.Add(), state); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				// No division here: it would cost a tenth of a sample.
				at, round, ref := int64(start+14*dayMs), 0, Ref(0)
				for range b.N {
					bank.Observe(ref, at, values[round])
					if ref++; int(ref) == n {
						ref, at = 0, at+60_000
						if round++; round == len(values) {
							round = 0
						}
					}
				}
				b.ReportMetric(float64(bank.StateSize()), "B/series")
			})
		}
	}
}
