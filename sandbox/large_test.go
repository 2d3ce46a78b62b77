package sandbox

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// Small requests pass between the pieces of large ones, both ways, with a single worker too.
func TestLargeDoesNotStopSmall(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	l := z.lanes[0]
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	large := bytes.Repeat([]byte("e"), MaxPayload/2)
	var wg sync.WaitGroup
	var whole time.Duration
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		begin := time.Now()
		for range 2 {
			if got, _, err := l.call(ctx, large, false); err != nil || len(got) != len(large)-1 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		whole = time.Since(begin) / 2
	})
	var times []time.Duration
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			begin := time.Now()
			if got, _, err := l.call(ctx, []byte("esmall"), false); err != nil || string(got) != "small" {
				t.Errorf("%q, %v", got, err)
				return
			}
			times = append(times, time.Since(begin))
		}
	})
	wg.Wait()
	slices.Sort(times)
	median := times[len(times)/2]
	t.Logf("32 MiB there and back: %v; meanwhile on the same pipe %d small ones, median %v, longest %v", whole, len(times), median, times[len(times)-1])
	if len(times) < 10 || median > whole/5 {
		t.Errorf("small requests wait for large ones")
	}
}

// Requests that take long hold up neither those behind them nor those of other lanes.
func TestSlowDoesNotStopOthers(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	begin := time.Now()
	for range 3 { // as the limit is four times the workers
		wg.Go(func() {
			if _, err := z.Call(ctx, append([]byte{'s'}, number(20000)...)); err != context.Canceled {
				t.Error(err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	for range 100 {
		if got, err := do(z, 'e', []byte("on")); err != nil || string(got) != "on" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("100 requests behind three slow ones took %v", d)
	}
	cancel()
	wg.Wait()
}

// Requests of which the caller says that they take long have no part in how many others are at work: however many
// there are, none of the others stands behind one.
func TestLongDoesNotStopOthers(t *testing.T) {
	z := start(t, Config{Name: "test", Workers: 1})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	const long = 20 // more than a zone of one worker has at work at once
	for range long {
		wg.Go(func() {
			if _, err := z.CallLong(ctx, append([]byte{'s'}, number(600_000)...)); err != context.Canceled {
				t.Error(err)
			}
		})
	}
	for z.calls.Load() < long {
		time.Sleep(time.Millisecond)
	}
	asking, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for range 100 {
		if got, err := z.Call(asking, []byte("eon")); err != nil || string(got) != "on" {
			t.Fatalf("behind requests that take ten minutes: %q, %v", got, err)
		}
	}
	cancel()
	wg.Wait()
}
