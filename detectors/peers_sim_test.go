package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// team is a made group: its members' values at each step.
type team struct {
	t testing.TB
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
	return &team{t: t, GroupBank: b.(GroupBank)}
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

// peersNoise makes the rests of members.
var peersNoise = map[string]func(r *rand.Rand) float64{
	"gauss": func(r *rand.Rand) float64 { return r.NormFloat64() },
	"heavy": func(r *rand.Rand) float64 {
		return r.NormFloat64() / math.Sqrt((math.Pow(r.NormFloat64(), 2)+math.Pow(r.NormFloat64(), 2)+math.Pow(r.NormFloat64(), 2))/3)
	}, // Student's t of 3
	"bursts": func(r *rand.Rand) float64 {
		if r.Float64() < 0.002 {
			return 20 * r.ExpFloat64()
		}
		return r.NormFloat64()
	},
}

// TestPeersBudget measures the false alarms of groups in which nothing happens
// but what is common.
func TestPeersBudget(t *testing.T) {
	const pods, days = 20, 40
	for _, transform := range []string{TransformNone, TransformLog} {
		for _, name := range []string{"bursts", "gauss", "heavy"} {
			for _, budget := range []string{"1 per 1d", "1 per 7d", "1 per 30d"} {
				for _, churn := range []bool{false, true} {
					g := newTeam(t, budget, minute, func(o *PeersOptions) { o.Transform = transform })
					r := rand.New(rand.NewPCG(1, 2))
					habits := make([]float64, pods)
					for i := range habits {
						habits[i] = math.Exp(0.2 * r.NormFloat64())
					}
					noise := peersNoise[name]
					common, episodes, seriesDays := 0.0, 0, 0.0
					last := make([]int64, pods)
					values := make([]float64, pods)
					for i := range days * 1440 {
						at := start + int64(i)*60_000
						common = 0.99*common + 0.02*r.NormFloat64()
						level := 100 * math.Exp(common) * (1 + 0.5*math.Sin(2*math.Pi*float64(i)/1440))
						if churn && i > 7*1440 && i%288 == 0 { // a pod is replaced
							p := r.IntN(pods)
							g.Remove(g.refs[p])
							g.refs[p] = g.Add()
							habits[p], last[p] = math.Exp(0.2*r.NormFloat64()), 0
						}
						for p := range values {
							values[p] = level * habits[p] * max(0.01, 1+0.1*noise(r))
						}
						for p, m := range g.observe(at, values...) {
							if i < 2*1440 {
								continue
							}
							seriesDays += 1.0 / 1440
							if m.Verdict.Score >= 1 {
								if at-last[p] > 3600_000 {
									episodes++
								}
								last[p] = at
							}
						}
					}
					b := mustBudget(t, budget)
					t.Logf("%s %s %s churn %v: %d episodes, %.2f × budget", transform, name, budget, churn, episodes, float64(episodes)/seriesDays*b.Period().Hours()/24)
				}
			}
		}
	}
}
