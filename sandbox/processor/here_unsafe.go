//go:build linux

package processor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// here is the processor that the calling thread is on.
func here() int {
	var n uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&n)), 0, 0); errno != 0 {
		return None
	}
	return int(n)
}
