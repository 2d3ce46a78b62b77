package itest

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// A peer changes a record to what it is already, in pairs, while others change what is
// theirs. All that was acknowledged is there when the snapshot is opened again.
func TestAttackChangesOfNothing(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"a peer", "the owner's programs"} {
		t.Run(who, func(t *testing.T) {
			all := guests(t, "mallory")
			h := newHouse(t, all, guestPolicy)
			c := all["mallory"].client(t)
			if who != "a peer" {
				c = h.owner
			}
			if _, err := c.GenerateKey(t.Context(), at("inbox/keys/mine"), protocol.Ed25519, false); err != nil {
				t.Fatal(err)
			}
			honest := all["honest"].client(t)
			var acknowledged []string
			for i := range longer(20, 500) {
				var pairs sync.WaitGroup
				for _, op := range []string{"record.disable", "record.disable", "record.enable", "record.enable"} {
					pairs.Go(func() {
						if _, err := c.Do(t.Context(), ask(op, "inbox/keys/mine", nil)); err != nil {
							t.Error(err)
						}
					})
				}
				name := fmt.Sprintf("wallet/later/%d", i)
				if _, err := honest.GenerateKey(t.Context(), at(name), protocol.Ed25519, false); err != nil {
					t.Fatal(err)
				}
				acknowledged = append(acknowledged, name)
				pairs.Wait()
			}
			h.reopens(t)
			for _, name := range acknowledged {
				if _, err := h.owner.Sign(t.Context(), at(name), []byte("m")); err != nil {
					t.Fatalf("%s was acknowledged: %v", name, err)
				}
			}
			if code, out := h.command(t, "snapshot", "verify", filepath.Join(h.home, "vault.stronghold"), "--passphrase-file", h.passphrase); code != 0 {
				t.Errorf("verify: exit %d: %s", code, out)
			}
		})
	}
}

// A peer writes the last version that there is: @head goes on for others.
func TestAttackLastVersion(t *testing.T) {
	t.Parallel()
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	c := all["mallory"].client(t)
	for _, version := range []uint64{1<<64 - 1, 1<<64 - 2, 1<<64 - 3, 1 << 63} {
		loc := at("inbox/counter/@0")
		loc.Version = &version
		c.Do(t.Context(), &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519, Overwrite: true}) // it may be refused
		if _, err := h.owner.GenerateKey(t.Context(), at("inbox/counter/@head"), protocol.Ed25519, false); err != nil {
			t.Fatalf("after version %d the next one cannot be written: %v", version, err)
		}
	}
}
