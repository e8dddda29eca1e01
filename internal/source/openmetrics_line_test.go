package source

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/textparse"
)

// FuzzSampleLine compares what is taken from a line of a known series with what
// Prometheus's parser reads there.
func FuzzSampleLine(f *testing.F) {
	for _, s := range []string{
		`a{b="c"} 1 1772323200`, `a{b="c"} NaN 1`, `a{b="c"} -1.5e-3 1772323200.125`, `a{b="c"} +Inf 1`, `a{b="c"} 1 1e300`, `a{b="c"} 1 -5`,
		`a{b="c"} 123456789012345 1.0015`, `a{b="c"} 1234567890123456789 1`, `a{b="c"}  1 1`, `a{b="c"} 1 1 `, `a{b="c"} 1 1 # {x="y"} 1 1`, `a{b="c"} 1 NaN`, `a{b="c"} 0x1p3 1`,
		`a{b="c"} 1_0 1`, `a{b="c"} . 1`, `a{b="c"} 1 .`, `a{b="c"} 1e999 1`, `a{b="c"} 1 999999999999999`, "a{b=\"c\"} 1 1\r", "a{b=\"c\"}\t1 1", `a 1 1`, `a{b="c"} 1`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			return
		}
		d := newLoader(context.Background(), nowhere{}, func() {})
		k := &knownSeries{text: `a{b="c"}`}
		d.known[k.text] = k
		got, ts, v, ok := d.split([]byte(line))
		if !ok {
			return // the parser is asked
		}
		p := newOpenMetricsParser([]byte(line + "\n# EOF\n"))
		entry, err := p.Next()
		if err != nil || entry != textparse.EntrySeries {
			t.Fatalf("%q: took %d and %v; the parser says %v, %v", line, ts, v, entry, err)
		}
		text, wantTS, want := p.Series()
		if got != k || string(text) != k.text || wantTS == nil || *wantTS != ts || math.Float64bits(v) != math.Float64bits(want) {
			t.Errorf("%q: took %q, %d, %v, want %q, %v, %v", line, got.text, ts, v, text, wantTS, want)
		}
		if _, err := p.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%q: more is in the line: %v", line, err)
		}
	})
}

// Series in changing order, of which some come once and some again.
func TestLoadOpenMetricsOrders(t *testing.T) {
	text := `# TYPE a gauge
a{x="1"} 1 1772323200
a{x="2"} 2 1772323200
a{x="3"} 3 1772323200
a{x="2"} 4 1772323260
a{x="2"} 5 1772323320
a{x="1"} 6 1772323260
# HELP a In between.
a{x="3"} NaN 1772323260
a{x="3"} 7 1772323320 # {trace="x"} 1
a{x="4"} 8 1772323320
a{x="1"} 9 1772323320
# EOF
`
	l := temporary(t)
	if _, _, err := l.LoadOpenMetrics(context.Background(), []string{file(t, "a.om", []byte(text))}); err != nil {
		t.Fatal(err)
	}
	for minute, want := range [][]string{
		{`{__name__="a", x="1"} 1`, `{__name__="a", x="2"} 2`, `{__name__="a", x="3"} 3`},
		{`{__name__="a", x="1"} 6`, `{__name__="a", x="2"} 4`, `{__name__="a", x="3"} NaN`},
		{`{__name__="a", x="1"} 9`, `{__name__="a", x="2"} 5`, `{__name__="a", x="3"} 7`, `{__name__="a", x="4"} 8`},
	} {
		wantValues(t, l.query, `a`, t0.Add(time.Duration(minute)*time.Minute), want...)
	}
}

// Files that repeat or contradict each other.
func TestLoadOpenMetricsOverlaps(t *testing.T) {
	load := func(texts ...string) error {
		var files []string
		for i, s := range texts {
			files = append(files, file(t, []string{"one.om", "two.om"}[i], []byte("# TYPE a gauge\n"+s+"# EOF\n")))
		}
		_, _, err := temporary(t).LoadOpenMetrics(context.Background(), files)
		return err
	}
	const first = "a 1 1772323200\na 2 1772323260\n"
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"the same again", load(first, "a 2 1772323260\na 3 1772323320\n"), nil},
		{"the same again at once", load("a 1 1772323200\na 1 1772323200\na NaN 1772323260\na NaN 1772323260\n"), nil},
		{"another value", load(first, "a 3 1772323260\n"), []string{"two.om:2:", `__name__="a"`, "2026-03-01T00:01:00Z"}},
		{"another value at once", load("a 1 1772323200\na 3 1772323200\n"), []string{"one.om:3:", `__name__="a"`, "2026-03-01T00:00:00Z", "another value"}},
		{"out of order over files", load(first, "b 1 1772323200\na 3 1772323230\n"), []string{"two.om:3:", `__name__="a"`, "so must the files"}},
		{"no time", load("a 1 1772323200\na 1 999999999999999\n"), []string{"one.om:3:", "no time"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				if c.err != nil {
					t.Error(c.err)
				}
				return
			}
			wantError(t, c.err, c.want...)
		})
	}
}
