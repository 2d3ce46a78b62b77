package vault

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Each limit admits what is at it and refuses what is over it, with its number.
func TestLimits(t *testing.T) {
	c := Place{Client: ClientID([]byte("c")), ClientName: []byte("c")}
	record := func(path, secret string) func(*Tx) error {
		return func(tx *Tx) error { _, err := tx.Put(at(path), value(secret), false); return err }
	}
	item := func(key, value string) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutItem(c, []byte(key), []byte(value), 0) }
	}
	item2 := func(client string) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutItem(newClient(client), []byte("key"), []byte("x"), 0) }
	}
	for name, tt := range map[string]struct {
		limits   Limits
		at, over func(*Tx) error
		is       error
	}{
		"a record's bytes":     {Limits{RecordBytes: 10}, record("c/v/r", "0123456789"), record("c/v/s", "01234567890"), ErrTooLarge},
		"a record's path":      {Limits{PathBytes: 10}, record("cl/va/reco", "x"), record("cl/va/recor", "x"), ErrTooLarge},
		"a value's path":       {Limits{PathBytes: 10}, item("45678901", "x"), item("456789012", "x"), ErrTooLarge},
		"a client's path":      {Limits{PathBytes: 3}, func(tx *Tx) error { return tx.CreateClient(newClient("abc")) }, func(tx *Tx) error { return tx.CreateClient(newClient("abcd")) }, ErrTooLarge},
		"records":              {Limits{Records: 1}, record("c/v/r", "x"), record("d/w/r", "x"), ErrFull},
		"clients":              {Limits{Clients: 1}, record("c/v/r", "x"), item2("d"), ErrFull},
		"clients, of records":  {Limits{Clients: 1}, item("key", "x"), record("d/w/r", "x"), ErrFull},
		"a store's bytes":      {Limits{StoreBytes: 10}, item("key", "seven b"), item("k", ""), ErrFull},
		"a store's values":     {Limits{StoreValues: 1}, item("key", "x"), item("another", "x"), ErrFull},
		"by default, a record": {Limits{}, record("c/v/r", strings.Repeat("x", MaxSecret)), record("c/v/s", strings.Repeat("x", MaxSecret+1)), ErrTooLarge},
	} {
		db := newDB(t)
		db.Limit(tt.limits)
		change, err := db.Stage(tt.at)
		if err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
			continue
		}
		var limit *LimitError
		for range 2 { // before it is committed, and after
			if _, err := db.Stage(tt.over); !errors.Is(err, tt.is) || !errors.As(err, &limit) || limit.Limit == 0 || limit.What == "" {
				t.Errorf("%s, over the limit: %v", name, err)
			}
			commit(t, db, change)
		}
	}
}

// TestTombstonesLimit: with as many as there may be, nothing new is made; what is there
// can be replaced and revoked all the same, and room comes when a client is purged.
func TestTombstonesLimit(t *testing.T) {
	db := newDB(t)
	db.Limit(Limits{Tombstones: 2})
	put := func(path string, overwrite bool) error {
		c, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(at(path), value("x"), overwrite); return err })
		if err == nil {
			commit(t, db, c)
		}
		return err
	}
	growth := func(want Growth, f func(tx *Tx) error) {
		t.Helper()
		c, err := db.Stage(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Growth(); got != want {
			t.Errorf("it grew by %+v, want %+v", got, want)
		}
		commit(t, db, c)
	}
	growth(Growth{Records: 3, Clients: 1}, func(tx *Tx) error {
		for _, path := range []string{"c/v/1", "c/v/2", "c/v/3"} {
			if _, err := tx.Put(at(path), value("x"), false); err != nil {
				return err
			}
		}
		return nil
	})
	growth(Growth{Records: 1, Clients: 1}, func(tx *Tx) error { _, err := tx.Put(at("d/v/r"), value("x"), false); return err })
	growth(Growth{StoreBytes: 4}, func(tx *Tx) error { return tx.PutItem(newClient("c"), []byte("key"), []byte("x"), 0) })
	growth(Growth{StoreBytes: -4}, func(tx *Tx) error { return tx.RemoveItem(newClient("c"), []byte("key")) })
	passing := func(tx *Tx) error {
		return tx.PutItem(newClient("c"), []byte("key"), []byte("x"), tx.Stamp().UnixMilli+Passing-1)
	}
	growth(Growth{}, passing)
	growth(Growth{StoreBytes: 4}, func(tx *Tx) error {
		return tx.PutItem(newClient("c"), []byte("key"), []byte("x"), tx.Stamp().UnixMilli+Passing)
	})
	growth(Growth{StoreBytes: -4}, passing)
	growth(Growth{}, func(tx *Tx) error { return tx.RemoveItem(newClient("c"), []byte("key")) })
	revoke := func(path string) func(tx *Tx) error { return func(tx *Tx) error { return tx.Revoke(at(path)) } }
	growth(Growth{Records: -2, Tombstones: 2}, func(tx *Tx) error { return errors.Join(revoke("c/v/1")(tx), revoke("c/v/2")(tx)) })
	if err := put("d/v/new", false); !errors.Is(err, ErrFull) {
		t.Errorf("a new place: %v", err)
	}
	if err := put("c/v/3", true); err != nil {
		t.Errorf("what is there: %v", err)
	}
	growth(Growth{Records: -1, Tombstones: 1}, revoke("c/v/3")) // never refused
	growth(Growth{Records: 1, Tombstones: -1}, func(tx *Tx) error { _, err := tx.Put(at("c/v/1"), value("x"), false); return err })
	if err := put("d/v/new", false); !errors.Is(err, ErrFull) {
		t.Errorf("a new place: %v", err)
	}
	c, err := db.Stage(func(tx *Tx) error { return tx.PurgeClient(newClient("c").Client) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
	if err := put("d/v/new", false); err != nil {
		t.Errorf("when the client is gone: %v", err)
	}
}

func newClient(name string) Place {
	return Place{Client: ClientID([]byte(name)), ClientName: []byte(name)}
}

// What goes makes room, and what is replaced takes none.
func TestRecordsLimit(t *testing.T) {
	db := newDB(t)
	db.Limit(Limits{Records: 3})
	full := func(p Place) {
		t.Helper()
		if _, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(p, value("x"), true); return err }); !errors.Is(err, ErrFull) {
			t.Errorf("a fourth record: %v", err)
		}
	}
	head := In([]byte("c"), []byte("versions"))
	head.Counter, head.Head = true, true
	put(t, db, head, "0")
	put(t, db, at("c/v/1"), "x")
	put(t, db, at("c/v/2"), "x")
	full(at("c/v/3"))
	full(head)
	put(t, db, at("c/v/2"), "replaced")
	revoke(t, db, at("c/v/2"))
	put(t, db, at("c/v/2"), "anew")
	full(at("c/v/3"))
	keep(t, db, head, 1)
	put(t, db, head, "1") // the one before gives way
	put(t, db, head, "2")
	full(at("c/v/3"))
	// Staged changes count, and those that are aborted do not.
	c, err := db.Stage(func(tx *Tx) error { return tx.Revoke(at("c/v/2")) })
	if err != nil {
		t.Fatal(err)
	}
	stage(t, db, at("c/v/3"), "x")
	full(at("c/v/4"))
	db.Abort(c.Sequence)
	full(at("c/v/3"))
	if _, err := db.Stage(func(tx *Tx) error {
		for i := range 2 {
			if _, err := tx.Put(at(fmt.Sprintf("c/v/new %d", i)), value("x"), false); err != nil {
				return err
			}
		}
		return nil
	}); !errors.Is(err, ErrFull) {
		t.Errorf("two at once: %v", err)
	}
	purge, err := db.Stage(func(tx *Tx) error { return tx.PurgeClient(head.Client) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, purge)
	for i := range 3 {
		put(t, db, at(fmt.Sprintf("c/v/%d", i)), "x")
	}
	full(at("c/v/3"))

	// What a file holds is there, however many.
	db.Limit(Limits{Records: 1, RecordBytes: 1})
	want(t, db, at("c/v/1"), "x")
	revoke(t, db, at("c/v/1"))
	full(at("c/v/1"))
	if _, err := db.Stat(At([]byte("c"), []byte("v"), bytes.Repeat([]byte("x"), 9))); !errors.Is(err, ErrNotFound) {
		t.Errorf("a long path that is only read: %v", err)
	}
}
