package sandbox

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// requireLayers: here a zone makes do with what there is, and says what is missing.
const requireLayers = false

// hide keeps debuggers, and so task_for_pid and ptrace, from attaching to the zone, and ignores the signals that can be.
func hide() []Layer {
	signal.Ignore()
	return []Layer{attempt("non-dumpable", "PT_DENY_ATTACH", unix.PtraceDenyAttach())}
}

// lockDown takes away what limits can: core dumps, growing files, new descriptors, new processes. The system's own
// sandbox takes a C library's call, and cgo is not for a zone.
func lockDown(int, func(string)) []Layer {
	var err error
	for _, l := range []struct {
		resource int
		max      uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_NPROC, 0},
	} {
		if e := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); e != nil {
			err = e
		}
	}
	return []Layer{
		attempt("resource limits", "no core, no file growth, no new processes", err),
		{Name: "Landlock", Note: "not on darwin"},
		{Name: "no new privileges", Note: "not on darwin"},
		{Name: "syscall filter", Note: "not on darwin"},
	}
}
