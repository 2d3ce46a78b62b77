// Package procedures computes with lent secrets: one function an operation.
//
// A procedure gets a record's secret for as long as it runs and gives back what
// may be told, or fills guarded memory with what is to be kept. It refuses a
// record whose kind does not fit. Whoever calls it runs it inside memory.Erase,
// as vault.DB.Lend does.
package procedures

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// ErrKind means that a record's kind does not fit the operation.
var ErrKind = errors.New("procedures: the record's kind does not fit")

// InputError means that an input of the operation is wrong.
type InputError struct {
	Field, Reason string // of the request; never its value
}

func (e *InputError) Error() string { return fmt.Sprintf("procedures: %s: %s", e.Field, e.Reason) }

// The names of the kinds, on the wire and in the vault.
var kindNames = map[vault.Kind]string{
	vault.AES256:   protocol.AES256,
	vault.Data:     protocol.Data,
	vault.Ed25519:  protocol.Ed25519,
	vault.Extended: protocol.Extended,
	vault.Mnemonic: protocol.Mnemonic,
	vault.Seed:     protocol.Seed,
}

// KindName is what people call a kind; "untyped" if nobody has said what it is.
func KindName(k vault.Kind) string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return "untyped"
}

// KindOf is the kind of this name.
func KindOf(name string) (vault.Kind, error) {
	for k, n := range kindNames {
		if n == name {
			return k, nil
		}
	}
	return 0, &InputError{"kind", "unknown kind"}
}

// Made is what a procedure made to be stored.
type Made struct {
	Kind   vault.Kind
	Secret *memory.Secret // the caller's to destroy
	Public []byte         // of a key; nil for what has no public half
}

// fillSecret fills a new secret of n bytes. If fill fails there is none.
func fillSecret(arena *memory.Arena, kind vault.Kind, n int, fill func(b []byte) (public []byte, err error)) (*Made, error) {
	secret, err := arena.New(n)
	if err != nil {
		return nil, err
	}
	m := &Made{Kind: kind, Secret: secret}
	memory.Erase(func() {
		err = secret.Use(func(b []byte) error {
			m.Public, err = fill(b)
			return err
		})
	})
	if err != nil {
		secret.Destroy()
		return nil, err
	}
	return m, nil
}

// Import makes a record of the kind from raw bytes that somebody brought: for
// Ed25519 the 32-byte seed, for Seed 16 to 64 bytes, for Extended private key ‖
// chain code, for AES256 32 bytes, for Data up to 64 KiB. The caller wipes raw. A mnemonic comes by
// [RecoverMnemonic].
func Import(arena *memory.Arena, kind vault.Kind, raw []byte) (*Made, error) {
	short := func(what string) error { return &InputError{"secret", "must be " + what} }
	switch kind {
	case vault.Ed25519:
		if len(raw) != ed25519Seed {
			return nil, short("32 bytes")
		}
		return ed25519Key(arena, func(seed []byte) error { copy(seed, raw); return nil })
	case vault.Seed:
		if len(raw) < MinSeed || len(raw) > MaxSeed {
			return nil, short(fmt.Sprintf("%d to %d bytes", MinSeed, MaxSeed))
		}
	case vault.Extended:
		if len(raw) != primitive.ExtendedKeySize {
			return nil, short("64 bytes")
		}
	case vault.AES256:
		if len(raw) != AES256KeySize {
			return nil, short("32 bytes")
		}
	case vault.Data:
		if len(raw) == 0 {
			return nil, short("at least one byte")
		}
	default:
		return nil, &InputError{"kind", "records of this kind are not written as raw bytes"}
	}
	return fillSecret(arena, kind, len(raw), func(b []byte) ([]byte, error) { copy(b, raw); return nil, nil })
}

// ErrLoses means that a record would lose bytes that nobody could make again.
var ErrLoses = errors.New("procedures: the record has more bytes than its kind keeps")

// Retype makes a record of the kind from an untyped one, or from one of any
// bytes: what it is was known to the program that wrote it, and to nobody here.
// The bytes must fit, as in [Import]. An Ed25519 key takes the first 32, as the
// Rust Stronghold did. It is [ErrLoses] if there are others than its public half,
// unless lose says that they may go.
func Retype(arena *memory.Arena, is vault.Kind, secret []byte, kind vault.Kind, lose bool) (*Made, error) {
	if is != vault.Untyped && is != vault.Data {
		return nil, ErrKind
	}
	var rest []byte
	if kind == vault.Ed25519 && len(secret) > ed25519Seed {
		secret, rest = secret[:ed25519Seed], secret[ed25519Seed:]
	}
	m, err := Import(arena, kind, secret)
	var input *InputError
	if errors.As(err, &input) && input.Field == "secret" {
		err = &InputError{"kind", "the record does not fit: it " + input.Reason}
	}
	if err == nil && len(rest) > 0 && !lose && subtle.ConstantTimeCompare(rest, m.Public) == 0 {
		m.Secret.Destroy()
		return nil, ErrLoses
	}
	return m, err
}

// Plain is what the Rust Stronghold would hold in place of this record: of an
// Ed25519 key the seed, of a mnemonic the seed that was made of it.
func Plain(kind vault.Kind, secret []byte) []byte {
	switch {
	case kind == vault.Ed25519 && len(secret) == ed25519Record:
		return secret[:ed25519Seed]
	case kind == vault.Mnemonic && len(secret) > mnemonicHead:
		return secret[1:mnemonicHead]
	}
	return secret
}
