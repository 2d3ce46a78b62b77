//go:build unix

package sandbox

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// filterSignal is what the kernel ends a process with whose filter says so.
const filterSignal = syscall.SIGSYS

// A zone has /dev/null three times, then the pipes that requests come on, then those that answers leave on.
const firstPipe = 3

// environment is all that a zone has. The settings keep the runtime from system calls that it can do without, and from
// leaving copies of stacks and registers behind:
//
//	asyncpreemptoff    no signals between threads, which write the registers to a signal stack. So no loop of a handler
//	                   may run long without a call, or it holds up the garbage collector.
//	gcshrinkstackoff   no stack is copied and its old place left as it was
//	updatemaxprocs, containermaxprocs   no look at affinity and cgroup once a second
//	decoratemappings   no prctl to name mappings
//	GOTRACEBACK        a dying runtime prints no stack
//	GOMEMLIMIT         where a zone has a bound: lockDown makes a hard one of it
func environment(workers int, memory uint64) []string {
	env := []string{
		"GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1,updatemaxprocs=0,containermaxprocs=0,decoratemappings=0",
		"GOTRACEBACK=none",
		"GOMAXPROCS=" + strconv.Itoa(workers+processorToSpare),
	}
	if memory != 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatUint(memory+ownMemory, 10))
	}
	return env
}

// startChild starts this program as a zone. It must be called on the thread that is to live as long as the zone.
func startChild(name string, workers int, memory uint64) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	defer null.Close()
	parent, zone, err := pipePairs(workers + 1) // one is for requests that take long
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	quick, quickEnd, err := quickPair()
	if err != nil {
		closeEnds(parent)
		closeEnds(zone)
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if quick != nil {
		zone = append(zone, quickEnd)
	}
	defer closeEnds(zone)
	files := []*os.File{null, null, null}
	for _, e := range zone {
		files = append(files, e.r)
	}
	for _, e := range zone {
		files = append(files, e.w)
	}
	process, layers, err := startProcess(&os.ProcAttr{Dir: "/", Env: environment(workers, memory), Files: files}, []string{argv0, name})
	if err != nil {
		closeEnds(parent)
		if quick != nil {
			quick.close()
		}
		return nil, fmt.Errorf("sandbox: starting the zone: %w", err)
	}
	own := Layer{Name: "own process", Active: true, Required: true}
	sealed := Layer{Name: "sealed pipe", Active: true, Required: true, Note: "X25519, ChaCha20-Poly1305"}
	return &child{process: process, ends: parent, quick: quick, layers: append([]Layer{own, sealed}, layers...)}, nil
}

// inheritedEnds looks at the descriptors of this process and returns the zone's side of its pipes, if they are those
// that startChild gives to a zone.
func inheritedEnds(args []string) ([]end, bool) {
	if len(args) != 0 {
		return nil, false
	}
	for fd := range firstPipe {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
			return nil, false
		}
	}
	reads, fd := 0, firstPipe
	for isPipe(fd, unix.O_RDONLY) {
		reads, fd = reads+1, fd+1
	}
	if reads < 2 || reads > maxWorkers+2 {
		return nil, false
	}
	for i := range reads {
		if !isPipe(fd+i, unix.O_WRONLY) {
			return nil, false
		}
	}
	var ends []end
	for i := range reads {
		// Blocking: a goroutine that waits in read(2) is woken quicker than by the poller.
		r, w := firstPipe+i, firstPipe+reads+i
		unix.SetNonblock(r, false)
		unix.SetNonblock(w, false)
		unix.CloseOnExec(r)
		unix.CloseOnExec(w)
		ends = append(ends, end{os.NewFile(uintptr(r), "requests"), os.NewFile(uintptr(w), "answers")})
	}
	return ends, true
}

func isPipe(fd, mode int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == mode
}

// raw is an end without the poller and the locks of files. They must stay open.
func raw(e end) (io.Reader, io.Writer) { return rawReader(e.r.Fd()), rawWriter(e.w.Fd()) }

// A rawReader is a descriptor that blocks.
type rawReader int

func (r rawReader) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(r), b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// A rawWriter is a descriptor that blocks.
type rawWriter int

func (w rawWriter) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(int(w), b[done:])
		if err != nil && err != unix.EINTR {
			return done, os.NewSyscallError("write", err)
		}
		done += max(n, 0)
	}
	return done, nil
}
