package primitive

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// A Curve is one of those for which SLIP-0010 derives keys. The zero value is none
// and panics when used.
type Curve uint8

const (
	Ed25519 Curve = 1 + iota
	Secp256k1
)

// ExtendedKeySize is the length of an [ExtendedKey] in bytes.
const ExtendedKeySize = 64

// An ExtendedKey is a SLIP-0010 extended private key: the private key (32 bytes) ‖ the
// chain code (32). On ed25519 the private key is a seed in the sense of RFC 8032,
// as [Ed25519Key.Expand] takes it; on secp256k1 a scalar, big-endian.
type ExtendedKey [ExtendedKeySize]byte

// Hardened is the bit that makes an index a hardened one: 44' is Hardened | 44.
const Hardened = 1 << 31

// ErrUnhardened is returned for a child of an ed25519 key with an index that is not
// hardened. SLIP-0010 has none.
var ErrUnhardened = errors.New("primitive: ed25519 derives hardened children only")

// Master sets k to the master key of seed, of any length (SLIP-0010, "Master key
// generation"). k must not overlap seed.
func (k *ExtendedKey) Master(curve Curve, seed []byte) {
	switch curve {
	case Ed25519:
		SHA512.HMAC(k[:], []byte("ed25519 seed"), seed)
	case Secp256k1:
		SHA512.HMAC(k[:], []byte("Bitcoin seed"), seed)
		for !validScalar((*[32]byte)(k[:32])) { // no seed for this is known
			SHA512.HMAC(k[:], []byte("Bitcoin seed"), k[:])
		}
	default:
		panic(curve.unknown())
	}
}

// Child sets k to the child of parent at index (SLIP-0010, "Private parent key → private
// child key"). It fails with [ErrUnhardened], or with [ErrScalar] for a parent that
// is none; k is then unchanged. k may be parent itself.
func (k *ExtendedKey) Child(curve Curve, parent *ExtendedKey, index uint32) error {
	// One of 0 ‖ private key and compressed public key, then the index.
	var data [33]byte
	var serial [4]byte
	binary.BigEndian.PutUint32(serial[:], index)
	switch curve {
	case Ed25519:
		if index < Hardened {
			return ErrUnhardened
		}
		copy(data[1:], parent[:32])
		SHA512.HMAC(k[:], parent[32:], data[:], serial[:])
		return nil
	case Secp256k1:
		return k.childSecp256k1(parent, &data, &serial, index)
	}
	panic(curve.unknown())
}

func (k *ExtendedKey) childSecp256k1(parent *ExtendedKey, data *[33]byte, serial *[4]byte, index uint32) error {
	private := (*[32]byte)(parent[:32])
	var p, l secp256k1.ModNScalar
	if p.SetBytes(private)|p.IsZeroBit() != 0 {
		return ErrScalar
	}
	if index >= Hardened {
		copy(data[1:], private[:])
	} else if err := Secp256k1Public(data, private); err != nil {
		return err
	}
	var sum [64]byte
	SHA512.HMAC(sum[:], parent[32:], data[:], serial[:])
	for {
		overflow := l.SetBytes((*[32]byte)(sum[:32]))
		l.Add(&p)
		if overflow|l.IsZeroBit() == 0 {
			break
		}
		// No parent and index for this are known.
		data[0] = 1
		copy(data[1:], sum[32:])
		SHA512.HMAC(sum[:], parent[32:], data[:], serial[:])
	}
	l.PutBytesUnchecked(k[:32])
	copy(k[32:], sum[32:])
	return nil
}

// Derive sets k to the descendant of parent along path, or to parent itself for an
// empty path. On an error k may hold an ancestor of what was asked for. k may be
// parent itself.
func (k *ExtendedKey) Derive(curve Curve, parent *ExtendedKey, path []uint32) error {
	curve.check()
	*k = *parent
	for _, index := range path {
		if err := k.Child(curve, k, index); err != nil {
			return err
		}
	}
	return nil
}

func validScalar(b *[32]byte) bool {
	var s secp256k1.ModNScalar
	return s.SetBytes(b)|s.IsZeroBit() == 0
}

func (c Curve) check() {
	if c != Ed25519 && c != Secp256k1 {
		panic(c.unknown())
	}
}

// String returns the name of the curve as SLIP-0010 writes it.
func (c Curve) String() string {
	switch c {
	case Ed25519:
		return "ed25519"
	case Secp256k1:
		return "secp256k1"
	}
	return "unknown curve"
}

func (c Curve) unknown() string {
	return "primitive: internal error: unknown curve " + strconv.Itoa(int(c))
}
