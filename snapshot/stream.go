package snapshot

import (
	"encoding/binary"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// The STREAM construction, as age has it: chunks of 64 KiB, each sealed with
// ChaCha20-Poly1305 (RFC 8439) under a nonce that is the chunk's number (11
// bytes, big-endian) and a byte that is 1 for the last. The last chunk is empty
// only if it is the first.
const (
	chunkSize = 64 << 10
	tagSize   = primitive.AEADOverhead
)

// chunkNonce is the nonce of chunk n.
func chunkNonce(n uint64, last bool) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[3:11], n)
	if last {
		nonce[11] = 1
	}
	return nonce
}

// streamSize is how long the ciphertext of n bytes is.
func streamSize(n int64) int64 {
	chunks := max(1, (n+chunkSize-1)/chunkSize)
	return n + chunks*tagSize
}

// streamWriter encrypts to w. Close writes the last chunk.
type streamWriter struct {
	w   io.Writer
	key *memory.Secret
	ad  []byte
	n   uint64
	buf []byte // the chunk so far; sealed in place
	tag [tagSize]byte
}

func newStreamWriter(w io.Writer, key *memory.Secret, ad []byte) *streamWriter {
	return &streamWriter{w: w, key: key, ad: ad, buf: make([]byte, 0, chunkSize+tagSize)}
}

func (s *streamWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(s.buf) == chunkSize {
			if err := s.flush(false); err != nil {
				return n, err
			}
		}
		k := min(len(p), chunkSize-len(s.buf))
		s.buf = append(s.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

func (s *streamWriter) Close() error { return s.flush(true) }

func (s *streamWriter) flush(last bool) error {
	nonce := chunkNonce(s.n, last)
	s.n++
	var sealed []byte
	memory.Erase(func() {
		s.key.Use(func(key []byte) error {
			sealed = primitive.ChaChaSeal(s.buf[:0], (*[32]byte)(key), &nonce, s.buf, s.ad)
			return nil
		})
	})
	copy(s.tag[:], sealed[len(sealed)-tagSize:])
	s.buf = s.buf[:0]
	_, err := s.w.Write(sealed)
	if h, ok := s.w.(*held); ok && !h.dropped && !last { // it keeps the one that it was given
		s.buf = make([]byte, 0, chunkSize+tagSize)
	}
	return err
}

// streamReader decrypts the next size bytes of r. Read gives io.EOF after the
// last chunk, and errMalformed for anything that does not authenticate.
type streamReader struct {
	r    io.Reader
	key  *memory.Secret
	ad   []byte
	size int64 // of ciphertext, still to come
	n    uint64
	buf  []byte
	rest []byte // plaintext not yet given out
	tag  [tagSize]byte
	err  error
}

func newStreamReader(r io.Reader, size int64, key *memory.Secret, ad []byte) *streamReader {
	s := &streamReader{r: r, key: key, ad: ad, size: size}
	if size < tagSize || size%(chunkSize+tagSize) != 0 && size%(chunkSize+tagSize) < tagSize {
		s.err = errMalformed
		return s
	}
	s.buf = make([]byte, min(size, chunkSize+tagSize))
	return s
}

func (s *streamReader) Read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.err == nil {
		s.err = s.next()
	}
	if len(s.rest) == 0 {
		return 0, s.err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *streamReader) next() error {
	if s.size == 0 {
		return io.EOF
	}
	b := s.buf[:min(s.size, chunkSize+tagSize)]
	if _, err := io.ReadFull(s.r, b); err != nil {
		return err
	}
	s.size -= int64(len(b))
	if len(b) == tagSize && s.n > 0 {
		return errMalformed // an empty chunk that is not the only one
	}
	nonce := chunkNonce(s.n, s.size == 0)
	s.n++
	copy(s.tag[:], b[len(b)-tagSize:])
	var err error
	memory.Erase(func() {
		err = s.key.Use(func(key []byte) error {
			var err error
			s.rest, err = primitive.ChaChaOpen(b[:0], (*[32]byte)(key), &nonce, b, s.ad)
			return err
		})
	})
	if err != nil {
		s.rest = nil
		return errMalformed
	}
	return nil
}
