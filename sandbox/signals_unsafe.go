//go:build linux

package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unheard are the signals that no fault of the zone's own makes, and that [signal.Ignore] leaves as they were: the
// runtime's handlers of SIGSTKFLT, SIGPROF and 33, and the default of 32 and 34, which is to end. The kernel writes all
// registers to the signal stack before a handler runs, and there they stay: whoever may send a signal could have pieces
// of secrets written into memory that nothing wipes.
var unheard = []unix.Signal{unix.SIGSTKFLT, unix.SIGPROF, 32, 33, 34}

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
