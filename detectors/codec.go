package detectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"math"
	"reflect"
	"unsafe"
)

// An encoded state is, in little endian:
//
//	magic "FSdt", format version (1 byte), length of the name (1 byte), name,
//	hash of layout and options (8 bytes), length of the fields (4 bytes),
//	fields in declaration order without padding, CRC-32C of all before (4 bytes)
const (
	stateMagic   = "FSdt"
	stateVersion = 1
	headerLen    = len(stateMagic) + 2
	maxStateSize = 1 << 20
)

// A run is a number of equal basic values that follow each other in memory.
type run struct {
	offset uintptr
	count  int
	width  int
	kind   reflect.Kind
}

// codec reads and writes the fields of S by a plan made once by reflection.
type codec[S any] struct {
	name  string
	shape uint64
	runs  []run
	size  int // encoded fields, bytes
	crc   *crc32.Table
}

func newCodec[S any](name string, shape uint64) (*codec[S], error) {
	if name == "" || len(name) > 255 {
		return nil, fmt.Errorf("detector %q: the name must have 1 to 255 bytes", shorten(name))
	}
	c := &codec[S]{name: name, crc: crc32.MakeTable(crc32.Castagnoli)}
	t := reflect.TypeFor[S]()
	if t.Size() > maxStateSize {
		return nil, fmt.Errorf("detector %s: state %v takes %d bytes; the most is %d", name, t, t.Size(), maxStateSize)
	}
	if err := c.plan(t, t.String(), 0); err != nil {
		return nil, fmt.Errorf("detector %s: %w", name, err)
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d", shape)
	for _, r := range c.runs {
		fmt.Fprintf(h, " %v*%d", r.kind, r.count)
		c.size += r.count * r.width
	}
	c.shape = h.Sum64()
	return c, nil
}

// plan lists the basic values of t, which lies at offset and is called path.
func (c *codec[S]) plan(t reflect.Type, path string, offset uintptr) error {
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		width := int(t.Size())
		if n := len(c.runs); n > 0 {
			last := &c.runs[n-1]
			if last.kind == t.Kind() && last.offset+uintptr(last.count*last.width) == offset {
				last.count++
				return nil
			}
		}
		c.runs = append(c.runs, run{offset: offset, count: 1, width: width, kind: t.Kind()})
		return nil
	case reflect.Array:
		for i := range t.Len() {
			if err := c.plan(t.Elem(), fmt.Sprintf("%s[%d]", path, i), offset+uintptr(i)*t.Elem().Size()); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if err := c.plan(f.Type, path+"."+f.Name, offset+f.Offset); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("state field %s is a %v; a state holds booleans, sized integers, floats, and arrays and structs of them only", path, t)
}

// length is that of an encoded state.
func (c *codec[S]) length() int { return headerLen + len(c.name) + 8 + 4 + c.size + 4 }

func (c *codec[S]) append(b []byte, s *S) []byte {
	start := len(b)
	b = append(b, stateMagic...)
	b = append(b, stateVersion, byte(len(c.name)))
	b = append(b, c.name...)
	b = binary.LittleEndian.AppendUint64(b, c.shape)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.size))
	for _, r := range c.runs {
		for i := range r.count {
			p := unsafe.Add(unsafe.Pointer(s), r.offset+uintptr(i*r.width)) // never past the end
			switch r.width {
			case 1:
				b = append(b, *(*uint8)(p))
			case 2:
				b = binary.LittleEndian.AppendUint16(b, *(*uint16)(p))
			case 4:
				b = binary.LittleEndian.AppendUint32(b, *(*uint32)(p))
			case 8:
				b = binary.LittleEndian.AppendUint64(b, *(*uint64)(p))
			}
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], c.crc))
}

// decode fills s, which is the caller's scratch: it may be half filled on an
// error.
func (c *codec[S]) decode(s *S, b []byte) error {
	fields, err := c.open(b)
	if err != nil {
		return fmt.Errorf("state of detector %s: %w; learn it again from history", c.name, err)
	}
	for _, r := range c.runs {
		for i := range r.count {
			p := unsafe.Add(unsafe.Pointer(s), r.offset+uintptr(i*r.width)) // never past the end
			ok := true
			switch r.width {
			case 1:
				u := fields[0]
				ok = r.kind != reflect.Bool || u <= 1
				if ok {
					*(*uint8)(p) = u
				}
			case 2:
				*(*uint16)(p) = binary.LittleEndian.Uint16(fields)
			case 4:
				u := binary.LittleEndian.Uint32(fields)
				ok = r.kind != reflect.Float32 || finite(float64(math.Float32frombits(u)))
				*(*uint32)(p) = u
			case 8:
				u := binary.LittleEndian.Uint64(fields)
				ok = r.kind != reflect.Float64 || finite(math.Float64frombits(u))
				*(*uint64)(p) = u
			}
			if !ok {
				return fmt.Errorf("state of detector %s: a %v has an impossible value; learn it again from history", c.name, r.kind)
			}
			fields = fields[r.width:]
		}
	}
	return nil
}

// open checks everything around the fields and returns them.
func (c *codec[S]) open(b []byte) ([]byte, error) {
	if len(b) < headerLen || string(b[:len(stateMagic)]) != stateMagic {
		return nil, errors.New("these bytes are not a detector state")
	}
	if v := b[len(stateMagic)]; v != stateVersion {
		return nil, fmt.Errorf("format version %d, only %d is known", v, stateVersion)
	}
	n := int(b[len(stateMagic)+1])
	if len(b) < headerLen+n {
		return nil, errors.New("the bytes end early")
	}
	if name := string(b[headerLen : headerLen+n]); name != c.name {
		return nil, fmt.Errorf("it belongs to detector %q", name)
	}
	want := c.length()
	if len(b) != want {
		return nil, fmt.Errorf("%d bytes instead of %d", len(b), want)
	}
	sum := binary.LittleEndian.Uint32(b[want-4:])
	if got := crc32.Checksum(b[:want-4], c.crc); got != sum {
		return nil, errors.New("the checksum does not match")
	}
	rest := b[headerLen+n:]
	if binary.LittleEndian.Uint64(rest) != c.shape {
		return nil, errors.New("it was learnt with other options or by another version")
	}
	if binary.LittleEndian.Uint32(rest[8:]) != uint32(c.size) {
		return nil, errors.New("its length is wrong")
	}
	return rest[12 : 12+c.size], nil
}

func finite(x float64) bool { return x-x == 0 }
