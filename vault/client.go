package vault

// HasClient says whether there is a client with this id. It may hold nothing.
func (db *DB) HasClient(id ID) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.tx != nil {
		return db.tx.HasClient(id)
	}
	_, ok := get(db.clients, id)
	return ok || db.isAway(id)
}

// ClientStat is a client, and how much it holds.
type ClientStat struct {
	Place   Place // of the client alone
	Vaults  int
	Records int  // not counting what was revoked
	Values  int  // of its store
	Bytes   int  // of these, with their keys
	Away    bool // it is not loaded: what it holds is not known
}

// Clients returns up to limit clients in the order of their ids: those after the
// id after. more says that there are others.
func (db *DB) Clients(after ID, limit int) (page []ClientStat, more bool, err error) {
	var names [][]byte
	func() {
		db.mu.RLock()
		defer db.mu.RUnlock()
		db.everyone(after, func(id ID, c *client, name []byte) bool {
			switch {
			case id == after && after != (ID{}):
				return true
			case len(page) == limit:
				more = true
				return false
			}
			s := ClientStat{Place: Place{Client: id}, Away: c == nil}
			if c != nil {
				s.Vaults, s.Values, s.Bytes = c.vaults.Len(), c.store.Len(), c.bytes
				c.vaults.Scan(func(v item[*vault]) bool { s.Records += v.v.live; return true })
			}
			page, names = append(page, s), append(names, name)
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

// everyone visits clients in the order of their ids, from one on; c is nil for one that
// is not loaded. db.mu is held.
func (db *DB) everyone(from ID, visit func(id ID, c *client, name []byte) bool) {
	away := db.away.Iter()
	defer away.Release()
	left, stopped := away.Seek(item[[]byte]{id: from}), false
	until := func(id ID, all bool) bool {
		for ; left && !stopped && (all || away.Item().id.less(id)); left = away.Next() {
			stopped = !visit(away.Item().id, nil, away.Item().v)
		}
		return !stopped
	}
	db.clients.Ascend(item[*client]{id: from}, func(it item[*client]) bool {
		stopped = !until(it.id, false) || !visit(it.id, it.v, it.v.name)
		return !stopped
	})
	until(ID{}, true)
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
	return ok || tx.db.isAway(id)
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
	db.away.Delete(item[[]byte]{id: id})
	if c, ok := get(db.clients, id); ok {
		db.remove(id, c)
	}
}

// remove takes what a client has out of what is committed.
func (db *DB) remove(id ID, c *client) {
	c.store.Scan(func(it *Item) bool {
		if it.Expires != 0 {
			db.expiries.Delete(expiry{it.Expires, id, string(it.Key)})
		}
		return true
	})
	c.vaults.Scan(func(v item[*vault]) bool { db.countAll(v.v, -1); return true })
	db.clients.Delete(item[*client]{id: id})
	db.losses.Add(1)
	db.purged = append(db.purged, c)
}

// takePurged are the clients that were purged, for wipeAll. db.mu is held.
func (db *DB) takePurged() []*client {
	purged := db.purged
	db.purged = nil
	return purged
}

// wipeAll has what purged clients held overwritten. db.mu is not held: readers need not
// wait for it.
func (db *DB) wipeAll(purged []*client) {
	for _, c := range purged {
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
}
