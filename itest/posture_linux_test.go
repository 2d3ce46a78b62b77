package itest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/protocol"
)

// What the zone of a node that runs is seen to be from outside, through /proc: one
// posture for root and for an ordinary user, but for what only root can give.

// expectedLayers are those of Linux, and whether an ordinary user's zone has them.
var expectedLayers = []struct {
	name     string
	required bool
	user     bool
}{
	{"own process", true, true},
	{"sealed pipe", true, true},
	{"own session", false, true},
	{"dies with its parent", false, true},
	{"private uid", false, false},
	{"namespaces", false, false},
	{"non-dumpable", true, true},
	{"locked memory", true, true},
	{"resource limits", false, true},
	{"Landlock", false, true},
	{"no new privileges", true, true},
	{"syscall filter", true, true},
}

// expectedStatus is what /proc/PID/status has of every zone, and of its threads.
var expectedStatus = map[string]string{
	"NoNewPrivs":      "1",
	"Seccomp":         "2",                // a filter
	"Seccomp_filters": "1",                // and no other
	"SigBlk":          "0000000000000000", //
	"SigCgt":          "0000000000000400", // SEGV: a nil pointer
	"SigIgn":          "fffffffffffbfaff", // all others that can be ignored
	"CapInh":          "0000000000000000",
	"CapPrm":          "0000000000000000",
	"CapEff":          "0000000000000000",
	"CapAmb":          "0000000000000000",
	"TracerPid":       "0",
	"VmSwap":          "0 kB",
	"CoreDumping":     "0",
}

// expectedLimits are zero, soft and hard.
var expectedLimits = []string{"Max core file size", "Max file size", "Max open files", "Max msgqueue size"}

// expectedEnviron is all of it, but for how many threads it computes on.
var expectedEnviron = []string{
	"GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1,updatemaxprocs=0,containermaxprocs=0,decoratemappings=0",
	"GOTRACEBACK=none",
}

// TestPostureOfANode starts the program as `shnode run` and looks at its zone.
func TestPostureOfANode(t *testing.T) {
	p := run(t, newHome(t))
	c := p.dial(t)
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := os.Geteuid() == 0
	filter := st.Zone.Layers[slices.IndexFunc(st.Zone.Layers, func(l *protocol.Layer) bool { return l.Name == "syscall filter" })]
	withC := strings.Contains(filter.Note, "for the C library: ")
	if *program == "" && withC != cgo {
		t.Errorf("a program built with cgo: %v, and its zone's filter: %v", cgo, filter)
	}
	var layers []string
	for _, want := range expectedLayers {
		layers = append(layers, want.name)
		i := slices.IndexFunc(st.Zone.Layers, func(l *protocol.Layer) bool { return l.Name == want.name })
		if i < 0 {
			t.Errorf("the status lacks %q", want.name)
			continue
		}
		if l := st.Zone.Layers[i]; l.Active != ((root || want.user) && !(withC && l.Name == "Landlock")) || l.Required != want.required {
			t.Errorf("the status says %v", l)
		}
	}
	for _, l := range st.Zone.Layers {
		if !slices.Contains(layers, l.Name) {
			t.Errorf("a layer nobody knows: %v", l)
		}
	}
	z := inProc{t, fmt.Sprintf("/proc/%d", st.Zone.Pid)}
	node := inProc{t, fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)}

	tasks, err := os.ReadDir(z.dir + "/task")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, dir := range append([]string{""}, names(tasks)...) {
		status := z.fields("status")
		if dir != "" {
			status = inProc{t, filepath.Join(z.dir, "task", dir)}.fields("status")
		}
		for k, want := range expectedStatus {
			if status[k] != want {
				t.Errorf("status of %q: %s is %q, want %q", dir, k, status[k], want)
			}
		}
	}
	status := z.fields("status")
	uids := strings.Fields(status["Uid"])
	uid, _ := strconv.Atoi(uids[0])
	switch {
	case slices.ContainsFunc(uids, func(u string) bool { return u != uids[0] }):
		t.Errorf("status: Uid %s", status["Uid"])
	case root && (uid < 0x70000000 || status["Gid"] != status["Uid"] || status["Groups"] != ""):
		t.Errorf("status: Uid %s, Gid %s, Groups %s: not private", status["Uid"], status["Gid"], status["Groups"])
	case !root && uid != os.Getuid():
		t.Errorf("status: Uid %s", status["Uid"])
	}
	if pids := strings.Fields(status["NSpid"]); root != (len(pids) == 2 && pids[1] == "1") {
		t.Errorf("status: NSpid %v", pids)
	}
	limits := z.read("limits")
	for _, name := range expectedLimits {
		_, line, _ := strings.Cut(limits, "\n"+name)
		if f := strings.Fields(line); len(f) < 2 || f[0] != "0" || f[1] != "0" {
			t.Errorf("limits: %s is not zero:\n%s", name, limits)
		}
	}
	if got := z.read("cmdline"); got != "stronghold-zone\x00engine\x00" {
		t.Errorf("cmdline: %q", got)
	}

	if !root {
		z.wantClosed()
		node.wantClosed()
		return
	}
	environ := strings.Split(strings.TrimSuffix(z.read("environ"), "\x00"), "\x00")
	if len(environ) != 3 || !slices.Equal(environ[:2], expectedEnviron) || !strings.HasPrefix(environ[2], "GOMAXPROCS=") {
		t.Errorf("environ: %q", environ)
	}
	for name, want := range map[string]string{"cwd": "/", "exe": node.link("exe")} {
		if got := z.link(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"net", "pid", "mnt", "ipc"} {
		if its := z.link("ns/" + name); its == node.link("ns/"+name) {
			t.Errorf("namespace %s is the node's: %s", name, its)
		}
	}
	if its := z.link("ns/user"); its != node.link("ns/user") {
		t.Errorf("a user namespace of its own, %s, whose owner has all rights inside", its)
	}
	if lines := strings.Count(z.read("net/dev"), ":"); lines > 1 {
		t.Errorf("it sees more of the network than a loopback:\n%s", z.read("net/dev"))
	}
	z.checkDescriptors(node)
	z.checkMaps(node.link("exe"), withC)
}

// inProc is a folder of /proc.
type inProc struct {
	t   *testing.T
	dir string
}

func (p inProc) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p inProc) link(name string) string {
	p.t.Helper()
	to, err := os.Readlink(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return to
}

// fields reads lines of the form "Name: value".
func (p inProc) fields(name string) map[string]string {
	p.t.Helper()
	m := make(map[string]string)
	for line := range strings.Lines(p.read(name)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[k] = strings.Join(strings.Fields(v), " ")
		}
	}
	return m
}

func names(entries []os.DirEntry) (names []string) {
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantClosed expects that the owner of the process cannot look into it.
func (p inProc) wantClosed() {
	p.t.Helper()
	for _, name := range []string{"mem", "maps", "smaps", "environ", "auxv", "io", "syscall", "stack"} {
		if _, err := os.ReadFile(p.dir + "/" + name); !errors.Is(err, os.ErrPermission) {
			p.t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"fd", "fdinfo", "map_files"} {
		if _, err := os.ReadDir(p.dir + "/" + name); !errors.Is(err, os.ErrPermission) {
			p.t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"cwd", "exe", "root", "ns/net"} {
		if _, err := os.Readlink(p.dir + "/" + name); !errors.Is(err, os.ErrPermission) {
			p.t.Errorf("%s: %v", name, err)
		}
	}
	pid, err := strconv.Atoi(filepath.Base(p.dir))
	if err != nil {
		p.t.Fatal(err)
	}
	local := make([]byte, 8)
	if _, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0); err != unix.EPERM {
		p.t.Errorf("process_vm_readv: %v", err)
	}
	if fd, err := unix.PidfdOpen(pid, 0); err != nil {
		p.t.Errorf("pidfd_open: %v", err)
	} else {
		if _, err := unix.PidfdGetfd(fd, 3, 0); err != unix.EPERM {
			p.t.Errorf("pidfd_getfd: %v", err)
		}
		unix.Close(fd)
	}
}

// checkDescriptors goes through them one by one: /dev/null three times, the pipes
// from the node, the pipes to it, and what the runtime has for its timers.
func (p inProc) checkDescriptors(node inProc) {
	t := p.t
	t.Helper()
	held := make(map[string]int64) // pipes of the node, and the mode of its end
	dir, err := os.ReadDir(node.dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range names(dir) {
		to, err := os.Readlink(node.dir + "/fd/" + fd)
		if err == nil && strings.HasPrefix(to, "pipe:") {
			flags, _ := strconv.ParseInt(node.fields("fdinfo/" + fd)["flags"], 8, 64)
			held[to] = flags & unix.O_ACCMODE
		}
	}
	if dir, err = os.ReadDir(p.dir + "/fd"); err != nil {
		t.Fatal(err)
	}
	fds := names(dir)
	slices.SortFunc(fds, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return x - y })
	var reads, writes int
	runtimes := make(map[string]int)
	for i, fd := range fds {
		to := p.link("fd/" + fd)
		flags, _ := strconv.ParseInt(p.fields("fdinfo/" + fd)["flags"], 8, 64)
		mode := flags & unix.O_ACCMODE
		switch {
		case i < 3:
			if to != os.DevNull || fd != strconv.Itoa(i) {
				t.Errorf("descriptor %s is %s", fd, to)
			}
		case strings.HasPrefix(to, "pipe:"):
			if fd != strconv.Itoa(i) || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("descriptor %s, flags %o, is number %d", fd, flags, i)
			}
			other, ok := held[to]
			switch {
			case !ok:
				t.Errorf("descriptor %s is %s, of which the node has no end", fd, to)
			case mode == unix.O_RDONLY && other == unix.O_WRONLY && writes == 0:
				reads++
			case mode == unix.O_WRONLY && other == unix.O_RDONLY:
				writes++
			default:
				t.Errorf("descriptor %s is %s of mode %d, of which the node has mode %d", fd, to, mode, other)
			}
			delete(held, to) // each is one descriptor's
		default:
			runtimes[to]++
		}
	}
	if reads == 0 || reads != writes {
		t.Errorf("%d pipes come in and %d go out", reads, writes)
	}
	if want := map[string]int{"anon_inode:[eventfd]": 1, "anon_inode:[eventpoll]": 1}; !maps.Equal(runtimes, want) {
		t.Errorf("other descriptors: %v, want %v", runtimes, want)
	}
}

// checkMaps goes through the mappings: none is writable and executable, none is of a
// file but the program and what it is linked with, and the arena, between two that nothing may touch, cannot be
// read by root.
func (p inProc) checkMaps(program string, withC bool) {
	t := p.t
	t.Helper()
	mem, err := os.Open(p.dir + "/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	lines := strings.Split(strings.TrimSpace(p.read("maps")), "\n")
	arenas, readable := 0, 0
	for i, line := range lines {
		var from, to uint64
		var rights, offset, device, inode, name string
		fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &from, &to, &rights, &offset, &device, &inode, &name)
		if strings.Contains(rights, "w") && strings.Contains(rights, "x") {
			t.Errorf("maps: writable and executable: %s", line)
		}
		b := make([]byte, 16)
		switch {
		case name == "/secretmem":
			arenas++
			first, last := lines[max(0, i-1)], lines[min(len(lines)-1, i+1)]
			if !strings.Contains(first, fmt.Sprintf("-%x ---p", from)) || !strings.HasPrefix(last, fmt.Sprintf("%x-", to)) || !strings.Contains(last, " ---p") {
				t.Errorf("maps: the arena has no guards:\n%s\n%s\n%s", first, line, last)
			}
			if n, err := mem.ReadAt(b, int64(from)); !errors.Is(err, unix.EIO) {
				t.Errorf("the arena can be read: %d bytes, %v", n, err)
			}
		case withC && strings.Contains(filepath.Base(name), ".so"):
		case name != "" && name != program && !strings.HasPrefix(name, "["):
			t.Errorf("maps: of a file: %s", line)
		case name == program && strings.HasPrefix(rights, "rw"):
			if n, err := mem.ReadAt(b, int64(from)); n == len(b) && err == nil {
				readable++
			}
		}
	}
	if arenas != 1 || readable == 0 {
		t.Errorf("%d arenas that cannot be read, and %d mappings that can:\n%s", arenas, readable, strings.Join(lines, "\n"))
	}
}
