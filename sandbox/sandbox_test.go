package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// long runs the stress for two minutes and more of everything else that takes time.
var long = flag.Bool("long", false, "run the long tests")

// ordinary is what TestGateIsNotFooled has a process exit with that reaches main.
const ordinary = 77

func TestMain(m *testing.M) {
	if os.Getenv("SANDBOX_TEST_ORDINARY") != "" {
		os.Exit(ordinary)
	}
	if os.Getenv("SANDBOX_TEST_PARENT") != "" {
		beParent()
	}
	if what := os.Getenv("SANDBOX_TEST_REFUSED"); what != "" {
		beRefused(what)
	}
	goleak.VerifyTestMain(m)
}

// The zone of most tests: the first byte of a request says what to do with the rest.
func init() {
	Gate("test", 64<<10, func(in Inside) (Handler, error) {
		if in.Arena == nil || in.Workers < 1 {
			return nil, errors.New("nothing inside")
		}
		return func(ctx context.Context, request []byte) ([]byte, error) {
			if len(request) == 0 {
				return nil, nil
			}
			rest := request[1:]
			switch request[0] {
			case 'e': // echo
				return rest, nil
			case 'h': // hash
				sum := sha256.Sum256(rest)
				return sum[:], nil
			case 'n': // as many bytes as asked for
				return bytes.Repeat([]byte{'n'}, int(binary.LittleEndian.Uint32(rest))), nil
			case 'm': // how much memory there is
				return binary.LittleEndian.AppendUint64(nil, in.Memory), nil
			case 'f':
				return nil, fmt.Errorf("failed: %s", rest)
			case 'p':
				panic(string(rest))
			case 'N': // a nil pointer: a signal
				return []byte{*(*byte)(nilPointer())}, nil
			case 's': // sleep
				time.Sleep(time.Duration(binary.LittleEndian.Uint32(rest)) * time.Millisecond)
				return nil, nil
			case 'c': // wait for the context
				<-ctx.Done()
				if ctx.Err() == nil {
					return nil, errors.New("done without an error")
				}
				return nil, ctx.Err()
			case 'd': // tell the deadline
				if at, ok := ctx.Deadline(); ok {
					return fmt.Append(nil, time.Until(at)), nil
				}
				return []byte("none"), nil
			case 'g': // end the goroutine
				runtime.Goexit()
			case 't': // a fault that Go does not recover from
				new(sync.Mutex).Unlock()
			case 'z':
				return fmt.Append(nil, time.Now().Format(time.RFC3339), os.Args, os.Environ(), runtime.GOMAXPROCS(0)), nil
			}
			return nil, errors.New("unknown request")
		}, nil
	})
	Gate("test setup error", 1, func(Inside) (Handler, error) { return nil, errors.New("no wish to") })
	Gate("test setup panic", 1, func(Inside) (Handler, error) { panic("a secret value") })
	Gate("test setup hangs", 1, func(Inside) (Handler, error) {
		for {
			time.Sleep(time.Hour)
		}
	})
	Gate("test setup exits", 1, func(Inside) (Handler, error) { exit(9); return nil, nil })
	Gate("test large arena", 1<<20, func(in Inside) (Handler, error) {
		return func(context.Context, []byte) ([]byte, error) { return number(in.Arena.Size()), nil }, nil
	})
	Gate("test no memory", 1<<30, func(Inside) (Handler, error) { return nil, nil })
}

//go:noinline
func nilPointer() *byte { return nil }

func start(t testing.TB, c Config) *Zone {
	t.Helper()
	z, err := Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	return z
}

func number(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

func do(z *Zone, what byte, rest ...[]byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return z.Call(ctx, append([]byte{what}, bytes.Join(rest, nil)...))
}

func TestCall(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 2})
	for _, l := range z.Status().Layers {
		t.Log(l)
	}
	for _, n := range []int{0, 1, 300, maxPiece - timeHead - 1, maxPiece, maxPiece + 1, 2*maxPiece - 9, 1 << 20} {
		request := make([]byte, n)
		for i := range request {
			request[i] = byte(rand.Uint32())
		}
		got, err := do(z, 'e', request)
		if err != nil || !bytes.Equal(got, request) {
			t.Fatalf("echo of %d bytes: %d bytes, %v", n, len(got), err)
		}
		got, err = do(z, 'n', number(n))
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{'n'}, n)) {
			t.Fatalf("an answer of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	if got, err := z.Call(context.Background(), nil); err != nil || len(got) != 0 {
		t.Errorf("an empty request: %q, %v", got, err)
	}
	var handlerError *HandlerError
	if _, err := do(z, 'f', []byte("because")); !errors.As(err, &handlerError) || err.Error() != "failed: because" {
		t.Errorf("a handler's error: %v", err)
	}
	if _, err := do(z, 'f', bytes.Repeat([]byte("x"), 1<<20)); !errors.As(err, &handlerError) || len(err.Error()) != maxErrorText {
		t.Errorf("a long error of a handler has %d bytes", len(err.Error()))
	}
	if _, err := do(z, 'p', []byte("a secret value")); err != ErrPanicked {
		t.Errorf("a panic: %v", err)
	}
	if _, err := do(z, 'N'); err != ErrPanicked {
		t.Errorf("a nil pointer: %v", err)
	}
	got, err := do(z, 'z')
	if err != nil || !strings.Contains(string(got), "Z[stronghold-zone test]") {
		t.Errorf("what a zone knows: %s, %v", got, err)
	}
	t.Logf("%s", got)
	if z.Err() != nil {
		t.Error(z.Err())
	}
	if err := z.Close(); err != nil {
		t.Error(err)
	}
	var ended *EndedError
	if _, err := do(z, 'e'); !errors.Is(err, ErrEnded) || !errors.As(err, &ended) || ended.Reason != ReasonClosed {
		t.Errorf("a call after Close: %v", err)
	}
	if err := z.Close(); err != nil {
		t.Error(err)
	}
}

func TestLargestPayload(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 2})
	request := bytes.Repeat([]byte("0123456789abcdef"), MaxPayload/16)
	request[0] = 'e'
	got, err := z.Call(context.Background(), request)
	if err != nil || !bytes.Equal(got, request[1:]) {
		t.Fatalf("echo of the largest request: %d bytes, %v", len(got), err)
	}
	if _, err := z.Call(context.Background(), make([]byte, MaxPayload+1)); err != ErrTooLarge {
		t.Errorf("a request that is too large: %v", err)
	}
	if got, err := do(z, 'n', number(MaxPayload)); err != nil || len(got) != MaxPayload {
		t.Errorf("the largest answer: %d bytes, %v", len(got), err)
	}
	if _, err := do(z, 'n', number(MaxPayload+1)); err != ErrTooLarge {
		t.Errorf("an answer that is too large: %v", err)
	}
}

func TestConcurrentCalls(t *testing.T) {
	z := start(t, Config{Name: "test"})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				n := rand.IntN(1000)
				if j%25 == 7 {
					n = rand.IntN(200 << 10)
				}
				request := bytes.Repeat([]byte{byte(i), byte(j)}, n)
				got, err := do(z, 'h', request)
				if want := sha256.Sum256(request); err != nil || !bytes.Equal(got, want[:]) {
					t.Errorf("%d bytes: %x, %v", n, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestContext(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := z.Call(ctx, append([]byte{'s'}, number(5000)...)); err != context.DeadlineExceeded {
		t.Errorf("a handler that sleeps: %v", err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("a call with 50 ms took %v", d)
	}
	if _, err := z.Call(ctx, []byte("e")); err != context.DeadlineExceeded {
		t.Errorf("a context that has ended: %v", err)
	}
	ctx2, cancel2 := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel2)
	if _, err := z.Call(ctx2, append([]byte{'s'}, number(5000)...)); err != context.Canceled {
		t.Errorf("a call that is cancelled: %v", err)
	}
	// Neither holds up the next.
	begin = time.Now()
	if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
		t.Errorf("%q, %v", got, err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("a call behind two slow ones took %v", d)
	}
	if got, err := z.Call(context.Background(), []byte("d")); err != nil || string(got) != "none" {
		t.Errorf("no deadline: %s, %v", got, err)
	}
	got, err := do(z, 'd')
	if left, parseErr := time.ParseDuration(string(got)); err != nil || parseErr != nil || left > 20*time.Second || left < 10*time.Second {
		t.Errorf("the deadline in the zone: %s, %v", got, err)
	}
	// The handler's context ends with the caller's. The caller has gone by then, so ask for the count.
	ctx3, cancel3 := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel3()
	if _, err := z.Call(ctx3, []byte("c")); err != context.DeadlineExceeded {
		var h *HandlerError
		if !errors.As(err, &h) || h.Text != context.DeadlineExceeded.Error() {
			t.Errorf("a handler that waits for its context: %v", err)
		}
	}
}

func TestEnds(t *testing.T) {
	kill := func(z *Zone) { z.child.kill() }
	ask := func(what byte) func(*Zone) {
		return func(z *Zone) { do(z, what) }
	}
	for _, tt := range []struct {
		name string
		end  func(*Zone)
		want EndedError
	}{
		{"killed", kill, EndedError{Reason: ReasonSignal, Signal: 9}},
		{"goroutine ended", ask('g'), EndedError{Reason: ReasonExit, ExitCode: exitGone}},
		{"runtime fault", ask('t'), EndedError{Reason: ReasonExit, ExitCode: exitRuntime}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if unfiltered != "" && tt.want.ExitCode == exitRuntime {
				t.Skip("the race detector exits in its own way")
			}
			z := start(t, Config{Name: "test", Workers: 1})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if _, err := do(z, 's', number(20000)); !errors.Is(err, ErrEnded) {
						t.Errorf("a call under way: %v", err)
					}
				})
			}
			time.Sleep(20 * time.Millisecond)
			tt.end(z)
			wg.Wait()
			<-z.Done()
			var ended *EndedError
			if err := z.Err(); !errors.As(err, &ended) || *ended != tt.want {
				t.Errorf("ended with %v (%+v), want %+v", err, err, tt.want)
			}
			if _, err := do(z, 'e'); !errors.Is(err, ErrEnded) {
				t.Errorf("a call afterwards: %v", err)
			}
			if err := z.Close(); !errors.Is(err, ErrEnded) {
				t.Errorf("Close afterwards: %v", err)
			}
		})
	}
}

func TestCloseDuringCalls(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := do(z, 's', number(20000)); !errors.Is(err, ErrEnded) {
				t.Errorf("a call under way: %v", err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	for range 3 {
		wg.Go(func() {
			if err := z.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestStartErrors(t *testing.T) {
	ctx := context.Background()
	var setup *SetupError
	if _, err := Start(ctx, Config{Name: "test setup error"}); !errors.As(err, &setup) || setup.Text != "no wish to" {
		t.Errorf("a setup that fails: %v", err)
	}
	if _, err := Start(ctx, Config{Name: "test setup panic"}); !errors.As(err, &setup) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a setup that panics: %v", err)
	}
	var ended *EndedError
	if _, err := Start(ctx, Config{Name: "test setup exits"}); !errors.As(err, &ended) || ended.ExitCode != 9 {
		t.Errorf("a setup that exits: %v", err)
	}
	var layer *LayerError
	if _, err := Start(ctx, Config{Name: "test no memory"}); !errors.As(err, &layer) || layer.Layer.Name != "locked memory" {
		if requireLayers {
			t.Errorf("an arena that cannot be: %v", err)
		}
	}
	if _, err := Start(ctx, Config{Name: "no such gate"}); !errors.Is(err, ErrNoGate) {
		t.Errorf("a name without a gate: %v", err)
	}
	if _, err := Start(ctx, Config{Name: "test", Workers: maxWorkers + 1}); err == nil {
		t.Error("too many workers")
	}
	if _, err := Start(ctx, Config{Name: "test", Workers: -1}); err == nil {
		t.Error("fewer than no workers")
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := Start(short, Config{Name: "test setup hangs"}); err != context.DeadlineExceeded {
		t.Errorf("a setup that hangs: %v", err)
	}
	if _, err := Start(short, Config{Name: "test"}); err != context.DeadlineExceeded {
		t.Errorf("a context that has ended: %v", err)
	}
}
