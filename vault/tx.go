package vault

import "math"

// Tx is a change that is being prepared.
type Tx struct {
	db      *DB
	stamp   Stamp
	edits   []Edit
	ahead   ahead // of the first counted edits
	counted int
	wanted  Item // whose key is looked for: so it is not made anew each time
}

// own is what the edits put where. Most changes have one edit, and never ask.
func (tx *Tx) own() *ahead {
	for ; tx.counted < len(tx.edits); tx.counted++ {
		e := tx.edits[tx.counted]
		tx.ahead.add(&e)
	}
	return &tx.ahead
}

// aside runs f without the lock on what is committed: it is for what takes longer
// than a look at it. What was read before may be another after, but only by what
// readers bring (see learn.go) and by expiry: changes are staged one at a time, and one
// that is committed meanwhile is found among what is committed as it was found ahead of it.
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

// Numbers of versions go up to the first without more ado: whoever takes them from
// a height or a clock in seconds can. Beyond it a new one is at most the second ahead
// of the last. So nobody can use up the numbers of a vault, after which it could not
// be written to any more: that takes 2^44 writes.
const (
	freeNumbers = 1 << 32
	maxAhead    = 1 << 20
)

// farthest is the largest number that a new version may have where next would be
// the next one.
func farthest(next uint64) uint64 { return max(freeNumbers, next+min(maxAhead, math.MaxUint64-next)) }

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
	if most := farthest(tx.next(p)); old == nil && p.Counter && p.Number > most {
		return p, &LimitError{What: "the number of a version that is not there yet", Limit: int(min(most, math.MaxInt))}
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
	e := Edit{Record: r, adds: tx.adds(p, old, r), tombs: tombs(old, r)}
	e.gives = (old == nil || old.Revoked) && tx.keeps(p) == 0
	if err := tx.hasRoom(e.adds, old); err != nil {
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
	return tx.add(p, Edit{adds: -1, tombs: 1, Record: &Record{ID: old.ID, Kind: old.Kind, Revoked: true, Counter: old.Counter, Number: old.Number,
		Created: old.Created, Changed: tx.stamp}})
}

// add completes an edit with where it is, and with the names that the DB does not have yet.
func (tx *Tx) add(p Place, e Edit) (err error) {
	e.Client = p.Client
	if e.Purge {
		e.clients = -1
		tx.edits = append(tx.edits, e)
		return nil
	}
	if err := tx.reach(p.Client); err != nil {
		return err
	}
	c, v := tx.committed(p)
	if c == nil && !tx.HasClient(p.Client) {
		if err := tx.hasRoomForClient(); err != nil {
			return err
		}
		e.clients = 1
	}
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
