package primitive

import (
	"bytes"
	"crypto/cipher"
	"reflect"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
)

// The library's ChaCha20-Poly1305 is the fastest there is for Go, but its
// constructor copies the key into the heap. The object behind the interface that it
// returns is a struct of nothing but those 32 bytes. So an interface value of the
// same type whose data word points at the key where it lies is an AEAD over that
// key, without a copy. Whether the object still looks so is checked when the
// program starts, by its type and by a message; if it does not, chachaDirect is
// false and the construction is composed from its halves.

// chachaTemplate is an AEAD over a key of zeros. Only its type is used.
var chachaTemplate, _ = chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))

var chachaDirect = checkDirect()

// chachaOver returns the AEAD over key. It is valid for as long as key is.
func chachaOver(key *[32]byte) cipher.AEAD {
	aead := chachaTemplate
	(*interfaceWords)(unsafe.Pointer(&aead)).data = hidePointer(unsafe.Pointer(key))
	return aead
}

// interfaceWords is the memory of a non-empty interface value, as reflect has it.
type interfaceWords struct {
	table, data unsafe.Pointer
}

// hide returns b in a way that escape analysis cannot follow. A call through an
// interface makes it assume that the callee keeps the arguments, and it would move
// a caller's local array into the heap, plaintext and all. The methods called
// here keep nothing. The bytes cannot move meanwhile: the stack is copied only in
// calls, and the words are pointers to the compiler again before the first one.
func hide(b []byte) []byte {
	words := *(*[3]uintptr)(unsafe.Pointer(&b))
	return *(*[]byte)(unsafe.Pointer(&words))
}

func hidePointer(p unsafe.Pointer) unsafe.Pointer {
	word := *(*uintptr)(unsafe.Pointer(&p))
	return *(*unsafe.Pointer)(unsafe.Pointer(&word))
}

func chachaSealDirect(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, plaintext, ad []byte) []byte {
	return chachaOver(key).Seal(hide(dst), hide(nonce[:]), hide(plaintext), hide(ad))
}

func chachaOpenDirect(dst []byte, key *[32]byte, nonce *[ChaChaNonceSize]byte, ciphertext, ad []byte) ([]byte, error) {
	out, err := chachaOver(key).Open(hide(dst), hide(nonce[:]), hide(ciphertext), hide(ad))
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// checkDirect reports whether chachaOver does what it says with the library that
// this program was built with.
func checkDirect() bool {
	if chachaTemplate == nil {
		return false
	}
	t := reflect.TypeOf(chachaTemplate)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() != 1 ||
		t.Elem().Field(0).Type != reflect.TypeFor[[32]byte]() {
		return false
	}
	var key [32]byte
	var nonce [ChaChaNonceSize]byte
	var plaintext [100]byte
	for i := range key {
		key[i] = byte(0x80 + i)
	}
	ad := key[:7]
	sealed := chachaSealDirect(nil, &key, &nonce, plaintext[:], ad)
	if !bytes.Equal(sealed, chachaSealComposed(nil, &key, &nonce, plaintext[:], ad)) {
		return false
	}
	opened, err := chachaOpenDirect(make([]byte, 0, len(plaintext)), &key, &nonce, sealed, ad)
	if err != nil || !bytes.Equal(opened, plaintext[:]) {
		return false
	}
	sealed[0] ^= 1
	_, err = chachaOpenDirect(make([]byte, 0, len(plaintext)), &key, &nonce, sealed, ad)
	return err == ErrOpen
}
