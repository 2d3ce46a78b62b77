package sandbox

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryLeft is how many more bytes this process may take: of the least of the limits that were set for it and for the control
// groups that it is in; 0 if none was. It reads files.
func memoryLeft() uint64 {
	system := os.DirFS("/")
	least := groupRoom(system)
	statm, err := fs.ReadFile(system, "proc/self/statm")
	if err != nil {
		return least.bytes()
	}
	var pages [6]uint64 // size, resident, shared, text, lib, data
	fmt.Sscan(string(statm), &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5])
	for what, used := range map[int]uint64{unix.RLIMIT_AS: pages[0], unix.RLIMIT_DATA: pages[5]} {
		var l unix.Rlimit
		if unix.Getrlimit(what, &l) == nil && l.Cur != unix.RLIM_INFINITY {
			least.bound(l.Cur, used*uint64(os.Getpagesize()))
		}
	}
	return least.bytes()
}

// leftOver is the least that a limit leaves; its zero value is that of no limit.
type leftOver struct {
	known bool
	least uint64
}

func (l *leftOver) bound(limit, used uint64) {
	left := limit - min(used, limit)
	if !l.known || left < l.least {
		l.known, l.least = true, left
	}
}

func (l leftOver) bytes() uint64 {
	if !l.known {
		return 0
	}
	return max(l.least, 1)
}

// groupRoom is what the memory limits of the control groups of this process leave, of version 1 and 2 (cgroups(7)). A group
// may be mounted as the root, as in a container: folders that are not there are passed over.
func groupRoom(system fs.FS) (least leftOver) {
	groups, err := fs.ReadFile(system, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // number, controllers, path
		if len(f) != 3 {
			continue
		}
		root, limitFile, usedFile, cached := "sys/fs/cgroup", "memory.max", "memory.current", "file"
		if f[1] != "" {
			if f[1] != "memory" {
				continue
			}
			root, limitFile, usedFile, cached = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"
		}
		for dir := path.Join("/", f[2]); ; dir = path.Dir(dir) {
			folder := path.Join(root, dir)
			if limit, ok := readNumber(system, path.Join(folder, limitFile)); ok && limit < math.MaxInt64/2 { // version 1 has no word for none
				used, _ := readNumber(system, path.Join(folder, usedFile))
				least.bound(limit, used-min(used, statOf(system, path.Join(folder, "memory.stat"), cached)))
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func readNumber(system fs.FS, name string) (uint64, bool) {
	b, err := fs.ReadFile(system, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// statOf is a row of memory.stat: the kernel takes cached files back before a group runs out of memory.
func statOf(system fs.FS, name, row string) (n uint64) {
	b, _ := fs.ReadFile(system, name)
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, row+" "); ok {
			n, _ = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
		}
	}
	return n
}
