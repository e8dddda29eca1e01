package detectors

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"
)

// meanOf makes the mean of detectors with their defaults.
func meanOf(t testing.TB, list ...Detector) Detector {
	t.Helper()
	parts := make([]Part, len(list))
	for i, d := range list {
		parts[i] = Part{d, d.Options()}
	}
	d, err := Mean(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMeanIsThatOfItsParts(t *testing.T) {
	parts := []Detector{Spike, Seasonality, EWMA}
	s := faulty(3)
	got := judge(t, meanOf(t, parts...), "1 per 7d", minute, s)
	var of [][]Verdict
	for _, d := range parts {
		of = append(of, judge(t, d, "1 per 7d", minute, s))
	}
	scored := 0
	for i, v := range got {
		var score, expected, lower, upper average
		highest := math.Inf(-1)
		up := false
		for _, p := range of {
			if x := p[i]; !math.IsNaN(x.Score) {
				score.add(x.Score)
				expected.add(x.Expected)
				lower.add(x.Lower)
				upper.add(x.Upper)
				if x.Score > highest {
					highest, up = x.Score, x.Up
				}
			}
		}
		if score.n == 0 {
			if !math.IsNaN(v.Score) {
				t.Fatalf("sample %d: score %v, but no part has one", i, v.Score)
			}
			continue
		}
		scored++
		want := Verdict{
			Value: s[i].v, Score: score.sum / score.n, Expected: expected.sum / expected.n, Lower: lower.sum / lower.n,
			Upper: upper.sum / upper.n, Up: up,
		}
		if v.Score != want.Score || v.Expected != want.Expected || v.Lower != want.Lower || v.Upper != want.Upper || v.Up != want.Up {
			t.Fatalf("sample %d: got %+v, want %+v", i, v, want)
		}
		if v.Score >= 1 && (v.Onset == 0 || v.Kind != KindSpike) {
			t.Fatalf("sample %d: score %v with onset %d and kind %v", i, v.Score, v.Onset, v.Kind)
		}
	}
	if scored < len(s)*9/10 {
		t.Errorf("%d of %d samples have a score", scored, len(s))
	}
}

func TestMeanFollowsADeparture(t *testing.T) {
	d := meanOf(t, Spike, LevelShift)
	s := series(4*1440, minute, daily(1, 100, 30, 3))
	at := len(s) - 600
	for i := at; i < at+60; i++ {
		s[i].v += 80
	}
	v := judge(t, d, "1 per 7d", minute, s)
	first := -1
	for i := at - 1440; i < len(v); i++ {
		switch {
		case i < at && v[i].Onset != 0:
			t.Fatalf("an onset %d minutes before the fault", at-i)
		case first < 0 && v[i].Score >= 1:
			first = i
		}
	}
	if first < at || first > at+5 {
		t.Fatalf("found at sample %d, the fault begins at %d", first, at)
	}
	if v[first].Onset != s[at].t || !v[first].Up {
		t.Errorf("onset %d, up %v; want %d, true", v[first].Onset, v[first].Up, s[at].t)
	}
	if last := v[len(v)-1]; last.Onset != 0 || last.Kind != KindNone {
		t.Errorf("nine hours after the fault: %+v", last)
	}
}

func TestMeanRefuses(t *testing.T) {
	part := func(d Detector) Part { return Part{d, d.Options()} }
	for _, c := range []struct {
		name  string
		parts []Part
		want  string
	}{
		{"none", nil, "2 to 8 detectors, not of 0"},
		{"one", []Part{part(Spike)}, "2 to 8 detectors, not of 1"},
		{"many", make([]Part, 9), "not of 9"},
		{"trials", []Part{part(Spike), part(Rate)}, "detector rate has no place in a mean: it judges values together with"},
		{"absences", []Part{part(Silence), part(Spike)}, "detector silence has no place in a mean: it judges missing samples"},
		{"a limit", []Part{part(Spike), part(Threshold)}, "detector threshold has no place in a mean: a known limit"},
		{"twice", []Part{part(Spike), part(EWMA), part(Spike)}, "detector spike is there twice"},
	} {
		if _, err := Mean(c.parts...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to contain %q", c.name, err, c.want)
		}
	}
	slow := Part{Spike, &SpikeOptions{Slots: 96, ProfileAlpha: 0.2, Level: time.Hour, Scale: week, Transform: TransformNone}}
	if _, err := Mean(part(Spike), slow); err != nil {
		t.Errorf("spike twice with other options: %v", err)
	}
	bad := &MeanOptions{Parts: []Part{part(Spike), {EWMA, &EWMAOptions{}}}}
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "part 2, ewma: level is 0s") {
		t.Errorf("bad options of a part: %v", err)
	}
	if _, err := meanOf(t, Spike, EWMA).New(Spike.Options(), Conditions{Budget: DefaultBudget(), Step: minute}); err == nil {
		t.Error("options of another detector are taken")
	}
}

func TestMeanState(t *testing.T) {
	d := meanOf(t, Spike, EWMA)
	s := faulty(5)
	whole := judge(t, d, "1 per 7d", minute, s)
	b := newBank(t, d, "1 per 7d", minute)
	other := b.Add()
	ref := b.Add()
	b.Remove(other)
	cut := len(s) * 7 / 10
	play(b, ref, s[:cut])
	state := b.AppendState([]byte("kept"), ref)[4:]
	c := newBank(t, d, "1 per 7d", minute)
	to := c.Add()
	if err := c.SetState(to, state); err != nil {
		t.Fatal(err)
	}
	if again := c.AppendState(nil, to); !bytes.Equal(again, state) {
		t.Error("the encoding changes over a round trip")
	}
	for i, v := range play(c, to, s[cut:]) {
		if !sameVerdict(v, whole[cut+i]) {
			t.Fatalf("sample %d: got %+v, want %+v", cut+i, v, whole[cut+i])
		}
	}
	if b.Len() != 1 || c.Len() != 1 {
		t.Errorf("%d and %d states in use, want 1 and 1", b.Len(), c.Len())
	}
	if size := b.StateSize(); size < 600 || size > 1400 {
		t.Errorf("a state takes %d bytes", size)
	}
	if n := testing.AllocsPerRun(10, func() { b.Observe(ref, s[cut].t, 3) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}

	own := c.(*meanBank).own.codec.length()
	change := func(f func(x []byte) []byte) []byte { return f(bytes.Clone(state)) }
	before := c.AppendState(nil, to)
	swapped := newBank(t, meanOf(t, EWMA, Spike), "1 per 7d", minute)
	for _, e := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"empty", nil, "end early"},
		{"own state only", state[:own], "end early, in part 1"},
		{"torn", state[:len(state)-3], "end early, in part 2"},
		{"more", append(bytes.Clone(state), 1), "1 bytes follow it"},
		{"long part", change(func(x []byte) []byte { binary.LittleEndian.PutUint32(x[own:], math.MaxUint32); return x }), "end early, in part 1"},
		{"short part", change(func(x []byte) []byte { binary.LittleEndian.PutUint32(x[own:], 3); return x }), "part 1: state of detector spike"},
		{"flipped bit in the last part", change(func(x []byte) []byte { x[len(x)-20] ^= 1; return x }), "part 2: state of detector ewma: the checksum"},
		{"another order", swapped.AppendState(nil, swapped.Add()), `belongs to detector "mean(ewma, spike)"`},
	} {
		if err := c.SetState(to, e.bytes); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: error %v, want it to contain %q", e.name, err, e.want)
		}
		if !bytes.Equal(c.AppendState(nil, to), before) {
			t.Fatalf("%s: the state changed", e.name)
		}
		for i, p := range c.(*meanBank).parts {
			if p.Len() != 1 {
				t.Fatalf("%s: %d states are left in part %d, want 1", e.name, p.Len(), i)
			}
		}
	}
}

func TestMeanHold(t *testing.T) {
	v, b, ref := outage(t, meanOf(t, Spike, Seasonality), 30, true)
	if share := float64(alarms(v)) / float64(len(v)); share < 0.9 {
		t.Errorf("anomalous for %.2f of a held outage, want 0.9", share)
	}
	if last := v[len(v)-1]; last.Doubts&DoubtHeld == 0 || last.Onset == 0 {
		t.Errorf("the last sample of a held outage: %+v", last)
	}
	b.Release(ref, true)
	at := int64(start + (5*1440+600+360)*60_000)
	for i := range int64(60) {
		if x := b.Observe(ref, at+i*60_000, v[len(v)-1].Value); x.Score >= 1 || x.Onset != 0 || x.Doubts&DoubtHeld != 0 {
			t.Fatalf("%d minutes after the new level was accepted: %+v", i, x)
		}
	}
}

// FuzzMeanState decodes hostile bytes and goes on observing.
func FuzzMeanState(f *testing.F) {
	d := meanOf(f, Spike, EWMA)
	seed := newBank(f, d, "1 per 30d", minute)
	ref := seed.Add()
	play(seed, ref, series(500, minute, noise(1, 10, 1)))
	good := seed.AppendState(nil, ref)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:60])
	f.Add([]byte{})
	b := newBank(f, d, "1 per 30d", minute)
	f.Fuzz(func(t *testing.T, state []byte) {
		ref := b.Add()
		defer b.Remove(ref)
		before := b.AppendState(nil, ref)
		if err := b.SetState(ref, state); err != nil {
			if !bytes.Equal(b.AppendState(nil, ref), before) {
				t.Fatalf("the state changed on the error %v", err)
			}
			return
		}
		if again := b.AppendState(nil, ref); !bytes.Equal(again, state) {
			t.Fatal("the encoding changes over a round trip")
		}
		for i := range int64(20) {
			if v := b.Observe(ref, start+i*60_000, 5); math.IsInf(v.Score, 0) {
				t.Fatalf("score %v", v.Score)
			}
		}
	})
}
