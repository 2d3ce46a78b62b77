//go:build linux

package itest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestNoSystemCalls: to open a record and to sign with it takes no system call.
// A process signs on a thread that would be killed for one.
func TestNoSystemCalls(t *testing.T) {
	const which = "STRONGHOLD_TEST_CALLS"
	if mode := os.Getenv(which); mode != "" {
		signWithoutCalls(t, mode == "one")
		return
	}
	if raceDetector {
		t.Skip("the race detector makes system calls of its own")
	}
	// The runtime may give the processor to another goroutine, which takes calls: not each time, as a record would.
	var err error
	for range 10 {
		if err = inChild(which + "=none"); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("there was always one: %v", err)
	}
	var ended *exec.ExitError
	if err := inChild(which + "=one"); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
		t.Errorf("with one of its own: %v", err)
	}
}

func inChild(env string) error {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestNoSystemCalls$")
	cmd.Env = append(os.Environ(), env)
	return cmd.Run()
}

// signWithoutCalls ends the process: with 0, or by the filter.
func signWithoutCalls(t *testing.T, makeOne bool) {
	tg := engineTarget(newEngine(t))
	tg.unlock(t)
	if _, err := (protocol.Client{H: tg.handler}).GenerateKey(t.Context(), benchKey, protocol.Ed25519, false); err != nil {
		t.Fatal(err)
	}
	req := &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign", Location: benchKey, Message: make([]byte, 32)}
	sign := func() bool {
		resp, err := tg.engine.Handle(t.Context(), req)
		return err == nil && len(resp.GetSignature()) == 64
	}
	for range 500 {
		sign()
	}
	runtime.GC() // so that there is room for what is allocated below
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	if err := forbidCalls(); err != nil {
		t.Fatal(err)
	}
	code := uintptr(0)
	for range 20 {
		if !sign() {
			code = 1
		}
	}
	if makeOne {
		unix.Getppid()
	}
	unix.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
}

// forbidCalls has the kernel end the process when this thread makes a system
// call, other than to end it and to return from a signal.
func forbidCalls() error {
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4}, // the number
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_EXIT_GROUP, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_RT_SIGRETURN, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
}
