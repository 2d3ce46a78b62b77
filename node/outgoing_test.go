package node

import (
	"bytes"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestTryWrite: a write that is tried does not wait for a peer who does not read,
// tells truly how much has left, and finds out that the peer has reset the stream.
func TestTryWrite(t *testing.T) {
	const unspoken = "/unspoken/1.0.0"
	a, b, _, _ := pair(t)
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); err != nil { // so that they are connected
		t.Fatal(err)
	}
	accepted := make(chan network.Stream, 1)
	b.host.SetStreamHandler(unspoken, func(s network.Stream) { accepted <- s })
	s, err := a.host.NewStream(testContext(t), b.host.ID(), unspoken)
	if err != nil {
		t.Fatal(err)
	}
	out := &outgoing{Stream: s}
	if n, err := out.TryWrite(make([]byte, tryAtMost+1)); n != 0 || err != nil {
		t.Errorf("of a long one %d bytes left, %v", n, err)
	}
	taken, frame := 0, bytes.Repeat([]byte{7}, 5000)
	for {
		n, err := out.TryWrite(frame)
		if err != nil {
			t.Fatal(err)
		}
		taken += n
		if n < len(frame) {
			break
		}
		if taken > 2*protocol.MaxFrame {
			t.Fatalf("the stream took %d bytes that nobody has read", taken)
		}
	}
	far := wait(t, "the stream", accepted)
	if _, err := io.ReadFull(far, make([]byte, taken)); err != nil {
		t.Fatalf("not all of what was taken came: %v", err)
	}
	eventually(t, "room", func() bool {
		n, err := out.TryWrite(frame[:1])
		return n == 1 && err == nil
	})
	far.Reset()
	eventually(t, "the reset", func() bool {
		n, err := out.TryWrite(frame)
		return n == 0 && err != nil
	})
}
