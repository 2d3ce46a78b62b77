package sandbox

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
)

// verdict runs the program of a filter on one system call, as the kernel would, on a machine of x/net/bpf. That one
// reads big-endian, so the words of seccomp_data are given to it in that order.
func verdict(t *testing.T, prog []bpf.RawInstruction, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	list, ok := bpf.Disassemble(prog)
	if !ok {
		t.Fatal("the program does not disassemble")
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNumber:], number)
	binary.BigEndian.PutUint32(data[offArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

var testFDs = descriptors{firstRead: 3, firstWrite: 6, n: 3, event: 12}

// Both outcomes of every rule, on both architectures.
func TestFilter(t *testing.T) {
	for name, arch := range architectures {
		t.Run(name, func(t *testing.T) { testFilter(t, arch, rules, false) })
		t.Run(name+" with C", func(t *testing.T) { testFilter(t, arch, withC(), true) })
	}
}

func testFilter(t *testing.T, arch architecture, rules []Rule, c bool) {
	const minus1 = 1<<64 - 1
	prog, err := compile(rules, arch, testFDs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules, %d instructions", len(rules), len(prog))
	byName := make(map[string]uint32)
	for _, r := range rules {
		byName[r.Name] = arch.number(r)
	}
	try := func(want bool, call string, args ...uint64) {
		t.Helper()
		got := verdict(t, prog, arch.audit, byName[call], args...)
		if want && got != retAllow || !want && got != retKillProcess {
			t.Errorf("%s%x: %#x, want it allowed: %v", call, args, got, want)
		}
	}
	for fd := range uint64(20) {
		try(fd >= 3 && fd < 6 || fd == 12, "read", fd)
		try(fd >= 6 && fd < 9 || fd == 12 || fd == 2, "write", fd)
	}
	try(false, "read", minus1)
	try(false, "write", minus1)
	for op := range uint64(300) {
		try(op == 0 || op == 1 || op == 128 || op == 129, "futex", 0x1000, op)
	}
	for advice := range uint64(110) {
		try(advice == 4 || advice == 8 || advice >= 14 && advice <= 16 || advice == 25 || c && (advice == 102 || advice == 103),
			"madvise", 0x1000, 4096, advice)
	}
	for prot := range uint64(16) {
		try(prot < 4, "mprotect", 0x1000, 4096, prot)
		try(prot < 4, "mmap", 0, 4096, prot, 0x22, 0xffffffff, 0)
		try(prot < 4, "mmap", 0, 4096, prot, 0x22, minus1, 0)
		try(false, "mmap", 0, 4096, prot, 0x22, 3, 0)
	}
	try(false, "mprotect", 0x1000, 4096, 1<<32)
	try(false, "mprotect", 0x1000, 4096, 0x01000000)
	try(true, "clone", 0x50f00)
	try(true, "clone", 0xd0f00)
	try(true, "clone", 0x3d0f00)
	try(c, "clone", 0x7d0f00)
	try(false, "clone", 0)
	try(false, "clone", 17)               // SIGCHLD: a process
	try(false, "clone", 0x4111)           // vfork
	try(false, "clone", 0x50f00|17)       // a thread with an exit signal
	try(false, "clone", 0x50f00|1<<28)    // NEWUSER
	try(false, "clone", 0x50f00|1<<32)    // CLEAR_SIGHAND
	try(false, "clone", 0x50f00&^0x10000) // without THREAD
	try(true, "sched_setaffinity", 0, 128, 0x1000)
	try(false, "sched_setaffinity", 1, 128, 0x1000) // another thread's
	try(false, "sched_setaffinity", minus1, 128, 0x1000)
	anyway := []string{"munmap", "exit", "exit_group", "nanosleep", "sched_yield", "gettid", "epoll_pwait",
		"restart_syscall", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "clock_gettime", "getrandom"}
	fail := map[string]uint32{}
	if c {
		anyway = append(anyway, "brk", "set_robust_list", "rseq")
		fail = map[string]uint32{"clone3": retErrno | 38, "openat": retErrno | 13, "sched_getaffinity": retErrno | 13}
	}
	for _, call := range anyway {
		if _, ok := byName[call]; !ok {
			t.Errorf("%s has no rule", call)
		}
		try(true, call, 1, 2, 3, 4, 5, 6)
	}
	for call, want := range fail {
		if got := verdict(t, prog, arch.audit, byName[call], 1, 2, 3, 4, 5, 6); got != want {
			t.Errorf("%s: %#x, want %#x", call, got, want)
		}
	}

	// Every other number, and each of them elsewhere.
	known := make(map[uint32]bool)
	for _, n := range byName {
		known[n] = true
	}
	for n := range uint32(600) {
		if !known[n] && verdict(t, prog, arch.audit, n) != retKillProcess {
			t.Errorf("number %d does not end it", n)
		}
		if verdict(t, prog, 0x40000003, n) != retKillProcess { // i386
			t.Errorf("number %d of a foreign architecture does not end it", n)
		}
		if verdict(t, prog, arch.audit, n|1<<30) != retKillProcess { // x32
			t.Errorf("number %d of x32 does not end it", n)
		}
	}
}

// What the table must be to mean what it says.
func TestRules(t *testing.T) {
	for name, arch := range architectures {
		seen := make(map[uint32]string)
		for _, r := range withC() {
			if other := seen[arch.number(r)]; other != "" {
				t.Errorf("%s: %s and %s have one number", name, r.Name, other)
			}
			seen[arch.number(r)] = r.Name
			if len(r.Args) > 0 && r.Why == "" && r.Name != "mprotect" {
				t.Errorf("%s has checks and no reason", r.Name)
			}
		}
	}
	r := Rules()
	first := r[0].Name
	r[0] = Rule{Name: "changed"}
	if Rules()[0].Name != first {
		t.Error("Rules returns the table itself")
	}
}
