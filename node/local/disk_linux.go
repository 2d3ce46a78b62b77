package local

import (
	"os"

	"golang.org/x/sys/unix"
)

// SyncData spares the disk a write of its own as long as the file's length stays.
func (f systemFile) SyncData() error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := c.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Fdatasync(int(fd))
		}
	})
	if failed != nil {
		return failed
	}
	return os.NewSyscallError("fdatasync", err)
}
