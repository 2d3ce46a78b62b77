package protocol

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The usual messages are encoded here, as they are decoded in decode.go: at a
// fifth of the time that the generated code takes, and to the same bytes, which
// FuzzDecode and TestEncode hold against each other. A message with anything else
// in it is encoded by the generated code, the whole of it.

// quickAppend appends the encoding of m to b, or reports false; b is then as it was,
// but for what lies behind it.
func quickAppend(b []byte, m proto.Message) ([]byte, bool) {
	e := encoder{b: b}
	switch m := m.(type) {
	case *Frame:
		e.frame(m)
	case *Request:
		e.request(m)
	case *Response:
		e.response(m)
	default:
		return b, false
	}
	if e.failed {
		return b, false
	}
	return e.b, true
}

// buffers are for messages until their length is known.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// quickMarshal is quickAppend to nothing, with room behind for AppendDurable.
func quickMarshal(m proto.Message) ([]byte, bool) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b, ok := quickAppend((*buf)[:0], m)
	if !ok {
		return nil, false
	}
	if cap(b) <= maxQuick {
		*buf = b
	}
	return append(make([]byte, 0, len(b)+durableSize), b...), true
}

// An encoder appends fields to b, in the order of their numbers. What is not for it
// fails it.
type encoder struct {
	b      []byte
	failed bool
}

func (e *encoder) tag(n protowire.Number, wire uint64) {
	e.b = binary.AppendUvarint(e.b, uint64(n)<<3|wire)
}

// number writes a field that is not set when it is 0.
func (e *encoder) number(n protowire.Number, v uint64) {
	if v != 0 {
		e.tag(n, tagVarint)
		e.b = binary.AppendUvarint(e.b, v)
	}
}

// signed is number for one that may be less than 0.
func (e *encoder) signed(n protowire.Number, v int64) { e.number(n, protowire.EncodeZigZag(v)) }

// optional writes a field that may be set and 0.
func (e *encoder) optional(n protowire.Number, v *uint64) {
	if v != nil {
		e.tag(n, tagVarint)
		e.b = binary.AppendUvarint(e.b, *v)
	}
}

func (e *encoder) flag(n protowire.Number, v bool) {
	if v {
		e.number(n, 1)
	}
}

// some writes a field that is not set when it is empty.
func (e *encoder) some(n protowire.Number, v []byte) {
	if len(v) > 0 {
		e.bytes(n, v)
	}
}

// bytes writes a field that may be set and empty; nil is not set.
func (e *encoder) bytes(n protowire.Number, v []byte) {
	if v != nil {
		e.tag(n, tagBytes)
		e.b = binary.AppendUvarint(e.b, uint64(len(v)))
		e.b = append(e.b, v...)
	}
}

func (e *encoder) text(n protowire.Number, v string) {
	if v == "" {
		return
	}
	if !utf8.ValidString(v) { // an error elsewhere
		e.failed = true
		return
	}
	e.tag(n, tagBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	e.b = append(e.b, v...)
}

// begin begins a message within, which end ends: the room for its length suffices
// for short ones.
func (e *encoder) begin(n protowire.Number) (at int) {
	e.tag(n, tagBytes)
	e.b = append(e.b, 0)
	return len(e.b)
}

func (e *encoder) end(at int) { e.b = putLength(e.b, at) }

// putLength writes how long what begins at is before it, where there is a byte for
// that.
func putLength(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	more := protowire.SizeVarint(uint64(n)) - 1
	b = append(b, make([]byte, more)...)
	copy(b[at+more:], b[at:])
	binary.PutUvarint(b[at-1:], uint64(n))
	return b
}

func (e *encoder) frame(f *Frame) {
	if f == nil || len(f.unknownFields) > 0 {
		e.failed = true
		return
	}
	e.number(1, f.Id)
	e.number(4, uint64(f.Processor)) // before the message, which is one of several
	switch body := f.Body.(type) {
	case *Frame_Request:
		at := e.begin(2)
		e.request(body.Request)
		e.end(at)
	case *Frame_Response:
		at := e.begin(3)
		e.response(body.Response)
		e.end(at)
	default:
		e.failed = true
	}
}

// quickFields are the fields of a Request that are written here.
var quickFields = fieldsOf(5, 6, 7, 8, 9, 10, 13, 15, 16, 17, 18, 30, durableField)

func (e *encoder) request(r *Request) {
	if r == nil || len(r.unknownFields) > 0 || !present(r).without(quickFields).empty() {
		e.failed = true
		return
	}
	e.some(1, r.Id)
	e.text(2, r.Operation)
	e.number(3, uint64(r.TimeoutMs))
	e.location(5, r.Location)
	e.location(6, r.Target)
	e.text(7, r.Kind)
	e.bytes(8, r.Message)
	e.some(9, r.Secret)
	e.some(10, r.ReplyKey)
	e.flag(13, r.Overwrite)
	e.text(14, r.To)
	e.some(15, r.Hint)
	e.text(16, r.Path)
	e.bytes(17, r.Value)
	e.number(18, r.TtlMs)
	e.number(30, r.Sequence)
	e.number(durableField, r.Durable)
}

func (e *encoder) location(n protowire.Number, l *Location) {
	if l == nil {
		return
	}
	if len(l.unknownFields) > 0 {
		e.failed = true
		return
	}
	at := e.begin(n)
	e.bytes(1, l.Client)
	e.bytes(2, l.Vault)
	e.bytes(3, l.Record)
	e.optional(4, l.Version)
	e.flag(5, l.Head)
	e.some(6, l.ClientId)
	e.some(7, l.VaultId)
	e.some(8, l.RecordId)
	e.end(at)
}

func (e *encoder) response(r *Response) {
	if r == nil || len(r.unknownFields) > 0 || presentAnswer(r) {
		e.failed = true
		return
	}
	e.number(1, uint64(int64(r.Status)))
	e.text(2, r.Field)
	e.text(3, r.Detail)
	e.number(4, uint64(r.RetryAfterMs))
	e.some(5, r.PublicKey)
	e.some(6, r.Signature)
	e.text(7, r.Kind)
	e.some(9, r.Next)
	e.some(10, r.Sealed)
	e.bytes(11, r.Value)
	e.flag(12, r.Exists)
	e.optional(13, r.Version)
	e.change(30, r.Change)
	for _, in := range r.Results {
		at := e.begin(resultsField)
		e.response(in)
		e.end(at)
	}
}

func (e *encoder) change(n protowire.Number, c *Change) {
	if c == nil {
		return
	}
	if len(c.unknownFields) > 0 {
		e.failed = true
		return
	}
	at := e.begin(n)
	e.number(1, c.Sequence)
	e.some(2, c.Entry)
	e.flag(3, c.Takes)
	e.signed(4, c.Records)
	e.signed(5, c.Tombstones)
	e.signed(6, c.Clients)
	e.signed(7, c.StoreBytes)
	e.end(at)
}
