//go:build linux

package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unheard are the signals that [signal.Ignore] leaves to the runtime's handlers, or to end the process. The kernel writes
// all registers to the signal stack before a handler runs, and there they stay: whoever may send a signal could have
// pieces of secrets written into memory that nothing wipes. Of those that stand for a fault of the process, the kernel
// ends one that ignores them when the fault is its own.
//
// SIGSEGV stays: a nil pointer is one, which is recovered from and answered as a panic.
var unheard = []unix.Signal{
	unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSYS,
	unix.SIGSTKFLT, unix.SIGPROF, // the runtime's
	32, 33, 34, // for the C library and for the runtime among its threads
}

// ignoreRest ignores them. Not before Landlock is up: the runtime uses 33 to have every thread call it.
func ignoreRest() error {
	for _, sig := range unheard {
		// struct sigaction: handler, flags, restorer, mask. SIG_IGN is 1.
		action := [4]uint64{1}
		const sizeOfMask = 8
		if _, _, errno := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, sizeOfMask, 0, 0); errno != 0 {
			return fmt.Errorf("ignoring signal %d: %w", sig, errno)
		}
	}
	return nil
}
