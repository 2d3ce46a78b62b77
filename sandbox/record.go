package sandbox

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// What goes through a pipe is a sequence of records: four bytes, the length of the rest, little-endian; then pieces
// (piece.go), sealed with ChaCha20-Poly1305 under the key of this pipe and direction, the length as additional data,
// the number of the record as nonce. So a record that is changed, repeated, left out or moved does not open.

const (
	recordHead = 4
	maxRecord  = 64 << 10 // bytes of pieces in a record
	overhead   = chacha20poly1305.Overhead
)

var (
	errCounter = errors.New("sandbox: the counter of a pipe is used up")
	errLength  = errors.New("sandbox: a record of impossible length")
	errOpen    = errors.New("sandbox: a record that does not open")
)

// A sequence is a key with the number of the next record, of which each is used once.
type sequence struct {
	aead cipher.AEAD
	next uint64
	nonc [chacha20poly1305.NonceSize]byte
}

func newSequence(key []byte) (sequence, error) {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return sequence{}, fmt.Errorf("sandbox: pipe key: %w", err)
	}
	return sequence{aead: aead}, nil
}

// nonce returns the nonce of the next record. The last number is never used, so that it cannot wrap to the first.
func (s *sequence) nonce() ([]byte, error) {
	if s.next == math.MaxUint64 {
		return nil, errCounter
	}
	binary.LittleEndian.PutUint64(s.nonc[4:], s.next)
	s.next++
	return s.nonc[:], nil
}

// A sealer makes the records of one direction.
type sealer struct{ sequence }

// newRecord empties b for the pieces of a record, and makes it large enough when it is nil.
func newRecord(b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, recordHead+maxRecord+overhead)
	}
	return b[:recordHead]
}

// room is how many bytes fit into the record b still.
func room(b []byte) int { return recordHead + maxRecord - len(b) }

// seal makes a record of what was appended to newRecord, in place.
func (s *sealer) seal(b []byte) ([]byte, error) {
	n := len(b) - recordHead
	if n <= 0 || n > maxRecord {
		panic("sandbox: internal error: sealing an empty record, or one too large")
	}
	nonce, err := s.nonce()
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(b, uint32(n+overhead))
	return s.aead.Seal(b[:recordHead], nonce, b[recordHead:], b[:recordHead]), nil
}

// An opener reads the records of one direction.
type opener struct {
	sequence
	r          io.Reader
	buf        []byte // what was read and not returned yet is buf[start:end]
	start, end int
}

// bufferSize holds the longest record, and as many short ones as one read may bring.
const bufferSize = recordHead + maxRecord + overhead

// record returns the pieces of the next record. They are valid until the next call. io.EOF is the end of the pipe
// between two records, io.ErrUnexpectedEOF within one.
func (o *opener) record() ([]byte, error) {
	if err := o.fill(recordHead); err != nil {
		return nil, err
	}
	head := o.buf[o.start : o.start+recordHead]
	n := binary.LittleEndian.Uint32(head)
	if n <= overhead || n > maxRecord+overhead {
		return nil, errLength
	}
	if err := o.fill(recordHead + int(n)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	head = o.buf[o.start : o.start+recordHead]
	body := o.buf[o.start+recordHead : o.start+recordHead+int(n)]
	o.start += recordHead + int(n)
	nonce, err := o.nonce()
	if err != nil {
		return nil, err
	}
	plain, err := o.aead.Open(body[:0], nonce, body, head)
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// fill reads until n bytes are there.
func (o *opener) fill(n int) error {
	if o.end-o.start >= n {
		return nil
	}
	if o.buf == nil {
		o.buf = make([]byte, bufferSize)
	}
	if o.start == o.end {
		o.start, o.end = 0, 0
	}
	if o.start+n > len(o.buf) {
		o.end = copy(o.buf, o.buf[o.start:o.end])
		o.start = 0
	}
	for o.end-o.start < n {
		got, err := o.r.Read(o.buf[o.end:])
		o.end += got
		if err != nil && o.end-o.start < n {
			if err == io.EOF && o.end > o.start {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// buffered reports whether a whole record was read already, so that record will not block.
func (o *opener) buffered() bool {
	if o.end-o.start < recordHead {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(o.buf[o.start:]))
	return int64(o.end-o.start) >= recordHead+n
}

// detach leaves the buffer to whoever holds pieces of it and goes on with another.
func (o *opener) detach() {
	rest := o.buf[o.start:o.end]
	o.buf = make([]byte, bufferSize)
	o.start, o.end = 0, copy(o.buf, rest)
}
