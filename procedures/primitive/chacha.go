package primitive

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20"
	//lint:ignore SA1019 the fallback needs it apart from its cipher
	"golang.org/x/crypto/poly1305"
)

const (
	// AEADOverhead is what sealing adds to a plaintext: the 16-byte tag.
	AEADOverhead = 16
	// ChaChaNonceSize and XChaChaNonceSize are the lengths of a nonce in bytes. Only
	// the longer one may be chosen at random for any number of messages under a key.
	ChaChaNonceSize  = 12
	XChaChaNonceSize = 24
)

// ErrOpen is returned when a ciphertext, its key, its nonce or its associated data
// is not what was sealed. It never says which.
var ErrOpen = errors.New("primitive: message authentication failed")

// ChaChaSeal encrypts plaintext with ChaCha20-Poly1305 (RFC 8439, section 2.8),
// appends ciphertext ‖ tag to dst and returns the extended slice. The nonce must be
// unique for the key. To encrypt in place dst is plaintext[:0]; else they must not
// overlap. It allocates only if dst lacks the capacity.
func ChaChaSeal(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, plaintext, ad []byte) []byte {
	if chachaDirect {
		return chachaSealDirect(dst, key, nonce, plaintext, ad)
	}
	return chachaSealComposed(dst, key, nonce, plaintext, ad)
}

// ChaChaOpen authenticates and decrypts what [ChaChaSeal] made, appends the
// plaintext to dst and returns the extended slice, or [ErrOpen]. dst needs the
// capacity for the plaintext, which would otherwise be allocated in the heap:
// ChaChaOpen panics instead. To decrypt in place dst is ciphertext[:0]. When it
// fails the capacity of dst may have been overwritten with zeros.
func ChaChaOpen(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, ciphertext, ad []byte) ([]byte, error) {
	if len(ciphertext) < AEADOverhead {
		return nil, ErrOpen
	}
	needRoom(dst, len(ciphertext)-AEADOverhead)
	if chachaDirect {
		return chachaOpenDirect(dst, key, nonce, ciphertext, ad)
	}
	return chachaOpenComposed(dst, key, nonce, ciphertext, ad)
}

// XChaChaSeal is [ChaChaSeal] with a 24-byte nonce: XChaCha20-Poly1305
// (draft-irtf-cfrg-xchacha-03, section 2).
func XChaChaSeal(dst []byte, key *[32]byte, nonce *[XChaChaNonceSize]byte, plaintext, ad []byte) []byte {
	var subkey [32]byte
	var subnonce [ChaChaNonceSize]byte
	xchachaDerive(&subkey, &subnonce, key, nonce)
	return ChaChaSeal(dst, &subkey, &subnonce, plaintext, ad)
}

// XChaChaOpen is [ChaChaOpen] for what [XChaChaSeal] made.
func XChaChaOpen(dst []byte, key *[32]byte, nonce *[XChaChaNonceSize]byte, ciphertext, ad []byte) ([]byte, error) {
	var subkey [32]byte
	var subnonce [ChaChaNonceSize]byte
	xchachaDerive(&subkey, &subnonce, key, nonce)
	return ChaChaOpen(dst, &subkey, &subnonce, ciphertext, ad)
}

func xchachaDerive(subkey *[32]byte, subnonce *[ChaChaNonceSize]byte, key *[32]byte, nonce *[XChaChaNonceSize]byte) {
	h, err := chacha20.HChaCha20(key[:], nonce[:16])
	if err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	copy(subkey[:], h)
	copy(subnonce[4:], nonce[16:])
}

// needRoom panics if appending n bytes to dst would allocate. A plaintext must never
// land in the heap because a buffer was too small.
func needRoom(dst []byte, n int) {
	if cap(dst)-len(dst) < n {
		panic("primitive: output buffer without room for the plaintext")
	}
}

// chachaSealComposed and chachaOpenComposed put the construction together from its
// two halves, all on the stack. They stand in for the library's own where the
// self-test of chacha_unsafe.go fails, at half of its speed or less.

func chachaSealComposed(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, plaintext, ad []byte) []byte {
	n := len(dst)
	if cap(dst)-n < len(plaintext)+AEADOverhead {
		dst = append(make([]byte, 0, n+len(plaintext)+AEADOverhead), dst...)
	}
	out := dst[n : n+len(plaintext)+AEADOverhead]
	ciphertext, tag := out[:len(plaintext)], out[len(plaintext):]
	stream, err := chacha20.NewUnauthenticatedCipher(key[:], nonce[:])
	if err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	var polyKey [32]byte
	stream.XORKeyStream(polyKey[:], polyKey[:])
	stream.SetCounter(1)
	stream.XORKeyStream(ciphertext, plaintext)
	chachaTag(tag, &polyKey, ciphertext, ad)
	return dst[:n+len(out)]
}

func chachaOpenComposed(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, ciphertext, ad []byte) ([]byte, error) {
	ciphertext, tag := ciphertext[:len(ciphertext)-AEADOverhead], ciphertext[len(ciphertext)-AEADOverhead:]
	stream, err := chacha20.NewUnauthenticatedCipher(key[:], nonce[:])
	if err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	var polyKey [32]byte
	stream.XORKeyStream(polyKey[:], polyKey[:])
	stream.SetCounter(1)
	var want [AEADOverhead]byte
	chachaTag(want[:], &polyKey, ciphertext, ad)
	if subtle.ConstantTimeCompare(want[:], tag) != 1 {
		return nil, ErrOpen
	}
	out := dst[len(dst) : len(dst)+len(ciphertext)]
	stream.XORKeyStream(out, ciphertext)
	return dst[:len(dst)+len(out)], nil
}

// chachaTag writes the Poly1305 tag of RFC 8439, section 2.8, to tag.
func chachaTag(tag []byte, polyKey *[32]byte, ciphertext, ad []byte) {
	var zeros [15]byte
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:8], uint64(len(ad)))
	binary.LittleEndian.PutUint64(lengths[8:], uint64(len(ciphertext)))
	mac := poly1305.New(polyKey)
	mac.Write(ad)
	mac.Write(zeros[:-len(ad)&15])
	mac.Write(ciphertext)
	mac.Write(zeros[:-len(ciphertext)&15])
	mac.Write(lengths[:])
	mac.Sum(tag[:0])
}
