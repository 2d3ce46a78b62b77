package primitive

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"
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
	slices.Reverse(b)
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
	for digit := range int64(2 * multiples) { // all digits the same, before they are signed
		n := new(big.Int)
		for range 2*powers - 2 {
			n.Lsh(n, digitBits).Add(n, big.NewInt(digit))
		}
		scalars = append(scalars, scalarOf(t, n))
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
		slices.Reverse(b)
		e, err := new(field.Element).SetBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		want := [elementWords]uint64{}
		want[w] = 5
		if got := *words(e); got != want {
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
				want = niels{yPlusX: of.yMinusX, yMinusX: of.yPlusX, t2d: *new(field.Element).Negate(&of.t2d)}
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

// TestSelectWords: with vectors and without, an entry is selected, or none, whatever was there.
func TestSelectWords(t *testing.T) {
	r := newRand(t)
	var table [multiples][nielsWords]uint64
	for i := range table {
		for w := range table[i] {
			table[i][w] = binary.LittleEndian.Uint64(randBytes(r, 8))
		}
	}
	for m := range uint64(2 * multiples) {
		var want [nielsWords]uint64
		if m > 0 && m <= multiples {
			want = table[m-1]
		}
		for name, f := range map[string]func(*[multiples][nielsWords]uint64, *[nielsWords]uint64, uint64){
			"this processor's": selectWords, "any": selectGeneric,
		} {
			got := table[3]
			f(&table, &got, m)
			if got != want {
				t.Errorf("%s, entry %d: %x, want %x", name, m, got, want)
			}
		}
	}
}

// TestUncarried: Multiply takes words up to 2⁵⁴, as plus and minus suppose, and returns small ones.
func TestUncarried(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	value := func(e *field.Element) *big.Int {
		n := new(big.Int)
		for w := elementWords - 1; w >= 0; w-- {
			n.Lsh(n, 51).Add(n, new(big.Int).SetUint64(words(e)[w]))
		}
		return n
	}
	same := func(what string, got *field.Element, want *big.Int) {
		t.Helper()
		if new(big.Int).Mod(new(big.Int).Sub(value(got), want), p).Sign() != 0 {
			t.Fatalf("%s is %x, want %x modulo p", what, value(got), want)
		}
	}
	r := newRand(t)
	element := func(below uint64, i int) *field.Element {
		e := new(field.Element)
		for w := range words(e) {
			switch words(e)[w] = binary.LittleEndian.Uint64(randBytes(r, 8)) % below; {
			case i == 0:
				words(e)[w] = below - 1
			case i == 1:
				words(e)[w] = 0
			case i%4 == 0 && words(e)[w]%2 == 0:
				words(e)[w] = below - 1
			}
		}
		return e
	}
	const small = 1<<51 + 1<<15
	for i := range cases(20_000) {
		a, b := element(1<<54, i), element(1<<54, i)
		got := new(field.Element).Multiply(a, b)
		same("product", got, new(big.Int).Mul(value(a), value(b)))
		for w, word := range words(got) {
			if word >= small {
				t.Fatalf("word %d of a product is %x", w, word)
			}
		}
		c, d := element(small, i), element(small, i/2)
		sum, difference := new(field.Element), new(field.Element)
		plus(sum, c, d)
		same("sum", sum, new(big.Int).Add(value(c), value(d)))
		minus(difference, sum, d)
		same("difference", difference, value(c))
		for w := range elementWords {
			if words(sum)[w] >= 1<<53 || words(difference)[w] >= 1<<54 {
				t.Fatalf("word %d of a sum is %x, of a difference %x", w, words(sum)[w], words(difference)[w])
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
