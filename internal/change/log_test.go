package change

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	for n := range whole {
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
