package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// DetectOptions say how Detect judges a series.
type DetectOptions struct {
	Detector string            // name in the catalogue; empty = spike
	Options  detectors.Options // of that detector; nil = its defaults
	Budget   detectors.Budget  // zero = detectors.DefaultBudget
	// Step is the usual distance of two samples; 0 = the median distance of the
	// first 100 samples.
	Step time.Duration
}

// SetBudget reads a budget such as 1 per 30d.
func (o *DetectOptions) SetBudget(text string) (err error) {
	o.Budget, err = detectors.ParseBudget(text)
	return err
}

// Validate says what is wrong with the options before anything is read.
func (o DetectOptions) Validate() error {
	d, ok := detectors.Lookup(o.Detector)
	switch {
	case !ok:
		return fmt.Errorf("unknown detector %q: the detectors are %s", o.Detector, strings.Join(Detectors(), ", "))
	case d.Groups:
		return fmt.Errorf("detector %s compares the members of a group, and detect judges one series: use it in a rule, with by", d.Name)
	}
	return nil
}

// Detectors returns the names of the detectors of single series.
func Detectors() []string {
	var names []string
	for _, d := range detectors.All() {
		if d.Groups {
			continue
		}
		names = append(names, d.Name)
	}
	return names
}

const (
	// detectLook is how many samples are looked at to find the step.
	detectLook = 100
	// detectStep is the step of an input of one sample.
	detectStep = time.Minute
	// detectLine is the longest line, in bytes.
	detectLine = 64 << 10
	// detectLast is the last judged second, the end of the year 9999.
	detectLast = 253402300799
)

// Detect reads one series as CSV from in and writes its scores as CSV to out.
//
// The input has the columns timestamp (RFC 3339 or Unix seconds) and value
// (empty or NaN = missing), optionally a header and further columns, which are
// ignored. The output has the columns timestamp (as given), value, expected,
// lower, upper and score; what is not known is empty. It takes one pass and
// bounded memory, and writes as soon as the input pauses. Timestamps must not
// go back; a repeated one is not judged again.
func Detect(ctx context.Context, in io.Reader, out io.Writer, o DetectOptions) error {
	if d, ok := in.(interface{ SetReadDeadline(time.Time) error }); ok {
		// A pipe that nothing is written to must not outlive the context.
		// Files without deadlines return an error here, and never block for long.
		stop := context.AfterFunc(ctx, func() { _ = d.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	d := detection{in: bufio.NewReaderSize(in, detectLine), out: bufio.NewWriter(out), options: o}
	err := d.run(ctx)
	if flushErr := d.out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("writing scores: %w", flushErr)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// detection is one run of Detect.
type detection struct {
	in      *bufio.Reader
	out     *bufio.Writer
	options DetectOptions
	bank    detectors.Bank // nil until the step is known
	ref     detectors.Ref
	waiting []detectRow // rows read before the step is known
	last    int64       // ms
	rows    int
	line    int
	cells   []byte
}

// detectRow is one row of the input.
type detectRow struct {
	stamp string // as given
	t     int64  // ms
	v     float64
}

func (d *detection) run(ctx context.Context) error {
	if d.options.Detector == "" {
		d.options.Detector = detectors.Spike.Name
	}
	if d.options.Budget == (detectors.Budget{}) {
		d.options.Budget = detectors.DefaultBudget()
	}
	if d.options.Step < 0 {
		return fmt.Errorf("step %v: must not be negative", d.options.Step)
	}
	if err := d.open(max(d.options.Step, time.Millisecond)); err != nil { // says early what is wrong with the options
		return err
	}
	if d.options.Step == 0 {
		d.bank = nil
	}
	if _, err := d.out.WriteString("timestamp,value,expected,lower,upper,score\n"); err != nil {
		return fmt.Errorf("writing scores: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := d.next()
		if errors.Is(err, io.EOF) {
			return d.settle()
		}
		if err != nil {
			return err
		}
		if err := d.take(text); err != nil {
			return err
		}
		if d.in.Buffered() == 0 && d.bank != nil {
			if err := d.out.Flush(); err != nil {
				return fmt.Errorf("writing scores: %w", err)
			}
		}
	}
}

// next returns the next line without its end; it is valid until the next call.
func (d *detection) next() ([]byte, error) {
	text, err := d.in.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(text) > 0 {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	d.line++
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("line %d: longer than %d bytes; expected timestamp,value", d.line, detectLine)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: reading the series: %w", d.line, err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if d.line == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	return text, nil
}

// take judges one line, or keeps it until the step is known.
func (d *detection) take(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	row, header, err := d.parse(text)
	if err != nil || header {
		return err
	}
	if d.rows > 0 && row.t < d.last {
		return fmt.Errorf("line %d, column 1: timestamp %q is earlier than the one before; sort the series by time", d.line, row.stamp)
	}
	d.last = row.t
	d.rows++
	if d.bank != nil {
		return d.judge(row)
	}
	d.waiting = append(d.waiting, row)
	if len(d.waiting) == detectLook {
		return d.settle()
	}
	return nil
}

// settle finds the step and judges the rows that waited for it.
func (d *detection) settle() error {
	if d.bank != nil {
		return nil
	}
	var distances []int64
	for i := 1; i < len(d.waiting); i++ {
		if dt := d.waiting[i].t - d.waiting[i-1].t; dt > 0 {
			distances = append(distances, dt)
		}
	}
	step := detectStep
	if len(distances) > 0 {
		slices.Sort(distances)
		// Distances of more than a year would only overflow a duration.
		step = time.Duration(min(distances[len(distances)/2], 365*24*3600*1000)) * time.Millisecond
	}
	if err := d.open(step); err != nil {
		return err
	}
	for _, row := range d.waiting {
		if err := d.judge(row); err != nil {
			return err
		}
	}
	d.waiting = nil
	return nil
}

// open makes the detector.
func (d *detection) open(step time.Duration) error {
	if err := d.options.Validate(); err != nil {
		return err
	}
	detector, _ := detectors.Lookup(d.options.Detector) // Validate knows it
	options := d.options.Options
	if options == nil {
		options = detector.Options()
	}
	if err := options.Validate(); err != nil {
		return fmt.Errorf("options of detector %s: %w", detector.Name, err)
	}
	if o, ok := options.(detectors.RequiredOptions); ok {
		if err := o.Required(); err != nil {
			return fmt.Errorf("detector %s needs options, which detect cannot give: %w", detector.Name, err)
		}
	}
	bank, err := detector.New(options, detectors.Conditions{Budget: d.options.Budget, Step: step})
	if err != nil {
		return err
	}
	d.bank, d.ref = bank, bank.Add()
	return nil
}

// judge writes the scores of a row.
func (d *detection) judge(row detectRow) error {
	v := d.bank.Observe(d.ref, row.t, row.v)
	b := append(d.cells[:0], row.stamp...)
	for _, x := range [...]float64{row.v, v.Expected, v.Lower, v.Upper, v.Score} {
		b = append(b, ',')
		if !math.IsNaN(x) {
			b = strconv.AppendFloat(b, x, 'g', -1, 64)
		}
	}
	d.cells = append(b, '\n')
	if _, err := d.out.Write(d.cells); err != nil {
		return fmt.Errorf("writing scores: %w", err)
	}
	return nil
}

// parse reads the first two cells of a line.
func (d *detection) parse(text []byte) (row detectRow, header bool, err error) {
	stamp, rest, column, err := detectCell(text, 0)
	if err != nil {
		return row, false, fmt.Errorf("line %d, column %d: %w", d.line, column+1, err)
	}
	t, stampErr := detectTime(stamp)
	value := ""
	if rest >= 0 {
		value, _, column, err = detectCell(text, rest)
		if err != nil {
			return row, false, fmt.Errorf("line %d, column %d: %w", d.line, column+1, err)
		}
	}
	v, valueErr := detectValue(value)
	if stampErr != nil {
		if d.rows == 0 && d.line == 1 && valueErr != nil {
			return row, true, nil
		}
		return row, false, fmt.Errorf("line %d, column 1: %w", d.line, stampErr)
	}
	if rest < 0 {
		return row, false, fmt.Errorf("line %d, column %d: a value is missing; expected timestamp,value", d.line, len(text)+1)
	}
	if valueErr != nil {
		return row, false, fmt.Errorf("line %d, column %d: %w", d.line, column+1, valueErr)
	}
	return detectRow{stamp: stamp, t: t, v: v}, false, nil
}

// detectCell returns the cell of text that starts at from, the place where the next
// one starts (-1 = none) and where the cell's text starts.
func detectCell(text []byte, from int) (s string, next, at int, err error) {
	rest := text[from:]
	space := len(rest) - len(bytes.TrimLeft(rest, " \t"))
	at = from + space
	rest = rest[space:]
	if len(rest) > 0 && rest[0] == '"' {
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 {
			return "", -1, at, errors.New("a quote is not closed on its line")
		}
		s = string(rest[1 : 1+end])
		after := bytes.TrimLeft(rest[2+end:], " \t")
		switch {
		case len(after) == 0:
			return s, -1, at + 1, nil
		case after[0] == ',':
			return s, len(text) - len(after) + 1, at + 1, nil
		}
		return "", -1, len(text) - len(after), errors.New("expected a comma after the closing quote")
	}
	end := bytes.IndexByte(rest, ',')
	if end < 0 {
		return string(bytes.TrimRight(rest, " \t")), -1, at, nil
	}
	return string(bytes.TrimRight(rest[:end], " \t")), at + end + 1, at, nil
}

// detectTime returns Unix milliseconds.
func detectTime(s string) (int64, error) {
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		if math.Abs(x) <= detectLast {
			return int64(math.Round(x * 1000)), nil
		}
		return 0, fmt.Errorf("timestamp %q is out of range; expected Unix seconds, not milliseconds", detectBrief(s))
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("timestamp %q: expected RFC 3339 such as 2006-01-02T15:04:05Z, or Unix seconds", detectBrief(s))
	}
	return t.UnixMilli(), nil
}

// detectValue returns NaN for a missing value.
func detectValue(s string) (float64, error) {
	if s == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("value %q: expected a finite number, or nothing for a missing value", detectBrief(s))
	}
	return v, nil
}

// detectBrief keeps long cells out of error messages.
func detectBrief(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
