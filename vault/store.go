package vault

import (
	"bytes"
	"encoding/binary"

	"github.com/tidwall/btree"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
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

// storeSize is how much a store has, or by how much something changes that.
type storeSize struct{ bytes, values int }

func (a storeSize) plus(b storeSize) storeSize {
	return storeSize{a.bytes + b.bytes, a.values + b.values}
}
func (a storeSize) negative() storeSize { return storeSize{-a.bytes, -a.values} }

func (it *Item) size() storeSize {
	if it == nil || it.Removed {
		return storeSize{}
	}
	return storeSize{len(it.Key) + len(it.Value), 1}
}

// Passing is how soon an item must expire to be one that passes, in ms: who counts what
// others made can remember that for so long, and is not told when it has expired.
const Passing = 24 * 3600 * 1000

// stays is what an item takes, unless it passes.
func (it *Item) stays() int {
	if it == nil || it.Expires != 0 && it.Expires-it.Changed.UnixMilli < Passing {
		return 0
	}
	return it.size().bytes
}

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
	if db.tx != nil {
		return db.tx.Item(clientID, key)
	}
	c, ok := get(db.clients, clientID)
	if !ok {
		return nil, db.absent(clientID)
	}
	it, ok := c.store.Get(&Item{Key: key})
	if !ok || it.expired(db.Now().UnixMilli()) {
		return nil, ErrNotFound
	}
	return it, nil
}

// Expires says when the first of all items ends, in ms since the Unix epoch.
func (db *DB) Expires() (at int64, ok bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	e, ok := db.expiries.Min()
	return e.at, ok
}

// Sweep drops what has expired from memory; the file loses it when it is written
// anew. It returns how many items went.
func (db *DB) Sweep() (n int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	now := db.Now().UnixMilli()
	for {
		e, ok := db.expiries.Min()
		if !ok || e.at > now {
			return n
		}
		db.expiries.Delete(e)
		if c, ok := get(db.clients, e.client); ok {
			if it, ok := c.store.Get(&Item{Key: []byte(e.key)}); ok && it.Expires == e.at {
				c.store.Delete(it)
				c.bytes -= it.size().bytes
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
	c.bytes += it.size().bytes - old.size().bytes
	if old != nil && old.Expires != 0 {
		db.expiries.Delete(expiry{old.Expires, clientID, string(old.Key)})
	}
	if !it.Removed && it.Expires != 0 {
		db.expiries.Set(expiry{it.Expires, clientID, string(it.Key)})
	}
}

// Item returns the item at key as this change sees it, or [ErrNotFound].
func (tx *Tx) Item(clientID ID, key []byte) (*Item, error) {
	if err := tx.reach(clientID); err != nil {
		return nil, err
	}
	found := tx.item(clientID, key)
	if found == nil || found.Removed || found.expired(tx.stamp.UnixMilli) {
		return nil, ErrNotFound
	}
	return found, nil
}

// item is what is at key, even if it was removed or has expired; nil if nothing was ever.
func (tx *Tx) item(clientID ID, key []byte) *Item {
	at := itemAt{clientID, string(key)}
	for _, a := range []*ahead{tx.own(), &tx.db.ahead} {
		if it, ok := a.items[at]; ok {
			return it
		}
		if a.purged[clientID] != nil {
			return nil
		}
	}
	if c, _ := tx.committed(Place{Client: clientID}); c != nil {
		tx.wanted.Key = key
		it, _ := c.store.Get(&tx.wanted)
		return it
	}
	return nil
}

// size is how much a client's store has as this change sees it. What has expired
// counts until it is swept.
func (tx *Tx) size(clientID ID) storeSize {
	n := tx.own().stores[clientID]
	if tx.own().purged[clientID] == nil {
		n = n.plus(tx.db.ahead.stores[clientID])
	}
	if c, _ := tx.committed(Place{Client: clientID}); c != nil {
		n = n.plus(storeSize{c.bytes, c.store.Len()})
	}
	return n
}

// ItemVersions are what items are known by: an item of another change, or of another key, has
// another. They are no numbers of changes, by which the changes of others could be counted,
// but 53 bits, as many as a JSON number holds, of a hash of the key and of when and where it was
// written, under a key of ours. A key that is removed and written anew does not get one that it has had, which a
// count for each key would take a tombstone for. None is 0.
func (db *DB) ItemVersions(items ...*Item) ([]uint64, error) {
	versions := make([]uint64, len(items))
	var err error
	memory.Erase(func() {
		err = db.key.Use(func(key []byte) error {
			var under, sum [32]byte
			var stamp [stampSize]byte
			primitive.SHA256.HMAC(under[:], key, []byte("versions of a store's values"))
			for i, it := range items {
				putStamp(stamp[:], it.Changed)
				primitive.SHA256.Sum(sum[:], under[:], stamp[:], it.Key)
				versions[i] = max(1, binary.BigEndian.Uint64(sum[:])>>(64-versionBits))
			}
			return nil
		})
	})
	return versions, err
}

const versionBits = 53

// Expect is what somebody who writes a value expects to find there.
type Expect struct {
	Absent  bool
	Value   []byte // nil: any
	Version uint64 // 0: any
	In      *DB    // that Version is of
}

// Expect returns [ErrExists] if there is a value where none is expected, and
// [ErrConflict] if there is none, or another than is expected.
func (tx *Tx) Expect(clientID ID, key []byte, x Expect) error {
	it, err := tx.Item(clientID, key)
	switch {
	case x.Absent && err == nil:
		return ErrExists
	case x.Absent:
		return nil
	case err != nil, x.Value != nil && !bytes.Equal(x.Value, it.Value):
		return ErrConflict
	case x.Version != 0:
		now, err := x.In.ItemVersions(it)
		if err == nil && now[0] != x.Version {
			err = ErrConflict
		}
		return err
	}
	return nil
}

// Stamp is that of all that this change writes.
func (tx *Tx) Stamp() Stamp { return tx.stamp }

// PutItem writes a value to a client's store. expires is in ms since the Unix
// epoch, 0 for never.
func (tx *Tx) PutItem(p Place, key, value []byte, expires int64) error {
	if len(value) > MaxValue || max(len(key), len(p.ClientName)) > MaxName {
		return ErrTooLarge
	}
	if err := tx.db.fits(p.ClientName, key); err != nil {
		return err
	}
	it := &Item{Key: key, Value: value, Expires: expires, Changed: tx.stamp}
	old := tx.item(p.Client, key)
	grows := it.size().plus(old.size().negative())
	now := tx.size(p.Client).plus(grows)
	switch l := &tx.db.limits; {
	case grows.bytes > 0 && now.bytes > l.StoreBytes:
		return &LimitError{What: "bytes of keys and values of a client's store", Limit: l.StoreBytes, full: true}
	case grows.values > 0 && now.values > l.StoreValues:
		return &LimitError{What: "values of a client's store", Limit: l.StoreValues, full: true}
	}
	earlier := old != nil && expires != 0 && (old.Expires == 0 || expires < old.Expires)
	return tx.add(p, Edit{Item: it, grows: grows, stays: it.stays() - old.stays(), gives: !earlier})
}

// RemoveItem takes a value out of a client's store.
func (tx *Tx) RemoveItem(p Place, key []byte) error {
	if _, err := tx.Item(p.Client, key); err != nil {
		return err
	}
	old := tx.item(p.Client, key)
	return tx.add(p, Edit{Item: &Item{Key: key, Removed: true, Changed: tx.stamp}, grows: old.size().negative(), stays: -old.stays()})
}
