package vault

// What came from elsewhere came by its ids alone (see [Tx.Import]). Ids are made of paths, so that whoever names a path
// is understood at once, and what he named is known by its path from then on: [DB.Lend] keeps the names of what it
// finds, and a change those of what it touches. A name that a reader brought lies in memory until the file is written
// anew or something below it changes; if it is lost before, the next reader brings it again.

// nameless says whether p brings the name of a client or of a vault that is known by its id only. db.mu is held.
func (db *DB) nameless(p Place) bool {
	if p.ClientName == nil && p.VaultName == nil {
		return false
	}
	c, ok := get(db.clients, p.Client)
	if !ok {
		return false
	}
	if c.name == nil && p.ClientName != nil {
		return true
	}
	v, ok := get(c.vaults, p.Vault)
	return ok && v.name == nil && p.VaultName != nil
}

// Learn keeps the names of the client and of the vault at p, if these are there and have none.
func (db *DB) Learn(p Place) error {
	db.mu.RLock()
	nameless := db.nameless(p)
	db.mu.RUnlock()
	if !nameless {
		return nil
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.learn(p)
}

// learn is Learn with db.mu held for writing.
func (db *DB) learn(p Place) (err error) {
	if !db.nameless(p) {
		return nil
	}
	c, _ := get(db.clients, p.Client)
	if c.name == nil && p.ClientName != nil {
		if c.name, err = db.sealName(Place{Client: p.Client}, clientName, p.ClientName); err != nil {
			return err
		}
		c.heard = true
	}
	if v, ok := get(c.vaults, p.Vault); ok && v.name == nil && p.VaultName != nil {
		if v.name, err = db.sealName(Place{Client: p.Client, Vault: p.Vault}, vaultName, p.VaultName); err != nil {
			return err
		}
		v.heard = true
		from := floor(v.next, v.keep)
		db.number(v, p.VaultName)
		db.prune(p, v, from)
	}
	return nil
}

// learnRecord gives r the name that p brings. r was found at p and has none.
func (db *DB) learnRecord(r *Record, p Place, secret []byte) {
	named := *r
	var err error
	if named.Sealed, err = db.seal(p, r.Kind, p.RecordName, secret); err != nil {
		return // it stays without a name: that is what it was
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if c, ok := get(db.clients, p.Client); ok {
		if v, ok := get(c.vaults, p.Vault); ok {
			if now := v.records.get(r.ID); now != nil && now.rest == r.rest { // else it has changed meanwhile
				db.renew(v, &named)
			}
		}
	}
}

// renew puts r, of which more is known now, in its own place.
func (db *DB) renew(v *vault, r *Record) {
	if old, replaced := v.records.set(r); replaced {
		db.gone(old)
	}
}

// Bounds of the search for counter records. Before its version 0.4 the Rust
// Stronghold counted every write into a vault, those of generic records too: the
// numbers have gaps.
const (
	maxGap    = 1 << 10 // numbers in a row without a record, before the search ends
	maxProbes = 1 << 16
)

// number finds the counter records among those of a vault whose path has just become known: an id alone does not tell
// that it is of a version. The head is behind the last one that is found.
func (db *DB) number(v *vault, path []byte) {
	for n, gap := uint64(0), 0; gap < maxGap && n < maxProbes; n++ {
		r := v.records.get(CounterID(path, n))
		if r == nil {
			gap++
			continue
		}
		gap = 0
		if !r.Counter {
			numbered := *r
			numbered.Counter, numbered.Number = true, n
			db.renew(v, &numbered)
		}
		v.next = max(v.next, n+1)
	}
}

// Import writes a record as another Stronghold had it, at a place whose names may
// not be known; without a value it leaves a tombstone. What is there, a tombstone
// too, is replaced if overwrite says so, else [ErrExists].
func (tx *Tx) Import(p Place, v *Value, overwrite bool) error {
	old := tx.latest(p)
	switch {
	case old != nil && old.Revoked && v == nil:
		return nil
	case old != nil && !overwrite:
		return ErrExists
	case v != nil:
		_, err := tx.Put(p, *v, true)
		return err
	}
	r := &Record{ID: p.Record, Revoked: true, Created: tx.stamp, Changed: tx.stamp}
	if old != nil {
		r.Kind, r.Counter, r.Number, r.Created = old.Kind, old.Counter, old.Number, old.Created
	}
	return tx.add(p, Edit{Record: r, adds: tx.adds(p, old, r), tombs: tombs(old, r)})
}
