package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// team is a bank whose series are one group.
type team struct {
	GroupBank
	refs []Ref
	last []Member // of the last evaluation
}

func newTeam(t testing.TB, budget string, step time.Duration, adapt ...func(*PeersOptions)) *team {
	t.Helper()
	o := Peers.Options().(*PeersOptions)
	for _, f := range adapt {
		f(o)
	}
	b, err := Peers.New(o, Conditions{Budget: mustBudget(t, budget), Step: step})
	if err != nil {
		t.Fatal(err)
	}
	return &team{GroupBank: b.(GroupBank)}
}

// observe gives the members their values, one more member for each value that
// there is none for yet; NaN is none.
func (g *team) observe(at int64, values ...float64) []Member {
	for len(g.refs) < len(values) {
		g.refs = append(g.refs, g.Add())
	}
	g.last = g.last[:0]
	for i, v := range values {
		g.last = append(g.last, Member{Ref: g.refs[i], Value: v})
	}
	g.ObserveGroup(at, g.last)
	return g.last
}

func logs(o *PeersOptions) { o.Transform = TransformLog }

// rests are what a member differs by from one sample to the next, about 1.
var rests = map[string]func(r *rand.Rand) float64{
	"gauss": func(r *rand.Rand) float64 { return r.NormFloat64() },
	"heavy": func(r *rand.Rand) float64 { // Student's t of 3
		chi := 0.0
		for range 3 {
			chi += math.Pow(r.NormFloat64(), 2)
		}
		return r.NormFloat64() / math.Sqrt(chi/3)
	},
	"bursts": func(r *rand.Rand) float64 {
		if r.Float64() < 0.002 {
			return 20 * r.ExpFloat64()
		}
		return r.NormFloat64()
	},
}

// pods makes the values of replicas: a common course with a day and a random
// walk, a habit of each, and its rests of 10 %.
type pods struct {
	r      *rand.Rand
	rest   func(*rand.Rand) float64
	habits []float64
	walk   float64
	step   int
	values []float64
}

func newPods(seed uint64, n int, rest string) *pods {
	p := &pods{r: rand.New(rand.NewPCG(seed, 2)), rest: rests[rest], values: make([]float64, n)}
	for range n {
		p.habits = append(p.habits, p.habit())
	}
	return p
}

func (p *pods) habit() float64 { return math.Exp(0.2 * p.r.NormFloat64()) }

// next returns the values of the next minute, which is at the time at.
func (p *pods) next() (at int64, values []float64) {
	p.walk = 0.99*p.walk + 0.02*p.r.NormFloat64()
	course := 100 * math.Exp(p.walk) * (1 + 0.5*math.Sin(2*math.Pi*float64(p.step)/1440))
	for i, h := range p.habits {
		p.values[i] = course * h * max(0.01, 1+0.1*p.rest(p.r))
	}
	p.step++
	return start + int64(p.step)*60_000, p.values
}

// TestPeersBudget measures the false alarms of a group in which nothing happens
// but what all members have in common, and one that replaces a pod every five
// hours from the fifth day on.
func TestPeersBudget(t *testing.T) {
	const n, days = 20, 12
	for _, transform := range []string{TransformNone, TransformLog} {
		for _, rest := range []string{"bursts", "gauss", "heavy"} {
			churn := transform == TransformLog
			var figures []string
			p := newPods(1, n, rest)
			budgets := []string{"1 per 1d", "1 per 7d", "1 per 30d"}
			var groups []*team
			for _, b := range budgets {
				groups = append(groups, newTeam(t, b, minute, func(o *PeersOptions) { o.Transform = transform }))
			}
			episodes, expected := make([]int, len(groups)), make([]float64, len(groups))
			last := make([][n]int64, len(groups))
			for i := range days * 1440 {
				replaced := -1
				if churn && i > 4*1440 && i%300 == 0 {
					replaced = p.r.IntN(n)
					p.habits[replaced] = p.habit()
				}
				at, values := p.next()
				for k, g := range groups {
					if replaced >= 0 {
						g.Remove(g.refs[replaced])
						g.refs[replaced], last[k][replaced] = g.Add(), 0
					}
					period := mustBudget(t, budgets[k]).Period().Minutes()
					expected[k] += n / min(period, max(1440, float64(i)))
					for j, m := range g.observe(at, values...) {
						if !(m.Verdict.Score >= 1) {
							continue
						}
						if at-last[k][j] > 3600_000 {
							episodes[k]++
						}
						last[k][j] = at
					}
				}
			}
			for k, b := range budgets {
				share := float64(episodes[k]) / expected[k]
				figures = append(figures, fmt.Sprintf("%s %.2f", b, share))
				if least := share - 1.96*math.Sqrt(float64(episodes[k]))/expected[k]; least > 2 {
					t.Errorf("%s, %s, churn %v, %s: %d episodes, %.2f × the budget in force; want at most 2", transform, rest, churn, b, episodes[k], share)
				}
			}
			t.Logf("%s, %s, churn %v: %s × the budget in force", transform, rest, churn, strings.Join(figures, ", "))
		}
	}
}

// TestPeersFaults measures how many of twenty replicas that become larger by a
// factor are found within an hour, and after how many minutes.
func TestPeersFaults(t *testing.T) {
	for _, c := range []struct {
		n         int
		transform string
		factor    float64
		least     int // found
	}{
		{3, TransformLog, 1.2, 0}, {3, TransformLog, 1.5, 15}, {3, TransformLog, 2, 19},
		{5, TransformLog, 1.2, 0}, {5, TransformLog, 1.5, 19}, {5, TransformLog, 2, 20},
		{20, TransformLog, 1.2, 0}, {20, TransformLog, 1.5, 19}, {20, TransformLog, 2, 20},
		{20, TransformNone, 1.5, 10}, {20, TransformNone, 2, 19},
	} {
		found, delays := 0, []int{}
		for seed := range uint64(2) {
			p := newPods(seed, c.n, "gauss")
			g := newTeam(t, "1 per 30d", minute, func(o *PeersOptions) { o.Transform = c.transform })
			for range 7 * 1440 {
				at, values := p.next()
				g.observe(at, values...)
			}
			var states [][]byte
			for _, ref := range g.refs {
				states = append(states, g.AppendState(nil, ref))
			}
			for k := range 10 {
				for i, ref := range g.refs {
					if err := g.SetState(ref, states[i]); err != nil {
						t.Fatal(err)
					}
				}
				again := *p
				again.r = rand.New(rand.NewPCG(seed, uint64(k)))
				for i := range 60 {
					at, values := again.next()
					values[k%c.n] *= c.factor
					if v := g.observe(at, values...)[k%c.n].Verdict; v.Score >= 1 && v.Up {
						found, delays = found+1, append(delays, i)
						break
					}
				}
			}
		}
		slices.Sort(delays)
		middle := math.NaN()
		if len(delays) > 0 {
			middle = float64(delays[len(delays)/2])
		}
		t.Logf("%d members, %s, × %g: %d of 20, median delay %.0f minutes", c.n, c.transform, c.factor, found, middle)
		if found < c.least {
			t.Errorf("%d members, %s, × %g: %d of 20 found, want at least %d", c.n, c.transform, c.factor, found, c.least)
		}
	}
}

// BenchmarkPeers observes groups of twenty; an operation is one member.
func BenchmarkPeers(b *testing.B) {
	const n = 20
	for _, series := range []int{n, 100_000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			p := newPods(1, n, "gauss")
			bank := newTeam(b, "1 per 30d", minute)
			var groups [][]Member
			for range series / n {
				members := make([]Member, n)
				for i := range members {
					members[i].Ref = bank.Add()
				}
				groups = append(groups, members)
			}
			var values []float64
			at := int64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N / n {
				if i%len(groups) == 0 {
					at, values = p.next()
				}
				members := groups[i%len(groups)]
				for k := range members {
					members[k].Value = values[k]
				}
				bank.ObserveGroup(at, members)
			}
			b.ReportMetric(float64(bank.StateSize()), "B/series")
		})
	}
}
