package primitive

import (
	"bytes"
	"crypto/ed25519"
	"testing"
)

func TestEd25519LikeStandardLibrary(t *testing.T) {
	r := newRand(t)
	for i := range cases(1000) {
		seed := [32]byte(randBytes(r, 32))
		if i == 0 {
			seed = [32]byte{}
		}
		message := randBytes(r, i%400)
		std := ed25519.NewKeyFromSeed(seed[:])
		want := ed25519.Sign(std, message)

		var k Ed25519Key
		k.Expand(&seed)
		if public := k.Public(); !bytes.Equal(public[:], std[32:]) {
			t.Fatalf("%d: public key differs", i)
		}
		var restored Ed25519Key
		restored.Restore(&seed, (*[32]byte)(std[32:]))
		if restored != k {
			t.Fatalf("%d: the key restored from seed and public key differs from the expanded one", i)
		}
		var sig [64]byte
		k.Sign(&sig, message)
		if !bytes.Equal(sig[:], want) {
			t.Fatalf("%d: signature by the expanded key differs", i)
		}
		sig = [64]byte{}
		Ed25519Sign(&sig, &seed, message)
		if !bytes.Equal(sig[:], want) {
			t.Fatalf("%d: signature by the seed differs", i)
		}
		var public [32]byte
		Ed25519Public(&public, &seed)
		if !bytes.Equal(public[:], std[32:]) {
			t.Fatalf("%d: public key of the seed differs", i)
		}
	}
}

// RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
func TestEd25519Vectors(t *testing.T) {
	for _, tt := range []struct{ name, seed, public, message, sig string }{
		{"1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
		{"SHA(abc)", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
			"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
			"dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
	} {
		var k Ed25519Key
		seed := [32]byte(unhex(t, tt.seed))
		k.Expand(&seed)
		if public := k.Public(); !bytes.Equal(public[:], unhex(t, tt.public)) {
			t.Errorf("%s: public key %x", tt.name, public)
		}
		var sig [64]byte
		k.Sign(&sig, unhex(t, tt.message))
		if !bytes.Equal(sig[:], unhex(t, tt.sig)) {
			t.Errorf("%s: signature %x", tt.name, sig)
		}
	}
}

func TestEd25519RefusesWhatIsNotExpanded(t *testing.T) {
	var k Ed25519Key
	for i := range k {
		k[i] = 0xff
	}
	mustPanic(t, "scalar above the order", func() { k.Sign(new([64]byte), nil) })
}

func TestEd25519Allocations(t *testing.T) {
	noAllocs(t, "Expand", func() {
		var k Ed25519Key
		var seed [32]byte
		k.Expand(&seed)
	})
	noAllocs(t, "Sign", func() {
		var k Ed25519Key
		var sig [64]byte
		var message [300]byte
		k.Sign(&sig, message[:])
	})
	noAllocs(t, "Ed25519Sign", func() {
		var seed [32]byte
		var sig [64]byte
		var message [300]byte
		Ed25519Sign(&sig, &seed, message[:])
	})
	noAllocs(t, "Ed25519Public", func() {
		var seed, public [32]byte
		Ed25519Public(&public, &seed)
	})
}

// BenchmarkEd25519Sign signs 300 bytes in turns with an expanded key and with the
// standard library, whose cache of the expanded key is warm.
func BenchmarkEd25519Sign(b *testing.B) {
	seed := [32]byte{1, 2, 3}
	std := ed25519.NewKeyFromSeed(seed[:])
	var k Ed25519Key
	k.Expand(&seed)
	message := make([]byte, 300)
	var sig [64]byte
	both := newTurns(b)
	for b.Loop() {
		both.run(func() { k.Sign(&sig, message) }, func() { ed25519.Sign(std, message) })
	}
	both.report("ns/sign", "×std")
}

func BenchmarkEd25519Expand(b *testing.B) {
	var k Ed25519Key
	seed := [32]byte{1, 2, 3}
	for b.Loop() {
		k.Expand(&seed)
	}
}
