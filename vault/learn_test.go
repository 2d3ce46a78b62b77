package vault

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/snapshot/rust"
)

// TestRustIDs holds the ids against those that the reader of the Rust files
// derives by itself.
func TestRustIDs(t *testing.T) {
	paths := [][]byte{nil, {0}, []byte("iota_seed"), []byte("iota-wallet-secret"), []byte("va"), {0xff, '/', 0}, bytes.Repeat([]byte{7}, 129)}
	for _, p := range paths {
		if rust.ClientID(p) != rust.ID(ClientID(p)) || rust.VaultID(p) != rust.ID(VaultID(p)) {
			t.Errorf("%x: another id", p)
		}
		for _, r := range paths {
			if rust.RecordID(p, r) != rust.ID(RecordID(VaultID(p), r)) {
				t.Errorf("%x in %x: another id", r, p)
			}
		}
		for _, n := range []uint64{0, 1, 7, 1 << 40} {
			if rust.CounterID(p, n) != rust.ID(CounterID(p, n)) {
				t.Errorf("version %d of %x: another id", n, p)
			}
		}
	}
}

// byID is a place without its names.
func byID(p Place) Place { return Place{Client: p.Client, Vault: p.Vault, Record: p.Record} }

// bringIn imports untyped records, in one change that is not committed.
func bringIn(t testing.TB, db *DB, secrets map[string]Place) *Change {
	t.Helper()
	c, err := db.Stage(func(tx *Tx) error {
		for secret, p := range secrets {
			v := &Value{Flags: FromOutside, Secret: []byte(secret)}
			if secret == "" {
				v = nil
			}
			if err := tx.Import(byID(p), v, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listed(t testing.TB, db *DB) (names []string) {
	t.Helper()
	page, _, err := list(db, nil, nil, Cursor{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range page {
		name := fmt.Sprintf("%s/%s/%s", l.Place.ClientName, l.Place.VaultName, l.Place.RecordName)
		if l.Place.Counter {
			name += fmt.Sprintf("@%d", l.Place.Number)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestNamesAreLearned(t *testing.T) {
	db := newDB(t)
	commit(t, db, bringIn(t, db, map[string]Place{"one": at("c/v/1"), "two": at("c/v/2")}))
	if got := listed(t, db); !slices.Equal(got, []string{"//", "//"}) {
		t.Fatalf("listed %q", got)
	}
	want(t, db, at("c/other/1"), "") // names the client, and nothing in it
	if got := listed(t, db); !slices.Equal(got, []string{"c//", "c//"}) {
		t.Errorf("listed %q", got)
	}
	want(t, db, at("c/v/1"), "one")
	want(t, db, at("c/v/1"), "one")
	if got := listed(t, db); !slices.Equal(got, []string{"c/v/", "c/v/1"}) {
		t.Errorf("listed %q", got)
	}
	want(t, db, byID(at("c/v/2")), "two")

	// A change that touches them makes the names last: they are in it.
	c := stage(t, db, at("c/v/2"), "changed")
	if e := c.Edits[0]; e.ClientName == nil || e.VaultName == nil {
		t.Error("the change lacks the names")
	}
	commit(t, db, c)
	if e := stage(t, db, at("c/v/2"), "again").Edits[0]; e.ClientName != nil || e.VaultName != nil {
		t.Error("the names come again")
	}
}

func TestVersionsAreFoundByProbing(t *testing.T) {
	versions := func() map[string]Place {
		v := In([]byte("c"), []byte("v"))
		return map[string]Place{"0": v.Version(0), "1": v.Version(1), "9": v.Version(9), "far": v.Version(9 + maxGap), "beyond": v.Version(10 + 2*maxGap), "generic": at("c/v/generic")}
	}
	head := In([]byte("c"), []byte("v"))
	head.Counter, head.Head = true, true
	last := uint64(9 + maxGap)

	db := newDB(t)
	brought := bringIn(t, db, versions())
	commit(t, db, brought)
	want(t, db, head.Version(9), "9")
	want(t, db, head, "far")
	if got, want := len(listed(t, db)), 6; got != want {
		t.Errorf("%d records listed, want %d", got, want)
	}
	write := func(db *DB) (number uint64) {
		t.Helper()
		c, err := db.Stage(func(tx *Tx) error {
			p, err := tx.Put(head, value("new"), false)
			number = p.Number
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, db, c)
		return number
	}
	if n := write(db); n != last+1 {
		t.Errorf("written as version %d", n)
	}

	// A write may be the first to name the vault, also while the import is not on the disk yet.
	db = newDB(t)
	commit(t, db, bringIn(t, db, versions()))
	if n := write(db); n != last+1 {
		t.Errorf("written as version %d", n)
	}
	db = newDB(t)
	brought = bringIn(t, db, versions())
	other := stage(t, db, at("c/v/other"), "other")
	commit(t, db, brought)
	commit(t, db, other)
	if n := write(db); n != last+1 {
		t.Errorf("written as version %d", n)
	}

	// What a file replays is what was.
	again := newDB(t)
	for _, c := range []*Change{brought, other} {
		if err := again.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	want(t, again, head, "far")
}

func TestImport(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	commit(t, db, bringIn(t, db, map[string]Place{"": p}))
	want(t, db, p, "")
	importing := func(v *Value, overwrite bool) error {
		c, err := db.Stage(func(tx *Tx) error { return tx.Import(byID(p), v, overwrite) })
		if err == nil && c != nil {
			commit(t, db, c)
		}
		return err
	}
	v := &Value{Secret: []byte("s"), Hint: []byte("hint")}
	if err := importing(nil, false); err != nil {
		t.Errorf("a tombstone on a tombstone: %v", err)
	}
	if err := importing(v, false); !errors.Is(err, ErrExists) { // somebody revoked it
		t.Errorf("a record on a tombstone: %v", err)
	}
	if err := importing(v, true); err != nil {
		t.Error(err)
	}
	want(t, db, p, "s")
	for _, v := range []*Value{v, nil} {
		if err := importing(v, false); !errors.Is(err, ErrExists) {
			t.Errorf("on a record: %v", err)
		}
	}
	if err := importing(nil, true); err != nil {
		t.Error(err)
	}
	want(t, db, p, "")
}

// TestManyEdits has a change with so many edits that one look at each of them
// for each would take minutes.
func TestManyEdits(t *testing.T) {
	db := newDB(t)
	c, err := db.Stage(func(tx *Tx) error {
		for n := range uint64(30_000) {
			p := byID(In([]byte("c"), []byte("v")).Version(n))
			if err := tx.Import(p, &Value{Secret: []byte("s")}, false); err != nil {
				return err
			}
			if err := tx.PutItem(Place{Client: p.Client}, fmt.Append(nil, n), []byte("value"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
	want(t, db, In([]byte("c"), []byte("v")).Version(29_999), "s")
}
