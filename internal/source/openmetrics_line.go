package source

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/value"
)

// The years 1 to 9999, which is what time.Time and JSON have names for.
var (
	minTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	maxTime = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()
)

// find returns a series that was seen before, or nil. Files are in order of
// time or of series, so it is mostly the one that followed the last time, or
// the same again.
func (d *loader) find(text []byte) *knownSeries {
	var k *knownSeries
	last := d.last
	switch {
	case last != nil && last.next != nil && last.next.text == string(text):
		k = last.next
	case last != nil && last.text == string(text):
		k = last
	default:
		k = d.known[string(text)]
	}
	if k == nil {
		return nil
	}
	if last != nil {
		last.next = k
	}
	d.last = k
	return k
}

// split takes a line apart that is a known series, a plain value and a plain
// time, with one space between them, just as the parser would; ok is false for
// any other line.
func (d *loader) split(line []byte) (k *knownSeries, ts int64, v float64, ok bool) {
	second := bytes.LastIndexByte(line, ' ')
	if second < 0 {
		return nil, 0, 0, false
	}
	first := bytes.LastIndexByte(line[:second], ' ')
	if first <= 0 {
		return nil, 0, 0, false
	}
	if v, ok = plainFloat(line[first+1 : second]); !ok {
		return nil, 0, 0, false
	}
	seconds, ok := plainFloat(line[second+1:])
	if !ok || !(math.Abs(seconds) < 1e15) {
		return nil, 0, 0, false
	}
	if k = d.find(line[:first]); k == nil {
		return nil, 0, 0, false
	}
	return k, int64(seconds * 1000), v, true
}

// plainFloat reads a decimal number or NaN; ok is false for all other notations.
func plainFloat(b []byte) (v float64, ok bool) {
	// Up to 15 digits are exact.
	if n := len(b); n > 0 && n <= 15 {
		var whole uint64
		for _, c := range b {
			if c -= '0'; c > 9 {
				return otherFloat(b)
			}
			whole = 10*whole + uint64(c)
		}
		return float64(whole), true
	}
	return otherFloat(b)
}

func otherFloat(b []byte) (float64, bool) {
	if string(b) == "NaN" {
		return math.Float64frombits(value.NormalNaN), true
	}
	for _, c := range b {
		if c-'0' > 9 && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}
