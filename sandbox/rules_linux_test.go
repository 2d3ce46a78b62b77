//go:build linux && (amd64 || arm64)

package sandbox

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The numbers of this architecture are those of x/sys; CI builds the other one.
func TestRuleNumbers(t *testing.T) {
	number := architectures[runtime.GOARCH].number
	want := map[string]uint32{
		"read": unix.SYS_READ, "write": unix.SYS_WRITE, "mmap": unix.SYS_MMAP, "mprotect": unix.SYS_MPROTECT,
		"munmap": unix.SYS_MUNMAP, "madvise": unix.SYS_MADVISE, "clone": unix.SYS_CLONE, "exit": unix.SYS_EXIT,
		"exit_group": unix.SYS_EXIT_GROUP, "futex": unix.SYS_FUTEX, "nanosleep": unix.SYS_NANOSLEEP,
		"sched_yield": unix.SYS_SCHED_YIELD, "sched_setaffinity": unix.SYS_SCHED_SETAFFINITY, "gettid": unix.SYS_GETTID, "epoll_pwait": unix.SYS_EPOLL_PWAIT,
		"restart_syscall": unix.SYS_RESTART_SYSCALL, "rt_sigprocmask": unix.SYS_RT_SIGPROCMASK,
		"rt_sigreturn": unix.SYS_RT_SIGRETURN, "sigaltstack": unix.SYS_SIGALTSTACK,
		"clock_gettime": unix.SYS_CLOCK_GETTIME, "getrandom": unix.SYS_GETRANDOM,
		"brk": unix.SYS_BRK, "set_robust_list": unix.SYS_SET_ROBUST_LIST, "rseq": unix.SYS_RSEQ, "clone3": unix.SYS_CLONE3,
		"openat": unix.SYS_OPENAT, "sched_getaffinity": unix.SYS_SCHED_GETAFFINITY,
	}
	if len(want) != len(withC()) {
		t.Errorf("%d rules, %d numbers here", len(withC()), len(want))
	}
	for _, r := range append(withC(), rules...) {
		if number(r) != want[r.Name] {
			t.Errorf("%s has number %d, want %d", r.Name, number(r), want[r.Name])
		}
	}
	if cloneThread != unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_FILES|unix.CLONE_SIGHAND|unix.CLONE_SYSVSEM|unix.CLONE_THREAD {
		t.Error("cloneThread")
	}
	if cloneThread2 != unix.CLONE_SETTLS|unix.CLONE_PARENT_SETTID|unix.CLONE_CHILD_CLEARTID {
		t.Error("cloneThread2")
	}
	if cloneDetached != unix.CLONE_DETACHED || errnoAccess != unix.EACCES || errnoNoCall != unix.ENOSYS {
		t.Error("what C needs")
	}
	if architectures["amd64"].audit != unix.AUDIT_ARCH_X86_64 || architectures["arm64"].audit != unix.AUDIT_ARCH_AARCH64 {
		t.Error("audit")
	}
	if retKillProcess != unix.SECCOMP_RET_KILL_PROCESS || retAllow != unix.SECCOMP_RET_ALLOW || retErrno != unix.SECCOMP_RET_ERRNO {
		t.Error("verdicts")
	}
}
