package detectors

import (
	"math"
	"slices"
	"testing"
)

// slowMean is an exponentially weighted mean by its definition: all values with
// their weights.
type slowMean struct{ values, gains []float64 }

func (s *slowMean) add(v, gain float64) {
	s.values, s.gains = append(s.values, v), append(s.gains, gain)
}

func (s *slowMean) mean() float64 {
	sum, weight, left := 0.0, 0.0, 1.0
	for i := len(s.values) - 1; i >= 0; i-- {
		w := s.gains[i] * left
		sum, weight = sum+w*s.values[i], weight+w
		left *= 1 - s.gains[i]
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

func slowMedian(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// slowMember is a member by the definitions of docs/detectors/peers.md.
type slowMember struct {
	newest, habit slowMean
	clipped, raw  slowMean
	n             int
	last          int64
}

func (m *slowMember) sigma() float64 {
	return 1.2533 * max(m.clipped.mean(), 0.1*m.raw.mean())
}

// TestPeersOracle: course, habits, means and scales against sums over the whole
// history, in a group of which members are missing at times.
func TestPeersOracle(t *testing.T) {
	g := newTeam(t, "1 per 7d", minute)
	next := comings(2, 2) // shorter than a gap
	slow := make([]slowMember, 8)
	for step := range 1500 {
		at, values := next()
		var there []int
		var less, scales []float64
		for i, v := range values {
			if math.IsNaN(v) {
				continue
			}
			there = append(there, i)
			less = append(less, v-slow[i].habit.mean())
			if slow[i].n >= 10 {
				scales = append(scales, slow[i].sigma())
			}
		}
		got := g.observe(at, values...)
		if len(there) < 3 {
			t.Fatalf("step %d: only %d members", step, len(there))
		}
		course := slowMedian(less)
		rests, dts := make([]float64, len(there)), make([]float64, len(there))
		weights := make([]float64, len(there))
		for k, i := range there {
			m := &slow[i]
			dts[k] = 60
			if m.last != 0 {
				dts[k] = float64(at-m.last) / 1000
			}
			m.last = at
			m.newest.add(values[i]-course, 1-math.Exp(-dts[k]/300))
			rests[k] = m.newest.mean() - m.habit.mean()
			weights[k] = 1
			for _, a := range m.newest.gains {
				weights[k] *= 1 - a
			}
			weights[k] = 1 - weights[k]
		}
		middle := slowMedian(rests)
		usual := 0.0
		if len(scales) > 0 {
			usual = slowMedian(scales)
		}
		var common float64
		taught, limits := make([]float64, len(there)), make([]float64, len(there))
		for k, i := range there {
			limits[k] = 6 * max(slow[i].sigma(), usual)
			if slow[i].n < 30 {
				limits[k] = math.MaxFloat64
			}
			taught[k] = max(-limits[k], min(limits[k], rests[k]-middle))
			common += taught[k] / float64(len(there))
		}
		for k, i := range there {
			m := &slow[i]
			if want := course + middle + m.habit.mean(); m.n >= 1 && !near(got[i].Verdict.Expected, want, 1e-9) {
				t.Fatalf("step %d, member %d: expected %v, want %v", step, i, got[i].Verdict.Expected, want)
			}
			width := math.Sqrt((2 - weights[k]) / weights[k])
			abs := math.Abs(rests[k]-middle) / width
			slowly := 1 - math.Exp(-dts[k]/(7*86400))
			m.raw.add(abs, slowly)
			m.clipped.add(min(abs, limits[k]), slowly)
			m.habit.add(m.habit.mean()+taught[k]-common, 1-math.Exp(-dts[k]/86400))
			m.n++
			s := g.state(i)
			if !near(s.newest.mean, m.newest.mean(), 1e-9) || !near(s.habit.mean, m.habit.mean(), 1e-9) || !near(s.scale.sigma(0), m.sigma(), 1e-9) {
				t.Fatalf("step %d, member %d: newest %v, habit %v, scale %v; want %v, %v, %v", step, i,
					s.newest.mean, s.habit.mean, s.scale.sigma(0), m.newest.mean(), m.habit.mean(), m.sigma())
			}
		}
	}
}

func (g *team) state(i int) *peersState { return g.GroupBank.(*bank[peersState]).state(g.refs[i]) }
