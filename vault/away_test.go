package vault

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// happen stages and commits a change, and all that was staged before it.
func happen(t testing.TB, db *DB, f func(*Tx) error) {
	t.Helper()
	c, err := db.Stage(f)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
}

// Nothing that needs what a client holds can be had of one that is not loaded, and nothing is
// made in its place.
func TestAway(t *testing.T) {
	db := newDB(t)
	put(t, db, at("here/v/r"), "secret")
	id := ClientID([]byte("away"))
	db.SetAway(id, nil)
	if !db.HasClient(id) || !db.IsAway(id) || db.Away() != 1 {
		t.Error("it is not known")
	}
	p := at("away/v/r")
	for name, f := range map[string]func() error{
		"lend":     func() error { return db.Lend(p, func(*Record, []byte) error { return nil }) },
		"stat":     func() error { _, err := db.Stat(p); return err },
		"get":      func() error { _, err := db.Get(id, []byte("key")); return err },
		"items":    func() error { _, err := db.Items(id, &ItemQuery{Limit: 1}); return err },
		"versions": func() error { _, _, err := db.Versions(p); return err },
		"unload":   func() error { return db.Unload(id) },
	} {
		if err := f(); err != ErrNotLoaded {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]func(*Tx) error{
		"put":     func(tx *Tx) error { _, err := tx.Put(p, Value{Kind: Data}, true); return err },
		"head":    func(tx *Tx) error { _, err := tx.Put(at("away/v/@head"), Value{Kind: Data}, true); return err },
		"import":  func(tx *Tx) error { return tx.Import(p, nil, true) },
		"revoke":  func(tx *Tx) error { return tx.Revoke(p) },
		"copy":    func(tx *Tx) error { _, _, err := tx.Copy(at("here/v/r"), p, true); return err },
		"disable": func(tx *Tx) error { return tx.Disable(p, true) },
		"keep":    func(tx *Tx) error { return tx.Keep(p, 1) },
		"item":    func(tx *Tx) error { return tx.PutItem(p, []byte("key"), nil, 0) },
		"remove":  func(tx *Tx) error { return tx.RemoveItem(p, []byte("key")) },
		"expect":  func(tx *Tx) error { _, err := tx.Item(id, []byte("key")); return err },
		"rename":  func(tx *Tx) error { return tx.Rename(p, at("other/v/r")) },
	} {
		if _, err := db.Stage(f); err != ErrNotLoaded {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := db.Stage(func(tx *Tx) error { return tx.CreateClient(p) }); err != ErrExists {
		t.Errorf("created: %v", err)
	}
	if _, err := db.Stage(func(tx *Tx) error { return tx.Rename(at("here/v/r"), p) }); err != ErrExists {
		t.Errorf("another takes its path: %v", err)
	}
	// It can be purged, and is a new one then.
	happen(t, db, func(tx *Tx) error {
		if err := tx.PurgeClient(id); err != nil {
			return err
		}
		_, err := tx.Put(p, Value{Kind: Data, Secret: []byte("new")}, false)
		return err
	})
	if db.IsAway(id) || db.Away() != 0 {
		t.Error("it is away still")
	}
	if _, err := db.Stat(p); err != nil {
		t.Error(err)
	}
}

// What is staged and not committed keeps a client from being unloaded.
func TestUnloadWhileStaged(t *testing.T) {
	db := newDB(t)
	put(t, db, at("c/v/r"), "secret")
	id := ClientID([]byte("c"))
	change, err := db.Stage(func(tx *Tx) error { return tx.Disable(at("c/v/r"), true) })
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Unload(id); err != ErrStaged {
		t.Errorf("with a change: %v", err)
	}
	db.Abort(change.Sequence)
	if err := db.Unload(id); err != nil {
		t.Error(err)
	}
	if db.Live() != 0 || !db.HasClient(id) {
		t.Errorf("%d records; there: %v", db.Live(), db.HasClient(id))
	}
	if left := db.Collect(); left != 0 {
		t.Errorf("%d pieces of its ciphertext are left", left)
	}
}

// What was lent of a client that is unloaded meanwhile is not given out.
func TestUnloadWhileLent(t *testing.T) {
	db := newDB(t)
	put(t, db, at("c/v/r"), "secret")
	err := db.Lend(at("c/v/r"), func(*Record, []byte) error { return db.Unload(ClientID([]byte("c"))) })
	if err != ErrNotLoaded {
		t.Errorf("lent: %v", err)
	}
}

// A client that gets another path keeps all it holds, staged changes too, and leaves nothing.
func TestRename(t *testing.T) {
	for _, staged := range []bool{false, true} {
		db := newDB(t)
		var last *Change
		do := func(f func(*Tx) error) {
			t.Helper()
			var err error
			if last, err = db.Stage(f); err != nil {
				t.Fatal(err)
			}
			if !staged {
				if err := db.Commit(last.Sequence); err != nil {
					t.Fatal(err)
				}
			}
		}
		head := func(client string) Place {
			p := In([]byte(client), []byte("versions"))
			p.Counter, p.Head = true, true
			return p
		}
		write := func(p Place, secret string) {
			t.Helper()
			do(func(tx *Tx) error {
				_, err := tx.Put(p, Value{Kind: Data, Flags: Sign, Hint: []byte("hint"), Secret: []byte(secret)}, true)
				return err
			})
		}
		write(at("old/v/r"), "first")
		write(at("old/v/r"), "second")
		write(at("old/v/gone"), "gone")
		for i := range 5 {
			write(head("old"), fmt.Sprint("version ", i))
		}
		do(func(tx *Tx) error { return tx.Revoke(at("old/v/gone")) })
		do(func(tx *Tx) error { return tx.Keep(head("old"), 3) })
		do(func(tx *Tx) error { return tx.PutItem(at("old/v/r"), []byte("key"), []byte("value"), 1<<60) })
		do(func(tx *Tx) error { return tx.PutItem(at("old/v/r"), []byte("removed"), nil, 0) })
		do(func(tx *Tx) error { return tx.RemoveItem(at("old/v/r"), []byte("removed")) })
		write(at("other/v/r"), "another client's")
		if _, err := db.Stage(func(tx *Tx) error { return tx.Rename(at("old/v/r"), at("other/v/r")) }); err != ErrExists {
			t.Errorf("onto another: %v", err)
		}
		if _, err := db.Stage(func(tx *Tx) error { return tx.Rename(at("old/v/r"), at("old/v/r")) }); err != ErrSame {
			t.Errorf("onto itself: %v", err)
		}
		if _, err := db.Stage(func(tx *Tx) error { return tx.Rename(at("never/v/r"), at("new/v/r")) }); err != ErrNotFound {
			t.Errorf("of none: %v", err)
		}
		var before *Record
		happen(t, db, func(tx *Tx) (err error) {
			if before, err = tx.Stat(at("old/v/r")); err != nil {
				return err
			}
			return tx.Rename(at("old/v/r"), at("new/v/r"))
		})
		if db.HasClient(ClientID([]byte("old"))) {
			t.Error("the old path is there")
		}
		after, err := db.Stat(at("new/v/r"))
		if err != nil {
			t.Fatal(err)
		}
		if after.Created != before.Created || after.Changed != before.Changed || after.Flags != before.Flags || string(after.Hint) != "hint" || bytes.Equal(after.Sealed, before.Sealed) {
			t.Errorf("it is %+v, and was %+v", after, before)
		}
		want(t, db, at("new/v/r"), "second")
		if _, err := db.Stat(at("new/v/gone")); err != ErrNotFound {
			t.Errorf("revoked: %v", err)
		}
		p := head("new")
		for i := range uint64(5) {
			if i < 2 {
				if _, err := db.Stat(p.Version(i)); err != ErrNotFound {
					t.Errorf("version %d: %v", i, err)
				}
				continue
			}
			want(t, db, p.Version(i), fmt.Sprint("version ", i))
		}
		if keep, next, err := db.Versions(p); keep != 3 || next != 5 || err != nil {
			t.Errorf("keeps %d, next %d, %v", keep, next, err)
		}
		if it, err := db.Get(ClientID([]byte("new")), []byte("key")); err != nil || string(it.Value) != "value" || it.Expires != 1<<60 {
			t.Errorf("the value: %v, %v", it, err)
		}
		if _, err := db.Get(ClientID([]byte("new")), []byte("removed")); err != ErrNotFound {
			t.Errorf("a removed value: %v", err)
		}
		if n := db.Live(); n != 5 {
			t.Errorf("%d records", n)
		}
		page, _, err := list(db, nil, nil, Cursor{}, 100)
		if err != nil || len(page) != 5 {
			t.Fatalf("%d are listed, %v", len(page), err)
		}
		for _, l := range page {
			if c := string(l.Place.ClientName); c != "new" && c != "other" || l.Place.VaultName == nil {
				t.Errorf("listed as %q/%q", c, l.Place.VaultName)
			}
		}
	}
}

func TestRenameTooMuch(t *testing.T) {
	db := newDB(t)
	happen(t, db, func(tx *Tx) error {
		for i := range maxRename/MaxValue + 1 {
			if err := tx.PutItem(at("c/v/r"), fmt.Append(nil, i), make([]byte, MaxValue), 0); err != nil {
				return err
			}
		}
		return nil
	})
	limit := new(LimitError)
	if _, err := db.Stage(func(tx *Tx) error { return tx.Rename(at("c/v/r"), at("d/v/r")) }); !errors.As(err, &limit) || limit.Limit != maxRename {
		t.Errorf("renamed: %v", err)
	}
	if !db.HasClient(ClientID([]byte("c"))) || db.HasClient(ClientID([]byte("d"))) {
		t.Error("it was changed")
	}
}
