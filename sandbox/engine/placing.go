package engine

import (
	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// place copies a record or moves it.
func (e *Engine) place(req *protocol.Request) (*protocol.Response, error) {
	from, to := place(req.Location), place(req.Target)
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error {
		put := tx.Copy
		if req.Operation == "record.move" {
			put = tx.Move
		}
		r, at, err := put(from, to, req.Overwrite)
		if err != nil {
			return err
		}
		resp.Kind = procedures.KindName(r.Kind)
		if at.Counter {
			resp.Version = &at.Number
		}
		return nil
	})
}

func (e *Engine) disable(req *protocol.Request) (*protocol.Response, error) {
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error {
		return tx.Disable(place(req.Location), req.Operation == "record.disable")
	})
}

// stat tells of one record what there is to tell.
func (e *Engine) stat(req *protocol.Request) (*protocol.Response, error) {
	r, err := e.state.DB.Stat(place(req.Location))
	if err != nil {
		return nil, err
	}
	at := req.Location
	if at.Head {
		at = &protocol.Location{Client: at.Client, ClientId: at.ClientId, Vault: at.Vault, Version: &r.Number}
	}
	told := entry(at, r)
	told.Created, told.Changed = stamp(r.Created), stamp(r.Changed)
	return &protocol.Response{Entries: []*protocol.Entry{told}}, nil
}

// entry is what a listing tells of a record.
func entry(at *protocol.Location, r *vault.Record) *protocol.Entry {
	return &protocol.Entry{Location: at, Kind: procedures.KindName(r.Kind), Flags: procedures.FlagNames(r.Flags), Hint: r.Hint,
		CreatedMs: uint64(r.Created.UnixMilli), ChangedMs: uint64(r.Changed.UnixMilli)}
}

func stamp(s vault.Stamp) *protocol.Stamp {
	return &protocol.Stamp{Ms: uint64(s.UnixMilli), Device: s.Device[:], Sequence: s.Sequence}
}

// wrap gives a key out, wrapped under another.
func (e *Engine) wrap(req *protocol.Request) (*protocol.Response, error) {
	resp := new(protocol.Response)
	return resp, e.lend(of(req.Location), vault.MayWrapOthers, func(under *vault.Record, kek []byte) error {
		return e.state.DB.Lend(place(req.Target), func(r *vault.Record, secret []byte) (err error) {
			if err := procedures.MayWrap(under.Kind, under.Flags, r.Kind, r.Flags); err != nil {
				return err
			}
			resp.Kind = procedures.KindName(r.Kind)
			resp.Wrapped, err = procedures.AESWrap(kek, r.Kind, secret)
			return err
		})
	})
}

// unwrap takes a wrapped key in. Whoever wrapped it has had it: it is from outside.
func (e *Engine) unwrap(req *protocol.Request) (*protocol.Response, error) {
	kind, err := procedures.KindOf(req.Kind)
	if err != nil {
		return nil, err
	}
	var made *procedures.Made
	kek := of(req.Location)
	err = e.lend(kek, vault.MayWrapOthers, func(_ *vault.Record, secret []byte) (err error) {
		destroy(made) // of a key that was replaced meanwhile
		made, err = procedures.AESUnwrap(e.arena, secret, req.Wrapped, kind)
		return err
	})
	return e.keep(req, req.Target, made, vault.FromOutside, err, kek)
}
