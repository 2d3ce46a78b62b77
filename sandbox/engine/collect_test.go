package engine

import (
	"bytes"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// TestCollectedFile: a file that was folded after a record was revoked, replaced
// or purged has neither its ciphertext nor its secret; that of another is there.
func TestCollectedFile(t *testing.T) {
	e, _ := opened(t)
	sealed := map[string][]byte{}
	for _, name := range []string{"c/v/kept", "c/v/revoked", "c/v/replaced", "c/v/moved", "purged/v/r"} {
		do(t, e, generate(t, name))
		r, err := e.state.DB.Stat(place(at(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		sealed[name] = bytes.Clone(r.Sealed)
	}
	replace := generate(t, "c/v/replaced")
	replace.Overwrite = true
	do(t, e, replace)
	do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/revoked")})
	do(t, e, &protocol.Request{Operation: "record.move", Location: at(t, "c/v/moved"), Target: at(t, "c/w/moved")})
	do(t, e, &protocol.Request{Operation: "client.purge", Location: at(t, "purged")})
	file := ok(t, e, &protocol.Request{Operation: "zone.fold"}).Snapshot
	ok(t, e, &protocol.Request{Operation: "zone.carry"})
	ok(t, e, &protocol.Request{Operation: "zone.adopt"})
	ok(t, e, &protocol.Request{Operation: "zone.collect"})
	if left := e.state.DB.Collect(); left != 0 {
		t.Errorf("%d pieces are left in memory after it answered", left)
	}
	found := map[string]bool{}
	live, tombs := 0, 0
	for _, c := range read(t, file).DB.Freeze().Clients {
		for _, v := range c.Vaults {
			v.Records(func(r *vault.Record) bool {
				for name, s := range sealed {
					if bytes.Equal(s, r.Sealed) {
						found[name] = true
					}
				}
				if r.Revoked {
					tombs++
				} else {
					live++
				}
				return true
			})
		}
	}
	if len(found) != 1 || !found["c/v/kept"] || live != 3 || tombs != 2 {
		t.Errorf("the file has the ciphertext of %v, %d records and %d tombstones", found, live, tombs)
	}
	for name, s := range sealed {
		if bytes.Contains(file, s) {
			t.Errorf("the file has the ciphertext of %s in the clear", name)
		}
	}
}
