package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/incident"
)

// faulty is an engine whose source can be down, and in which an alert of the
// team's own may fire.
type faulty struct {
	*Engine
	t            *testing.T
	now          time.Time
	down, firing bool
	sent         []alertmanager.Alert // as of the last step
	labels       map[string]int       // label sets that were ever sent
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{t: t, now: shopTime(0), labels: map[string]int{}}
	c := shopConfig(t, "groups: []\n")
	c.ReadAlerts, c.Edges, c.Versions = true, nil, nil
	e, err := New(Options{Config: c, Logger: slog.New(slog.DiscardHandler), Deliver: func(_ time.Time, alerts []alertmanager.Alert) {
		f.sent = alerts
		for _, a := range alerts {
			f.labels[a.Labels.String()]++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.Engine = e
	store := temporary(t).Store()
	store.Query = func(_ context.Context, expr string, _ time.Time) (promql.Vector, error) {
		switch {
		case f.down:
			return nil, errors.New("connection refused")
		case expr == firingAlerts && f.firing:
			return promql.Vector{{F: 1, Metric: labels.FromStrings("__name__", "ALERTS", "alertstate", "firing", "alertname", "Slow", "service", "web", "severity", "page")}}, nil
		}
		return nil, nil
	}
	if err := e.Attach(t.Context(), store, Live{}); err != nil {
		t.Fatal(err)
	}
	e.GoLive(f.now)
	return f
}

func (f *faulty) live(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(time.Minute)
		f.Tick(f.t.Context(), f.now)
	}
}

// fires wants one alert that Alertmanager takes to be firing.
func (f *faulty) fires(when string) {
	f.t.Helper()
	if len(f.sent) != 1 || len(f.labels) != 1 || !f.sent[0].EndsAt.After(f.now) {
		f.t.Fatalf("%s at %s: delivered %v, label sets %v; want one that fires", when, f.now, f.sent, f.labels)
	}
}

// A source that is down for an hour ends no incident: not to know whether an
// alert still fires is not to know that it does not.
func TestSourceDownForAnHour(t *testing.T) {
	f := newFaulty(t)
	f.live(10 * time.Minute)
	f.firing = true
	f.live(5 * time.Minute)
	f.fires("before")
	f.down = true
	f.live(time.Hour)
	f.fires("after an hour without the source")
	f.down = false
	f.live(20 * time.Minute)
	f.fires("with the source back")
	f.firing = false
	f.live(11 * time.Minute)
	if len(f.sent) != 1 || f.sent[0].EndsAt.After(f.now) || len(f.labels) != 1 {
		t.Errorf("when it is over: %v, want one that is resolved", f.sent)
	}
}

// A clock that jumps neither ends nor repeats what is open, and what was
// resolved does not fire again.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		f := newFaulty(t)
		f.firing = true
		f.live(5 * time.Minute)
		f.fires("before")
		f.now = f.now.Add(jump)
		f.firing = false // no sample is young enough
		f.live(2 * time.Minute)
		f.fires("after the jump")
		f.firing = true
		f.live(20 * time.Minute)
		f.fires("later")
		f.firing = false
		f.live(12 * time.Minute)
		f.now = f.now.Add(jump)
		for range 10 {
			f.live(time.Minute)
			for _, a := range f.sent {
				if a.EndsAt.After(f.now) {
					t.Fatalf("jump of %s after it was resolved: %v ends at %s, now is %s", jump, a.Labels, a.EndsAt, f.now)
				}
			}
		}
		if got := f.Incidents(); len(got) != 1 || got[0].State != incident.Resolved || len(f.labels) != 1 {
			t.Errorf("jump of %s: %v, want one resolved incident", jump, got)
		}
	}
}

// What an earlier run had open stays alive while the past is still replayed,
// and from the first step on there is no more talk of it.
func TestCarry(t *testing.T) {
	journal, _ := openJournal(t, filepath.Join(t.TempDir(), "j"))
	over := opened("over")
	over.State = incident.Resolved
	if err := journal.Append(opened("open"), over); err != nil {
		t.Fatal(err)
	}
	f := newFaulty(t)
	f.live(time.Minute)
	f.Carry(f.now)
	if len(f.sent) != 0 {
		t.Errorf("a live engine carried %v", f.sent)
	}
	f.Engine.live, f.o.Journal = false, journal
	f.Carry(f.now)
	f.fires("in the cold start")
	if got := f.sent[0].Labels.Get("incident"); got != "open" {
		t.Errorf("incident %s is carried, want the open one", got)
	}
}

// Whatever a snapshot holds: it is taken up or refused, without a panic, and
// without believing a length.
func FuzzSnapshot(f *testing.F) {
	var good bytes.Buffer
	good.WriteString(snapshotHeader)
	for _, frame := range []struct {
		what byte
		body string
	}{{frameRest, `{"time":"2026-03-02T10:00:00Z","identity":["service"],"firing":{"a":"2026-03-02T10:00:00Z"},"edges":[{}],"changes":[{}]}`}, {frameEnd, ""}} {
		if err := writeFrame(&good, frame.what, []byte(frame.body)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(good.Bytes())
	f.Add([]byte(snapshotHeader + "M\xff\xff\xff\x0f0000{}"))
	f.Add([]byte(snapshotHeader))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Bodies are guarded by checksums, which no fuzzer finds: they are put right.
		if body, ok := bytes.CutPrefix(data, []byte(snapshotHeader)); ok && len(body) > 9 {
			data = bytes.Clone(data)
			head := data[len(snapshotHeader):]
			if n := binary.LittleEndian.Uint32(head[1:]); int(n) <= len(head)-9 {
				binary.LittleEndian.PutUint32(head[5:], crc32.Checksum(head[9:9+n], castagnoli))
			}
		}
		s := newFaulty(t)
		if rest, err := s.restore(bytes.NewReader(data), func(time.Time) error { return nil }); err == nil {
			s.Tick(t.Context(), rest.Time.Add(time.Minute))
		}
	})
}
