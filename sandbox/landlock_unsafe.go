//go:build linux

package sandbox

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights that Landlock can take, by the version of its ABI that brought them (linux/landlock.h).
const (
	landlockFS1    = 1<<13 - 1 // executing, reading, writing, making, removing
	landlockRefer  = 1 << 13   // 2
	landlockTrunc  = 1 << 14   // 3
	landlockTCP    = 1<<2 - 1  // 4: bind, connect
	landlockIoctl  = 1 << 15   // 5
	landlockUnix   = 1 << 0    // 6: abstract unix sockets; the scope of signals would hinder the runtime here
	landlockLatest = 6
)

// landlockAll takes every right to files and TCP from every thread. Not with the library of the Landlock project,
// which brings C code into builds with cgo.
func landlockAll() (note string, err error) {
	if iscgo {
		return "", fmt.Errorf("not in a build with cgo, where the runtime cannot have every thread make a call")
	}
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return "", fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockFS1}
	if abi >= 2 {
		attr.Handled_access_fs |= landlockRefer
	}
	if abi >= 3 {
		attr.Handled_access_fs |= landlockTrunc
	}
	if abi >= 4 {
		attr.Handled_access_net = landlockTCP
	}
	if abi >= 5 {
		attr.Handled_access_fs |= landlockIoctl
	}
	if abi >= 6 {
		attr.Scoped = landlockUnix
	}
	// Kernels that know fewer fields accept them if they are zero.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return "", fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	defer unix.Close(int(fd))
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return "", fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return fmt.Sprintf("ABI %d", min(abi, landlockLatest)), nil
}
