package detectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The encoding of a state is that of the mean's own, then for each part its
// length (4 bytes, little endian) and the state as the part encodes it. Each of
// them has a checksum of its own.

// AppendState implements [Bank].
func (b *meanBank) AppendState(dst []byte, ref Ref) []byte {
	dst = b.own.AppendState(dst, ref)
	for i, r := range b.of(ref) {
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = b.parts[i].AppendState(dst, r)
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// SetState implements [Bank].
func (b *meanBank) SetState(ref Ref, src []byte) error {
	if err := b.setState(ref, src); err != nil {
		return fmt.Errorf("%w; a mean is learnt again as a whole", err)
	}
	return nil
}

// setState decodes into states of its own, so that on an error nothing changes.
func (b *meanBank) setState(ref Ref, src []byte) error {
	old := b.of(ref)
	n := b.own.codec.length()
	if len(src) < n {
		return errors.New("state of detector " + b.own.codec.name + ": the bytes end early")
	}
	fresh := b.own.Add()
	defer b.own.Remove(fresh)
	if err := b.own.SetState(fresh, src[:n]); err != nil {
		return err
	}
	src = src[n:]
	decoded := make([]Ref, 0, maxParts)
	drop := func() {
		for i, r := range decoded {
			b.parts[i].Remove(r)
		}
	}
	for i, p := range b.parts {
		if len(src) < 4 || uint64(len(src)-4) < uint64(binary.LittleEndian.Uint32(src)) {
			drop()
			return fmt.Errorf("state of detector %s: the bytes end early, in part %d", b.own.codec.name, i+1)
		}
		n := int(binary.LittleEndian.Uint32(src))
		decoded = append(decoded, p.Add())
		if err := p.SetState(decoded[i], src[4:4+n]); err != nil {
			drop()
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		src = src[4+n:]
	}
	if len(src) > 0 {
		drop()
		return fmt.Errorf("state of detector %s: %d bytes follow it", b.own.codec.name, len(src))
	}
	for i, r := range old {
		b.parts[i].Remove(r)
	}
	copy(old, decoded)
	*b.own.state(ref) = *b.own.state(fresh)
	return nil
}

// meanModel checks what a mean keeps for itself; the rest is its parts' work.
type meanModel struct{}

func (meanModel) Observe(*meanState, int64, float64) Verdict {
	nan := math.NaN()
	return Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan}
}

func (meanModel) Hold(*meanState, int64) {}

func (meanModel) Release(*meanState, bool) {}

// Check implements [Checker].
func (meanModel) Check(s *meanState) error {
	if s.onset < -maxTime || s.onset > maxTime {
		return errors.New("its onset is out of range")
	}
	return nil
}
