package engine

import (
	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

func (e *Engine) createClient(req *protocol.Request) (*protocol.Response, error) {
	p := place(req.Location)
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error {
		return tx.CreateClient(vault.Place{Client: p.Client, ClientName: p.ClientName})
	})
}

// purgeClient takes a client away. What its session's store has goes when that is
// committed.
func (e *Engine) purgeClient(req *protocol.Request) (*protocol.Response, error) {
	id := place(req.Location).Client
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error { return tx.PurgeClient(id) })
}

// dropSession takes away what a client's session has.
func (e *Engine) dropSession(id vault.ID) error {
	c, err := e.session.Stage(func(tx *vault.Tx) error { return tx.PurgeClient(id) })
	if err != nil {
		return nil // it had none
	}
	return e.session.Commit(c.Sequence)
}

func (e *Engine) listClients(req *protocol.Request) (*protocol.Response, error) {
	limit := limitOf(req)
	var after vault.ID
	if n := len(req.After); n != 0 && n != len(after) {
		return nil, &procedures.InputError{Field: "after", Reason: "not a cursor"}
	}
	copy(after[:], req.After)
	page, more, err := e.state.DB.Clients(after, limit)
	if err != nil {
		return nil, err
	}
	resp := new(protocol.Response)
	for _, c := range page {
		l := &protocol.Location{Client: c.Place.ClientName}
		if l.Client == nil {
			l.ClientId = c.Place.Client[:]
		}
		resp.Clients = append(resp.Clients, &protocol.ClientInfo{Location: l, Vaults: uint64(c.Vaults), Records: uint64(c.Records),
			Values: uint64(c.Values), ValueBytes: uint64(c.Bytes), Unloaded: c.Away})
	}
	if more {
		resp.Next = page[len(page)-1].Place.Client[:]
	}
	return resp, nil
}

// collect overwrites the ciphertext of what was revoked and replaced.
func (e *Engine) collect() (*protocol.Response, error) {
	e.state.DB.Collect()
	return new(protocol.Response), nil
}
