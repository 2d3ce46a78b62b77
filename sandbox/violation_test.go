//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A zone that makes the system calls it is asked for: a number and six arguments, or a name of something else.
func init() {
	if len(os.Args) > 1 && os.Args[0] == argv0 && os.Args[1] == "violations" {
		prepareForeign()
	}
	Gate("violations", 1, func(Inside) (Handler, error) {
		return func(_ context.Context, request []byte) ([]byte, error) {
			switch string(request) {
			case "os.Open":
				_, err := os.Open("/")
				return nil, err
			case "os.StartProcess":
				_, err := os.StartProcess(program, []string{"sandbox"}, &os.ProcAttr{})
				return nil, err
			case "runtime.SetDefaultGOMAXPROCS":
				runtime.SetDefaultGOMAXPROCS()
				return nil, nil
			case "foreign":
				callForeign()
				return nil, nil
			}
			var a [7]uintptr
			for i := range a {
				a[i] = uintptr(binary.LittleEndian.Uint64(request[8*i:]))
			}
			r, _, errno := unix.RawSyscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
			if errno != 0 {
				return nil, errno
			}
			return binary.LittleEndian.AppendUint64(nil, uint64(r)), nil
		}, nil
	})
}

func syscallRequest(number uintptr, args ...uintptr) []byte {
	b := make([]byte, 7*8)
	binary.LittleEndian.PutUint64(b, uint64(number))
	for i, a := range args {
		binary.LittleEndian.PutUint64(b[8+8*i:], uint64(a))
	}
	return b
}

func needFilter(t testing.TB) {
	if unfiltered != "" {
		t.Skip("without the filter: " + unfiltered)
	}
}

const minusOne = ^uintptr(0)

// failingInC are the violations that a build with cgo lives through: what the C library asks for and does without.
var failingInC = map[string]string{
	"open a file":              "permission denied",
	"open a file, from Go":     "permission denied",
	"clone3":                   "function not implemented",
	"affinity, by the runtime": "<nil>", // the runtime takes it that there is one processor
	"affinity":                 "permission denied",
}

// Every kind of thing that a zone may not do ends it, or fails, and its parent is told why.
func TestViolations(t *testing.T) {
	needFilter(t)
	if iscgo != cgoBuild {
		t.Errorf("a build with cgo: %v, and C in it: %v", cgoBuild, iscgo)
	}
	for _, tt := range []struct {
		name    string
		request []byte
	}{
		{"open a file", syscallRequest(unix.SYS_OPENAT, minusOne, 0, unix.O_RDONLY)},
		{"open a file, from Go", []byte("os.Open")},
		{"openat2", syscallRequest(unix.SYS_OPENAT2, minusOne)},
		{"statx", syscallRequest(unix.SYS_STATX, minusOne)},
		{"unlink a file", syscallRequest(unix.SYS_UNLINKAT, minusOne)},
		{"change directory", syscallRequest(unix.SYS_CHDIR)},
		{"mount", syscallRequest(unix.SYS_MOUNT)},
		{"socket", syscallRequest(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"unix socket", syscallRequest(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"socket pair", syscallRequest(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"connect", syscallRequest(unix.SYS_CONNECT, 3)},
		{"send a descriptor", syscallRequest(unix.SYS_SENDMSG, 3)},
		{"exec", syscallRequest(unix.SYS_EXECVE)},
		{"execveat", syscallRequest(unix.SYS_EXECVEAT, 0)},
		{"start a process, from Go", []byte("os.StartProcess")},
		{"fork", syscallRequest(unix.SYS_CLONE, uintptr(unix.SIGCHLD))},
		{"clone without thread flags", syscallRequest(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_FILES)},
		{"clone into a namespace", syscallRequest(unix.SYS_CLONE, cloneThread|unix.CLONE_NEWUSER)},
		{"clone3", syscallRequest(unix.SYS_CLONE3)},
		{"unshare", syscallRequest(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"map executable memory", syscallRequest(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, minusOne)},
		{"map a descriptor", syscallRequest(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_SHARED, 3)},
		{"make memory executable", syscallRequest(unix.SYS_MPROTECT, 0, 4096, unix.PROT_READ|unix.PROT_EXEC)},
		{"pkey_mprotect", syscallRequest(unix.SYS_PKEY_MPROTECT, 0, 4096, unix.PROT_EXEC, 0)},
		{"mremap", syscallRequest(unix.SYS_MREMAP)},
		{"unlock memory", syscallRequest(unix.SYS_MUNLOCK)},
		{"memfd", syscallRequest(unix.SYS_MEMFD_CREATE)},
		{"ptrace", syscallRequest(unix.SYS_PTRACE, unix.PTRACE_TRACEME)},
		{"read another process", syscallRequest(unix.SYS_PROCESS_VM_READV, 1)},
		{"write another process", syscallRequest(unix.SYS_PROCESS_VM_WRITEV, 1)},
		{"take a descriptor", syscallRequest(unix.SYS_PIDFD_GETFD)},
		{"kill", syscallRequest(unix.SYS_KILL, 1, 0)},
		{"kill itself", syscallRequest(unix.SYS_KILL, 0, uintptr(unix.SIGUSR1))},
		{"tgkill", syscallRequest(unix.SYS_TGKILL, 1, 1, 0)},
		{"write to standard output", syscallRequest(unix.SYS_WRITE, 1)},
		{"write to the requests", syscallRequest(unix.SYS_WRITE, firstPipe)},
		{"write to what is not open", syscallRequest(unix.SYS_WRITE, 100)},
		{"writev", syscallRequest(unix.SYS_WRITEV, 2)},
		{"read standard input", syscallRequest(unix.SYS_READ, 0)},
		{"read the answers", syscallRequest(unix.SYS_READ, firstPipe+3)},
		{"splice", syscallRequest(unix.SYS_SPLICE)},
		{"copy a descriptor", syscallRequest(unix.SYS_DUP, 3)},
		{"fcntl", syscallRequest(unix.SYS_FCNTL, 3)},
		{"ioctl", syscallRequest(unix.SYS_IOCTL, 0)},
		{"pipe", syscallRequest(unix.SYS_PIPE2)},
		{"epoll", syscallRequest(unix.SYS_EPOLL_CREATE1)},
		{"io_uring", syscallRequest(unix.SYS_IO_URING_SETUP, 1)},
		{"bpf", syscallRequest(unix.SYS_BPF)},
		{"userfaultfd", syscallRequest(unix.SYS_USERFAULTFD)},
		{"perf_event_open", syscallRequest(unix.SYS_PERF_EVENT_OPEN)},
		{"keyctl", syscallRequest(unix.SYS_KEYCTL)},
		{"shared memory", syscallRequest(unix.SYS_SHMGET)},
		{"become dumpable", syscallRequest(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)},
		{"another filter", syscallRequest(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER)},
		{"another limit", syscallRequest(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE)},
		{"another user", syscallRequest(unix.SYS_SETUID, 0)},
		{"another personality", syscallRequest(unix.SYS_PERSONALITY, 0xffffffff)},
		{"futex of another kind", syscallRequest(unix.SYS_FUTEX, 0, 6)},
		{"affinity of another", syscallRequest(unix.SYS_SCHED_SETAFFINITY, 1, 8, 0)},
		{"affinity", syscallRequest(unix.SYS_SCHED_GETAFFINITY, 0, 8, 0)},
		{"affinity, by the runtime", []byte("runtime.SetDefaultGOMAXPROCS")},
		{"a number that is none", syscallRequest(100_000)},
		{"x32", syscallRequest(unix.SYS_GETPID | 1<<30)},
		{"foreign architecture", []byte("foreign")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if string(tt.request) == "foreign" && runtime.GOARCH != "amd64" {
				t.Skip("no way to call another architecture from here")
			}
			z := start(t, Config{Name: "violations", Workers: 1})
			got, err := z.Call(context.Background(), tt.request)
			if want := failingInC[tt.name]; iscgo && want != "" {
				if text := fmt.Sprint(err); !strings.HasSuffix(text, want) {
					t.Errorf("answered %x, %s", got, text)
				}
				if _, err := z.Call(context.Background(), syscallRequest(unix.SYS_GETTID)); err != nil {
					t.Errorf("and then: %v", err)
				}
				return
			}
			var ended *EndedError
			if !errors.As(err, &ended) || ended.Reason != ReasonFilter || ended.Signal != syscall.SIGSYS {
				t.Fatalf("answered %x, %v", got, err)
			}
			<-z.Done()
			if err := z.Err(); !strings.Contains(err.Error(), "ended by the syscall filter") {
				t.Errorf("the operator is told: %v", err)
			}
		})
	}

	// The control: what is allowed comes back.
	z := start(t, Config{Name: "violations", Workers: 1})
	for name, request := range map[string][]byte{
		"gettid":             syscallRequest(unix.SYS_GETTID),
		"getrandom":          syscallRequest(unix.SYS_GETRANDOM),
		"sched_yield":        syscallRequest(unix.SYS_SCHED_YIELD),
		"write of nothing":   syscallRequest(unix.SYS_WRITE, 2),
		"memory of no file":  syscallRequest(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON, minusOne),
		"memory, 32 bits -1": syscallRequest(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON, 0xffffffff),
	} {
		if _, err := z.Call(context.Background(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A zone that is stopped and goes on: the kernel restarts its sleeping calls in a way of its own.
	for range 3 {
		unix.Kill(z.Status().PID, unix.SIGSTOP)
		unix.Kill(z.Status().PID, unix.SIGCONT)
		if _, err := z.Call(context.Background(), syscallRequest(unix.SYS_GETTID)); err != nil {
			t.Fatal(err)
		}
	}
}
