package snapshot

import (
	"cmp"
	"errors"
	"io"
	"maps"

	"github.com/stronghold-go/stronghold/vault"
)

// section is a client's block in a file, as the index says.
type section struct {
	id   vault.ID
	name []byte // sealed; nil when it is not known
	salt [saltSize]byte
	size int64 // of its STREAM
	at   int64 // where its block begins
}

// body is how long the block is behind its head.
func (s *section) body() int64 { return saltSize + s.size }

// Rest is what a file has of the clients that are not loaded: their sections, and what
// the journal has of them.
type Rest struct {
	File io.ReadSeeker // the file, as far as it is durable
	// Copy has a part of the file follow what [Write] has written so far. Only that needs it.
	Copy func(at, size int64) error

	journal *Journal
	touched map[vault.ID]bool // as it was
	changes map[vault.ID][]*vault.Change
}

// Rest is what the journal's file has now. The journal goes on; who uses the Rest does
// not wait for that.
func (j *Journal) Rest() *Rest { return &Rest{journal: j, touched: maps.Clone(j.touched)} }

// errNotThere is for a client that the file should have.
var errNotThere = errors.New("snapshot: internal error: the client is not in the file")

// Load reads clients into a DB of their own. Errors are those of [Read].
func (r *Rest) Load(ids []vault.ID) (*vault.DB, error) {
	some := map[vault.ID]bool{}
	for _, id := range ids {
		some[id] = true
	}
	if err := r.collect(some, ^uint64(0)); err != nil {
		return nil, err
	}
	db, done, err := r.newDB()
	if err != nil {
		return nil, err
	}
	defer done()
	for _, id := range ids {
		if err := r.load(db, id); err != nil {
			return nil, err
		}
	}
	return db, nil
}

func (r *Rest) newDB() (db *vault.DB, done func(), err error) {
	records, err := r.journal.keys.Records()
	if err != nil {
		return nil, nil, err
	}
	return vault.New(r.journal.keys.arena, records, [8]byte{}), records.Destroy, nil
}

// collect finds what the journal has of these clients, up to a change.
func (r *Rest) collect(clients map[vault.ID]bool, until uint64) error {
	r.changes = map[vault.ID][]*vault.Change{}
	some := false
	for id := range clients {
		some = some || r.touched[id]
	}
	if !some {
		return nil
	}
	in := newBlocks(r.File)
	if err := in.seek(r.journal.base); err != nil {
		return err
	}
	replay := replayer{keys: r.journal.keys, file: r.journal.file, last: r.journal.first}
	defer replay.close()
	replay.each = func(e *entry) error {
		for i := range e.parts {
			id := e.parts[i].client
			if !clients[id] || e.sequence > until {
				continue
			}
			edits, err := replay.edits(e, i)
			if err != nil {
				return err
			}
			r.changes[id] = append(r.changes[id], &vault.Change{Sequence: e.sequence, Edits: edits})
		}
		return nil
	}
	if recovered, err := replay.read(in); err != nil || recovered {
		return in.explain(cmp.Or(err, errMalformed))
	}
	return nil
}

// load reads a client into db, with what collect has found of it.
func (r *Rest) load(db *vault.DB, id vault.ID) error {
	changes := r.changes[id]
	sec, there := r.journal.sections[id]
	if !there && len(changes) == 0 {
		return errNotThere
	}
	if there {
		in := newBlocks(r.File)
		if err := readSection(in, r.journal.keys, db, &sec); err != nil {
			return in.explain(err)
		}
	}
	for _, c := range changes {
		db.Resume(c.Sequence - 1)
		if err := db.Apply(c); err != nil {
			return err
		}
	}
	return nil
}

// asIs says whether a client's section is all there is of it, and can be copied.
func (r *Rest) asIs(id vault.ID, k *Keys) (section, bool) {
	sec, there := r.journal.sections[id]
	return sec, there && !r.touched[id] && r.journal.keys == k
}

// view is a client as a view would have it if it were loaded.
func (r *Rest) view(id vault.ID) (*vault.ClientView, error) {
	db, done, err := r.newDB()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := r.load(db, id); err != nil {
		return nil, err
	}
	db.Sweep()
	clients := db.Freeze().Clients
	if len(clients) != 1 || clients[0].ID != id {
		return nil, errNotThere
	}
	return &clients[0], nil
}
