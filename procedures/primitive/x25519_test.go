package primitive

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"testing"
)

func TestX25519LikeStandardLibrary(t *testing.T) {
	r := newRand(t)
	for i := range cases(500) {
		private, peer := [32]byte(randBytes(r, 32)), [32]byte(randBytes(r, 32))
		switch i { // the borders of the field, and not canonical ones
		case 0:
			private = [32]byte{}
		case 1:
			private = [32]byte(bytes.Repeat([]byte{0xff}, 32))
		case 2:
			peer = [32]byte(bytes.Repeat([]byte{0xff}, 32))
		case 3:
			peer = [32]byte{9}
		case 4:
			peer = [32]byte{2}
		}
		std, err := ecdh.X25519().NewPrivateKey(private[:])
		if err != nil {
			t.Fatal(err)
		}
		var public, shared [32]byte
		X25519Public(&public, &private)
		if !bytes.Equal(public[:], std.PublicKey().Bytes()) {
			t.Fatalf("%d: public key differs", i)
		}
		stdPeer, err := ecdh.X25519().NewPublicKey(peer[:])
		if err != nil {
			t.Fatal(err)
		}
		want, err := std.ECDH(stdPeer)
		if err != nil {
			t.Fatal(err)
		}
		if err := X25519Shared(&shared, &private, &peer); err != nil || !bytes.Equal(shared[:], want) {
			t.Fatalf("%d: %v or shared secret differs", i, err)
		}
		if err := X25519Shared(&private, &private, &peer); err != nil || !bytes.Equal(private[:], want) {
			t.Fatalf("%d: %v or shared secret in place differs", i, err)
		}
	}
}

// RFC 7748, sections 5.2 (the first of the iterated vectors: 1 and 1000 rounds) and 6.1.
func TestX25519Vectors(t *testing.T) {
	k, u := [32]byte{9}, [32]byte{9}
	for i := 1; i <= 1000; i++ {
		var out [32]byte
		if err := X25519Shared(&out, &k, &u); err != nil {
			t.Fatal(err)
		}
		k, u = out, k
		if i == 1 && !bytes.Equal(k[:], unhex(t, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")) {
			t.Errorf("after 1 round: %x", k)
		}
	}
	if !bytes.Equal(k[:], unhex(t, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")) {
		t.Errorf("after 1000 rounds: %x", k)
	}

	private := [32]byte(unhex(t, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
	peer := [32]byte(unhex(t, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
	var public, shared [32]byte
	X25519Public(&public, &private)
	if !bytes.Equal(public[:], unhex(t, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")) {
		t.Errorf("public key %x", public)
	}
	if err := X25519Shared(&shared, &private, &peer); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shared[:], unhex(t, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")) {
		t.Errorf("shared secret %x", shared)
	}
}

func TestX25519LowOrder(t *testing.T) {
	// The points of low order on the curve and its twist, in the encodings below 2^255.
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		public := [32]byte(unhex(t, s))
		for _, high := range []byte{0, 0x80} {
			public[31] |= high
			shared := [32]byte{1, 2, 3}
			if err := X25519Shared(&shared, &[32]byte{7, 7}, &public); !errors.Is(err, ErrLowOrder) {
				t.Errorf("%x: %v", public, err)
			}
			if shared != [32]byte{1, 2, 3} {
				t.Errorf("%x: output was written", public)
			}
		}
	}
}

func TestX25519Allocations(t *testing.T) {
	noAllocs(t, "Public", func() {
		var private, public [32]byte
		X25519Public(&public, &private)
	})
	noAllocs(t, "Shared", func() {
		var private, shared [32]byte
		public := [32]byte{9}
		if X25519Shared(&shared, &private, &public) != nil {
			panic("unexpected")
		}
	})
}

func BenchmarkX25519Shared(b *testing.B) {
	private, public := [32]byte{1, 2, 3}, [32]byte{9}
	std, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		b.Fatal(err)
	}
	peer, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		b.Fatal(err)
	}
	var shared [32]byte
	both := newTurns(b)
	for b.Loop() {
		both.run(func() {
			if err := X25519Shared(&shared, &private, &public); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if _, err := std.ECDH(peer); err != nil {
				b.Fatal(err)
			}
		})
	}
	both.report("ns/shared", "×std")
}
