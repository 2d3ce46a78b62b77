package engine

import (
	"errors"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

func (e *Engine) sign(req *protocol.Request) (*protocol.Response, error) {
	resp := new(protocol.Response)
	return resp, e.lend(of(req.Location), vault.Sign, func(r *vault.Record, secret []byte) (err error) {
		resp.Signature, err = procedures.Ed25519Sign(e.arena, r.Kind, secret, req.Message)
		return err
	})
}

func (e *Engine) public(req *protocol.Request) (*protocol.Response, error) {
	resp := new(protocol.Response)
	return resp, e.state.DB.Lend(place(req.Location), func(r *vault.Record, secret []byte) (err error) {
		resp.Kind = procedures.KindName(r.Kind)
		resp.PublicKey, err = procedures.PublicKey(r.Kind, secret)
		return err
	})
}

// brought is what a request makes of itself alone, and brings to the state.
type brought struct {
	*procedures.Made
	flags  vault.Flags
	sealed []byte // for the asker; nil: nothing is
}

// makes is what makes it, for an operation that brings something. It is called while
// nobody waits: it may take long, and depends on nothing that may change.
func (e *Engine) makes(operation string) func(*protocol.Request) (brought, error) {
	switch operation {
	case "bip39.generate":
		return e.generateMnemonic
	case "bip39.recover":
		return e.recoverMnemonic
	case "key.generate":
		return e.generate
	case "key.import", "record.write":
		return e.write
	case "slip10.generate":
		return e.generateSeed
	}
	return nil
}

// bring stores what a request has made.
func (e *Engine) bring(req *protocol.Request, b brought, err error) (*protocol.Response, error) {
	resp, err := e.keep(req, req.Location, b.Made, b.flags, err)
	if err == nil {
		resp.Sealed = b.sealed
	}
	return resp, err
}

func (e *Engine) generate(req *protocol.Request) (b brought, err error) {
	kind, err := procedures.KindOf(req.Kind)
	if err != nil {
		return b, err
	}
	b.Made, err = procedures.GenerateKey(e.arena, kind)
	return b, err
}

func (e *Engine) write(req *protocol.Request) (b brought, err error) {
	kind, err := procedures.KindOf(req.Kind)
	if err != nil {
		return b, err
	}
	raw, err := e.unseal(req)
	if err != nil {
		return b, err
	}
	defer memory.Wipe(raw)
	b.flags = vault.FromOutside
	b.Made, err = procedures.Import(e.arena, kind, raw)
	return b, err
}

// source is a record that something is made of.
type source struct {
	place   vault.Place
	changed vault.Stamp // of the record that was lent
}

func of(l *protocol.Location) *source { return &source{place: place(l)} }

// lend is DB.Lend for a record that may be used so. s is then where it lies, no
// head any more, and which record it was.
func (e *Engine) lend(s *source, use vault.Flags, f func(r *vault.Record, secret []byte) error) error {
	return e.state.DB.Lend(s.place, func(r *vault.Record, secret []byte) error {
		if err := procedures.Permit(r.Kind, r.Flags, use); err != nil {
			return err
		}
		if s.place.Head {
			s.place = s.place.Version(r.Number)
		}
		s.changed = r.Changed
		return f(r, secret)
	})
}

// stands says whether what was made of s may be kept: it is there as it was.
func (s *source) stands(tx *vault.Tx) error {
	r, err := tx.Stat(s.place)
	switch {
	case err != nil:
		return err
	case r.Flags&vault.Disabled != 0:
		return vault.ErrDisabled
	case r.Changed != s.changed:
		return errBusy // it was changed meanwhile
	}
	return nil
}

// keep stores what a procedure made, if it did not fail, and destroys its copy. What
// it was made of must be there as it was when that takes its place.
func (e *Engine) keep(req *protocol.Request, at *protocol.Location, m *procedures.Made, flags vault.Flags, err error, of ...*source) (*protocol.Response, error) {
	defer destroy(m)
	if err != nil {
		return nil, err
	}
	asked, err := procedures.FlagsOf(m.Kind, req.Flags)
	if err != nil {
		return nil, err
	}
	flags |= asked
	resp := newResponse()
	resp.Kind, resp.PublicKey = procedures.KindName(m.Kind), m.Public
	err = m.Secret.Use(func(b []byte) error {
		v := vault.Value{Kind: m.Kind, Flags: flags, Hint: req.Hint, Secret: b}
		return e.change(req, resp, func(tx *vault.Tx) error {
			for _, s := range of {
				if err := s.stands(tx); err != nil {
					return err
				}
			}
			p, err := tx.Put(place(at), v, req.Overwrite)
			if p.Counter {
				resp.Version = &p.Number
			}
			return err
		})
	})
	return resp, err
}

// destroy is for what a procedure made, if it did.
func destroy(m *procedures.Made) {
	if m != nil {
		m.Secret.Destroy()
	}
}

func (e *Engine) revoke(req *protocol.Request) (*protocol.Response, error) {
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error { return tx.Revoke(place(req.Location)) })
}

func (e *Engine) exists(req *protocol.Request) (*protocol.Response, error) {
	_, err := e.state.DB.Stat(place(req.Location))
	if err != nil && !errors.Is(err, vault.ErrNotFound) {
		return nil, err
	}
	return &protocol.Response{Exists: err == nil}, nil
}
