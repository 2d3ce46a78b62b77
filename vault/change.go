package vault

import (
	"fmt"
	"maps"
	"math"
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

	grows storeSize // by how much Item changes the store
	adds  int       // records that will be more
	gives bool      // it takes nothing away that somebody may be using
}

// Takes says whether the change takes something away: a record that is revoked,
// disabled, replaced or not kept any more, a value that is removed or is to expire
// earlier. It is true of all changes but those that were made to say otherwise.
func (c *Change) Takes() bool {
	return slices.ContainsFunc(c.Edits, func(e Edit) bool { return !e.gives })
}

// Tx is a change that is being prepared.
type Tx struct {
	db      *DB
	stamp   Stamp
	edits   []Edit
	ahead   ahead // of the first counted edits
	counted int
}

// own is what the edits put where. Most changes have one edit, and never ask.
func (tx *Tx) own() *ahead {
	for ; tx.counted < len(tx.edits); tx.counted++ {
		e := tx.edits[tx.counted]
		tx.ahead.add(&e)
	}
	return &tx.ahead
}

// ahead is what edits that are not committed put where, the last of them at each
// place. So it costs the same to look something up, however many are staged.
type ahead struct {
	records map[[3]ID]*Record
	items   map[itemAt]*Item
	next    map[[2]ID]uint64 // numbers of the next counter records, where an edit has moved them
	keep    map[[2]ID]*Edit  // the last edits that say how many versions are kept
	vaults  map[[2]ID]*Edit  // the last edits in each vault
	there   map[ID]*Edit     // clients, by the last edit
	purged  map[ID]*Edit     // clients that were purged: what was there before does not count
	stores  map[ID]storeSize // by how much edits change them
	live    int              // records that are more
}

// itemAt is where an item lies.
type itemAt struct {
	client ID
	key    string
}

func (a *ahead) add(e *Edit) {
	if a.records == nil {
		*a = ahead{map[[3]ID]*Record{}, map[itemAt]*Item{}, map[[2]ID]uint64{}, map[[2]ID]*Edit{}, map[[2]ID]*Edit{}, map[ID]*Edit{}, map[ID]*Edit{}, map[ID]storeSize{}, 0}
	}
	if e.Purge {
		maps.DeleteFunc(a.records, func(at [3]ID, _ *Record) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.items, func(at itemAt, _ *Item) bool { return at.client == e.Client })
		maps.DeleteFunc(a.next, func(at [2]ID, _ uint64) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.keep, func(at [2]ID, _ *Edit) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.vaults, func(at [2]ID, _ *Edit) bool { return at[0] == e.Client })
		delete(a.there, e.Client)
		delete(a.stores, e.Client)
		a.purged[e.Client] = e
		return
	}
	a.there[e.Client] = e
	a.live += e.adds
	if it := e.Item; it != nil {
		a.items[itemAt{e.Client, string(it.Key)}] = it
		a.stores[e.Client] = a.stores[e.Client].plus(e.grows)
	}
	if r := e.Record; r != nil {
		a.records[[3]ID{e.Client, e.Vault, r.ID}] = r
		if at := [2]ID{e.Client, e.Vault}; r.Counter && r.Number >= a.next[at] {
			a.next[at] = r.Number + 1
		}
	}
	at := [2]ID{e.Client, e.Vault}
	if e.Keep != nil {
		a.keep[at] = e
	}
	if e.Keep != nil || e.Record != nil {
		a.vaults[at] = e
	}
}

// remove forgets an edit that was committed, unless a later one is in its place.
func (a *ahead) remove(e *Edit) {
	a.live -= e.adds
	if a.there[e.Client] == e {
		delete(a.there, e.Client)
	}
	if a.purged[e.Client] == e {
		delete(a.purged, e.Client)
	}
	if it := e.Item; it != nil {
		if at := (itemAt{e.Client, string(it.Key)}); a.items[at] == it {
			delete(a.items, at)
		}
		switch left := a.stores[e.Client].plus(e.grows.negative()); {
		case a.purged[e.Client] != nil: // by a later edit: it was not counted any more
		case left == storeSize{}:
			delete(a.stores, e.Client)
		default:
			a.stores[e.Client] = left
		}
	}
	if r := e.Record; r != nil {
		if at := [3]ID{e.Client, e.Vault, r.ID}; a.records[at] == r {
			delete(a.records, at)
		}
		if at := [2]ID{e.Client, e.Vault}; r.Counter && a.next[at] == r.Number+1 {
			delete(a.next, at)
		}
	}
	at := [2]ID{e.Client, e.Vault}
	if a.keep[at] == e {
		delete(a.keep, at)
	}
	if a.vaults[at] == e {
		delete(a.vaults, at)
	}
}

// Stage prepares a change. f sees all staged changes before it and what it did
// itself; if it fails, nothing has happened. What it did becomes visible to
// readers with [DB.Commit]. A change without edits is nil, unless
// others are staged: it may have found there what it wanted, and is true with them only. One change is staged
// at a time; f reads what is committed with db.mu held for reading (see aside).
func (db *DB) Stage(f func(*Tx) error) (*Change, error) {
	if db.tx != nil { // part of a change that is being staged
		db.mu.RLock()
		defer db.mu.RUnlock()
		return nil, f(db.tx)
	}
	db.staging.Lock()
	defer db.staging.Unlock()
	db.mu.RLock()
	defer db.mu.RUnlock()
	tx := &Tx{db: db, stamp: Stamp{UnixMilli: db.now().UnixMilli(), Device: db.device, Sequence: db.seq + 1}}
	if err := f(tx); err != nil || len(tx.edits) == 0 && len(db.staged) == 0 {
		return nil, err
	}
	db.seq++
	c := &Change{Sequence: db.seq, Edits: tx.edits}
	db.staged = append(db.staged, c)
	for i := range c.Edits {
		db.ahead.add(&c.Edits[i])
	}
	return c, nil
}

// Commit makes the change with this number visible, and all staged before it.
// Numbers that are committed already are none of its business.
func (db *DB) Commit(seq uint64) error {
	db.staging.Lock()
	defer db.staging.Unlock()
	if seq > db.seq {
		return fmt.Errorf("vault: change %d was not staged", seq)
	}
	for len(db.staged) > 0 && db.staged[0].Sequence <= seq {
		db.mu.Lock()
		db.apply(db.staged[0])
		db.mu.Unlock()
		db.wipePurged()
		for i := range db.staged[0].Edits {
			db.ahead.remove(&db.staged[0].Edits[i])
		}
		db.staged[0] = nil
		db.staged = db.staged[1:]
	}
	return nil
}

// Abort forgets the change with this number, and all staged after it: they may
// have been made on top of it.
func (db *DB) Abort(seq uint64) {
	db.staging.Lock()
	defer db.staging.Unlock()
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
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.staged) > 0 || c.Sequence != db.seq+1 {
		return fmt.Errorf("vault: change %d does not follow %d", c.Sequence, db.seq)
	}
	db.seq = c.Sequence
	db.apply(c)
	db.wipePurged()
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
	if r := e.Record; r != nil && !(r.Counter && r.Number < from) {
		old, replaced := v.records.set(r)
		if replaced {
			db.gone(old)
			if !old.revoked() {
				db.count(v, -1)
			}
		}
		if !r.Revoked {
			db.count(v, 1)
		}
		if r.Counter && r.Number >= v.next {
			v.next = r.Number + 1
		}
	}
	if e.Keep != nil {
		v.keep = *e.Keep
	}
	db.prune(Place{Client: e.Client, Vault: e.Vault}, v, from)
}

func (db *DB) count(v *vault, n int) {
	v.live += n
	db.live += n
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

// aside runs f without the lock on what is committed: it is for what takes longer
// than a look at it. What was read before may be another after, but only by what
// readers bring (see learn.go) and by expiry: changes are staged one at a time.
func (tx *Tx) aside(f func()) {
	tx.db.mu.RUnlock()
	defer tx.db.mu.RLock()
	f()
}

// Within lends f the DB as this change sees it: [DB.Lend], [DB.Stat] and [DB.Get]
// find what it has done and what was staged before it, and what [DB.Stage] does
// there becomes part of it. For all else that DB is as readers see it.
func (tx *Tx) Within(f func(*DB) error) (err error) {
	tx.aside(func() { err = f(&DB{shared: tx.db.shared, tx: tx}) })
	return err
}

func (tx *Tx) learn(p Place) (err error) {
	if tx.db.nameless(p) {
		tx.aside(func() { err = tx.db.Learn(p) })
	}
	return err
}

// Stat returns the record at p as this change sees it, or [ErrNotFound].
func (tx *Tx) Stat(p Place) (*Record, error) {
	r, _, err := tx.find(p)
	return r, err
}

// find is DB.find with the staged changes on top.
func (tx *Tx) find(p Place) (*Record, Place, error) {
	if err := tx.reach(p.Client); err != nil {
		return nil, p, err
	}
	if err := tx.learn(p); err != nil {
		return nil, p, err
	}
	if p.Head {
		next := tx.next(p)
		if next == 0 || p.VaultName == nil {
			return nil, p, ErrNotFound
		}
		p = p.Version(next - 1)
	}
	r := tx.latest(p)
	if r == nil || r.Revoked {
		return nil, p, ErrNotFound
	}
	return r, p, nil
}

// latest is the record at p, a tombstone too; nil if there was never one.
func (tx *Tx) latest(p Place) *Record {
	at := [3]ID{p.Client, p.Vault, p.Record}
	found := func() *Record {
		for _, a := range []*ahead{tx.own(), &tx.db.ahead} {
			if r, ok := a.records[at]; ok {
				return r
			}
			if a.purged[p.Client] != nil {
				return nil
			}
		}
		if _, v := tx.committed(p); v != nil {
			return v.records.get(p.Record)
		}
		return nil
	}
	r := found()
	if r != nil && r.Counter && r.Number < tx.floor(p) {
		return nil
	}
	return r
}

// next is the number of the next counter record of p's vault.
func (tx *Tx) next(p Place) uint64 {
	at := [2]ID{p.Client, p.Vault}
	next := tx.own().next[at]
	if tx.own().purged[p.Client] == nil {
		next = max(next, tx.db.ahead.next[at])
	}
	if _, v := tx.committed(p); v != nil {
		next = max(next, v.next)
	}
	return next
}

// committed is what this change finds at p below all that is staged.
func (tx *Tx) committed(p Place) (*client, *vault) {
	c, ok := get(tx.db.clients, p.Client)
	if !ok || tx.own().purged[p.Client] != nil || tx.db.ahead.purged[p.Client] != nil {
		return nil, nil
	}
	v, _ := get(c.vaults, p.Vault)
	return c, v
}

// Value is what a record is to hold.
type Value struct {
	Kind   Kind
	Flags  Flags
	Hint   []byte
	Secret []byte // in guarded memory
}

// Put writes a record at p. What is there is replaced if overwrite says so, else
// [ErrExists]. It returns the place, with the number that a head was given.
func (tx *Tx) Put(p Place, v Value, overwrite bool) (Place, error) {
	if err := tx.reach(p.Client); err != nil {
		return p, err
	}
	if err := tx.learn(p); err != nil {
		return p, err
	}
	if p.Head {
		if p.VaultName == nil {
			return p, ErrNotFound
		}
		p = p.Version(tx.next(p))
	}
	switch {
	case p.Record == ID{}: // a version in a vault whose name is not known
		return p, ErrNotFound
	case p.Number == math.MaxUint64: // there would be no next
		return p, ErrTooLarge
	case p.Counter && p.Number < tx.floor(p):
		return p, ErrOld
	case len(v.Hint) > MaxHint, max(len(p.ClientName), len(p.VaultName), len(p.RecordName)) > MaxName:
		return p, ErrTooLarge
	}
	old := tx.latest(p)
	if old != nil && !old.Revoked && !overwrite {
		return p, ErrExists
	}
	if len(v.Secret) > tx.db.limits.RecordBytes {
		return p, &LimitError{What: "bytes of a record", Limit: tx.db.limits.RecordBytes}
	}
	if err := tx.db.fits(p.ClientName, p.VaultName, p.RecordName); err != nil {
		return p, err
	}
	r := &Record{ID: p.Record, Kind: v.Kind, Flags: v.Flags, Hint: v.Hint, Counter: p.Counter, Number: p.Number,
		Created: tx.stamp, Changed: tx.stamp}
	if old != nil {
		r.Created = old.Created
		if old.Counter { // an id does not tell
			r.Counter, r.Number = true, old.Number
		}
		if p.RecordName == nil && old.Sealed != nil {
			var name []byte
			var err error
			if tx.aside(func() { name, err = tx.db.name(old, p) }); err != nil {
				return p, err
			}
			p.RecordName = name
		}
	}
	var err error
	if tx.aside(func() { r.Sealed, err = tx.db.seal(p, v.Kind, p.RecordName, v.Secret) }); err != nil {
		return p, err
	}
	e := Edit{Record: r, adds: tx.adds(p, old, r)}
	e.gives = (old == nil || old.Revoked) && tx.keeps(p) == 0
	if err := tx.hasRoom(e.adds); err != nil {
		return p, err
	}
	return p, tx.add(p, e)
}

// Revoke leaves a tombstone at p: the secret goes, that it was there stays.
func (tx *Tx) Revoke(p Place) error {
	old, p, err := tx.find(p)
	if err != nil {
		return err
	}
	return tx.add(p, Edit{adds: -1, Record: &Record{ID: old.ID, Kind: old.Kind, Revoked: true, Counter: old.Counter, Number: old.Number,
		Created: old.Created, Changed: tx.stamp}})
}

// add completes an edit with where it is, and with the names that the DB does not have yet.
func (tx *Tx) add(p Place, e Edit) (err error) {
	e.Client = p.Client
	if e.Purge {
		tx.edits = append(tx.edits, e)
		return nil
	}
	if err := tx.reach(p.Client); err != nil {
		return err
	}
	c, v := tx.committed(p)
	newClient := p.ClientName != nil && (c == nil || c.name == nil || c.heard)
	newVault := false
	if e.Record != nil || e.Keep != nil {
		e.Vault = p.Vault
		newVault = p.VaultName != nil && (v == nil || v.name == nil || v.heard)
	}
	if newClient || newVault {
		tx.aside(func() {
			if newClient {
				e.ClientName, err = tx.db.sealName(Place{Client: p.Client}, clientName, p.ClientName)
			}
			if newVault && err == nil {
				e.VaultName, err = tx.db.sealName(Place{Client: p.Client, Vault: p.Vault}, vaultName, p.VaultName)
			}
		})
		if err != nil {
			return err
		}
	}
	tx.edits = append(tx.edits, e)
	return nil
}
