package vault

import (
	"encoding/binary"
	"unsafe"
)

// packed is a record as it rests: one piece of memory that begins with the length of what follows (4 bytes), and one
// word that points to it. A slice would be three words, in a tree of a million of them.
type packed struct{ at *byte }

const packedHead = 4

// newPacked returns a piece with room for n bytes behind its head.
func newPacked(n int) packed {
	b := make([]byte, packedHead+n)
	binary.NativeEndian.PutUint32(b, uint32(n))
	return packed{&b[0]}
}

// bytes is what follows the head.
func (p packed) bytes() []byte {
	n := binary.NativeEndian.Uint32(unsafe.Slice(p.at, packedHead))
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p.at), packedHead)), n)
}

// fetch has the processor bring what a scan will read.
//
//go:noinline
func (p packed) fetch() byte {
	b := p.bytes()
	return b[0] ^ b[len(b)/2] ^ b[len(b)-1]
}
