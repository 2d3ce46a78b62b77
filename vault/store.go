package vault

import (
	"bytes"

	"github.com/tidwall/btree"
)

// Item is a value of a client's key-value store. Store values are data, not
// secrets: they rest in the clear in the zone's memory, and encrypted in the file.
// An item never changes: a change puts another in its place.
type Item struct {
	Key     []byte
	Value   []byte // nil with Removed
	Expires int64  // ms since the Unix epoch; 0: never
	Removed bool   // only in an [Edit]
	Changed Stamp
}

// MaxValue is the largest value of a store, in bytes.
const MaxValue = 64 << 10

type store = btree.BTreeG[*Item]

func newStore() *store {
	less := func(a, b *Item) bool { return bytes.Compare(a.Key, b.Key) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: 16})
}

// expiry is when an item of a client's store ends. The DB keeps them in order,
// so that sweeping costs what it sweeps.
type expiry struct {
	at     int64
	client ID
	key    string
}

func newExpiries() *btree.BTreeG[expiry] {
	less := func(a, b expiry) bool {
		if a.at != b.at {
			return a.at < b.at
		}
		if a.client != b.client {
			return a.client.less(b.client)
		}
		return a.key < b.key
	}
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func (it *Item) expired(now int64) bool { return it.Expires != 0 && it.Expires <= now }

// Get returns the item at key in a client's store. An expired one is not found.
func (db *DB) Get(clientID ID, key []byte) (*Item, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	c, ok := get(db.clients, clientID)
	if !ok {
		return nil, ErrNotFound
	}
	it, ok := c.store.Get(&Item{Key: key})
	if !ok || it.expired(db.now().UnixMilli()) {
		return nil, ErrNotFound
	}
	return it, nil
}

// Items returns up to limit items of a client's store, in the order of their
// keys: those after the key after. more says that there are others.
func (db *DB) Items(clientID ID, after []byte, limit int) (page []*Item, more bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	c, ok := get(db.clients, clientID)
	if !ok {
		return nil, false
	}
	now := db.now().UnixMilli()
	c.store.Ascend(&Item{Key: after}, func(it *Item) bool {
		switch {
		case it.expired(now) || after != nil && bytes.Equal(it.Key, after):
		case len(page) == limit:
			more = true
			return false
		default:
			page = append(page, it)
		}
		return true
	})
	return page, more
}

// Sweep drops what has expired from memory; the file loses it when it is written
// anew. It returns how many items went.
func (db *DB) Sweep() (n int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	now := db.now().UnixMilli()
	for {
		e, ok := db.expiries.Min()
		if !ok || e.at > now {
			return n
		}
		db.expiries.Delete(e)
		if c, ok := get(db.clients, e.client); ok {
			if it, ok := c.store.Get(&Item{Key: []byte(e.key)}); ok && it.Expires == e.at {
				c.store.Delete(it)
				n++
			}
		}
	}
}

// putItem puts an item, or takes one away.
func (db *DB) putItem(clientID ID, c *client, it *Item) {
	var old *Item
	if it.Removed {
		old, _ = c.store.Delete(it)
	} else {
		old, _ = c.store.Set(it)
	}
	if old != nil && old.Expires != 0 {
		db.expiries.Delete(expiry{old.Expires, clientID, string(old.Key)})
	}
	if !it.Removed && it.Expires != 0 {
		db.expiries.Set(expiry{it.Expires, clientID, string(it.Key)})
	}
}

// Item returns the item at key as this change sees it, or [ErrNotFound].
func (tx *Tx) Item(clientID ID, key []byte) (*Item, error) {
	at := itemAt{clientID, string(key)}
	found, ok := tx.own.items[at]
	if !ok {
		found, ok = tx.db.ahead.items[at]
	}
	if c, there := get(tx.db.clients, clientID); !ok && there {
		found, _ = c.store.Get(&Item{Key: key})
	}
	if found == nil || found.Removed || found.expired(tx.stamp.UnixMilli) {
		return nil, ErrNotFound
	}
	return found, nil
}

// PutItem writes a value to a client's store. expires is in ms since the Unix
// epoch, 0 for never.
func (tx *Tx) PutItem(p Place, key, value []byte, expires int64) error {
	if len(value) > MaxValue || max(len(key), len(p.ClientName)) > MaxName {
		return ErrTooLarge
	}
	return tx.add(p, Edit{Item: &Item{Key: key, Value: value, Expires: expires, Changed: tx.stamp}})
}

// RemoveItem takes a value out of a client's store.
func (tx *Tx) RemoveItem(p Place, key []byte) error {
	if _, err := tx.Item(p.Client, key); err != nil {
		return err
	}
	return tx.add(p, Edit{Item: &Item{Key: key, Removed: true, Changed: tx.stamp}})
}
