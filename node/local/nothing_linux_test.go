package local_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// Changes that find nothing to change, because of others that are on their way to the
// disk, are answered and leave nothing in the file: all that was acknowledged is there
// when it is opened again.
func TestChangesOfNothing(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	ctx := t.Context()
	generate := func(where string) {
		t.Helper()
		if _, err := s.Client().GenerateKey(ctx, loc(t, where), protocol.Ed25519, false); err != nil {
			t.Fatal(err)
		}
	}
	generate("inbox/keys/mine")
	for round := range rounds(3, 30) {
		for range 20 {
			var wg sync.WaitGroup
			for _, op := range []string{"record.disable", "record.disable", "record.enable", "record.enable"} {
				wg.Go(func() {
					if _, err := s.Client().Do(ctx, &protocol.Request{Operation: op, Location: loc(t, "inbox/keys/mine")}); err != nil {
						t.Errorf("%s: %v", op, err)
					}
				})
			}
			wg.Wait()
		}
		// Somebody else's, acknowledged behind them.
		later := fmt.Sprintf("wallet/keys/%d", round)
		generate(later)
		if err := s.Client().Lock(ctx); err != nil {
			t.Fatal(err)
		}
		unlock(t, s)
		if _, err := s.Client().Sign(ctx, loc(t, later), nil); err != nil {
			t.Fatalf("after it was opened again: %v", err)
		}
	}
}

// Who rests on a change that is on its way to the disk is answered behind it, and refused
// with it if it does not come there.
func TestNothingOnWhatIsUndone(t *testing.T) {
	s := open(t, quickHome(t))
	d := &heldDisk{Disk: local.SystemDisk, reached: make(chan struct{}), verdict: make(chan error)}
	s.SetDisk(d)
	unlock(t, s)
	if _, err := s.Client().GenerateKey(t.Context(), loc(t, "c/v/key"), protocol.Ed25519, false); err != nil {
		t.Fatal(err)
	}
	disable := func() chan error {
		done := make(chan error, 1)
		go func() {
			_, err := s.Client().Do(context.Background(), &protocol.Request{Operation: "record.disable", Location: loc(t, "c/v/key")})
			done <- err
		}()
		return done
	}
	for _, verdict := range []error{syscall.ENOSPC, nil} {
		d.held.Store(true)
		first := disable()
		<-d.reached
		second := disable()
		until(t, "the second one rests on the first", func() bool { return s.Resting() == 1 })
		select {
		case err := <-second:
			t.Errorf("it was answered before what it rests on: %v", err)
		default:
		}
		d.verdict <- verdict
		for _, done := range []chan error{first, second} {
			if err := <-done; verdict == nil && err != nil || verdict != nil && !errors.Is(err, protocol.ErrNoSpace) {
				t.Errorf("the disk said %v: %v", verdict, err)
			}
		}
	}
	if _, err := s.Client().Sign(t.Context(), loc(t, "c/v/key"), nil); !errors.Is(err, protocol.ErrDisabled) {
		t.Errorf("it was disabled: %v", err)
	}
}

// heldDisk has the next write to the file wait for what becomes of it.
type heldDisk struct {
	local.Disk
	held    atomic.Bool
	reached chan struct{}
	verdict chan error
}

type heldFile struct {
	local.File
	d *heldDisk
}

func (d *heldDisk) Open(path string) (local.File, error) {
	f, err := d.Disk.Open(path)
	return heldFile{f, d}, err
}

func (f heldFile) WriteAt(b []byte, at int64) (int, error) {
	if f.d.held.CompareAndSwap(true, false) {
		f.d.reached <- struct{}{}
		if err := <-f.d.verdict; err != nil {
			return 0, err
		}
	}
	return f.File.WriteAt(b, at)
}
