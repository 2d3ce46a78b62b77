package engine

import (
	"runtime/debug"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// loading are clients on their way in.
type loading struct {
	*exchange
	db *vault.DB
}

// load loads clients of the present file: the node sees to it that no other takes its place meanwhile.
func (e *Engine) load(req *protocol.Request) (*protocol.Response, error) {
	e.folds.Lock()
	defer e.folds.Unlock()
	if !req.More {
		e.giveUp()
		ids, err := e.away(req.Within)
		if err != nil || len(ids) == 0 {
			return new(protocol.Response), err
		}
		e.lockJournal()
		rest := e.state.Journal.Rest()
		e.journal.Unlock()
		l := new(loading)
		l.exchange = converse(part{}, func(x *exchange) (err error) {
			rest.File = x
			l.db, err = rest.Load(ids)
			return err
		})
		e.loading = l
	}
	l := e.loading
	if l == nil {
		return nil, errBusy
	}
	next, err := l.goOn(req.Snapshot)
	if err == nil && !next.last {
		return &protocol.Response{Wanted: next.wanted}, nil
	}
	e.loading = nil
	if err != nil {
		return nil, err
	}
	e.state.DB.Take(l.db)
	e.awaitExpiry()
	e.frugal()
	if l.read >= muchRead {
		debug.FreeOSMemory() // reading it took as much again
	}
	return new(protocol.Response), nil
}

// muchRead is how many bytes are worth a collection.
const muchRead = 16 << 20

// away are those of the clients at these places that are not loaded, of all if none are named.
func (e *Engine) away(places []*protocol.Location) (ids []vault.ID, err error) {
	if len(places) == 0 {
		return e.state.DB.AwayIDs(), nil
	}
	for _, l := range places {
		id := place(l).Client
		switch {
		case !e.state.DB.HasClient(id):
			return nil, vault.ErrNotFound
		case e.state.DB.IsAway(id):
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// giveUp drops what was not brought to its end, a file or clients: the node does one of these
// at a time. e.folds is held.
func (e *Engine) giveUp() {
	if e.loading != nil {
		e.loading.close()
		e.loading = nil
	}
	if e.folding != nil {
		e.folding.close()
		e.setFolding(nil)
	}
}

// unload drops what a client holds, in its session's store too.
func (e *Engine) unload(req *protocol.Request) (*protocol.Response, error) {
	e.folds.Lock()
	defer e.folds.Unlock()
	e.giveUp()
	id := place(req.Location).Client
	switch err := e.state.DB.Unload(id); err {
	case nil:
		return new(protocol.Response), e.dropSession(id)
	case vault.ErrNotLoaded:
		return new(protocol.Response), nil
	default:
		return nil, err
	}
}

// loaded answers for a client that the node has had loaded before, and gives it another path if
// one is asked for.
func (e *Engine) loaded(req *protocol.Request) (*protocol.Response, error) {
	resp := new(protocol.Response)
	if req.Location == nil {
		if req.Target != nil {
			return nil, &procedures.InputError{Field: "target", Reason: "of which client? location is missing"}
		}
		if e.state.DB.Away() > 0 {
			return nil, vault.ErrNotLoaded
		}
		return resp, nil
	}
	from := place(req.Location)
	if req.Target == nil {
		switch {
		case !e.state.DB.HasClient(from.Client):
			return nil, vault.ErrNotFound
		case e.state.DB.IsAway(from.Client):
			return nil, vault.ErrNotLoaded
		}
		return resp, nil
	}
	to := place(req.Target)
	return resp, e.change(req, resp, func(tx *vault.Tx) error {
		return tx.Rename(vault.Place{Client: from.Client}, vault.Place{Client: to.Client, ClientName: to.ClientName})
	})
}
