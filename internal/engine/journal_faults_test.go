package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/peers"
)

// An entry that was written by half when the disk was full is neither in the
// way of the entries after it, nor is it lost once there is space again.
func TestJournalOnFullDisk(t *testing.T) {
	for _, room := range []int{0, 1, 40} {
		path := filepath.Join(t.TempDir(), "j")
		j, _ := openJournal(t, path)
		if err := j.Append(opened("a")); err != nil {
			t.Fatal(err)
		}
		j.file.Disk = &peers.FullDisk{Disk: j.file.Disk, Room: room}
		if err := j.Append(opened("b")); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) || !j.Behind() {
			t.Fatalf("room for %d bytes: error %v, behind %t; want ENOSPC with the path, and behind", room, err, j.Behind())
		}
		if crashed, log := openJournal(t, copied(t, path)); log != "" || len(crashed.Past()) != 1 {
			t.Errorf("room for %d bytes: after a crash there are %v, want a alone; log %s", room, ids(crashed.Past()), log)
		}
		if err := j.Append(opened("c")); err != nil {
			t.Fatal(err)
		}
		again, log := openJournal(t, copied(t, path))
		if diff := cmp.Diff([]string{"a open", "b open", "c open"}, ids(again.Past())); diff != "" || log != "" || j.Behind() {
			t.Errorf("room for %d bytes (-want +got):\n%s\nlog: %s", room, diff, log)
		}
	}
}

// A compaction that fails leaves the old file in use.
func TestJournalCompactionFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := openJournal(t, path)
	j.size = maxJournal
	if err := os.Mkdir(path+".new", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(opened("a")); err == nil {
		t.Fatal("no error")
	}
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(); err != nil {
		t.Fatal(err)
	}
	if again, log := openJournal(t, copied(t, path)); len(again.Past()) != 1 || log != "" {
		t.Errorf("%d entries, want 1; log %s", len(again.Past()), log)
	}
}

// An open incident is not forgotten because many came and went after it.
func TestJournalKeepsOpenIncidents(t *testing.T) {
	j := &Journal{}
	j.remember(opened("old"))
	for k := range 2 * maxRecent {
		i := opened(strings.Repeat("x", k))
		i.State = incident.Resolved
		j.remember(i)
	}
	if len(j.past) != maxRecent || j.past[0].ID != "old" {
		t.Errorf("%d are remembered, the first is %q; want %d and old", len(j.past), j.past[0].ID, maxRecent)
	}
	for k := range 2 * maxRecent {
		j.remember(opened(strings.Repeat("y", k)))
	}
	if len(j.past) != maxRecent {
		t.Errorf("%d open ones are remembered, want %d", len(j.past), maxRecent)
	}
}

func copied(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(to, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return to
}

// A flipped bit anywhere is said, and costs the entry that it is in alone; in
// the first line, which says what the file is, it costs all. Flipped into the
// end of a line it may cost two.
func TestJournalFlippedAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := openJournal(t, path)
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := j.Append(opened(id)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		b := bytes.Clone(whole)
		k := rng.IntN(len(b))
		b[k] ^= 1 << rng.IntN(8)
		spoilt := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(spoilt, b, 0o666); err != nil {
			t.Fatal(err)
		}
		got := &Journal{path: spoilt}
		found, err := got.load()
		if err != nil {
			t.Fatal(err)
		}
		least := 3
		switch {
		case k <= len(journalHeader):
			least = 0
		case whole[k] == '\n' || b[k] == '\n':
			least = 2
		}
		// The case of the checksum's digits says nothing.
		if n := len(got.past); n < least || n > 4 || n < 4 && found == (findings{}) {
			t.Fatalf("byte %d of %d flipped: %v; found %+v", k, len(b), ids(got.past), found)
		}
		for _, i := range got.past {
			if diff := cmp.Diff(opened(i.ID), i); diff != "" {
				t.Fatalf("byte %d flipped: %s", k, diff)
			}
		}
	}
}

// A journal that cannot be written keeps no alert back: it is said once and
// counted, each step tries again, and when it works again nothing is missing.
func TestFullDiskKeepsNoAlertBack(t *testing.T) {
	past := shopPast(t)
	path := filepath.Join(t.TempDir(), "j")
	journal, _ := openJournal(t, path)
	working := journal.file.Disk
	journal.file.Disk = &peers.FullDisk{Disk: working}
	blocked := path + ".new"
	if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o777); err != nil {
		t.Fatal(err)
	}
	s := newShop(t, past, journal, shopRules)
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	var sent []alertmanager.Alert
	s.o.Deliver = func(_ time.Time, alerts []alertmanager.Alert) { sent = alerts }
	s.GoLive(shopTime(0))
	s.Engine.metrics = newMetrics(prometheus.NewRegistry(), s.Gaps, s.known)
	s.replay(t, shopTime(0), shopTime(shopFault+0.5))
	if len(sent) != 1 {
		t.Fatalf("%d alerts are delivered, want one", len(sent))
	}
	if n := strings.Count(said.String(), "could not be journalled"); n != 1 || !strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("said %d times, want once as an error: %s", n, &said)
	}
	if n := testutil.ToFloat64(s.metrics.journalFailures); n < 2 {
		t.Errorf("%g failures are counted, want one for each step since", n)
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	s.replay(t, shopTime(shopFault+0.5).Add(time.Millisecond), shopTime(shopFault+0.6))
	again, _ := openJournal(t, copied(t, path))
	if got := again.Past(); len(got) != 1 || got[0].ID != sent[0].Labels.Get("incident") || !slices.ContainsFunc(strings.Split(said.String(), "\n"), func(l string) bool { return strings.Contains(l, "journalled again") }) {
		t.Errorf("the journal has %v, want %s; log %s", ids(got), sent[0].Labels, &said)
	}
}
