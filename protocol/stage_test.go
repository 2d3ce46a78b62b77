package protocol

import (
	"testing"

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
