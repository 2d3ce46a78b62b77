package primitive

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"testing"
	"unsafe"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// order is that of the base point (RFC 8032, section 5.1).
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// scalarOf is n modulo the order.
func scalarOf(t *testing.T, n *big.Int) *edwards25519.Scalar {
	t.Helper()
	b := new(big.Int).Mod(n, order).FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBaseMult compares with the library's own, for scalars at the edges of digits and any.
func TestBaseMult(t *testing.T) {
	var scalars []*edwards25519.Scalar
	for bit := range uint(253) {
		power := new(big.Int).Lsh(big.NewInt(1), bit)
		for d := int64(-1); d <= 1; d++ {
			scalars = append(scalars, scalarOf(t, new(big.Int).Add(power, big.NewInt(d))), scalarOf(t, new(big.Int).Sub(big.NewInt(d), power)))
		}
	}
	for digit := range 16 {
		b := make([]byte, 32)
		for i := range b {
			b[i] = byte(digit<<4 | digit)
		}
		scalars = append(scalars, scalarOf(t, new(big.Int).SetBytes(b)))
	}
	r := newRand(t)
	for range cases(2000) {
		s, err := new(edwards25519.Scalar).SetUniformBytes(randBytes(r, 64))
		if err != nil {
			t.Fatal(err)
		}
		scalars = append(scalars, s)
	}
	for _, s := range scalars {
		want := new(edwards25519.Point).ScalarBaseMult(s)
		var p extended
		p.setBaseMult(s)
		var got, u [32]byte
		p.encode(&got)
		p.encodeMontgomery(&u)
		if !bytes.Equal(got[:], want.Bytes()) || !bytes.Equal(u[:], want.BytesMontgomery()) {
			t.Fatalf("%x·B is %x with u = %x; want %x, %x", s.Bytes(), got, u, want.Bytes(), want.BytesMontgomery())
		}
	}
}

// TestSignedDigits: the digits make up the scalar, and have a place in the table.
func TestSignedDigits(t *testing.T) {
	r := newRand(t)
	for i := range cases(2000) {
		s, err := new(edwards25519.Scalar).SetUniformBytes(randBytes(r, 64))
		if err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			s = scalarOf(t, big.NewInt(int64(i-1)))
		}
		sum := new(big.Int)
		digits := signedDigits(s)
		for i := len(digits) - 1; i >= 0; i-- {
			if digits[i] < -multiples || digits[i] > multiples {
				t.Fatalf("digit %d of %x is %d", i, s.Bytes(), digits[i])
			}
			sum.Lsh(sum, digitBits).Add(sum, big.NewInt(int64(digits[i])))
		}
		if got := scalarOf(t, sum); got.Equal(s) != 1 {
			t.Fatalf("%x has the digits of %x", s.Bytes(), got.Bytes())
		}
	}
}

// TestElement: a field.Element lies in memory as selectFrom supposes, and what it selects is what it should.
func TestElement(t *testing.T) {
	if n := unsafe.Sizeof(field.Element{}); n != 8*elementWords || unsafe.Sizeof(niels{}) != 8*nielsWords {
		t.Fatalf("an element has %d bytes", n)
	}
	for w := range elementWords {
		n := new(big.Int).Lsh(big.NewInt(5), uint(51*w))
		b := n.FillBytes(make([]byte, 32))
		for i := range 16 {
			b[i], b[31-i] = b[31-i], b[i]
		}
		e, err := new(field.Element).SetBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		want := [elementWords]uint64{}
		want[w] = 5
		if got := *(*[elementWords]uint64)(unsafe.Pointer(e)); got != want {
			t.Errorf("5·2^%d is %v", 51*w, got)
		}
	}
	table := baseTable()
	for i := range table {
		for digit := int8(-multiples); digit <= multiples; digit++ {
			var want niels
			want.yPlusX.One()
			want.yMinusX.One()
			if digit > 0 {
				want = table[i][digit-1]
			}
			if digit < 0 {
				of := table[i][-digit-1]
				want = niels{of.yMinusX, of.yPlusX, *new(field.Element).Negate(&of.t2d)}
			}
			var got niels
			got.selectFrom(&table[i], digit)
			if got.yPlusX.Equal(&want.yPlusX)&got.yMinusX.Equal(&want.yMinusX)&got.t2d.Equal(&want.t2d) != 1 {
				t.Fatalf("power %d, digit %d: another point", i, digit)
			}
			for w, word := range *(*[nielsWords]uint64)(unsafe.Pointer(&got)) {
				if word >= 1<<52 {
					t.Fatalf("power %d, digit %d: word %d is %x", i, digit, w, word)
				}
			}
		}
	}
}

// BenchmarkBaseMult multiplies and encodes, in turns with the library.
func BenchmarkBaseMult(b *testing.B) {
	var seed [64]byte
	binary.LittleEndian.PutUint64(seed[:], 1<<63)
	s, err := new(edwards25519.Scalar).SetUniformBytes(seed[:])
	if err != nil {
		b.Fatal(err)
	}
	both := newTurns(b)
	var ours [32]byte
	for b.Loop() {
		both.run(func() {
			var p extended
			p.setBaseMult(s)
			p.encode(&ours)
		}, func() { new(edwards25519.Point).ScalarBaseMult(s).Bytes() })
	}
	both.report("ns/mult", "×library")
}
