package vault

import "bytes"

// Listed is one record of a listing: where it lies, and what may be told of it.
type Listed struct {
	Place  Place
	Record *Record
}

// Cursor is where a page ends: the ids of the last record it could have shown.
// The zero cursor is the beginning.
type Cursor [3]ID

// List returns up to limit records in the order of their ids: those after the
// cursor, of one client if inClient is not nil, of one vault in it if inVault is
// not nil, with this hint if it is not nil. more says that the page is full; the next one begins after its last
// record. Tombstones are left out, and so are clients that are not loaded; of one of these alone it is [ErrNotLoaded].
func (db *DB) List(inClient, inVault *ID, hint []byte, after Cursor, limit int) (page []Listed, more bool, err error) {
	if inClient != nil && db.IsAway(*inClient) {
		return nil, false, ErrNotLoaded
	}
	records := db.collect(inClient, inVault, hint, after, limit+1)
	if len(records) > limit {
		records, more = records[:limit], true
	}
	page = make([]Listed, len(records))
	var c, v names
	for i, at := range records {
		p := Place{Client: at.client, Vault: at.vault, Record: at.record.ID, Counter: at.record.Counter, Number: at.record.Number}
		if p.ClientName, err = c.open(db, Place{Client: p.Client}, clientName, at.clientName); err != nil {
			return nil, false, err
		}
		if p.VaultName, err = v.open(db, Place{Client: p.Client, Vault: p.Vault}, vaultName, at.vaultName); err != nil {
			return nil, false, err
		}
		if !p.Counter {
			if p.RecordName, err = db.name(at.record, p); err != nil {
				return nil, false, err
			}
		}
		page[i] = Listed{Place: p, Record: at.record}
	}
	return page, more, nil
}

// names remembers the last name it opened: neighbours in a listing share it.
type names struct {
	at   Place
	name []byte
}

func (n *names) open(db *DB, p Place, kind Kind, sealed []byte) (_ []byte, err error) {
	if n.at.Client != p.Client || n.at.Vault != p.Vault {
		n.at = p
		n.name, err = db.openName(p, kind, sealed)
	}
	return n.name, err
}

type found struct {
	client, vault         ID
	clientName, vaultName []byte
	record                *Record
}

// collect finds limit records for a page and opens nothing.
func (db *DB) collect(inClient, inVault *ID, hint []byte, after Cursor, limit int) (out []found) {
	for end := false; !end && len(out) < limit; {
		out, after, end = db.walk(out, inClient, inVault, hint, after, limit)
	}
	return out
}

// stride is how many records a walk looks at before it lets writers through.
const stride = 4096

// walk goes on from a cursor for a stride, and returns where it came to.
func (db *DB) walk(out []found, inClient, inVault *ID, hint []byte, after Cursor, limit int) (_ []found, at Cursor, end bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	left := stride
	goOn := func() bool { left--; return left > 0 && len(out) < limit }
	at = after
	below(db.clients, inClient, after[0], func(cid ID, c *client) bool {
		if cid != after[0] {
			after[1], after[2] = ID{}, ID{}
			at = Cursor{cid}
		}
		below(c.vaults, inVault, after[1], func(vid ID, v *vault) bool {
			if vid != after[1] {
				after[2] = ID{}
				at = Cursor{cid, vid}
			}
			v.records.from(after[2], func(p packed) bool {
				id := p.id()
				if id == after[2] {
					return true
				}
				at = Cursor{cid, vid, id}
				if !p.revoked() && (hint == nil || bytes.Equal(hint, p.hint())) {
					out = append(out, found{cid, vid, c.name, v.name, p.record()})
				}
				return goOn()
			})
			return goOn()
		})
		return goOn()
	})
	return out, at, left > 0 && len(out) < limit
}

// below walks a tree from an id on, or visits only one.
func below[T any](t *tree[T], only *ID, from ID, visit func(ID, T) bool) {
	if only != nil {
		if v, ok := get(t, *only); ok {
			visit(*only, v)
		}
		return
	}
	t.Ascend(item[T]{id: from}, func(it item[T]) bool { return visit(it.id, it.v) })
}
