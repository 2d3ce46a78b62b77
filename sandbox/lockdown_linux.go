package sandbox

import (
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// requireLayers: on Linux a zone without them refuses to start.
const requireLayers = true

// hide is the first thing a zone does: from here on no other process of its user reads it, and no signal but those
// that cannot be ignored reaches it. A dump after SIGQUIT would print registers.
func hide() []Layer {
	dumpable := Layer{Name: "non-dumpable", Required: true}
	err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	}
	if dumpable.Active = err == nil; err != nil {
		dumpable.Note = err.Error()
	}
	signal.Ignore()
	return []Layer{dumpable}
}

// lockDown gives up what is left. The arena is mapped already, which the limits would forbid. step tells the parent which
// system call comes next.
func lockDown(pipes int, step func(call string)) []Layer {
	limits := Layer{Name: "resource limits", Active: true}
	landlock := Layer{Name: "Landlock", Active: true}
	privileges := Layer{Name: "no new privileges", Active: true, Required: true}
	filter := Layer{Name: "syscall filter", Active: true, Required: true}
	failed := func(l *Layer, err error) {
		if err != nil {
			l.Active, l.Note = false, err.Error()
		}
	}

	event, err := closeOthers(firstPipe + 2*pipes)
	if err != nil {
		failed(&filter, err)
	}
	failed(&limits, limitMemory())
	step("landlock_create_ruleset")
	if note, err := landlockAll(); err != nil {
		failed(&landlock, err)
	} else {
		landlock.Note = note
	}
	for _, what := range []int{unix.RLIMIT_FSIZE, unix.RLIMIT_NOFILE, unix.RLIMIT_MSGQUEUE} {
		if err := unix.Setrlimit(what, &unix.Rlimit{}); err != nil {
			failed(&limits, err)
		}
	}

	failed(&limits, ignoreRest())
	step("seccomp")

	// The filter is taken from this thread to all others.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
		failed(&privileges, fmt.Errorf("not set by the parent: %d, %v", v, err))
	}
	switch {
	case unfiltered != "":
		filter = Layer{Name: "syscall filter", Note: unfiltered}
	case filter.Active:
		failed(&filter, installFilter(descriptors{
			firstRead:  firstPipe,
			firstWrite: uint32(firstPipe + pipes),
			n:          uint32(pipes),
			event:      uint32(event),
		}))
		if filter.Active {
			filter.Note = failing(buildRules)
		}
	}
	return []Layer{limits, landlock, privileges, filter}
}

// failing names the calls that fail instead of ending the zone.
func failing(rules []Rule) string {
	var names []string
	for _, r := range rules {
		if r.Errno != 0 {
			names = append(names, r.Name+" "+unix.ErrnoName(unix.Errno(r.Errno)))
		}
	}
	if names == nil {
		return ""
	}
	return "fail and do not end it, for the C library: " + strings.Join(names, ", ")
}

// limitMemory makes a hard bound of Config.Memory. It is one of addresses: RLIMIT_DATA is not looked at where the
// runtime maps memory in the place of what it has reserved, however much that is. Much is reserved already.
func limitMemory() error {
	memory := debug.SetMemoryLimit(-1)
	if memory == math.MaxInt64 {
		return nil
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		return err
	}
	var outer unix.Rlimit // maybe somebody has set one already
	if err := unix.Getrlimit(unix.RLIMIT_AS, &outer); err != nil {
		return err
	}
	most := min(pages*uint64(os.Getpagesize())+uint64(memory), outer.Cur)
	return unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most})
}

// installFilter puts the filter on every thread of the process.
func installFilter(fds descriptors) error {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no rules for %s", runtime.GOARCH)
	}
	prog, err := compile(buildRules, arch, fds)
	if err != nil {
		return err
	}
	return loadFilter(prog)
}

// closeOthers closes what the parent's parents left open by mistake, and returns the eventfd of the runtime's poller.
// What was inherited is known by its lack of FD_CLOEXEC: with it, it would not have been.
func closeOthers(first int) (event int, err error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("looking for open descriptors: %w", err)
	}
	event = -1
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < first {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			continue // the directory itself
		}
		if flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
			continue
		}
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && to == "anon_inode:[eventfd]" {
			if event >= 0 {
				return 0, fmt.Errorf("two eventfds: %d and %d", event, fd)
			}
			event = fd
		}
	}
	if event < 0 {
		return 0, fmt.Errorf("the poller's eventfd is not there")
	}
	return event, nil
}
