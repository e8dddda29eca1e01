package change

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/linelog"
	"github.com/foreshock/foreshock/internal/peers"
)

func openLog(t *testing.T, path string) (*Log, *Tracker, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	tracker := NewTracker()
	l, err := OpenLog(path, tracker, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, tracker, &said
}

func TestLogKeepsWhatWasPosted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	l, first, _ := openLog(t, path)
	at := time.Date(2026, 6, 18, 15, 0, 0, 0, time.UTC)
	for i, c := range []Change{
		{Time: at, Service: "shop/checkout", Kind: "deploy", From: "1", To: "2", Title: "a \"title\"\nin two lines"},
		{Time: at.Add(time.Minute), Service: "db", Kind: "maintenance", Until: at.Add(time.Hour)},
		{Time: at.Add(-MaxAge - time.Hour), Service: "db", Kind: "deploy"},
	} {
		if err := l.Add(c); (err != nil) != (i == 2) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	if err := l.Add(Change{Service: "db"}); err == nil {
		t.Error("a change without a time was taken")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, second, said := openLog(t, path)
	if got, want := fmt.Sprint(second.All()), fmt.Sprint(first.All()); got != want {
		t.Errorf("read again: %s\nwant %s", got, want)
	}
	if !strings.Contains(said.String(), "line=3") {
		t.Errorf("the log does not say what was left out: %s", said)
	}
}

// A file that is cut off anywhere, or damaged, gives what can be read of it.
func TestLogDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	l, _, _ := openLog(t, path)
	at := time.Date(2026, 6, 18, 15, 0, 0, 0, time.UTC)
	for i := range 3 {
		if err := l.Add(Change{Time: at.Add(time.Duration(i) * time.Minute), Service: "db", To: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 5 {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		_, tracker, said := openLog(t, path)
		lines := bytes.Count(whole[:n], []byte("\n"))
		if got := len(tracker.All()); got != lines && got != lines+1 {
			t.Fatalf("cut off at %d: %d changes of %d whole lines\n%s", n, got, lines, said)
		}
	}
	if err := os.WriteFile(path, append([]byte("rubbish\n"), whole...), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, tracker, said := openLog(t, path); len(tracker.All()) != 3 || !strings.Contains(said.String(), "line=1") {
		t.Errorf("after rubbish: %v\n%s", tracker.All(), said)
	}
}

// A flipped bit costs the change that it is in, or two where it made or took an
// end of a line, and nothing is taken that was not posted.
func TestLogFlipped(t *testing.T) {
	at := time.Date(2026, 6, 18, 15, 0, 0, 0, time.UTC)
	var whole []byte
	posted := map[string]bool{}
	for i := range 3 {
		c, err := Change{Time: at.Add(time.Duration(i) * time.Minute), Service: "db", To: fmt.Sprint(i)}.complete()
		if err != nil {
			t.Fatal(err)
		}
		line, err := linelog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, line...)
		posted[fmt.Sprint(c)] = true
	}
	for k := range whole {
		b := bytes.Clone(whole)
		b[k] ^= 1 << (k % 8)
		kept := 0
		for line := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
			c, err := decodeLine(line)
			if err != nil {
				continue
			}
			if kept++; !posted[fmt.Sprint(c)] {
				t.Fatalf("byte %d flipped: %v was never posted", k, c)
			}
		}
		least := 2
		if whole[k] == '\n' || b[k] == '\n' {
			least = 1
		}
		if kept < least {
			t.Fatalf("byte %d flipped: %d changes are left, want at least %d", k, kept, least)
		}
	}
}

// What could not be written is refused, and is not in the way of what comes after it.
func TestLogOnFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	l, tracker, _ := openLog(t, path)
	at := time.Date(2026, 6, 18, 15, 0, 0, 0, time.UTC)
	post := func(to string) error { return l.Add(Change{Time: at, Service: "db", To: to}) }
	if err := post("1"); err != nil {
		t.Fatal(err)
	}
	disk := &peers.FullDisk{Disk: l.file.Disk, Room: 20}
	l.file.Disk = disk
	if err := post("2"); !errors.Is(err, syscall.ENOSPC) || len(tracker.All()) != 1 {
		t.Errorf("on a full disk: error %v, changes %v; want ENOSPC and the first alone", err, tracker.All())
	}
	disk.Room = 1 << 20
	if err := post("3"); err != nil {
		t.Fatal(err)
	}
	_, again, said := openLog(t, path)
	if got, want := fmt.Sprint(again.All()), fmt.Sprint(tracker.All()); got != want || len(again.All()) != 2 || said.Len() > 0 {
		t.Errorf("read again: %s, want %s; log %s", got, want, said)
	}
}

func FuzzLogLine(f *testing.F) {
	line, err := linelog.Encode(Change{Service: "db", To: "2"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSuffix(line, []byte("\n")))
	f.Add([]byte("00000000 {}"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := decodeLine(line)
		if err != nil {
			return
		}
		again, err := linelog.Encode(c)
		if err != nil {
			return // a time that JSON cannot say
		}
		if _, err := decodeLine(bytes.TrimSuffix(again, []byte("\n"))); err != nil {
			t.Errorf("%q becomes %q: %v", line, again, err)
		}
	})
}
