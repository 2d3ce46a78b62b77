package node

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/stronghold-go/stronghold/protocol"
)

// fuzzStream is a stream whose bytes are all here.
type fuzzStream struct {
	io.Reader
	io.Writer
}

func (fuzzStream) Close() error { return nil }

// FuzzServe gives the server loop whatever a known peer may send, and holds it
// to the policy: each request that can be read has one answer, and nothing gets
// to the engine but what the policy names. Run it with -fuzzminimizetime 10x: it
// has goroutines, whose coverage differs from run to run, and go test would
// spend its time on making such a difference smaller.
func FuzzServe(f *testing.F) {
	m := newMemory(f)
	identity, _ := NewIdentity()
	id, err := PeerID(identity)
	if err != nil {
		f.Fatal(err)
	}
	m.SetPeer(&protocol.Peer{Name: "a", Id: id})
	m.setPolicy(f, allowAll)
	n := &Node{local: m, log: slog.New(slog.DiscardHandler)}
	n.known.Store(newBook(m.Peers(), n.log))
	decoded, _ := peer.Decode(id)
	who := &asker{id: decoded, name: id}

	f.Fuzz(func(t *testing.T, in []byte) {
		m.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			op, ok := protocol.Lookup(req.Operation)
			if !ok || op.Door != protocol.DoorPeer {
				t.Errorf("handled %q", req.Operation)
			}
			l := req.Location
			if isListing(op) {
				return &protocol.Response{Status: protocol.Status_OK}, nil // what it shows is filtered: TestList
			}
			if string(l.GetClient()) != "wallet" || string(l.GetVault()) != "keys" || l.ByID() || req.To != "" {
				t.Errorf("%s: handled elsewhere", req.Operation)
			}
			return &protocol.Response{Status: protocol.Status_OK}, nil
		})
		var out bytes.Buffer
		server := protocol.Server{Door: protocol.DoorPeer, Handle: func(ctx context.Context, req *protocol.Request) *protocol.Response {
			return n.answer(ctx, who, req)
		}}
		server.Serve(t.Context(), fuzzStream{bytes.NewReader(in), &out})

		want := 0
		for r := bufio.NewReader(bytes.NewReader(in)); ; want++ {
			if frame, err := protocol.ReadFrame(r); err != nil || frame.GetRequest() == nil {
				break
			}
		}
		for r := bufio.NewReader(&out); ; want-- {
			frame, err := protocol.ReadFrame(r)
			if err == io.EOF {
				break
			}
			if err != nil || frame.GetResponse().GetStatus() == protocol.Status_STATUS_UNSPECIFIED {
				t.Fatalf("answered %v, %v", frame, err)
			}
		}
		if want != 0 {
			t.Fatalf("%d requests have no answer of their own", want)
		}
	})
}

// TestSeeds fails if the fuzz target has lost its seeds.
func TestSeeds(t *testing.T) {
	if seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzServe")); err != nil || len(seeds) == 0 {
		t.Errorf("no seeds: %v", err)
	}
}
