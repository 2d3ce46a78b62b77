package rust

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"
)

// The age v1 format (age-encryption.org/v1, C2SP age.md), as far as version 3 uses it: exactly one stanza, and that one
// scrypt. It is parsed here and not by filippo.io/age because that refuses the work factor 0 that real files have.
const (
	ageIntro      = "age-encryption.org/v1\n"
	ageStanza     = "-> scrypt "
	ageFooter     = "---"
	ageSaltSize   = 16
	ageFileKey    = 16
	ageWrapped    = ageFileKey + chacha20poly1305.Overhead
	ageNonceSize  = 16
	ageChunkPlain = 64 << 10
	ageChunk      = ageChunkPlain + chacha20poly1305.Overhead

	// maxWorkFactor is the highest that the Rust program reads.
	maxWorkFactor = 23
)

// Canonical base64 without padding. Go's decoder skips line breaks, so that the decoded length must be checked.
var ageBase64 = base64.RawStdEncoding.Strict()

type ageHeader struct {
	salt       [ageSaltSize]byte
	workFactor int // 0 to 99
	wrapped    [ageWrapped]byte
	mac        [sha256.Size]byte

	signed  []byte // what the MAC covers: from the intro up to and including "---"
	payload int    // offset of the payload in the file
}

// parseAgeHeader parses the age header of a version 3 file. All is at a fixed place but for the work factor, which has
// one or two digits and no leading zero.
func parseAgeHeader(file []byte) (*ageHeader, error) {
	h := new(ageHeader)
	off := headerSize
	damaged := func(reason string) error {
		return &DamagedError{Stage: StageContainer, Offset: off, Reason: reason}
	}
	literal := func(s string) bool {
		if !bytes.HasPrefix(file[off:], []byte(s)) {
			return false
		}
		off += len(s)
		return true
	}
	encoded := func(dst []byte) bool {
		n := ageBase64.EncodedLen(len(dst))
		if len(file)-off < n {
			return false
		}
		var buf [64]byte
		if m, err := ageBase64.Decode(buf[:], file[off:off+n]); err != nil || m != len(dst) {
			return false
		}
		copy(dst, buf[:])
		off += n
		return true
	}

	if !literal(ageIntro) {
		return nil, damaged("not an age v1 file")
	}
	if !literal(ageStanza) {
		return nil, damaged("no scrypt stanza")
	}
	if !encoded(h.salt[:]) || !literal(" ") {
		return nil, damaged("invalid scrypt salt")
	}
	digits := 0
	for digits < 2 && off+digits < len(file) && file[off+digits] >= '0' && file[off+digits] <= '9' {
		h.workFactor = 10*h.workFactor + int(file[off+digits]-'0')
		digits++
	}
	if digits == 0 || (digits == 2 && file[off] == '0') {
		return nil, damaged("invalid scrypt work factor")
	}
	off += digits
	if !literal("\n") {
		return nil, damaged("invalid scrypt work factor")
	}
	if !encoded(h.wrapped[:]) || !literal("\n") {
		return nil, damaged("invalid scrypt stanza body")
	}
	if !literal(ageFooter) {
		return nil, damaged("more than one age stanza, or no end of the header")
	}
	h.signed = file[headerSize:off]
	if !literal(" ") || !encoded(h.mac[:]) || !literal("\n") {
		return nil, damaged("invalid header MAC")
	}
	h.payload = off
	if len(file)-off < ageNonceSize+chacha20poly1305.Overhead {
		off = len(file)
		return nil, damaged("file is too short")
	}
	return h, nil
}

// openV3 opens header7 ‖ age file. A key whose file key opens is the right one: what fails after that is damage.
func openV3(file, key []byte, maxMemory uint64) ([]byte, error) {
	h, err := parseAgeHeader(file)
	if err != nil {
		return nil, err
	}
	wrapKey, err := deriveScrypt(key, h.salt[:], h.workFactor, maxMemory)
	if err != nil {
		return nil, err
	}
	defer clear(wrapKey)
	fileKey, err := chacha(wrapKey).Open(nil, make([]byte, chacha20poly1305.NonceSize), h.wrapped[:], nil)
	if err != nil {
		return nil, ErrWrongKey
	}
	defer clear(fileKey)
	if !hmac.Equal(ageMAC(fileKey, h.signed), h.mac[:]) {
		return nil, &DamagedError{Stage: StageContainer, Offset: headerSize, Reason: "header MAC does not match"}
	}
	return openStream(fileKey, file, h.payload)
}

// newFileKey makes the key of a version 3 file, and its header, which wraps that key. The work factor is 0 to
// maxWorkFactor.
func newFileKey(key []byte, workFactor int) (fileKey, file []byte, err error) {
	salt := make([]byte, ageSaltSize)
	rand.Read(salt)
	wrapKey, err := deriveScrypt(key, salt, workFactor, scryptMemory(maxWorkFactor))
	if err != nil {
		return nil, nil, err
	}
	defer clear(wrapKey)
	fileKey = make([]byte, ageFileKey)
	rand.Read(fileKey)
	wrapped := chacha(wrapKey).Seal(nil, make([]byte, chacha20poly1305.NonceSize), fileKey, nil)

	file = append(file, magic...)
	file = append(file, byte(V3), 0)
	file = append(file, ageIntro+ageStanza...)
	file = ageBase64.AppendEncode(file, salt)
	file = append(file, ' ')
	file = strconv.AppendInt(file, int64(workFactor), 10)
	file = append(file, '\n')
	file = ageBase64.AppendEncode(file, wrapped)
	file = append(file, "\n"+ageFooter...)
	mac := ageMAC(fileKey, file[headerSize:])
	file = append(file, ' ')
	file = ageBase64.AppendEncode(file, mac)
	return fileKey, append(file, '\n'), nil
}

func ageMAC(fileKey, signed []byte) []byte {
	key := hkdfSha256(fileKey, nil, "header")
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return mac.Sum(nil)
}

// openStream opens the STREAM payload of file[offset:]: a nonce for its key, then chunks of 64 KiB, of which only the
// last may be shorter, and empty only if it is the only one. The last chunk is marked in its nonce, so that a file cut
// between two chunks does not open.
func openStream(fileKey, file []byte, offset int) ([]byte, error) {
	key := hkdfSha256(fileKey, file[offset:offset+ageNonceSize], "payload")
	defer clear(key)
	aead := chacha(key)
	rest := file[offset+ageNonceSize:]
	chunks := (len(rest) + ageChunk - 1) / ageChunk
	plain := make([]byte, 0, len(rest))
	for i := range chunks {
		at := offset + ageNonceSize + i*ageChunk
		chunk := file[at:min(at+ageChunk, len(file))]
		last := i == chunks-1
		out, err := aead.Open(plain, streamNonce(i, last), chunk, nil)
		if err == nil && last && i > 0 && len(chunk) == chacha20poly1305.Overhead {
			err = errBox
		}
		if err != nil {
			clear(plain)
			return nil, &DamagedError{Stage: StagePayload, Offset: at, Reason: "chunk does not open"}
		}
		plain = out
	}
	return plain, nil
}

func sealStream(fileKey, dst, plain []byte) []byte {
	nonce := make([]byte, ageNonceSize)
	rand.Read(nonce)
	dst = append(dst, nonce...)
	key := hkdfSha256(fileKey, nonce, "payload")
	defer clear(key)
	aead := chacha(key)
	for i := 0; ; i++ {
		chunk := plain[:min(ageChunkPlain, len(plain))]
		plain = plain[len(chunk):]
		last := len(plain) == 0
		dst = aead.Seal(dst, streamNonce(i, last), chunk, nil)
		if last {
			return dst
		}
	}
}

// streamNonce is an 11-byte big-endian counter and a byte that is 1 for the last chunk.
func streamNonce(i int, last bool) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(nonce[3:11], uint64(i))
	if last {
		nonce[11] = 1
	}
	return nonce
}

func hkdfSha256(secret, salt []byte, info string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, KeySize)
	if err != nil {
		panic("rust: internal error: " + err.Error())
	}
	return key
}

func chacha(key []byte) interface {
	Seal(dst, nonce, plaintext, ad []byte) []byte
	Open(dst, nonce, ciphertext, ad []byte) ([]byte, error)
} {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic("rust: internal error: key of the wrong size")
	}
	return aead
}
