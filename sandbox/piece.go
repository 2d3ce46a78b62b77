package sandbox

import (
	"encoding/binary"
	"errors"
)

// A piece is a message, or a part of one that is large: the id that request and answer share (8 bytes), the kind (1),
// the length of the whole message (4), of this piece (4), all little-endian; then the bytes. The pieces of a message
// come in order on one pipe, with pieces of others between them.

type kind byte

const (
	kindRequest  kind = 1 + iota // 8 bytes, the time left in microseconds, 0 for no deadline; then the request
	kindDrop                     // nobody waits for the rest of a request any more, nor for its answer
	kindAnswer                   // what the handler returned
	kindFailure                  // the text of the error that it returned
	kindPanicked                 // empty
	kindTooLarge                 // empty: the answer was
	kindReady                    // id 0, once, on the first pipe: the layers
	kindRefused                  // instead: the layers, of which a required one is missing
	kindSetup                    // instead: the text of the error of setup
	kindMove                     // to the zone: 4 bytes, the processor where the caller will wait; he is alone on this pipe
	kindStep                     // before the report: the system call that comes next, which somebody's filter may forbid
)

const (
	pieceHead = 8 + 1 + 4 + 4
	maxPiece  = 32 << 10 // bytes of a message in one piece
	timeHead  = 8        // before a request
)

var errPiece = errors.New("sandbox: a piece that cannot be")

type piece struct {
	id    uint64
	kind  kind
	total int
	data  []byte
}

// appendPiece appends the piece of a message of total bytes that begins with data. The caller has seen that it fits.
func appendPiece(b []byte, id uint64, k kind, total int, data []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, id)
	b = append(b, byte(k))
	b = binary.LittleEndian.AppendUint32(b, uint32(total))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// appendRequest appends the first piece of a request, n bytes of it with the head.
func appendRequest(b []byte, id uint64, timeLeft uint64, request []byte, n int) []byte {
	b = binary.LittleEndian.AppendUint64(b, id)
	b = append(b, byte(kindRequest))
	b = binary.LittleEndian.AppendUint32(b, uint32(timeHead+len(request)))
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint64(b, timeLeft)
	return append(b, request[:n-timeHead]...)
}

// cutPiece takes the first piece off the pieces of a record.
func cutPiece(b []byte) (p piece, rest []byte, err error) {
	if len(b) < pieceHead {
		return piece{}, nil, errPiece
	}
	p.id = binary.LittleEndian.Uint64(b)
	p.kind = kind(b[8])
	total := binary.LittleEndian.Uint32(b[9:])
	n := binary.LittleEndian.Uint32(b[13:])
	b = b[pieceHead:]
	if total > MaxPayload+timeHead || n > total || n > maxPiece || uint64(n) > uint64(len(b)) || n == 0 && total > 0 {
		return piece{}, nil, errPiece
	}
	p.total = int(total)
	p.data = b[:n:n]
	return p, b[n:], nil
}

// A message is one whose pieces are being put together.
type message struct {
	kind  kind
	total int
	data  []byte
}

// add appends a piece and reports whether the message is whole.
func (m *message) add(p piece) (whole bool, err error) {
	if m.data == nil {
		*m = message{p.kind, p.total, make([]byte, 0, p.total)}
	}
	if p.kind != m.kind || p.total != m.total || len(m.data)+len(p.data) > m.total {
		return false, errPiece
	}
	m.data = append(m.data, p.data...)
	return len(m.data) == m.total, nil
}
