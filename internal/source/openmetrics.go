package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage"
)

const (
	chunkBytes    = 1 << 20 // text that is parsed at once
	maxLineBytes  = 1 << 20
	maxKnownLines = 1 << 20 // series whose reference is remembered
)

// LoadOpenMetrics reads files in OpenMetrics text with timestamps, plain or
// gzip, into a temporary store and returns the times of the first and the last
// sample. Samples of one series must be in order of time, over all files;
// series may come in any order; the same sample may come again. Files are read as
// a stream: the heap holds the series, and 48 bytes for each 120 samples. A
// broken line is an error with file and line; what was read before it stays in
// the store.
func (l *Local) LoadOpenMetrics(ctx context.Context, files []string) (from, to time.Time, err error) {
	if !l.temporary {
		return from, to, errors.New("OpenMetrics files are loaded into a temporary store only")
	}
	load := newLoader(ctx, l.db, l.db.ForceHeadMMap)
	for _, name := range files {
		if err := load.file(name); err != nil {
			return from, to, err
		}
	}
	load.mmap()
	if load.oldest > load.newest {
		return from, to, fmt.Errorf("OpenMetrics files %v: no sample is in them", files)
	}
	return time.UnixMilli(load.oldest).UTC(), time.UnixMilli(load.newest).UTC(), nil
}

// loader carries what outlives one file.
type loader struct {
	to             storage.Appendable
	mmap           func() // writes full chunks out of the heap
	ctx            context.Context
	oldest, newest int64                   // samples, milliseconds
	known          map[string]*knownSeries // by the text of the series
	last           *knownSeries            // of the latest sample
	text           []byte                  // what the parser gets

	app   storage.Appender
	n     int // samples since the last commit
	since int // samples since chunks were last written out
	order order
	typ   []byte // a # TYPE line of the last type, which gives `le` and `quantile` their normal form
}

func newLoader(ctx context.Context, to storage.Appendable, mmap func()) *loader {
	return &loader{to: to, mmap: mmap, ctx: ctx, oldest: math.MaxInt64, newest: math.MinInt64, known: map[string]*knownSeries{}}
}

// knownSeries is a series that was seen before.
type knownSeries struct {
	text   string
	ref    storage.SeriesRef
	labels labels.Labels
	next   *knownSeries // which came after it the last time
}

func (d *loader) file(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("OpenMetrics file: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 256<<10)
	var text io.Reader = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("%s: broken gzip file: %w", name, err)
		}
		text = z
	}
	d.typ = nil
	err = d.read(text)
	if err == nil {
		err = d.commit()
	} else if d.app != nil {
		err = errors.Join(err, d.app.Rollback())
		d.app, d.n = nil, 0
	}
	if err != nil {
		var at *lineError
		if errors.As(err, &at) {
			return fmt.Errorf("%s:%w", name, err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// lineError is an error with a line.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

var eof = []byte("# EOF\n")

// read splits the text into chunks of whole lines and parses each by itself.
func (d *loader) read(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	chunk := make([]byte, 0, chunkBytes+maxLineBytes)
	line, first, ended := 0, 1, false
	for s.Scan() {
		line++
		b := s.Bytes()
		if ended {
			return &lineError{line, errors.New("text after # EOF")}
		}
		if ended = bytes.Equal(b, eof[:len(eof)-1]); ended {
			continue
		}
		chunk = append(append(chunk, b...), '\n')
		if len(chunk) >= chunkBytes {
			if err := d.parse(chunk, first); err != nil {
				return err
			}
			chunk, first = chunk[:0], line+1
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return &lineError{line + 1, fmt.Errorf("the line is longer than %d bytes", maxLineBytes)}
	case err != nil:
		return &lineError{line + 1, fmt.Errorf("cannot be read: %w", err)}
	}
	if err := d.parse(chunk, first); err != nil {
		return err
	}
	if !ended {
		return &lineError{line + 1, errors.New("# EOF is missing at the end: the file is cut off")}
	}
	return nil
}

// parse takes the samples of a chunk whose first line has the number first.
// Samples of series that were seen before are taken at once; all other lines
// go through Prometheus's parser.
func (d *loader) parse(chunk []byte, first int) error {
	if err := d.ctx.Err(); err != nil {
		return context.Cause(d.ctx)
	}
	other, otherLine := 0, first // where the lines begin that are still to be parsed
	for at, line := 0, first; at < len(chunk); line++ {
		end := at + bytes.IndexByte(chunk[at:], '\n')
		if k, ts, v, ok := d.split(chunk[at:end]); ok {
			if other < at {
				if err := d.parseAny(chunk[other:at], otherLine); err != nil {
					return err
				}
			}
			if err := d.append(k, ts, v); err != nil {
				return &lineError{line, err}
			}
			other, otherLine = end+1, line+1
		}
		at = end + 1
	}
	if other < len(chunk) {
		return d.parseAny(chunk[other:], otherLine)
	}
	return nil
}

// parseAny parses whole lines, of which the first has the number first.
func (d *loader) parseAny(lines []byte, first int) error {
	text := append(append(append(d.text[:0], d.typ...), lines...), eof...)
	d.text = text
	if len(d.typ) > 0 {
		first--
	}
	p := newOpenMetricsParser(text)
	for line := first; ; line++ { // each entry is one line
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &lineError{line, err}
		}
		switch entry {
		case textparse.EntryType:
			_, typ := p.Type()
			d.typ = fmt.Appendf(nil, "# TYPE a %s\n", typ)
		case textparse.EntrySeries:
			if err := d.sample(p); err != nil {
				return &lineError{line, err}
			}
		}
	}
}

// sample takes what the parser has read.
func (d *loader) sample(p textparse.Parser) error {
	text, ts, v := p.Series()
	if ts == nil {
		return fmt.Errorf("series %s has no timestamp", clip(string(text)))
	}
	k := d.find(text)
	if k == nil {
		if len(d.known) >= maxKnownLines {
			clear(d.known)
			d.last = nil
		}
		k = &knownSeries{text: string(text)}
		p.Labels(&k.labels)
		d.known[k.text] = k
	}
	return d.append(k, *ts, v)
}

func (d *loader) append(k *knownSeries, ts int64, v float64) error {
	if ts < minTime || ts > maxTime {
		return fmt.Errorf("series %s has the timestamp %d ms, which is no time", clip(k.text), ts)
	}
	if d.app == nil {
		d.app = d.to.Appender(d.ctx)
	}
	ref, err := d.app.Append(k.ref, k.labels, ts, v)
	if err == nil {
		err = d.order.check(ref, ts, v)
	}
	switch {
	case err == nil:
	case errors.Is(err, errSeriesOrder), errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds):
		return fmt.Errorf("series %s at %s: %w: the samples of a series must be in order of time, and so must the files", k.labels, showTime(ts), err)
	default:
		return fmt.Errorf("series %s at %s: %w", k.labels, showTime(ts), err)
	}
	k.ref = ref
	d.oldest, d.newest = min(d.oldest, ts), max(d.newest, ts)
	if d.n++; d.n >= historyBatch {
		return d.commit()
	}
	return nil
}

func (d *loader) commit() error {
	if d.app == nil {
		return nil
	}
	app := d.app
	d.since += d.n
	d.app, d.n = nil, 0
	if err := app.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if d.since >= 50*historyBatch {
		d.since = 0
		d.mmap()
	}
	return nil
}
