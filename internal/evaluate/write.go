package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// writeScores writes the scores of a set as the data's scorers read them: one
// CSV per data file at the same relative path.
func writeScores(dir string, all []*series, scores [][]float64, compress bool) error {
	for k, s := range all {
		if err := writeSeries(filepath.Join(dir, filepath.FromSlash(s.name)), s, scores[k], compress); err != nil {
			return err
		}
	}
	return nil
}

func writeSeries(path string, s *series, scores []float64, compress bool) (err error) {
	if compress {
		path += ".gz"
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<16)
	if compress {
		z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, z.Close()) }()
		out.Reset(z)
	}
	out.WriteString("timestamp,score\n")
	var line []byte
	for i, v := range scores {
		line = append(line[:0], s.stamps[i]...)
		line = append(line, ',')
		line = append(line, format(v)...)
		line = append(line, '\n')
		out.Write(line) // Flush reports a failed write
	}
	return out.Flush()
}

// folder makes a method's name one for a folder.
func folder(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// format writes a number so that it is read back as the same.
func format(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
