package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// TestAnswerSize: every field of an answer to a peer is thought of, and what is small
// needs no room.
func TestAnswerSize(t *testing.T) {
	large := map[string]int{"store.get": MaxValue, "aes.wrap": MaxSecret, "record.list": defaultEntries * entrySize, "store.list": defaultEntries * entrySize}
	for i := range Operations {
		op := &Operations[i]
		if op.Door != DoorPeer || op.Name == "pipeline.run" {
			continue
		}
		size := AnswerSize(&Request{Operation: op.Name})
		if least := large[op.Name]; size < least || size >= MaxFrame || least == 0 && size > 2*entrySize {
			t.Errorf("%s: %d bytes", op.Name, size)
		}
	}
	if AnswerSize(&Request{Operation: "ed25519.sign"}) != 0 || AnswerSize(&Request{Operation: "key.generate"}) != 0 {
		t.Error("a signature needs room")
	}
	get := &Request{Operation: "store.get"}
	if n := AnswerSize(&Request{Operation: "pipeline.run", Steps: []*Request{get, {Operation: "ed25519.sign"}, get}}); n < 2*MaxValue || n > 2*MaxValue+10*entrySize {
		t.Errorf("two values: %d bytes", n)
	}
	for _, req := range []*Request{{Operation: "record.list", Limit: 1 << 31}, {Operation: "pipeline.run", Steps: make([]*Request, 1000)}} {
		for i := range req.Steps {
			req.Steps[i] = get
		}
		if n := AnswerSize(req); n != MaxFrame {
			t.Errorf("%s, as large as can be: %d bytes", req.Operation, n)
		}
	}
	// An entry is no longer than that, with all that it may have.
	segment := bytes.Repeat([]byte{'x'}, MaxSegment)
	entry := &Entry{Location: &Location{Client: segment, Vault: segment, Record: segment}, Kind: "ed25519", Hint: make([]byte, MaxHint),
		CreatedMs: 1 << 60, ChangedMs: 1 << 60, ExpiresMs: 1 << 60, Version: 1 << 60, Flags: strings.Fields(strings.Repeat("a-flag-of-a-record ", 12))}
	if b, err := Marshal(&Response{Entries: []*Entry{entry}}); err != nil || len(b) > entrySize {
		t.Errorf("an entry takes %d bytes, %v", len(b), err)
	}
}

// stuck is a stream that takes nothing until it is let, and then what it is said to.
type stuck struct {
	let    chan struct{}
	fails  bool
	closed sync.Once
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.let
	if s.fails {
		return 0, errors.New("broken")
	}
	return len(b), nil
}

func (s *stuck) Close() error { s.closed.Do(func() {}); return nil }

// TestGone: what a frame had room made for is given up when it has left, or never will.
func TestGone(t *testing.T) {
	for _, fails := range []bool{false, true} {
		s := &stuck{let: make(chan struct{}), fails: fails}
		fw := newFrameWriter(s)
		var mu sync.Mutex
		gone := 0
		count := func() { mu.Lock(); gone++; mu.Unlock() }
		f := &Frame{Id: 1, Body: &Frame_Response{Response: &Response{Value: make([]byte, 100)}}}
		for range 3 {
			if err := fw.write(t.Context(), f, count); err != nil {
				t.Fatal(err)
			}
		}
		if taken, _ := fw.writeNow(f, true, count); taken {
			t.Error("it was taken though others wait")
		}
		mu.Lock()
		if gone != 0 {
			t.Errorf("%d have left a stream that takes nothing", gone)
		}
		mu.Unlock()
		close(s.let)
		fw.drain()
		if gone != 3 {
			t.Errorf("broken %t: %d of 3 are gone", fails, gone)
		}
		if err := fw.write(t.Context(), f, count); (err != nil) != fails {
			t.Errorf("broken %t: %v", fails, err)
		}
		if taken, err := fw.writeNow(f, true, count); taken && (err != nil) != fails {
			t.Errorf("broken %t: %v", fails, err)
		} else if !taken {
			fw.drain()
			fw.writeNow(f, true, count)
		}
		fw.drain()
		fw.close()
		if want := map[bool]int{false: 5, true: 3}[fails]; gone != want {
			t.Errorf("broken %t: %d are gone, want %d", fails, gone, want)
		}
	}
}

// breaking is a stream that breaks while somebody tries to write, and others join him.
type breaking struct {
	stuck
	meanwhile func()
}

func (s *breaking) TryWrite([]byte) (int, error) {
	s.meanwhile()
	return 0, io.ErrClosedPipe
}

// TestGoneOnce: who hears that his frame does not leave gives up its room himself, and for who
// was told that it is taken that is done, once.
func TestGoneOnce(t *testing.T) {
	f := &Frame{Id: 1, Body: &Frame_Response{Response: &Response{Value: make([]byte, 100)}}}
	own, joined := 0, 0
	s := new(breaking)
	fw := newFrameWriter(s)
	s.meanwhile = func() {
		if err := fw.write(t.Context(), f, func() { joined++ }); err != nil {
			t.Error(err)
		}
	}
	if taken, err := fw.writeNow(f, true, func() { own++ }); !taken || err == nil {
		t.Errorf("taken %t, %v", taken, err)
	}
	fw.drain()
	fw.close()
	if own != 0 || joined != 1 {
		t.Errorf("given up %d times by the writer and not by the caller, and %d times for who joined", own, joined)
	}
}
