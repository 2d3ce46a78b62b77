package primitive

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// testdata/slip10.json has all test vectors of SLIP-0010 for the two curves.
func TestSLIP10Vectors(t *testing.T) {
	data, err := os.ReadFile("testdata/slip10.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Curve, Seed, Path, Chain, Private, Public string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 22 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, tt := range vectors {
		curve := map[string]Curve{"ed25519": Ed25519, "secp256k1": Secp256k1}[tt.Curve]
		path, err := ParsePath(tt.Path)
		if err != nil {
			t.Fatal(err)
		}
		var k ExtendedKey
		k.Master(curve, unhex(t, tt.Seed))
		if err := k.Derive(curve, &k, path); err != nil {
			t.Fatalf("%s %s: %v", tt.Curve, tt.Path, err)
		}
		if !bytes.Equal(k[:32], unhex(t, tt.Private)) || !bytes.Equal(k[32:], unhex(t, tt.Chain)) {
			t.Errorf("%s %s: %x", tt.Curve, tt.Path, k)
		}
		var public [33]byte
		if curve == Ed25519 {
			Ed25519Public((*[32]byte)(public[1:]), (*[32]byte)(k[:32]))
		} else if err := Secp256k1Public(&public, (*[32]byte)(k[:32])); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(public[:], unhex(t, tt.Public)) {
			t.Errorf("%s %s: public key %x", tt.Curve, tt.Path, public)
		}
	}
}

// slip10Plain is SLIP-0010 as it is written, with the standard library and big numbers.
func slip10Plain(curve Curve, seed []byte, path []uint32) []byte {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha512.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	name := map[Curve]string{Ed25519: "ed25519 seed", Secp256k1: "Bitcoin seed"}[curve]
	key := mac([]byte(name), seed)
	for _, index := range path {
		serial := binary.BigEndian.AppendUint32(nil, index)
		data := append([]byte{0}, key[:32]...)
		if index < Hardened {
			data = secp256k1.PrivKeyFromBytes(key[:32]).PubKey().SerializeCompressed()
		}
		child := mac(key[32:], data, serial)
		if curve == Secp256k1 {
			n := new(big.Int).Add(new(big.Int).SetBytes(child[:32]), new(big.Int).SetBytes(key[:32]))
			n.Mod(n, secp256k1.Params().N).FillBytes(child[:32])
		}
		key = child
	}
	return key
}

func TestSLIP10LikeThePlainWay(t *testing.T) {
	r := newRand(t)
	for i := range 200 {
		curve := Ed25519
		if i%2 == 0 {
			curve = Secp256k1
		}
		seed := randBytes(r, i)
		path := make([]uint32, r.Uint64()%7)
		for j := range path {
			path[j] = uint32(r.Uint64())
			if curve == Ed25519 {
				path[j] |= Hardened
			}
		}
		var k, child ExtendedKey
		k.Master(curve, seed)
		if err := child.Derive(curve, &k, path); err != nil {
			t.Fatal(err)
		}
		if want := slip10Plain(curve, seed, path); !bytes.Equal(child[:], want) {
			t.Fatalf("%v: %x, want %x", path, child, want)
		}
		if want := slip10Plain(curve, seed, nil); !bytes.Equal(k[:], want) {
			t.Fatalf("master key: %x, want %x", k, want)
		}
	}
}

func TestSLIP10Refuses(t *testing.T) {
	var k ExtendedKey
	k.Master(Ed25519, []byte("seed"))
	before := k
	if err := k.Child(Ed25519, &k, 5); !errors.Is(err, ErrUnhardened) || k != before {
		t.Errorf("unhardened child on ed25519: %v", err)
	}
	if err := k.Derive(Ed25519, &k, []uint32{Hardened, 5}); !errors.Is(err, ErrUnhardened) {
		t.Errorf("unhardened path on ed25519: %v", err)
	}
	for _, index := range []uint32{0, Hardened} {
		var zero ExtendedKey
		if err := k.Child(Secp256k1, &zero, index); !errors.Is(err, ErrScalar) {
			t.Errorf("zero parent on secp256k1: %v", err)
		}
	}
	for _, curve := range []Curve{0, 3} {
		mustPanic(t, "master", func() { k.Master(curve, nil) })
		mustPanic(t, "child", func() { k.Child(curve, &k, Hardened) })
		mustPanic(t, "derive", func() { k.Derive(curve, &k, nil) })
	}
}

func TestSLIP10Allocations(t *testing.T) {
	for _, curve := range []Curve{Ed25519, Secp256k1} {
		path := []uint32{Hardened | 44, Hardened | 4218, Hardened, Hardened, Hardened | 7}
		if curve == Secp256k1 {
			path[4] = 7
		}
		noAllocs(t, curve.String(), func() {
			var seed [64]byte
			var k ExtendedKey
			k.Master(curve, seed[:])
			if k.Derive(curve, &k, path) != nil {
				panic("unexpected")
			}
		})
	}
}

// BenchmarkSLIP10DeriveAndSign is five hardened levels and a signature, with the ratio
// to a signature of the standard library from an expanded key.
func BenchmarkSLIP10DeriveAndSign(b *testing.B) {
	path := []uint32{Hardened | 44, Hardened | 4218, Hardened, Hardened, Hardened}
	var master, k ExtendedKey
	master.Master(Ed25519, make([]byte, 64))
	std := ed25519.NewKeyFromSeed(master[:32])
	message := make([]byte, 32)
	var sig [64]byte
	both := newTurns(b)
	for b.Loop() {
		both.run(func() {
			if err := k.Derive(Ed25519, &master, path); err != nil {
				b.Fatal(err)
			}
			Ed25519Sign(&sig, (*[32]byte)(k[:32]), message)
		}, func() {
			ed25519.Sign(std, message)
		})
	}
	both.report("ns/request", "×std_sign")
}
