package vault

import "fmt"

// Limits are what a DB takes in. A field that is 0 stands for its default. What a
// file holds already stays and is used, whatever they say.
type Limits struct {
	RecordBytes int // of a record's secret; [MaxSecret]
	Records     int // in all vaults together, without those that were revoked; [DefaultRecords]
	Tombstones  int // of records that were revoked: with so many there is no place for a new one; [DefaultTombstones]
	Clients     int // [DefaultClients]
	PathBytes   int // of a path as people write it, client/vault/record or client/key; [MaxPath]
	StoreBytes  int // of the keys and values of a client's store; [DefaultStoreBytes]
	StoreValues int // of a client's store; [DefaultStoreValues]
}

// Defaults of [Limits].
const (
	DefaultRecords     = 2_000_000
	DefaultTombstones  = 2_000_000
	DefaultClients     = 200_000
	DefaultStoreBytes  = 64 << 20
	DefaultStoreValues = 1 << 20

	MaxPath = 3*MaxName + 2
)

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		limit *int
		is    int
	}{{&l.RecordBytes, MaxSecret}, {&l.Records, DefaultRecords}, {&l.Tombstones, DefaultTombstones}, {&l.Clients, DefaultClients}, {&l.PathBytes, MaxPath},
		{&l.StoreBytes, DefaultStoreBytes}, {&l.StoreValues, DefaultStoreValues}} {
		if *f.limit == 0 {
			*f.limit = f.is
		}
	}
	return l
}

// Limit sets the limits. It is called before anybody uses the DB.
func (db *DB) Limit(l Limits) { db.limits = l.withDefaults() }

// LimitError says which limit would be exceeded. It is [ErrTooLarge], or [ErrFull]
// where it is of what is there together.
type LimitError struct {
	What  string // that is limited
	Limit int
	full  bool
}

func (e *LimitError) Error() string { return fmt.Sprintf("%s: at most %d", e.What, e.Limit) }

// Is says which of the two it is.
func (e *LimitError) Is(target error) bool {
	if e.full {
		return target == ErrFull
	}
	return target == ErrTooLarge
}

// fits says whether a new path is within its limit.
func (db *DB) fits(segments ...[]byte) error {
	n := len(segments) - 1
	for _, s := range segments {
		n += len(s)
	}
	if n > db.limits.PathBytes {
		return &LimitError{What: "bytes of a path", Limit: db.limits.PathBytes}
	}
	return nil
}

// hasRoom says whether there may be so many more records. Who revokes is never refused, so
// it is new places that tombstones take the room of.
func (tx *Tx) hasRoom(more int, old *Record) error {
	if most := tx.db.limits.Tombstones; old == nil && tx.db.tombs+tx.db.ahead.tombs+tx.own().tombs >= most {
		return &LimitError{What: "tombstones of records that were revoked", Limit: most, full: true}
	}
	if most := tx.db.limits.Records; more > 0 && tx.db.live+tx.db.ahead.live+tx.own().live+more > most {
		return &LimitError{What: "records", Limit: most, full: true}
	}
	return nil
}

// hasRoomForClient says whether there may be one more client.
func (tx *Tx) hasRoomForClient() error {
	if most := tx.db.limits.Clients; tx.db.clients.Len()+tx.db.away.Len()+tx.db.ahead.clients+tx.own().clients >= most {
		return &LimitError{What: "clients", Limit: most, full: true}
	}
	return nil
}

// Growth is by how much a change made more of what is bounded, or less.
type Growth struct {
	Records, Tombstones, Clients int
	StoreBytes                   int // of keys, and of values that stay for a day at least
}

// Growth is what the change adds. What goes along with a client that is purged is not in it.
func (c *Change) Growth() Growth { return growth(c.Edits) }

// Growth is what this change adds so far.
func (tx *Tx) Growth() Growth { return growth(tx.edits) }

func growth(edits []Edit) (g Growth) {
	for i := range edits {
		e := &edits[i]
		g.Records += e.adds
		g.Tombstones += e.tombs
		g.Clients += e.clients
		g.StoreBytes += e.stays
	}
	return g
}

// tombs is by how many tombstones it will be more when r takes the place of old.
func tombs(old, r *Record) (n int) {
	if r.Revoked {
		n++
	}
	if old != nil && old.Revoked {
		n--
	}
	return n
}

// adds is by how many records it will be more when r takes the place of old, and
// what its vault does not keep any more has gone.
func (tx *Tx) adds(p Place, old, r *Record) (n int) {
	if !r.Revoked {
		n++
	}
	if old != nil && !old.Revoked {
		n--
	}
	if r.Counter && p.VaultName != nil && r.Number == tx.next(p) {
		if first := tx.floor(p); floor(r.Number+1, tx.keeps(p)) > first {
			if gone := tx.latest(p.Version(first)); gone != nil && !gone.Revoked {
				n--
			}
		}
	}
	return n
}
