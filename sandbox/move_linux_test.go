package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var allowedList = regexp.MustCompile(`(?m)^Cpus_allowed_list:\t(.*)$`)

// keptThreads are the processors that threads of a process are kept on.
func keptThreads(t *testing.T, pid int) map[int]bool {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(paths) == 0 {
		t.Fatalf("the threads of %d: %v", pid, err)
	}
	kept := map[int]bool{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		m := allowedList.FindSubmatch(b)
		if m == nil {
			t.Fatalf("%s: no processors", path)
		}
		if n, err := strconv.Atoi(string(m[1])); err == nil {
			kept[n] = true
		}
	}
	return kept
}

// TestMove: the zone waits where its lone caller does, and follows him; only one of its threads does; and the caller's
// thread may go anywhere afterwards.
func TestMove(t *testing.T) {
	runtime.LockOSThread() // ends with the test
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 || runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two processors")
	}
	z := start(t, Config{Name: "test", Workers: 2})
	pid := z.Status().PID
	if kept := keptThreads(t, pid); len(kept) > 0 {
		t.Fatalf("a new zone waits on %v", kept)
	}
	for n := 0; n < 1024; n++ {
		if !all.IsSet(n) {
			continue
		}
		moved := false
		for begin := time.Now(); !moved; {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("the zone does not come to processor %d: %v", n, keptThreads(t, pid))
			}
			// The test moves, and lets itself be found there.
			var one unix.CPUSet
			one.Set(n)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				t.Fatal(err)
			}
			unix.SchedSetaffinity(0, &all)
			for range 20 {
				if _, err := do(z, 'e'); err != nil {
					t.Fatal(err)
				}
			}
			var after unix.CPUSet
			if unix.SchedGetaffinity(0, &after); after != all {
				t.Fatalf("the caller's thread may use %v afterwards", after)
			}
			kept := keptThreads(t, pid)
			if len(kept) > 1 {
				t.Fatalf("threads of the zone wait on %v", kept)
			}
			moved = kept[n]
		}
	}
}
