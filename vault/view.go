package vault

import "iter"

// View is the committed state at one moment, for writing it to a file. It stays
// as it is while the DB goes on: the trees are copied when somebody writes.
type View struct {
	Sequence uint64
	Clients  []ClientView // in the order of their ids
}

// ClientView is a client of a [View].
type ClientView struct {
	ID     ID
	Name   []byte // sealed; nil when not known
	Away   bool   // it is not loaded: the file that the DB came from has it
	Vaults []VaultView
	store  *store
}

// Items returns how many items the client's store has, and calls yield for each
// when it is ranged over, in the order of their keys.
func (c *ClientView) Items() (n int, items iter.Seq[*Item]) {
	if c.store == nil {
		return 0, func(func(*Item) bool) {}
	}
	return c.store.Len(), c.store.Scan
}

// VaultView is a vault of a [ClientView]. It holds no version whose number is below
// [VaultView.Floor], or not below Next.
type VaultView struct {
	ID      ID
	Name    []byte // sealed; nil when not known
	Next    uint64 // number of the next counter record
	Keep    uint64 // how many of the last ones stay; 0: all
	records records
}

// Floor is the lowest number that a version may have.
func (v VaultView) Floor() uint64 { return floor(v.Next, v.Keep) }

// Len is how many records the vault has, tombstones too.
func (v VaultView) Len() int { return v.records.len() }

// Records calls yield for each record, in the order of their ids. It is another one
// with the next call; what its slices hold does not change.
func (v VaultView) Records(yield func(*Record) bool) {
	var some [64]spot
	n, r := 0, new(Record)
	give := func() bool {
		// They lie anywhere in memory. Asked for one by one each is waited for; here the
		// waits are at once.
		for _, s := range some[:n] {
			s.fetch()
		}
		for _, s := range some[:n] {
			if s.into(r); !yield(r) {
				return false
			}
		}
		n = 0
		return true
	}
	more := true
	v.records.tree.Scan(func(s spot) bool {
		some[n] = s
		if n++; n == len(some) {
			more = give()
		}
		return more
	})
	if more {
		give()
	}
}

// Freeze returns the committed state. It costs a little for each vault and
// nothing for each record.
func (db *DB) Freeze() *View {
	db.mu.Lock() // a copy marks the original as shared
	defer db.mu.Unlock()
	view := &View{Sequence: db.done}
	db.everyone(ID{}, func(id ID, c *client, name []byte) bool {
		cv := ClientView{ID: id, Name: name, Away: c == nil}
		if c != nil {
			cv.store = c.store.Copy()
			c.vaults.Scan(func(v item[*vault]) bool {
				cv.Vaults = append(cv.Vaults, VaultView{v.id, v.v.name, v.v.next, v.v.keep, v.v.records.copy()})
				return true
			})
		}
		view.Clients = append(view.Clients, cv)
		return true
	})
	return view
}

// LoadClient puts a client as a file has it into a DB that nobody uses yet. It may
// hold nothing.
func (db *DB) LoadClient(c ClientView) { db.client(c.ID).name = c.Name }

// Load puts a vault as a file has it into a DB that nobody uses yet, and returns
// what adds its records to it.
func (db *DB) Load(c ClientView, v VaultView) (add func(*Record)) {
	db.put(&Edit{Client: c.ID, ClientName: c.Name, Vault: v.ID, VaultName: v.Name})
	loaded, _ := get(db.clients, c.ID)
	into, _ := get(loaded.vaults, v.ID)
	into.next, into.keep = v.Next, v.Keep
	return func(r *Record) {
		into.records.load(r)
		db.saw(r.Changed)
		db.count(into, r.Revoked, 1)
	}
}

// LoadItem puts an item of a client's store as a file has it into a DB that
// nobody uses yet.
func (db *DB) LoadItem(c ClientView, it *Item) {
	db.put(&Edit{Client: c.ID, ClientName: c.Name, Item: it})
}

// Resume says which change the loaded state is of.
func (db *DB) Resume(seq uint64) { db.seq, db.done = seq, seq }

// LendRecord is [DB.Lend] for a record of a view.
func (db *DB) LendRecord(r *Record, client, vault ID, f func(secret []byte) error) error {
	return db.open(r, Place{Client: client, Vault: vault, Record: r.ID}, func(_, secret []byte) error { return f(secret) })
}
