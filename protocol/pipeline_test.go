package protocol

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
)

// Whatever is wrong with a step asked alone is wrong with it in a pipeline, at each door.
func TestSteps(t *testing.T) {
	good := func() *Request {
		return &Request{Id: NewID(), Operation: "store.put", Location: &Location{Client: []byte("c"), Vault: []byte("k")}, Value: []byte{}}
	}
	named := 0
	for name := range inPipelines {
		op, ok := Lookup(name)
		if !ok {
			t.Errorf("%s is no operation", name)
			continue
		}
		named++
		for door := DoorZone; door <= DoorPeer; door++ {
			for _, step := range []*Request{valid(op, true), valid(op, false), {Id: NewID(), Operation: name}, {Operation: name, Location: &Location{}}} {
				step.Session = false // of which there is none in a pipeline: see the engine's test
				alone := Check(step, door)
				got := Check(&Request{Id: NewID(), Operation: "pipeline.run", Steps: []*Request{good(), step}}, door)
				switch {
				case alone == nil && got != nil:
					t.Errorf("%s at the %s door: %v", name, door, got)
				case alone != nil && got == nil:
					t.Errorf("%s at the %s door is taken, and alone refused: %v", name, door, alone)
				case alone != nil && op.Door >= door && got.Field != StepField(1, alone.Field):
					t.Errorf("%s at the %s door: %v, alone %v", name, door, got, alone)
				}
			}
		}
	}
	if named < 10 {
		t.Errorf("%d operations may be steps", named)
	}
}

// A frame holds no more messages in one another than this version has a use for.
func TestMessagesWithinMessages(t *testing.T) {
	req := &Request{Operation: "innermost"}
	for range 3 {
		req = &Request{Operation: "pipeline.run", Steps: []*Request{req}}
	}
	encode := func() []byte {
		b, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := Unmarshal(encode(), new(Request)); err != nil {
		t.Errorf("%v, of what Check refuses", err)
	}
	if refusal := Check(req, DoorLocal); refusal == nil {
		t.Error("a pipeline in a pipeline is taken")
	}
	for range 1000 {
		req = &Request{Steps: []*Request{req}}
	}
	if err := Unmarshal(encode(), new(Request)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a thousand deep: %v", err)
	}
	// Bytes that claim to go on for ever, in as little room as they take.
	if err := Unmarshal(bytes.Repeat([]byte{0xea, 0x03, 0x7f}, 1<<10), new(Request)); !errors.Is(err, ErrMalformed) {
		t.Errorf("it goes on: %v", err)
	}
}
