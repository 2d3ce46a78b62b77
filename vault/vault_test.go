package vault

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

func newDB(t testing.TB) *DB {
	t.Helper()
	arena, err := memory.NewArena(512 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	key, err := arena.New(32)
	if err != nil {
		t.Fatal(err)
	}
	key.Use(func(b []byte) error { copy(b, "a key that is not at all random."); return nil })
	return New(arena, key, [8]byte{'d', 'e', 'v'})
}

// at is the place of a text like "client/vault/record".
func at(text string) Place {
	s := bytes.Split([]byte(text), []byte("/"))
	return At(s[0], s[1], s[2])
}

func value(secret string) Value { return Value{Kind: Ed25519, Secret: []byte(secret)} }

// stage stages one Put.
func stage(t testing.TB, db *DB, p Place, secret string) *Change {
	t.Helper()
	c, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(p, value(secret), true); return err })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t testing.TB, db *DB, p Place, secret string) {
	t.Helper()
	commit(t, db, stage(t, db, p, secret))
}

func commit(t testing.TB, db *DB, c *Change) {
	t.Helper()
	if err := db.Commit(c.Sequence); err != nil {
		t.Fatal(err)
	}
}

func revoke(t testing.TB, db *DB, p Place) {
	t.Helper()
	c, err := db.Stage(func(tx *Tx) error { return tx.Revoke(p) })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
}

// read returns the secret at p, or "" if there is none.
func read(t testing.TB, db *DB, p Place) (secret string) {
	t.Helper()
	err := db.Lend(p, func(_ *Record, b []byte) error { secret = string(b); return nil })
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return secret
}

func want(t testing.TB, db *DB, p Place, secret string) {
	t.Helper()
	if got := read(t, db, p); got != secret {
		t.Errorf("got %q, want %q", got, secret)
	}
}

func TestReadersSeeWhatIsCommitted(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	a := stage(t, db, p, "one")
	want(t, db, p, "")
	b := stage(t, db, p, "two")
	want(t, db, p, "")
	if db.Sequence() != 0 {
		t.Errorf("sequence %d before a commit", db.Sequence())
	}
	commit(t, db, a)
	want(t, db, p, "one")
	commit(t, db, b)
	want(t, db, p, "two")
	commit(t, db, a) // of the past: nothing happens
	want(t, db, p, "two")
	if db.Sequence() != 2 {
		t.Errorf("sequence %d, want 2", db.Sequence())
	}
	if err := db.Commit(3); err == nil {
		t.Error("a change was committed that was never staged")
	}
}

func TestCommitTakesThoseBefore(t *testing.T) {
	db := newDB(t)
	stage(t, db, at("c/v/1"), "1")
	commit(t, db, stage(t, db, at("c/v/2"), "2"))
	want(t, db, at("c/v/1"), "1")
	want(t, db, at("c/v/2"), "2")
}

func TestWritersSeeWhatIsStaged(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	stage(t, db, p, "one")
	err := func() error {
		_, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(p, value("two"), false); return err })
		return err
	}()
	if !errors.Is(err, ErrExists) {
		t.Fatalf("over a staged record: %v", err)
	}
	_, err = db.Stage(func(tx *Tx) error {
		if _, err := tx.Stat(p); err != nil {
			return err
		}
		if err := tx.Revoke(p); err != nil {
			return err
		}
		if _, err := tx.Stat(p); !errors.Is(err, ErrNotFound) {
			t.Errorf("after its own revocation: %v", err)
		}
		if err := tx.Revoke(p); !errors.Is(err, ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		_, err := tx.Put(p, value("two"), false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(2); err != nil {
		t.Fatal(err)
	}
	want(t, db, p, "two")
}

func TestAbortRestores(t *testing.T) {
	db := newDB(t)
	old, counter := at("c/v/old"), In([]byte("c"), []byte("v"))
	counter.Counter, counter.Head = true, true
	put(t, db, old, "old")
	put(t, db, counter, "zero")

	first := stage(t, db, at("c/v/kept"), "kept")
	a := stage(t, db, old, "new")
	stage(t, db, counter, "one")
	stage(t, db, at("d/w/r"), "another client")
	db.Abort(a.Sequence)
	commit(t, db, first)
	want(t, db, at("c/v/kept"), "kept")
	want(t, db, old, "old")
	want(t, db, counter, "zero")
	want(t, db, at("d/w/r"), "")
	if err := db.Commit(a.Sequence); err == nil {
		t.Error("an aborted change was committed")
	}

	// The numbers are given again, and the names of a client that was not made are sealed again.
	if again := stage(t, db, at("d/w/r"), "again"); again.Sequence != a.Sequence {
		t.Errorf("number %d after an abort, want %d", again.Sequence, a.Sequence)
	} else {
		commit(t, db, again)
	}
	want(t, db, at("d/w/r"), "again")
	page, _, err := list(db, nil, nil, Cursor{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range page {
		if l.Place.ClientName == nil || l.Place.VaultName == nil || l.Place.RecordName == nil && !l.Place.Counter {
			t.Errorf("a name is missing: %q %q %q", l.Place.ClientName, l.Place.VaultName, l.Place.RecordName)
		}
	}
	put(t, db, counter, "one again")
	want(t, db, In([]byte("c"), []byte("v")).Version(1), "one again")
	db.Abort(1) // committed long ago
	want(t, db, old, "old")
	db.Abort(100)
}

func TestFailedStageLeavesNothing(t *testing.T) {
	db := newDB(t)
	failure := errors.New("a failure")
	c, err := db.Stage(func(tx *Tx) error {
		if _, err := tx.Put(at("c/v/1"), value("1"), false); err != nil {
			return err
		}
		if _, err := tx.Put(at("d/w/2"), value("2"), false); err != nil {
			return err
		}
		return failure
	})
	if err != failure || c != nil {
		t.Fatalf("got %v, %v", c, err)
	}
	if c := stage(t, db, at("c/v/3"), "3"); c.Sequence != 1 || len(c.Edits) != 1 {
		t.Errorf("the next change is number %d with %d edits", c.Sequence, len(c.Edits))
	}
	commit(t, db, &Change{Sequence: 1})
	want(t, db, at("c/v/1"), "")
	want(t, db, at("d/w/2"), "")
	want(t, db, at("c/v/3"), "3")

	func() {
		defer func() { recover() }()
		db.Stage(func(tx *Tx) error { tx.Put(at("c/v/4"), value("4"), false); panic("in the middle") })
	}()
	put(t, db, at("c/v/5"), "5") // the lock was given back
	want(t, db, at("c/v/4"), "")
}

// Staged changes leave nothing behind them once they are committed or aborted.
func TestNothingStaysAhead(t *testing.T) {
	db := newDB(t)
	head := In([]byte("c"), []byte("v"))
	head.Counter, head.Head = true, true
	client := In([]byte("c"), nil)
	item := func(f func(*Tx) error) *Change {
		c, err := db.Stage(f)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 3 {
		stage(t, db, at("c/v/r"), "one")
		stage(t, db, at("c/v/r"), "two")
		stage(t, db, head, "version")
		item(func(tx *Tx) error { return tx.PutItem(client, []byte("key"), []byte("value"), 0) })
		removed := item(func(tx *Tx) error { return tx.RemoveItem(client, []byte("key")) })
		if _, err := db.Stage(func(tx *Tx) error { return tx.RemoveItem(client, []byte("key")) }); !errors.Is(err, ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		late := stage(t, db, head, "late")
		commit(t, db, removed)
		if n := len(db.ahead.records) + len(db.ahead.items); n != 1 {
			t.Errorf("%d edits are ahead of the committed state, want one", n)
		}
		db.Abort(late.Sequence)
		put(t, db, head, "version")
		if n := len(db.ahead.records) + len(db.ahead.items) + len(db.ahead.next); n != 0 {
			t.Errorf("%d edits are ahead of the committed state", n)
		}
	}
	want(t, db, head, "version")
	want(t, db, In([]byte("c"), []byte("v")).Version(5), "version")
	want(t, db, In([]byte("c"), []byte("v")).Version(6), "")
}

func TestChangeWithoutEdits(t *testing.T) {
	db := newDB(t)
	if c, err := db.Stage(func(*Tx) error { return nil }); c != nil || err != nil {
		t.Fatalf("got %v, %v", c, err)
	}
	if c := stage(t, db, at("c/v/r"), "r"); c.Sequence != 1 {
		t.Errorf("a change without edits used up a number")
	}
}

func TestRevokedAndWrittenAnew(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	clock := time.UnixMilli(1000)
	db.now = func() time.Time { return clock }
	put(t, db, p, "one")
	made, err := db.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(time.Second)
	revoke(t, db, p)
	want(t, db, p, "")
	if _, err := db.Stat(p); !errors.Is(err, ErrNotFound) {
		t.Errorf("stat of a revoked record: %v", err)
	}
	if _, err := db.Stage(func(tx *Tx) error { return tx.Revoke(p) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	for r := range db.Freeze().Clients[0].Vaults[0].Records {
		if !r.Revoked || r.Sealed != nil || r.Hint != nil {
			t.Errorf("the tombstone holds more than it should: %+v", r)
		}
	}
	c, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(p, value("two"), false); return err })
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
	want(t, db, p, "two")
	r, err := db.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Created != made.Created || r.Changed.UnixMilli != 2000 || r.Changed.Sequence != 3 || r.Changed.Device != [8]byte{'d', 'e', 'v'} {
		t.Errorf("stamps: %+v", r)
	}
}

func TestOverwriteKeepsTheName(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	put(t, db, p, "one")
	byID := p
	byID.ClientName, byID.VaultName, byID.RecordName = nil, nil, nil
	put(t, db, byID, "two")
	want(t, db, p, "two")
	page, _, err := list(db, nil, nil, Cursor{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if l := page[0].Place; string(l.ClientName)+"/"+string(l.VaultName)+"/"+string(l.RecordName) != "c/v/r" {
		t.Errorf("listed as %q/%q/%q", l.ClientName, l.VaultName, l.RecordName)
	}
	revoke(t, db, byID)
	want(t, db, p, "")
}

// A record that came without names gets them from the first who knows them.
func TestNamesOfARecordKnownByID(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	byID := Place{Client: p.Client, Vault: p.Vault, Record: p.Record}
	put(t, db, byID, "one")
	put(t, db, p, "two")
	page, _, err := list(db, nil, nil, Cursor{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if l := page[0].Place; string(l.ClientName)+"/"+string(l.VaultName)+"/"+string(l.RecordName) != "c/v/r" {
		t.Errorf("listed as %q/%q/%q", l.ClientName, l.VaultName, l.RecordName)
	}
}

func TestCounters(t *testing.T) {
	db := newDB(t)
	in := In([]byte("c"), []byte("v"))
	head := in
	head.Counter, head.Head = true, true
	want(t, db, head, "")
	for i, s := range []string{"zero", "one", "two"} {
		var got Place
		c, err := db.Stage(func(tx *Tx) (err error) { got, err = tx.Put(head, value(s), false); return err })
		if err != nil {
			t.Fatal(err)
		}
		if got.Number != uint64(i) || got.Record != CounterID([]byte("v"), uint64(i)) {
			t.Errorf("head became number %d", got.Number)
		}
		commit(t, db, c)
		want(t, db, head, s)
		want(t, db, in.Version(uint64(i)), s)
	}
	put(t, db, at("c/v/generic"), "generic")
	want(t, db, head, "two") // only counter writes move it
	put(t, db, in.Version(1), "one anew")
	want(t, db, head, "two")
	put(t, db, in.Version(7), "seven")
	want(t, db, head, "seven")

	// Two heads in one change, and one behind a staged change.
	c, err := db.Stage(func(tx *Tx) error {
		for _, n := range []uint64{8, 9} {
			p, err := tx.Put(head, value("staged"), false)
			if err != nil {
				return err
			}
			if p.Number != n {
				t.Errorf("number %d, want %d", p.Number, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, db, head, "seven")
	ten := stage(t, db, head, "ten")
	commit(t, db, c)
	commit(t, db, ten)
	want(t, db, head, "ten")
	want(t, db, in.Version(10), "ten")

	revoke(t, db, in.Version(0))
	want(t, db, in.Version(0), "")
	want(t, db, in.Version(1), "one anew")
	revoke(t, db, head)
	want(t, db, head, "") // the last version, and it is revoked
	put(t, db, head, "eleven")
	want(t, db, in.Version(11), "eleven")
}

// TestNumbersLast: no write uses up the numbers of a vault, which would then have no
// next version for anybody.
func TestNumbersLast(t *testing.T) {
	db := newDB(t)
	in := In([]byte("c"), []byte("v"))
	try := func(n uint64) error {
		_, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(in.Version(n), value("x"), true); return err })
		return err
	}
	for _, n := range []uint64{math.MaxUint64 - 1, math.MaxUint64 / 2, 1<<32 + 1} {
		if err := try(n); !errors.Is(err, ErrTooLarge) {
			t.Errorf("the first version has number %d: %v", n, err)
		}
	}
	at := uint64(1 << 32)
	put(t, db, in.Version(at), "free")
	for range 3 {
		next := at + 1
		if err := try(next + 1<<20 + 1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("behind %d: %v", at, err)
		}
		at = next + 1<<20
		put(t, db, in.Version(at), "the farthest")
	}
	put(t, db, in.Version(7), "an old number")
	head := in
	head.Counter, head.Head = true, true
	put(t, db, head, "next")
	want(t, db, in.Version(at+1), "next")
	for _, next := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - 1<<20} { // of a file from before
		if farthest(next) != math.MaxUint64 {
			t.Errorf("behind %d: %d", next, farthest(next))
		}
	}
}

func TestRefusedPlaces(t *testing.T) {
	db := newDB(t)
	unnamed := Place{Client: ClientID([]byte("c")), Vault: VaultID([]byte("v")), Counter: true}
	head := unnamed
	head.Head = true
	long := bytes.Repeat([]byte("x"), MaxName+1)
	for name, tt := range map[string]struct {
		p    Place
		v    Value
		want error
	}{
		"head in a vault without a path":    {head, value("x"), ErrNotFound},
		"version in a vault without a path": {unnamed, value("x"), ErrNotFound},
		"the last number":                   {In([]byte("c"), []byte("v")).Version(math.MaxUint64), value("x"), ErrTooLarge},
		"secret":                            {at("c/v/r"), Value{Secret: make([]byte, MaxSecret+1)}, ErrTooLarge},
		"hint":                              {at("c/v/r"), Value{Hint: make([]byte, MaxHint+1)}, ErrTooLarge},
		"client's name":                     {At(long, []byte("v"), []byte("r")), value("x"), ErrTooLarge},
		"vault's name":                      {At([]byte("c"), long, []byte("r")), value("x"), ErrTooLarge},
		"record's name":                     {At([]byte("c"), []byte("v"), long), value("x"), ErrTooLarge},
	} {
		_, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(tt.p, tt.v, false); return err })
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	put(t, db, In([]byte("c"), []byte("v")).Version(3), "three")
	if _, err := db.Stage(func(tx *Tx) error { return tx.Revoke(head) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoke of a head without a path: %v", err)
	}
	if _, err := db.Stat(head); !errors.Is(err, ErrNotFound) {
		t.Errorf("stat of a head without a path: %v", err)
	}
	// At the limits.
	name := bytes.Repeat([]byte("x"), MaxName)
	c, err := db.Stage(func(tx *Tx) error {
		_, err := tx.Put(At(name, name, name), Value{Secret: make([]byte, MaxSecret), Hint: make([]byte, MaxHint)}, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, c)
	if got := read(t, db, At(name, name, name)); len(got) != MaxSecret {
		t.Errorf("read %d bytes", len(got))
	}
	put(t, db, at("c/v/empty"), "")
	if r, err := db.Stat(at("c/v/empty")); err != nil || len(r.Sealed) != sealOverhead+2+len("empty") {
		t.Errorf("an empty secret: %v %v", r, err)
	}
}

func TestApply(t *testing.T) {
	from, db := newDB(t), newDB(t)
	var changes []*Change
	for _, s := range []string{"1", "2", "3"} {
		changes = append(changes, stage(t, from, at("c/v/r"+s), s))
	}
	if err := db.Apply(changes[1]); err == nil {
		t.Error("a change was left out")
	}
	for _, c := range changes {
		if err := db.Apply(c); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(c); err == nil {
			t.Error("a change was applied twice")
		}
	}
	want(t, db, at("c/v/r2"), "2")
	stage(t, db, at("c/v/r4"), "4")
	if err := db.Apply(&Change{Sequence: 5}); err == nil {
		t.Error("a change was applied over a staged one")
	}
}

// The ciphertext of a record opens as what it is, where it is.
func TestTransplantedRecord(t *testing.T) {
	db := newDB(t)
	put(t, db, at("c/v/r"), "secret")
	for _, p := range []Place{at("c/v/other"), at("c/other/r"), at("other/v/r"), at("c/v/wrong kind")} {
		r, err := db.Stat(at("c/v/r"))
		if err != nil {
			t.Fatal(err)
		}
		moved := *r
		moved.ID = p.Record
		if string(p.RecordName) == "wrong kind" {
			moved.Kind, p = Untyped, at("c/v/r")
			moved.ID = p.Record
		}
		if err := db.Apply(&Change{Sequence: db.seq + 1, Edits: []Edit{{Client: p.Client, Vault: p.Vault, Record: &moved}}}); err != nil {
			t.Fatal(err)
		}
		err = db.Lend(p, func(*Record, []byte) error { t.Error("lent"); return nil })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", p.RecordName, err)
		}
		put(t, db, at("c/v/r"), "secret") // the last one replaced it
	}
}

func TestDamagedRecord(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	put(t, db, p, "secret")
	r, err := db.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Sealed {
		sealed := bytes.Clone(r.Sealed)
		sealed[i] ^= 1
		if err := db.open(&Record{ID: r.ID, Kind: r.Kind, Sealed: sealed}, p, func(_, _ []byte) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
		if err := db.open(&Record{ID: r.ID, Kind: r.Kind, Sealed: r.Sealed[:i]}, p, func(_, _ []byte) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of it: %v", i, err)
		}
	}
}

func TestRecordsHoldNoPlaintext(t *testing.T) {
	db := newDB(t)
	secret := "a secret that is easily recognised"
	p := at("a client's name/a vault's name/a record's name")
	c := stage(t, db, p, secret)
	commit(t, db, c)
	e := c.Edits[0]
	for _, b := range [][]byte{e.Record.Sealed, e.ClientName, e.VaultName} {
		for _, plain := range []string{secret, string(p.ClientName), string(p.VaultName), string(p.RecordName)} {
			if bytes.Contains(b, []byte(plain[2:12])) {
				t.Errorf("%q shows", plain)
			}
		}
	}
	put(t, db, p, secret)
	r, err := db.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(r.Sealed[:24], e.Record.Sealed[:24]) {
		t.Error("a nonce came twice")
	}
}

// What Lend takes out of the arena it gives back, whatever happens.
func TestArenaIsGivenBack(t *testing.T) {
	db, p := newDB(t), at("c/v/r")
	put(t, db, p, "secret")
	failure := errors.New("a failure")
	if err := db.Lend(p, func(*Record, []byte) error { return failure }); err != failure {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { recover() }()
		db.Lend(p, func(*Record, []byte) error { panic("a panic") })
	}()
	db.Stage(func(tx *Tx) error { tx.Put(p, value("x"), true); return failure })
	all, err := db.arena.New(db.arena.Size() - 64) // but for the key
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Lend(p, nil); !errors.Is(err, memory.ErrFull) {
		t.Errorf("with a full arena: %v", err)
	}
	if _, err := db.Stage(func(tx *Tx) error { _, err := tx.Put(p, value("x"), true); return err }); !errors.Is(err, memory.ErrFull) {
		t.Errorf("with a full arena: %v", err)
	}
	all.Destroy()
	want(t, db, p, "secret")
}
