//go:build linux

package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A posture is what /proc shows of a process.
type posture struct {
	t   *testing.T
	dir string
}

func (p posture) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// fields reads lines of the form "Name: value".
func (p posture) fields(name string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(p.read(name)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[k] = strings.Join(strings.Fields(v), " ")
		}
	}
	return m
}

// A zone as everyone may see it: status, threads, limits.
func TestPosture(t *testing.T) {
	const workers = 2
	z := start(t, Config{Name: "test", Workers: workers})
	if _, err := do(z, 'e'); err != nil {
		t.Fatal(err)
	}
	for _, l := range z.Status().Layers {
		if l.Required && !l.Active {
			t.Errorf("%v", l)
		}
	}
	note := unfiltered
	if note == "" && iscgo { // what fails where another zone would end
		note = "fail and do not end it, for the C library: clone3 ENOSYS, openat EACCES, sched_getaffinity EACCES"
	}
	if l, ok := z.Status().Layer("syscall filter"); !ok || l.Active != (unfiltered == "") || l.Note != note {
		t.Errorf("the status says %v", l)
	}
	if l, ok := z.Status().Layer("Landlock"); !ok || iscgo && (l.Active || !strings.Contains(l.Note, "cgo")) {
		t.Errorf("the status says %v", l)
	}
	if b, err := json.Marshal(z.Status()); err != nil || !bytes.Contains(b, []byte(`{"name":"own process","active":true,"required":true}`)) {
		t.Errorf("%s, %v", b, err)
	}
	p := posture{t, fmt.Sprintf("/proc/%d", z.Status().PID)}
	private, _ := z.Status().Layer("private uid")
	spaces, _ := z.Status().Layer("namespaces")

	status := p.fields("status")
	want := map[string]string{"NoNewPrivs": "1", "TracerPid": "0", "VmSwap": "0 kB", "CoreDumping": "0"}
	if unfiltered == "" {
		want["Seccomp"], want["Seccomp_filters"] = "2", "1"
	} else {
		t.Log("without the filter: " + unfiltered)
	}
	if private.Active || os.Geteuid() != 0 {
		for _, caps := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			want[caps] = "0000000000000000"
		}
		want["Groups"] = ""
	}
	for k, v := range want {
		if k == "Groups" && !private.Active {
			continue
		}
		if status[k] != v {
			t.Errorf("status: %s is %q, want %q", k, status[k], v)
		}
	}
	uids := strings.Fields(status["Uid"])
	if len(uids) != 4 || slices.ContainsFunc(uids, func(u string) bool { return u != uids[0] }) || status["Uid"] != status["Gid"] && private.Active {
		t.Errorf("status: Uid %s, Gid %s", status["Uid"], status["Gid"])
	}
	if uid, _ := strconv.Atoi(uids[0]); private.Active && (uid < privateUID || uid > privateUID+privateUIDs) {
		t.Errorf("status: uid %d is not from the private range", uid)
	}
	if pids := strings.Fields(status["NSpid"]); spaces.Active && (len(pids) != 2 || pids[1] != "1") {
		t.Errorf("status: NSpid %v", pids)
	}
	// Every signal that can be is ignored, but for that of a nil pointer: a handler has the kernel write registers to
	// memory before it runs.
	const caught uint64 = 1 << (unix.SIGSEGV - 1)
	const ignored = ^(caught | 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))
	for k, want := range map[string]uint64{"SigCgt": caught, "SigIgn": ignored, "SigBlk": 0} {
		if status[k] != fmt.Sprintf("%016x", want) {
			t.Errorf("status: %s is %s, want %016x", k, status[k], want)
		}
	}

	// Every thread, the runtime's own too.
	tasks, err := os.ReadDir(p.dir + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		thread := posture{t, filepath.Join(p.dir, "task", task.Name())}.fields("status")
		for _, k := range []string{"Seccomp", "Seccomp_filters", "NoNewPrivs"} {
			if v, ok := want[k]; ok && thread[k] != v {
				t.Errorf("thread %s: %s is %q, want %q", task.Name(), k, thread[k], v)
			}
		}
	}

	limits := p.read("limits")
	for _, name := range []string{"Max core file size", "Max file size", "Max open files", "Max msgqueue size"} {
		if !regexp.MustCompile(`(?m)^` + name + `\s+0\s+0\s`).MatchString(limits) {
			t.Errorf("limits: %s is not zero:\n%s", name, limits)
		}
	}

	// stat: pid (comm) state ppid pgrp session tty
	stat := p.read("stat")
	f := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if pid := strconv.Itoa(z.Status().PID); f[3] != pid && f[3] != "0" || f[2] != f[3] || f[4] != "0" {
		t.Errorf("stat: process group %s, session %s, terminal %s", f[2], f[3], f[4])
	}
	t.Logf("anonymous memory %s, threads %s", status["RssAnon"], status["Threads"])
}

// What only root sees of a zone, and nobody else.
func TestPostureInside(t *testing.T) {
	const workers = 2
	z := start(t, Config{Name: "test", Workers: workers})
	if _, err := do(z, 'e'); err != nil {
		t.Fatal(err)
	}
	pid := z.Status().PID
	p := posture{t, fmt.Sprintf("/proc/%d", pid)}
	if os.Geteuid() != 0 {
		for _, name := range []string{"mem", "maps", "environ", "fd", "io", "auxv", "cwd", "exe", "map_files", "ns/net"} {
			var err error
			if name == "cwd" || name == "exe" || name == "ns/net" {
				_, err = os.Readlink(p.dir + "/" + name)
			} else if name == "fd" || name == "map_files" {
				_, err = os.ReadDir(p.dir + "/" + name)
			} else {
				_, err = os.ReadFile(p.dir + "/" + name)
			}
			if !errors.Is(err, os.ErrPermission) {
				t.Errorf("%s can be read: %v", name, err)
			}
		}
		local := make([]byte, 8)
		_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
		if err != unix.EPERM {
			t.Errorf("process_vm_readv: %v", err)
		}
		return
	}

	// Descriptor by descriptor.
	null := "/dev/null"
	want := []string{null, null, null}
	for range 2 * (workers + 2) {
		want = append(want, "pipe:")
	}
	var runtimes []string
	pipes := make(map[string]int)
	entries, err := os.ReadDir(p.dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int {
		x, _ := strconv.Atoi(a.Name())
		y, _ := strconv.Atoi(b.Name())
		return x - y
	})
	for i, e := range entries {
		to, err := os.Readlink(p.dir + "/fd/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(want) {
			runtimes = append(runtimes, to)
			continue
		}
		if e.Name() != strconv.Itoa(i) || !strings.HasPrefix(to, want[i]) {
			t.Errorf("descriptor %s is %s, want %d to be %s", e.Name(), to, i, want[i])
		}
		if strings.HasPrefix(to, "pipe:") {
			pipes[to]++
			flags, _ := strconv.ParseInt(p.fields("fdinfo/" + e.Name())["flags"], 8, 64)
			mode := int64(unix.O_RDONLY)
			if i >= firstPipe+workers+2 {
				mode = unix.O_WRONLY
			}
			if flags&unix.O_ACCMODE != mode || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("descriptor %d has flags %o", i, flags)
			}
		}
	}
	for to, n := range pipes {
		if n != 1 {
			t.Errorf("%d descriptors are %s", n, to)
		}
	}
	slices.Sort(runtimes)
	if want := []string{"anon_inode:[eventfd]", "anon_inode:[eventpoll]"}; !slices.Equal(runtimes, want) {
		t.Errorf("other descriptors: %v, want %v", runtimes, want)
	}

	environ := strings.Split(strings.TrimSuffix(p.read("environ"), "\x00"), "\x00")
	if !slices.Equal(environ, environment(workers, 0)) {
		t.Errorf("environ: %q", environ)
	}
	if got := p.read("cmdline"); got != "stronghold-zone\x00test\x00" {
		t.Errorf("cmdline: %q", got)
	}
	if cwd, err := os.Readlink(p.dir + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("cwd: %s, %v", cwd, err)
	}

	// Its namespaces are its own, but for the user's: one of those would let its owner's processes in.
	private, _ := z.Status().Layer("namespaces")
	for name, own := range map[string]bool{"net": private.Active, "pid": private.Active, "mnt": private.Active, "ipc": private.Active, "user": false} {
		ours, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		its, err := os.Readlink(p.dir + "/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if (ours != its) != own {
			t.Errorf("namespace %s: ours %s, the zone's %s, want its own: %v", name, ours, its, own)
		}
	}

	checkMaps(t, p)
}

// checkMaps looks at every mapping: none both writable and executable, the arena between two that nothing may touch,
// and unreadable even for root.
func checkMaps(t *testing.T, p posture) {
	lines := slices.Collect(strings.Lines(p.read("maps")))
	arenas := 0
	kinds := make(map[string]int)
	for i, line := range lines {
		f := strings.Fields(line)
		kinds[f[1]]++
		if strings.Contains(f[1], "w") && strings.Contains(f[1], "x") {
			t.Errorf("maps: writable and executable: %s", line)
		}
		if !strings.Contains(line, "/secretmem") {
			continue
		}
		arenas++
		from, to, _ := strings.Cut(f[0], "-")
		before, after := strings.Fields(lines[i-1]), strings.Fields(lines[i+1])
		if before[1] != "---p" || !strings.HasSuffix(before[0], "-"+from) || after[1] != "---p" || !strings.HasPrefix(after[0], to+"-") {
			t.Errorf("maps: the arena has no guards:\n%s%s%s", lines[i-1], line, lines[i+1])
		}
		at, err := strconv.ParseInt(from, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		mem, err := os.Open(p.dir + "/mem")
		if err != nil {
			t.Fatal(err)
		}
		defer mem.Close()
		b := make([]byte, 16)
		if n, err := mem.ReadAt(b, at); !errors.Is(err, unix.EIO) {
			t.Errorf("the arena can be read: %d bytes, %v", n, err)
		}
		// The control: other memory can be, by root.
		text, err := strconv.ParseInt(strings.SplitN(lines[0], "-", 2)[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := mem.ReadAt(b, text); n != len(b) || bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("the control reads %d bytes, %v: this shows nothing", n, err)
		}
	}
	if arenas != 1 {
		t.Logf("%d arenas of memfd_secret", arenas)
	}
	t.Log(slices.Sorted(maps.Keys(kinds)))
}

// A zone that gets no locked memory does not start, and says so.
func TestNoLockedMemory(t *testing.T) {
	if !underLimit(t, 0) {
		return
	}
	z, err := Start(t.Context(), Config{Name: "test", Workers: 1})
	var layer *LayerError
	if err == nil {
		defer z.Close()
		if private, _ := z.Status().Layer("private uid"); os.Geteuid() == 0 && !private.Active {
			t.Skip("a zone that is root may lock as much as it likes")
		}
	}
	if !errors.As(err, &layer) || layer.Layer.Name != "locked memory" || !strings.Contains(err.Error(), "mlock") {
		t.Errorf("without a limit to lock memory: %v", err)
	}
}

// underLimit has a process of its own run the test, which may lock so many bytes, and returns false; in that process it
// returns true.
func underLimit(t *testing.T, bytes uint64) bool {
	t.Helper()
	const inside = "SANDBOX_TEST_LIMIT"
	if os.Getenv(inside) != "" {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: bytes, Max: bytes}); err != nil {
			t.Skipf("no such limit here: %v", err)
		}
		return true
	}
	cmd := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=yes")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
	return false
}

// The arena grows with the workers, and where they may lock less, it is as large as it may be, and that is told.
func TestArenaByWorkers(t *testing.T) {
	const limit = 8 << 20 // systemd's, and so most people's
	if !underLimit(t, limit) {
		return
	}
	for _, tt := range []struct {
		workers, least, most int
		note                 string
	}{
		{1, 1 << 20, 1 << 20, ", 1024 KiB"},
		{4, 4 << 20, 4 << 20, ", 4096 KiB"},
		{16, limit / 2, limit, " KiB of 16384: the system lets it lock no more"},
	} {
		z := start(t, Config{Name: "test large arena", Workers: tt.workers})
		l, _ := z.Status().Layer("locked memory")
		if private, _ := z.Status().Layer("private uid"); os.Geteuid() == 0 && !private.Active { // it may lock what it likes
			tt.least, tt.most, tt.note = tt.workers<<20, tt.workers<<20, ""
		}
		size, err := z.Call(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := int(binary.LittleEndian.Uint32(size)); n < tt.least || n > tt.most || !l.Active || !strings.HasSuffix(l.Note, tt.note) {
			t.Errorf("%d workers have an arena of %d bytes: %v", tt.workers, n, l)
		}
	}
}

// What the parent's parent left open does not get in.
func TestForeignDescriptors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may look")
	}
	var fds []int
	for range 3 {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // without O_CLOEXEC
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	event, err := unix.Eventfd(0, 0) // one that might be taken for the poller's
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	z := start(t, Config{Name: "test", Workers: 1})
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", z.Status().PID))
	if err != nil {
		t.Fatal(err)
	}
	if want := 3 + 6 + 2; len(entries) != want {
		t.Errorf("%d descriptors, want %d; left open: %v, %d", len(entries), want, fds, event)
	}
}

// A process that only looks like a zone is an ordinary one.
func TestGateIsNotFooled(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, tt := range map[string]struct {
		argv  []string
		files []*os.File
	}{
		"no pipes":        {[]string{argv0, "test"}, []*os.File{null, null, null}},
		"one pipe":        {[]string{argv0, "test"}, []*os.File{null, null, null, r}},
		"pipes reversed":  {[]string{argv0, "test"}, []*os.File{null, null, null, w, r}},
		"no /dev/null":    {[]string{argv0, "test"}, []*os.File{r, null, null, r, w}},
		"an argument":     {[]string{argv0, "test", "-test.run=XXX"}, []*os.File{null, null, null, r, w}},
		"another name":    {[]string{"sandbox", "test"}, []*os.File{null, null, null, r, w}},
		"an unknown zone": {[]string{argv0, "unknown"}, []*os.File{null, null, null, r, w}},
	} {
		// An ordinary process is a test run, which with -test.run of nothing would pass; without flags it would run
		// these tests. So it is told by the environment, which a zone does not look at, to say so and stop.
		p, err := os.StartProcess(program, tt.argv, &os.ProcAttr{Env: []string{"SANDBOX_TEST_ORDINARY=1"}, Files: tt.files})
		if err != nil {
			t.Fatal(err)
		}
		state, err := p.Wait()
		if err != nil || state.ExitCode() != ordinary {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
}
