package primitive

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/sha3"
)

// ErrScalar is returned for a secp256k1 private key that is zero or not below the
// order of the group.
var ErrScalar = errors.New("primitive: secp256k1 private key out of range")

// Secp256k1Public writes the public key of private, in the compressed form of 33
// bytes (SEC 1, section 2.3.3), to public.
func Secp256k1Public(public *[33]byte, private *[32]byte) error {
	var x, y [32]byte
	if err := secp256k1PublicPoint(&x, &y, private); err != nil {
		return err
	}
	public[0] = 2 | y[31]&1
	copy(public[1:], x[:])
	return nil
}

// EVMAddress writes the address of private to address: the last 20 bytes of the
// Keccak-256 hash of its public key's coordinates (Ethereum yellow paper, appendix F).
func EVMAddress(address *[20]byte, private *[32]byte) error {
	var point [64]byte
	if err := secp256k1PublicPoint((*[32]byte)(point[:32]), (*[32]byte)(point[32:]), private); err != nil {
		return err
	}
	var hash [32]byte
	Keccak256(&hash, point[:])
	copy(address[:], hash[12:])
	return nil
}

// Keccak256 writes the Keccak-256 hash of message, with the padding from before
// SHA-3, to out.
func Keccak256(out *[32]byte, message []byte) {
	h := sha3.NewLegacyKeccak256()
	h.Write(message)
	h.Sum(out[:0])
}

// Secp256k1Sign writes the ECDSA signature of a 32-byte digest to sig: r ‖ s ‖ v,
// with s in the lower half of the group and v the recovery id, 0 or 1 (not 27 or
// more). The nonce is that of RFC 6979 with HMAC-SHA-256, whatever hash made the
// digest. sig may overlap neither private nor digest.
func Secp256k1Sign(sig *[65]byte, private, digest *[32]byte) error {
	var d secp256k1.ModNScalar
	if d.SetBytes(private)|d.IsZeroBit() != 0 {
		return ErrScalar
	}
	var nonces rfc6979
	nonces.init(private, digest)
	for {
		var k secp256k1.ModNScalar
		nonces.next(&k)
		if signWithNonce(sig, &d, &k, digest) {
			return nil
		}
	}
}

// signWithNonce is SEC 1, section 4.1.3, from step 1.3 on. It returns false if the
// nonce leads to a zero in the signature, which nobody has seen happen.
func signWithNonce(sig *[65]byte, d, k *secp256k1.ModNScalar, digest *[32]byte) bool {
	var p secpPoint
	var x, y [32]byte
	p.baseMult(k)
	p.affine(&x, &y)

	var r, e, s secp256k1.ModNScalar
	overflow := r.SetBytes(&x)
	e.SetBytes(digest)
	invertScalar(&s, k)
	e.Add(new(secp256k1.ModNScalar).Mul2(&r, d))
	s.Mul(&e)
	if r.IsZeroBit()|s.IsZeroBit() != 0 {
		return false
	}
	// The recovery id names the point of the nonce: whether its y is odd and, in one of
	// 2^128 cases, whether its x was reduced.
	v := byte(overflow)<<1 | y[31]&1
	if s.IsOverHalfOrder() {
		s.Negate()
		v ^= 1
	}
	r.PutBytesUnchecked(sig[:32])
	s.PutBytesUnchecked(sig[32:64])
	sig[64] = v
	return true
}

// rfc6979 is the generator of nonces of RFC 6979, section 3.2, with HMAC-SHA-256.
type rfc6979 struct {
	k, v  [32]byte
	again bool
}

func (g *rfc6979) init(private, digest *[32]byte) {
	var z secp256k1.ModNScalar
	z.SetBytes(digest)
	h := z.Bytes() // bits2octets
	for i := range g.v {
		g.v[i] = 1
	}
	for separator := byte(0); separator < 2; separator++ {
		SHA256.HMAC(g.k[:], g.k[:], g.v[:], []byte{separator}, private[:], h[:])
		SHA256.HMAC(g.v[:], g.k[:], g.v[:])
	}
}

func (g *rfc6979) next(k *secp256k1.ModNScalar) {
	for {
		if g.again {
			SHA256.HMAC(g.k[:], g.k[:], g.v[:], []byte{0})
			SHA256.HMAC(g.v[:], g.k[:], g.v[:])
		}
		g.again = true
		SHA256.HMAC(g.v[:], g.k[:], g.v[:])
		if k.SetBytes(&g.v)|k.IsZeroBit() == 0 {
			return
		}
	}
}

// orderMinusTwo is the order of the group minus 2, big-endian.
var orderMinusTwo = [32]byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
	0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x3f,
}

// invertScalar sets out to 1/k by Fermat's theorem, four bits of the exponent at a
// time. The library's own inversion goes through math/big: neither constant in time
// nor off the heap, and from a nonce follows the key.
func invertScalar(out, k *secp256k1.ModNScalar) {
	var powers [16]secp256k1.ModNScalar
	powers[0].SetInt(1)
	for i := 1; i < len(powers); i++ {
		powers[i].Mul2(&powers[i-1], k)
	}
	out.SetInt(1)
	for _, b := range orderMinusTwo {
		out.Square().Square().Square().Square()
		out.Mul(&powers[b>>4])
		out.Square().Square().Square().Square()
		out.Mul(&powers[b&15])
	}
}

func secp256k1PublicPoint(x, y, private *[32]byte) error {
	var d secp256k1.ModNScalar
	if d.SetBytes(private)|d.IsZeroBit() != 0 {
		return ErrScalar
	}
	var p secpPoint
	p.baseMult(&d)
	p.affine(x, y)
	return nil
}

// A secpPoint is a point of secp256k1 in homogeneous projective coordinates, x = X/Z
// and y = Y/Z, of magnitude 3, 2 and 2 at most in the terms of the library.
//
// The library multiplies the generator with branches and table look-ups that depend
// on the scalar. Here its field arithmetic, which is constant in time, carries the
// complete addition formula of Renes, Costello and Batina, which has no exceptional
// cases, and a table of which each entry is read each time.
type secpPoint struct {
	x, y, z secp256k1.FieldVal
}

// An affineEntry is x ‖ y, each as 32 big-endian bytes, in words for masking.
type affineEntry [8]uint64

// generatorTable has at [i][j] the point (j+1) * 16^i * G. It is made of nothing secret,
// once, when it is first needed (about 20 ms; 60 KiB).
var generatorTable = sync.OnceValue(func() *[64][15]affineEntry {
	var table [64][15]affineEntry
	var base, p, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(new(secp256k1.ModNScalar).SetInt(1), &base)
	for i := range table {
		base.ToAffine()
		p.Set(&base)
		for j := range table[i] {
			p.ToAffine()
			x, y := p.X.Bytes(), p.Y.Bytes()
			for w := range 4 {
				table[i][j][w] = binary.NativeEndian.Uint64(x[8*w:])
				table[i][j][4+w] = binary.NativeEndian.Uint64(y[8*w:])
			}
			secp256k1.AddNonConst(&p, &base, &sum)
			p.Set(&sum)
		}
		base.Set(&p) // 16 times what it was
	}
	return &table
})

// baseMult sets p to k times the generator, for any k.
func (p *secpPoint) baseMult(k *secp256k1.ModNScalar) {
	table := generatorTable()
	digits := k.Bytes()
	p.x.Zero()
	p.y.SetInt(1)
	p.z.Zero()
	var q secpPoint
	var entry affineEntry
	var x, y [32]byte
	for i := range table {
		digit := int32(digits[31-i/2]>>(4*(i&1))) & 15
		entry = affineEntry{}
		for j := range table[i] {
			mask := -uint64(subtle.ConstantTimeEq(digit, int32(j+1)))
			for w := range entry {
				entry[w] |= table[i][j][w] & mask
			}
		}
		for w := range 4 {
			binary.NativeEndian.PutUint64(x[8*w:], entry[w])
			binary.NativeEndian.PutUint64(y[8*w:], entry[4+w])
		}
		// Digit 0 stands for the point at infinity, (0 : 1 : 0).
		zero := subtle.ConstantTimeEq(digit, 0)
		y[31] |= byte(zero)
		q.x.SetBytes(&x)
		q.y.SetBytes(&y)
		q.z.SetInt(uint16(1 - zero))
		p.add(&q)
	}
}

// add sets p to p + q by algorithm 7 of Renes, Costello and Batina, "Complete addition
// formulas for prime order elliptic curves" (ePrint 2015/1060), with b = 7. The
// coordinates of q have magnitude 1. The comments are magnitudes where they exceed
// 1; a factor may have 8.
func (p *secpPoint) add(q *secpPoint) {
	var t0, t1, t2, t3, t4, u, n secp256k1.FieldVal
	var x3, y3, z3 secp256k1.FieldVal
	t0.Mul2(&p.x, &q.x)
	t1.Mul2(&p.y, &q.y)
	t2.Mul2(&p.z, &q.z)

	t3.Add2(&p.x, &p.y)                     // 5
	u.Add2(&q.x, &q.y)                      // 2
	t3.Mul(&u)                              //
	u.Add2(&t0, &t1)                        // 2
	t3.Add(n.NegateVal(&u, 2))              // 4: X1Y2 + X2Y1
	t4.Add2(&p.y, &p.z)                     // 4
	u.Add2(&q.y, &q.z)                      // 2
	t4.Mul(&u)                              //
	u.Add2(&t1, &t2)                        // 2
	t4.Add(n.NegateVal(&u, 2))              // 4: Y1Z2 + Y2Z1
	y3.Add2(&p.x, &p.z)                     // 5
	u.Add2(&q.x, &q.z)                      // 2
	y3.Mul(&u)                              //
	u.Add2(&t0, &t2)                        // 2
	y3.Add(n.NegateVal(&u, 2))              // 4: X1Z2 + X2Z1
	y3.Normalize().MulInt(21).Normalize()   // 3b = 21
	t0.MulInt(3)                            // 3
	t2.MulInt(21).Normalize()               //
	z3.Add2(&t1, &t2)                       // 2
	t1.Add(n.NegateVal(&t2, 1))             // 3
	x3.Mul2(&t4, &y3)                       //
	u.Mul2(&t3, &t1)                        //
	p.x.Add2(&u, n.NegateVal(&x3, 1))       // 3
	y3.Mul(&t0)                             //
	t1.Mul(&z3)                             //
	p.y.Add2(&t1, &y3)                      // 2
	p.z.Add2(z3.Mul(&t4), u.Mul2(&t0, &t3)) // 2
}

// affine writes the coordinates of p, which is not the point at infinity.
func (p *secpPoint) affine(x, y *[32]byte) {
	var inverse, c secp256k1.FieldVal
	inverse.Set(&p.z).Inverse()
	c.Mul2(&p.x, &inverse).Normalize().PutBytes(x)
	c.Mul2(&p.y, &inverse).Normalize().PutBytes(y)
}
