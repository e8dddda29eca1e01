package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
)

func opened(id string) *incident.Incident {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	return &incident.Incident{
		ID: id, State: incident.Open, Severity: incident.Page, Onset: at, Opened: at.Add(time.Minute),
		Sent: []incident.Sent{{Severity: incident.Page, Time: at.Add(time.Minute), Labels: map[string]string{"incident": id}}},
	}
}

func ids(is []*incident.Incident) []string {
	var out []string
	for _, i := range is {
		out = append(out, fmt.Sprint(i.ID, " ", i.State))
	}
	return out
}

func openJournal(t *testing.T, path string) (*Journal, string) {
	t.Helper()
	var log bytes.Buffer
	j, err := OpenJournal(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, log.String()
}

func TestJournalKeepsTheNewestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "j")
	j, _ := openJournal(t, path)
	a, b := opened("a"), opened("b")
	if err := j.Append(a, b); err != nil {
		t.Fatal(err)
	}
	a.State = incident.Resolved
	if err := j.Append(a); err != nil {
		t.Fatal(err)
	}
	again, log := openJournal(t, path)
	if diff := cmp.Diff([]string{"a resolved", "b open"}, ids(again.Past())); diff != "" || log != "" {
		t.Errorf("(-want +got):\n%s\nlog: %s", diff, log)
	}
	if diff := cmp.Diff(b.Sent, again.Past()[1].Sent); diff != "" {
		t.Errorf("labels changed:\n%s", diff)
	}
}

// What a crash can leave behind, at every byte: the whole entries are kept.
func TestJournalTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	j, _ := openJournal(t, path)
	for _, id := range []string{"a", "b", "c"} {
		if err := j.Append(opened(id)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header := len(journalHeader) + 1
	for cut := header; cut < len(whole); cut += 11 {
		torn := filepath.Join(dir, "torn")
		if err := os.WriteFile(torn, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		got, log := openJournal(t, torn)
		want := bytes.Count(whole[header:cut], []byte("\n"))
		half := whole[cut-1] != '\n'
		if whole[cut] == '\n' && cut > header { // only the end of the line is missing
			want, half = want+1, false
		}
		if len(got.Past()) != want || half != strings.Contains(log, "not whole") || !half && log != "" {
			t.Fatalf("cut at %d: %d entries, want %d; cut off %t; log %s", cut, len(got.Past()), want, half, log)
		}
		got.Close()
	}
}

func TestDamagedJournalIsSetAside(t *testing.T) {
	f := func(name string, spoil func([]byte) []byte, want int) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "j")
		j, _ := openJournal(t, path)
		if err := j.Append(opened("a")); err != nil {
			t.Fatal(err)
		}
		if err := j.Append(opened("b")); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, spoil(b), 0o666); err != nil {
			t.Fatal(err)
		}
		got, log := openJournal(t, path)
		if len(got.Past()) != want || !strings.Contains(log, "damaged") {
			t.Errorf("%s: %d entries, want %d; log %q", name, len(got.Past()), want, log)
		}
		if _, err := os.Stat(path + ".damaged"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := got.Append(opened("c")); err != nil {
			t.Errorf("%s: cannot go on: %v", name, err)
		}
	}
	f("flipped bit", func(b []byte) []byte { b[len(b)-30] ^= 4; return b }, 1)
	f("flipped bit before whole entries", func(b []byte) []byte { b[len(journalHeader)+30] ^= 4; return b }, 1)
	f("a line longer than any", func(b []byte) []byte {
		h := len(journalHeader) + 1
		return slices.Concat(b[:h], bytes.Repeat([]byte("x"), maxJournalLine+1), []byte("\n"), b[h:])
	}, 2)
	f("foreign file", func([]byte) []byte { return []byte("hello\nworld\n") }, 0)
	f("other version", func(b []byte) []byte { return bytes.Replace(b, []byte("journal 1"), []byte("journal 9"), 1) }, 0)
	f("garbage", func([]byte) []byte { return bytes.Repeat([]byte{0xff, 0, 10}, 100) }, 0)
}

func FuzzJournal(f *testing.F) {
	line, err := encodeEntry(opened("a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(journalHeader + "\n" + string(line)))
	f.Add([]byte(journalHeader + "\n00000000 {}\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
	})
}

// The change that an open incident blames is known from the start, to the second,
// and not to the minute at which a replay would find it.
func TestChangesOfOpenIncidentsAreRecalled(t *testing.T) {
	j, _ := openJournal(t, filepath.Join(t.TempDir(), "j"))
	at := time.Date(2026, 3, 2, 9, 59, 25, 0, time.UTC)
	open, over := opened("a"), opened("b")
	open.Changes = []incident.Attribution{
		{Change: change.Change{ID: "c1", Time: at, Service: "payments", Kind: "deploy", From: "1", To: "2"}, Suspect: true},
		{Change: change.Change{ID: "m1", Time: at, Until: at.Add(time.Hour), Service: "database", Kind: change.Maintenance}},
	}
	over.State = incident.Resolved
	over.Changes = []incident.Attribution{{Change: change.Change{ID: "c2", Time: at, Service: "cart", Kind: "deploy"}}}
	if err := j.Append(open, over); err != nil {
		t.Fatal(err)
	}
	j.Close()
	again, _ := openJournal(t, j.path)
	e, err := New(Options{Config: Config{Mode: incident.ModePage, Interval: time.Second, Settle: time.Second, Hold: time.Minute}, Journal: again})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range e.Changes().All() {
		got = append(got, c.ID+" "+c.Time.Format(time.TimeOnly))
	}
	if diff := cmp.Diff([]string{"c1 09:59:25"}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
