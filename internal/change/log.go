package change

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/foreshock/foreshock/internal/linelog"
)

// maxLogged bounds one line of a log of changes.
const maxLogged = 2 * MaxBody

// Log keeps what was posted in a file, since nothing else would say it again
// after a restart. A change is synced before it counts.
type Log struct {
	mu      sync.Mutex
	path    string
	file    *linelog.File
	tracker *Tracker
}

// decodeLine reads a line without its end.
func decodeLine(line []byte) (c Change, err error) {
	if len(line) > maxLogged {
		return c, errors.New("longer than any change")
	}
	return c, linelog.Decode(line, &c)
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
	f, err := linelog.Replace(path, kept.Bytes())
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, fmt.Errorf("posted changes: %w", err)
	}
	return &Log{path: path, file: f, tracker: t}, nil
}

// Add writes the change and gives it to the tracker. A change that cannot be
// written is not taken: whoever posts it is to know.
func (l *Log) Add(c Change) error {
	c, err := c.complete()
	if err != nil {
		return fmt.Errorf("change %q: %w", c.ID, err)
	}
	line, err := linelog.Encode(c)
	if err != nil {
		return fmt.Errorf("change %q: %w", c.ID, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.tracker.Free(c); err != nil {
		return err
	}
	if err := l.file.Append(line); err != nil {
		return fmt.Errorf("change %q cannot be kept: %w", c.ID, err)
	}
	return l.tracker.Add(c)
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
