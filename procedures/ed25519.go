package procedures

import (
	"crypto/rand"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Ed25519 records hold the seed (RFC 8032) and its public key, computed by us:
// a signature under a public key of another seed would give the key away.
const (
	ed25519Seed   = 32
	ed25519Record = ed25519Seed + 32
)

// GenerateKey makes a key of the kind from the system's randomness.
func GenerateKey(arena *memory.Arena, kind vault.Kind) (*Made, error) {
	switch kind {
	case vault.Ed25519:
		return ed25519Key(arena, func(seed []byte) error { rand.Read(seed); return nil })
	case vault.AES256:
		return aesKey(arena)
	}
	return nil, &InputError{"kind", "not a kind of key"}
}

func ed25519Key(arena *memory.Arena, fill func(seed []byte) error) (*Made, error) {
	return fillSecret(arena, vault.Ed25519, ed25519Record, func(b []byte) ([]byte, error) {
		if err := fill(b[:ed25519Seed]); err != nil {
			return nil, err
		}
		var public [32]byte
		primitive.Ed25519Public(&public, (*[32]byte)(b))
		copy(b[ed25519Seed:], public[:])
		return public[:], nil
	})
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
		key.Restore((*[32]byte)(secret), (*[32]byte)(secret[ed25519Seed:]))
		key.Sign((*[64]byte)(sig), message)
		return nil
	})
	return sig, err
}
