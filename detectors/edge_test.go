package detectors

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestEdge: what becomes of relations, not of traffic.
func TestEdge(t *testing.T) {
	fault := 6 * day
	for _, c := range []struct {
		name     string
		relation string
		// v and of in requests/s or seconds, before and in the fault
		pair   func(r *rand.Rand, d time.Duration) (v, of float64)
		fires  bool
		up     bool
		within int // minutes
	}{
		{"retries", RelationRatio, func(r *rand.Rand, d time.Duration) (float64, float64) {
			in := 50 * (1 + 0.8*math.Sin(2*math.Pi*d.Hours()/24)) * (1 + 0.1*r.NormFloat64())
			calls := 2.0
			if d >= fault {
				calls = 3
			}
			return calls * in * (1 + 0.03*r.NormFloat64()), in
		}, true, true, 6},
		{"twice the traffic", RelationRatio, func(r *rand.Rand, d time.Duration) (float64, float64) {
			in := 50 * (1 + 0.8*math.Sin(2*math.Pi*d.Hours()/24)) * (1 + 0.1*r.NormFloat64())
			if d >= fault {
				in *= 2
			}
			return 2 * in * (1 + 0.03*r.NormFloat64()), in
		}, false, false, 0},
		{"traffic lost", RelationRatio, func(r *rand.Rand, d time.Duration) (float64, float64) {
			sent := 200 * (1 + 0.1*r.NormFloat64())
			received := 0.999
			if d >= fault {
				received = 0.9
			}
			return received * sent * (1 + 0.01*r.NormFloat64()), sent
		}, true, false, 6},
		{"time between", RelationDifference, func(r *rand.Rand, d time.Duration) (float64, float64) {
			callee := 0.05 * math.Exp(0.5*r.NormFloat64()) // varies much more than what is between
			between := 0.002 + 0.0005*r.NormFloat64()
			if d >= fault {
				between += 0.005
			}
			return callee + between, callee
		}, true, true, 8},
		{"hardly any traffic", RelationRatio, func(r *rand.Rand, d time.Duration) (float64, float64) {
			if d >= fault {
				return 0.3 * r.Float64(), 0.1
			}
			return 40 + r.NormFloat64(), 20
		}, false, false, 0},
	} {
		o := Edge.Options().(*EdgeOptions)
		o.Relation = c.relation
		b, err := Edge.New(o, Conditions{Budget: mustBudget(t, "1 per 30d"), Step: minute})
		if err != nil {
			t.Fatal(err)
		}
		ref := b.Add()
		r := rand.New(rand.NewPCG(4, 4))
		first, before := -1, 0
		var at Verdict
		for i := range int((fault + 6*time.Hour) / minute) {
			d := time.Duration(i) * minute
			v, of := c.pair(r, d)
			got := b.(TrialsBank).ObserveOf(ref, start+d.Milliseconds(), v, of)
			want := v / of
			if c.relation == RelationDifference {
				want = v - of
			}
			if !near(got.Value, want, 1e-12) {
				t.Fatalf("%s: value %v of %v and %v", c.name, got.Value, v, of)
			}
			switch {
			case got.Score >= 1 && d >= fault && first < 0:
				first, at = int((d-fault)/minute), got
			case got.Score >= 1 && d >= 2*day && d < fault:
				before++
			}
		}
		if before > 0 {
			t.Errorf("%s: %d alarms before", c.name, before)
		}
		if (first >= 0) != c.fires || first > c.within {
			t.Errorf("%s: first alarm after %d minutes, want %v within %d", c.name, first, c.fires, c.within)
		}
		if c.fires && first >= 0 && (at.Up != c.up || at.Kind != KindShift) {
			t.Errorf("%s: %+v", c.name, at)
		}
	}
}

// TestEdgeOracle: an edge is level_shift on the relation.
func TestEdgeOracle(t *testing.T) {
	o := LevelShift.Options().(*LevelShiftOptions)
	o.Window, o.Transform = 5*minute, TransformLog
	plain, err := LevelShift.New(o, Conditions{Budget: mustBudget(t, "1 per 7d"), Step: minute})
	if err != nil {
		t.Fatal(err)
	}
	b := newBank(t, Edge, "1 per 7d", minute).(TrialsBank)
	x, y := plain.Add(), b.Add()
	f, g := daily(1, 100, 50, 5), daily(2, 200, 50, 5)
	for _, p := range series(3*1440, minute, f) {
		of := g(0)
		if got, want := b.ObserveOf(y, p.t, p.v, of), plain.Observe(x, p.t, p.v/of); !sameVerdict(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestEdgeMissing(t *testing.T) {
	b := newBank(t, Edge, "1 per 7d", minute).(TrialsBank)
	ref := b.Add()
	for i := range int64(100) {
		b.ObserveOf(ref, start+i*60_000, 20, 10)
	}
	before := string(b.AppendState(nil, ref))
	for _, p := range [][2]float64{{1, 0}, {1, -1}, {math.NaN(), 1}, {-1, 1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if v := b.ObserveOf(ref, start+200*60_000, p[0], p[1]); !math.IsNaN(v.Score) {
			t.Errorf("%v: %+v", p, v)
		}
	}
	if string(b.AppendState(nil, ref)) != before {
		t.Error("what cannot be judged is learnt")
	}
}

func TestEdgeOptions(t *testing.T) {
	bad := &EdgeOptions{Relation: "sum", Window: 0, Level: 0, Scale: 0, Slots: 1, ProfileAlpha: 0, Least: 2}
	for _, want := range []string{`relation is "sum"`, "window is 0s", "level is 0s", "scale is 0s", "slots is 1", "profile_alpha is 0", "least is 2"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
	o := Edge.Options().(*EdgeOptions)
	o.Window = o.Level
	if err := o.Validate(); err == nil {
		t.Error("a window as long as the level is taken")
	}
}
