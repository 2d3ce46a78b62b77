package rust

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"math"

	//lint:ignore SA1019 scrypt is built of this very core
	"golang.org/x/crypto/salsa20/salsa"
	"golang.org/x/crypto/scrypt"
)

const (
	scryptR    = 8
	scryptSalt = "age-encryption.org/v1/scrypt"
	blockSize  = 128 * scryptR // bytes that scrypt holds for each of its N steps
)

// scryptMemory returns the bytes that scrypt needs with N = 2^workFactor and r = 8: 1 KiB for each step.
func scryptMemory(workFactor int) uint64 {
	if workFactor > 53 { // 2^10 * 2^54 does not fit
		return math.MaxUint64
	}
	return blockSize << workFactor
}

// deriveScrypt returns the 32-byte key that wraps the file key. The passphrase is any bytes.
func deriveScrypt(passphrase, salt []byte, workFactor int, maxMemory uint64) ([]byte, error) {
	if need := scryptMemory(workFactor); need > maxMemory || need > math.MaxInt {
		return nil, &ExpensiveError{What: "scrypt", Needs: need, Allowed: min(maxMemory, math.MaxInt)}
	}
	salt = append([]byte(scryptSalt), salt...)
	if workFactor == 0 {
		return scryptOnce(passphrase, salt), nil
	}
	key, err := scrypt.Key(passphrase, salt, 1<<workFactor, scryptR, 1, KeySize)
	if err != nil {
		panic("rust: internal error: " + err.Error())
	}
	return key, nil
}

// scryptOnce is scrypt (RFC 7914) with N = 1, r = 8, p = 1. The RFC asks for an N above 1 and so does x/crypto, but the
// Rust program writes such files: a key from a real password hash needs no second one, and it set the work factor to 0.
func scryptOnce(passphrase, salt []byte) []byte {
	b := pbkdf2Sha256(passphrase, salt, blockSize)
	defer clear(b)
	v := append([]byte(nil), b...) // V[0], the only step of the memory-hard part
	defer clear(v)

	blockMix(b)
	for i := range b {
		b[i] ^= v[i]
	}
	blockMix(b)
	return pbkdf2Sha256(passphrase, b, KeySize)
}

func pbkdf2Sha256(passphrase, salt []byte, size int) []byte {
	key, err := pbkdf2.Key(sha256.New, string(passphrase), salt, 1, size)
	if err != nil {
		panic("rust: internal error: " + err.Error())
	}
	return key
}

// blockMix is scryptBlockMix of RFC 7914 section 4, in place: each of the 2r blocks of 64 bytes is mixed with the one
// before it by Salsa20/8, and the even ones move in front of the odd ones.
func blockMix(b []byte) {
	const n = 2 * scryptR
	var out [n][64]byte
	x := [64]byte(b[(n-1)*64:])
	for i := range n {
		for j := 0; j < 64; j += 8 {
			word := binary.LittleEndian.Uint64(x[j:]) ^ binary.LittleEndian.Uint64(b[i*64+j:])
			binary.LittleEndian.PutUint64(x[j:], word)
		}
		salsa.Core208(&x, &x)
		out[i/2+(i%2)*scryptR] = x
	}
	for i := range n {
		copy(b[i*64:], out[i][:])
		clear(out[i][:])
	}
	clear(x[:])
}
