package sandbox

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Everything that a runtime does by itself or for a handler, at once and for a while: what the filter must let through.
// Run it with -long on every new release of Go, in a build with cgo too.

type stressCounts struct{ signs, hashes, panics, threads, collections, timers, secrets, stacks, finalizers atomic.Uint64 }

func init() {
	Gate("stress", 256<<10, func(in Inside) (Handler, error) {
		return func(_ context.Context, request []byte) ([]byte, error) {
			d := time.Duration(binary.LittleEndian.Uint32(request)) * time.Millisecond
			return stress(in, d)
		}, nil
	})
}

func stress(in Inside, d time.Duration) ([]byte, error) {
	var n stressCounts
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	end := time.Now().Add(d)
	repeat := func(f func() error) {
		wg.Go(func() {
			for time.Now().Before(end) {
				if err := f(); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	for range 2 {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		repeat(func() error {
			message := binary.LittleEndian.AppendUint64(nil, n.signs.Add(1))
			if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, ed25519.Sign(key, message)) {
				return errors.New("a wrong signature")
			}
			return nil
		})
	}
	repeat(func() error {
		n.hashes.Add(1)
		argon2.IDKey([]byte("password"), []byte("salt"), 1, 32<<10, 4, 32)
		return nil
	})
	repeat(func() error { // half of them signals
		defer func() { recover() }()
		if n.panics.Add(1)%2 == 0 {
			panic("on purpose")
		}
		*nilPointer() = 1
		return nil
	})
	repeat(func() error { // a locked goroutine takes its thread with it
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			n.threads.Add(1)
			close(done)
		}()
		<-done
		time.Sleep(time.Millisecond)
		return nil
	})
	repeat(func() error {
		n.collections.Add(1)
		large := make([]byte, 16<<20)
		for i := 0; i < len(large); i += 4096 {
			large[i] = 1
		}
		runtime.GC()
		debug.FreeOSMemory()
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	repeat(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Microsecond)
		defer cancel()
		<-ctx.Done()
		n.timers.Add(1)
		return nil
	})
	repeat(func() error {
		s, err := in.Arena.New(1 + rand.IntN(4096))
		if err != nil {
			return err
		}
		memory.Erase(func() {
			s.Use(func(b []byte) error { b[len(b)-1] = 1; return nil })
		})
		s.Destroy()
		n.secrets.Add(1)
		return nil
	})
	repeat(func() error {
		done := make(chan int)
		go func() { done <- deep(2000) }()
		<-done
		n.stacks.Add(1)
		return nil
	})
	repeat(func() error {
		p := new([64]byte)
		runtime.AddCleanup(p, func(c *stressCounts) { c.finalizers.Add(1) }, &n)
		time.Sleep(100 * time.Microsecond)
		return nil
	})
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return fmt.Appendf(nil, "%d signatures, %d Argon2, %d panics, %d threads, %d collections, %d timers, %d secrets, %d stacks, %d cleanups",
		n.signs.Load(), n.hashes.Load(), n.panics.Load(), n.threads.Load(), n.collections.Load(), n.timers.Load(), n.secrets.Load(),
		n.stacks.Load(), n.finalizers.Load()), nil
}

//go:noinline
func deep(n int) int {
	var room [64]int
	if n == 0 {
		return 0
	}
	room[n%64] = deep(n - 1)
	return room[n%64] + 1
}

func TestStress(t *testing.T) {
	d := 2 * time.Second
	if *long {
		d = 2 * time.Minute
	}
	z := start(t, Config{Name: "stress"})
	ctx, cancel := context.WithTimeout(context.Background(), d+5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		counts, err := z.Call(ctx, number(int(d.Milliseconds())))
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s", counts)
	})
	// Meanwhile the pipe is used.
	calls := 0
	for begin := time.Now(); time.Since(begin) < d; calls++ {
		if _, err := z.Call(ctx, number(0)); err != nil {
			t.Error(err)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	t.Logf("%d calls meanwhile", calls)

	// And idle: the forced collection and the scavenger come by themselves, after minutes.
	if *long {
		time.Sleep(150 * time.Second)
		if _, err := z.Call(ctx, number(0)); err != nil {
			t.Errorf("after idling: %v", err)
		}
	}
	if z.Err() != nil {
		t.Error(z.Err())
	}
}
