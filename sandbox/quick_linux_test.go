package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestQuickLaneTampered(t *testing.T) {
	for name, tt := range map[string]struct {
		tamper func(q *quickLane)
		want   error // nil where the zone sees it
	}{
		"one answer left out":  {func(q *quickLane) { q.in.next++ }, errOpen},
		"one request left out": {func(q *quickLane) { q.out.next++ }, nil},
		"replay": {func(q *quickLane) {
			b := appendRequest(newRecord(nil), 1, 0, []byte("e"), timeHead+1)
			b, _ = q.out.seal(b)
			rawWriter(q.w).Write(b)
			rawWriter(q.w).Write(b)
		}, errPiece}, // an answer to what no caller has asked: both sides see something
		"garbage":          {func(q *quickLane) { rawWriter(q.w).Write(bytes.Repeat([]byte("x"), 100)) }, nil},
		"answers used up":  {func(q *quickLane) { q.in.next = math.MaxUint64 }, errCounter},
		"requests used up": {func(q *quickLane) { q.out.next = math.MaxUint64 }, errCounter},
	} {
		t.Run(name, func(t *testing.T) {
			z := start(t, Config{Name: "test", Workers: 1})
			tt.tamper(z.child.quick)
			// While the zone works on the replayed request a call goes by another pipe, and may come before the end.
			if _, err := do(z, 'e'); !errors.Is(err, ErrEnded) && (err != nil || name != "replay") {
				t.Errorf("a call: %v", err)
			}
			ended := waitForEnd(t, z)
			if ended.Reason != ReasonPipe || tt.want != nil && name != "replay" && !errors.Is(ended, tt.want) {
				t.Errorf("ended with %v", ended)
			}
		})
	}
}

// halt stops a zone, and waits until it stands still: each thread stops when it next runs.
func halt(t *testing.T, z *Zone) {
	t.Helper()
	pid := z.Status().PID
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for stopped := false; !stopped; {
		if t.Context().Err() != nil {
			t.Fatal("the zone does not stop")
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("the threads of %d: %v", pid, err)
		}
		stopped = true
		for _, thread := range threads {
			b, err := os.ReadFile(thread)
			stopped = stopped && (err != nil || bytes.Contains(b, []byte(") T ")))
		}
		runtime.Gosched()
	}
}

// A zone that does not answer at all holds nobody beyond his context, on no lane, nor Close.
func TestStuckZone(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 2})
	if _, err := do(z, 'e'); err != nil {
		t.Fatal(err)
	}
	halt(t, z)
	begin := time.Now()
	large := bytes.Repeat([]byte("e"), 8<<20)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			request := large[:10]
			if i%3 == 0 {
				request = large
			}
			if _, err := z.Call(ctx, request); err != context.DeadlineExceeded {
				t.Errorf("a call of a zone that is stopped: %v", err)
			}
		})
	}
	wg.Wait()
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("calls with 100 ms took %v", d)
	}
	// What they left behind does not hurt, once it goes on.
	if err := unix.Kill(z.Status().PID, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	halt(t, z)
	begin = time.Now()
	if err := z.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 2*closeGrace {
		t.Errorf("Close of a zone that is stopped took %v", d)
	}
}

// A caller who leaves the quick lane makes no wrong answer for the next, and the lane comes back.
func TestQuickLaneAbandoned(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	q := z.child.quick
	for i := range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%10)*100*time.Microsecond)
		z.Call(ctx, append([]byte{'s'}, number(i%3)...))
		cancel()
		want := []byte{byte(i), 1, 2}
		if got, err := do(z, 'e', want); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x, %v", got, err)
		}
	}
	q.mu.Lock()
	before := q.lastID
	q.mu.Unlock()
	if before < 50 {
		t.Errorf("the quick lane was used %d times: this test shows little", before)
	}
	for range 100 {
		if _, err := do(z, 'e'); err != nil {
			t.Fatal(err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lastID == before {
		t.Error("the quick lane did not come back")
	}
}

// So it is with an answer that comes in many records, wherever among them the caller leaves.
func TestQuickLaneLargeAnswer(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	q := z.child.quick
	const size = 10 * maxPiece
	whole, calls := 0, 0
	for ; calls < 60 || calls == whole && calls < 6000; calls++ { // how fast a caller leaves is the machine's matter
		i := calls % 60
		timeout := time.Minute
		if i%3 != 0 {
			timeout = time.Duration(i) * 20 * time.Microsecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		got, err := z.Call(ctx, append([]byte{'n'}, number(size)...))
		cancel()
		switch {
		case err == nil && len(got) == size:
			whole++
		case err != context.DeadlineExceeded || i%3 == 0:
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if whole == calls {
		t.Error("nobody left: this test shows nothing")
	}
	// It comes back, whoever was the last to leave.
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		q.mu.Lock()
		before := q.lastID
		q.mu.Unlock()
		if _, err := do(z, 'e'); err != nil {
			t.Fatal(err)
		}
		q.mu.Lock()
		used := q.lastID > before
		q.mu.Unlock()
		if used {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the quick lane did not come back")
		}
	}
}

// A request is its caller's again when Call has returned. The race detector sees it if not.
func TestRequestIsNotKept(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			request := bytes.Repeat([]byte("h"), 1<<20)
			for j := range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i*j)*50*time.Microsecond)
				z.Call(ctx, request)
				cancel()
				clear(request[1:])
			}
		})
	}
	wg.Wait()
}
