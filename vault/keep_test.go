package vault

import (
	"errors"
	"fmt"
	"testing"
)

// keep has a vault keep its last n versions.
func keep(t testing.TB, db *DB, in Place, n uint64) {
	t.Helper()
	c, err := db.Stage(func(tx *Tx) error { return tx.Keep(in, n) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
}

// kept fails unless these versions are there, and no other record in their vault but the generic one.
func kept(t *testing.T, db *DB, in Place, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		want(t, db, in.Version(n), fmt.Sprint(n))
	}
	v, _ := get(db.clients, in.Client)
	vault, _ := get(v.vaults, in.Vault)
	if got := vault.records.len(); got != len(numbers)+1 { // tombstones too
		t.Errorf("%d records are left, want %d", got, len(numbers)+1)
	}
}

func TestKeep(t *testing.T) {
	db, in := newDB(t), In([]byte("c"), []byte("v"))
	head := in
	head.Counter, head.Head = true, true
	write := func(n int) {
		t.Helper()
		put(t, db, head, fmt.Sprint(n))
	}
	if _, err := db.Stage(func(tx *Tx) error { return tx.Keep(in, 3) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a vault that is not there: %v", err)
	}
	put(t, db, at("c/v/named"), "a generic record is no version")
	for n := range 5 {
		write(n)
	}
	kept(t, db, in, 0, 1, 2, 3, 4) // all, unless somebody says otherwise
	revoke(t, db, in.Version(3))
	keep(t, db, in, 3)
	want(t, db, in.Version(1), "")
	want(t, db, in.Version(3), "")
	put(t, db, in.Version(3), "3") // a number within those that are kept is written anew
	kept(t, db, in, 2, 3, 4)
	write(5)
	kept(t, db, in, 3, 4, 5)
	for _, over := range []bool{false, true} {
		if _, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(in.Version(2), value("2"), over); return err }); !errors.Is(err, ErrOld) {
			t.Errorf("a version that is not kept is written: %v", err)
		}
	}
	if n, next, err := db.Versions(in); n != 3 || next != 6 || err != nil {
		t.Errorf("keeps %d, next %d, %v", n, next, err)
	}
	if _, _, err := db.Versions(In([]byte("c"), []byte("w"))); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a vault that is not there: %v", err)
	}
	put(t, db, in.Version(50), "50") // a jump
	kept(t, db, in, 50)
	keep(t, db, in, 0)
	write(51)
	write(52)
	kept(t, db, in, 50, 51, 52)
	want(t, db, at("c/v/named"), "a generic record is no version")
}

// A staged setting counts for what is staged behind it, and aborting it undoes that.
func TestKeepIsStaged(t *testing.T) {
	db, in := newDB(t), In([]byte("c"), []byte("v"))
	for n := range uint64(4) {
		put(t, db, in.Version(n), fmt.Sprint(n))
	}
	put(t, db, at("c/v/named"), "x")
	c, err := db.Stage(func(tx *Tx) error {
		if err := tx.Keep(in, 1); err != nil {
			return err
		}
		if _, err := tx.Stat(in.Version(1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("its own change still has it: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	revoked := func(n uint64) error {
		_, err := db.Stage(func(tx *Tx) error { return tx.Revoke(in.Version(n)) })
		return err
	}
	if err := revoked(2); !errors.Is(err, ErrNotFound) {
		t.Errorf("a later change still has it: %v", err)
	}
	kept(t, db, in, 0, 1, 2, 3) // readers do
	db.Abort(c.Sequence)
	if err := revoked(2); err != nil {
		t.Errorf("after the abort: %v", err)
	}
	db.Abort(c.Sequence)
	kept(t, db, in, 0, 1, 2, 3)

	// What a vault keeps stands in a view, and comes back from it.
	keep(t, db, in, 2)
	view := db.Freeze()
	other := New(db.arena, db.key, db.device)
	v := view.Clients[0].Vaults[0]
	add := other.Load(view.Clients[0], v)
	for r := range v.Records {
		add(r)
	}
	other.Resume(view.Sequence)
	kept(t, other, in, 2, 3)
	put(t, other, in.Version(4), "4")
	kept(t, other, in, 3, 4)
}
