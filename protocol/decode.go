package protocol

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The messages of most requests and answers have a few small fields. They are
// decoded here, at a third of the time that the generated code takes; whatever
// else is in a message, or is odd about it, sends the whole of it there. So
// nothing needs to be added here for a new field, and what is wrong with a
// message is decided in one place. FuzzDecode holds the two against each other.

// maxQuick is how long a message may be to be tried here, in bytes.
const maxQuick = 32 << 10

// quickly decodes b into m, or reports false and leaves m in any state. What is decoded
// are pieces of a copy of b, or of b itself if that is ours.
func quickly(b []byte, m proto.Message, ours bool) bool {
	if len(b) > maxQuick {
		return false
	}
	switch m.(type) {
	case *Frame, *Request, *Response:
	default:
		return false
	}
	d := decoder{b: b}
	if !ours {
		d.b = bytes.Clone(b)
	}
	switch m := m.(type) {
	case *Frame:
		return d.frame(m)
	case *Request:
		return d.request(m)
	}
	return d.response(m.(*Response))
}

const (
	tagVarint = uint64(protowire.VarintType)
	tagBytes  = uint64(protowire.BytesType)
)

// A decoder takes fields off b. The first thing that is not as it should be
// fails it.
type decoder struct {
	b      []byte
	seen   uint64 // fields by number: a second one is merged, which is not done here
	depth  int    // of messages within messages
	failed bool
	spare  *Location // for the location of a request; nil: a new one
}

func (d *decoder) ended() bool { return len(d.b) == 0 && !d.failed }

func (d *decoder) varint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := protowire.ConsumeVarint(d.b)
	if n < 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 { return protowire.DecodeZigZag(d.varint()) }

// tag is the next field's number and type, each field's once; numbers from 64
// on are not for here.
func (d *decoder) tag() uint64 {
	tag := d.varint()
	if tag>>3 >= 64 || d.seen&(1<<(tag>>3)) != 0 {
		d.failed = true
	}
	d.seen |= 1 << (tag >> 3 & 63)
	return tag
}

// bytes is a field's value: never nil, and never with room behind it.
func (d *decoder) bytes() []byte {
	n := d.varint()
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// some is bytes for a field that is not set when it is empty.
func (d *decoder) some() []byte {
	if v := d.bytes(); len(v) > 0 {
		return v
	}
	return nil
}

func (d *decoder) text() string {
	v := d.bytes()
	if !utf8.Valid(v) {
		d.failed = true
	}
	return string(v)
}

// again is for a field that there may be several of, each a message within; not at any depth.
func (d *decoder) again(number uint64) decoder {
	d.seen &^= 1 << number
	in := d.inside()
	in.failed = in.failed || in.depth > maxDepth/2
	return in
}

// inside is for the fields of a message within.
func (d *decoder) inside() decoder {
	in := decoder{b: d.bytes(), depth: d.depth + 1}
	in.failed = d.failed
	return in
}

func (d *decoder) frame(f *Frame) bool {
	if d.tag() != 1<<3|tagVarint {
		return false
	}
	f.Id = d.varint()
	tag := d.tag()
	if tag == 4<<3|tagVarint { // the encoder puts it before the message
		f.Processor = uint32(d.varint())
		tag = d.tag()
	}
	in := d.inside()
	switch {
	case !d.ended(): // the message is the last
		return false
	case tag == 2<<3|tagBytes:
		req := new(Request)
		f.Body = &Frame_Request{Request: req}
		return in.request(req)
	case tag == 3<<3|tagBytes:
		resp := new(Response)
		f.Body = &Frame_Response{Response: resp}
		return in.response(resp)
	}
	return false
}

func (d *decoder) request(req *Request) bool {
	for len(d.b) > 0 && !d.failed {
		switch d.tag() {
		case 1<<3 | tagBytes:
			req.Id = d.some()
		case 2<<3 | tagBytes:
			name := d.bytes()
			op, ok := byName()[string(name)]
			if !ok {
				return false
			}
			req.Operation = op.Name // no copy of it
		case 3<<3 | tagVarint:
			req.TimeoutMs = uint32(d.varint())
		case 5<<3 | tagBytes:
			if req.Location = d.spare; d.spare == nil {
				req.Location = new(Location)
			}
			if in := d.inside(); !in.location(req.Location) {
				return false
			}
		case 6<<3 | tagBytes:
			req.Target = new(Location)
			if in := d.inside(); !in.location(req.Target) {
				return false
			}
		case 7<<3 | tagBytes:
			req.Kind = d.text()
		case 8<<3 | tagBytes:
			req.Message = d.bytes()
		case 9<<3 | tagBytes:
			req.Secret = d.some()
		case 13<<3 | tagVarint:
			req.Overwrite = d.varint() != 0
		case 14<<3 | tagBytes:
			req.To = d.text()
		case 15<<3 | tagBytes:
			req.Hint = d.some()
		case 17<<3 | tagBytes:
			req.Value = d.bytes()
		case 18<<3 | tagVarint:
			req.TtlMs = d.varint()
		case 30<<3 | tagVarint:
			req.Sequence = d.varint()
		case durableField<<3 | tagVarint:
			req.Durable = d.varint()
		case stepsField<<3 | tagBytes:
			step := new(Request)
			if in := d.again(stepsField); !in.request(step) {
				return false
			}
			req.Steps = append(req.Steps, step)
		default:
			return false
		}
	}
	return d.ended()
}

func (d *decoder) location(l *Location) bool {
	for len(d.b) > 0 && !d.failed {
		switch d.tag() {
		case 1<<3 | tagBytes:
			l.Client = d.bytes()
		case 2<<3 | tagBytes:
			l.Vault = d.bytes()
		case 3<<3 | tagBytes:
			l.Record = d.bytes()
		case 4<<3 | tagVarint:
			v := d.varint()
			l.Version = &v
		case 5<<3 | tagVarint:
			l.Head = d.varint() != 0
		default:
			return false
		}
	}
	return d.ended()
}

func (d *decoder) response(resp *Response) bool {
	for len(d.b) > 0 && !d.failed {
		switch d.tag() {
		case 1<<3 | tagVarint:
			v := Status(int32(d.varint()))
			if _, ok := Status_name[int32(v)]; !ok {
				return false
			}
			resp.Status = v
		case 2<<3 | tagBytes:
			resp.Field = d.text()
		case 3<<3 | tagBytes:
			resp.Detail = d.text()
		case 4<<3 | tagVarint:
			resp.RetryAfterMs = uint32(d.varint())
		case 5<<3 | tagBytes:
			resp.PublicKey = d.some()
		case 6<<3 | tagBytes:
			resp.Signature = d.some()
		case 7<<3 | tagBytes:
			resp.Kind = d.text()
		case 12<<3 | tagVarint:
			resp.Exists = d.varint() != 0
		case 13<<3 | tagVarint:
			v := d.varint()
			resp.Version = &v
		case 30<<3 | tagBytes:
			resp.Change = new(Change)
			if in := d.inside(); !in.change(resp.Change) {
				return false
			}
		case resultsField<<3 | tagBytes:
			result := new(Response)
			if in := d.again(resultsField); !in.response(result) {
				return false
			}
			resp.Results = append(resp.Results, result)
		default:
			return false
		}
	}
	return d.ended()
}

func (d *decoder) change(c *Change) bool {
	for len(d.b) > 0 && !d.failed {
		switch d.tag() {
		case 1<<3 | tagVarint:
			c.Sequence = d.varint()
		case 2<<3 | tagBytes:
			c.Entry = d.some()
		case 3<<3 | tagVarint:
			c.Takes = d.varint() != 0
		case 4<<3 | tagVarint:
			c.Records = d.signed()
		case 5<<3 | tagVarint:
			c.Tombstones = d.signed()
		case 6<<3 | tagVarint:
			c.Clients = d.signed()
		case 7<<3 | tagVarint:
			c.StoreBytes = d.signed()
		default:
			return false
		}
	}
	return d.ended()
}
