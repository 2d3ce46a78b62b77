package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// beParent is what TestDiesWithParent runs in a process of its own: it starts a zone, says its pid and waits.
func beParent() {
	z, err := Start(context.Background(), Config{Name: "test", Workers: 1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(z.Status().PID)
	go z.Call(context.Background(), append([]byte{'s'}, number(1e6)...)) // busy, so that it does not see the pipe's end
	go z.Call(context.Background(), append([]byte{'s'}, number(1e6)...))
	time.Sleep(time.Minute)
}

// A zone whose parent is killed ends at once, also when its handlers are busy.
func TestDiesWithParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess(program, []string{"sandbox.test"}, &os.ProcAttr{Env: []string{"SANDBOX_TEST_PARENT=1"}, Files: []*os.File{null, w, null}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the parent says %q", line)
	}
	if comm(pid) == "" {
		t.Fatalf("process %d is not there: this test shows nothing", pid)
	}
	time.Sleep(50 * time.Millisecond)
	p.Kill()
	p.Wait()
	for begin := time.Now(); comm(pid) != ""; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("the zone outlives its parent: %q", comm(pid))
		}
	}
}

// comm is the name of a process that is there and not waiting to be reaped.
func comm(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return ""
	}
	name, _, _ := strings.Cut(string(stat), ")")
	return name
}

// Signals of other processes change nothing, but for those that nobody can ignore.
func TestSignals(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 2})
	for sig := unix.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP:
			continue
		}
		for range 3 {
			if err := unix.Kill(z.Status().PID, sig); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
			t.Fatalf("after signal %d (%v): %q, %v", sig, sig, got, err)
		}
	}
}

// Zones start and end side by side, and one after the other has died.
func TestManyZones(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 3 {
				z, err := Start(context.Background(), Config{Name: "test", Workers: 1 + i%3})
				if err != nil {
					t.Error(err)
					return
				}
				want := []byte{byte(i)}
				if got, err := do(z, 'e', want); err != nil || got[0] != want[0] {
					t.Errorf("%x, %v", got, err)
				}
				if i%2 == 0 {
					z.child.kill()
					<-z.Done()
					if !errors.Is(z.Err(), ErrEnded) {
						t.Error(z.Err())
					}
				}
				z.Close()
			}
		})
	}
	wg.Wait()
}
