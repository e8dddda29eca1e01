// Package linelog keeps JSON values in a file of lines, each of which is there
// whole or not at all: the CRC-32C of a value in hex, a space, and the value.
package linelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns a value as a line.
func Encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

// Decode reads a line, without its end, into the value that v points to. What
// of it is damaged is an error.
func Decode(line []byte, v any) error {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil {
		return errors.New("no checksum")
	}
	if uint32(want) != crc32.Checksum(body, castagnoli) {
		return errors.New("the checksum does not match")
	}
	return json.Unmarshal(body, v)
}

// Disk is what a [File] needs of an [os.File].
type Disk interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// File is a file of lines that is appended to. It is not safe for concurrent use.
type File struct {
	// Disk may be wrapped, to see what becomes of one that fails.
	Disk Disk
	good int64 // bytes up to the end of the last whole line
}

// Replace writes a file anew with some lines, in the place of one that is there,
// and syncs it. On an error the old one stays, and no file is returned; only when
// it is not sure that the new one's name outlives a crash there are both.
func Replace(path string, lines []byte) (*File, error) {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(lines)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(next))
	}
	return &File{Disk: f, good: int64(len(lines))}, SyncDirectory(filepath.Dir(path))
}

// Append writes whole lines and syncs. On an error none of them is in the file:
// what was written by half would spoil the next one.
func (f *File) Append(lines []byte) error {
	_, err := f.Disk.Write(lines)
	if err == nil {
		err = f.Disk.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Disk.Truncate(f.good))
	}
	f.good += int64(len(lines))
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.Disk.Close() }

// SyncDirectory makes a rename in a directory last.
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
