package primitive

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// secpScalars calls f with the borders of the range of private keys and n random ones.
func secpScalars(t testing.TB, n int, f func(private [32]byte)) {
	r := newRand(t)
	order := secp256k1.Params().N.Bytes()
	for i := range 40 {
		small := [32]byte{31: byte(i + 1)}
		f(small)
		large := [32]byte(order)
		large[31] -= byte(i + 1)
		f(large)
	}
	for i := range 255 {
		var bit [32]byte
		bit[31-i/8] = 1 << (i % 8)
		f(bit)
	}
	for range cases(n) {
		f([32]byte(randBytes(r, 32)))
	}
}

func TestSecp256k1LikeLibrary(t *testing.T) {
	r := newRand(t)
	secpScalars(t, 300, func(private [32]byte) {
		std := secp256k1.PrivKeyFromBytes(private[:])
		var public [33]byte
		if err := Secp256k1Public(&public, &private); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(public[:], std.PubKey().SerializeCompressed()) {
			t.Fatalf("%x: public key %x", private, public)
		}
		digest := [32]byte(randBytes(r, 32))
		want := ecdsa.SignCompact(std, digest[:], false) // 27 + v ‖ r ‖ s
		var sig [65]byte
		if err := Secp256k1Sign(&sig, &private, &digest); err != nil {
			t.Fatal(err)
		}
		if sig[64] != want[0]-27 || !bytes.Equal(sig[:64], want[1:]) {
			t.Fatalf("%x: signature %x, want %x", private, sig, want)
		}
	})
}

func TestSecp256k1ScalarInversion(t *testing.T) {
	secpScalars(t, 100, func(b [32]byte) {
		var k, inverse secp256k1.ModNScalar
		k.SetBytes(&b)
		invertScalar(&inverse, &k)
		if !inverse.Equals(new(secp256k1.ModNScalar).InverseValNonConst(&k)) {
			t.Fatalf("%x: inverse differs", b)
		}
	})
}

// The complete formula has to hold where the usual ones need a branch.
func TestSecp256k1AdditionIsComplete(t *testing.T) {
	multiple := func(n uint32) *secpPoint {
		var p secpPoint
		p.baseMult(new(secp256k1.ModNScalar).SetInt(n))
		return &p
	}
	affine := func(n uint32) *secpPoint {
		var x, y [32]byte
		multiple(n).affine(&x, &y)
		var p secpPoint
		p.x.SetBytes(&x)
		p.y.SetBytes(&y)
		p.z.SetInt(1)
		return &p
	}
	same := func(p, q *secpPoint) bool {
		var x1, y1, x2, y2 [32]byte
		p.affine(&x1, &y1)
		q.affine(&x2, &y2)
		return x1 == x2 && y1 == y2
	}
	p := multiple(5)
	p.add(affine(5))
	if !same(p, multiple(10)) {
		t.Error("5G + 5G is not 10G")
	}
	p = multiple(0)
	p.add(affine(7))
	if !same(p, affine(7)) {
		t.Error("0 + 7G is not 7G")
	}
	p, q := multiple(7), affine(7)
	q.y.Negate(1).Normalize()
	p.add(q)
	if !p.z.Normalize().IsZero() {
		t.Error("7G - 7G is not 0")
	}
	infinity := new(secpPoint)
	infinity.y.SetInt(1)
	p = multiple(7)
	p.add(infinity)
	if !same(p, multiple(7)) {
		t.Error("7G + 0 is not 7G")
	}
}

func TestSecp256k1RefusesScalars(t *testing.T) {
	order := [32]byte(secp256k1.Params().N.Bytes())
	above := order
	above[31]++
	for _, private := range [][32]byte{{}, order, above, [32]byte(bytes.Repeat([]byte{0xff}, 32))} {
		if err := Secp256k1Public(new([33]byte), &private); !errors.Is(err, ErrScalar) {
			t.Errorf("%x: public key: %v", private, err)
		}
		if err := EVMAddress(new([20]byte), &private); !errors.Is(err, ErrScalar) {
			t.Errorf("%x: address: %v", private, err)
		}
		if err := Secp256k1Sign(new([65]byte), &private, new([32]byte)); !errors.Is(err, ErrScalar) {
			t.Errorf("%x: signature: %v", private, err)
		}
	}
}

// Vectors for RFC 6979 on secp256k1 with SHA-256, as used across implementations
// (first in trezor-crypto): r ‖ s of the SHA-256 of the message.
func TestSecp256k1Vectors(t *testing.T) {
	for _, tt := range []struct{ private, message, want string }{
		{"0000000000000000000000000000000000000000000000000000000000000001", "Satoshi Nakamoto",
			"934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
		{"0000000000000000000000000000000000000000000000000000000000000001",
			"All those moments will be lost in time, like tears in rain. Time to die...",
			"8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
	} {
		var digest [32]byte
		SHA256.Sum(digest[:], []byte(tt.message))
		private := [32]byte(unhex(t, tt.private))
		var sig [65]byte
		if err := Secp256k1Sign(&sig, &private, &digest); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sig[:64], unhex(t, tt.want)) {
			t.Errorf("%s: %x", tt.message, sig)
		}
	}
}

// The key of EIP-155's example, and the hash of nothing.
func TestEVMAddress(t *testing.T) {
	private := [32]byte(bytes.Repeat([]byte{0x46}, 32))
	var address [20]byte
	if err := EVMAddress(&address, &private); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", address); got != "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f" {
		t.Error(got)
	}
	var hash [32]byte
	Keccak256(&hash, nil)
	if got := fmt.Sprintf("%x", hash); got != "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" {
		t.Error(got)
	}
}

func TestSecp256k1Allocations(t *testing.T) {
	noAllocs(t, "Public", func() {
		private := [32]byte{1}
		var public [33]byte
		if Secp256k1Public(&public, &private) != nil {
			panic("unexpected")
		}
	})
	noAllocs(t, "Sign", func() {
		private := [32]byte{1}
		var digest [32]byte
		var sig [65]byte
		if Secp256k1Sign(&sig, &private, &digest) != nil {
			panic("unexpected")
		}
	})
	noAllocs(t, "EVMAddress", func() {
		private := [32]byte{1}
		var address [20]byte
		if EVMAddress(&address, &private) != nil {
			panic("unexpected")
		}
	})
}

func BenchmarkSecp256k1Sign(b *testing.B) {
	private, digest := [32]byte{1, 2, 3}, [32]byte{4, 5, 6}
	std := secp256k1.PrivKeyFromBytes(private[:])
	var sig [65]byte
	sign := func() {
		if err := Secp256k1Sign(&sig, &private, &digest); err != nil {
			b.Fatal(err)
		}
	}
	sign() // makes the table
	both := newTurns(b)
	for b.Loop() {
		both.run(sign, func() { ecdsa.SignCompact(std, digest[:], false) })
	}
	both.report("ns/sign", "×library")
}
