package vault

import "errors"

// A client of the file need not be loaded. Of one that is away the DB has the id and the
// sealed name, so that it is never taken for one that does not exist: what would read it
// or change it is told [ErrNotLoaded]. It can be purged.

// Errors of what is not loaded.
var (
	ErrNotLoaded = errors.New("vault: the client is not loaded")
	ErrStaged    = errors.New("vault: the client has changes that are not committed")
)

// SetAway says that there is a client that is not loaded. name is sealed, nil if no more is
// known of it than before.
func (db *DB) SetAway(id ID, name []byte) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if known, _ := get(db.away, id); known != nil {
		name = known
	}
	db.away.Set(item[[]byte]{id, name})
}

// DropAway says that a client that was away is gone.
func (db *DB) DropAway(id ID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.away.Delete(item[[]byte]{id: id})
}

// Away is how many clients are not loaded.
func (db *DB) Away() int {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.away.Len()
}

// AwayIDs are the clients that are not loaded.
func (db *DB) AwayIDs() (ids []ID) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	db.away.Scan(func(it item[[]byte]) bool { ids = append(ids, it.id); return true })
	return ids
}

// IsAway says whether there is a client with this id that is not loaded.
func (db *DB) IsAway(id ID) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.isAway(id)
}

func (db *DB) isAway(id ID) bool {
	_, away := get(db.away, id)
	return away
}

// absent is why a client is not among those that are loaded. db.mu is held.
func (db *DB) absent(id ID) error {
	if db.isAway(id) {
		return ErrNotLoaded
	}
	return ErrNotFound
}

// reach returns [ErrNotLoaded] if this change cannot see what a client has.
func (tx *Tx) reach(id ID) error {
	if tx.db.isAway(id) && tx.own().purged[id] == nil && tx.db.ahead.purged[id] == nil {
		return ErrNotLoaded
	}
	return nil
}

// Take moves to db what another DB has loaded of clients that are away here. Nobody uses
// that one any more.
func (db *DB) Take(from *DB) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.saw(Stamp{UnixMilli: from.Latest()})
	from.clients.Scan(func(it item[*client]) bool {
		db.away.Delete(item[[]byte]{id: it.id})
		db.clients.Set(it)
		it.v.vaults.Scan(func(v item[*vault]) bool { db.countAll(v.v, 1); return true })
		return true
	})
	from.expiries.Scan(func(e expiry) bool { db.expiries.Set(e); return true })
}

// Unload forgets what a client has and knows from then on only that it is there. Its
// ciphertext is overwritten, and what was lent of it and is not given out yet is not.
// Errors are [ErrNotFound], [ErrNotLoaded] if it was away already, and [ErrStaged].
func (db *DB) Unload(id ID) error {
	db.staging.Lock()
	defer db.staging.Unlock()
	db.mu.Lock()
	if db.ahead.there[id] != nil || db.ahead.purged[id] != nil {
		db.mu.Unlock()
		return ErrStaged
	}
	c, ok := get(db.clients, id)
	if !ok {
		defer db.mu.Unlock()
		return db.absent(id)
	}
	db.remove(id, c)
	db.away.Set(item[[]byte]{id, c.name})
	purged := db.takePurged()
	db.mu.Unlock()
	db.wipeAll(purged)
	return nil
}
