package itest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestGuestIsBounded: a peer makes what he may and no more, over however many streams and
// connections, in pipelines too; the owner and other peers are not held to that.
func TestGuestIsBounded(t *testing.T) {
	const most = 8
	b := newNode(t, fmt.Sprintf("[limits.peer]\nrecords = %d\ntombstones = 1\nclients = 1\n", most))
	guests := map[string]*peerNode{"a": newNode(t), "other": newNode(t)}
	for name, g := range guests {
		g.knows(t, b, "b")
		b.knows(t, g, name)
	}
	ctx := t.Context()
	if err := b.local().Unlock(ctx, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	policy := "[[allow]]\npeers = [\"a\", \"other\"]\nops = [\"write\", \"list\"]\non = [\"**\"]\n"
	if _, err := b.local().Do(ctx, &protocol.Request{Operation: "policy.apply", Text: policy}); err != nil {
		t.Fatal(err)
	}
	at := func(text string) *protocol.Location {
		l, err := protocol.ParseLocation(text)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	full := func(what string, err error) {
		t.Helper()
		var refused *protocol.Error
		if !errors.As(err, &refused) || refused.Status != protocol.Status_NO_SPACE || !strings.Contains(refused.Detail, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	a := protocol.Client{H: guests["a"].node.Remote("b")}
	var made atomic.Int64
	var asking sync.WaitGroup
	for i := range 4 * most {
		asking.Go(func() {
			var err error
			where := at(fmt.Sprintf("c/v/%d", i))
			switch i % 3 {
			case 0:
				_, err = a.GenerateKey(ctx, where, protocol.Ed25519, false)
			case 1:
				_, err = a.ImportKey(ctx, where, protocol.Ed25519, make([]byte, 32), false)
			default:
				step := &protocol.Request{Id: protocol.NewID(), Operation: "key.generate", Location: where, Kind: protocol.Ed25519}
				_, err = a.Do(ctx, &protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{step}})
			}
			if err == nil {
				made.Add(1)
			}
		})
	}
	asking.Wait()
	if made.Load() != most {
		t.Errorf("%d were made, of at most %d", made.Load(), most)
	}
	_, err := a.GenerateKey(ctx, at("c/v/more"), protocol.Ed25519, false)
	full("records", err)
	var first *protocol.Location
	if err := b.local().List(ctx, at("c/v"), func(e *protocol.Entry) bool { first = e.Location; return false }); err != nil || first == nil {
		t.Fatal(err)
	}
	if _, err := a.GenerateKey(ctx, first, protocol.Ed25519, true); err != nil {
		t.Errorf("what takes the place of another: %v", err)
	}
	for range 2 { // each leaves a tombstone, and gives way to a record again
		if err := a.Revoke(ctx, first); err != nil {
			t.Fatal(err)
		}
		_, err := a.GenerateKey(ctx, at("d/v/r"), protocol.Ed25519, false)
		full("clients", err)
		if _, err := a.GenerateKey(ctx, first, protocol.Ed25519, false); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []protocol.Client{{H: guests["other"].node.Remote("b")}, b.local()} {
		where := at(fmt.Sprint("mine/v/", i))
		if _, err := c.GenerateKey(ctx, where, protocol.Ed25519, false); err != nil {
			t.Errorf("another: %v", err)
		}
	}
	list, err := b.local().Do(ctx, &protocol.Request{Operation: "peer.list"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Peers {
		want := map[string]uint64{"a": most, "other": 1}[p.Name]
		if p.Usage.GetRecords() != want || p.Usage.GetTombstones() != 0 || p.Usage.GetClients() != 1 {
			t.Errorf("%s has made %v", p.Name, p.Usage)
		}
	}
}
