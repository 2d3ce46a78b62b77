package vault

import "fmt"

// Limits are what a DB takes in. A field that is 0 stands for its default. What a
// file holds already stays and is used, whatever they say.
type Limits struct {
	RecordBytes int // of a record's secret; [MaxSecret]
	Records     int // in all vaults together, without those that were revoked; [DefaultRecords]
	PathBytes   int // of a path as people write it, client/vault/record or client/key; [MaxPath]
	StoreBytes  int // of the keys and values of a client's store; [DefaultStoreBytes]
	StoreValues int // of a client's store; [DefaultStoreValues]
}

// Defaults of [Limits].
const (
	DefaultRecords     = 2_000_000
	DefaultStoreBytes  = 64 << 20
	DefaultStoreValues = 1 << 20

	MaxPath = 3*MaxName + 2
)

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		limit *int
		is    int
	}{{&l.RecordBytes, MaxSecret}, {&l.Records, DefaultRecords}, {&l.PathBytes, MaxPath},
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

// hasRoom says whether there may be so many more records.
func (tx *Tx) hasRoom(more int) error {
	if most := tx.db.limits.Records; more > 0 && tx.db.live+tx.db.ahead.live+tx.own().live+more > most {
		return &LimitError{What: "records", Limit: most, full: true}
	}
	return nil
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
