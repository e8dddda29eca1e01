package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxLine bounds a line of OpenMetrics text.
const maxLine = 1 << 20

// eachLine gives every line of a file, plain or gzip, without its end.
func eachLine(path string, do func(line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	var text io.Reader = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if text, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := do(lines.Text()); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// sample takes a line apart: the series, its value and its time in
// milliseconds; ok is false for comments, empty lines and what has no time.
func sample(line string) (series string, v float64, at int64, ok bool) {
	if line == "" || line[0] == '#' {
		return "", 0, 0, false
	}
	k := strings.LastIndexByte(line, ' ')
	if k < 0 {
		return "", 0, 0, false
	}
	j := strings.LastIndexByte(line[:k], ' ')
	if j < 0 {
		return "", 0, 0, false
	}
	v, err := strconv.ParseFloat(line[j+1:k], 64)
	seconds, err2 := strconv.ParseFloat(line[k+1:], 64)
	return line[:j], v, int64(math.Round(seconds * 1000)), err == nil && err2 == nil
}

// series is one series of a case, in order of time.
type series struct {
	labels labels.Labels
	at     []int64 // milliseconds
	value  []float64
}

// recording is all that a case's files hold.
type recording struct {
	series []*series
	types  map[string]string // by metric, as the # TYPE lines name it
}

// readRecording reads the files of a case.
func readRecording(files []string) (*recording, error) {
	r := &recording{types: map[string]string{}}
	known := map[string]*series{}
	promql := parser.NewParser(parser.Options{})
	for _, f := range files {
		err := eachLine(f, func(line string) error {
			if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
				if name, typ, ok := strings.Cut(rest, " "); ok {
					r.types[name] = typ
				}
				return nil
			}
			text, v, at, ok := sample(line)
			if !ok {
				return nil
			}
			s := known[text]
			if s == nil {
				ls, err := promql.ParseMetric(text)
				if err != nil {
					return err
				}
				s = &series{labels: ls}
				known[text] = s
				r.series = append(r.series, s)
			}
			s.at, s.value = append(s.at, at), append(s.value, v)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// counter reports whether a series only rises, by its type.
func (r *recording) counter(s *series) bool {
	name := s.labels.Get(model.MetricNameLabel)
	base, total := strings.CutSuffix(name, "_total")
	return total && r.types[base] != "gauge" && r.types[name] != "gauge"
}

// differences replaces a counter by its increases; a reset counts from zero.
func (s *series) differences() *series {
	out := &series{labels: s.labels}
	for i := 1; i < len(s.at); i++ {
		d := s.value[i] - s.value[i-1]
		if d < 0 {
			d = s.value[i]
		}
		out.at, out.value = append(out.at, s.at[i]), append(out.value, d)
	}
	return out
}

// between are the values from a time (included) to another (included).
func (s *series) between(from, to int64) []float64 {
	i, _ := slices.BinarySearch(s.at, from)
	j, _ := slices.BinarySearch(s.at, to+1)
	if i >= j {
		return nil
	}
	return s.value[i:j]
}
