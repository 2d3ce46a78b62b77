package itest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoSecretInACore: the signals that have others leave a core leave the zone as it
// is, and a node that crashes leaves none. Where one is taken of it, it holds what
// TestNoSecretIsLeftInMemory searches.
func TestNoSecretInACore(t *testing.T) {
	needMemory(t)
	t.Setenv("GOTRACEBACK", "crash") // has a Go program leave a core, and print its registers
	h := newHunt(t)
	h.bringSecrets()
	h.useSecrets("before the crash", 200)
	dir := h.p.cmd.Dir
	if !dumpsInto(t, dir) {
		t.Log("this shows that nothing is printed, and nothing of cores")
	}

	before := cores(t, "/")
	allowCore(t, h.p.cmd.Process.Pid)
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS,
		syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGSYS} {
		if err := syscall.Kill(h.zone, sig); err != nil {
			t.Fatal(err)
		}
		if _, err := h.c.Sign(t.Context(), h.at("key"), []byte("on")); err != nil {
			t.Errorf("after signal %d: %v", sig, err)
		}
	}
	if err := h.p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	h.p.wait(t)
	if found := h.secrets.in(h.p.out.Bytes()); len(found) > 0 {
		t.Errorf("in what the node said last: %v", found)
	}
	for _, where := range []string{"/", dir} {
		for name := range cores(t, where) {
			if !before[name] {
				t.Errorf("%s is left", name)
			}
		}
	}
}

// allowCore gives a process the right to leave a core, as far as it may have it.
func allowCore(t *testing.T, pid int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// cores are the files in a folder that look like a core's.
func cores(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "core*"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range found {
		if st, err := os.Lstat(name); err == nil && st.Mode().IsRegular() {
			names[name] = true
		}
	}
	return names
}

// dumpsInto says whether this system writes the core of a process into the folder
// that it ran in, by having one do so. It may be set up to hand cores to a program,
// or not to write any.
func dumpsInto(t *testing.T, dir string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -c $(ulimit -Hc); kill -SEGV $$")
	cmd.Dir = dir
	cmd.Run() // it dies
	found := cores(t, dir)
	for name := range found {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if len(found) == 0 {
		pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
		t.Logf("no cores in the folder of a process here: %s", pattern)
	}
	return len(found) > 0
}
