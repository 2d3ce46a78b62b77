package primitive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"reflect"
)

// AESGCMNonceSize is the length of an AES-GCM nonce in bytes.
const AESGCMNonceSize = 12

var errKeyWrapLength = errors.New("primitive: AES key wrap takes 16 bytes or more, in steps of 8")

// The AES objects of the standard library hold the key schedule, from which the key
// follows, and they are in the heap: there is no other place for them. They are
// plain structs, so that overwriting them at the end leaves nothing.

// newAES returns AES-256 under key, to be given to zeroAES.
func newAES(key *[32]byte) cipher.Block {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	return block
}

// newGCM returns AES-256-GCM over block, with a copy of its key schedule.
func newGCM(block cipher.Block) cipher.AEAD {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	return aead
}

// zeroAES overwrites the object behind the interface value, a pointer to a struct.
func zeroAES(object any) {
	reflect.ValueOf(object).Elem().SetZero()
}

// AESGCMSeal encrypts plaintext with AES-256-GCM (NIST SP 800-38D), appends
// ciphertext ‖ tag to dst and returns the extended slice. The nonce must be unique
// for the key. To encrypt in place dst is plaintext[:0]; else they must not overlap.
// The key schedule is expanded anew each time, in the heap, and overwritten.
func AESGCMSeal(dst []byte, key *[32]byte, nonce *[AESGCMNonceSize]byte, plaintext, ad []byte) []byte {
	block := newAES(key)
	defer zeroAES(block)
	aead := newGCM(block)
	defer zeroAES(aead)
	return aead.Seal(hide(dst), hide(nonce[:]), hide(plaintext), hide(ad))
}

// AESGCMOpen authenticates and decrypts what [AESGCMSeal] made, appends the
// plaintext to dst and returns the extended slice, or [ErrOpen]. As with
// [ChaChaOpen] dst needs the capacity for the plaintext, or it panics.
func AESGCMOpen(dst []byte, key *[32]byte, nonce *[AESGCMNonceSize]byte, ciphertext, ad []byte) ([]byte, error) {
	if len(ciphertext) < AEADOverhead {
		return nil, ErrOpen
	}
	needRoom(dst, len(ciphertext)-AEADOverhead)
	block := newAES(key)
	defer zeroAES(block)
	aead := newGCM(block)
	defer zeroAES(aead)
	out, err := aead.Open(hide(dst), hide(nonce[:]), hide(ciphertext), hide(ad))
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// AESKeyWrapOverhead is what wrapping adds to a key.
const AESKeyWrapOverhead = 8

// keyWrapIV is the initial value of RFC 3394, section 2.2.3.1.
const keyWrapIV = 0xa6a6a6a6a6a6a6a6

// AESKeyWrap wraps key, of 16 bytes or more in steps of 8, under a 256-bit key
// encryption key (RFC 3394, section 2.2.1), appends the result, 8 bytes longer, to
// dst and returns the extended slice. They must not overlap. dst needs the capacity,
// or it panics: its tail holds the key before it holds the result.
func AESKeyWrap(dst []byte, kek *[32]byte, key []byte) ([]byte, error) {
	if len(key) < 16 || len(key)%8 != 0 {
		return nil, errKeyWrapLength
	}
	needRoom(dst, len(key)+AESKeyWrapOverhead)
	dst = dst[:len(dst)+len(key)+AESKeyWrapOverhead]
	out := dst[len(dst)-len(key)-AESKeyWrapOverhead:]
	copy(out[8:], key)

	block := newAES(kek)
	defer zeroAES(block)
	var buf [aes.BlockSize]byte
	b := hide(buf[:])
	binary.BigEndian.PutUint64(b, keyWrapIV)
	n := len(key) / 8
	for t := uint64(0); t < uint64(6*n); t++ {
		r := out[8*(1+t%uint64(n)):][:8]
		copy(b[8:], r)
		block.Encrypt(b, b)
		copy(r, b[8:])
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^(t+1))
	}
	copy(out, b[:8])
	return dst, nil
}

// AESKeyUnwrap unwraps what [AESKeyWrap] made (RFC 3394, section 2.2.2), appends the
// key to dst and returns the extended slice. It returns [ErrOpen] if the integrity
// check fails, with the tail of dst overwritten. They must not overlap. dst needs the
// capacity for the key, or it panics.
func AESKeyUnwrap(dst []byte, kek *[32]byte, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, ErrOpen
	}
	size := len(wrapped) - AESKeyWrapOverhead
	needRoom(dst, size)
	dst = dst[:len(dst)+size]
	out := dst[len(dst)-size:]
	copy(out, wrapped[8:])

	block := newAES(kek)
	defer zeroAES(block)
	var buf [aes.BlockSize]byte
	b := hide(buf[:])
	copy(b, wrapped[:8])
	n := size / 8
	for t := uint64(6*n) - 1; ; t-- {
		r := out[8*(t%uint64(n)):][:8]
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^(t+1))
		copy(b[8:], r)
		block.Decrypt(b, b)
		copy(r, b[8:])
		if t == 0 {
			break
		}
	}
	var iv [8]byte
	binary.BigEndian.PutUint64(iv[:], keyWrapIV)
	if subtle.ConstantTimeCompare(b[:8], iv[:]) != 1 {
		clear(out)
		return nil, ErrOpen
	}
	return dst, nil
}
