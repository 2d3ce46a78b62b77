// Package vault keeps secrets sealed and lends them.
//
// A [DB] holds clients, a client holds vaults, a vault holds records. A record
// rests as ciphertext in ordinary memory, under a key that lies in guarded
// memory; [DB.Lend] opens it into guarded memory, lends it to one function and
// wipes it. So there may be a million records and there is at most one opened
// secret for each request under way.
//
// Everything is addressed by ids, which are derived from the paths people use
// (see [ClientID]). The paths are kept too, sealed with what they name, because
// a listing without them would help nobody.
//
// A change has two steps. [DB.Stage] prepares it and returns it as data, to be
// written to disk; [DB.Commit] makes it visible and [DB.Abort] forgets it.
// Readers see what is committed, and changes see the staged ones before them. One
// change is prepared at a time; nobody waits for that but other changes: what is prepared
// takes its place at once, with all of its edits, also while the next one is prepared.
package vault

import (
	"cmp"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/tidwall/btree"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("vault: not found")
	ErrExists   = errors.New("vault: exists already")
	ErrDamaged  = errors.New("vault: a record does not open")
	ErrTooLarge = errors.New("vault: larger than its limit")
	ErrDisabled = errors.New("vault: the record is disabled")
	ErrFull     = errors.New("vault: there is no room for more")
	ErrConflict = errors.New("vault: what is there is not what was expected")
	ErrSame     = errors.New("vault: it is there already: both places are the same")
)

// Limits, in bytes.
const (
	MaxSecret = 64 << 10 // of a record
	MaxHint   = 24       // of a record
	MaxName   = 256      // of a path segment, or of a store's key
)

// DB is all that a snapshot holds, opened. Its methods are safe for concurrent use.
type DB struct {
	*shared
	tx *Tx // not nil: as this change sees it (see Tx.Within)
}

type shared struct {
	arena  *memory.Arena
	key    *memory.Secret // 32 bytes: seals names and records
	device [8]byte        // written into every change
	now    func() time.Time

	staging sync.Mutex // held while a change is prepared, however long that takes; taken before mu

	mu       sync.RWMutex // of what follows: held for writing only as long as a change takes its place
	staged   []*Change    // in the order of their sequence numbers
	ahead    ahead        // of the staged changes
	seq      uint64       // of the last change that was staged
	clients  *tree[*client]
	away     *tree[[]byte]         // sealed names of clients that are not loaded
	expiries *btree.BTreeG[expiry] // of all stores, soonest first
	done     uint64                // of the last change that was committed
	purged   []*client             // whose records are still to be overwritten
	live     int                   // records that are not revoked
	tombs    int                   // records that are

	latest atomic.Int64 // when the latest change was made, ms since the Unix epoch

	losses atomic.Uint64 // places that lost what was there
	wiping atomic.Int64  // pieces that are still to be overwritten
	wiped  chan struct{}

	limits Limits
}

type client struct {
	name   []byte // sealed; nil when only the id is known
	heard  bool   // the name is in no change: see learn.go
	vaults *tree[*vault]
	store  *store
	bytes  int // of the store's keys and values
}

type vault struct {
	name    []byte // sealed; nil when only the id is known
	heard   bool
	next    uint64 // number of the next counter record
	keep    uint64 // how many of the last ones stay; 0: all
	records records
	live    int // records that are not revoked
}

// tree is a map in the order of its ids, copied in constant time.
type tree[T any] = btree.BTreeG[item[T]]

type item[T any] struct {
	id ID
	v  T
}

func newTree[T any]() *tree[T] {
	less := func(a, b item[T]) bool { return a.id.less(b.id) }
	// The DB has its own lock.
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: 16})
}

func get[T any](t *tree[T], id ID) (v T, ok bool) {
	it, ok := t.Get(item[T]{id: id})
	return it.v, ok
}

// New returns an empty DB. Names and records are sealed under key (32 bytes);
// opened secrets lie in arena. The DB owns neither.
func New(arena *memory.Arena, key *memory.Secret, device [8]byte) *DB {
	return &DB{shared: &shared{arena: arena, key: key, device: device, now: time.Now,
		clients: newTree[*client](), away: newTree[[]byte](), expiries: newExpiries(), wiped: make(chan struct{}, 1),
		limits: Limits{}.withDefaults()}}
}

// Sequence is the number of the last committed change.
func (db *DB) Sequence() uint64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.done
}

// Live is how many records there are, without those that were revoked.
func (db *DB) Live() int {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.live
}

// find returns the committed record at p. A revoked record is not found.
func (db *DB) find(p Place) (*Record, Place, error) {
	db.mu.RLock()
	if db.tx != nil {
		defer db.mu.RUnlock()
		return db.tx.find(p)
	}
	if db.nameless(p) {
		db.mu.RUnlock()
		if err := db.Learn(p); err != nil {
			return nil, p, err
		}
		db.mu.RLock()
	}
	defer db.mu.RUnlock()
	c, ok := get(db.clients, p.Client)
	if !ok {
		return nil, p, db.absent(p.Client)
	}
	v, ok := get(c.vaults, p.Vault)
	if !ok {
		return nil, p, ErrNotFound
	}
	if p.Head {
		if v.next == 0 || p.VaultName == nil {
			return nil, p, ErrNotFound
		}
		p = p.Version(v.next - 1)
	}
	r := v.records.get(p.Record)
	if r == nil || r.Revoked {
		return nil, p, ErrNotFound
	}
	return r, p, nil
}

// Lend opens the record at p into guarded memory and lends its secret to f. The
// slice must not be kept; it is wiped when f returns, and so is the stack that f
// used. What f made must not be given out if Lend fails: the record may have been
// revoked or disabled meanwhile. If it was replaced, f is called again. Errors are [ErrNotFound], [ErrDisabled], [ErrDamaged], memory.ErrFull and what f returns.
func (db *DB) Lend(p Place, f func(r *Record, secret []byte) error) error {
	for range lendTries {
		losses := db.losses.Load()
		r, at, err := db.find(p)
		if err != nil {
			return err
		}
		if r.Flags&Disabled != 0 {
			return ErrDisabled
		}
		err = db.open(r, at, func(name, secret []byte) error {
			if len(name) == 0 && at.RecordName != nil && db.tx == nil {
				db.learnRecord(r, at, secret)
			}
			return f(r, secret)
		})
		if db.losses.Load() == losses {
			return err
		}
		if again, lost := db.stands(r, at); !again {
			return cmp.Or(lost, err)
		}
	}
	return ErrNotFound
}

// Stat returns the record at p without opening it.
func (db *DB) Stat(p Place) (*Record, error) {
	r, _, err := db.find(p)
	return r, err
}
