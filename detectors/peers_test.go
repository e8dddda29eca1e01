package detectors

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPeersMissing: what is no value, and what is no group.
func TestPeersMissing(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name      string
		transform string
		values    []float64
		judged    string // a digit for each member: has it an expected value
		few       bool
	}{
		{"all there", TransformNone, []float64{10, 11, 12, 13}, "1111", false},
		{"one NaN", TransformNone, []float64{10, 11, 12, nan}, "1110", false},
		{"infinite", TransformNone, []float64{10, inf, 12, 13}, "1011", false},
		{"too large", TransformNone, []float64{10, 11, -1e38, 13}, "1101", false},
		{"two left", TransformNone, []float64{10, nan, 12, nan}, "0000", true},
		{"none left", TransformNone, []float64{nan, nan, nan, nan}, "0000", true},
		{"zero and below", TransformNone, []float64{0, -1, 0, 5}, "1111", false},
		{"no logarithm of one", TransformLog, []float64{10, 11, 12, 0}, "1111", false},
		{"of half", TransformLog, []float64{10, 11, -1, 0}, "0000", true},
	} {
		g := newTeam(t, "1 per 30d", minute, func(o *PeersOptions) { o.Transform = c.transform })
		r := rand.New(rand.NewPCG(1, 1))
		for i := range int64(200) {
			g.observe(start+i*60_000, 10+r.Float64(), 10+r.Float64(), 10+r.Float64(), 10+r.Float64())
		}
		var before [][]byte
		for _, ref := range g.refs {
			before = append(before, g.AppendState(nil, ref))
		}
		judged, few := "", false
		for i, m := range g.observe(start+200*60_000, c.values...) {
			known := !math.IsNaN(m.Verdict.Score)
			if known != !math.IsNaN(m.Verdict.Expected) || math.IsInf(m.Verdict.Score, 0) {
				t.Errorf("%s, member %d: %+v", c.name, i, m.Verdict)
			}
			judged += map[bool]string{true: "1", false: "0"}[known]
			few = few || m.Verdict.Doubts&DoubtFewPeers != 0
			if !known && !bytes.Equal(g.AppendState(nil, g.refs[i]), before[i]) {
				t.Errorf("%s, member %d: what is not judged is learnt", c.name, i)
			}
		}
		if judged != c.judged || few != c.few {
			t.Errorf("%s: judged %s, few peers %v; want %s, %v", c.name, judged, few, c.judged, c.few)
		}
	}
	g := newTeam(t, "1 per 30d", minute)
	if v := g.Observe(g.Add(), start, 5); !math.IsNaN(v.Score) || v.Doubts.String() != "warming up, few peers" {
		t.Errorf("a series alone: %+v", v)
	}
}

// TestPeersVerdict: what is said of a member that becomes slow, and of a new one.
func TestPeersVerdict(t *testing.T) {
	p := newPods(3, 6, "gauss")
	g := newTeam(t, "1 per 7d", minute, logs)
	for range 10 * 1440 {
		at, values := p.next()
		g.observe(at, values...)
	}
	var v Verdict
	var first, value int64
	for i := range 30 {
		at, values := p.next()
		if i == 0 {
			first = at
		}
		usual := values[2]
		values[2] *= 3
		value = int64(100 * usual)
		v = g.observe(at, values...)[2].Verdict
	}
	usual := float64(value) / 100
	if v.Score < 2 || v.Kind != KindPeer || !v.Up || v.Onset != first || v.Doubts != 0 || v.Learnt < 14_000 ||
		math.Abs(math.Log(v.Expected/usual)) > 0.5 || v.Lower > v.Expected || v.Upper < v.Expected || v.Upper > v.Value {
		t.Errorf("three times as slow as usual, %g, since %d: got %+v", usual, first, v)
	}
	at, values := p.next()
	values = append(slices.Clone(values), values[0])
	if v = g.observe(at, values...)[6].Verdict; math.IsNaN(v.Score) || v.Score >= 1 || v.Doubts != DoubtInherited {
		t.Errorf("a new member like the others: %+v", v)
	}
}

// TestPeersHold: a departure that is held is not learnt, one that is accepted is the habit.
func TestPeersHold(t *testing.T) {
	for _, c := range []struct {
		name         string
		hold, accept bool
		later        bool // departs still after two days
		after        bool // departs when it is over
	}{
		{"not held", false, false, false, true},
		{"held", true, false, true, false},
		{"accepted", true, true, false, true},
	} {
		p := newPods(5, 5, "gauss")
		g := newTeam(t, "1 per 7d", minute, logs)
		departs := func(minutes int, factor float64) (n int) {
			for range minutes {
				at, values := p.next()
				values[1] *= factor
				if v := g.observe(at, values...)[1].Verdict; v.Score >= 1 {
					n++
				}
			}
			return n
		}
		departs(8*1440, 1)
		if n := departs(30, 2); n < 20 {
			t.Fatalf("%s: %d of 30 minutes depart", c.name, n)
		}
		ref := g.refs[1]
		if c.hold {
			g.Hold(ref, start+8*dayMs)
		}
		departs(2*1440, 2)
		if c.accept {
			g.Release(ref, true)
		}
		if n := departs(60, 2); (n > 30) != c.later {
			t.Errorf("%s: %d of 60 minutes depart after two days, want most: %v", c.name, n, c.later)
		}
		if c.hold && !c.accept {
			g.Release(ref, false)
		}
		departs(30, 1)
		if n := departs(120, 1); (n > 60) != c.after && c.name != "not held" {
			t.Errorf("%s: %d of 120 minutes depart when it is over, want most: %v", c.name, n, c.after)
		}
	}
}

// comings makes a group of eight of which some are missing at times, for some
// samples at the longest.
func comings(seed uint64, longest int) func() (at int64, values []float64) {
	p := newPods(seed, 8, "bursts")
	r := rand.New(rand.NewPCG(seed, 9))
	away := make([]int, 8)
	return func() (int64, []float64) {
		at, values := p.next()
		for i := range values {
			if away[i] == 0 && r.Float64() < 0.001 {
				away[i] = 1 + r.IntN(longest)
			}
			if away[i] > 0 {
				away[i]--
				values[i] = math.NaN()
			}
		}
		return at, values
	}
}

// TestPeersProperties: the order of members, the unit of the values and a
// restart change nothing.
func TestPeersProperties(t *testing.T) {
	for _, transform := range []string{TransformNone, TransformLog} {
		adapt := func(o *PeersOptions) { o.Transform = transform }
		plain, shuffled, scaled := newTeam(t, "1 per 7d", minute, adapt), newTeam(t, "1 per 7d", minute, adapt), newTeam(t, "1 per 7d", minute, adapt)
		restarted := newTeam(t, "1 per 7d", minute, adapt)
		next, r := comings(1, 300), rand.New(rand.NewPCG(7, 7))
		factor, shift := 1e-3, 50.0
		if transform == TransformLog {
			shift = 0
		}
		for i := range 3 * 1440 {
			at, values := next()
			want := plain.observe(at, values...)
			other := slices.Clone(values)
			for k := range other {
				other[k] = factor*other[k] + shift
			}
			inUnit := scaled.observe(at, other...)
			for len(shuffled.refs) < len(values) {
				shuffled.refs = append(shuffled.refs, shuffled.Add())
			}
			order := r.Perm(len(values))
			mixed := make([]Member, len(values))
			for k, place := range order {
				mixed[place] = Member{Ref: shuffled.refs[k], Value: values[k]}
			}
			shuffled.ObserveGroup(at, mixed)
			if i%1000 == 999 { // to another bank, each state with another reference
				again := newTeam(t, "1 per 7d", minute, adapt)
				again.Add()
				for _, ref := range restarted.refs {
					to := again.Add()
					if err := again.SetState(to, restarted.AppendState(nil, ref)); err != nil {
						t.Fatal(err)
					}
					again.refs = append(again.refs, to)
				}
				restarted = again
			}
			after := restarted.observe(at, values...)
			for k := range want {
				w := want[k].Verdict
				if got := mixed[order[k]].Verdict; !sameVerdict(got, w) {
					t.Fatalf("%s, sample %d, member %d in another order: got %+v, want %+v", transform, i, k, got, w)
				}
				if got := after[k].Verdict; !sameVerdict(got, w) {
					t.Fatalf("%s, sample %d, member %d after restarts: got %+v, want %+v", transform, i, k, got, w)
				}
				if got := inUnit[k].Verdict; !near(got.Score, w.Score, 1e-3) || !near(got.Expected, factor*w.Expected+shift, 1e-9) {
					t.Fatalf("%s, sample %d, member %d in another unit: got %+v, want %+v", transform, i, k, got, w)
				}
			}
		}
	}
}

// FuzzPeers decodes hostile fields under a right checksum, and goes on observing.
func FuzzPeers(f *testing.F) {
	make4 := func(t testing.TB) *team {
		g := newTeam(t, "1 per 30d", minute)
		p := newPods(1, 4, "gauss")
		for range 300 {
			at, values := p.next()
			g.observe(at, values...)
		}
		return g
	}
	g := make4(f)
	f.Add(g.AppendState(nil, g.refs[0]), int64(start+4e8), int64(60_000), 5.0, 1e30)
	g.Hold(g.refs[1], start)
	f.Add(g.AppendState(nil, g.refs[1]), int64(-4e8), int64(1<<40), -1e37, math.NaN())
	f.Fuzz(func(t *testing.T, state []byte, at, dt int64, x, y float64) {
		if len(state) > 4 {
			state = bytes.Clone(state)
			body := len(state) - 4
			binary.LittleEndian.PutUint32(state[body:], crc32.Checksum(state[:body], crc32.MakeTable(crc32.Castagnoli)))
		}
		g := make4(t)
		if g.SetState(g.refs[2], state) != nil {
			return
		}
		for i := range int64(60) {
			for k, m := range g.observe(at+i*dt, x, y, x*float64(i%5), x+y, 1) {
				v := m.Verdict
				if math.IsInf(v.Score, 0) || v.Lower > v.Expected || v.Upper < v.Expected {
					t.Fatalf("sample %d, member %d: %+v", i, k, v)
				}
			}
			switch i {
			case 30:
				g.Hold(g.refs[2], at)
			case 40:
				g.Release(g.refs[2], x > y)
			}
		}
		for k, ref := range g.refs {
			if err := g.SetState(ref, g.AppendState(nil, ref)); err != nil {
				t.Fatalf("member %d: own state refused: %v", k, err)
			}
		}
	})
}

// TestPeersHostile changes fields of good states under a right checksum.
func TestPeersHostile(t *testing.T) {
	g := newTeam(t, "1 per 30d", minute)
	p := newPods(1, 4, "gauss")
	for range 300 {
		at, values := p.next()
		g.observe(at, values...)
	}
	good := g.AppendState(nil, g.refs[0])
	r := rand.New(rand.NewPCG(1, 1))
	taken := 0
	for range 5000 {
		x := bytes.Clone(good)
		for range 1 + r.IntN(4) {
			x[headerLen+len("peers")+12+r.IntN(len(x)-headerLen-len("peers")-16)] = byte(r.Uint32())
		}
		body := len(x) - 4
		binary.LittleEndian.PutUint32(x[body:], crc32.Checksum(x[:body], crc32.MakeTable(crc32.Castagnoli)))
		if g.SetState(g.refs[r.IntN(4)], x) != nil {
			continue
		}
		taken++
		at := int64(r.Uint64()) >> r.IntN(30)
		for i := range int64(10) {
			for k, m := range g.observe(at+i*60_000, r.NormFloat64(), 3, r.NormFloat64()*100, 1e37*r.NormFloat64(), 4) {
				if math.IsInf(m.Verdict.Score, 0) {
					t.Fatalf("member %d: %+v", k, m.Verdict)
				}
			}
		}
		for k, ref := range g.refs {
			if err := g.SetState(ref, g.AppendState(nil, ref)); err != nil {
				t.Fatalf("member %d: own state refused: %v", k, err)
			}
		}
	}
	if taken < 500 {
		t.Errorf("only %d changed states were taken; the test tests nothing", taken)
	}
}

func TestPeersOptions(t *testing.T) {
	bad := &PeersOptions{Window: 0, Habit: -time.Hour, Scale: 1 << 62, Transform: "sqrt"}
	for _, want := range []string{"window is 0s", "habit is -1h", "scale is", `transform is "sqrt"`} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
	o := Peers.Options().(*PeersOptions)
	o.Window = o.Habit
	if err := o.Validate(); err == nil || err.Error() != "window must be shorter than habit" {
		t.Errorf("a window as long as the habit: error %v", err)
	}
	g := newTeam(t, "1 per 30d", minute)
	if size := g.StateSize(); size > 512 {
		t.Errorf("a state takes %d bytes, want at most 512", size)
	}
}
