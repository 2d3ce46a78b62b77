package sandbox

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Before anything else, each side sends an ephemeral X25519 public key (32 bytes, RFC 7748), the parent first. Every
// pipe has a key for each direction: HKDF-SHA256 (RFC 5869) of the shared secret, salted with both public keys. Nobody
// who takes a descriptor of a pipe later can read or write in it. The two have no names to prove: the parent made the
// pipes and the process.

const publicSize = 32

// exchange agrees on the keys of n pipes. first is set on the side that sends first, the parent's.
func exchange(rw io.ReadWriter, first bool, n int) (toZone, toParent []sequence, err error) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: ephemeral key: %w", err)
	}
	if first {
		if _, err := rw.Write(own.PublicKey().Bytes()); err != nil {
			return nil, nil, err
		}
	}
	var theirs [publicSize]byte
	if _, err := io.ReadFull(rw, theirs[:]); err != nil {
		return nil, nil, err
	}
	if !first {
		if _, err := rw.Write(own.PublicKey().Bytes()); err != nil {
			return nil, nil, err
		}
	}
	public, err := ecdh.X25519().NewPublicKey(theirs[:])
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: the other side's key: %w", err)
	}
	shared, err := own.ECDH(public)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: the other side's key: %w", err)
	}
	defer memory.Wipe(shared)
	salt := append(own.PublicKey().Bytes(), theirs[:]...)
	if !first {
		salt = append(theirs[:], own.PublicKey().Bytes()...)
	}
	for i := range n {
		for _, direction := range []string{"to the zone", "to the parent"} {
			info := fmt.Sprintf("stronghold-go sandbox pipe 1, %d %s", i, direction)
			key, err := hkdf.Key(sha256.New, shared, salt, info, chacha20poly1305.KeySize)
			if err != nil {
				return nil, nil, fmt.Errorf("sandbox: pipe key: %w", err)
			}
			s, err := newSequence(key)
			memory.Wipe(key)
			if err != nil {
				return nil, nil, err
			}
			if direction == "to the zone" {
				toZone = append(toZone, s)
			} else {
				toParent = append(toParent, s)
			}
		}
	}
	return toZone, toParent, nil
}
