package vault

import (
	"errors"
	"testing"
)

// A DB within a change sees what the change does, and what is staged before it; others see neither.
func TestWithin(t *testing.T) {
	db := newDB(t)
	put(t, db, at("c/v/old"), "old")
	stage(t, db, at("c/v/before"), "before")
	failure := errors.New("failure")
	run := func(fail error) (*Change, error) {
		return db.Stage(func(tx *Tx) error {
			return tx.Within(func(in *DB) error {
				want(t, in, at("c/v/old"), "old")
				want(t, in, at("c/v/before"), "before")
				c, err := in.Stage(func(tx *Tx) error {
					if _, err := tx.Put(at("c/v/new"), value("new"), false); err != nil {
						return err
					}
					if err := tx.PutItem(In([]byte("c"), nil), []byte("key"), []byte("value"), 0); err != nil {
						return err
					}
					return tx.Revoke(at("c/v/old"))
				})
				if c != nil || err != nil {
					t.Errorf("a change within a change: %v %v", c, err)
				}
				want(t, in, at("c/v/new"), "new")
				want(t, in, at("c/v/old"), "")
				if _, err := in.Stat(at("c/v/new")); err != nil {
					t.Error(err)
				}
				if it, err := in.Get(ClientID([]byte("c")), []byte("key")); err != nil || string(it.Value) != "value" {
					t.Error(it, err)
				}
				want(t, db, at("c/v/new"), "")
				want(t, db, at("c/v/old"), "old")
				if _, err := db.Get(ClientID([]byte("c")), []byte("key")); !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
				return fail
			})
		})
	}
	if c, err := run(failure); c != nil || err != failure {
		t.Errorf("%v %v", c, err)
	}
	if _, err := db.Stage(func(tx *Tx) error { return tx.Revoke(at("c/v/new")) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("something is left of a change that failed: %v", err)
	}
	c, err := run(nil)
	if err != nil || len(c.Edits) != 3 {
		t.Fatalf("%v %v", c, err)
	}
	commit(t, db, c)
	want(t, db, at("c/v/new"), "new")
	want(t, db, at("c/v/old"), "")
}

// Who finds what he wants in a change that is not committed has to wait for it, too, and
// has none of his own: a reader refuses a change without edits.
func TestNothingToDoAheadOfACommit(t *testing.T) {
	db := newDB(t)
	nothing := func(tx *Tx) error { _, err := tx.Stat(at("c/v/r")); return err }
	first := stage(t, db, at("c/v/r"), "secret")
	c, err := db.Stage(nothing)
	if err != nil || c == nil || c.Sequence != first.Sequence || len(c.Edits) != 0 {
		t.Fatalf("%v, %v", c, err)
	}
	if second := stage(t, db, at("c/v/s"), "secret"); second.Sequence != first.Sequence+1 {
		t.Fatalf("it has taken a number: %d follows %d", second.Sequence, first.Sequence)
	}
	db.Abort(first.Sequence)
	if err := db.Commit(c.Sequence); err == nil {
		t.Error("it was committed without what it found")
	}
	put(t, db, at("c/v/r"), "secret")
	if c, err := db.Stage(nothing); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}
