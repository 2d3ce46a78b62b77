package engine

import (
	"bytes"
	"io"
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

// giveOut gives the committed state as one file: of our own format, or for the Rust
// Stronghold. What it is to be is sealed together with a key that opens the
// snapshot: who carries the request can exchange nothing of it.
func (e *Engine) giveOut(req *protocol.Request) (*protocol.Response, error) {
	if req.Offset > 0 {
		return e.going.give(req)
	}
	p, err := e.proof(req, "new_key", "cost", "format")
	if err != nil {
		return nil, err
	}
	defer wipeProof(p)
	switch p.Format {
	case "":
		return e.giveCopy(req, p)
	case formatRust:
		return e.giveForeign(req, p)
	}
	return nil, &procedures.InputError{Field: "secret", Reason: "format: must be empty or " + formatRust}
}

// giveCopy gives a folded file of our own format. With a new key it is one of its
// own: that key opens it, under a root key that no other file has. Without, the
// slots of the snapshot open it.
func (e *Engine) giveCopy(req *protocol.Request, p *protocol.Proof) (*protocol.Response, error) {
	job := new(protocol.Job)
	if p.NewKey != nil {
		job.NewKey = &protocol.NewKey{Key: p.NewKey, Cost: p.Cost}
	}
	return e.prove(req, p, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		keys, header := e.inForce()
		var err error
		if job.NewKey == nil {
			keys, err = keys.Copy()
		} else if header, _, err = new(snapshot.Header).With(slotOf(h)); err == nil {
			keys, header, err = renewed(keys, header)
		}
		if err != nil {
			return nil, err
		}
		e.state.DB.Sweep()
		view := e.state.DB.Freeze()
		if e.state.DB.Away() > 0 {
			keys.Destroy()
			return nil, vault.ErrNotLoaded
		}
		r, w := io.Pipe()
		go func() {
			defer keys.Destroy()
			journal, err := snapshot.Write(w, keys, header, view, nil)
			if err == nil {
				journal.Close()
			}
			w.CloseWithError(err)
		}()
		e.going.begin(req.Id, r)
		return e.going.give(req)
	})
}

func (e *Engine) giveForeign(req *protocol.Request, p *protocol.Proof) (*protocol.Response, error) {
	if p.NewKey == nil {
		return nil, &procedures.InputError{Field: "secret", Reason: "the proof has no new_key, which is the password of the new file"}
	}
	cost := p.Cost
	if cost == 0 {
		cost = defaultExportCost
	}
	job := &protocol.Job{ForeignKey: &protocol.ForeignKey{Password: p.NewKey, Cost: cost}}
	return e.prove(req, p, job, func(h *protocol.Hashed) (*protocol.Response, error) {
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
		e.going.begin(req.Id, io.NopCloser(bytes.NewReader(file)))
		return e.going.give(req)
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
	if e.state.DB.Away() > 0 {
		return out, vault.ErrNotLoaded
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
		made = nil
		if req.Untyped && r.Kind != vault.Untyped {
			return procedures.ErrKind
		}
		made, err = procedures.Retype(e.arena, r.Kind, secret, kind, req.Overwrite)
		return err
	})
	defer func() { destroy(made) }()
	if err != nil {
		return nil, err
	}
	if at.Head {
		at = at.Version(was.Number) // the head of a write is the next one
	}
	resp := &protocol.Response{Kind: procedures.KindName(made.Kind)}
	return resp, made.Secret.Use(func(b []byte) error {
		v := vault.Value{Kind: made.Kind, Flags: was.Flags | procedures.Uses(made.Kind), Hint: was.Hint, Secret: b}
		return e.change(req, resp, func(tx *vault.Tx) error {
			if now, err := tx.Stat(at); err != nil || now.Changed != was.Changed || now.Kind != was.Kind {
				return errBusy // it was changed meanwhile
			}
			_, err := tx.Put(at, v, true)
			return err
		})
	})
}
