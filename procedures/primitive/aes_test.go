package primitive

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"reflect"
	"testing"
)

func TestAESGCMLikeStandardLibrary(t *testing.T) {
	testAEAD(t, aeadFuncs{
		"AESGCM", 12,
		func(dst []byte, key *[32]byte, nonce, plaintext, ad []byte) []byte {
			return AESGCMSeal(dst, key, (*[12]byte)(nonce), plaintext, ad)
		},
		func(dst []byte, key *[32]byte, nonce, ciphertext, ad []byte) ([]byte, error) {
			return AESGCMOpen(dst, key, (*[12]byte)(nonce), ciphertext, ad)
		},
		func(key []byte) (cipher.AEAD, error) {
			block, err := aes.NewCipher(key)
			if err != nil {
				return nil, err
			}
			return cipher.NewGCM(block)
		},
	})
}

// The Galois/Counter Mode of Operation (McGrew, Viega), appendix B, test case 16.
func TestAESGCMVector(t *testing.T) {
	key := [32]byte(unhex(t, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"))
	nonce := [12]byte(unhex(t, "cafebabefacedbaddecaf888"))
	plaintext := unhex(t, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
	ad := unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2")
	want := unhex(t, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b")
	if got := AESGCMSeal(nil, &key, &nonce, plaintext, ad); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

// RFC 3394, sections 4.3, 4.5 and 4.6: the vectors with a 256-bit key encryption key.
func TestAESKeyWrapVectors(t *testing.T) {
	kek := [32]byte(unhex(t, "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"))
	for _, tt := range []struct{ key, want string }{
		{"00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		key, want := unhex(t, tt.key), unhex(t, tt.want)
		got, err := AESKeyWrap(append(make([]byte, 0, 60), "head"...), &kek, key)
		if err != nil || !bytes.Equal(got, append([]byte("head"), want...)) {
			t.Errorf("wrap %d bytes: %v %x", len(key), err, got)
		}
		got, err = AESKeyUnwrap(append(make([]byte, 0, 60), "head"...), &kek, want)
		if err != nil || !bytes.Equal(got, append([]byte("head"), key...)) {
			t.Errorf("unwrap %d bytes: %v %x", len(key), err, got)
		}
		for i := range want {
			broken := bytes.Clone(want)
			broken[i] ^= 0x10
			out := make([]byte, 0, len(key))
			if _, err := AESKeyUnwrap(out, &kek, broken); !errors.Is(err, ErrOpen) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			if !bytes.Equal(out[:len(key)], make([]byte, len(key))) {
				t.Errorf("byte %d changed: what failed the check stays in the output", i)
			}
		}
	}
}

func TestAESKeyWrapRoundTrip(t *testing.T) {
	r := newRand(t)
	for n := 0; n <= 160; n++ {
		kek, key := [32]byte(randBytes(r, 32)), randBytes(r, n)
		wrapped, err := AESKeyWrap(make([]byte, 0, n+8), &kek, key)
		if n < 16 || n%8 != 0 {
			if err == nil {
				t.Errorf("%d bytes wrapped", n)
			}
			if _, err := AESKeyUnwrap(nil, &kek, make([]byte, n+8)); !errors.Is(err, ErrOpen) {
				t.Errorf("%d bytes: unwrap: %v", n+8, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := AESKeyUnwrap(make([]byte, 0, n), &kek, wrapped)
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("%d bytes: %v or differs", n, err)
		}
	}
}

func TestAESNeedsRoom(t *testing.T) {
	var key [32]byte
	var nonce [12]byte
	sealed := AESGCMSeal(nil, &key, &nonce, []byte("secret"), nil)
	mustPanic(t, "GCM", func() { AESGCMOpen(nil, &key, &nonce, sealed, nil) })
	mustPanic(t, "wrap", func() { AESKeyWrap(nil, &key, make([]byte, 16)) })
	wrapped, err := AESKeyWrap(make([]byte, 0, 24), &key, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "unwrap", func() { AESKeyUnwrap(nil, &key, wrapped) })
}

// All that AES keeps must be inside of the two objects that zeroAES overwrites.
func TestAESObjectsArePlainAndAreOverwritten(t *testing.T) {
	var plain func(reflect.Type) bool
	plain = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				if !plain(typ.Field(i).Type) {
					return false
				}
			}
			return true
		case reflect.Array:
			return plain(typ.Elem())
		case reflect.Uint8, reflect.Uint32, reflect.Uint64, reflect.Int:
			return true
		}
		return false
	}
	block := newAES(&[32]byte{1})
	aead := newGCM(block)
	for _, object := range []any{block, aead} {
		v := reflect.ValueOf(object)
		if v.Kind() != reflect.Pointer || !plain(v.Type().Elem()) {
			t.Errorf("%s is not a pointer to plain bytes", v.Type())
		}
		zeroAES(object)
		if !v.Elem().IsZero() {
			t.Errorf("%s is not overwritten", v.Type())
		}
	}
	// Nothing else is allocated that could hold key or plaintext.
	if raceEnabled {
		return
	}
	n := testing.AllocsPerRun(50, func() {
		var key [32]byte
		var nonce [12]byte
		var plaintext, opened [100]byte
		var buf [116]byte
		if _, err := AESGCMOpen(opened[:0], &key, &nonce, AESGCMSeal(buf[:0], &key, &nonce, plaintext[:], nil), nil); err != nil {
			panic(err)
		}
	})
	if n != 4 {
		t.Errorf("GCM: %v allocations, want 2 objects each way", n)
	}
	n = testing.AllocsPerRun(50, func() {
		var key [32]byte
		var plaintext [32]byte
		var buf, opened [40]byte
		wrapped, err := AESKeyWrap(buf[:0], &key, plaintext[:])
		if err != nil {
			panic(err)
		}
		if _, err := AESKeyUnwrap(opened[:0], &key, wrapped); err != nil {
			panic(err)
		}
	})
	if n != 2 {
		t.Errorf("key wrap: %v allocations, want 1 object each way", n)
	}
}
