package protocol

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A shape is what this version knows of a message type, by field number. It is
// worked out once from the descriptor: looking it up for each message by
// reflection took longer than decoding the message.
type shape []known

// known is one field. Its zero value is no field.
type known struct {
	is     bool
	wire   protowire.Type
	list   bool            // of scalars, which come in either of two forms
	inside *shape          // of a message
	values map[uint64]bool // of an enum
}

var shapes sync.Map // protoreflect.FullName to *shape

// The types that every request needs are found without a search.
var framed = sync.OnceValue(func() (s struct{ frame, request, response *shape }) {
	d := new(Frame).ProtoReflect().Descriptor()
	s.frame = shapeOf(d, map[protoreflect.FullName]*shape{})
	s.request = (*s.frame)[d.Fields().ByName("request").Number()].inside
	s.response = (*s.frame)[d.Fields().ByName("response").Number()].inside
	return s
})

// shapeFor is the shape of m's type.
func shapeFor(m proto.Message) *shape {
	switch m.(type) {
	case *Frame:
		return framed().frame
	case *Request:
		return framed().request
	case *Response:
		return framed().response
	}
	d := m.ProtoReflect().Descriptor()
	if s, ok := shapes.Load(d.FullName()); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(d.FullName(), shapeOf(d, map[protoreflect.FullName]*shape{}))
	return s.(*shape)
}

// shapeOf works out a shape. Those that are begun are in done, since a message
// may hold itself.
func shapeOf(d protoreflect.MessageDescriptor, done map[protoreflect.FullName]*shape) *shape {
	if s := done[d.FullName()]; s != nil {
		return s
	}
	s := new(shape)
	done[d.FullName()] = s
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		k := known{is: true, wire: wireTypes[f.Kind()]}
		switch {
		case f.IsMap() || f.Kind() == protoreflect.GroupKind || f.Kind() == protoreflect.EnumKind && f.IsList():
			panic("protocol: internal error: a kind of field that nobody has thought of: " + string(f.FullName()))
		case f.Kind() == protoreflect.MessageKind:
			k.inside = shapeOf(f.Message(), done)
		case f.Kind() == protoreflect.EnumKind:
			k.values = map[uint64]bool{}
			for j := range f.Enum().Values().Len() {
				k.values[uint64(int64(f.Enum().Values().Get(j).Number()))] = true
			}
		case f.IsList():
			k.list = k.wire != protowire.BytesType
		}
		for len(*s) <= int(f.Number()) {
			*s = append(*s, known{})
		}
		(*s)[f.Number()] = k
	}
	return s
}

// wireTypes says how a kind of field is written. What is not here is a varint.
var wireTypes = map[protoreflect.Kind]protowire.Type{
	protoreflect.BytesKind: protowire.BytesType, protoreflect.StringKind: protowire.BytesType, protoreflect.MessageKind: protowire.BytesType,
	protoreflect.Fixed32Kind: protowire.Fixed32Type, protoreflect.Sfixed32Kind: protowire.Fixed32Type, protoreflect.FloatKind: protowire.Fixed32Type,
	protoreflect.Fixed64Kind: protowire.Fixed64Type, protoreflect.Sfixed64Kind: protowire.Fixed64Type, protoreflect.DoubleKind: protowire.Fixed64Type,
}

// strict says whether nothing in b, the encoding of a message, is unknown to
// this version: no field, no way of writing it, no value of an enum. It looks at
// the bytes, so at what a later field overrides, too.
func (s *shape) strict(b []byte) bool {
	for len(b) > 0 {
		tag, n := protowire.ConsumeVarint(b)
		if n < 0 || tag>>3 >= uint64(len(*s)) {
			return false
		}
		b = b[n:]
		k := &(*s)[tag>>3]
		wire := protowire.Type(tag & 7)
		if !k.is || wire != k.wire && !(k.list && wire == protowire.BytesType) {
			return false
		}
		switch wire {
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 || k.inside != nil && !k.inside.strict(v) {
				return false
			}
			b = b[n:]
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			// An enum is 32 bits, of which the decoder keeps the lower.
			if n < 0 || k.values != nil && !k.values[uint64(int64(int32(v)))] {
				return false
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(protowire.Number(tag>>3), wire, b)
			if n < 0 {
				return false
			}
			b = b[n:]
		}
	}
	return true
}
