package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSample(t *testing.T) {
	for _, c := range []struct {
		line, series string
		v            float64
		at           int64
		ok           bool
	}{
		{`up{a="b c"} 1.5 12.25`, `up{a="b c"}`, 1.5, 12250, true},
		{`up 1 2`, "up", 1, 2000, true},
		{"# TYPE up gauge", "", 0, 0, false},
		{"", "", 0, 0, false},
		{"up 1", "", 0, 0, false},
		{"up x 1", "up", 0, 1000, false},
	} {
		series, v, at, ok := sample(c.line)
		if ok != c.ok || ok && (series != c.series || v != c.v || at != c.at) {
			t.Errorf("%q: %q %v %d %v, want %q %v %d %v", c.line, series, v, at, ok, c.series, c.v, c.at, c.ok)
		}
	}
}

func FuzzSample(f *testing.F) {
	f.Add(`up{a="b"} 1 2`)
	f.Add("# EOF")
	f.Fuzz(func(t *testing.T, line string) {
		if series, _, _, ok := sample(line); ok && len(series) >= len(line) {
			t.Errorf("%q: series %q", line, series)
		}
	})
}

func TestReadRecording(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "a.om")
	writeFile(t, plain, "# TYPE hits counter\nhits_total{service=\"a\"} 1 60\nhits_total{service=\"a\"} 5 120\n# EOF\n")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("# TYPE hits counter\nhits_total{service=\"a\"} 2 180\ncalls{client=\"a\",server=\"b\"} 1 180\n# EOF\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zipped := filepath.Join(dir, "b.om.gz")
	writeFile(t, zipped, b.String())
	r, err := readRecording([]string{plain, zipped})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.byService()["a"]; len(s) != 1 || !slices.Equal(s[0].value, []float64{4, 2}) {
		t.Errorf("got %v, want the increases 4, 2 (after a reset)", s)
	}
	if e := r.edges(); len(e) != 1 || e[0].Caller != "a" || e[0].Callee != "b" {
		t.Errorf("edges %v, want a → b", e)
	}
	if _, err := readRecording([]string{filepath.Join(dir, "none")}); err == nil {
		t.Error("want an error of a file that is missing")
	}
}
