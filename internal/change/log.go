package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// maxLogged bounds one line of a log of changes.
const maxLogged = 2 * MaxBody

// Log keeps what was posted in a file, since nothing else would say it again
// after a restart: in each line the CRC-32C of a change in hex, a space, and the
// change as JSON, synced before it counts.
type Log struct {
	mu      sync.Mutex
	path    string
	file    logFile
	good    int64 // bytes of the file up to the end of its last whole line
	tracker *Tracker
}

// logFile is what a log needs of an [os.File].
type logFile interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeLine(c Change) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

// decodeLine reads a line without its end.
func decodeLine(line []byte) (c Change, err error) {
	if len(line) > maxLogged {
		return c, errors.New("longer than any change")
	}
	sum, body, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil {
		return c, errors.New("no checksum")
	}
	if uint32(want) != crc32.Checksum(body, castagnoli) {
		return c, errors.New("the checksum does not match")
	}
	return c, json.Unmarshal(body, &c)
}

// OpenLog gives the tracker what the file at the path holds, and writes the file
// anew with what is still kept. Lines that are no change, as a crash or a
// damaged disk may leave, are left out and said in the log.
func OpenLog(path string, t *Tracker, log *slog.Logger) (*Log, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("posted changes: %w", err)
	}
	var kept bytes.Buffer
	for n, line := range bytes.Split(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		c, err := decodeLine(line)
		if err == nil {
			err = t.Add(c)
		}
		if err != nil {
			log.Warn("a posted change is left out", "file", path, "line", n+1, "err", err)
			continue
		}
		kept.Write(append(line, '\n'))
	}
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, fmt.Errorf("posted changes: %w", err)
	}
	_, err = f.Write(kept.Bytes())
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(next, path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("posted changes: %w", errors.Join(err, f.Close()))
	}
	return &Log{path: path, file: f, good: int64(kept.Len()), tracker: t}, nil
}

// syncDirectory makes a rename in it last.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Add writes the change and gives it to the tracker. A change that cannot be
// written is not taken: whoever posts it is to know.
func (l *Log) Add(c Change) error {
	c, err := c.complete()
	if err != nil {
		return fmt.Errorf("change %q: %w", c.ID, err)
	}
	line, err := encodeLine(c)
	if err != nil {
		return fmt.Errorf("change %q: %w", c.ID, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.tracker.Free(c); err != nil {
		return err
	}
	if err := l.write(line); err != nil {
		return fmt.Errorf("change %q cannot be kept: %w", c.ID, err)
	}
	return l.tracker.Add(c)
}

// write appends a line, all of it or nothing.
func (l *Log) write(line []byte) error {
	if _, err := l.file.Write(line); err != nil {
		return errors.Join(err, l.cutBack())
	}
	if err := l.file.Sync(); err != nil {
		return errors.Join(err, l.cutBack())
	}
	l.good += int64(len(line))
	return nil
}

// cutBack removes what was written of a line by half: it would spoil the next one.
func (l *Log) cutBack() error { return l.file.Truncate(l.good) }

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
