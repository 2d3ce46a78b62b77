package protocol

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// encodesAlike fails unless m is encoded to what the generated code makes of it, and
// says whether it was encoded without that.
func encodesAlike(t testing.TB, m proto.Message) (quick bool) {
	t.Helper()
	want, wrong := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	got, err := Marshal(m)
	if (err != nil) != (wrong != nil) || !bytes.Equal(got, want) {
		t.Fatalf("%x (%v), not %x (%v): %v", got, err, want, wrong, m)
	}
	before := []byte("before")
	b, quick := quickAppend(before, m)
	if quick && !bytes.Equal(b, append(before, want...)) || !quick && !bytes.Equal(b, before) {
		t.Fatalf("appended: %x (%t), not %x", b, quick, want)
	}
	return quick
}

// fieldsAlone calls f with messages of m's type: with each of its fields alone, and
// with it empty where that is not the same as not set; and with all together.
func fieldsAlone(t *testing.T, m proto.Message, f func(what string, m proto.Message)) {
	b, err := proto.Marshal(full(m.ProtoReflect().Descriptor()).Interface())
	if err != nil {
		t.Fatal(err)
	}
	all := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, all); err != nil {
		t.Fatal(err)
	}
	f("all", all)
	fields := all.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		one := all.ProtoReflect().New()
		f("none", one.Interface())
		if one.Set(d, all.ProtoReflect().Get(d)); one.Has(d) {
			f(string(d.Name()), one.Interface())
		}
		switch {
		case d.IsList():
			continue
		case d.Kind() == protoreflect.MessageKind:
			one.Set(d, protoreflect.ValueOfMessage(one.NewField(d).Message()))
		case d.Kind() == protoreflect.BytesKind:
			one.Set(d, protoreflect.ValueOfBytes([]byte{}))
		default:
			one.Set(d, d.Default())
		}
		f(string(d.Name())+", empty", one.Interface())
	}
}

// TestEncode: what is encoded without the generated code is what that makes of it,
// field by field, of every message that is, or is within one.
func TestEncode(t *testing.T) {
	fieldsAlone(t, new(Frame), func(_ string, m proto.Message) { encodesAlike(t, m) })
	fieldsAlone(t, new(Request), func(_ string, m proto.Message) {
		encodesAlike(t, m)
		encodesAlike(t, &Frame{Id: 300, Processor: 200, Body: &Frame_Request{Request: m.(*Request)}})
	})
	fieldsAlone(t, new(Response), func(_ string, m proto.Message) {
		encodesAlike(t, m)
		encodesAlike(t, &Frame{Id: 300, Body: &Frame_Response{Response: m.(*Response)}})
		encodesAlike(t, &Response{Status: Status_OK, Results: []*Response{m.(*Response), {Status: Status_EXISTS}}})
	})
	fieldsAlone(t, new(Location), func(_ string, m proto.Message) {
		encodesAlike(t, &Request{Location: m.(*Location)})
		encodesAlike(t, &Request{Target: m.(*Location)})
	})
	fieldsAlone(t, new(Change), func(_ string, m proto.Message) { encodesAlike(t, &Response{Change: m.(*Change)}) })
	for _, m := range []proto.Message{(*Frame)(nil), (*Request)(nil), (*Response)(nil), &Frame{}, &Frame{Body: &Frame_Request{}},
		&Response{Results: []*Response{nil}}, &Request{Steps: []*Request{nil}}, &Response{Status: -1}, &Request{To: "\xff"}, &Response{Detail: "\xff"}} {
		encodesAlike(t, m)
	}
	unknown := new(Request)
	unknown.ProtoReflect().SetUnknown(protoreflect.RawFields{0xf8, 0x7f, 1})
	if encodesAlike(t, unknown) {
		t.Error("an unknown field is encoded by hand")
	}
	for n := range 300 { // lengths of one byte, and of two
		encodesAlike(t, &Request{Id: NewID(), Location: &Location{Client: make([]byte, n)}, Value: make([]byte, 60*n)})
	}
}

// TestEncodeQuickly: the usual messages are encoded without the generated code.
func TestEncodeQuickly(t *testing.T) {
	for _, m := range usual() {
		if !encodesAlike(t, m) {
			t.Errorf("%v is encoded by the generated code", m)
		}
	}
}

// TestAppendFrameLength: a frame is as long as the number before it says, and one
// that is too long leaves nothing behind.
func TestAppendFrameLength(t *testing.T) {
	for _, n := range []int{0, 1, 90, 100, 110, 127, 128, 1000, 16000, 17000, 100_000, MaxFrame} {
		f := &Frame{Id: 1, Body: &Frame_Request{Request: &Request{Operation: strings.Repeat("o", 5), Value: make([]byte, n)}}}
		b, err := AppendFrame([]byte("before"), f)
		if size := proto.Size(f); size > MaxFrame {
			if err != ErrFrameTooLong || string(b) != "before" {
				t.Errorf("%d bytes: %v, and %d bytes", n, err, len(b))
			}
			continue
		}
		want, _ := proto.Marshal(f)
		size, read := binary.Uvarint(b[len("before"):])
		if err != nil || int(size) != len(want) || !bytes.Equal(b[len("before")+read:], want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
