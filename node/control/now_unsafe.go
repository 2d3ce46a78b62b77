//go:build linux && !race

package control

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow read and write a descriptor that does not block. The
// runtime is not told: it would take the processor of a thread that it finds in
// a system call, since it cannot know that this one ends at once, and would look
// for such threads every 20 µs from then on.

func readNow(fd int, b []byte) (int, error) { return now(syscall.SYS_READ, fd, b) }

func writeNow(fd int, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(trap uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
