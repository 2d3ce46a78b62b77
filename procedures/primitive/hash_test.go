package primitive

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"testing"
)

var hashes = []struct {
	name string
	h    Hash
	std  func() hash.Hash
}{
	{"SHA256", SHA256, sha256.New},
	{"SHA384", SHA384, sha512.New384},
	{"SHA512", SHA512, sha512.New},
}

func TestSumLikeStandardLibrary(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			r := newRand(t)
			if tt.h.Size() != tt.std().Size() || tt.h.blockSize() != tt.std().BlockSize() {
				t.Fatalf("size %d, block %d", tt.h.Size(), tt.h.blockSize())
			}
			for _, n := range lengthsAround(t) {
				data := randBytes(r, n)
				std := tt.std()
				std.Write(data)
				want := std.Sum(nil)
				out := make([]byte, tt.h.Size()+3)
				tt.h.Sum(out, data)
				if !bytes.Equal(out[:tt.h.Size()], want) || !bytes.Equal(out[tt.h.Size():], []byte{0, 0, 0}) {
					t.Fatalf("length %d: differs", n)
				}
				cut := int(r.Uint64() % uint64(n+1))
				tt.h.Sum(out, data[:cut], nil, data[cut:])
				if !bytes.Equal(out[:tt.h.Size()], want) {
					t.Fatalf("length %d cut at %d: differs", n, cut)
				}
			}
		})
	}
}

// The examples of FIPS 180-4 for the message "abc".
func TestSumVectors(t *testing.T) {
	for _, tt := range []struct {
		h    Hash
		want string
	}{
		{SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{SHA384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
		{SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
	} {
		out := make([]byte, tt.h.Size())
		tt.h.Sum(out, []byte("abc"))
		if !bytes.Equal(out, unhex(t, tt.want)) {
			t.Errorf("%d: %x", tt.h, out)
		}
	}
}

func TestHMACLikeStandardLibrary(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			r := newRand(t)
			for _, n := range lengthsAround(t) {
				key, data := randBytes(r, n), randBytes(r, int(r.Uint64()%300))
				std := hmac.New(tt.std, key)
				std.Write(data)
				want := std.Sum(nil)
				out := make([]byte, tt.h.Size())
				cut := int(r.Uint64() % uint64(len(data)+1))
				tt.h.HMAC(out, key, data[:cut], data[cut:])
				if !bytes.Equal(out, want) {
					t.Fatalf("key of %d bytes: differs", n)
				}
				// Over the key itself, as callers do that have one buffer.
				if n >= tt.h.Size() {
					tt.h.HMAC(key, key, data)
					if !bytes.Equal(key[:tt.h.Size()], want) {
						t.Fatalf("key of %d bytes: differs in place", n)
					}
				}
			}
		})
	}
}

// RFC 4231, test cases 1 and 6.
func TestHMACVectors(t *testing.T) {
	for i, tt := range []struct {
		h               Hash
		key, data, want string
	}{
		{SHA256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{SHA384, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
			"afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{SHA512, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
			"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{SHA256, fmt.Sprintf("%x", bytes.Repeat([]byte{0xaa}, 131)), "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		out := make([]byte, tt.h.Size())
		tt.h.HMAC(out, unhex(t, tt.key), []byte(tt.data))
		if !bytes.Equal(out, unhex(t, tt.want)) {
			t.Errorf("%d: %x", i, out)
		}
	}
}

func TestHashMisuse(t *testing.T) {
	for _, tt := range hashes {
		short := make([]byte, tt.h.Size()-1)
		mustPanic(t, "Sum into a short buffer", func() { tt.h.Sum(short, nil) })
		mustPanic(t, "HMAC into a short buffer", func() { tt.h.HMAC(short, nil) })
	}
	for _, h := range []Hash{0, 4} {
		var out [64]byte
		mustPanic(t, "unknown hash", func() { h.Sum(out[:]) })
		mustPanic(t, "unknown hash", func() { h.sum(out[:], nil, nil, nil) })
		mustPanic(t, "unknown hash", func() { h.save(new(midstate), nil) })
		mustPanic(t, "unknown hash", func() { h.resume(out[:], new(midstate), nil, nil) })
		mustPanic(t, "unknown hash", func() { h.blockSize() })
	}
}

func TestHashAllocations(t *testing.T) {
	for _, tt := range hashes {
		noAllocs(t, tt.name+"/Sum", func() {
			var out [64]byte
			var data [300]byte
			tt.h.Sum(out[:], data[:], data[:9], data[:])
		})
		noAllocs(t, tt.name+"/HMAC", func() {
			var out [64]byte
			var key [200]byte
			tt.h.HMAC(out[:], key[:], key[:9], key[:])
		})
	}
}

func BenchmarkHMAC(b *testing.B) {
	var out [32]byte
	var key [32]byte
	var data [100]byte
	for b.Loop() {
		SHA256.HMAC(out[:], key[:], data[:])
	}
}
