package detectors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"
)

func TestCatalogue(t *testing.T) {
	all := All()
	if !sort.SliceIsSorted(all, func(i, j int) bool { return all[i].Name < all[j].Name }) {
		t.Error("All is not sorted by name")
	}
	for _, d := range all {
		if got, ok := Lookup(d.Name); !ok || got.Name != d.Name {
			t.Errorf("Lookup(%q) = %q, %v", d.Name, got.Name, ok)
		}
		if d.Doc == "" || strings.Contains(strings.SplitN(d.Doc, "\n", 2)[0], "\t") {
			t.Errorf("%s: the documentation has no title", d.Name)
		}
		if err := d.Options().Validate(); err != nil {
			t.Errorf("%s: the defaults are refused: %v", d.Name, err)
		}
		most := 1024
		if d.Name == Edge.Name {
			most += 16 // a residual's, and the usual traffic
		}
		if size := newBank(t, d, "1 per 30d", time.Minute).StateSize(); size > most {
			t.Errorf("%s: a state takes %d bytes, want at most %d", d.Name, size, most)
		}
	}
	if _, ok := Lookup("no such"); ok {
		t.Error(`Lookup("no such") found something`)
	}
}

func TestNewErrors(t *testing.T) {
	good := Conditions{Budget: DefaultBudget(), Step: time.Minute}
	for _, c := range []struct {
		name string
		opts Options
		cond Conditions
		want string
	}{
		{"options of another detector", LevelShift.Options(), good, "options are a *detectors.LevelShiftOptions"},
		{"no step", Spike.Options(), Conditions{Budget: DefaultBudget()}, "the step is 0s"},
		{"no budget", Spike.Options(), Conditions{Step: time.Minute}, "false-alarm budget"},
	} {
		if _, err := Spike.New(c.opts, c.cond); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to contain %q", c.name, err, c.want)
		}
	}
	bad := &SpikeOptions{Slots: 7, ProfileAlpha: 2, Level: 0, Scale: -1, Transform: "sqrt"}
	for _, want := range []string{"slots is 7; it must be between 24 and 96", "profile_alpha is 2", "level is 0s", "scale is", `transform is "sqrt"`} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: error %v, want it to contain %q", err, want)
		}
	}
	shift := LevelShift.Options().(*LevelShiftOptions)
	shift.Window = shift.Level
	if err := shift.Validate(); err == nil || !strings.Contains(err.Error(), "window must be shorter than level") {
		t.Errorf("window as long as level: error %v", err)
	}
}

func TestBankRefs(t *testing.T) {
	b := newBank(t, Spike, "1 per 30d", time.Minute)
	var refs []Ref
	for i := range 3 * pageLen {
		ref := b.Add()
		if ref != Ref(i) {
			t.Fatalf("Add %d = %d; refs must be dense", i, ref)
		}
		refs = append(refs, ref)
	}
	b.Observe(refs[5], start, 1)
	b.Remove(refs[5])
	if b.Len() != 3*pageLen-1 {
		t.Errorf("Len after Remove = %d, want %d", b.Len(), 3*pageLen-1)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Observe of a removed ref did not panic")
			}
		}()
		b.Observe(refs[5], start, 1)
	}()
	if again := b.Add(); again != refs[5] {
		t.Errorf("Add after Remove = %d, want %d again", again, refs[5])
	}
	if v := b.Observe(refs[5], start-1000, 1); v.Learnt != 0 || !math.IsNaN(v.Score) {
		t.Errorf("a reused state is not fresh: %+v", v)
	}
	if allocs := testing.AllocsPerRun(100, func() { b.Observe(refs[7], start, 3) }); allocs != 0 {
		t.Errorf("Observe allocates %v times", allocs)
	}
}

func TestStateRoundTrip(t *testing.T) {
	for _, d := range All() {
		s := series(3*1440, time.Minute, daily(3, 100, 30, 5))
		whole := judge(t, d, "1 per 7d", time.Minute, s)
		for _, cut := range []int{0, 1, 2, 11, 1000, 2 * 1440} {
			a := newBank(t, d, "1 per 7d", time.Minute)
			ra := a.Add()
			play(a, ra, s[:cut])
			state := a.AppendState([]byte("kept"), ra)
			b := newBank(t, d, "1 per 30d", time.Minute) // another budget keeps its states
			rb := b.Add()
			b.Add()
			if err := b.SetState(rb, state[4:]); err != nil {
				t.Fatalf("%s: SetState after %d samples: %v", d.Name, cut, err)
			}
			if again := b.AppendState(nil, rb); !bytes.Equal(again, state[4:]) {
				t.Errorf("%s: encoding changes over a round trip after %d samples", d.Name, cut)
			}
			c := newBank(t, d, "1 per 7d", time.Minute)
			rc := c.Add()
			if err := c.SetState(rc, state[4:]); err != nil {
				t.Fatal(err)
			}
			for i, v := range play(c, rc, s[cut:]) {
				if !sameVerdict(v, whole[cut+i]) {
					t.Fatalf("%s: cut at %d, sample %d: got %+v, want %+v", d.Name, cut, cut+i, v, whole[cut+i])
				}
			}
		}
	}
}

// sameVerdict compares bit by bit, NaN equal to NaN.
func sameVerdict(a, b Verdict) bool {
	same := func(x, y float64) bool { return x == y || (math.IsNaN(x) && math.IsNaN(y)) }
	return same(a.Value, b.Value) && same(a.Expected, b.Expected) && same(a.Lower, b.Lower) && same(a.Upper, b.Upper) &&
		same(a.Score, b.Score) && a.Onset == b.Onset && a.Learnt == b.Learnt && a.Kind == b.Kind && a.Up == b.Up && a.Doubts == b.Doubts
}

func TestSetStateErrors(t *testing.T) {
	b := newBank(t, Spike, "1 per 7d", time.Minute)
	ref := b.Add()
	play(b, ref, series(500, time.Minute, noise(1, 10, 1)))
	good := b.AppendState(nil, ref)
	change := func(f func(x []byte)) []byte {
		x := bytes.Clone(good)
		f(x)
		body := len(x) - 4
		binary.LittleEndian.PutUint32(x[body:], crc32.Checksum(x[:body], crc32.MakeTable(crc32.Castagnoli)))
		return x
	}
	shift := newBank(t, LevelShift, "1 per 7d", time.Minute)
	other := newBank(t, Spike, "1 per 7d", time.Hour)
	fields := headerLen + len("spike") + 12
	for _, c := range []struct {
		name  string
		state []byte
		want  string
	}{
		{"empty", nil, "not a detector state"},
		{"foreign", []byte("hello, world"), "not a detector state"},
		{"torn", good[:len(good)-1], "bytes instead of"},
		{"header only", good[:8], "end early"},
		{"flipped bit", func() []byte { x := bytes.Clone(good); x[100] ^= 4; return x }(), "checksum"},
		{"version", change(func(x []byte) { x[4] = 9 }), "format version 9"},
		{"shape", change(func(x []byte) { x[headerLen+5]++ }), "other options"},
		{"another detector", shift.AppendState(nil, shift.Add()), `belongs to detector "level_shift"`},
		{"another step", other.AppendState(nil, other.Add()), "other options"},
		{"not finite", change(func(x []byte) {
			binary.LittleEndian.PutUint64(x[fields+16:], math.Float64bits(math.NaN()))
		}), "impossible value"},
		{"times", change(func(x []byte) { binary.LittleEndian.PutUint64(x[fields:], math.MaxInt64) }), "out of range"},
	} {
		if err := b.SetState(ref, c.state); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to contain %q", c.name, err, c.want)
		}
		if !bytes.Equal(b.AppendState(nil, ref), good) {
			t.Fatalf("%s: the state changed", c.name)
		}
	}
}

// FuzzState decodes hostile fields under a right header and checksum, so that
// the fuzzer gets past them, and goes on observing.
func FuzzState(f *testing.F) {
	for _, d := range All() {
		b, err := d.New(d.Options(), Conditions{Budget: DefaultBudget(), Step: time.Minute})
		if err != nil {
			f.Fatal(err)
		}
		ref := b.Add()
		play(b, ref, series(2000, time.Minute, noise(1, 10, 1)))
		f.Add(b.AppendState(nil, ref), int64(start), 5.0, false)
		b.Hold(ref, start)
		f.Add(b.AppendState(nil, ref), int64(start+1e9), 500.0, true)
	}
	f.Fuzz(func(t *testing.T, state []byte, at int64, v float64, sealed bool) {
		if sealed && len(state) > 4 {
			state = bytes.Clone(state)
			body := len(state) - 4
			binary.LittleEndian.PutUint32(state[body:], crc32.Checksum(state[:body], crc32.MakeTable(crc32.Castagnoli)))
		}
		for _, d := range All() {
			b, err := d.New(d.Options(), Conditions{Budget: DefaultBudget(), Step: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			ref := b.Add()
			if b.SetState(ref, state) != nil {
				continue
			}
			for i := range int64(50) {
				b.Observe(ref, at+i*60_000, v*float64(i%7))
			}
			b.Hold(ref, at)
			b.Observe(ref, at+51*60_000, v)
			b.Release(ref, at%2 == 0)
			b.Observe(ref, at+9e7, -v)
		}
	})
}

// TestHostileFields changes fields of a good state under a right checksum.
func TestHostileFields(t *testing.T) {
	for _, d := range All() {
		b := newBank(t, d, "1 per 30d", time.Minute)
		ref := b.Add()
		play(b, ref, series(2000, time.Minute, noise(1, 10, 1)))
		good := b.AppendState(nil, ref)
		r := rand.New(rand.NewPCG(1, 1))
		taken := 0
		for range 20_000 {
			x := bytes.Clone(good)
			for range 1 + r.IntN(4) {
				x[headerLen+len(d.Name)+12+r.IntN(len(x)-headerLen-len(d.Name)-16)] = byte(r.Uint32())
			}
			body := len(x) - 4
			binary.LittleEndian.PutUint32(x[body:], crc32.Checksum(x[:body], crc32.MakeTable(crc32.Castagnoli)))
			if b.SetState(ref, x) != nil {
				continue
			}
			taken++
			at := int64(r.Uint64()) >> r.IntN(30)
			for i := range int64(20) {
				if v := b.Observe(ref, at+i*60_000, r.NormFloat64()*100); math.IsInf(v.Score, 0) {
					t.Fatalf("%s: %+v", d.Name, v)
				}
			}
			b.Hold(ref, at)
			b.Observe(ref, at+21*60_000, 5)
			b.Release(ref, at%2 == 0)
			b.Observe(ref, at+9e7, -3)
		}
		if taken < 1000 {
			t.Errorf("%s: only %d changed states were taken; the test tests nothing", d.Name, taken)
		}
	}
}

// FuzzObserve checks that every input leaves a state that can be stored.
func FuzzObserve(f *testing.F) {
	f.Add(int64(60_000), 1.0, 2.0, 1e9)
	f.Add(int64(1), 1e300, -1e300, 0.0)
	f.Add(int64(-5), math.Inf(1), math.NaN(), 1e-320)
	f.Add(int64(1<<50), 1e37, -1e37, 5.0)
	f.Add(int64(1<<50), 1.26e39, -1.7e36, -88.0) // times between samples that no sum holds
	f.Fuzz(func(t *testing.T, dt int64, x, y, z float64) {
		for _, d := range All() {
			for _, transform := range []string{TransformNone, TransformLog} {
				opts := d.Options()
				setTransform(opts, transform)
				b, err := d.New(opts, Conditions{Budget: DefaultBudget(), Step: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				ref := b.Add()
				at := int64(start)
				for i := range 60 {
					at += dt
					v := b.Observe(ref, at, [...]float64{x, y, x, z}[i%4])
					if math.IsInf(v.Score, 0) || v.Lower > v.Expected || v.Upper < v.Expected {
						t.Fatalf("%s: sample %d: %+v", d.Name, i, v)
					}
					switch i {
					case 40:
						b.Hold(ref, at-dt)
					case 50:
						b.Release(ref, x > y)
					}
				}
				if err := b.SetState(ref, b.AppendState(nil, ref)); err != nil {
					t.Fatalf("%s: own state refused: %v", d.Name, err)
				}
			}
		}
	})
}

func setTransform(o Options, name string) {
	switch o := o.(type) {
	case *SpikeOptions:
		o.Transform = name
	case *LevelShiftOptions:
		o.Transform = name
	}
}

// A user's own detector: a limit that is learnt as the largest value so far.
type recordState struct {
	Max  float64
	Last int64
	Seen bool
	Held bool
}

type recordOptions struct {
	Factor float64 `yaml:"factor"`
}

func (o *recordOptions) Validate() error {
	if o.Factor <= 0 {
		return errors.New("factor must be positive")
	}
	return nil
}

type recordModel struct{ factor float64 }

func (m recordModel) Observe(s *recordState, t int64, v float64) Verdict {
	out := Verdict{Value: v, Expected: s.Max, Upper: s.Max * m.factor}
	if s.Seen && v > out.Upper {
		out.Score = 1
	}
	if !s.Held {
		s.Max, s.Last, s.Seen = max(s.Max, v), t, true
	}
	return out
}

func (m recordModel) Hold(s *recordState, _ int64) { s.Held = true }

func (m recordModel) Release(s *recordState, _ bool) { s.Held = false }

var record = Define("record", "New records.",
	func() *recordOptions { return &recordOptions{Factor: 2} },
	func(o *recordOptions, _ Conditions) (Model[recordState], error) { return recordModel{o.Factor}, nil })

func TestDefine(t *testing.T) {
	b := newBank(t, record, "1 per 30d", time.Minute)
	ref := b.Add()
	b.Observe(ref, 1, 10)
	b.Hold(ref, 1)
	if v := b.Observe(ref, 2, 30); v.Score != 1 {
		t.Errorf("a record scores %v, want 1", v.Score)
	}
	other := newBank(t, record, "1 per 30d", time.Minute)
	to := other.Add()
	if err := other.SetState(to, b.AppendState(nil, ref)); err != nil {
		t.Fatal(err)
	}
	if v := other.Observe(to, 3, 30); v.Expected != 10 || v.Score != 1 {
		t.Errorf("after a round trip expected is %v with score %v, want 10 and 1", v.Expected, v.Score)
	}
}

type pointerModel[S any] struct{}

func (pointerModel[S]) Observe(*S, int64, float64) Verdict { return Verdict{} }
func (pointerModel[S]) Hold(*S, int64)                     {}
func (pointerModel[S]) Release(*S, bool)                   {}

func TestDefineRefusesPointers(t *testing.T) {
	type inner struct{ Names [2]string }
	type state struct {
		A float64
		B [3]inner
	}
	d := Define("bad", "Bad.", func() *recordOptions { return &recordOptions{Factor: 1} },
		func(*recordOptions, Conditions) (Model[state], error) { return pointerModel[state]{}, nil })
	_, err := d.New(d.Options(), Conditions{Budget: DefaultBudget(), Step: time.Minute})
	if err == nil || !strings.Contains(err.Error(), ".B[0].Names[0] is a string") {
		t.Errorf("a state with strings: error %v, want one that names the field", err)
	}
}

// TestVerdictWhole: a bank passes on every field that a model writes.
func TestVerdictWhole(t *testing.T) {
	want := Verdict{1, 2, 3, 4, 5, 6, 7, 8, 9, KindTrend, SilenceKind(2), true, DoubtHeld}
	for i, v := 0, reflect.ValueOf(want); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("field %s is not tried", v.Type().Field(i).Name)
		}
	}
	b := &bank[recordState]{fast: sayer{want}, codec: &codec[recordState]{}}
	if got := b.Observe(b.Add(), 1, 1); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// sayer is a fastModel that always says the same.
type sayer struct{ Verdict }

func (s sayer) observe(_ *recordState, _ int64, _ float64, out *Verdict) { *out = s.Verdict }
