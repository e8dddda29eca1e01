package peers

import (
	"os"
	"syscall"

	"github.com/foreshock/foreshock/internal/linelog"
)

// FullDisk takes a number of bytes more and then says that there is no space.
type FullDisk struct {
	linelog.Disk
	Room int // bytes
}

// Write writes what there is room for.
func (f *FullDisk) Write(b []byte) (int, error) {
	n := min(f.Room, len(b))
	f.Room -= n
	n, err := f.Disk.Write(b[:n])
	if err == nil && n < len(b) {
		err = &os.PathError{Op: "write", Path: "a file on a full disk", Err: syscall.ENOSPC}
	}
	return n, err
}
