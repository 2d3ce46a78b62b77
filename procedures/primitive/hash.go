package primitive

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"runtime"
	"strconv"
)

// A Hash is one of the SHA-2 functions of FIPS 180-4, and names the constructions
// over it: [Hash.HMAC], [Hash.HKDF] and [Hash.PBKDF2]. The zero value is none of
// them and panics when used.
type Hash uint8

const (
	SHA256 Hash = 1 + iota // 32-byte sums
	SHA384                 // 48-byte sums
	SHA512                 // 64-byte sums
)

const (
	maxHashSize  = sha512.Size
	maxBlockSize = sha512.BlockSize
)

// Size returns the length of a sum in bytes: 32, 48 or 64.
func (h Hash) Size() int {
	switch h {
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	panic(h.unknown())
}

func (h Hash) blockSize() int {
	switch h {
	case SHA256:
		return sha256.BlockSize
	case SHA384, SHA512:
		return sha512.BlockSize
	}
	panic(h.unknown())
}

func (h Hash) unknown() string {
	return "primitive: internal error: unknown hash " + strconv.Itoa(int(h))
}

// Sum writes the hash of the concatenated parts to the first [Hash.Size] bytes of
// out. It panics if out is shorter. out may overlap the parts.
func (h Hash) Sum(out []byte, parts ...[]byte) {
	_ = out[h.Size()-1]
	h.sum(out, nil, nil, parts)
}

// sum writes H(a ‖ b ‖ rest...) to out.
//
// The three branches differ in one word, and have to: only where the compiler sees
// which function made the digest does it put the digest on the stack. Through a
// variable of type hash.Hash it would go to the heap with what it has absorbed.
func (h Hash) sum(out, a, b []byte, rest [][]byte) {
	switch h {
	case SHA256:
		d := sha256.New()
		d.Write(a)
		d.Write(b)
		for _, p := range rest {
			for len(p) > yieldBytes {
				d.Write(p[:yieldBytes])
				runtime.Gosched()
				p = p[yieldBytes:]
			}
			d.Write(p)
		}
		d.Sum(out[:0])
	case SHA384:
		d := sha512.New384()
		d.Write(a)
		d.Write(b)
		for _, p := range rest {
			for len(p) > yieldBytes {
				d.Write(p[:yieldBytes])
				runtime.Gosched()
				p = p[yieldBytes:]
			}
			d.Write(p)
		}
		d.Sum(out[:0])
	case SHA512:
		d := sha512.New()
		d.Write(a)
		d.Write(b)
		for _, p := range rest {
			for len(p) > yieldBytes {
				d.Write(p[:yieldBytes])
				runtime.Gosched()
				p = p[yieldBytes:]
			}
			d.Write(p)
		}
		d.Sum(out[:0])
	default:
		panic(h.unknown())
	}
}

// A midstate is the state of a hash that has absorbed whole blocks, in the encoding
// of the standard library, which is the only way it offers to copy a state without
// allocating. SHA-256 uses the first 108 bytes, the others all 204.
type midstate [4 + 8*8 + maxBlockSize + 8]byte

const midstateSize256 = 4 + 8*4 + sha256.BlockSize + 8

// save absorbs block, a whole block of h, into a fresh hash and stores its state.
func (h Hash) save(m *midstate, block []byte) {
	var state []byte
	var err error
	switch h {
	case SHA256:
		d := sha256.New()
		d.Write(block)
		state, err = d.(encoding.BinaryAppender).AppendBinary(m[:0])
	case SHA384:
		d := sha512.New384()
		d.Write(block)
		state, err = d.(encoding.BinaryAppender).AppendBinary(m[:0])
	case SHA512:
		d := sha512.New()
		d.Write(block)
		state, err = d.(encoding.BinaryAppender).AppendBinary(m[:0])
	default:
		panic(h.unknown())
	}
	if err != nil || len(state) != h.midstateSize() || &state[0] != &m[0] {
		panic("primitive: internal error: hash state of an unexpected size")
	}
}

// resume writes the hash of what m has absorbed, followed by a and b, to out.
func (h Hash) resume(out []byte, m *midstate, a, b []byte) {
	var err error
	switch h {
	case SHA256:
		d := sha256.New()
		err = d.(encoding.BinaryUnmarshaler).UnmarshalBinary(m[:midstateSize256])
		d.Write(a)
		d.Write(b)
		d.Sum(out[:0])
	case SHA384:
		d := sha512.New384()
		err = d.(encoding.BinaryUnmarshaler).UnmarshalBinary(m[:])
		d.Write(a)
		d.Write(b)
		d.Sum(out[:0])
	case SHA512:
		d := sha512.New()
		err = d.(encoding.BinaryUnmarshaler).UnmarshalBinary(m[:])
		d.Write(a)
		d.Write(b)
		d.Sum(out[:0])
	default:
		panic(h.unknown())
	}
	if err != nil {
		panic("primitive: internal error: hash state refused")
	}
}

func (h Hash) midstateSize() int {
	if h == SHA256 {
		return midstateSize256
	}
	return len(midstate{})
}
