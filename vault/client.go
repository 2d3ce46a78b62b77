package vault

// HasClient says whether there is a client with this id. It may hold nothing.
func (db *DB) HasClient(id ID) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.tx != nil {
		return db.tx.HasClient(id)
	}
	_, ok := get(db.clients, id)
	return ok
}

// ClientStat is a client, and how much it holds.
type ClientStat struct {
	Place   Place // of the client alone
	Vaults  int
	Records int // not counting what was revoked
	Values  int // of its store
	Bytes   int // of these, with their keys
}

// Clients returns up to limit clients in the order of their ids: those after the
// id after. more says that there are others.
func (db *DB) Clients(after ID, limit int) (page []ClientStat, more bool, err error) {
	var names [][]byte
	func() {
		db.mu.RLock()
		defer db.mu.RUnlock()
		db.clients.Ascend(item[*client]{id: after}, func(it item[*client]) bool {
			if it.id == after && after != (ID{}) {
				return true
			}
			if len(page) == limit {
				more = true
				return false
			}
			s := ClientStat{Place: Place{Client: it.id}, Vaults: it.v.vaults.Len(), Values: it.v.store.Len(), Bytes: it.v.bytes}
			it.v.vaults.Scan(func(v item[*vault]) bool { s.Records += v.v.live; return true })
			page, names = append(page, s), append(names, it.v.name)
			return true
		})
	}()
	for i, sealed := range names {
		if page[i].Place.ClientName, err = db.openName(page[i].Place, clientName, sealed); err != nil {
			return nil, false, err
		}
	}
	return page, more, nil
}

// HasClient says whether there is a client with this id as this change sees it.
func (tx *Tx) HasClient(id ID) bool {
	for _, a := range []*ahead{tx.own(), &tx.db.ahead} {
		if a.there[id] != nil {
			return true
		}
		if a.purged[id] != nil {
			return false
		}
	}
	_, ok := get(tx.db.clients, id)
	return ok
}

// CreateClient makes a client that holds nothing, or returns [ErrExists]. Writing
// makes a client too; this says that it is a new one.
func (tx *Tx) CreateClient(p Place) error {
	switch {
	case len(p.ClientName) > MaxName:
		return ErrTooLarge
	case tx.db.fits(p.ClientName) != nil:
		return tx.db.fits(p.ClientName)
	case tx.HasClient(p.Client):
		return ErrExists
	}
	return tx.add(p, Edit{})
}

// PurgeClient takes a client away with all it holds, tombstones too: it is not
// there any more, and could be made anew.
func (tx *Tx) PurgeClient(id ID) error {
	if !tx.HasClient(id) {
		return ErrNotFound
	}
	return tx.add(Place{Client: id}, Edit{Purge: true})
}

// purge takes a client out of what is committed.
func (db *DB) purge(id ID) {
	c, ok := get(db.clients, id)
	if !ok {
		return
	}
	c.store.Scan(func(it *Item) bool {
		if it.Expires != 0 {
			db.expiries.Delete(expiry{it.Expires, id, string(it.Key)})
		}
		return true
	})
	c.vaults.Scan(func(v item[*vault]) bool { db.live -= v.v.live; return true })
	db.clients.Delete(item[*client]{id: id})
	db.losses.Add(1)
	db.purged = append(db.purged, c)
}

// wipePurged has what purged clients held overwritten. db.staging is held, and db.mu is
// not: readers need not wait for it.
func (db *DB) wipePurged() {
	for _, c := range db.purged {
		c.vaults.Scan(func(v item[*vault]) bool {
			v.v.records.from(ID{}, func(p packed) bool {
				if !p.revoked() {
					db.gone(p)
				}
				return true
			})
			return true
		})
	}
	db.purged = nil
}
