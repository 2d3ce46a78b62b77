package protocol

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// reflected is what the shapes say, by protobuf's own reflection: whether
// nothing in a decoded message is unknown.
func reflected(m protoreflect.Message) bool {
	if len(m.GetUnknown()) > 0 {
		return false
	}
	ok := true
	m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case d.Kind() == protoreflect.MessageKind && d.IsList():
			for i := 0; ok && i < v.List().Len(); i++ {
				ok = reflected(v.List().Get(i).Message())
			}
		case d.Kind() == protoreflect.MessageKind:
			ok = reflected(v.Message())
		case d.Kind() == protoreflect.EnumKind:
			ok = d.Enum().Values().ByNumber(v.Enum()) != nil
		}
		return ok
	})
	return ok
}

// full is a message of the type with every field set, whatever the .proto will
// say; of a oneof, the first. What holds itself holds an empty one.
func full(d protoreflect.MessageDescriptor, around ...protoreflect.FullName) protoreflect.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if one := f.ContainingOneof(); one != nil && m.WhichOneof(one) != nil {
			continue
		}
		var v protoreflect.Value
		switch f.Kind() {
		case protoreflect.MessageKind:
			v = protoreflect.ValueOfMessage(dynamicpb.NewMessage(f.Message()))
			if around := append(slices.Clone(around), d.FullName()); !slices.Contains(around, f.Message().FullName()) {
				v = protoreflect.ValueOfMessage(full(f.Message(), around...))
			}
		case protoreflect.EnumKind:
			v = protoreflect.ValueOfEnum(f.Enum().Values().Get(1).Number())
		case protoreflect.BytesKind:
			v = protoreflect.ValueOfBytes([]byte("bytes"))
		case protoreflect.StringKind:
			v = protoreflect.ValueOfString("text")
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(true)
		case protoreflect.Uint32Kind:
			v = protoreflect.ValueOfUint32(1 << 31)
		case protoreflect.Uint64Kind:
			v = protoreflect.ValueOfUint64(1 << 63)
		case protoreflect.Sint64Kind:
			v = protoreflect.ValueOfInt64(-1 << 62)
		default:
			panic("a kind of field that this test does not know: " + f.Kind().String())
		}
		if f.IsList() {
			list := m.NewField(f).List()
			list.Append(v)
			list.Append(v)
			v = protoreflect.ValueOfList(list)
		}
		m.Set(f, v)
	}
	return m
}

// TestStrictEverywhere: every field of every message is known, and next to every
// one another is not.
func TestStrictEverywhere(t *testing.T) {
	messages := File_stronghold_proto.Messages()
	for i := range messages.Len() {
		d := messages.Get(i)
		whole := full(d)
		b, err := proto.Marshal(whole.Interface())
		if err != nil {
			t.Fatal(err)
		}
		s := shapeFor(whole.Interface())
		if !s.strict(b) {
			t.Errorf("%s: a message with every field is refused", d.Name())
		}
		known := map[protowire.Number]bool{}
		for j := range d.Fields().Len() {
			known[d.Fields().Get(j).Number()] = true
		}
		for number := protowire.Number(1); number < 200; number++ {
			for _, wire := range []protowire.Type{protowire.VarintType, protowire.Fixed64Type, protowire.BytesType, protowire.Fixed32Type} {
				in := append(slices.Clone(b), protowire.AppendTag(nil, number, wire)...)
				in = append(in, map[protowire.Type][]byte{protowire.VarintType: {1}, protowire.Fixed64Type: make([]byte, 8),
					protowire.BytesType: {0}, protowire.Fixed32Type: make([]byte, 4)}[wire]...)
				m := dynamicpb.NewMessage(d)
				if err := proto.Unmarshal(in, m); err != nil {
					t.Fatalf("%s: field %d: %v", d.Name(), number, err)
				}
				if want := reflected(m); s.strict(in) != want || want && !known[number] {
					t.Errorf("%s: field %d as %v: want %t", d.Name(), number, wire, want)
				}
			}
		}
	}
}

// FuzzStrict: what the shapes admit protobuf's reflection admits, and what
// reflection admits the shapes admit once it is encoded afresh.
func FuzzStrict(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		frame := new(Frame)
		if proto.Unmarshal(in, frame) != nil {
			framed().frame.strict(in) // must end, whatever in is
			return
		}
		admitted := reflected(frame.ProtoReflect())
		if framed().frame.strict(in) && !admitted {
			t.Fatal("something unknown was admitted")
		}
		again, err := proto.Marshal(frame)
		if err != nil {
			t.Fatal(err)
		}
		if framed().frame.strict(again) != admitted {
			t.Fatalf("reflection says %t", admitted)
		}
	})
}

// TestPresence: what Check takes for set is what protobuf takes for set.
func TestPresence(t *testing.T) {
	fields := new(Request).ProtoReflect().Descriptor().Fields()
	check := func(what string, req *Request) {
		t.Helper()
		set := present(req)
		for i := range fields.Len() {
			d := fields.Get(i)
			if want := req.ProtoReflect().Has(d) && !everywhere.has(d.Number()); set.has(d.Number()) != want {
				t.Errorf("%s: %s", what, d.Name())
			}
			set = set.without(fieldsOf(d.Number()))
		}
		if !set.empty() {
			t.Errorf("%s: a field that is not in the .proto", what)
		}
	}
	check("nothing", new(Request))
	b, err := proto.Marshal(full(new(Request).ProtoReflect().Descriptor()).Interface())
	if err != nil {
		t.Fatal(err)
	}
	all := new(Request)
	if err := proto.Unmarshal(b, all); err != nil {
		t.Fatal(err)
	}
	check("everything", all)
	for i := range fields.Len() {
		one := proto.CloneOf(all)
		for j := range fields.Len() {
			if j != i {
				one.ProtoReflect().Clear(fields.Get(j))
			}
		}
		check("one field alone", one)
	}
	check("empty, and set", &Request{Message: []byte{}, Value: []byte{}, Location: new(Location)})
	check("empty, and so not set", &Request{Secret: []byte{}, Hint: []byte{}, Snapshot: []byte{}})
}

// FuzzDecode: what is decoded without the generated code is what that makes of
// it, and nothing that it, or the strictness, refuses.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, m := range []proto.Message{new(Frame), new(Request), new(Response)} {
			in := slices.Clone(input) // which must stay as it is: what fails is written down from there
			if !quickly(in, m, false) {
				continue
			}
			if !bytes.Equal(in, input) {
				t.Fatal("the input was changed")
			}
			want := m.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(in, want); err != nil || !shapeFor(m).strict(in) {
				t.Fatalf("%T: it is refused elsewhere: %v", m, err)
			}
			if !proto.Equal(m, want) {
				t.Fatalf("%v, not %v", m, want)
			}
			encodesAlike(t, want)
			clear(in) // of whoever reads the next one into the same buffer
			if !proto.Equal(m, want) {
				t.Fatal("it is still in the input")
			}
		}
	})
}

// usual are messages of the usual sorts.
func usual() []proto.Message {
	return []proto.Message{
		&Frame{Id: 1 << 40, Body: &Frame_Request{Request: request("hello")}},
		&Frame{Id: 1, Body: &Frame_Response{Response: &Response{Status: Status_OK, Signature: make([]byte, 64)}}},
		request(""), request(strings.Repeat("m", 1000)),
		&Request{Id: NewID(), Operation: "key.public", TimeoutMs: 1 << 31, To: "b", Location: &Location{Client: []byte("c"), Vault: []byte("v"), Version: version(1 << 60)}},
		&Request{Id: NewID(), Operation: "record.exists", Location: &Location{Client: []byte("c"), Vault: []byte("v"), Head: true}},
		Refuse(Status_NOT_FOUND, "words"), Invalid("location", "words"), &Response{Status: Status_OK, Exists: true},
		&Request{Id: NewID(), Operation: "store.put", Location: &Location{Client: []byte("c"), Vault: []byte("key")}, Value: []byte{}, TtlMs: 1 << 40, Durable: 1 << 50},
		&Request{Id: NewID(), Operation: "key.import", Location: &Location{}, Kind: Ed25519, Secret: make([]byte, 80), Overwrite: true, Hint: []byte("hint")},
		&Request{Id: NewID(), Operation: "zone.commit", Sequence: 7},
		&Response{Status: Status_OK, Version: version(0), Change: &Change{Sequence: 300, Entry: make([]byte, 200), Takes: true, Records: 1, Tombstones: -2, Clients: 1 << 40, StoreBytes: -1 << 50}},
		&Response{Status: Status_OK, Results: []*Response{{Status: Status_OK, Version: version(1), Change: &Change{Sequence: 1, Entry: make([]byte, 200)}}, Refuse(Status_EXISTS, "")}},
	}
}

// TestDecodeQuickly: the usual messages are decoded without the generated code.
func TestDecodeQuickly(t *testing.T) {
	for _, m := range usual() {
		b, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if !quickly(b, got, false) || !proto.Equal(got, m) {
			t.Errorf("%v became %v", m, got)
		}
	}
}
