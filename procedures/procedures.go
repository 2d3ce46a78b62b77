// Package procedures computes with lent secrets: one function an operation.
//
// A procedure gets a record's secret for as long as it runs and gives back what
// may be told, or fills guarded memory with what is to be kept. It refuses a
// record whose kind does not fit. Whoever calls it runs it inside memory.Erase,
// as vault.DB.Lend does.
package procedures

import (
	"crypto/rand"
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
	vault.Ed25519: protocol.Ed25519,
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

// Ed25519 records hold the seed (RFC 8032) and its public key, computed by us.
const (
	ed25519Seed   = 32
	ed25519Record = ed25519Seed + 32
)

// GenerateKey makes a key of the kind from the system's randomness: what its
// record is to hold, and its public half.
func GenerateKey(arena *memory.Arena, kind vault.Kind) (secret *memory.Secret, public []byte, err error) {
	return newKey(arena, kind, func(seed []byte) error { rand.Read(seed); return nil })
}

// ImportKey makes a key of the kind from its raw bytes: for Ed25519 the 32-byte
// seed. The caller wipes raw.
func ImportKey(arena *memory.Arena, kind vault.Kind, raw []byte) (secret *memory.Secret, public []byte, err error) {
	return newKey(arena, kind, func(seed []byte) error {
		if len(raw) != len(seed) {
			return &InputError{"secret", fmt.Sprintf("must be %d bytes", len(seed))}
		}
		copy(seed, raw)
		return nil
	})
}

func newKey(arena *memory.Arena, kind vault.Kind, fill func(seed []byte) error) (*memory.Secret, []byte, error) {
	if kind != vault.Ed25519 {
		return nil, nil, &InputError{"kind", "not a kind of key"}
	}
	secret, err := arena.New(ed25519Record)
	if err != nil {
		return nil, nil, err
	}
	public := make([]byte, 32)
	memory.Erase(func() {
		err = secret.Use(func(b []byte) error {
			if err := fill(b[:ed25519Seed]); err != nil {
				return err
			}
			primitive.Ed25519Public((*[32]byte)(public), (*[32]byte)(b))
			copy(b[ed25519Seed:], public)
			return nil
		})
	})
	if err != nil {
		secret.Destroy()
		return nil, nil, err
	}
	return secret, public, nil
}

// PublicKey is the public half of a key record.
func PublicKey(kind vault.Kind, secret []byte) ([]byte, error) {
	if kind != vault.Ed25519 || len(secret) != ed25519Record {
		return nil, ErrKind
	}
	return append([]byte(nil), secret[ed25519Seed:]...), nil
}

// Ed25519Sign signs message (RFC 8032): 64 bytes.
func Ed25519Sign(arena *memory.Arena, kind vault.Kind, secret, message []byte) ([]byte, error) {
	if kind != vault.Ed25519 || len(secret) != ed25519Record {
		return nil, ErrKind
	}
	expanded, err := arena.New(primitive.Ed25519KeySize)
	if err != nil {
		return nil, err
	}
	defer expanded.Destroy()
	sig := make([]byte, 64)
	err = expanded.Use(func(b []byte) error {
		key := (*primitive.Ed25519Key)(b)
		key.Expand((*[32]byte)(secret))
		key.Sign((*[64]byte)(sig), message)
		return nil
	})
	return sig, err
}
