package primitive

import (
	"encoding/binary"
	"errors"
	"runtime"
)

var (
	errHKDFLength = errors.New("primitive: HKDF output longer than 255 sums of its hash")
	errIterations = errors.New("primitive: PBKDF2 needs at least one iteration")
	errKDFLength  = errors.New("primitive: derived key too long")
)

// HMAC writes the HMAC (RFC 2104) of the concatenated parts under key, of any length,
// to the first [Hash.Size] bytes of out. It panics if out is shorter. out may
// overlap key and parts.
func (h Hash) HMAC(out, key []byte, parts ...[]byte) {
	_ = out[h.Size()-1]
	var pad [maxBlockSize]byte
	var inner [maxHashSize]byte
	block, sum := pad[:h.blockSize()], inner[:h.Size()]
	h.innerPad(block, key)
	h.sum(sum, block, nil, parts)
	outerPad(block)
	h.sum(out, block, sum, nil)
}

// innerPad fills block with the key, hashed first if it is longer than a block,
// XOR ipad (RFC 2104, section 2).
func (h Hash) innerPad(block, key []byte) {
	if len(key) > len(block) {
		h.sum(block, key, nil, nil)
	} else {
		copy(block, key)
	}
	for i := range block {
		block[i] ^= 0x36
	}
}

// outerPad turns what innerPad made into the key XOR opad.
func outerPad(block []byte) {
	for i := range block {
		block[i] ^= 0x36 ^ 0x5c
	}
}

// An hmacKey is an HMAC key of which both pads are absorbed already, which halves
// the work of each HMAC of a short message.
type hmacKey struct {
	inner, outer midstate
}

func (k *hmacKey) set(h Hash, key []byte) {
	var pad [maxBlockSize]byte
	block := pad[:h.blockSize()]
	h.innerPad(block, key)
	h.save(&k.inner, block)
	outerPad(block)
	h.save(&k.outer, block)
}

// mac writes the HMAC of a ‖ b to out, which may overlap both.
func (k *hmacKey) mac(h Hash, out, a, b []byte) {
	var inner [maxHashSize]byte
	sum := inner[:h.Size()]
	h.resume(sum, &k.inner, a, b)
	h.resume(out, &k.outer, sum, nil)
}

// HKDF fills out, of up to 255 sums, with key material derived from ikm (RFC 5869:
// extract, then expand). An empty salt means a salt of zeros, as in the RFC. out
// must not overlap info.
func (h Hash) HKDF(out, ikm, salt, info []byte) error {
	var buf [maxHashSize]byte
	prk := buf[:h.Size()]
	h.HMAC(prk, salt, ikm)
	return h.HKDFExpand(out, prk, info)
}

// HKDFExpand fills out, of up to 255 sums, from the pseudorandom key prk (RFC 5869,
// section 2.3). The first step of [Hash.HKDF], the extraction, is
// h.HMAC(prk, salt, ikm). out must overlap neither prk nor info.
func (h Hash) HKDFExpand(out, prk, info []byte) error {
	size := h.Size()
	if len(out) > 255*size {
		return errHKDFLength
	}
	var buf [maxHashSize]byte
	var previous []byte
	for counter := byte(1); len(out) > 0; counter++ {
		h.HMAC(buf[:size], prk, previous, info, []byte{counter})
		previous = buf[:size]
		out = out[copy(out, previous):]
	}
	return nil
}

// PBKDF2 fills out with a key derived from password and salt (RFC 8018, section
// 5.2, with HMAC as the pseudorandom function). out may overlap neither.
func (h Hash) PBKDF2(out, password, salt []byte, iterations int) error {
	if iterations < 1 {
		return errIterations
	}
	size := h.Size()
	if uint64(len(out)) > (1<<32-1)*uint64(size) {
		return errKDFLength
	}
	var key hmacKey
	var ubuf, tbuf [maxHashSize]byte
	key.set(h, password)
	u, t := ubuf[:size], tbuf[:size]
	for block := uint32(1); len(out) > 0; block++ {
		var index [4]byte
		binary.BigEndian.PutUint32(index[:], block)
		key.mac(h, u, salt, index[:])
		copy(t, u)
		for n := 1; n < iterations; n++ {
			if n%yieldRounds == 0 {
				runtime.Gosched()
			}
			key.mac(h, u, u, nil)
			for i := range t {
				t[i] ^= u[i]
			}
		}
		out = out[copy(out, t):]
	}
	return nil
}

// ConcatKDF fills out with a key derived from the shared secret z by the single-step
// function of NIST SP 800-56A, section 5.8.1. info is the concatenated OtherInfo,
// which for JWA (RFC 7518, section 4.6.2) is AlgorithmID ‖ PartyUInfo ‖ PartyVInfo
// ‖ SuppPubInfo ‖ SuppPrivInfo, the first three with a 32-bit big-endian length
// before them. out must overlap neither z nor info.
func (h Hash) ConcatKDF(out, z []byte, info ...[]byte) error {
	if uint64(len(out)) > (1<<32-1)*uint64(h.Size()) {
		return errKDFLength
	}
	size := h.Size()
	var buf [maxHashSize]byte
	for counter := uint32(1); len(out) > 0; counter++ {
		var index [4]byte
		binary.BigEndian.PutUint32(index[:], counter)
		h.sum(buf[:size], index[:], z, info)
		out = out[copy(out, buf[:size]):]
	}
	return nil
}
