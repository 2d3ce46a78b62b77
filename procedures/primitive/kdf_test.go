package primitive

import (
	"bytes"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"testing"
)

func TestHKDFLikeStandardLibrary(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			r := newRand(t)
			for n := range 200 {
				ikm, salt, info := randBytes(r, n), randBytes(r, n%90), randBytes(r, n%33)
				want, err := hkdf.Key(tt.std, ikm, salt, string(info), n+1)
				if err != nil {
					t.Fatal(err)
				}
				out := make([]byte, n+1)
				if err := tt.h.HKDF(out, ikm, salt, info); err != nil || !bytes.Equal(out, want) {
					t.Fatalf("%d bytes: %v or differs", n, err)
				}
			}
			longest := make([]byte, 255*tt.h.Size())
			want, err := hkdf.Key(tt.std, []byte("k"), nil, "", len(longest))
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.h.HKDF(longest, []byte("k"), nil, nil); err != nil || !bytes.Equal(longest, want) {
				t.Fatalf("longest output: %v or differs", err)
			}
			if err := tt.h.HKDF(make([]byte, len(longest)+1), nil, nil, nil); err == nil {
				t.Error("longer than 255 sums: no error")
			}
		})
	}
}

// RFC 5869, test cases 1 and 3.
func TestHKDFVectors(t *testing.T) {
	for i, tt := range []struct{ ikm, salt, info, want string }{
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	} {
		out := make([]byte, len(tt.want)/2)
		if err := SHA256.HKDF(out, unhex(t, tt.ikm), unhex(t, tt.salt), unhex(t, tt.info)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, unhex(t, tt.want)) {
			t.Errorf("%d: %x", i, out)
		}
	}
}

func TestPBKDF2LikeStandardLibrary(t *testing.T) {
	for _, tt := range hashes {
		t.Run(tt.name, func(t *testing.T) {
			r := newRand(t)
			for n := range 150 {
				password, salt := randBytes(r, n), randBytes(r, int(r.Uint64()%80))
				iterations := 1 + n%7
				want, err := pbkdf2.Key(tt.std, string(password), salt, iterations, n+1)
				if err != nil {
					t.Fatal(err)
				}
				out := make([]byte, n+1)
				if err := tt.h.PBKDF2(out, password, salt, iterations); err != nil || !bytes.Equal(out, want) {
					t.Fatalf("%d bytes: %v or differs", n, err)
				}
			}
			for _, iterations := range []int{0, -1} {
				if err := tt.h.PBKDF2(make([]byte, 1), nil, nil, iterations); err == nil {
					t.Errorf("%d iterations: no error", iterations)
				}
			}
		})
	}
}

// RFC 7914, section 11.
func TestPBKDF2Vectors(t *testing.T) {
	for i, tt := range []struct {
		password, salt string
		iterations     int
		want           string
	}{
		{"passwd", "salt", 1,
			"55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
		{"Password", "NaCl", 80000,
			"4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
	} {
		out := make([]byte, 64)
		if err := SHA256.PBKDF2(out, []byte(tt.password), []byte(tt.salt), tt.iterations); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, unhex(t, tt.want)) {
			t.Errorf("%d: %x", i, out)
		}
	}
}

// RFC 7518, appendix C.
func TestConcatKDFVector(t *testing.T) {
	z := []byte{158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
		251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196}
	info := [][]byte{{0, 0, 0, 7}, []byte("A128GCM"), {0, 0, 0, 5}, []byte("Alice"), {0, 0, 0, 3}, []byte("Bob"), {0, 0, 0, 128}}
	out := make([]byte, 16)
	if err := SHA256.ConcatKDF(out, z, info...); err != nil {
		t.Fatal(err)
	}
	want := []byte{86, 170, 141, 234, 248, 35, 109, 32, 92, 34, 40, 205, 113, 167, 16, 26}
	if !bytes.Equal(out, want) {
		t.Errorf("%v", out)
	}
	// More than one round, put together by hand.
	long := make([]byte, 70)
	if err := SHA256.ConcatKDF(long, z, info...); err != nil {
		t.Fatal(err)
	}
	var rounds []byte
	for i := byte(1); i <= 3; i++ {
		sum := make([]byte, 32)
		SHA256.Sum(sum, append([][]byte{{0, 0, 0, i}, z}, info...)...)
		rounds = append(rounds, sum...)
	}
	if !bytes.Equal(long, rounds[:70]) {
		t.Error("three rounds: differs")
	}
}

func TestKDFAllocations(t *testing.T) {
	for _, tt := range hashes {
		noAllocs(t, tt.name+"/HKDF", func() {
			var out [200]byte
			var key [64]byte
			if tt.h.HKDF(out[:], key[:], key[:9], key[:7]) != nil {
				panic("unexpected")
			}
		})
		noAllocs(t, tt.name+"/PBKDF2", func() {
			var out [100]byte
			var key [200]byte
			if tt.h.PBKDF2(out[:], key[:], key[:9], 5) != nil {
				panic("unexpected")
			}
		})
		noAllocs(t, tt.name+"/ConcatKDF", func() {
			var out [100]byte
			var key [32]byte
			if tt.h.ConcatKDF(out[:], key[:], key[:4], key[:]) != nil {
				panic("unexpected")
			}
		})
	}
}

// BenchmarkPBKDF2 is one BIP39 seed: 2048 iterations of HMAC-SHA-512.
func BenchmarkPBKDF2(b *testing.B) {
	password := bytes.Repeat([]byte("abandon "), 24)
	var out [64]byte
	both := newTurns(b)
	for b.Loop() {
		both.run(func() {
			if err := SHA512.PBKDF2(out[:], password, []byte("mnemonic"), 2048); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if _, err := pbkdf2.Key(hashes[2].std, string(password), []byte("mnemonic"), 2048, 64); err != nil {
				b.Fatal(err)
			}
		})
	}
	both.report("ns/key", "×std")
}
