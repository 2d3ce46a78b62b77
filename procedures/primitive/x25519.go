package primitive

import (
	"crypto/subtle"
	"errors"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// ErrLowOrder is returned for a peer's X25519 public key that would make the shared
// secret zero whatever the private key is.
var ErrLowOrder = errors.New("primitive: X25519 public key has low order")

// X25519Public writes the public key of private to public (RFC 7748, section 6.1).
// Any 32 bytes are a private key.
func X25519Public(public, private *[32]byte) {
	// The generator's u coordinate 9 belongs to the generator of edwards25519, for
	// which there are tables. That SetBytesWithClamping reduces the scalar makes no
	// difference, since the generator has prime order.
	var s edwards25519.Scalar
	if _, err := s.SetBytesWithClamping(private[:]); err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	var p extended
	p.setBaseMult(&s)
	p.encodeMontgomery(public)
}

// X25519Shared writes the shared secret of a private key and a peer's public key to
// shared (RFC 7748, section 6.1). A shared secret of zeros is refused with
// [ErrLowOrder], as that section permits and crypto/ecdh does. shared may overlap
// both keys.
func X25519Shared(shared, private, public *[32]byte) error {
	var out [32]byte
	x25519(&out, private, public)
	var zero [32]byte
	if subtle.ConstantTimeCompare(out[:], zero[:]) == 1 {
		return ErrLowOrder
	}
	*shared = out
	return nil
}

// x25519 is the Montgomery ladder of RFC 7748, section 5, in its names.
func x25519(out, k, u *[32]byte) {
	e := *k
	e[0] &= 248
	e[31] &= 127
	e[31] |= 64

	var x1, x2, z2, x3, z3 field.Element
	var a, aa, b, bb, c, d, ee field.Element
	// SetBytes ignores the highest bit and takes values of p and above, as the RFC wants.
	if _, err := x1.SetBytes(u[:]); err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	x2.One()
	x3.Set(&x1)
	z3.One()

	swap := 0
	for t := 254; t >= 0; t-- {
		bit := int(e[t/8]>>(t&7)) & 1
		swap ^= bit
		x2.Swap(&x3, swap)
		z2.Swap(&z3, swap)
		swap = bit

		a.Add(&x2, &z2)
		aa.Square(&a)
		b.Subtract(&x2, &z2)
		bb.Square(&b)
		ee.Subtract(&aa, &bb)
		c.Add(&x3, &z3)
		d.Subtract(&x3, &z3)
		d.Multiply(&d, &a) // DA
		c.Multiply(&c, &b) // CB
		x3.Add(&d, &c)
		x3.Square(&x3)
		z3.Subtract(&d, &c)
		z3.Square(&z3)
		z3.Multiply(&x1, &z3)
		x2.Multiply(&aa, &bb)
		z2.Mult32(&ee, 121665)
		z2.Add(&aa, &z2)
		z2.Multiply(&ee, &z2)
	}
	x2.Swap(&x3, swap)
	z2.Swap(&z3, swap)

	z2.Invert(&z2)
	x2.Multiply(&x2, &z2)
	copy(out[:], x2.Bytes())
}
