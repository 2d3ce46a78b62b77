package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Errors of reading a frame. After any of them the stream is of no more use.
var (
	ErrFrameTooLong = fmt.Errorf("protocol: frame is longer than %d bytes", MaxFrame)
	ErrMalformed    = errors.New("protocol: malformed frame")
)

// maxDepth bounds messages within messages: a frame, a request, its steps, their
// locations, and room for what comes.
const maxDepth = 8

// Unmarshal decodes b into m, strictly: unknown fields and unknown enum values
// are refused, at every depth. The error never shows what was in b.
func Unmarshal(b []byte, m proto.Message) error { return unmarshal(b, m, false) }

// UnmarshalOwned is Unmarshal for a b that is the caller's and does not change any more:
// m may have pieces of it.
func UnmarshalOwned(b []byte, m proto.Message) error { return unmarshal(b, m, true) }

func unmarshal(b []byte, m proto.Message, ours bool) error {
	if quickly(b, m, ours) {
		return nil
	}
	proto.Reset(m) // of what was decoded before it was given up
	// The decoder's own error may quote its input.
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(b, m); err != nil {
		return ErrMalformed
	}
	if !shapeFor(m).strict(b) {
		return fmt.Errorf("%w: unknown field or value", ErrMalformed)
	}
	return nil
}

// Marshal encodes m, the same message always to the same bytes.
func Marshal(m proto.Message) ([]byte, error) {
	if b, ok := quickMarshal(m); ok {
		return b, nil
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// AppendDurable sets the field durable of a request that is encoded already: the
// request itself is the asker's.
func AppendDurable(b []byte, seq uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, durableField, protowire.VarintType), seq)
}

// AppendStep appends a request that is encoded to the steps of one that is.
func AppendStep(b, step []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, stepsField, protowire.BytesType), step)
}

const (
	stepsField   = 61
	resultsField = 61
	askerField   = 95
	leftField    = 98
	durableField = 53
	durableSize  = 2 + 10 // bytes that AppendDurable appends, at most
)

// StepHead is how many bytes AppendStep appends before a step, at most.
const StepHead = 2 + 10

// AppendFrame appends f to b with its length before it.
func AppendFrame(b []byte, f *Frame) ([]byte, error) {
	at := len(b) + 1
	if out, ok := quickAppend(append(b, 0), f); ok {
		if len(out)-at > MaxFrame {
			return b, ErrFrameTooLong
		}
		return putLength(out, at), nil
	}
	n := proto.Size(f)
	if n > MaxFrame {
		return b, ErrFrameTooLong
	}
	b = binary.AppendUvarint(b, uint64(n))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, f)
}

// ReadFrame reads one frame. The length is held against [MaxFrame] before
// anything is allocated for it. io.EOF means that the stream ended between
// frames, io.ErrUnexpectedEOF that it ended within one.
func ReadFrame(r *bufio.Reader) (*Frame, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	return readFrame(r, n)
}

// readFrame reads a frame of n bytes.
func readFrame(r *bufio.Reader, n int) (*Frame, error) {
	// What fits the reader's buffer is decoded from there; protobuf copies.
	buf, err := r.Peek(min(n, r.Size()))
	if n <= r.Size() && err == nil {
		defer r.Discard(n)
	} else {
		buf = make([]byte, n)
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, unexpected(err)
		}
	}
	return decodeFrame(buf)
}

// decodeFrame decodes a frame without its length.
func decodeFrame(b []byte) (*Frame, error) {
	f := new(Frame)
	if err := Unmarshal(b, f); err != nil {
		return nil, err
	}
	if f.Body == nil {
		return nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	return f, nil
}

// maxLength is how many bytes a frame's length has at most: 3 hold 2^21-1.
const maxLength = 3

// readLength reads a minimal varint of at most MaxFrame.
func readLength(r *bufio.Reader) (int, error) {
	var n uint64
	for i := 0; i < maxLength; i++ {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = unexpected(err)
			}
			return 0, err
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				return 0, fmt.Errorf("%w: length", ErrMalformed)
			}
			if n > MaxFrame {
				return 0, ErrFrameTooLong
			}
			return int(n), nil
		}
	}
	return 0, ErrFrameTooLong
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
