//go:build slow

package backtest

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// quietRules are what the README gives a new user, and a rule per pod.
const quietRules = `groups:
- name: golden
  interval: 5m
  rules:
  - {detect: Latency, expr: latency_seconds, signal: latency, min_change: {absolute: 0.02, relative: 20%}}
  - {detect: ErrorRatio, expr: errors_ratio, signal: errors, unit: ratio, min_change: {absolute: 0.01}}
  - {detect: Traffic, expr: requests_per_second, signal: traffic, min_change: {relative: 30%}}
  - {detect: CPU, expr: cpu_ratio, signal: saturation, unit: ratio, min_change: {absolute: 0.1}}
`

// TestBudgetsAtScale lives through 30 days of 5,000 series on 300 services in
// which nothing happens that anybody should be told: daily rhythm, noise of
// each series and noise that all share, sparse errors, rollouts with small
// changes of level, pods that come and go.
func TestBudgetsAtScale(t *testing.T) {
	const days = 30
	end := benchBegin.Add(days * 24 * time.Hour)
	db, err := source.OpenTemporary(source.TemporaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := newQuietWorld(300, 11)
	h, err := db.WriteHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for at := benchBegin; !at.After(end); at = at.Add(5 * time.Minute) {
		if err := w.step(at, h); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := benchConfig(t, quietRules, 5*time.Minute)
	cfg.Declared = w.declared()
	c := &Case{Name: "quiet", From: benchBegin, To: end}
	hist := &History{c: c, from: c.From, to: c.To, input: db.Store(), log: slog.New(slog.DiscardHandler)}
	r, err := hist.Replay(t.Context(), Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	report := NewReport("quiet.yml", []*Replayed{r}, "", GradeOptions{})
	if err := report.WriteText(os.Stdout, TextOptions{Sent: testing.Verbose()}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d series, %d pages, %d tickets in %d days", w.series, report.Summary.Pages, report.Summary.Tickets, days)
	if report.Summary.Pages > 2 || report.Summary.Tickets > 60 {
		t.Errorf("%d pages and %d tickets, want at most 2 and 60", report.Summary.Pages, report.Summary.Tickets)
	}
}

// quietWorld is a system in which nothing happens.
type quietWorld struct {
	dice     *rand.Rand
	services []*quietService
	common   float64 // shared noise, an AR(1) process
	series   int
}

type quietService struct {
	name                 string
	calls                []int
	entry                bool
	load, rhythm, phase  float64
	latency, errors, cpu float64
	noise                float64 // AR(1), of traffic
	slow                 float64 // AR(1), of latency
	level                float64 // of the version
	pods                 []string
	podNoise             []float64
	rollout              int64 // ms, the next
	version              int
	refs                 map[string]uint64
}

func newQuietWorld(n int, seed uint64) *quietWorld {
	w := &quietWorld{dice: rand.New(rand.NewPCG(seed, seed))}
	for i := range n {
		s := &quietService{
			name: fmt.Sprintf("s%03d", i), entry: i < 15, level: 1, refs: map[string]uint64{},
			load: math.Exp(w.dice.NormFloat64()*1.2 + 3), rhythm: 0.2 + 0.5*w.dice.Float64(), phase: w.dice.NormFloat64() * 1.5,
			latency: math.Exp(w.dice.NormFloat64()*0.7 - 3), errors: math.Exp(w.dice.NormFloat64() - 7), cpu: 0.15 + 0.35*w.dice.Float64(),
			rollout: benchBegin.UnixMilli() + w.dice.Int64N(4*86400_000),
		}
		for range 1 + w.dice.IntN(3) {
			if i+1 < n {
				s.calls = append(s.calls, min(n-1, i+1+w.dice.IntN(40)))
			}
		}
		for p := range 10 + w.dice.IntN(8) {
			s.pods = append(s.pods, fmt.Sprintf("%s-v0-%d", s.name, p))
			s.podNoise = append(s.podNoise, 0)
		}
		w.series += 3 + len(s.pods)
		w.services = append(w.services, s)
	}
	return w
}

func (w *quietWorld) declared() topology.Declared {
	var d topology.Declared
	for _, s := range w.services {
		d.Nodes = append(d.Nodes, topology.Node{Service: topology.Service(s.name), Entry: s.entry})
		seen := map[int]bool{}
		for _, c := range s.calls {
			if !seen[c] {
				d.Edges = append(d.Edges, topology.Edge{Caller: topology.Service(s.name), Callee: topology.Service(w.services[c].name)})
			}
			seen[c] = true
		}
	}
	return d.Merge(topology.Declared{})
}

func (w *quietWorld) step(at time.Time, h *source.History) error {
	t := at.UnixMilli()
	w.common = 0.9*w.common + 0.02*w.dice.NormFloat64()
	hour := 2 * math.Pi * float64(at.Unix()%86400) / 86400
	weekend := 1.0
	if d := at.Weekday(); d == time.Saturday || d == time.Sunday {
		weekend = 0.8
	}
	for _, s := range w.services {
		if t >= s.rollout {
			s.version++
			s.level *= math.Exp(0.02 * w.dice.NormFloat64())
			for p := range s.pods {
				s.pods[p] = fmt.Sprintf("%s-v%d-%d", s.name, s.version, p)
			}
			s.rollout += 86400_000 + w.dice.Int64N(6*86400_000)
		}
		s.noise = 0.7*s.noise + 0.03*w.dice.NormFloat64()
		s.slow = 0.6*s.slow + 0.05*w.dice.NormFloat64()
		load := s.load * weekend * (1 + s.rhythm*math.Sin(hour+s.phase)) * math.Exp(w.common+s.noise)
		requests := poisson(w.dice, load*300)
		failed := poisson(w.dice, requests*s.errors)
		latency := s.latency * s.level * math.Exp(s.slow+0.5*w.common) * (1 + 0.1*load/s.load)
		ratio := 0.0
		if requests > 0 {
			ratio = failed / requests
		}
		for _, v := range []struct {
			name  string
			value float64
		}{{"requests_per_second", requests / 300}, {"errors_ratio", ratio}, {"latency_seconds", latency}} {
			if err := s.append(h, t, v.name, "", v.value); err != nil {
				return err
			}
		}
		for p := range s.pods {
			s.podNoise[p] = 0.8*s.podNoise[p] + 0.02*w.dice.NormFloat64()
			cpu := s.cpu * s.level * load / s.load * math.Exp(s.podNoise[p])
			if err := s.append(h, t, "cpu_ratio", s.pods[p], cpu); err != nil {
				return err
			}
		}
	}
	return h.Commit(t)
}

func (s *quietService) append(h *source.History, t int64, name, pod string, v float64) error {
	ref, err := h.Append(s.refs[name+pod], labels.FromStrings("__name__", name, "service", s.name, "pod", pod), t, v)
	s.refs[name+pod] = ref
	return err
}

// poisson draws from a Poisson distribution; above 500 from the normal one that is near it.
func poisson(dice *rand.Rand, mean float64) float64 {
	if mean > 500 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*dice.NormFloat64()))
	}
	limit, n, p := math.Exp(-mean), 0.0, dice.Float64()
	for p > limit {
		p *= dice.Float64()
		n++
	}
	return n
}
