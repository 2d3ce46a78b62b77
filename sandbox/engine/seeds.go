package engine

import (
	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

func (e *Engine) generateSeed(req *protocol.Request) (b brought, err error) {
	b.Made, err = procedures.GenerateSeed(e.arena, int(req.Size))
	return b, err
}

// derive makes the target of what the location holds. Who knows the one knows
// the other: the target is from outside if the location is, and may leave only
// if the location may.
func (e *Engine) derive(req *protocol.Request) (*protocol.Response, error) {
	target := vault.Ed25519
	if req.Kind != "" {
		var err error
		if target, err = procedures.KindOf(req.Kind); err != nil {
			return nil, err
		}
	}
	var made *procedures.Made
	var flags vault.Flags
	from := of(req.Location)
	err := e.lend(from, vault.Derive, func(r *vault.Record, secret []byte) (err error) {
		asked, err := procedures.FlagsOf(target, req.Flags)
		if err != nil {
			return err
		}
		if asked&procedures.Leaving&^r.Flags != 0 {
			return &procedures.InputError{Field: "flags", Reason: "what it is derived from may not leave so"}
		}
		flags = r.Flags & vault.FromOutside
		destroy(made) // of a record that was replaced meanwhile
		made, err = procedures.Derive(e.arena, r.Kind, secret, req.Path, target)
		return err
	})
	return e.keep(req, req.Target, made, flags, err, from)
}

func (e *Engine) generateMnemonic(req *protocol.Request) (b brought, err error) {
	passphrase, err := e.passphrase(req)
	if err != nil {
		return b, err
	}
	defer memory.Wipe(passphrase)
	made, words, err := procedures.GenerateMnemonic(e.arena, req.Language, int(req.Size), passphrase)
	if err != nil {
		return b, err
	}
	defer words.Destroy()
	// Sealed before it is stored: nobody shall have a seed whose words are lost.
	err = words.Use(func(text []byte) (err error) {
		memory.Erase(func() { b.sealed, err = protocol.Seal(req.ReplyKey, req, "reply_key", protocol.ToAsker, text) })
		return err
	})
	if err != nil {
		made.Secret.Destroy()
		return b, &procedures.InputError{Field: "reply_key", Reason: "not an X25519 public key"}
	}
	b.Made, b.flags = made, vault.FromOutside // it was shown to a person: it is known outside
	return b, nil
}

func (e *Engine) recoverMnemonic(req *protocol.Request) (b brought, err error) {
	words, err := e.unseal(req)
	if err != nil {
		return b, err
	}
	defer memory.Wipe(words)
	passphrase, err := e.passphrase(req)
	if err != nil {
		return b, err
	}
	defer memory.Wipe(passphrase)
	b.flags = vault.FromOutside
	b.Made, err = procedures.RecoverMnemonic(e.arena, req.Language, words, passphrase)
	return b, err
}

// passphrase opens the passphrase of a mnemonic; the empty one if there is none.
func (e *Engine) passphrase(req *protocol.Request) ([]byte, error) {
	if req.Passphrase == nil {
		return nil, nil
	}
	return e.unsealField(req, "passphrase", req.Passphrase)
}
