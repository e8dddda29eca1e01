package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"

	"github.com/prometheus/prometheus/model/labels"
)

// Load takes over what a replay with the same [WindowsOptions.Key] saved in a
// directory. It comes before the first query. Where it fails, nothing is taken
// over and all is asked anew, so the error is for the log: errors.Is(err,
// fs.ErrNotExist) where nothing was saved; otherwise the file is not one of
// saved windows, of another version, torn or damaged, and the next
// [Windows.Save] replaces it.
func (w *Windows) Load(dir string) error {
	if w.o.Key == "" {
		return errors.New("windows are loaded with a key only")
	}
	path := savedPath(dir, w.o.Key)
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("saved windows: %w", err)
	}
	defer f.Close()
	if err := w.load(f); err != nil {
		return fmt.Errorf("saved windows %s cannot be used: %w: all is asked anew", path, err)
	}
	return nil
}

func (w *Windows) load(from io.Reader) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.keys) > 0 {
		return errors.New("the replay has begun")
	}
	l := &savedReader{w: w, in: bufio.NewReaderSize(from, 1<<20)}
	err := l.all()
	for _, t := range l.tables {
		w.tables.drop(t) // the spans hold their own
	}
	if err != nil {
		w.forget()
		return err
	}
	w.stats.Loaded = l.steps
	return nil
}

// savedReader reads the records of saved windows.
type savedReader struct {
	w       *Windows
	in      *bufio.Reader
	crc     uint32
	content []byte // of the record

	sets   []labels.Labels
	tables []*labelTable
	window *window
	spans  uint64
	steps  int
}

var (
	errTorn     = errors.New("the file is torn: it ends before its end")
	errDamaged  = errors.New("the file is damaged")
	errNotSaved = errors.New("the file does not hold saved windows of this version")
	errOtherKey = errors.New("the file belongs to another source")
)

func (l *savedReader) all() error {
	magic := make([]byte, len(savedMagic))
	if _, err := io.ReadFull(l.in, magic); err != nil || string(magic) != savedMagic {
		return errNotSaved
	}
	l.crc = crc32.Update(0, crcTable, magic)
	for n := 0; ; n++ {
		kind, err := l.next()
		if err != nil {
			return err
		}
		if (n == 0) != (kind == recordKey) {
			return fmt.Errorf("%w: record %d has type %q", errDamaged, n, kind)
		}
		c := content{b: l.content}
		switch kind {
		case recordKey:
			if string(l.content) != l.w.o.Key {
				return errOtherKey
			}
		case recordSet:
			err = l.set(&c)
		case recordTable:
			err = l.table(&c)
		case recordWindow:
			err = l.newWindow(&c)
		case recordSpan:
			err = l.span(&c)
		case recordEnd:
			if c.uvarint() != l.spans || c.bad || len(c.b) > 0 {
				return fmt.Errorf("%w: its end does not fit", errDamaged)
			}
			if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: something comes after its end", errDamaged)
			}
			return nil
		default:
			err = fmt.Errorf("type %q is not known", kind)
		}
		if err != nil {
			return fmt.Errorf("%w: record %d: %w", errDamaged, n, err)
		}
	}
}

// next reads a record and checks its checksum.
func (l *savedReader) next() (kind byte, err error) {
	var head [5]byte
	if err := l.full(head[:]); err != nil {
		return 0, err
	}
	length := binary.LittleEndian.Uint32(head[1:])
	if length > maxRecord {
		return 0, fmt.Errorf("%w: a record of %d bytes", errDamaged, length)
	}
	// In pieces, so that a wrong length asks for no more memory than there is file.
	l.content = l.content[:0]
	for left := int(length); left > 0; {
		n := min(left, 1<<20)
		at := len(l.content)
		l.content = append(l.content, make([]byte, n)...)
		if err := l.full(l.content[at:]); err != nil {
			return 0, err
		}
		left -= n
	}
	want := l.crc
	var sum [4]byte
	if err := l.full(sum[:]); err != nil {
		return 0, err
	}
	if binary.LittleEndian.Uint32(sum[:]) != want {
		return 0, fmt.Errorf("%w: a checksum is wrong", errDamaged)
	}
	return head[0], nil
}

func (l *savedReader) full(b []byte) error {
	switch _, err := io.ReadFull(l.in, b); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errTorn
	case err != nil:
		return err
	}
	l.crc = crc32.Update(l.crc, crcTable, b)
	return nil
}

func (l *savedReader) set(c *content) error {
	b := labels.NewScratchBuilder(8)
	last := ""
	for len(c.b) > 0 && !c.bad {
		name, value := c.text(), c.text()
		if name <= last || value == "" {
			return errors.New("a label set is out of order")
		}
		last = name
		b.Add(name, value)
	}
	l.sets = append(l.sets, b.Labels())
	return c.end()
}

func (l *savedReader) table(c *content) error {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		return errors.New("a table is longer than its record")
	}
	rows := make([]labels.Labels, n)
	for i := range rows {
		set := c.uvarint()
		if set >= uint64(len(l.sets)) {
			return fmt.Errorf("no label set %d", set)
		}
		rows[i] = l.sets[set]
	}
	t, ok := l.w.tables.take(rows)
	if !ok {
		return fmt.Errorf("%w: raise the memory for windows", errNoRoom)
	}
	l.tables = append(l.tables, t)
	return c.end()
}

func (l *savedReader) newWindow(c *content) error {
	key := gridKey{expr: c.text(), step: c.varint(), offset: c.varint()}
	if err := c.end(); err != nil {
		return err
	}
	if key.step <= 0 || key.offset < 0 || key.offset >= key.step {
		return fmt.Errorf("a grid of %d ms + %d ms", key.step, key.offset)
	}
	if l.w.keys[key] != nil || len(l.w.keys) >= maxKeys {
		return errors.New("a window too many")
	}
	l.window = l.w.newWindow(key)
	l.w.keys[key] = l.window
	return nil
}

func (l *savedReader) span(c *content) error {
	table, kind := c.uvarint(), entryKind(c.byte())
	s := span{kind: kind, first: c.varint(), last: c.varint(), base: c.varint()}
	steps := c.varint()
	if c.bad || l.window == nil || table >= uint64(len(l.tables)) {
		return errors.New("a span without a window, a table or an end")
	}
	s.table = l.tables[table]
	const far = 1 << 53 // steps; no time is there
	if s.base < -far || s.base > far || steps <= 0 || steps > maxSteps || s.first < s.base || s.last < s.first || s.last >= s.base+steps {
		return fmt.Errorf("a span of steps %d to %d of %d from %d on", s.first, s.last, steps, s.base)
	}
	s.steps = int32(steps)
	if err := checkEntry(c.b, s); err != nil {
		return err
	}
	l.spans++
	if l.window.own {
		return nil // this replay writes what that one read
	}
	if n := len(l.window.spans); n > 0 && l.window.spans[n-1].last >= s.first {
		return errors.New("spans are out of order")
	}
	l.steps += int(s.last - s.first + 1)
	l.w.store(l.window, s, c.b)
	return nil
}

// checkEntry says whether all steps of an entry can be decoded.
func checkEntry(e []byte, s span) error {
	errEntry := fmt.Errorf("an entry of kind %d with %d bytes for %d rows does not fit", s.kind, len(e), len(s.table.rows))
	if len(e) == 0 || e[0] != byte(s.kind) || s.kind > failedEntry || (s.kind != stepsEntry && s.steps != 1) {
		return errEntry
	}
	e = e[1:]
	rows := len(s.table.rows)
	switch s.kind {
	case failedEntry:
		return nil
	case listEntry:
		if len(e) != 12*rows {
			return errEntry
		}
		for i := range rows {
			if int(binary.LittleEndian.Uint32(e[4*i:])) >= rows {
				return errEntry
			}
		}
		return nil
	}
	width, steps := (rows+7)/8, int(s.steps)
	if len(e) < (4+width)*steps {
		return errEntry
	}
	present, last := e[4*steps:], 0
	for j := range steps {
		n := 0
		for _, b := range present[j*width:][:width] {
			n += bits.OnesCount8(b)
		}
		if rows%8 != 0 && present[j*width+width-1]>>(rows%8) != 0 {
			return errEntry
		}
		last += n
		if binary.LittleEndian.Uint32(e[4*j:]) != uint32(last) {
			return errEntry
		}
	}
	if len(e) != (4+width)*steps+8*last {
		return errEntry
	}
	return nil
}

// content reads a record; bad is set where it ends too early.
type content struct {
	b   []byte
	bad bool
}

func (c *content) end() error {
	if c.bad || len(c.b) > 0 {
		return errors.New("it does not end where it should")
	}
	return nil
}

func (c *content) byte() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	b := c.b[0]
	c.b = c.b[1:]
	return b
}

func (c *content) uvarint() uint64 {
	n, size := binary.Uvarint(c.b)
	c.skip(size)
	return n
}

func (c *content) varint() int64 {
	n, size := binary.Varint(c.b)
	c.skip(size)
	return n
}

// skip passes a number of size bytes; where size is not positive there was no
// whole number, and encoding/binary gave 0.
func (c *content) skip(size int) {
	if size <= 0 {
		c.bad, c.b = true, nil
		return
	}
	c.b = c.b[size:]
}

func (c *content) text() string {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return ""
	}
	text := c.b[:n]
	c.b = c.b[n:]
	return string(text)
}
