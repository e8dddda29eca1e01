package linelog

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func FuzzDecode(f *testing.F) {
	line, err := Encode(map[string]int{"a": 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSuffix(line, []byte("\n")))
	f.Add([]byte("00000000 "))
	f.Add([]byte("zz {}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var v any
		if Decode(line, &v) != nil {
			return
		}
		again, err := Encode(v)
		if err != nil {
			t.Fatalf("%q was read, but not written: %v", line, err)
		}
		if err := Decode(bytes.TrimSuffix(again, []byte("\n")), &v); err != nil {
			t.Errorf("%q comes back as %q: %v", line, again, err)
		}
	})
}

// halves writes half of what it is given, and then says that there is no space.
type halves struct{ Disk }

func (h halves) Write(b []byte) (int, error) {
	n, err := h.Disk.Write(b[:len(b)/2])
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

func TestLinesAreWholeOrNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	want := func(text string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("the file holds %q, error %v; want %q", got, err, text)
		}
	}
	f, err := Replace(path, []byte("one\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	disk := f.Disk
	f.Disk = halves{disk}
	if err := f.Append([]byte("two\n")); err == nil {
		t.Error("a line that was written by half is no error")
	}
	want("one\n")
	f.Disk = disk
	if err := f.Append([]byte("three\n")); err != nil {
		t.Error(err)
	}
	want("one\nthree\n")
	if _, err := Replace(filepath.Join(path, "no", "folder"), nil); err == nil {
		t.Error("a file in a folder that is not there: no error")
	}
	if err := os.Mkdir(path+".d", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".d", "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if g, err := Replace(path+".d", nil); err == nil || g != nil {
		t.Errorf("a folder in the place of the file: %v, error %v; want an error and no file", g, err)
	}
	if _, err := os.Stat(path + ".d.new"); !os.IsNotExist(err) {
		t.Errorf("a file that could not be put in place is left: %v", err)
	}
}
