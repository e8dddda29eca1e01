package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// counted is a server in front of another that counts the requests.
func counted(t *testing.T, behind string) (string, *atomic.Int32) {
	t.Helper()
	u, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	asked := &atomic.Int32{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// replayAll asks all expressions at each step, as a replay does, and returns all answers.
func replayAll(t *testing.T, q QueryFunc, exprs []string, from, to time.Time, step time.Duration) string {
	t.Helper()
	var b strings.Builder
	for ts := from; !ts.After(to); ts = ts.Add(step) {
		for _, expr := range exprs {
			v, err := q(context.Background(), expr, ts)
			if err == nil && !isOrdered(expr) {
				sorted(v)
			}
			fmt.Fprintf(&b, "%s @%s: %s%v\n", expr, ts, text(v), err)
		}
	}
	return b.String()
}

// A second replay of the same span asks the server nothing, and both get what
// instant queries get: also where a query always fails, or is asked step by step.
func TestWindowsSecondRunAsksNothing(t *testing.T) {
	behind := temporary(t)
	shop(t, behind.db)
	api := httptest.NewServer(queryAPI(behind))
	t.Cleanup(api.Close)
	var exprs []string
	for _, c := range shopQueries {
		if !strings.Contains(c.expr, `({service="s0"})`) { // may read our outputs: refused by remote stores
			exprs = append(exprs, c.expr)
		}
	}
	exprs = append(exprs,
		`pool_in_use * on () up`, // fails at each step
		`rate({__name__=~"requests_total|latency_bucket"}[1m])`,
	)
	testSecondRun(t, api.URL+"/prom", exprs, t0.Add(3*time.Minute), t0.Add(40*time.Minute), 30*time.Second)
}

func TestWindowsSecondRunOverPrometheus(t *testing.T) {
	const n = 5 * 60
	p, _ := prometheusWithPast(t, n)
	exprs := []string{
		`rate(past[5m])`, `past{s="3"}`, `sum(past * past)`, `sort_desc(past)`, `topk(3, past)`, `absent(past)`, `nothing`,
		`past * on () past`, `count by (s) (past offset -3m)`, `max_over_time(sum(rate(past[5m]))[20m:1m])`, `ALERTS`, `scalar(sum(past))`,
	}
	testSecondRun(t, p.URL, exprs, t0.Add(7*time.Minute), t0.Add((n+10)*time.Minute), 6*time.Minute)
}

func testSecondRun(t *testing.T, behind string, exprs []string, from, to time.Time, step time.Duration) {
	t.Helper()
	at, asked := counted(t, behind)
	dir := t.TempDir()
	remote := newRemote(t, at, RemoteOptions{Concurrency: 1})
	over := Overlay(remote.Store(), temporary(t), map[string]bool{"job:x": true})
	want := replayAll(t, over.Query, exprs, from, to, step)
	if strings.Contains(want, ErrUnavailable.Error()) {
		t.Fatal("the server does not answer")
	}
	o := WindowsOptions{Store: over, Own: map[string]bool{"job:x": true}, From: from, To: to, Steps: 50, Key: remote.Key()}
	alone := asked.Load()
	for run := range 3 {
		w := NewWindows(o)
		err := w.Load(dir)
		if run == 0 && !errors.Is(err, fs.ErrNotExist) || run > 0 && err != nil {
			t.Errorf("run %d: load: %v", run, err)
		}
		before := asked.Load()
		for again := range 2 {
			if got := replayAll(t, w.For(step), exprs, from, to, step); got != want {
				t.Errorf("run %d.%d differs from instant queries: %s", run, again, firstDifference(got, want))
			}
		}
		switch n := asked.Load() - before; {
		case run == 0 && n >= alone:
			t.Errorf("asked %d times, want fewer than instant queries' %d", n, alone)
		case run > 0 && n != 0:
			t.Errorf("run %d: asked %d times, want 0; stats %+v", run, n, w.Stats())
		}
		if err := w.Save(dir); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if n := w.Stats().Lost; n != 0 {
			t.Errorf("run %d: %d steps were lost, though there is room", run, n)
		}
		if w.tables.held != 0 || w.spans.Load() != 0 {
			t.Errorf("after the end %d bytes of label sets and %d spans are held", w.tables.held, w.spans.Load())
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\ngot  %s\nwant %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// saved is the file that a small replay leaves.
func saved(t testing.TB, steps int) []byte {
	t.Helper()
	in := temporary(t)
	shop(t, in.db)
	w := NewWindows(WindowsOptions{Store: in.Store(), Key: "k", From: t0, To: t0.Add(time.Duration(steps-1) * 30 * time.Second)})
	defer w.Close()
	for i := range steps {
		for _, expr := range []string{`up`, `sort_desc(pool_in_use)`, `nothing`} {
			if _, err := w.For(30*time.Second)(context.Background(), expr, t0.Add(time.Duration(i)*30*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := w.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWindowsLoadErrors(t *testing.T) {
	good := saved(t, 20)
	if again := saved(t, 20); !bytes.Equal(good, again) {
		t.Error("the same replay saved something else the second time")
	}
	with := func(at int, b byte) []byte { c := slices.Clone(good); c[at] ^= b; return c }
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"good", good, nil},
		{"empty", nil, errNotSaved},
		{"foreign", []byte("# TYPE a gauge\na 1 1772323200\n"), errNotSaved},
		{"other version", bytes.Replace(good, []byte("windows 1"), []byte("windows 2"), 1), errNotSaved},
		{"header alone", good[:len(savedMagic)], errTorn},
		{"torn", good[:len(good)/2], errTorn},
		{"without its end", good[:len(good)-10], errTorn},
		{"without its last byte", good[:len(good)-1], errTorn},
		{"longer", append(slices.Clone(good), 0), errDamaged},
		{"twice", append(slices.Clone(good), good...), errDamaged},
		{"a bit of a value", with(len(good)-100, 4), errDamaged},
		{"a bit of the key", with(len(savedMagic)+5, 1), errDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(savedPath(dir, "k"), c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			in := temporary(t)
			shop(t, in.db)
			w := NewWindows(WindowsOptions{Store: in.Store(), Key: "k"})
			defer w.Close()
			err := w.Load(dir)
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("load: got %v, want %v", err, c.want)
			}
			if err != nil {
				wantError(t, err, savedPath(dir, "k"), "asked anew")
			}
			// It works in any case, and the next save makes it good.
			wantValues(t, w.For(30*time.Second), `up{service="s0"}`, t0.Add(30*time.Second), `{__name__="up", service="s0"} 1`)
			if got := w.Stats().Loaded; (got > 0) != (c.want == nil) {
				t.Errorf("%d steps were loaded", got)
			}
			if err := w.Save(dir); err != nil {
				t.Error(err)
			}
			again := NewWindows(WindowsOptions{Store: in.Store(), Key: "k"})
			defer again.Close()
			if err := again.Load(dir); err != nil {
				t.Errorf("load of what was saved over it: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWindowsKeys(t *testing.T) {
	dir := t.TempDir()
	in := temporary(t)
	for _, key := range []string{"a", "b"} {
		w := NewWindows(WindowsOptions{Store: in.Store(), Key: key})
		if err := w.Save(dir); err != nil {
			t.Fatal(err)
		}
		wantError(t, func() error {
			if _, err := w.For(time.Minute)(context.Background(), `up`, t0); err != nil {
				return err
			}
			return w.Load(dir)
		}(), "has begun")
		w.Close()
	}
	// One source's file under the name of another.
	if err := os.Rename(savedPath(dir, "a"), savedPath(dir, "b")); err != nil {
		t.Fatal(err)
	}
	w := NewWindows(WindowsOptions{Store: in.Store(), Key: "b"})
	defer w.Close()
	if err := w.Load(dir); !errors.Is(err, errOtherKey) {
		t.Errorf("load of another source's file: %v", err)
	}
	none := NewWindows(WindowsOptions{Store: in.Store()})
	defer none.Close()
	wantError(t, none.Load(dir), "with a key")
	wantError(t, none.Save(dir), "with a key")
}

// What this replay writes itself is not taken from a saved one that read it from the source.
func TestWindowsLoadLeavesOwnOut(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	dir := t.TempDir()
	first := NewWindows(WindowsOptions{Store: in.Store(), Key: "k"})
	defer first.Close()
	mustQuery(t, first.For(time.Minute), `up`, t0)
	if err := first.Save(dir); err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{"up": true}
	w := NewWindows(WindowsOptions{Store: Overlay(in.Store(), temporary(t), own), Own: own, Key: "k"})
	defer w.Close()
	if err := w.Load(dir); err != nil {
		t.Fatal(err)
	}
	wantValues(t, w.For(time.Minute), `up`, t0)
}

// FuzzWindowsLoad gives any records the right checksums: no panic, no answer
// that cannot be given, nothing left where it fails.
func FuzzWindowsLoad(f *testing.F) {
	good := saved(f, 2)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(savedMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := NewWindows(WindowsOptions{Key: "k"})
		defer w.Close()
		if err := w.load(bytes.NewReader(mend(data))); err != nil {
			if len(w.keys) > 0 || w.tables.held != 0 || w.spans.Load() != 0 {
				t.Errorf("after %v there are %d windows, %d bytes and %d spans", err, len(w.keys), w.tables.held, w.spans.Load())
			}
			return
		}
		for key, k := range w.keys {
			for _, s := range slices.Clone(k.spans) {
				for _, i := range []int64{s.first, s.last} {
					if _, ok, _ := w.at(k, i, i*key.step+key.offset); !ok {
						t.Errorf("step %d of %+v cannot be decoded", i, s)
					}
				}
			}
		}
	})
}

// mend puts the right checksums into records.
func mend(data []byte) []byte {
	if !bytes.HasPrefix(data, []byte(savedMagic)) {
		return data
	}
	out := slices.Clone(data)
	for at := len(savedMagic); at+9 <= len(out); {
		n := int(binary.LittleEndian.Uint32(out[at+1:]))
		end := at + 5 + n
		if n > maxRecord || end+4 > len(out) {
			break
		}
		binary.LittleEndian.PutUint32(out[end:], crc32.Checksum(out[:end], crcTable))
		at = end + 4
	}
	return out
}

// Queries of several windows at a time, while the cache is too small for them.
func TestWindowsConcurrent(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	w := NewWindows(WindowsOptions{Store: in.Store(), Steps: 20, Key: "k"})
	defer w.Close()
	done := make(chan error)
	exprs := []string{`up`, `pool_in_use`, `sort(pool_in_use)`, `rate(requests_total[1m])`}
	for g := range 8 {
		go func() {
			for i := range 200 {
				ts := t0.Add(time.Duration((i*(g+1))%230) * 15 * time.Second)
				expr := exprs[(g+i)%len(exprs)]
				got, err := w.For(15*time.Second)(context.Background(), expr, ts)
				if err != nil {
					done <- err
					return
				}
				var want promql.Vector
				if want, err = in.query(context.Background(), expr, ts); err != nil {
					done <- err
					return
				}
				if text(sorted(slices.Clone(got))) != text(sorted(want)) {
					done <- fmt.Errorf("%s at %s: got %s, want %s", expr, ts, text(got), text(want))
					return
				}
				if g == 0 && i%50 == 0 {
					w.cache.Reset()
				}
				if g == 1 && i%50 == 0 {
					if err := w.write(&bytes.Buffer{}); err != nil {
						done <- err
						return
					}
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
