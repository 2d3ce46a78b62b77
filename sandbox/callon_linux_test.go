package sandbox

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who leaves a call that goes on gets its answer later, on every lane: alone, among others, and if it is large.
func TestCallOn(t *testing.T) {
	for name, callers := range map[string]int{"alone": 1, "among others": 8} {
		t.Run(name, func(t *testing.T) {
			z := start(t, Config{Name: "test", Workers: 2})
			echo := func(size int) []byte { return bytes.Repeat([]byte("e"), size) }
			if answer, wait, err := z.CallOn(t.Context(), echo(10), false); wait != nil || err != nil || len(answer) != 9 {
				t.Errorf("in time: %q, %v", answer, err)
			}
			halt(t, z)
			var left, wg sync.WaitGroup
			left.Add(callers)
			for i := range callers {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					request := echo(10)
					if i%3 == 2 {
						request = echo(1 << 20)
					}
					_, wait, err := z.CallOn(ctx, request, false)
					left.Done()
					if wait == nil || err != context.DeadlineExceeded {
						t.Errorf("of a zone that is stopped: %v", err)
						return
					}
					if answer, err := wait(); err != nil || !bytes.Equal(answer, request[1:]) {
						t.Errorf("afterwards: %d bytes of %d, %v", len(answer), len(request)-1, err)
					}
				})
			}
			left.Wait()
			if err := unix.Kill(z.Status().PID, unix.SIGCONT); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			for range 20 {
				if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
					t.Fatalf("%q, %v", got, err)
				}
			}
			for _, l := range z.lanes {
				if n := l.load.Load(); n != 0 {
					t.Errorf("a lane thinks that %d calls are on it", n)
				}
			}
		})
	}
}

// If the zone ends meanwhile, that is the answer.
func TestCallOnEnds(t *testing.T) {
	for name, callers := range map[string]int{"alone": 1, "among others": 4} {
		t.Run(name, func(t *testing.T) {
			z := start(t, Config{Name: "test", Workers: 1})
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // it is asked all the same
			var left, wg sync.WaitGroup
			left.Add(callers)
			for range callers {
				wg.Go(func() {
					_, wait, err := z.CallOn(ctx, append([]byte{'s'}, number(60_000)...), false)
					left.Done()
					if wait == nil || err != context.Canceled {
						t.Errorf("a call whose asker has left: %v", err)
						return
					}
					if _, err := wait(); !errors.Is(err, ErrEnded) {
						t.Errorf("afterwards: %v", err)
					}
				})
			}
			left.Wait()
			if err := unix.Kill(z.Status().PID, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			<-z.Done()
			if _, wait, err := z.CallOn(ctx, []byte("e"), false); wait != nil || !errors.Is(err, ErrEnded) {
				t.Errorf("of a zone that has ended: %v", err)
			}
		})
	}
}
