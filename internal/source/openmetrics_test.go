package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

func file(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const smallCase = `# HELP requests Requests.
# TYPE requests counter
requests_total{code="200"} 1 1772323200
requests_total{code="200"} 5 1772323260.5
requests_total{code="500"} 0 1772323200
# TYPE latency histogram
latency_bucket{le="1"} 3 1772323200
latency_bucket{le="+Inf"} 4 1772323200
# EOF
`

func TestLoadOpenMetrics(t *testing.T) {
	for name, data := range map[string][]byte{"plain": []byte(smallCase), "gzip": zipped(t, smallCase)} {
		l := temporary(t)
		from, to, err := l.LoadOpenMetrics(context.Background(), []string{file(t, name, data)})
		if err != nil {
			t.Fatal(err)
		}
		if !from.Equal(t0) || !to.Equal(t0.Add(60500*time.Millisecond)) {
			t.Errorf("%s: got %s to %s", name, from, to)
		}
		wantValues(t, l.query, `requests_total`, to, `{__name__="requests_total", code="200"} 5`, `{__name__="requests_total", code="500"} 0`)
		wantValues(t, l.query, `latency_bucket`, t0, `{__name__="latency_bucket", le="1.0"} 3`, `{__name__="latency_bucket", le="+Inf"} 4`)
	}
}

// A case of several chunks, grouped by series, in two files that follow each other.
func TestLoadOpenMetricsLarge(t *testing.T) {
	const series, n = 40, 2000
	text := func(from int) string {
		var b strings.Builder
		b.WriteString("# TYPE latency histogram\n")
		for s := range series {
			for i := range n {
				fmt.Fprintf(&b, "latency_bucket{service=\"a rather long name of a service %d\",le=\"1\"} %d %d\n", s, i, t0.Unix()+int64(from+i)*15)
			}
		}
		b.WriteString("# EOF\n")
		return b.String()
	}
	one, two := text(0), text(n)
	if len(one) < 2*chunkBytes {
		t.Fatalf("the file has %d bytes: too small for this test", len(one))
	}
	l := temporary(t)
	from, to, err := l.LoadOpenMetrics(context.Background(), []string{file(t, "a.om", []byte(one)), file(t, "b.om.gz", zipped(t, two))})
	if err != nil {
		t.Fatal(err)
	}
	if want := t0.Add((2*n - 1) * 15 * time.Second); !from.Equal(t0) || !to.Equal(want) {
		t.Errorf("got %s to %s, want %s to %s", from, to, t0, want)
	}
	wantValues(t, l.query, `sum(count_over_time(latency_bucket{le="1.0"}[30d]))`, to, fmt.Sprintf(`{} %d`, 2*n*series))

	_, _, err = temporary(t).LoadOpenMetrics(context.Background(), []string{file(t, "b", []byte(two)), file(t, "a", []byte(one))})
	wantError(t, err, "a:2:", "out of order", "so must the files")
}

func TestLoadOpenMetricsErrors(t *testing.T) {
	long := "# TYPE a gauge\n" + strings.Repeat("a 1 1772323200\n", 100_000)
	for _, c := range []struct {
		name string
		data string
		want []string
	}{
		{"no time", "# TYPE a gauge\na{b=\"c\"} 1\n# EOF\n", []string{":2:", `a{b="c"}`, "no timestamp"}},
		{"garbage", "a 1 1772323200\n<html>\n# EOF\n", []string{":2:"}},
		{"garbage late", long + "a{ 1 1\n# EOF\n", []string{":100002:"}},
		{"cut off", "a 1 1772323200\n", []string{":2:", "# EOF is missing"}},
		{"text after the end", "a 1 1772323200\n# EOF\na 2 1772323201\n", []string{":3:", "text after # EOF"}},
		{"order", "a 1 1772323200\na 2 1772323100\n# EOF\n", []string{":2:", `__name__="a"`, "order"}},
		{"two values", "a 1 1772323200\na 2 1772323200\n# EOF\n", []string{":2:", `__name__="a"`, "2026-03-01T00:00:00Z"}},
		{"no sample", "# EOF\n", []string{"no sample"}},
		{"long line", "a 1 1772323200\n# HELP a " + strings.Repeat("x", maxLineBytes), []string{":2:", "longer than"}},
		{"broken gzip", string(zipped(t, smallCase)[:40]), []string{"cannot be read"}},
		{"empty gzip", "\x1f\x8b", []string{"broken gzip"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, "broken.om", []byte(c.data))
			_, _, err := temporary(t).LoadOpenMetrics(context.Background(), []string{path})
			wantError(t, err, append(c.want, "broken.om")...)
		})
	}
	_, _, err := temporary(t).LoadOpenMetrics(context.Background(), []string{"absent.om"})
	wantError(t, err, "absent.om", "no such file")
	_, _, err = local(t, LocalOptions{}).LoadOpenMetrics(context.Background(), nil)
	wantError(t, err, "temporary store only")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = temporary(t).LoadOpenMetrics(ctx, []string{file(t, "a.om", []byte(smallCase))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("done context: got %v", err)
	}
}

// Whatever a file holds: no panic, and an error names its line.
func FuzzLoadOpenMetrics(f *testing.F) {
	f.Add([]byte(smallCase))
	f.Add([]byte("a 1\n# EOF\n"))
	f.Add([]byte("# TYPE a histogram\na_bucket{le=\"1\"} NaN 1e300 # {x=\"y\"} 1 1\n# EOF"))
	f.Add([]byte("{\"ä.b\",\"c d\"=\"e\"} -Inf 0.001\n# EOF\n"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("a 1 -62135596800\nb 1 253402300799\n# EOF\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newLoader(context.Background(), nowhere{}, func() {})
		err := d.read(bytes.NewReader(data))
		var at *lineError
		if err != nil && (!errors.As(err, &at) || at.line < 1 || at.line > 2+bytes.Count(data, []byte("\n"))) {
			t.Errorf("error %q does not name a line of the file", err)
		}
		if err == nil && d.oldest <= d.newest && (time.UnixMilli(d.oldest).Year() < 1 || time.UnixMilli(d.newest).Year() > 9999) {
			t.Errorf("loaded from %d to %d", d.oldest, d.newest)
		}
	})
}

// nowhere takes all samples of floats and keeps none.
type nowhere struct{}

func (nowhere) Appender(context.Context) storage.Appender { return &nowhereAppender{} }

type nowhereAppender struct{ storage.Appender }

func (*nowhereAppender) Append(ref storage.SeriesRef, l labels.Labels, _ int64, _ float64) (storage.SeriesRef, error) {
	if ref == 0 {
		ref = storage.SeriesRef(1 + l.Hash()%1000)
	}
	return ref, nil
}
func (*nowhereAppender) Commit() error   { return nil }
func (*nowhereAppender) Rollback() error { return nil }
