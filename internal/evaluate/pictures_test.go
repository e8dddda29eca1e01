package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// TestPages: every page of a detector shows the picture that the command makes.
func TestPages(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "detectors")
	for _, p := range pictures() {
		if _, ok := detectors.Lookup(p.detector); !ok {
			t.Errorf("a picture of %s, which is no detector", p.detector)
		}
		page, err := os.ReadFile(filepath.Join(dir, p.detector+".md"))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("# %s\n\n![%s](%s.svg)\n", p.detector, p.title, p.detector); !strings.HasPrefix(string(page), want) {
			t.Errorf("docs/detectors/%s.md does not begin with\n%s", p.detector, want)
		}
		svg, err := os.ReadFile(filepath.Join(dir, p.detector+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		if len(svg) > 40<<10 || !bytes.Contains(svg, []byte("<title>"+p.title+"</title>")) {
			t.Errorf("docs/detectors/%s.svg: %d bytes, title %q wanted: run make pictures", p.detector, len(svg), p.title)
		}
	}
}

func TestDrawPicture(t *testing.T) {
	dir := t.TempDir()
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var rows, metrics strings.Builder
	rows.WriteString("timestamp,value\n")
	for i := range 3 * 1440 {
		at, v := begin.Add(time.Duration(i)*time.Minute), 100+float64(i%7)
		if i >= 4000 && i < 4005 {
			v *= 5
		}
		fmt.Fprintf(&rows, "%d,%g\n", at.Unix(), v)
		fmt.Fprintf(&metrics, "out %g %d\nin %g %d\n", v, at.Unix(), 50+float64(i%5), at.Unix())
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, metrics.String())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"series/a.csv": []byte(rows.String()), "incidents/b.om.gz": packed.Bytes()} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ok := picture{detector: "spike", file: "a.csv", from: "2024-01-03T12:00:00Z", to: "2024-01-03T23:00:00Z", title: "A & B"}
	for _, p := range []picture{ok, {detector: "edge", file: "b.om.gz", metric: "out", of: "in", from: ok.from, to: ok.to, title: ok.title}} {
		first, err := p.draw(dir)
		if err != nil {
			t.Fatalf("%s: %v", p.detector, err)
		}
		again, err := p.draw(dir)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s: two runs differ, error %v", p.detector, err)
		}
		if !bytes.Contains(first, []byte("prefers-color-scheme:dark")) || !bytes.Contains(first, []byte("A &amp; B")) || len(first) > 40<<10 {
			t.Errorf("%s: %d bytes without themes, without a title, or too large", p.detector, len(first))
		}
	}
	for want, change := range map[string]func(*picture){
		"no such detector":     func(p *picture) { p.detector = "none" },
		"choose another time":  func(p *picture) { p.to = "2024-01-03T13:00:00Z" },
		"cannot parse":         func(p *picture) { p.from = "yesterday" },
		"no such file":         func(p *picture) { p.file = "c.csv" },
		"0 samples of nothing": func(p *picture) { p.file, p.metric, p.of = "b.om.gz", "nothing", "in" },
	} {
		p := ok
		change(&p)
		if _, err := p.draw(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}
