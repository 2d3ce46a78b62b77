package vault

import (
	"errors"
	"fmt"
	"testing"
)

// TestRevokeBitesThoseUnderWay: what happens to a record while it is lent decides
// about what was made of it.
func TestRevokeBitesThoseUnderWay(t *testing.T) {
	p := at("c/v/r")
	do := func(db *DB, f func(*Tx) error) {
		t.Helper()
		c, err := db.Stage(f)
		if err != nil {
			t.Fatal(err)
		}
		if c != nil {
			commit(t, db, c)
		}
	}
	for name, tt := range map[string]struct {
		meanwhile func(db *DB)
		want      error
		lent      string // all that was lent
	}{
		"nothing":                   {func(*DB) {}, nil, "one"},
		"revoked":                   {func(db *DB) { revoke(t, db, p) }, ErrNotFound, "one"},
		"disabled":                  {func(db *DB) { do(db, func(tx *Tx) error { return tx.Disable(p, true) }) }, ErrDisabled, "one"},
		"replaced":                  {func(db *DB) { put(t, db, p, "two") }, nil, "one two"},
		"revoked, and written anew": {func(db *DB) { revoke(t, db, p); put(t, db, p, "two") }, nil, "one two"},
		"moved": {func(db *DB) {
			do(db, func(tx *Tx) error { _, _, err := tx.Move(p, at("c/v/other"), false); return err })
		}, ErrNotFound, "one"},
		"purged":              {func(db *DB) { do(db, func(tx *Tx) error { return tx.PurgeClient(p.Client) }) }, ErrNotFound, "one"},
		"a neighbour revoked": {func(db *DB) { revoke(t, db, at("c/v/neighbour")) }, nil, "one"},
		"disabled, and enabled": {func(db *DB) {
			do(db, func(tx *Tx) error { return tx.Disable(p, true) })
			do(db, func(tx *Tx) error { return tx.Disable(p, false) })
		}, nil, "one"},
		"revocation staged": {func(db *DB) { _, err := db.Stage(func(tx *Tx) error { return tx.Revoke(p) }); _ = err }, nil, "one"},
		"copied": {func(db *DB) {
			do(db, func(tx *Tx) error { _, _, err := tx.Copy(p, at("c/v/copy"), false); return err })
		}, nil, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			put(t, db, p, "one")
			put(t, db, at("c/v/neighbour"), "another")
			var got string
			err := db.Lend(p, func(_ *Record, secret []byte) error {
				if got == "" {
					tt.meanwhile(db)
				} else {
					got += " "
				}
				got += string(secret)
				return nil
			})
			if !errors.Is(err, tt.want) || got != tt.lent {
				t.Errorf("lent %q, %v; want %q, %v", got, err, tt.lent, tt.want)
			}
		})
	}

	// The head may be another one meanwhile: it was this version that was lent.
	db := newDB(t)
	head := In([]byte("c"), []byte("v"))
	head.Counter, head.Head = true, true
	put(t, db, head, "one")
	calls := 0
	if err := db.Lend(head, func(*Record, []byte) error { calls++; put(t, db, head, "two"); return nil }); err != nil || calls != 1 {
		t.Errorf("lent %d times, %v", calls, err)
	}
	err := db.Lend(head, func(r *Record, _ []byte) error {
		if r.Number == 1 {
			revoke(t, db, head.Version(1))
		}
		return nil
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a version that was revoked while it was lent: %v", err)
	}
	// It does not go on for ever, and what f says counts.
	n := 0
	if err := db.Lend(p, func(*Record, []byte) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	put(t, db, p, "0")
	err = db.Lend(p, func(*Record, []byte) error { n++; put(t, db, p, fmt.Sprint(n)); return nil })
	if !errors.Is(err, ErrNotFound) || n != lendTries {
		t.Errorf("replaced %d times while it was lent: %v", n, err)
	}
	mine := errors.New("mine")
	if err := db.Lend(p, func(*Record, []byte) error { return mine }); err != mine {
		t.Error(err)
	}
}
