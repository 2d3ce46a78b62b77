package local_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// However many ask at once, each gets the answer to what he has asked.
func TestEachHisAnswer(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	c, ctx := s.Client(), context.Background()
	if err := put(ctx, s, "taken", []byte("x")); err != nil {
		t.Fatal(err)
	}
	const callers = 48
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() {
			for i := range rounds(5, 200) {
				own := fmt.Sprintf("%d-%d", n, i)
				client := &protocol.Location{Client: []byte("c"), Vault: []byte(own)}
				switch n % 6 {
				case 0:
					public, err := c.GenerateKey(ctx, loc(t, "c/v/"+own), protocol.Ed25519, false)
					if err != nil {
						t.Error(err)
						return
					}
					if sig, err := c.Sign(ctx, loc(t, "c/v/"+own), []byte(own)); err != nil || !ed25519.Verify(public, []byte(own), sig) {
						t.Errorf("%s: the key of somebody else: %v", own, err)
					}
				case 1:
					if err := put(ctx, s, own, []byte(own)); err != nil {
						t.Error(err)
					}
					if got, err := get(ctx, s, own); err != nil || string(got) != own {
						t.Errorf("%s: %q, %v", own, got, err)
					}
				case 2:
					_, err := c.Do(ctx, &protocol.Request{Operation: "store.swap", Location: &protocol.Location{Client: []byte("c"), Vault: []byte("taken")}, Value: []byte{}, IfAbsent: true})
					if !errors.Is(err, protocol.ErrExists) {
						t.Errorf("over what is there: %v", err)
					}
				case 3:
					if err := c.Revoke(ctx, loc(t, "c/v/absent")); !errors.Is(err, protocol.ErrNotFound) {
						t.Errorf("revoking nothing: %v", err)
					}
				case 4: // nothing for the disk
					if _, err := c.Do(ctx, &protocol.Request{Operation: "store.put", Location: client, Value: []byte(own), Session: true}); err != nil {
						t.Error(err)
					}
					resp, err := c.Do(ctx, &protocol.Request{Operation: "store.get", Location: client, Session: true})
					if err != nil || string(resp.Value) != own {
						t.Errorf("of the session: %v, %v", resp, err)
					}
				case 5: // larger than what is staged with others
					large := bytes.Repeat([]byte(own), 2000)
					if err := put(ctx, s, own, large); err != nil {
						t.Error(err)
					}
					if got, err := get(ctx, s, own); err != nil || !bytes.Equal(got, large) {
						t.Errorf("%s: %d bytes, %v", own, len(got), err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// Those who wait for their turn are not kept by a zone that is stuck: whoever leaves
// is told that nobody knows, and a lock tells the others that nothing was changed.
func TestStuckZoneAndMany(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	zone := pid(t, s)
	syscall.Kill(zone, syscall.SIGSTOP)
	until(t, "the zone stands still", func() bool { return stopped(t, zone) })
	const callers = 32
	answers, left := make(chan error, callers), make(chan error, callers)
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() { answers <- put(context.Background(), s, fmt.Sprint(n), []byte("x")) })
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			left <- put(ctx, s, fmt.Sprint("left ", n), []byte("x"))
		})
	}
	for range callers {
		if err := <-left; !errors.Is(err, protocol.ErrOutcomeUnknown) && !errors.Is(err, context.DeadlineExceeded) { // before it was asked
			t.Errorf("a change whose asker left: %v", err)
		}
	}
	if err := s.Client().Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for range callers {
		if err := <-answers; !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("a change that waited: %v", err)
		}
	}
	unlock(t, s)
	for n := range callers {
		if _, err := get(t.Context(), s, fmt.Sprint(n)); !errors.Is(err, protocol.ErrNotFound) {
			t.Errorf("a change that was refused: %v", err)
		}
	}
}
