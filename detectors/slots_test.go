package detectors

import (
	"math"
	"testing"
)

// TestSlotsOracle compares slots of 16 bits with ones of 64, of which each is
// learnt with the same shares, over series of very different reach.
func TestSlotsOracle(t *testing.T) {
	for name, f := range map[string]func(day, i int, x float64) float64{
		"wave":            func(_, i int, x float64) float64 { return 1e6 * (math.Sin(2*math.Pi*float64(i)/96) + x/100) },
		"far from origin": func(_, _ int, x float64) float64 { return 1e9 + x },
		"first far away": func(day, i int, x float64) float64 {
			return map[bool]float64{true: 0, false: 1e6 + x}[day == 0 && i == 0]
		},
		"one busy slot":     func(_, i int, x float64) float64 { return map[bool]float64{true: 1e6, false: 10 + x}[i == 12] },
		"growth":            func(day, _ int, x float64) float64 { return math.Pow(3, float64(day)) * (1 + x/10) },
		"decay":             func(day, _ int, x float64) float64 { return math.Pow(3, -float64(day)) * (1 + x/10) },
		"tiny":              func(_, _ int, x float64) float64 { return 1e-200 * x },
		"huge":              func(_, _ int, x float64) float64 { return 1e36 * x },
		"constant":          func(_, _ int, _ float64) float64 { return 7 },
		"constant, stepped": func(day, _ int, _ float64) float64 { return map[bool]float64{true: 7, false: 700}[day < 3] },
	} {
		g := noise(11, 0, 1)
		var s slots
		var exact, step [maxSlots]float64
		for day := range 30 {
			for i := range maxSlots {
				x, share := f(day, i, g(0)), math.Max(0.2, 1/float64(day+1))
				s.learn(i, x, share)
				exact[i] += share * (x - exact[i])
			}
			for i := range maxSlots {
				step[i] = math.Max(0.8*step[i], 2*math.Sqrt(s.quantum)*math.Sqrt(math.Abs(exact[i]-s.base))+s.quantum)
			}
			s.fit(maxSlots)
			for i := range maxSlots {
				step[i] = math.Max(step[i], 2*math.Sqrt(s.quantum)*math.Sqrt(math.Abs(exact[i]-s.base))+s.quantum)
				// Rounded to half a step when learnt and when fitted, of which a fifth is forgotten
				// a day: at most five steps of the size that they had, and the last one's.
				if miss := math.Abs(s.at(i) - exact[i]); miss > 6*step[i]+1e-12*math.Abs(exact[i]) {
					t.Fatalf("%s, day %d, slot %d: %v, the oracle has %v, %.1f steps off (quantum %v, base %v)", name, day, i, s.at(i), exact[i], miss/step[i], s.quantum, s.base)
				}
			}
		}
		if err := s.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "one busy slot" || name == "first far away" {
			for i := range maxSlots {
				if miss := math.Abs(s.at(i) - exact[i]); i != 12 && i != 0 && miss > 0.3 {
					t.Errorf("%s: slot %d is %v off at a noise of 1", name, i, miss)
				}
			}
		}
	}
}

// TestSlotsBelowAStep: what is less than a step is learnt all the same.
func TestSlotsBelowAStep(t *testing.T) {
	var s slots
	s.learn(0, 0, 1)
	s.learn(1, 1000, 1)
	step := 2 * math.Sqrt(s.quantum*1000)
	for range 20 {
		s.learn(1, 1000+3*step, 0.05) // a share of it is a seventh of a step
	}
	if got := s.at(1); math.Abs(got-1000-3*step) > 0.6*step {
		t.Errorf("after 20 days of %v: %v, at steps of %v", 1000+3*step, got, step)
	}
}

// TestSlotsUndo: the last slot learnt is taken back, over a change of base and quantum.
func TestSlotsUndo(t *testing.T) {
	for name, after := range map[string]func(s *slots){
		"at once":      func(*slots) {},
		"after growth": func(s *slots) { s.reach(1e6) },
		"after a fit":  func(s *slots) { s.fit(maxSlots) },
	} {
		var s slots
		s.learn(0, 0, 1) // the base, far from the others
		for i := 1; i < maxSlots; i++ {
			s.learn(i, 100+float64(i%10), 1)
			s.learnContrast(i, -20, 1)
		}
		want, contrast := s.at(5), s.contrast(5)
		s.save(5)
		s.learn(5, 1e4, 0.2)
		s.learnContrast(5, 50, 1)
		after(&s)
		s.undo(5)
		if got := s.at(5); math.Abs(got-want) > 0.05*want || math.Abs(s.contrast(5)-contrast) > 2 {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, s.contrast(5), want, contrast)
		}
		if name == "after a fit" && s.base < 100 {
			t.Errorf("the base is %v, want it among the slots", s.base)
		}
	}
	var s slots
	s.save(3)
	s.learn(3, 5, 1)
	s.undo(3)
	if s.has(3) || s.canUndo {
		t.Error("a slot that was not known is known after undo")
	}
}

// TestSlotsMultiply: a share of a series has the same course, times the share.
func TestSlotsMultiply(t *testing.T) {
	for _, by := range []float64{1e-3, 0.25, 3, 1000} {
		var s slots
		for i := range maxSlots {
			s.learn(i, 1000+30*float64(i), 1)
			s.learnContrast(i, -float64(i), 1)
		}
		was := s
		s.multiply(by)
		for i := range maxSlots {
			if got, want := s.at(i), by*was.at(i); !near(got, want, 1e-12) || !near(s.contrast(i), by*was.contrast(i), 1e-12) {
				t.Fatalf("times %v, slot %d: %v, contrast %v; want %v, %v", by, i, got, s.contrast(i), want, by*was.contrast(i))
			}
		}
	}
}

// TestProfileCheck: hostile fields of a profile are refused.
func TestProfileCheck(t *testing.T) {
	good := func() *profile {
		var p profile
		for i := range maxSlots {
			p.slots.learn(i, float64(i), 1)
		}
		return &p
	}
	if err := good().check(); err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []func(p *profile){
		func(p *profile) { p.slots.quantum = -1 },
		func(p *profile) { p.slots.quantum = 1e-300 },
		func(p *profile) { p.slots.quantum = 1e37 },
		func(p *profile) { p.slots.base = 1e39 },
		func(p *profile) { p.part = 1.5 },
		func(p *profile) { p.part = -0.1 },
		func(p *profile) { p.seen = -1 },
		func(p *profile) { p.weekly.square = -1 },
		func(p *profile) { p.weekly.along = 1e90 },
		func(p *profile) { p.undoNumber = math.MaxInt64 },
		func(p *profile) { p.running.number = math.MinInt64 },
	} {
		p := good()
		spoil(p)
		if err := p.check(); err == nil {
			t.Errorf("spoilt profile %d is taken", i)
		}
	}
}
