package vault

// Listed is one record of a listing: where it lies, and what may be told of it.
type Listed struct {
	Place  Place
	Record *Record
}

// Cursor is where a page ends: the ids of the last record that was looked at.
// The zero cursor is the beginning.
type Cursor [3]ID

// Query says what a listing is about.
type Query struct {
	Client, Vault *ID     // what lies in these; nil: in any. No vault without a client
	Hint          []byte  // records with this hint; nil: with any
	Within        []Reach // what lies in one of these; nil: anywhere
	Except        []Reach // and in none of these
	After         Cursor
	Limit         int // of the page
}

// Page is a part of a listing.
type Page struct {
	Records []Listed
	Next    Cursor // where the next page begins, if there is more
	More    bool   // there may be more: the page is full, or enough was looked at
	Left    int    // of [MaxLooks]
}

// What a walk may look at for a page, beside what is on it. To look at a record, or for
// one that is not there, is one look; to open a name takes as long as sixteen.
const (
	MaxLooks = 4096
	opening  = 16
	stride   = 1024 // looks, before writers are let through
	batch    = 64   // records whose names are opened, before others are let through
)

// List returns the records that q is about, in the order of their ids. It goes where these can be:
// what rules name is looked up, and what they hide is not gone through where their segments say so. It looks at so
// much for one page and no more: the next one goes on there. Tombstones are left out,
// and so are clients that are not loaded.
func (db *DB) List(q *Query) (*Page, error) {
	w := &walk{db: db, q: q, at: q.After, page: &Page{Left: MaxLooks}}
	w.clients(rulesOf(q.Within), rulesOf(q.Except))
	if w.err != nil {
		return nil, w.err
	}
	w.page.Next = w.at
	return w.page, nil
}

// Spend takes as long as so many looks do.
func (db *DB) Spend(looks int) error {
	if looks < opening {
		return nil
	}
	sealed, err := db.sealName(Place{}, clientName, []byte("as long as names are"))
	for ; err == nil && looks >= opening; looks -= opening {
		_, err = db.openName(Place{}, clientName, sealed)
	}
	return err
}
