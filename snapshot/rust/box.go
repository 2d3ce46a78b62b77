package rust

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// The box that seals records within a snapshot: XChaCha20-Poly1305 with a random nonce. Since 0.3 it is written tag
// first, as the container of version 1 is not and the box of the alpha is not either.
const (
	nonceSize   = chacha20poly1305.NonceSizeX
	tagSize     = chacha20poly1305.Overhead
	boxOverhead = tagSize + nonceSize
)

var errBox = errors.New("rust: box does not open")

// sealBox returns tag ‖ nonce ‖ ciphertext.
func sealBox(key, ad, plain []byte) []byte {
	box := make([]byte, boxOverhead, boxOverhead+len(plain)+tagSize)
	nonce := box[tagSize:boxOverhead]
	rand.Read(nonce)
	box = xchacha(key).Seal(box, nonce, plain, ad)
	copy(box, box[boxOverhead+len(plain):])
	return box[:boxOverhead+len(plain)]
}

// openBox opens tag ‖ nonce ‖ ciphertext.
func openBox(key, ad, box []byte) ([]byte, error) {
	if len(box) < boxOverhead {
		return nil, errBox
	}
	return openDetached(key, box[tagSize:boxOverhead], ad, box[:tagSize], box[boxOverhead:])
}

// openAlphaBox opens nonce ‖ ciphertext ‖ tag, the box of the alpha.
func openAlphaBox(key, ad, box []byte) ([]byte, error) {
	if len(box) < boxOverhead {
		return nil, errBox
	}
	end := len(box) - tagSize
	return openDetached(key, box[:nonceSize], ad, box[end:], box[nonceSize:end])
}

// openDetached opens a ciphertext whose tag is held elsewhere, into memory of its own.
func openDetached(key, nonce, ad, tag, ciphertext []byte) ([]byte, error) {
	buf := make([]byte, 0, len(ciphertext)+tagSize)
	buf = append(append(buf, ciphertext...), tag...)
	plain, err := xchacha(key).Open(buf[:0], nonce, buf, ad)
	if err != nil {
		return nil, errBox
	}
	return plain, nil
}

func xchacha(key []byte) interface {
	Seal(dst, nonce, plaintext, ad []byte) []byte
	Open(dst, nonce, ciphertext, ad []byte) ([]byte, error)
} {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("rust: internal error: key of the wrong size")
	}
	return aead
}
