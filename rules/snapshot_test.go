package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/teststorage"
)

const snapshotRules = `
groups:
- name: g
  interval: 1m
  rules:
  - {detect: Requests, expr: requests, signal: traffic, false_alarms: 1 per 1d, for: 2m}
  - {detect: Gone, expr: requests, signal: traffic, detector: silence, by: [service]}
  - {detect: Errors, expr: requests > bool 10, signal: errors, detector: rate, of: requests}
`

const snapshotLoad = `load 1m
  requests{service="a",pod="1"} 5+0.1x20 7-0.2x20 3 9 5 8 4 6 5+0.1x80 40x30 7x60
  requests{service="a",pod="2"} 4+0.3x20 9-0.2x20 2 7 5 5 4 6 5x100 stale
  requests{service="b",pod="3"} 50x20 48x20 3x100 90x20
`

func (b *bench) snapshot() (frames [][]byte) {
	b.Helper()
	if err := b.Snapshot(func(f []byte) error { frames = append(frames, bytes.Clone(f)); return nil }); err != nil {
		b.Fatal(err)
	}
	return frames
}

func framesOf(frames [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, f := range frames {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// minute is all that the rules say in an evaluation, and what they learnt.
func (b *bench) minute(i int) string {
	b.Helper()
	b.eval(time.Duration(i) * time.Minute)
	var out strings.Builder
	for _, e := range b.evaluations {
		fmt.Fprintf(&out, "%s\n%s\n", e.Rule.Name(), readings(e))
	}
	for _, f := range b.snapshot() {
		fmt.Fprintf(&out, "%q\n", f)
	}
	return out.String()
}

// TestSnapshot: a manager that takes up what another one learnt goes on as if
// it had been that one, at whatever time it does.
func TestSnapshot(t *testing.T) {
	const minutes = 230
	// live returns what each minute says, with another manager from the given one on.
	live := func(taken int) (out [minutes]string) {
		b := newBench(t, snapshotLoad, fmt.Sprintf(oneRule, ""))
		b.updateReal(snapshotRules)
		var holds []Hold
		for i := range out {
			switch i {
			case 128:
				holds = []Hold{{Rule: "Requests", Series: `{pod="1", service="a"}`, Since: at(125 * time.Minute), Accept: true}}
			case 190:
				holds = nil
			}
			if i == taken {
				frames := b.snapshot()
				b.Manager = b.manager()
				b.updateReal(snapshotRules)
				if err := b.Restore(framesOf(frames)); err != nil {
					t.Fatalf("at minute %d: %v", taken, err)
				}
			}
			b.Hold(holds)
			out[i] = b.minute(i)
		}
		return out
	}
	want := live(-1)
	for _, taken := range []int{1, 8, 61, 130, 151, 186} {
		got := live(taken)
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("taken at minute %d: minute %d:\ngot\n%s\nwant\n%s", taken, i, got[i], want[i])
				break
			}
		}
	}
}

// TestSnapshotFrames: many series are in several frames, in any number of which
// a rule is complete.
func TestSnapshotFrames(t *testing.T) {
	load := "load 1m\n"
	for i := range 2*frameSeries + 1 {
		load += fmt.Sprintf("  requests{service=\"a\",pod=\"%d\"} %d\n", i, i)
	}
	b := newBench(t, load, fmt.Sprintf(oneRule, ""))
	b.updateReal("groups: [{name: g, rules: [{detect: R, expr: requests, signal: traffic}]}]")
	b.eval(0)
	frames := b.snapshot()
	if len(frames) != 3 {
		t.Fatalf("%d frames, want 3", len(frames))
	}
	b.Manager = b.manager()
	b.updateReal("groups: [{name: g, rules: [{detect: R, expr: requests, signal: traffic}]}]")
	if err := b.Restore(framesOf(frames)); err != nil {
		t.Fatal(err)
	}
	if got := b.snapshot(); !slices.EqualFunc(got, frames, bytes.Equal) {
		t.Error("the frames of what was restored are others")
	}
}

func TestRestoreErrors(t *testing.T) {
	b := newBench(t, snapshotLoad, fmt.Sprintf(oneRule, ""))
	b.updateReal(snapshotRules)
	for i := range 30 {
		b.eval(time.Duration(i) * time.Minute)
	}
	good := b.snapshot()
	change := func(f func(frames [][]byte) [][]byte) iter.Seq2[[]byte, error] {
		var frames [][]byte
		for _, g := range good {
			frames = append(frames, bytes.Clone(g))
		}
		return framesOf(f(frames))
	}
	for _, c := range []struct {
		name   string
		frames iter.Seq2[[]byte, error]
		want   string
	}{
		{"nothing", framesOf(nil), "nothing of detection rule"},
		{"one rule is missing", framesOf(good[1:]), `nothing of detection rule "Requests"`},
		{"an error of reading", func(yield func([]byte, error) bool) { yield(nil, errors.New("disk on fire")) }, "disk on fire"},
		{"another version", change(func(f [][]byte) [][]byte { f[0][0] = 9; return f }), "frame of version 9"},
		{"cut off", change(func(f [][]byte) [][]byte { f[0] = f[0][:len(f[0])-1]; return f }), "the bytes end early"},
		{"too long", change(func(f [][]byte) [][]byte { f[0] = append(f[0], 0); return f }), "1 bytes too many"},
		{"twice", change(func(f [][]byte) [][]byte { return append(f, f[0]) }), "is there twice"},
		{"a state is damaged", change(func(f [][]byte) [][]byte { f[0][len(f[0])-20] ^= 1; return f }), "the checksum does not match"},
		{"empty", framesOf([][]byte{nil}), "the bytes end early"},
	} {
		err := b.Restore(c.frames)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if got := b.snapshot(); !slices.EqualFunc(got, good, bytes.Equal) {
		t.Error("a failed restoration changed what was learnt")
	}
	b.updateReal(strings.Replace(snapshotRules, "  - {detect: Gone", "  - {record: x, expr: vector(1)}\n  - {detect: Gone", 1))
	if err := b.Restore(framesOf(good)); err != nil {
		t.Errorf("with another rule beside them: %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	b := newBench(f, snapshotLoad, fmt.Sprintf(oneRule, ""))
	b.updateReal(snapshotRules)
	for i := range 30 {
		b.eval(time.Duration(i) * time.Minute)
	}
	for _, frame := range b.snapshot() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		b := &bench{TB: t, Manager: b.Manager}
		before := b.snapshot()
		if err := b.Restore(framesOf([][]byte{frame})); err == nil {
			t.Fatal("one frame is complete")
		}
		if after := b.snapshot(); !slices.EqualFunc(before, after, bytes.Equal) {
			t.Fatal("a failed restoration changed what was learnt")
		}
	})
}

// BenchmarkRestore takes up what rules of 100,000 series learnt; BenchmarkSnapshot
// hands it over.
func BenchmarkRestore(b *testing.B) {
	m, frames := learntOf100000(b)
	for b.Loop() {
		if err := m.Restore(framesOf(frames)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sizeOf(frames))/100_000, "B/series")
}

func BenchmarkSnapshot(b *testing.B) {
	m, _ := learntOf100000(b)
	for b.Loop() {
		if err := m.Snapshot(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func sizeOf(frames [][]byte) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

func learntOf100000(b *testing.B) (*Manager, [][]byte) {
	b.Helper()
	var text strings.Builder
	text.WriteString("groups:\n- name: g\n  interval: 1m\n  rules:\n")
	for i := range 10 {
		fmt.Fprintf(&text, "  - {detect: D%d, expr: requests, signal: traffic}\n", i)
	}
	var v promql.Vector
	for i := range 10_000 {
		v = append(v, promql.Sample{F: float64(i % 17), Metric: labels.FromStrings("__name__", "requests", "namespace", "shop", "service", fmt.Sprintf("service-%d", i%300), "pod", fmt.Sprintf("pod-%d", i))})
	}
	h := &bench{TB: b, storage: teststorage.New(b)}
	b.Cleanup(func() { h.storage.Close() })
	h.Manager = h.manager(func(o *Options) {
		o.SkipOutputs, o.OnEvaluation = true, nil
		o.Query = func(context.Context, string, time.Time) (promql.Vector, error) { return v, nil }
	})
	h.updateReal(text.String())
	for i := range 3 {
		h.eval(time.Duration(i) * time.Minute)
	}
	return h.Manager, h.snapshot()
}
