package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// What takes something away is committed in the zone before it is answered, so
// that nothing the zone has not begun yet finds the state before. All else is
// committed soon, also if nobody asks.
func TestCommittedBeforeTheAnswer(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	c, ctx := s.Client(), t.Context()
	do := func(op string, loc *protocol.Location, more func(*protocol.Request)) {
		t.Helper()
		req := &protocol.Request{Operation: op, Location: loc}
		if more != nil {
			more(req)
		}
		if _, err := c.Do(ctx, req); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
	}
	generate := func(where string, overwrite bool) {
		t.Helper()
		if _, err := c.GenerateKey(ctx, loc(t, where), protocol.Ed25519, overwrite); err != nil {
			t.Fatal(err)
		}
	}
	value := func(ttl uint64) func(*protocol.Request) {
		return func(r *protocol.Request) { r.Value, r.TtlMs = []byte("value"), ttl }
	}
	keep := uint64(1)
	for i, take := range []func(){
		func() { generate("c/v/key", true) },
		func() { do("record.disable", loc(t, "c/v/key"), nil) },
		func() { do("record.enable", loc(t, "c/v/key"), nil) },
		func() {
			do("record.move", loc(t, "c/v/key"), func(r *protocol.Request) { r.Target = loc(t, "c/v/moved") })
		},
		func() { do("record.revoke", loc(t, "c/v/moved"), nil) },
		func() { do("vault.keep", loc(t, "c/v"), func(r *protocol.Request) { r.Keep = &keep }) },
		func() { do("store.put", loc(t, "c/key"), value(1<<30)) },
		func() { do("store.remove", loc(t, "c/key"), nil) },
		func() {
			do("pipeline.run", nil, func(r *protocol.Request) {
				r.Steps = []*protocol.Request{
					{Id: protocol.NewID(), Operation: "key.generate", Location: loc(t, "c/v/piped"), Kind: protocol.Ed25519},
					{Id: protocol.NewID(), Operation: "record.revoke", Location: loc(t, "c/v/other")},
				}
			})
		},
		func() { do("client.purge", loc(t, "c"), nil) },
	} {
		if i == 0 {
			generate("c/v/key", false)
			generate("c/v/other", false)
			do("store.put", loc(t, "c/key"), value(0))
		}
		take()
		if seq := s.Uncommitted(); seq != 0 {
			t.Errorf("step %d: change %d was answered and is not committed", i, seq)
		}
	}
	generate("d/v/key", false)
	until(t, "it is committed without a request", func() bool { return s.Uncommitted() == 0 })
}

// Whoever was answered, and whoever asks after that, finds what was written: by
// whichever pipe it goes, and however many others write.
func TestAnsweredIsSeen(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	done := folds(s) // meanwhile
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			key := loc(t, fmt.Sprintf("c/v/%d", c))
			for i := range rounds(20, 2000) {
				name, value := fmt.Sprint(c), fmt.Append(nil, i)
				if err := put(context.Background(), s, name, value); err != nil {
					t.Error(err)
					return
				}
				if got, err := get(context.Background(), s, name); err != nil || !bytes.Equal(got, value) {
					t.Errorf("%s was written and is %s, %v", value, got, err)
					return
				}
				if i%4 != 0 {
					continue
				}
				client := s.Client()
				if _, err := client.GenerateKey(context.Background(), key, protocol.Ed25519, false); err != nil {
					t.Error(err)
				}
				if _, err := client.Sign(context.Background(), key, nil); err != nil {
					t.Errorf("a new key: %v", err)
				}
				if err := client.Revoke(context.Background(), key); err != nil {
					t.Error(err)
				}
				if _, err := client.Sign(context.Background(), key, nil); !errors.Is(err, protocol.ErrNotFound) {
					t.Errorf("a key that was revoked: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Client().Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-done
}
