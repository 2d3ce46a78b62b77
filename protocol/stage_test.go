package protocol

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TestAppendStep: steps that are appended to a request are its steps, and are decoded
// without the generated code, but not at any depth.
func TestAppendStep(t *testing.T) {
	want := &Request{Id: NewID(), Operation: stage}
	b, err := Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		step := &Request{Id: NewID(), Operation: "store.put", Location: &Location{Client: []byte("c"), Vault: []byte("key")}, Value: make([]byte, 200)}
		in, err := Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		b, want.Steps = AppendStep(b, in), append(want.Steps, step)
	}
	b, want.Durable = AppendDurable(b, 7), 7
	got := new(Request)
	if !quickly(b, got, false) || !proto.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	deep := b
	for n := range maxDepth + 2 {
		deep = AppendStep(nil, deep)
		if err := Unmarshal(deep, new(Request)); (err == nil) != (n+3 < maxDepth) {
			t.Errorf("%d steps within steps: %v", n+1, err)
		}
	}
}

// staging encodes a zone.stage.
func staging(t testing.TB, steps ...*Request) []byte {
	t.Helper()
	b, err := Marshal(&Request{Id: NewID(), Operation: stage})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		in, err := Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		b = AppendStep(b, in)
	}
	return b
}

// TestReadStaging: only a zone.stage is read step by step, of steps that may be in it.
func TestReadStaging(t *testing.T) {
	put := &Request{Id: NewID(), Operation: "store.put", Location: &Location{Client: []byte("c"), Vault: []byte("key")}, Value: []byte("value")}
	rare := &Request{Id: NewID(), Operation: "store.swap", Location: put.Location, Value: []byte{}, IfAbsent: true} // the generated code decodes it
	s, ok := ReadStaging(AppendDurable(staging(t, put, rare, put), 7))
	if !ok || s.Durable != 7 || s.Len() != 3 {
		t.Fatalf("%v: %+v", ok, s)
	}
	for i, want := range []*Request{put, rare, put} {
		if got, err := s.Step(i); err != nil || !proto.Equal(got, want) {
			t.Errorf("step %d: %v, %v", i, got, err)
		}
	}
	many := make([]*Request, MaxStaged+1)
	for i := range many {
		many[i] = put
	}
	other, err := Marshal(&Request{Id: NewID(), Operation: "pipeline.run", Steps: []*Request{put}})
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "no steps": staging(t), "too many": staging(t, many...), "another request": other,
		"a step that does not join": staging(t, put, &Request{Id: NewID(), Operation: "key.public", Location: put.Location}),
		"a step of nothing":         AppendStep(staging(t, put), nil),
		"a step that is cut":        staging(t, put)[:len(staging(t, put))-1],
		"a field that it has not":   append(staging(t, put), 13<<3, 1),
		"durable, twice":            AppendDurable(AppendDurable(staging(t, put), 7), 8),
	} {
		if _, ok := ReadStaging(b); ok {
			t.Errorf("%s: it was read", what)
		}
	}
	odd := AppendStep(staging(t), append(AppendDurable(must(Marshal(put)), 1), 5<<3|2, 200)) // its location is longer than it
	if s, ok = ReadStaging(odd); !ok {
		t.Fatal("the beginning of a step is all that is looked at")
	}
	if _, err := s.Step(0); err == nil {
		t.Error("a step that is no request was decoded")
	}
	if s, ok = ReadStaging(AppendStep(staging(t), twice(t, put, "key.public"))); !ok {
		t.Fatal("the beginning of a step is all that is looked at")
	}
	if got, err := s.Step(0); err == nil {
		t.Errorf("a step that has been let in as another operation is %s", got.Operation)
	}
}

// twice encodes a request that names another operation at its end, which protobuf lets override the first.
func twice(t testing.TB, req *Request, operation string) []byte {
	return protowire.AppendString(protowire.AppendTag(must(Marshal(req)), 2, protowire.BytesType), operation)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestAppendResult: results that are appended to an answer are its results.
func TestAppendResult(t *testing.T) {
	want := &Response{Status: Status_OK, Results: []*Response{
		{Status: Status_OK, Version: version(1), Change: &Change{Sequence: 1, Entry: make([]byte, 200)}},
		Refuse(Status_EXISTS, ""), {Status: Status_OK, Text: "for the generated code"}, {}}}
	b, err := Marshal(&Response{Status: Status_OK})
	for _, r := range want.Results {
		if err == nil {
			b, err = AppendResult(b, r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	got := new(Response)
	if err := UnmarshalOwned(b, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, not %v: %v", got, want, err)
	}
	if _, err := AppendResult(nil, &Response{Detail: "\xff"}); err == nil {
		t.Error("text that is none was encoded")
	}
}

// FuzzStaging: what is read step by step is what the whole request has, and one that
// the engine takes.
func FuzzStaging(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte) {
		in := bytes.Clone(input) // which must stay as it is: what fails is written down from there
		s, ok := ReadStaging(in)
		if !bytes.Equal(in, input) {
			t.Fatal("the input was changed")
		}
		whole := new(Request)
		if !ok || Unmarshal(in, whole) != nil {
			return
		}
		clear(in) // of whoever reads the next one into the same buffer
		if s.Durable != whole.Durable || s.Len() != len(whole.Steps) {
			t.Fatalf("%d steps and %d, not %d and %d", s.Len(), s.Durable, len(whole.Steps), whole.Durable)
		}
		for i, want := range whole.Steps {
			got, err := s.Step(i)
			if op, ok := Lookup(want.Operation); !ok || !op.Joins() {
				if err == nil {
					t.Fatalf("step %d: it was let in as %s", i, want.Operation)
				}
				return
			}
			if err != nil || !proto.Equal(got, want) {
				t.Fatalf("step %d: %v, not %v: %v", i, got, want, err)
			}
		}
		whole.Durable = 0
		if refusal := Check(whole, DoorZone); refusal != nil {
			t.Fatalf("it is refused: %v", refusal)
		}
	})
}
