package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// What detection rules have learnt, in frames of bytes that the caller keeps in
// order and whole, with a checksum of its own. A frame is, in varints and
// little endian:
//
//	version, key of the rule (length, bytes),
//	groups of `by`: number, then hash, usual, seen of each,
//	series: number, then labels, times, flags and the detector's state of each
//
// A rule with many series has several frames of the same key.
const (
	frameVersion = 2
	// frameSeries is how many series are in a frame at most.
	frameSeries = 1000
)

// Flags of a series in a frame.
const (
	flagDeparting = 1 << iota
	flagAnomalous
	flagHeld
	flagAccept
	flagJoining
)

// Snapshot hands over what the detection rules have learnt, group by group,
// each between two of its evaluations. The frames are the receiver's.
func (m *Manager) Snapshot(receive func(frame []byte) error) error {
	for _, g := range m.Groups() {
		for _, d := range g.detections {
			for _, frame := range g.frames(d) {
				if err := receive(frame); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *Group) frames(d *Detection) [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.states == nil {
		return nil
	}
	return d.states.frames(d.stateKey())
}

func (st *states) frames(key string) (out [][]byte) {
	for first := 0; ; first += frameSeries {
		part := st.sorted[first:min(first+frameSeries, len(st.sorted))]
		w := frameWriter{b: make([]byte, 0, 64+len(key)+len(part)*(st.bank.StateSize()+256))}
		w.uint(frameVersion)
		w.text(key)
		if first == 0 {
			w.uint(uint64(len(st.groups)))
			for _, hash := range slices.Sorted(maps.Keys(st.groups)) {
				g := st.groups[hash]
				w.uint(hash)
				w.uint(math.Float64bits(g.usual))
				w.int(g.seen)
			}
		} else {
			w.uint(0)
		}
		w.uint(uint64(len(part)))
		for _, s := range part {
			w.series(s)
			w.state = st.bank.AppendState(w.state[:0], s.ref)
			w.text(string(w.state))
		}
		out = append(out, w.b)
		if first+frameSeries >= len(st.sorted) {
			return out
		}
	}
}

// Restore gives the detection rules what frames say, all or nothing: on an
// error nothing has changed. It is an error when a rule of the manager is not
// among them. Rules that are no longer there are left out. Nothing may be
// evaluated meanwhile.
func (m *Manager) Restore(frames iter.Seq2[[]byte, error]) error {
	rules := map[string]*Detection{}
	for _, g := range m.Groups() {
		for _, d := range g.detections {
			rules[d.stateKey()] = d
		}
	}
	learnt := map[string]*states{}
	for frame, err := range frames {
		if err != nil {
			return err
		}
		r := frameReader{b: frame}
		if v := r.uint(); r.err == nil && v != frameVersion {
			return fmt.Errorf("frame of version %d: only %d is known", v, frameVersion)
		}
		key := r.text()
		d := rules[key]
		if r.err == nil && d == nil {
			continue
		}
		if r.err == nil && learnt[key] == nil {
			bank, err := d.bank()
			if err != nil {
				return err
			}
			learnt[key] = newStates(bank)
		}
		if r.err == nil {
			learnt[key].read(&r)
		}
		if r.err != nil {
			return fmt.Errorf("what rule %q learnt: %w", shortKey(key), r.err)
		}
	}
	for key, d := range rules {
		if learnt[key] == nil {
			return fmt.Errorf("nothing of detection rule %q", d.Name())
		}
	}
	for key, d := range rules {
		d.give(learnt[key])
	}
	return nil
}

func shortKey(key string) string {
	if len(key) > 60 {
		return key[:60] + "…"
	}
	return key
}

// read adds what a frame holds.
func (st *states) read(r *frameReader) {
	st.round = 1 // none of them is in the present result
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		hash := r.uint()
		g := &group{usual: math.Float64frombits(r.uint()), seen: r.int()}
		if st.groups == nil {
			st.groups = map[uint64]*group{}
		}
		st.groups[hash] = g
	}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		s := r.series()
		state := r.bytes()
		hash := s.input.Hash()
		if r.err == nil && st.find(s.input, hash) != nil {
			r.err = fmt.Errorf("series %s is there twice", s.input)
		}
		if r.err != nil {
			return
		}
		s.ref = st.bank.Add()
		if err := st.bank.SetState(s.ref, state); err != nil {
			r.err = fmt.Errorf("series %s: %w", s.input, err)
			return
		}
		s.next, st.byHash[hash] = st.byHash[hash], s
		st.sorted = append(st.sorted, s)
		if s.held {
			st.heldCount++
		}
		if s.joining {
			st.joining++
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.b))
	}
}

// frameWriter appends to b.
type frameWriter struct{ b, state []byte }

func (w *frameWriter) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *frameWriter) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }

func (w *frameWriter) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *frameWriter) series(s *series) {
	w.uint(uint64(s.input.Len()))
	s.input.Range(func(l labels.Label) {
		w.text(l.Name)
		w.text(l.Value)
	})
	w.int(s.seen)
	w.int(s.told)
	w.int(s.since)
	w.int(s.born)
	w.int(s.root)
	w.uint(uint64(s.young))
	w.uint(bit(s.departing, flagDeparting) | bit(s.anomalous, flagAnomalous) | bit(s.held, flagHeld) | bit(s.accept, flagAccept) | bit(s.joining, flagJoining))
}

func bit(on bool, flag uint64) uint64 {
	if on {
		return flag
	}
	return 0
}

// frameReader takes from b; after an error everything is zero.
type frameReader struct {
	b   []byte
	err error
}

var errFrameEnds = errors.New("the bytes end early")

func (r *frameReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	return number(r, v, n)
}

func (r *frameReader) int() int64 {
	v, n := binary.Varint(r.b)
	return number(r, v, n)
}

func number[T int64 | uint64](r *frameReader, v T, n int) T {
	if r.err == nil && n <= 0 {
		r.err = errFrameEnds
	}
	if r.err != nil {
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes are valid as long as the frame is.
func (r *frameReader) bytes() []byte {
	n := r.uint()
	if r.err == nil && n > uint64(len(r.b)) {
		r.err = errFrameEnds
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *frameReader) text() string { return string(r.bytes()) }

func (r *frameReader) series() *series {
	b := labels.NewScratchBuilder(8)
	before := ""
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		name, value := r.text(), r.text()
		if r.err == nil && name <= before {
			r.err = fmt.Errorf("label %q is out of order", shortKey(name))
		}
		before = name
		b.Add(name, value)
	}
	s := &series{input: b.Labels(), seen: r.int(), told: r.int(), since: r.int()}
	s.descent = descent{born: r.int(), root: r.int(), young: uint8(min(r.uint(), joinSamples))}
	flags := r.uint()
	s.departing, s.anomalous, s.held, s.accept = flags&flagDeparting != 0, flags&flagAnomalous != 0, flags&flagHeld != 0, flags&flagAccept != 0
	s.joining = flags&flagJoining != 0
	return s
}
