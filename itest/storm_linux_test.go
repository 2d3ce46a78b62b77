package itest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/protocol"
)

// collectionStorm has the zone make garbage, much faster than anything that it is
// for: messages of nearly a frame to be signed, by many callers. Each costs it a few
// megabytes, and every few megabytes its runtime collects.
func collectionStorm(ctx context.Context, h *hunt) string {
	var n atomic.Int64
	var all sync.WaitGroup
	message := make([]byte, protocol.MaxFrame-4096)
	for range 4 {
		c := h.p.dial(h.t)
		all.Go(func() {
			for ctx.Err() == nil || n.Load() < 100 {
				if _, err := c.Sign(context.WithoutCancel(ctx), h.at("key"), message); err != nil {
					h.t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	h.secrets.addNonce("nonce of the storm", h.key, message)
	return fmt.Sprintf("%d messages of %d bytes", n.Load(), len(message))
}

// signalStorm sends signals to the zone and to each of its threads, as fast as it
// can, and stops it and lets it go on. SIGSEGV is not among them: the zone has a
// handler of it, and the kernel writes registers to memory before a handler runs.
func signalStorm(ctx context.Context, h *hunt) string {
	signals := []syscall.Signal{syscall.SIGURG, syscall.SIGUSR1, syscall.SIGCONT, syscall.SIGPROF, syscall.SIGTRAP, syscall.SIGBUS,
		syscall.SIGFPE, syscall.SIGSYS, 33, syscall.SIGSTOP, syscall.SIGCONT}
	n := 0
	for ; ctx.Err() == nil || n < 5000; n++ {
		sig := signals[n%len(signals)]
		if err := syscall.Kill(h.zone, sig); err != nil {
			h.t.Error(err)
			break
		}
		if n%100 != 0 || sig == syscall.SIGSTOP {
			continue
		}
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", h.zone))
		if err != nil {
			h.t.Error(err)
			break
		}
		for _, task := range tasks {
			if tid, err := strconv.Atoi(task.Name()); err == nil {
				unix.Tgkill(h.zone, tid, syscall.SIGPROF) // the thread may have ended
				n++
			}
		}
	}
	if err := syscall.Kill(h.zone, syscall.SIGCONT); err != nil {
		h.t.Error(err)
	}
	return fmt.Sprintf("%d signals", n)
}

// planted is what a process is told to hold, for wantFound. It is global, so that
// the compiler does not see that nobody reads it.
var planted []byte

// That process does nothing else, whichever tests it would run.
func init() {
	if os.Getenv("ITEST_PLANTED") != "" {
		bePlanted()
		os.Exit(0)
	}
}

// bePlanted is the life of that process.
func bePlanted() {
	b, err := io.ReadAll(io.LimitReader(os.Stdin, 64))
	if err != nil {
		os.Exit(1)
	}
	planted = append(make([]byte, 5), b...) // at an odd address
	fmt.Println("planted")
	io.Copy(io.Discard, os.Stdin)
}

// wantFound shows that the search finds a piece of a secret in the memory of another
// process, as it is and byte-swapped, at any address, and that it does not find what
// is not there.
func wantFound(t *testing.T, secrets *fragments, piece [8]byte) {
	t.Helper()
	swapped := binary.BigEndian.AppendUint64(nil, binary.LittleEndian.Uint64(piece[:]))
	unknown := bytes.Repeat([]byte("unknown!"), 8)
	for _, tt := range []struct {
		name string
		hold []byte
		want bool
	}{
		{"a piece", append(piece[:], unknown[:56]...), true},
		{"a swapped piece", append(swapped, unknown[:56]...), true},
		{"none", unknown, false},
	} {
		func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "ITEST_PLANTED=1")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer stdin.Close()
			if _, err := stdin.Write(tt.hold); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(stdout, make([]byte, len("planted"))); err != nil {
				t.Fatal(err)
			}
			if found := scan(t, cmd.Process.Pid, secrets); (len(found) > 0) != tt.want {
				t.Fatalf("with %s planted, the search finds %v", tt.name, found)
			}
		}()
	}
}
