package rust

import "encoding/binary"

// A sequence of an LZ4 block: literal bytes, then a match that copies from what was written before.
// See the block format of the LZ4 project (lz4_Block_format.md).
type sequence struct {
	literals []byte
	offset   int
	match    uint64 // length in bytes; 0 for a last sequence, which has no match
}

// lz4Reader walks over a block. It does not hold the rules about how a block must end (five literals, no match near the
// end): the Rust encoder does not keep them, and its decoder takes a block that ends after a match.
type lz4Reader struct {
	src []byte
	off int
}

func (r *lz4Reader) damaged(reason string) error {
	return &DamagedError{Stage: StageLZ4, Offset: r.off, Reason: reason}
}

// next returns the next sequence. It is called only while there is input.
func (r *lz4Reader) next() (s sequence, err error) {
	token := r.src[r.off]
	r.off++
	n, err := r.length(uint64(token >> 4))
	if err != nil {
		return s, err
	}
	if n > uint64(len(r.src)-r.off) {
		return s, r.damaged("literals run over the end")
	}
	s.literals = r.src[r.off : r.off+int(n)]
	r.off += int(n)
	if r.off == len(r.src) {
		return s, nil
	}
	if len(r.src)-r.off < 2 {
		return s, r.damaged("match is cut")
	}
	s.offset = int(binary.LittleEndian.Uint16(r.src[r.off:]))
	r.off += 2
	s.match, err = r.length(uint64(token & 15))
	s.match += 4
	return s, err
}

// length adds to a nibble of 15 all bytes up to the first that is not 255. A uint64 holds the sum for any input.
func (r *lz4Reader) length(nibble uint64) (uint64, error) {
	if nibble < 15 {
		return nibble, nil
	}
	for {
		if r.off == len(r.src) {
			return 0, r.damaged("length is cut")
		}
		b := r.src[r.off]
		r.off++
		nibble += uint64(b)
		if b != 255 {
			return nibble, nil
		}
	}
}

// decompress decodes an LZ4 block of up to limit decoded bytes. It walks over the block twice: a block can grow
// 255-fold, so its size is known before anything is allocated, and no plaintext is left behind in memory that was grown.
func decompress(src []byte, limit uint64) ([]byte, error) {
	var size uint64
	for r := (lz4Reader{src: src}); r.off < len(src); {
		at := r.off
		s, err := r.next()
		if err != nil {
			return nil, err
		}
		size += uint64(len(s.literals))
		if s.match > 0 && (s.offset == 0 || uint64(s.offset) > size) {
			return nil, &DamagedError{Stage: StageLZ4, Offset: at, Reason: "match reaches before the start"}
		}
		size += s.match
	}
	if size > limit {
		return nil, &ExpensiveError{What: "lz4", Needs: size, Allowed: limit}
	}

	dst := make([]byte, 0, size)
	for r := (lz4Reader{src: src}); r.off < len(src); {
		s, err := r.next()
		if err != nil {
			panic("rust: internal error: lz4 block changed")
		}
		dst = append(dst, s.literals...)
		// A match may overlap what it writes: then it repeats with the period of its offset. What is there to copy doubles
		// with each step and stays a multiple of the period.
		for from := len(dst) - s.offset; s.match > 0; {
			n := min(uint64(len(dst)-from), s.match)
			dst = append(dst, dst[from:from+int(n)]...)
			s.match -= n
		}
	}
	return dst, nil
}

// compress returns an LZ4 block that holds the input as one run of literals. A snapshot is ciphertext for the most part
// and does not get smaller; what does is not worth an encoder.
func compress(src []byte) []byte {
	n := len(src)
	dst := make([]byte, 0, n+n/255+2)
	if n < 15 {
		dst = append(dst, byte(n)<<4)
	} else {
		dst = append(dst, 15<<4)
		for n -= 15; n >= 255; n -= 255 {
			dst = append(dst, 255)
		}
		dst = append(dst, byte(n))
	}
	return append(dst, src...)
}
