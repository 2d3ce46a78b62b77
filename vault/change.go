package vault

import (
	"fmt"
	"slices"
)

// Change is a set of edits that become visible together.
type Change struct {
	Sequence uint64
	Edits    []Edit
}

// Edit puts a record, or a tombstone, at a place; or an item into a client's
// store, or takes it out; or has a vault keep its last versions; or takes a client
// away. With none of these it makes sure that there is a client.
type Edit struct {
	Client, Vault         ID     // no vault with Item
	ClientName, VaultName []byte // sealed; nil when known already, or not known at all
	Record                *Record
	Item                  *Item
	Keep                  *uint64 // how many versions the vault keeps from now on; 0: all
	Purge                 bool    // the client goes, with all it holds

	grows   storeSize // by how much Item changes the store
	adds    int       // records that will be more
	stays   int       // by how much that changes what stays of it
	tombs   int       // tombstones that will be more
	clients int       // clients that will be more
	gives   bool      // it takes nothing away that somebody may be using
}

// Takes says whether the change takes something away: a record that is revoked,
// disabled, replaced or not kept any more, a value that is removed or is to expire
// earlier. It is true of all changes but those that were made to say otherwise.
func (c *Change) Takes() bool {
	return slices.ContainsFunc(c.Edits, func(e Edit) bool { return !e.gives })
}

// Stage prepares a change. f sees all staged changes before it and what it did
// itself; if it fails, nothing has happened. What it did becomes visible to
// readers with [DB.Commit]. A change without edits is none: it is nil, unless others
// are staged. It may have found there what it wanted, and is true with them only: so it has the
// number of the last of them, and is never to be written. One change is staged at a time; f reads what is committed with db.mu held for reading (see aside).
func (db *DB) Stage(f func(*Tx) error) (*Change, error) {
	if db.tx != nil { // part of a change that is being staged
		db.mu.RLock()
		defer db.mu.RUnlock()
		return nil, f(db.tx)
	}
	db.staging.Lock()
	defer db.staging.Unlock()
	tx, err := db.prepare(f)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case len(tx.edits) > 0:
	case len(db.staged) == 0: // or all that were staged have been committed by now
		return nil, nil
	default:
		return &Change{Sequence: db.seq}, nil
	}
	db.seq++
	c := &Change{Sequence: db.seq, Edits: tx.edits}
	db.staged = append(db.staged, c)
	for i := range c.Edits {
		db.ahead.add(&c.Edits[i])
	}
	return c, nil
}

// prepare has f do its work on a change.
func (db *DB) prepare(f func(*Tx) error) (*Tx, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	tx := &Tx{db: db, stamp: Stamp{UnixMilli: db.Now().UnixMilli(), Device: db.device, Sequence: db.seq + 1}}
	return tx, f(tx)
}

// Commit makes the change with this number visible, and all staged before it. It does
// not wait for one that is being prepared: that one finds them there instead of here.
// Numbers that are committed already are none of its business.
func (db *DB) Commit(seq uint64) error {
	for {
		switch more, err := db.commitNext(seq); {
		case err != nil:
			return err
		case !more:
			return nil
		}
	}
}

// commitNext is Commit for one change, if there is one.
func (db *DB) commitNext(seq uint64) (more bool, err error) {
	db.mu.Lock()
	if seq > db.seq || len(db.staged) == 0 || db.staged[0].Sequence > seq {
		if seq > db.seq {
			err = fmt.Errorf("vault: change %d was not staged", seq)
		}
		db.mu.Unlock()
		return false, err
	}
	c := db.staged[0]
	db.staged[0] = nil
	db.staged = db.staged[1:]
	db.apply(c)
	for i := range c.Edits {
		db.ahead.remove(&c.Edits[i])
	}
	purged := db.takePurged()
	db.mu.Unlock()
	db.wipeAll(purged)
	return true, nil
}

// Abort forgets the change with this number, and all staged after it: they may
// have been made on top of it.
func (db *DB) Abort(seq uint64) {
	db.staging.Lock() // what is being prepared may be made on top of them, too
	defer db.staging.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	i := slices.IndexFunc(db.staged, func(c *Change) bool { return c.Sequence >= seq })
	if i < 0 {
		return
	}
	db.seq = db.staged[i].Sequence - 1
	clear(db.staged[i:])
	db.staged = db.staged[:i]
	db.ahead = ahead{}
	for _, c := range db.staged {
		for i := range c.Edits {
			db.ahead.add(&c.Edits[i])
		}
	}
}

// Apply replays a change that was committed before, from a file. Its number
// must be the next.
func (db *DB) Apply(c *Change) error {
	db.staging.Lock()
	defer db.staging.Unlock()
	var purged []*client
	defer func() { db.wipeAll(purged) }()
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.staged) > 0 || c.Sequence != db.seq+1 {
		return fmt.Errorf("vault: change %d does not follow %d", c.Sequence, db.seq)
	}
	db.seq = c.Sequence
	db.apply(c)
	purged = db.takePurged()
	return nil
}

func (db *DB) apply(c *Change) {
	for i := range c.Edits {
		db.put(&c.Edits[i])
	}
	db.done = c.Sequence
}

func (db *DB) put(e *Edit) {
	if e.Purge {
		db.purge(e.Client)
		return
	}
	c := db.client(e.Client)
	if e.ClientName != nil && (c.name == nil || c.heard) {
		c.name, c.heard = e.ClientName, false
	}
	if e.Item != nil {
		db.saw(e.Item.Changed)
		db.putItem(e.Client, c, e.Item)
		return
	}
	if e.Record == nil && e.Vault == (ID{}) {
		return // of the client alone
	}
	v, ok := get(c.vaults, e.Vault)
	if !ok {
		v = &vault{records: newRecords()}
		c.vaults.Set(item[*vault]{e.Vault, v})
	}
	from := floor(v.next, v.keep)
	if e.VaultName != nil && (v.name == nil || v.heard) {
		v.name, v.heard = e.VaultName, false
		if ok { // it was there without a name, and may hold versions
			if path, err := db.openName(Place{Client: e.Client, Vault: e.Vault}, vaultName, e.VaultName); err == nil {
				db.number(v, path)
			}
		}
	}
	if e.Record != nil {
		db.saw(e.Record.Changed)
	}
	if r := e.Record; r != nil && !(r.Counter && r.Number < from) {
		old, replaced := v.records.set(r)
		if replaced {
			db.gone(old)
			db.count(v, old.revoked(), -1)
		}
		db.count(v, r.Revoked, 1)
		if r.Counter && r.Number >= v.next {
			v.next = r.Number + 1
		}
	}
	if e.Keep != nil {
		v.keep = *e.Keep
	}
	db.prune(Place{Client: e.Client, Vault: e.Vault}, v, from)
}

// count takes note of so many more records, or tombstones.
func (db *DB) count(v *vault, tombstone bool, n int) {
	if tombstone {
		db.tombs += n
		return
	}
	v.live += n
	db.live += n
}

// countAll takes note of a vault that comes with all it holds, or goes: sign is 1 or -1.
func (db *DB) countAll(v *vault, sign int) {
	db.live += sign * v.live
	db.tombs += sign * (v.records.len() - v.live)
}

// client is the client with this id, a new one if there is none.
func (db *DB) client(id ID) *client {
	c, ok := get(db.clients, id)
	if !ok {
		c = &client{vaults: newTree[*vault](), store: newStore()}
		db.clients.Set(item[*client]{id, c})
	}
	return c
}
