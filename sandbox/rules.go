package sandbox

import "slices"

// A Rule allows one system call to a zone on Linux, or has it fail. What has no rule, and what does not pass the checks
// of its rule, ends the process.
type Rule struct {
	Name  string
	AMD64 uint32 // its number; the two architectures have little in common
	ARM64 uint32
	Args  []Arg  // all of them must hold
	Errno uint32 // if not zero, the call does nothing and fails with it: for who asks and can do without
	Why   string // where the name does not tell
}

// An Arg is a check of one argument.
type Arg struct {
	Index  int
	Check  Check
	Values []uint64 // what the check compares with
}

// A Check is how an argument is looked at.
type Check int

const (
	// OneOf holds if the lower 32 bits are one of the values. The kernel takes no more of an int.
	OneOf Check = iota
	// Within holds if no bit is set outside of the one value.
	Within
	// Covers holds if all bits of the one value are set.
	Covers
	// ReadEnd holds for the descriptors that requests come on, and for the eventfd of the runtime's poller.
	ReadEnd
	// WriteEnd holds for the descriptors that answers leave on, for the eventfd, and for 2, which is /dev/null.
	WriteEnd
)

const (
	cloneThread   = 0x50f00                       // VM|FS|FILES|SIGHAND|SYSVSEM|THREAD: a thread and nothing else
	cloneThread2  = 0x80000 | 0x100000 | 0x200000 // SETTLS, PARENT_SETTID, CHILD_CLEARTID: how it is set up
	cloneDetached = 0x400000
	readWrite     = 0x1 | 0x2  // PROT_READ|PROT_WRITE
	noFile        = 0xffffffff // -1, of which the check sees 32 bits
)

// rules is what the runtime of Go 1.26 needs to compute, collect garbage, start threads and wait. The set was found
// by leaving out one at a time under load, and has to be found anew when the runtime changes: TestStress does.
//
// Not in it, since the environment of a zone turns off what needs them (process_linux.go): tgkill and getpid
// (asyncpreemptoff=1), sched_getaffinity and pread64 (updatemaxprocs=0), prctl (decoratemappings=0).
var rules = []Rule{
	{Name: "read", AMD64: 0, ARM64: 63, Args: []Arg{{0, ReadEnd, nil}},
		Why: "requests; the poller drains its eventfd"},
	{Name: "write", AMD64: 1, ARM64: 64, Args: []Arg{{0, WriteEnd, nil}},
		Why: "answers; the poller is woken by its eventfd; a dying runtime writes to 2, and should exit, not be killed"},

	{Name: "mmap", AMD64: 9, ARM64: 222, Args: []Arg{{2, Within, []uint64{readWrite}}, {4, OneOf, []uint64{noFile}}},
		Why: "memory of no file, never executable; also the state of getrandom in the vDSO"},
	{Name: "mprotect", AMD64: 10, ARM64: 226, Args: []Arg{{2, Within, []uint64{readWrite}}}},
	{Name: "munmap", AMD64: 11, ARM64: 215},
	{Name: "madvise", AMD64: 28, ARM64: 233, Args: []Arg{{2, OneOf, []uint64{4, 8, 14, 15, 16, 25}}},
		Why: "DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, COLLAPSE: what the scavenger says; REMOVE and POISON are not among them"},

	{Name: "clone", AMD64: 56, ARM64: 220,
		Args: []Arg{{0, Covers, []uint64{cloneThread}}, {0, Within, []uint64{cloneThread | cloneThread2}}},
		Why:  "a thread; without all of these flags it would be a process, with others a namespace"},
	{Name: "exit", AMD64: 60, ARM64: 93},
	{Name: "exit_group", AMD64: 231, ARM64: 94},
	{Name: "futex", AMD64: 202, ARM64: 98, Args: []Arg{{1, OneOf, []uint64{0, 1, 128, 129}}},
		Why: "WAIT and WAKE, shared and private; not REQUEUE and the PI family, where the kernel had its bugs"},
	{Name: "nanosleep", AMD64: 35, ARM64: 101},
	{Name: "sched_yield", AMD64: 24, ARM64: 124},
	{Name: "sched_setaffinity", AMD64: 203, ARM64: 122, Args: []Arg{{0, OneOf, []uint64{0}}},
		Why: "the thread that answers a lone caller moves to the processor where he waits; itself, no other"},
	{Name: "gettid", AMD64: 186, ARM64: 178, Why: "every new thread asks"},
	{Name: "epoll_pwait", AMD64: 281, ARM64: 22, Why: "timers"},
	{Name: "restart_syscall", AMD64: 219, ARM64: 128,
		Why: "the kernel makes a thread call it that was stopped and continued; without it, SIGSTOP and SIGCONT end a zone"},

	{Name: "rt_sigprocmask", AMD64: 14, ARM64: 135, Why: "every new thread"},
	{Name: "rt_sigreturn", AMD64: 15, ARM64: 139, Why: "a nil pointer that is recovered from came as a signal"},
	{Name: "sigaltstack", AMD64: 131, ARM64: 132, Why: "every new thread"},

	{Name: "clock_gettime", AMD64: 228, ARM64: 113, Why: "the vDSO calls it where the clock source is hpet, acpi_pm or xen"},
	{Name: "getrandom", AMD64: 318, ARM64: 278},
}

// Errors that calls fail with (asm-generic/errno-base.h, errno.h).
const (
	errnoAccess = 13 // EACCES
	errnoNoCall = 38 // ENOSYS
)

// cRules is what a C library needs besides, in a build with cgo, where it starts the threads and has memory of its own. A
// name that rules has too is wider here. Found as rules was, with glibc 2.36 and musl 1.2, but for what is named of another.
var cRules = []Rule{
	{Name: "clone", AMD64: 56, ARM64: 220,
		Args: []Arg{{0, Covers, []uint64{cloneThread}}, {0, Within, []uint64{cloneThread | cloneThread2 | cloneDetached}}},
		Why:  "as without cgo; musl sets a flag that the kernel ignores"},
	{Name: "madvise", AMD64: 28, ARM64: 233, Args: []Arg{{2, OneOf, []uint64{4, 8, 14, 15, 16, 25, 102, 103}}},
		Why: "GUARD_INSTALL, GUARD_REMOVE besides: stacks of threads, since glibc 2.42"},
	{Name: "brk", AMD64: 12, ARM64: 214, Why: "malloc; it moves the end of the heap, which is never executable"},
	{Name: "set_robust_list", AMD64: 273, ARM64: 99, Why: "every new thread"},
	{Name: "rseq", AMD64: 334, ARM64: 293, Why: "every new thread"},
	{Name: "clone3", AMD64: 435, ARM64: 435, Errno: errnoNoCall,
		Why: "its flags lie in memory, where a filter cannot see them; told that there is no such call, the library makes do with clone"},
	{Name: "openat", AMD64: 257, ARM64: 56, Errno: errnoAccess, Why: "malloc asks for the number of processors and goes on without"},
	{Name: "sched_getaffinity", AMD64: 204, ARM64: 123, Errno: errnoAccess, Why: "as openat"},
}

// buildRules is what a zone of this build may do.
var buildRules = func() []Rule {
	if iscgo {
		return withC()
	}
	return rules
}()

// withC is both lists as one.
func withC() []Rule {
	narrow := func(r Rule) bool {
		return slices.ContainsFunc(cRules, func(c Rule) bool { return c.Name == r.Name })
	}
	return slices.Concat(slices.DeleteFunc(slices.Clone(rules), narrow), cRules)
}

// Rules returns the system calls that a zone of this build may make on Linux, or that fail and leave it alive. All others
// end it, and so do those of a foreign architecture or of the x32 ABI. A build with cgo has a few more than one without.
func Rules() []Rule { return slices.Clone(buildRules) }
