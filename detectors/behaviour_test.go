package detectors

import (
	"math"
	"testing"
	"time"
)

const minute = time.Minute

// outage plays five days and ten hours of a daily wave, then six hours of half
// of it. hold withholds learning three samples after the first alarm. It
// returns the verdicts of the outage, the bank and the state.
func outage(t *testing.T, d Detector, wave float64, hold bool) ([]Verdict, Bank, Ref) {
	t.Helper()
	f := daily(7, 100, wave, 5)
	b := newBank(t, d, "1 per 30d", minute)
	ref := b.Add()
	var out []Verdict
	since, waited := int64(0), 0
	for _, p := range series(5*1440+600+360, minute, f) {
		fault := p.t >= start+(5*1440+600)*60_000
		if fault {
			p.v /= 2
		}
		v := b.Observe(ref, p.t, p.v)
		if !fault {
			continue
		}
		out = append(out, v)
		if v.Score >= 1 && since == 0 {
			since = v.Onset
		}
		if since != 0 {
			if waited++; waited == 3 && hold {
				b.Hold(ref, since)
			}
		}
	}
	return out, b, ref
}

func TestHoldKeepsOutageVisible(t *testing.T) {
	begin := int64(start + (5*1440+600)*60_000)
	for _, c := range []struct {
		d    Detector
		wave float64
		kind Kind
	}{{Spike, 0, KindSpike}, {Spike, 30, KindSpike}, {LevelShift, 0, KindShift}, {LevelShift, 30, KindShift}} {
		v, b, ref := outage(t, c.d, c.wave, true)
		if share := float64(alarms(v)) / float64(len(v)); share < 0.95 {
			t.Errorf("%s, wave %v: anomalous for %.2f of a held outage, want 0.95", c.d.Name, c.wave, share)
		}
		last := v[len(v)-1]
		if last.Onset < begin-60_000 || last.Onset > begin+5*60_000 {
			t.Errorf("%s, wave %v: onset %d minutes after the fault's begin", c.d.Name, c.wave, (last.Onset-begin)/60_000)
		}
		if last.Doubts&DoubtHeld == 0 || last.Kind != c.kind || last.Up {
			t.Errorf("%s, wave %v: held verdict %+v", c.d.Name, c.wave, last)
		}
		b.Hold(ref, begin) // again: changes nothing
		// Back to normal while held: the departure ends.
		f := daily(8, 100, c.wave, 5)
		at := begin + 360*60_000
		for i := range int64(180) {
			last = b.Observe(ref, at+i*60_000, f(time.Duration(at-start+i*60_000)*time.Millisecond))
		}
		if last.Score >= 1 || last.Onset != 0 || last.Kind != KindNone {
			t.Errorf("%s, wave %v: after recovery %+v", c.d.Name, c.wave, last)
		}
		b.Release(ref, false)
		if last = b.Observe(ref, at+181*60_000, last.Expected); last.Doubts&DoubtHeld != 0 || last.Score >= 1 {
			t.Errorf("%s, wave %v: after the release %+v", c.d.Name, c.wave, last)
		}
	}
}

func TestSpikeForgetsWithoutHold(t *testing.T) {
	v, _, _ := outage(t, Spike, 30, false)
	if n := alarms(v[:4]); n != 4 {
		t.Errorf("%d of the first 4 samples of the outage are anomalous, want all", n)
	}
	if share := float64(alarms(v)) / float64(len(v)); share > 0.5 {
		t.Errorf("anomalous for %.2f of an outage without hold; the level should follow", share)
	}
	v, _, _ = outage(t, LevelShift, 30, false)
	if share := float64(alarms(v)) / float64(len(v)); share < 0.9 {
		t.Errorf("level_shift sees %.2f of an outage without hold, want 0.9", share)
	}
}

func TestReleaseAccept(t *testing.T) {
	for _, d := range residuals() {
		v, b, ref := outage(t, d, 0, true)
		if v[len(v)-1].Score < 1 {
			t.Fatalf("%s: the outage is not anomalous at its end", d.Name)
		}
		b.Release(ref, true)
		f := noise(9, 50, 5)
		at := int64(start + (5*1440+600+360)*60_000)
		n := 0
		for i := range int64(1440) {
			x := b.Observe(ref, at+i*60_000, f(0))
			if x.Score >= 1 {
				n++
			}
			if i == 0 && !near(x.Expected, 50, 0.15) {
				t.Errorf("%s: expected %v right after the new level 50 was accepted", d.Name, x.Expected)
			}
		}
		if n > 5 {
			t.Errorf("%s: %d alarms on the day after the new level was accepted", d.Name, n)
		}
	}
}

// TestHoldRestores: what a fault taught within its first minutes is forgotten.
func TestHoldRestores(t *testing.T) {
	for _, d := range residuals() {
		s := series(4*1440+7, minute, daily(5, 100, 20, 2)) // the last sample is within a slot
		clean := newBank(t, d, "1 per 30d", minute)
		rc := clean.Add()
		play(clean, rc, s)
		clean.Hold(rc, s[len(s)-1].t+60_000)

		dirty := newBank(t, d, "1 per 30d", minute)
		rd := dirty.Add()
		play(dirty, rd, s)
		at := s[len(s)-1].t
		for i := range int64(12) { // over the end of the slot
			dirty.Observe(rd, at+(i+1)*60_000, 400)
		}
		dirty.Hold(rd, at+60_000)
		for i := int64(1); i < 300; i++ {
			want := clean.Observe(rc, at+i*60_000, 100)
			if i < 13 {
				continue
			}
			got := dirty.Observe(rd, at+i*60_000, 100)
			if !near(got.Expected, want.Expected, 0.02) || !near(got.Upper, want.Upper, 0.05) {
				t.Errorf("%s, %d minutes on: expected %v, upper %v; without the fault %v and %v",
					d.Name, i, got.Expected, got.Upper, want.Expected, want.Upper)
				break
			}
		}
	}
}

// TestSpacingChange: history at a minute, then live at five seconds.
func TestSpacingChange(t *testing.T) {
	for _, d := range residuals() {
		for name, f := range map[string]func(uint64) func(time.Duration) float64{
			"gauss": func(seed uint64) func(time.Duration) float64 { return noise(seed, 100, 5) },
			"daily": func(seed uint64) func(time.Duration) float64 { return daily(seed, 100, 30, 5) },
		} {
			n := 0
			for seed := range uint64(4) {
				g := f(seed)
				s := series(4*1440, minute, g)
				for k := range 17280 {
					at := 4*day + time.Duration(k)*5*time.Second
					s = append(s, point{start + at.Milliseconds(), g(at)})
				}
				v := judge(t, d, "1 per 7d", 5*time.Second, s)
				for i := range v[4*1440:] {
					if v[4*1440+i].Doubts&DoubtAfterGap != 0 {
						t.Fatalf("%s, %s: the change of spacing is taken for a gap", d.Name, name)
					}
				}
				n += episodesOf(s[4*1440:], v[4*1440:])
			}
			if n > 1 {
				t.Errorf("%s, %s: %d alarms in four days after the change from 60 s to 5 s", d.Name, name, n)
			}
		}
	}
}

// TestBudgetHolds: on stationary noise the nominal budget is kept within a factor of two.
func TestBudgetHolds(t *testing.T) {
	for _, d := range residuals() {
		for name, f := range map[string]func(uint64) func(time.Duration) float64{
			"gauss": func(seed uint64) func(time.Duration) float64 { return noise(seed, 100, 5) },
			"daily": func(seed uint64) func(time.Duration) float64 { return daily(seed, 100, 50, 5) },
		} {
			n := 0
			for seed := range uint64(6) {
				s := series(28*288, 5*minute, f(seed))
				v := judge(t, d, "1 per 7d", 5*minute, s)
				n += episodesOf(s[7*288:], v[7*288:])
			}
			if n > 2*18 {
				t.Errorf("%s, %s: %d alarms in 18 weeks at a budget of one a week", d.Name, name, n)
			}
		}
	}
}

func TestConstant(t *testing.T) {
	for _, c := range []struct {
		value, then float64
		span        time.Duration
		budget      string
		least       float64
	}{
		{0, 5, 3 * day, "1 per 30d", 1}, {7, 7.1, 2 * time.Hour, "1 per 30d", 1}, {1e9, 2e9, 3 * day, "1 per 1d", 1.47},
		{0, 1e-9, 40 * day, "1 per 4d", 2},
	} {
		n := int(c.span / minute)
		s := series(n+10, minute, func(d time.Duration) float64 {
			if d < c.span {
				return c.value
			}
			return c.then
		})
		for _, d := range residuals() {
			v := judge(t, d, c.budget, minute, s[:n+1])
			if before := v[n-1]; before.Score >= 1 || before.Doubts&DoubtConstant == 0 || before.Expected != c.value {
				t.Errorf("%s, constant %v: %+v", d.Name, c.value, before)
			}
		}
		v := judge(t, Spike, c.budget, minute, s)
		if first := v[n]; first.Score < c.least || first.Score > c.least+0.05 || first.Onset != s[n].t {
			t.Errorf("spike, %v to %v after %v: score %v, onset %d; want %v, %d", c.value, c.then, c.span, first.Score, first.Onset, c.least, s[n].t)
		}
		if v[n+5].Doubts&DoubtConstant != 0 {
			t.Errorf("spike, %v to %v: still constant after the change", c.value, c.then)
		}
		if c.span > day && alarms(v[n:n+4]) != 4 {
			t.Errorf("spike, %v to %v after %v: %d of the first four samples are anomalous", c.value, c.then, c.span, alarms(v[n:n+4]))
		}
	}
	// The smooth detector wants to see a change last.
	s := series(4*1440, minute, func(d time.Duration) float64 {
		if d == 2*day || d >= 3*day {
			return 5
		}
		return 0
	})
	v := judge(t, LevelShift, "1 per 30d", minute, s)
	if n := alarms(v[:3*1440]); n != 0 {
		t.Errorf("level_shift: a blip of one sample alarms %d times", n)
	}
	if n := alarms(v[3*1440 : 3*1440+60]); n == 0 {
		t.Error("level_shift: a constant's step is not seen within an hour")
	}
}

func TestGapsAndOrder(t *testing.T) {
	for _, d := range All() {
		if d.Groups {
			continue // a series alone is not learnt
		}
		b := newBank(t, d, "1 per 7d", minute)
		ref := b.Add()
		s := series(3*1440, minute, noise(1, 100, 5))
		last := s[len(s)-1].t
		v := play(b, ref, s)
		learnt := v[len(v)-1].Learnt + 1 // a verdict is given before its sample is learnt
		before := b.AppendState(nil, ref)
		for _, p := range []point{{last, 1}, {last - 60_000, 1}, {last + 60_000, math.NaN()}, {last + 60_000, math.Inf(1)}, {math.MaxInt64, 1}} {
			if d.Absences && !finite(p.v) {
				continue // a missing sample is judged
			}
			got := b.Observe(ref, p.t, p.v)
			if !math.IsNaN(got.Score) || got.Learnt != learnt {
				t.Errorf("%s: sample %v gives score %v, learnt %d; want none and %d", d.Name, p, got.Score, got.Learnt, learnt)
			}
		}
		if string(b.AppendState(nil, ref)) != string(before) {
			t.Errorf("%s: samples that are not learnt change the state", d.Name)
		}
		// An hour's gap, then another level: doubtful, and taken.
		n, doubtful := 0, 0
		f := noise(2, 100, 5)
		for i := range int64(600) {
			got := b.Observe(ref, last+3600_000+i*60_000, f(0))
			if got.Doubts&DoubtAfterGap != 0 {
				doubtful++
			}
			if got.Score >= 1 {
				n++
			}
		}
		if doubtful < 5 || doubtful > 70 || n != 0 {
			t.Errorf("%s: %d doubtful samples and %d alarms after a gap", d.Name, doubtful, n)
		}
	}
}

// TestZeroInflated: rare blips over zero do not alarm for ever.
func TestZeroInflated(t *testing.T) {
	g := noise(3, 0, 1)
	s := series(30*1440, minute, func(time.Duration) float64 {
		if x := g(0); x > 2.8 {
			return 1 + math.Abs(g(0))
		}
		return 0
	})
	v := judge(t, Spike, "1 per 7d", minute, s)
	if n := episodesOf(s[15*1440:], v[15*1440:]); n > 5 {
		t.Errorf("%d alarms in the last 15 days at a budget of one a week", n)
	}
	for i, x := range v {
		if x.Score > 20 {
			t.Fatalf("sample %d scores %v", i, x.Score)
		}
	}
}

// TestBand: the score is below 1 within the band and only there.
func TestBand(t *testing.T) {
	for _, transform := range []string{TransformNone, TransformLog} {
		opts := Spike.Options()
		setTransform(opts, transform)
		b, err := Spike.New(opts, Conditions{Budget: mustBudget(t, "1 per 7d"), Step: minute})
		if err != nil {
			t.Fatal(err)
		}
		ref := b.Add()
		f := daily(3, 100, 50, 5)
		for i, p := range series(3*1440, minute, f) {
			if i%200 == 199 {
				p.v *= 1.7
			}
			v := b.Observe(ref, p.t, p.v)
			if math.IsNaN(v.Score) {
				continue
			}
			inside := v.Value > v.Lower && v.Value < v.Upper
			if inside != (v.Score < 1) && !near(v.Score, 1, 1e-6) {
				t.Fatalf("%s, sample %d: value %v, band %v to %v, score %v", transform, i, v.Value, v.Lower, v.Upper, v.Score)
			}
		}
	}
}

func TestLogTransform(t *testing.T) {
	g := noise(3, 0, 0.3)
	opts := &SpikeOptions{Slots: 96, ProfileAlpha: 0.2, Level: time.Hour, Scale: day, Transform: TransformLog}
	b, err := Spike.New(opts, Conditions{Budget: mustBudget(t, "1 per 30d"), Step: minute})
	if err != nil {
		t.Fatal(err)
	}
	ref := b.Add()
	if v := b.Observe(ref, start-60_000, 0); !math.IsNaN(v.Score) || v.Learnt != 0 {
		t.Errorf("a first value of zero: %+v", v)
	}
	s := series(4*1440, minute, func(time.Duration) float64 { return 0.1 * math.Exp(g(0)) })
	v := play(b, ref, s)
	if n := episodesOf(s[1440:], v[1440:]); n > 1 {
		t.Errorf("%d alarms on log-normal values in three days", n)
	}
	at := s[len(s)-1].t
	last := v[len(v)-1]
	if last.Lower <= 0 || last.Lower >= last.Expected || last.Expected >= last.Upper || !near(last.Expected, 0.1, 0.02) {
		t.Errorf("band %v, %v, %v around 0.1", last.Lower, last.Expected, last.Upper)
	}
	zero := b.Observe(ref, at+60_000, 0)
	if math.IsInf(zero.Score, 0) || zero.Score > 10 || zero.Score < 1 {
		t.Errorf("zero under the logarithm scores %v", zero.Score)
	}
	if v := b.Observe(ref, at+120_000, 3); v.Score < 1 || !v.Up {
		t.Errorf("thirty times the usual: %+v", v)
	}
}
