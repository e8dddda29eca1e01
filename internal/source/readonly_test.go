package source

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/peers"
)

// fingerprint is all names, modes, times and bytes below a directory.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d %s", path, st.Mode(), st.Size(), st.ModTime())
		if d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(text))
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// past writes n samples, one a minute, of 20 series into a data directory.
func past(t *testing.T, dir string, n int, o LocalOptions) {
	t.Helper()
	o.Dir = dir
	l, err := OpenLocal(o)
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.WriteHistory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		ms := t0.Add(time.Duration(i) * time.Minute).UnixMilli()
		for s := range 20 {
			name := labels.FromStrings("__name__", "past", "s", fmt.Sprint(s))
			if _, err := h.Append(0, name, ms, float64(i*s)); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Commit(ms); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readOnly(t *testing.T, dir string) *ReadOnly {
	t.Helper()
	tmp := t.TempDir()
	r, err := OpenReadOnly(dir, ReadOnlyOptions{Dir: tmp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("left in the temporary directory: %v, %v", left, err)
		}
	})
	return r
}

// checkPast compares with what past wrote.
func checkPast(t *testing.T, r *ReadOnly, n int) {
	t.Helper()
	s := r.Store()
	for _, i := range []int{0, 1, n / 2, n - 1} {
		ts := t0.Add(time.Duration(i) * time.Minute)
		wantValues(t, s.Query, `past{s=~"3|7"}`, ts, fmt.Sprintf(`{__name__="past", s="3"} %v`, 3*i), fmt.Sprintf(`{__name__="past", s="7"} %v`, 7*i))
	}
	end := t0.Add(time.Duration(n-1) * time.Minute)
	wantValues(t, s.Query, `sum(count_over_time(past[30d]))`, end, fmt.Sprintf(`{} %d`, 20*n))
	m, err := s.Range(context.Background(), `sum(past)`, t0, end, time.Minute)
	if err != nil || len(m) != 1 || len(m[0].Floats) != n || m[0].Floats[n-1].F != float64(190*(n-1)) {
		t.Errorf("range: got %v, %v", m, err)
	}
	wantValues(t, s.Query, `past`, t0.AddDate(-1, 0, 0)) // no block is there
	from, to := r.Span()
	if from.After(t0) || from.Before(t0.Add(-2*time.Hour)) || to.Before(end) || to.After(end.Add(2*time.Hour)) {
		t.Errorf("covers %s to %s, want %s to %s", from, to, t0, end)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	const n = 10 * 60
	past(t, dir, n, LocalOptions{})
	before := fingerprint(t, dir)
	r := readOnly(t, dir)
	checkPast(t, r, n)

	a := r.Store().Appendable.Appender(context.Background())
	_, err := a.Append(0, labels.FromStrings("__name__", "x"), 0, 0)
	wantError(t, err, dir, "reading only")
	wantError(t, a.Commit(), "reading only")

	// As the input of a replay.
	results := temporary(t)
	over := Overlay(r.Store(), results, map[string]bool{"past": true})
	wantValues(t, over.Query, `past`, t0)
	wantValues(t, over.Query, `count(past{s="1"} offset 1m)`, t0.Add(time.Minute))
	over = Overlay(r.Store(), results, nil)
	wantValues(t, over.Query, `count(past)`, t0, `{} 20`)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if after := fingerprint(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// A directory that nobody may write to, as a mounted snapshot.
func TestReadOnlyDirectoryMode(t *testing.T) {
	dir := t.TempDir()
	past(t, dir, 60, LocalOptions{})
	var dirs []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if err := os.Chmod(d, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(d, 0o700)
	}
	checkPast(t, readOnly(t, dir), 60)
}

// Samples out of order are in a log of their own.
func TestReadOnlyOutOfOrder(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLocal(LocalOptions{Dir: dir, OutOfOrderWindow: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 30, 50, 10, 20, 40} {
		a := l.db.Appender(context.Background())
		if _, err := a.Append(0, labels.FromStrings("__name__", "late"), t0.Add(time.Duration(i)*time.Minute).UnixMilli(), float64(i)); err != nil {
			t.Fatal(err)
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, dir)
	r := readOnly(t, dir)
	for _, i := range []int{0, 10, 20, 30, 40, 50} {
		wantValues(t, r.query, `late`, t0.Add(time.Duration(i)*time.Minute), fmt.Sprintf(`{__name__="late"} %d`, i))
	}
	if after := fingerprint(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// What a crash leaves: the log ends in the middle of a record.
func TestReadOnlyTornLog(t *testing.T) {
	dir := t.TempDir()
	past(t, dir, 60, LocalOptions{})
	logs, err := filepath.Glob(filepath.Join(dir, "wal", "0*"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, f := range logs {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() > 1000 {
			if err := os.Truncate(f, st.Size()-10); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := fingerprint(t, dir)
	r := readOnly(t, dir)
	if v := mustQuery(t, r.query, `past{s="3"}`, t0.Add(10*time.Minute)); len(v) != 1 || v[0].F != 30 {
		t.Errorf("before the tear: got %v, want 30", v)
	}
	if after := fingerprint(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\nbefore:\n%s", after, before)
	}
}

func TestReadOnlyErrors(t *testing.T) {
	open := func(dir string) error {
		r, err := OpenReadOnly(dir, ReadOnlyOptions{Dir: t.TempDir()})
		if err == nil {
			r.Close()
		}
		return err
	}
	dir := t.TempDir()
	wantError(t, open(filepath.Join(dir, "absent")), "absent", "no such file")
	wantError(t, open(file(t, "a.om", []byte(smallCase))), "a.om", "it is a file")
	wantError(t, open(dir), "is no TSDB directory", "meta.json", "wal/")
	if err := os.MkdirAll(filepath.Join(dir, "data", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	wantError(t, open(dir), "is no TSDB directory", filepath.Join(dir, "data")+" looks like one")
	wantError(t, open(filepath.Join(dir, "data")), "is empty")

	past(t, dir, 10*60, LocalOptions{})
	blocks, err := filepath.Glob(filepath.Join(dir, "*", "index"))
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	damage := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	index, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	block := filepath.Base(filepath.Dir(blocks[0]))
	damage(blocks[0], []byte("not an index"))
	wantError(t, open(dir), dir, block, "corrupted block")
	damage(blocks[0], index)
	damage(filepath.Join(dir, block, "meta.json"), []byte("{"))
	wantError(t, open(dir), dir, block, "damaged", "meta.json")
}

// Blocks that promtool made of OpenMetrics, without a write-ahead log.
func TestReadOnlyPromtoolBlocks(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), peers.Path(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file(t, "a.om", []byte(smallCase)), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	before := fingerprint(t, dir)
	r := readOnly(t, dir)
	wantValues(t, r.query, `requests_total`, t0.Add(61*time.Second), `{__name__="requests_total", code="200"} 5`, `{__name__="requests_total", code="500"} 0`)
	if after := fingerprint(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// dataDir is where a running Prometheus keeps its data.
func dataDir(t *testing.T, p *peers.Process) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.URL + "/api/v1/status/flags")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ Data map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Data["storage.tsdb.path"]
}

// prometheusWithPast starts the real Prometheus over what past writes.
func prometheusWithPast(t *testing.T, n int) (p *peers.Process, dir string) {
	t.Helper()
	p = peers.Prometheus(t, "global: {scrape_interval: 1s}\n")
	dir = dataDir(t, p)
	p.Stop(t)
	past(t, dir, n, LocalOptions{})
	p.Start(t)
	return p, dir
}

func TestReadOnlyBesidePrometheus(t *testing.T) {
	const n = 7 * 60
	p, dir := prometheusWithPast(t, n)
	before := fingerprint(t, dir)
	r := readOnly(t, dir)
	checkPast(t, r, n)
	if after := fingerprint(t, dir); after != before {
		t.Errorf("the directory has changed:\n%s\nbefore:\n%s", after, before)
	}
	// It works on as if nothing had been, and both answer the same.
	remote := newRemote(t, p.URL, RemoteOptions{})
	for _, expr := range []string{`rate(past[5m])`, `sum(past)`, `absent(past{s="x"})`} {
		for i := 0; i < n+10; i += 37 {
			ts := t0.Add(time.Duration(i) * time.Minute)
			got, want := mustQuery(t, r.query, expr, ts), mustQuery(t, remote.query, expr, ts)
			if text(sorted(got)) != text(sorted(want)) {
				t.Fatalf("%s at %s: got\n%swant what Prometheus says\n%s", expr, ts, text(got), text(want))
			}
		}
	}
}

// Beside a Prometheus that writes all the time, so that its log grows.
func TestReadOnlyWhileItIsWritten(t *testing.T) {
	rules := file(t, "rules.yml", []byte("groups: [{name: a, interval: 50ms, rules: [{record: up, expr: time()}]}]\n"))
	p := peers.Prometheus(t, fmt.Sprintf("rule_files: [%q]\n", rules))
	dir := dataDir(t, p)
	remote := newRemote(t, p.URL, RemoteOptions{})
	eventually(t, "samples of its own rule", func() bool {
		v, err := remote.query(context.Background(), `count_over_time(up[1h])`, time.Now())
		return err == nil && len(v) == 1 && v[0].F >= 3
	})
	for range 5 {
		r := readOnly(t, dir)
		_, to := r.Span()
		if v := mustQuery(t, r.query, `count_over_time(up[1h])`, to); len(v) != 1 || v[0].F < 1 || math.IsNaN(v[0].F) {
			t.Errorf("up: got %v, want some samples", v)
		}
	}
}
