package node

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
// to the engine but what the policy names. One request is under way at a time: what
// several do to each other differs from run to run, and go test takes that for news.
func FuzzServe(f *testing.F) {
	m := newMemory(f)
	identity, _ := NewIdentity()
	id, err := PeerID(identity)
	if err != nil {
		f.Fatal(err)
	}
	m.SetPeer(&protocol.Peer{Name: "a", Id: id})
	m.setPolicy(f, allowAll)
	n := &Node{local: m, turns: newTurns(), working: context.Background(), limits: Limits{}.withDefaults(), log: slog.New(slog.DiscardHandler)}
	n.known.Store(newBook(m.Peers(), n.log))
	decoded, _ := peer.Decode(id)
	who := newAsker(decoded, n.limits)

	// Each operation, where it is allowed and where it is not, several to a seed: each seed costs as much as many inputs.
	for _, at := range []string{"wallet/keys/main", "wallet/other/main"} {
		for some := range slices.Chunk(protocol.Operations, 16) {
			var in []byte
			for i := range some {
				if in, err = protocol.AppendFrame(in, &protocol.Frame{Id: 1, Body: &protocol.Frame_Request{Request: requestFor(f, &some[i], at)}}); err != nil {
					f.Fatal(err)
				}
			}
			f.Add(in)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			op, ok := protocol.Lookup(req.Operation)
			if !ok || op.Door != protocol.DoorPeer {
				t.Errorf("handled %q", req.Operation)
			}
			if isListing(op) {
				return &protocol.Response{Status: protocol.Status_OK}, nil // what it shows is filtered: TestList
			}
			for _, a := range op.Accesses(req) {
				if l := a.Location; string(l.GetClient()) != "wallet" || string(l.GetVault()) != "keys" || l.ByID() || req.To != "" {
					t.Errorf("%s: handled elsewhere", req.Operation)
				}
			}
			return &protocol.Response{Status: protocol.Status_OK}, nil
		})
		var out bytes.Buffer
		server := protocol.Server{Door: protocol.DoorPeer, InFlight: 1, Handle: func(ctx context.Context, req *protocol.Request) *protocol.Response {
			return n.answer(ctx, who, func() bool { return true }, req)
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
