package vault

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestClients(t *testing.T) {
	db := newDB(t)
	c := func(name string) Place { return Place{Client: ClientID([]byte(name)), ClientName: []byte(name)} }
	do := func(want error, f func(*Tx) error) {
		t.Helper()
		change, err := db.Stage(f)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if err == nil {
			commit(t, db, change)
		}
	}
	create := func(name string) func(*Tx) error { return func(tx *Tx) error { return tx.CreateClient(c(name)) } }
	purge := func(name string) func(*Tx) error {
		return func(tx *Tx) error { return tx.PurgeClient(c(name).Client) }
	}
	item := func(name, key, value string, expires int64) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutItem(c(name), []byte(key), []byte(value), expires) }
	}
	list := func() (out string) {
		t.Helper()
		var after ID
		for {
			page, more, err := db.Clients(after, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page {
				out += fmt.Sprintf("%s: %d vaults, %d records, %d values, %d bytes\n", s.Place.ClientName, s.Vaults, s.Records, s.Values, s.Bytes)
				after = s.Place.Client
			}
			if !more {
				return out
			}
		}
	}
	wantList := func(want string) {
		t.Helper()
		if got := list(); got != want {
			t.Errorf("listed\n%swant\n%s", got, want)
		}
	}
	if db.HasClient(c("a").Client) || list() != "" {
		t.Error("there is a client in an empty DB")
	}
	do(ErrNotFound, purge("a"))
	do(nil, create("a"))
	do(ErrExists, create("a"))
	wantList("a: 0 vaults, 0 records, 0 values, 0 bytes\n")
	put(t, db, at("a/v/1"), "x")
	put(t, db, at("a/v/2"), "x")
	put(t, db, at("a/w/1"), "x")
	put(t, db, at("a/w/1"), "y")
	revoke(t, db, at("a/v/2"))
	do(nil, item("a", "key", "value", 0))
	do(nil, item("a", "key", "longer", 0))
	do(nil, item("a", "other", "v", 1<<50))
	wantList("a: 2 vaults, 2 records, 2 values, 15 bytes\n")
	put(t, db, at("a/v/2"), "anew")
	wantList("a: 2 vaults, 3 records, 2 values, 15 bytes\n")

	// Purged it is not there, for those before and after the commit.
	change, err := db.Stage(func(tx *Tx) error {
		if err := tx.PurgeClient(c("a").Client); err != nil {
			return err
		}
		if _, err := tx.Stat(at("a/v/1")); !errors.Is(err, ErrNotFound) || tx.HasClient(c("a").Client) {
			t.Errorf("after it was purged: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, db, at("a/v/1"), "x")
	do2 := func(want error, f func(*Tx) error) {
		t.Helper()
		if _, err := db.Stage(f); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	do2(ErrNotFound, func(tx *Tx) error { return tx.Revoke(at("a/v/1")) })
	do2(ErrNotFound, func(tx *Tx) error { return tx.RemoveItem(c("a"), []byte("key")) })
	do2(ErrNotFound, purge("a"))
	db.Abort(change.Sequence)
	wantList("a: 2 vaults, 3 records, 2 values, 15 bytes\n")

	// Purged, made anew and purged again, all before anything is committed.
	head := In([]byte("a"), []byte("v"))
	head.Counter, head.Head = true, true
	put(t, db, head, "zero")
	var last *Change
	for _, f := range []func(*Tx) error{
		purge("a"), create("a"),
		func(tx *Tx) error {
			p, err := tx.Put(head, value("first"), false)
			if p.Number != 0 {
				t.Errorf("the first version of a new client has the number %d", p.Number)
			}
			return err
		},
		item("a", "key", "v", 0), purge("a"),
		func(tx *Tx) error { _, err := tx.Put(at("a/v/1"), value("new"), false); return err },
		item("a", "k", "v", 0),
	} {
		if last, err = db.Stage(f); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, db, last)
	wantList("a: 1 vaults, 1 records, 1 values, 2 bytes\n")
	want(t, db, at("a/v/1"), "new")
	want(t, db, head.Version(0), "")
	if a := &db.ahead; len(a.records)+len(a.items)+len(a.next)+len(a.there)+len(a.purged)+len(a.stores) != 0 {
		t.Errorf("something stays ahead: %+v", a)
	}
	do(nil, purge("a"))
	wantList("")
	if db.expiries.Len() != 0 {
		t.Error("an expiry of a purged client stays")
	}
	// What a file brings is counted as well.
	change = &Change{Sequence: db.Sequence() + 1, Edits: []Edit{{Client: c("b").Client}}}
	if err := db.Apply(change); err != nil || !db.HasClient(c("b").Client) {
		t.Errorf("a client made by a replayed change: %v", err)
	}
	if err := db.Apply(&Change{Sequence: change.Sequence + 1, Edits: []Edit{{Client: c("b").Client, Purge: true}}}); err != nil || db.HasClient(c("b").Client) {
		t.Errorf("a client purged by a replayed change: %v", err)
	}
}

func TestStoreLimits(t *testing.T) {
	db := newDB(t)
	now := time.UnixMilli(1000)
	db.now = func() time.Time { return now }
	db.Limit(Limits{StoreBytes: 20, StoreValues: 3})
	c := Place{Client: ClientID([]byte("c")), ClientName: []byte("c")}
	set := func(want error, key, value string, expires int64) *Change {
		t.Helper()
		change, err := db.Stage(func(tx *Tx) error { return tx.PutItem(c, []byte(key), []byte(value), expires) })
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
		return change
	}
	set(ErrFull, "a", "twenty bytes of value", 0)
	first := set(nil, "a", "123456789", 0)     // 10
	second := set(nil, "b", "123456789", 2000) // 20, both only staged
	set(ErrFull, "c", "", 0)                   // 21
	set(ErrFull, "a", "1234567890", 0)         // 21
	smaller := set(nil, "a", "12345678", 0)    // 19
	set(nil, "c", "", 0)                       // 20
	set(ErrFull, "d", "", 0)                   // a fourth
	db.Abort(smaller.Sequence)
	set(ErrFull, "c", "", 0)
	commit(t, db, first)
	commit(t, db, second)
	set(ErrFull, "c", "", 0)
	// What has expired makes room when it is swept.
	now = time.UnixMilli(2000)
	if at, ok := db.Expires(); !ok || at != 2000 {
		t.Errorf("the next expiry is at %d", at)
	}
	if n := db.Sweep(); n != 1 {
		t.Errorf("swept %d", n)
	}
	if _, ok := db.Expires(); ok {
		t.Error("an expiry is left")
	}
	commit(t, db, set(nil, "c", "12345", 0))
	change, err := db.Stage(func(tx *Tx) error { return tx.RemoveItem(c, []byte("a")) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, set(nil, "d", "123456789", 0))
	if db.Sequence() != change.Sequence+1 {
		t.Error("not committed")
	}
	page, _, err := db.Clients(ID{}, 10)
	if err != nil || len(page) != 1 || page[0].Values != 2 || page[0].Bytes != 16 {
		t.Errorf("counted %+v, %v", page, err)
	}
	if len(db.ahead.stores) != 0 {
		t.Errorf("something stays ahead: %v", db.ahead.stores)
	}
}

func TestExpect(t *testing.T) {
	db := newDB(t)
	c := Place{Client: ClientID([]byte("c")), ClientName: []byte("c")}
	expect := func(want error, key string, x Expect) {
		t.Helper()
		_, err := db.Stage(func(tx *Tx) error { return tx.Expect(c.Client, []byte(key), x) })
		if !errors.Is(err, want) {
			t.Errorf("%s, %+v: %v, want %v", key, x, err, want)
		}
	}
	change, err := db.Stage(func(tx *Tx) error { return tx.PutItem(c, []byte("key"), []byte("value"), 0) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, change)
	expect(ErrExists, "key", Expect{Absent: true})
	expect(nil, "other", Expect{Absent: true})
	expect(nil, "key", Expect{Value: []byte("value")})
	version := func(key string) uint64 {
		t.Helper()
		it, err := db.Get(c.Client, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		v, err := db.ItemVersions(it)
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	first := version("key")
	expect(nil, "key", Expect{Version: first, In: db})
	expect(nil, "key", Expect{Value: []byte("value"), Version: first, In: db})
	expect(ErrConflict, "key", Expect{Value: []byte("valu")})
	expect(ErrConflict, "key", Expect{Value: []byte{}})
	expect(ErrConflict, "key", Expect{Version: first + 1, In: db})
	expect(ErrConflict, "key", Expect{Version: change.Sequence, In: db})
	expect(ErrConflict, "key", Expect{Value: []byte("value"), Version: first + 1, In: db})
	expect(ErrConflict, "other", Expect{Value: []byte{}})
	expect(ErrConflict, "other", Expect{})
	// No version comes twice: not after the same value was removed and written again, nor at
	// another key of the same change.
	seen := map[uint64]bool{first: true}
	for range 20 {
		for _, f := range []func(*Tx) error{
			func(tx *Tx) error { return tx.RemoveItem(c, []byte("key")) },
			func(tx *Tx) error {
				return errors.Join(tx.PutItem(c, []byte("key"), []byte("value"), 0), tx.PutItem(c, []byte("other"), nil, 0))
			},
		} {
			change, err := db.Stage(f)
			if err != nil {
				t.Fatal(err)
			}
			commit(t, db, change)
		}
		expect(ErrConflict, "key", Expect{Version: first, In: db})
		for _, key := range []string{"key", "other"} {
			v := version(key)
			if seen[v] || v == 0 || v >= 1<<versionBits {
				t.Fatalf("version %d of %s", v, key)
			}
			seen[v] = true
		}
	}
	// And they are nothing that another node could work out.
	it, _ := db.Get(c.Client, []byte("key"))
	now := version("key")
	db.key.Use(func(b []byte) error { b[0]++; return nil })
	elsewhere, err := db.ItemVersions(it)
	if err != nil || elsewhere[0] == now {
		t.Errorf("elsewhere it is version %d, %v", elsewhere, err)
	}
}

func TestItemsByPrefix(t *testing.T) {
	db := newDB(t)
	c := Place{Client: ClientID([]byte("c")), ClientName: []byte("c")}
	if _, err := db.Items(c.Client, &ItemQuery{Limit: 10}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the items of no client: %v", err)
	}
	change, err := db.Stage(func(tx *Tx) error {
		for _, key := range []string{"a", "b", "ba", "bb", "bbb", "b\xff", "c"} {
			if err := tx.PutItem(c, []byte(key), nil, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, change)
	for _, tt := range []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 10, "a b ba bb bbb b\xff c", false},
		{"b", "", 10, "b ba bb bbb b\xff", false},
		{"b", "", 5, "b ba bb bbb b\xff", false},
		{"b", "", 4, "b ba bb bbb", true},
		{"b", "ba", 10, "bb bbb b\xff", false},
		{"bb", "a", 10, "bb bbb", false},
		{"bb", "c", 10, "", false},
		{"b", "b\xff", 10, "", false},
		{"d", "", 10, "", false},
		{"", "b", 2, "ba bb", true},
	} {
		var after []byte
		if tt.after != "" {
			after = []byte(tt.after)
		}
		page, err := db.Items(c.Client, &ItemQuery{Prefix: []byte(tt.prefix), After: after, Limit: tt.limit})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, it := range page.Items {
			if got != "" {
				got += " "
			}
			got += string(it.Key)
		}
		if got != tt.want || page.More != tt.more {
			t.Errorf("%+v: %q, %v", tt, got, page.More)
		}
	}
}
