package engine

import (
	"fmt"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/snapshot/rust"
	"github.com/stronghold-go/stronghold/vault"
)

// formatRust is the only other format that is written: version 3.0 of the Rust Stronghold.
const formatRust = "stronghold-3"

// defaultExportCost is the work factor that the Rust program writes.
const defaultExportCost = 19

// giveOut gives the committed state as a file for the Rust Stronghold. It is
// asked for with a passphrase that opens the snapshot, tested here anew, and
// sealed together with the password that the file gets: who carries the request
// can exchange neither.
func (e *Engine) giveOut(req *protocol.Request) (*protocol.Response, error) {
	if req.Format != formatRust {
		return nil, &procedures.InputError{Field: "format", Reason: "must be " + formatRust}
	}
	if req.Offset > 0 {
		return e.going.give(req)
	}
	cost := int(req.Cost)
	if cost == 0 {
		cost = defaultExportCost
	}
	if cost < snapshot.MinCost || cost > snapshot.MaxCost {
		return nil, &procedures.InputError{Field: "cost", Reason: fmt.Sprintf("must be %d to %d", snapshot.MinCost, snapshot.MaxCost)}
	}
	if req.Secret == nil {
		return nil, &procedures.InputError{Field: "secret", Reason: "missing"}
	}
	proof, password, wipe, err := e.unsealPair(req)
	if err != nil {
		return nil, err
	}
	defer wipe()
	if len(password) == 0 {
		return nil, &procedures.InputError{Field: "secret", Reason: "the new password is empty"}
	}
	job := &protocol.Job{Header: e.state.Header.Encode(), Key: proof, ForeignKey: &protocol.ForeignKey{Password: password, Cost: uint32(cost)}}
	return e.hash(req, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		return e.proved(h, func() (*protocol.Response, error) {
			e.state.DB.Sweep()
			state, err := e.plain()
			defer state.Wipe()
			if err != nil {
				return nil, err
			}
			file, err := rust.EncodeUnder(state, h.FileKey, h.Header)
			if err != nil {
				return nil, err
			}
			e.going.begin(req.Id, file)
			return e.going.give(req)
		})
	})
}

// plain opens every record onto the Go heap, since the file is sealed as one
// block. The caller wipes the state, also along with an error.
func (e *Engine) plain() (*rust.State, error) {
	out := new(rust.State)
	size := 0
	grow := func(n int) error {
		if size += n + 256; size > maxForeign { // what goes out can come in
			return errFull
		}
		return nil
	}
	view := e.state.DB.Freeze()
	for i := range view.Clients {
		cv := &view.Clients[i]
		out.Clients = append(out.Clients, rust.Client{ID: rust.ID(cv.ID)})
		c := &out.Clients[len(out.Clients)-1]
		for _, vv := range cv.Vaults {
			c.Vaults = append(c.Vaults, rust.Vault{ID: rust.ID(vv.ID)})
			v := &c.Vaults[len(c.Vaults)-1]
			for r := range vv.Records {
				if err := grow(len(r.Sealed)); err != nil {
					return out, err
				}
				record := rust.Record{ID: rust.ID(r.ID), Hint: r.Hint, Revoked: r.Revoked}
				if !r.Revoked {
					err := e.state.DB.LendRecord(r, cv.ID, vv.ID, func(secret []byte) error {
						record.Secret = append(rust.Secret{}, procedures.Plain(r.Kind, secret)...)
						return nil
					})
					if err != nil {
						return out, err
					}
				}
				v.Records = append(v.Records, record)
			}
		}
		_, items := cv.Items()
		for it := range items {
			if err := grow(len(it.Key) + len(it.Value)); err != nil {
				return out, err
			}
			// A value rests in the clear here and the state is wiped: it gets a copy.
			entry := rust.Entry{Key: it.Key, Value: append([]byte{}, it.Value...)}
			if it.Expires != 0 {
				entry.Expires = time.UnixMilli(it.Expires)
			}
			c.Store = append(c.Store, entry)
		}
	}
	return out, nil
}

// retype says what an imported record is.
func (e *Engine) retype(req *protocol.Request) (*protocol.Response, error) {
	kind, err := procedures.KindOf(req.Kind)
	if err != nil {
		return nil, err
	}
	at := place(req.Location)
	var was *vault.Record
	var made *procedures.Made
	err = e.state.DB.Lend(at, func(r *vault.Record, secret []byte) (err error) {
		was = r
		destroy(made) // of a record that was replaced meanwhile
		made, err = procedures.Retype(e.arena, r.Kind, secret, kind)
		return err
	})
	defer func() { destroy(made) }()
	if err != nil {
		return nil, err
	}
	if at.Head {
		at = at.Version(was.Number) // the head of a write is the next one
	}
	resp := &protocol.Response{Kind: procedures.KindName(made.Kind), PublicKey: made.Public}
	return resp, made.Secret.Use(func(b []byte) error {
		v := vault.Value{Kind: made.Kind, Flags: was.Flags | procedures.Uses(made.Kind), Hint: was.Hint, Secret: b}
		return e.change(resp, func(tx *vault.Tx) error {
			if now, err := tx.Stat(at); err != nil || now.Changed != was.Changed || now.Kind != was.Kind {
				return errBusy // it was changed meanwhile
			}
			_, err := tx.Put(at, v, true)
			return err
		})
	})
}
