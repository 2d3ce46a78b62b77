package sandbox

import (
	"encoding/binary"
	"math"
	"strconv"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// What the limits of control groups leave, of both versions and wherever they are mounted.
func TestGroupRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  uint64 // 0: no limit
	}{
		"no groups":       {nil, 0},
		"version 2, none": {map[string]string{"proc/self/cgroup": "0::/a.slice\n", "sys/fs/cgroup/a.slice/memory.max": "max\n"}, 0},
		"version 2":       {map[string]string{"proc/self/cgroup": "0::/a.slice/b\n", "sys/fs/cgroup/a.slice/b/memory.max": "700", "sys/fs/cgroup/a.slice/b/memory.current": "100"}, 600},
		"one above":       {map[string]string{"proc/self/cgroup": "0::/a.slice/b\n", "sys/fs/cgroup/a.slice/b/memory.max": "700", "sys/fs/cgroup/a.slice/memory.max": "500"}, 500},
		"with cached files": {map[string]string{"proc/self/cgroup": "0::/b\n", "sys/fs/cgroup/b/memory.max": "700", "sys/fs/cgroup/b/memory.current": "300",
			"sys/fs/cgroup/b/memory.stat": "anon 99\nfile 250\nfile_mapped 3\n"}, 650},
		"a container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "300"}, 300},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu:/c\n4:memory:/a\n0::/\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "400", "sys/fs/cgroup/memory/memory.limit_in_bytes": "none", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "150",
			"sys/fs/cgroup/memory/a/memory.stat": "cache 7\ntotal_cache 50\n"}, 300},
		"version 1, none": {map[string]string{"proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": strconv.FormatInt(math.MaxInt64-4095, 10)}, 0},
		"mounted as root": {map[string]string{"proc/self/cgroup": "4:memory:/docker/0123\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "256"}, 256},
		"used up":         {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "300", "sys/fs/cgroup/memory.current": "400"}, 1},
	} {
		system := fstest.MapFS{}
		for file, content := range tt.files {
			system[file] = &fstest.MapFile{Data: []byte(content)}
		}
		if got := groupRoom(system).bytes(); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", name, got, tt.want)
		}
	}
}

// The handler is told of the limits that were set for the process.
func TestMemoryLeft(t *testing.T) {
	for _, what := range []int{unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		withLimit(t, what, 64<<30, func() {
			if got := memoryLeft(); got == 0 || got >= 64<<30 {
				t.Errorf("limit %d: %d bytes are left", what, got)
			}
		})
	}
	const small = 8 << 30
	inside := func() uint64 {
		b, err := do(start(t, Config{Name: "test", Workers: 1}), 'm')
		if err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(b)
	}
	free, bounded := inside(), uint64(0)
	withLimit(t, unix.RLIMIT_AS, small, func() { bounded = inside() })
	if bounded == 0 || bounded >= small || free != 0 && bounded > free {
		t.Errorf("with %d bytes of address space the handler has %d, without %d", uint64(small), bounded, free)
	}
}

// A zone locks what memory it may, whatever it may by default.
func TestSoftLimitOfLockedMemory(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil || before.Max < 1<<20 {
		t.Skip("nothing more may be locked here")
	}
	withLimit(t, unix.RLIMIT_MEMLOCK, 4096, func() {
		z := start(t, Config{Name: "test", Workers: 1})
		if l, _ := z.Status().Layer("locked memory"); !l.Active {
			t.Error(l)
		}
		var after unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &after); err != nil || after.Cur != 4096 {
			t.Errorf("the parent's own limit is %d now, %v", after.Cur, err)
		}
	})
}

// withLimit runs f with a soft limit of this process.
func withLimit(t *testing.T, what int, soft uint64, f func()) {
	t.Helper()
	var before unix.Rlimit
	err := unix.Getrlimit(what, &before)
	if err == nil {
		err = unix.Setrlimit(what, &unix.Rlimit{Cur: min(soft, before.Max), Max: before.Max})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(what, &before)
	f()
}
