package primitive

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// aeadFuncs is one way to seal and open, with nonces of any length.
type aeadFuncs struct {
	name  string
	nonce int
	seal  func(dst []byte, key *[32]byte, nonce, plaintext, ad []byte) []byte
	open  func(dst []byte, key *[32]byte, nonce, ciphertext, ad []byte) ([]byte, error)
	std   func(key []byte) (cipher.AEAD, error)
}

var chachaWays = []aeadFuncs{
	{
		"ChaCha", 12,
		func(dst []byte, key *[32]byte, nonce, plaintext, ad []byte) []byte {
			return ChaChaSeal(dst, key, (*[12]byte)(nonce), plaintext, ad)
		},
		func(dst []byte, key *[32]byte, nonce, ciphertext, ad []byte) ([]byte, error) {
			return ChaChaOpen(dst, key, (*[12]byte)(nonce), ciphertext, ad)
		},
		chacha20poly1305.New,
	},
	{
		"ChaChaComposed", 12,
		func(dst []byte, key *[32]byte, nonce, plaintext, ad []byte) []byte {
			return chachaSealComposed(dst, key, (*[12]byte)(nonce), plaintext, ad)
		},
		func(dst []byte, key *[32]byte, nonce, ciphertext, ad []byte) ([]byte, error) {
			if len(ciphertext) < AEADOverhead {
				return nil, ErrOpen
			}
			return chachaOpenComposed(dst, key, (*[12]byte)(nonce), ciphertext, ad)
		},
		chacha20poly1305.New,
	},
	{
		"XChaCha", 24,
		func(dst []byte, key *[32]byte, nonce, plaintext, ad []byte) []byte {
			return XChaChaSeal(dst, key, (*[24]byte)(nonce), plaintext, ad)
		},
		func(dst []byte, key *[32]byte, nonce, ciphertext, ad []byte) ([]byte, error) {
			return XChaChaOpen(dst, key, (*[24]byte)(nonce), ciphertext, ad)
		},
		chacha20poly1305.NewX,
	},
}

// testAEAD holds one way to seal against the library's.
func testAEAD(t *testing.T, way aeadFuncs) {
	r := newRand(t)
	for _, n := range lengthsAround(t) {
		key := [32]byte(randBytes(r, 32))
		nonce, plaintext, ad := randBytes(r, way.nonce), randBytes(r, n), randBytes(r, int(r.Uint64()%40))
		std, err := way.std(key[:])
		if err != nil {
			t.Fatal(err)
		}
		want := std.Seal(nil, nonce, plaintext, ad)
		if got := way.seal([]byte("head"), &key, nonce, plaintext, ad); !bytes.Equal(got, append([]byte("head"), want...)) {
			t.Fatalf("%d bytes: ciphertext differs", n)
		}
		inPlace := append(make([]byte, 0, n+AEADOverhead), plaintext...)
		if got := way.seal(inPlace[:0], &key, nonce, inPlace, ad); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: ciphertext in place differs", n)
		}
		out := append(make([]byte, 0, n+4), "head"...)
		got, err := way.open(out, &key, nonce, want, ad)
		if err != nil || !bytes.Equal(got, append([]byte("head"), plaintext...)) || &got[0] != &out[0] {
			t.Fatalf("%d bytes: opened differs or %v", n, err)
		}
		if got, err := way.open(inPlace[:0], &key, nonce, append(inPlace[:0], want...), ad); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes: opened in place differs or %v", n, err)
		}
		refuse := func(what string, key *[32]byte, nonce, ciphertext, ad []byte) {
			t.Helper()
			got, err := way.open(make([]byte, 0, n), key, nonce, ciphertext, ad)
			if !errors.Is(err, ErrOpen) || got != nil {
				t.Fatalf("%d bytes, %s changed: error %v", n, what, err)
			}
		}
		flip := func(b []byte) []byte {
			b = bytes.Clone(b)
			b[int(r.Uint64()%uint64(len(b)))] ^= 1 << (r.Uint64() % 8)
			return b
		}
		other := [32]byte(flip(key[:]))
		refuse("key", &other, nonce, want, ad)
		refuse("nonce", &key, flip(nonce), want, ad)
		refuse("ciphertext", &key, nonce, flip(want), ad)
		refuse("associated data", &key, nonce, want, append(bytes.Clone(ad), 0))
		refuse("length", &key, nonce, want[:len(want)-1], ad)
	}
	for n := range AEADOverhead {
		if _, err := way.open(nil, new([32]byte), make([]byte, way.nonce), make([]byte, n), nil); !errors.Is(err, ErrOpen) {
			t.Errorf("ciphertext of %d bytes: %v", n, err)
		}
	}
}

func TestChaChaLikeLibrary(t *testing.T) {
	for _, way := range chachaWays {
		t.Run(way.name, func(t *testing.T) { testAEAD(t, way) })
	}
}

// RFC 8439, section 2.8.2, and draft-irtf-cfrg-xchacha-03, appendix A.3.1.
func TestChaChaVectors(t *testing.T) {
	plaintext := []byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
	ad := unhex(t, "50515253c0c1c2c3c4c5c6c7")
	key := [32]byte(unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"))
	want := map[int][]byte{
		12: unhex(t, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"),
		24: unhex(t, "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"),
	}
	nonce := map[int][]byte{
		12: unhex(t, "070000004041424344454647"),
		24: unhex(t, "404142434445464748494a4b4c4d4e4f5051525354555657"),
	}
	for _, way := range chachaWays {
		if got := way.seal(nil, &key, nonce[way.nonce], plaintext, ad); !bytes.Equal(got, want[way.nonce]) {
			t.Errorf("%s: %x", way.name, got)
		}
	}
}

// The speed and the model rest on the direct way. If a new version of the library
// looks different inside, this fails and says so; the product would go on.
func TestChaChaDirectIsInUse(t *testing.T) {
	if !chachaDirect {
		t.Error("the library's cipher is not over the key in place: see chacha_unsafe.go")
	}
}

func TestChaChaOpenNeverAllocatesPlaintext(t *testing.T) {
	for _, way := range chachaWays {
		if way.name == "ChaChaComposed" {
			continue
		}
		sealed := way.seal(nil, new([32]byte), make([]byte, way.nonce), []byte("secret"), nil)
		mustPanic(t, way.name, func() {
			way.open(make([]byte, 0, 5), new([32]byte), make([]byte, way.nonce), sealed, nil)
		})
	}
}

func TestChaChaAllocations(t *testing.T) {
	for _, n := range []int{0, 64, 100, 1000} {
		noAllocs(t, fmt.Sprint("ChaCha/", n), func() {
			var key [32]byte
			var nonce [12]byte
			var ad [24]byte
			var plaintext, opened [1000]byte
			var ciphertext [1016]byte
			sealed := ChaChaSeal(ciphertext[:0], &key, &nonce, plaintext[:n], ad[:])
			if _, err := ChaChaOpen(opened[:0], &key, &nonce, sealed, ad[:]); err != nil {
				panic(err)
			}
		})
		noAllocs(t, fmt.Sprint("ChaChaComposed/", n), func() {
			var key [32]byte
			var nonce [12]byte
			var ad [24]byte
			var plaintext, opened [1000]byte
			var ciphertext [1016]byte
			sealed := chachaSealComposed(ciphertext[:0], &key, &nonce, plaintext[:n], ad[:])
			if _, err := chachaOpenComposed(opened[:0], &key, &nonce, sealed, ad[:]); err != nil {
				panic(err)
			}
		})
		noAllocs(t, fmt.Sprint("XChaCha/", n), func() {
			var key [32]byte
			var nonce [24]byte
			var ad [24]byte
			var plaintext, opened [1000]byte
			var ciphertext [1016]byte
			sealed := XChaChaSeal(ciphertext[:0], &key, &nonce, plaintext[:n], ad[:])
			if _, err := XChaChaOpen(opened[:0], &key, &nonce, sealed, ad[:]); err != nil {
				panic(err)
			}
		})
	}
}

// BenchmarkChaChaOpen opens a record of 96 bytes in turns with an object of the
// library that was made beforehand over a key in the heap.
func BenchmarkChaChaOpen(b *testing.B) {
	for _, way := range chachaWays {
		b.Run(way.name, func(b *testing.B) {
			var key [32]byte
			nonce, ad := make([]byte, way.nonce), make([]byte, 24)
			std, err := way.std(key[:])
			if err != nil {
				b.Fatal(err)
			}
			sealed := way.seal(nil, &key, nonce, make([]byte, 96), ad)
			out := make([]byte, 0, 96)
			const batch = 64 // against the cost of looking at the clock
			both := newTurns(b)
			for b.Loop() {
				both.run(func() {
					for range batch {
						way.open(out, &key, nonce, sealed, ad)
					}
				}, func() {
					for range batch {
						std.Open(out, nonce, sealed, ad)
					}
				})
			}
			both.ours /= batch
			both.base /= batch
			both.report("ns/open", "×std")
		})
	}
}

// Keys and buffers on a stack that moves during the call, at some depth or other: what
// hide hides from the compiler must not be hidden from the runtime.
func TestChaChaOnMovingStack(t *testing.T) {
	plaintext := bytes.Repeat([]byte("stack"), 100)
	want := XChaChaSeal(nil, &[32]byte{1}, &[24]byte{2}, plaintext, []byte("ad"))
	for depth := range 400 {
		done := make(chan bool)
		go func() { done <- sealDeep(depth, plaintext, want) }()
		if !<-done {
			t.Fatalf("at depth %d the result differs", depth)
		}
		if depth%40 == 0 {
			runtime.GC()
		}
	}
}

//go:noinline
func sealDeep(depth int, plaintext, want []byte) bool {
	var filler [40]byte
	if depth > 0 {
		return sealDeep(depth-1, plaintext, want) && filler[depth%40] == 0
	}
	key, nonce, ad := [32]byte{1}, [24]byte{2}, [2]byte{'a', 'd'}
	var buf [600]byte
	copy(buf[:], plaintext)
	sealed := XChaChaSeal(buf[:0], &key, &nonce, buf[:len(plaintext)], ad[:])
	if !bytes.Equal(sealed, want) {
		return false
	}
	opened, err := XChaChaOpen(buf[:0], &key, &nonce, sealed, ad[:])
	return err == nil && bytes.Equal(opened, plaintext)
}
