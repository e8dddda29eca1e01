package source

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// The file of saved windows: a line that says what it is, then records
//
//	type      1 byte
//	length    uint32, little endian, of the content
//	content
//	checksum  uint32, CRC-32C of all bytes of the file before it
//
// in an order in which each refers to earlier ones only. Numbers in a content
// are varints, texts have their length before them.
const (
	savedMagic = "foreshock windows 1\n"

	recordKey    = 'K' // the key, once, first
	recordSet    = 'L' // a label set: names and values
	recordTable  = 'T' // how many rows, then their label sets' numbers
	recordWindow = 'W' // expression, step, offset (milliseconds)
	recordSpan   = 'S' // of the window before: table, kind, first, last, base, steps in the entry, entry
	recordEnd    = 'E' // how many spans

	maxRecord = 64 << 20
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// savedPath is the file of a key, so that one folder serves several sources.
func savedPath(dir, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, fmt.Sprintf("windows-%x.cache", sum[:8]))
}

// Save writes all that is kept into a file in a directory, which is made if it
// is absent; a file of the same [WindowsOptions.Key] is replaced, at once and as
// a whole. What was asked of the last minutes may have been incomplete then, and
// stays so: end a replay a while before now.
func (w *Windows) Save(dir string) (err error) {
	if w.o.Key == "" {
		return errors.New("windows are saved with a key only")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("saved windows: %w", err)
	}
	path := savedPath(dir, w.o.Key)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("saved windows: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("saved windows %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	err = w.write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// write writes the file's content.
func (w *Windows) write(to io.Writer) error {
	s := &saver{out: bufio.NewWriterSize(to, 1<<20), sets: map[string]uint64{}, tables: map[*labelTable]uint64{}}
	s.raw([]byte(savedMagic))
	s.record(recordKey, []byte(w.o.Key))
	spans := uint64(0)
	for _, k := range w.toSave() {
		k.mu.Lock()
		spans += w.saveWindow(s, k)
		k.mu.Unlock()
		if s.err != nil {
			return s.err
		}
	}
	s.record(recordEnd, binary.AppendUvarint(nil, spans))
	return errors.Join(s.err, s.out.Flush())
}

// toSave returns the windows in order of expression, where there are very many
// only those that were asked.
func (w *Windows) toSave() []*window {
	w.mu.Lock()
	defer w.mu.Unlock()
	ks := slices.Collect(maps.Values(w.keys))
	if len(ks) > maxKeys/2 {
		ks = slices.DeleteFunc(ks, func(k *window) bool { return !k.asked })
	}
	slices.SortFunc(ks, func(a, b *window) int {
		return cmp.Or(cmp.Compare(a.expr, b.expr), cmp.Compare(a.step, b.step), cmp.Compare(a.offset, b.offset))
	})
	return ks
}

func (w *Windows) saveWindow(s *saver, k *window) (spans uint64) {
	var entry, content []byte
	for _, p := range k.spans {
		if entry = w.read(entry[:0], p); len(entry) == 0 {
			continue
		}
		table := s.table(p.table)
		if spans == 0 {
			content = appendText(content[:0], k.expr)
			content = binary.AppendVarint(content, k.step)
			s.record(recordWindow, binary.AppendVarint(content, k.offset))
		}
		content = binary.AppendUvarint(content[:0], table)
		content = append(content, byte(p.kind))
		for _, n := range []int64{p.first, p.last, p.base, int64(p.steps)} {
			content = binary.AppendVarint(content, n)
		}
		s.record(recordSpan, append(content, entry...))
		spans++
	}
	return spans
}

// saver writes records; the first error is kept.
type saver struct {
	out    *bufio.Writer
	crc    uint32
	err    error
	sets   map[string]uint64 // numbers of label sets
	tables map[*labelTable]uint64
}

func (s *saver) raw(b []byte) {
	if s.err != nil {
		return
	}
	s.crc = crc32.Update(s.crc, crcTable, b)
	_, s.err = s.out.Write(b)
}

func (s *saver) record(kind byte, content []byte) {
	if len(content) > maxRecord && s.err == nil {
		s.err = fmt.Errorf("a record has %d bytes, more than %d", len(content), maxRecord)
	}
	head := [5]byte{kind}
	binary.LittleEndian.PutUint32(head[1:], uint32(len(content)))
	s.raw(head[:])
	s.raw(content)
	s.raw(binary.LittleEndian.AppendUint32(nil, s.crc))
}

// table returns the number of a table, which it writes the first time.
func (s *saver) table(t *labelTable) uint64 {
	if n, ok := s.tables[t]; ok {
		return n
	}
	content := binary.AppendUvarint(nil, uint64(len(t.rows)))
	for _, l := range t.rows {
		content = binary.AppendUvarint(content, s.set(l))
	}
	s.record(recordTable, content)
	n := uint64(len(s.tables))
	s.tables[t] = n
	return n
}

func (s *saver) set(l labels.Labels) uint64 {
	var content []byte
	l.Range(func(l labels.Label) { content = appendText(appendText(content, l.Name), l.Value) })
	if n, ok := s.sets[string(content)]; ok {
		return n
	}
	s.record(recordSet, content)
	n := uint64(len(s.sets))
	s.sets[string(content)] = n
	return n
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}
