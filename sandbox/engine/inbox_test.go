package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// aSealed is a request with a secret, of a peer of this number; 0: of the local user.
func aSealed(t *testing.T, b *inbox, asker uint64) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: "record.write", Location: at(t, "c/v/r"), Asker: asker}
	var err error
	if req.Secret, err = protocol.Seal(b.public(), req, "secret", protocol.ToZone, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	return req
}

func (b *inbox) takes(req *protocol.Request) error {
	_, err := b.take(req, "secret", req.Secret)
	return err
}

// remembers is how many were sealed to the present key, and whether there is one before.
func (b *inbox) remembers() (n int, before bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.now.seen), b.before != nil
}

// crowd brings sealed values until one is refused for want of room, and counts those that were not.
func crowd(t *testing.T, b *inbox, asker uint64, most int) (taken int) {
	t.Helper()
	for ; taken < most; taken++ {
		if err := b.takes(aSealed(t, b, asker)); err != nil {
			if r := refuse(err); r.Status != protocol.Status_LIMITED || r.RetryAfterMs == 0 {
				t.Fatalf("after %d: %v", taken, r)
			}
			return taken
		}
	}
	return taken
}

func anInbox(t *testing.T, room int) *inbox {
	t.Helper()
	b, err := newInbox()
	if err != nil {
		t.Fatal(err)
	}
	b.room = room
	return b
}

// TestInboxIsBounded: whoever brings sealed values without end leaves room for other
// peers, and for the local user, and goes on when there is another key.
func TestInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := anInbox(t, 256)
		b.renew()                               // there is none again until its time is over
		if n := crowd(t, b, 1, 1000); n != 96 { // half of what is not the local user's
			t.Errorf("one peer brought %d", n)
		}
		if n := crowd(t, b, 2, 1000); n != 48 {
			t.Errorf("the next brought %d", n)
		}
		if n := crowd(t, b, 3, 10); n != 10 {
			t.Errorf("the third found room for %d", n)
		}
		if n := crowd(t, b, 0, 64); n != 64 {
			t.Errorf("the local user found room for %d", n)
		}
		if n, _ := b.remembers(); n > 256 {
			t.Errorf("%d are remembered", n)
		}
		time.Sleep(inboxWhile)
		synctest.Wait()
		if n := crowd(t, b, 1, 10); n != 10 {
			t.Errorf("with another key, the first brought %d", n)
		}
		time.Sleep(inboxWhile)
		synctest.Wait()
		if n, before := b.remembers(); before || n != 10 {
			t.Error("the memory of what was taken does not fall back")
		}
	})
}

// TestInboxKeys: a key is good for a while after there is another, whatever others
// bring. Then nothing that was sealed to it opens, whether it was taken or not.
func TestInboxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := anInbox(t, 80) // and so the tenth makes another
		used, late, later := aSealed(t, b, 1), aSealed(t, b, 1), aSealed(t, b, 1)
		if err := b.takes(used); err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{string(b.public()): true}
		for range 100 {
			b.takes(aSealed(t, b, 2))
			keys[string(b.public())] = true
		}
		if len(keys) != 2 {
			t.Errorf("there were %d keys", len(keys))
		}
		time.Sleep(inboxWhile - time.Second)
		if err := b.takes(late); err != nil {
			t.Errorf("within its time: %v", err)
		}
		for range 2 {
			for _, req := range []*protocol.Request{used, late} {
				var unsealed sealedError
				if err := b.takes(req); !errors.As(err, &unsealed) {
					t.Errorf("twice: %v", err)
				}
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		if r := refuse(b.takes(later)); r.Status != protocol.Status_INVALID || r.Field != "secret" || r.Detail == "" {
			t.Errorf("when its time is over: %v", r)
		}
		if err := b.takes(aSealed(t, b, 1)); err != nil {
			t.Errorf("to the other key: %v", err)
		}
	})
}

// TestHashOutlivesKeys: a password hash takes longer than a key may last.
func TestHashOutlivesKeys(t *testing.T) {
	e, _ := opened(t)
	req := &protocol.Request{Id: protocol.NewID(), Operation: "slot.add"}
	proof := &protocol.Proof{Key: []byte(passphrase), NewKey: []byte("another"), Cost: 17}
	var err error
	if req.Secret, err = protocol.SealProof(e.inbox.public(), req, proof); err != nil {
		t.Fatal(err)
	}
	other := newEngine(t)
	req.HashKey = other.inbox.public()
	job := handle(t, e, req)
	for range 3 {
		e.inbox.mu.Lock()
		e.inbox.renew()
		e.inbox.mu.Unlock()
		e.inbox.forget()
	}
	hashed := ok(t, other, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: job.Job, Snapshot: job.Snapshot})
	ok(t, e, &protocol.Request{Id: req.Id, Operation: "zone.hashed", Hashed: hashed.Hashed})
}
