package detectors

import (
	"fmt"
	"unsafe"
)

// pageLen is the number of states in a page: large enough that a million
// series are some thousands of allocations, small enough that a rule of one
// series wastes little.
const pageLen = 64

// bank keeps states in pages that never move and hold no pointers.
type bank[S any] struct {
	model Model[S]
	// fast is the model where it writes its verdicts, into verdict.
	fast    fastModel[S]
	verdict Verdict
	codec   *codec[S]
	pages   [][]S
	used    []uint64 // one bit for each Ref
	free    []Ref
	next    Ref  // the lowest Ref never handed out
	group   []*S // scratch of ObserveGroup
}

func (b *bank[S]) Add() Ref {
	var ref Ref
	if n := len(b.free); n > 0 {
		ref = b.free[n-1]
		b.free = b.free[:n-1]
	} else {
		ref = b.next
		b.next++
		if ref%pageLen == 0 {
			b.pages = append(b.pages, make([]S, pageLen))
			b.used = append(b.used, 0)
		}
	}
	b.used[ref/pageLen] |= 1 << (ref % pageLen)
	var fresh S
	b.pages[ref/pageLen][ref%pageLen] = fresh
	return ref
}

func (b *bank[S]) Remove(ref Ref) {
	b.state(ref)
	b.used[ref/pageLen] &^= 1 << (ref % pageLen)
	b.free = append(b.free, ref)
}

func (b *bank[S]) Len() int { return int(b.next) - len(b.free) }

func (b *bank[S]) StateSize() int {
	var s S
	return int(unsafe.Sizeof(s))
}

func (b *bank[S]) Observe(ref Ref, t int64, v float64) Verdict {
	if b.fast != nil {
		b.fast.observe(b.state(ref), t, v, &b.verdict)
		// Field by field, as it was written: a copy of the whole is made of wider
		// loads, which have to wait for those stores.
		v := &b.verdict
		return Verdict{
			Value: v.Value, Expected: v.Expected, Lower: v.Lower, Upper: v.Upper, Score: v.Score,
			Onset: v.Onset, Earliest: v.Earliest, Latest: v.Latest,
			Learnt: v.Learnt, Kind: v.Kind, Silence: v.Silence, Up: v.Up, Doubts: v.Doubts,
		}
	}
	return b.model.Observe(b.state(ref), t, v)
}

// A fastModel writes its verdict before it learns, into memory of the bank.
type fastModel[S any] interface {
	observe(s *S, t int64, v float64, out *Verdict)
}

func (b *bank[S]) Hold(ref Ref, since int64) { b.model.Hold(b.state(ref), since) }

func (b *bank[S]) Release(ref Ref, accept bool) { b.model.Release(b.state(ref), accept) }

func (b *bank[S]) AppendState(dst []byte, ref Ref) []byte {
	return b.codec.append(dst, b.state(ref))
}

func (b *bank[S]) SetState(ref Ref, src []byte) error {
	s := b.state(ref)
	var decoded S
	if err := b.codec.decode(&decoded, src); err != nil {
		return err
	}
	if c, ok := b.model.(Checker[S]); ok {
		if err := c.Check(&decoded); err != nil {
			return fmt.Errorf("state of detector %s: %w; learn it again from history", b.codec.name, err)
		}
	}
	*s = decoded
	return nil
}

// state panics on a Ref that is not in use: going on would mix two series.
func (b *bank[S]) state(ref Ref) *S {
	page := int(ref / pageLen)
	if page >= len(b.pages) || b.used[page]&(1<<(ref%pageLen)) == 0 {
		b.unused(ref)
	}
	return &b.pages[page][ref%pageLen]
}

func (b *bank[S]) unused(ref Ref) {
	panic(fmt.Sprintf("detectors: ref %d of a %s bank is not in use", ref, b.codec.name))
}
