package itest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/node"
	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/engine"
	"github.com/stronghold-go/stronghold/sandbox/engine/zone"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

const passphrase = "correct horse battery staple"

// allowAll is a policy that gives every known peer every right there is.
const allowAll = `
[[allow]]
peers = ["*"]
ops = ["use", "write", "list", "extract", "store-read", "store-write"]
on = ["**"]
`

// scratch holds what all tests share, until the last one has ended.
var scratch string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "itest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// firstHome is a home with an empty snapshot. It is never opened: the password
// hash that made it is paid once, and each test opens a copy.
var firstHome = sync.OnceValues(func() (string, error) {
	home := filepath.Join(scratch, "first")
	identity, err := node.NewIdentity()
	if err != nil {
		return "", err
	}
	return home, local.Init(context.Background(), local.Config{Home: home},
		local.InitOptions{Identity: identity, Passphrase: []byte(passphrase), Cost: 17})
})

// newHome returns a home of its own, with an identity of its own.
func newHome(t testing.TB) string {
	t.Helper()
	return newHomeIn(t, t.TempDir())
}

func newHomeIn(t testing.TB, dir string) string {
	t.Helper()
	first, err := firstHome()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(first, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() == "identity.key" {
			if b, err = node.NewIdentity(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(home, f.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// newSnapshot returns the bytes of an empty snapshot.
func newSnapshot(t testing.TB) []byte {
	t.Helper()
	first, err := firstHome()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(first, "vault.stronghold"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newEngine starts an engine in this process.
func newEngine(t testing.TB) *engine.Engine {
	t.Helper()
	arena, err := memory.NewArena(engine.ArenaSize)
	if err != nil {
		t.Fatal(err)
	}
	// The arena stays mapped: an engine ends with its process.
	e, err := engine.New(arena)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// newPipe starts a zone with an engine in it.
func newPipe(t testing.TB) *sandbox.Zone {
	t.Helper()
	z, err := sandbox.Start(t.Context(), sandbox.Config{Name: zone.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := z.Close(); err != nil {
			t.Errorf("zone: %v", err)
		}
	})
	return z
}

// overPipe asks an engine in a zone.
func overPipe(z *sandbox.Zone) protocol.Handler {
	return protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		b, err := protocol.Marshal(req)
		if err != nil {
			return nil, err
		}
		if b, err = z.Call(ctx, b); err != nil {
			return nil, err
		}
		resp := new(protocol.Response)
		return resp, protocol.Unmarshal(b, resp)
	})
}

// hashing has another engine hash what e wants to have hashed, as a node does.
func hashing(ctx context.Context, e protocol.Handler, req *protocol.Request) (*protocol.Response, error) {
	op, ok := protocol.Lookup(req.Operation)
	if !ok || !op.Hashes || req.Secret == nil || req.HashKey != nil {
		return e.Handle(ctx, req)
	}
	arena, err := memory.NewArena(engine.ArenaSize)
	if err != nil {
		return nil, err
	}
	defer arena.Destroy()
	other, err := engine.New(arena)
	if err != nil {
		return nil, err
	}
	key, err := other.Handle(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "zone.key"})
	if err != nil {
		return nil, err
	}
	with := proto.CloneOf(req)
	with.HashKey = key.PublicKey
	resp, err := e.Handle(ctx, with)
	if err != nil || resp.Job == nil {
		return resp, err
	}
	resp, err = other.Handle(ctx, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: resp.Job, Snapshot: resp.Snapshot})
	if err != nil || resp.Hashed == nil {
		return resp, err
	}
	return e.Handle(ctx, &protocol.Request{Id: req.Id, Operation: "zone.hashed", Hashed: resp.Hashed})
}

// bothSteps has an engine commit each change at once, as a node does once it is
// on the disk, and go on with a file that has what was asked for.
func bothSteps(e protocol.Handler) protocol.Handler {
	return protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		resp, err := hashing(ctx, e, req)
		if err == nil && resp.Status == protocol.Status_OK && slices.Contains([]string{"slot.add", "slot.remove", "snapshot.rekey"}, req.Operation) {
			if refusal, err := refold(ctx, e); refusal != nil || err != nil {
				return refusal, err
			}
		}
		if err != nil || resp.Change == nil {
			return resp, err
		}
		commit := &protocol.Request{Id: protocol.NewID(), Operation: "zone.commit", Sequence: resp.Change.Sequence}
		done, err := e.Handle(context.WithoutCancel(ctx), commit)
		if err != nil || done.Status != protocol.Status_OK {
			return done, err
		}
		resp.Change = nil
		return resp, nil
	})
}

// refold writes a file, for nobody to read.
func refold(ctx context.Context, e protocol.Handler) (*protocol.Response, error) {
	req := &protocol.Request{Operation: "zone.fold"}
	for {
		req.Id = protocol.NewID()
		resp, err := e.Handle(ctx, req)
		if err != nil || resp.Status != protocol.Status_OK {
			return resp, err
		}
		if req.More = resp.More; !resp.More {
			break
		}
	}
	resp, err := e.Handle(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "zone.adopt"})
	if err != nil || resp.Status != protocol.Status_OK {
		return resp, err
	}
	return nil, nil
}

// bring opens a snapshot in an engine, and returns the answer to the last part.
func bring(ctx context.Context, e protocol.Handler, passphrase, file []byte) (*protocol.Response, error) {
	ask := protocol.Client{H: e}
	key, err := ask.Do(ctx, &protocol.Request{Operation: "zone.key"})
	if err != nil {
		return nil, err
	}
	req := &protocol.Request{Id: protocol.NewID(), Operation: "node.unlock"}
	if req.Secret, err = protocol.Seal(key.PublicKey, req, "secret", protocol.ToZone, passphrase); err != nil {
		return nil, err
	}
	req.Operation, req.AcceptOlder = "zone.open", true
	half := max(len(file)/2, min(len(file), 1<<13)) // the first part holds the header
	req.Snapshot, req.More, req.Device = file[:half], true, bytes.Repeat([]byte{7}, 8)
	resp, err := hashing(ctx, e, req)
	for err == nil && resp.Wanted != nil {
		resp, err = e.Handle(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "zone.open", Snapshot: file[min(int(resp.Wanted.At), len(file)):]})
	}
	return resp, err
}

// peerNode is a node in this process.
type peerNode struct {
	*local.Stronghold
	node *node.Node
}

// newNode starts a node on loopback, with settings if there are any.
func newNode(t testing.TB, settings ...string) *peerNode {
	t.Helper()
	home := newHome(t)
	for _, text := range settings {
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := local.Open(t.Context(), local.Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stronghold: %v", err)
		}
	})
	n, err := node.New(node.Config{Local: s, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return &peerNode{s, n}
}

// local asks as the user of the node's machine does.
func (p *peerNode) local() protocol.Client { return protocol.Client{H: p.node.Local()} }

// knows has a node know another one by a name.
func (p *peerNode) knows(t testing.TB, other *peerNode, name string) {
	t.Helper()
	_, err := p.local().Do(t.Context(), &protocol.Request{Operation: "peer.add", Name: name, Address: other.node.Addrs()[0]})
	if err != nil {
		t.Fatal(err)
	}
}

// serveSocket serves a node's control socket.
func serveSocket(t testing.TB, p *peerNode) {
	t.Helper()
	l, err := control.Listen(p.Home())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, p.node.Local()) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("control: %v", err)
		}
	})
}

// dialSocket connects to the socket of a home.
func dialSocket(t testing.TB, home string) *protocol.Conn {
	t.Helper()
	conn, err := control.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // the node may have ended first
			t.Errorf("socket: %v", err)
		}
	})
	return conn
}

// newPair starts two nodes that know each other; b allows a everything.
func newPair(t testing.TB) (a, b *peerNode) {
	t.Helper()
	a, b = newNode(t), newNode(t)
	a.knows(t, b, "b")
	b.knows(t, a, "a")
	if _, err := b.local().Do(t.Context(), &protocol.Request{Operation: "policy.apply", Text: allowAll}); err != nil {
		t.Fatal(err)
	}
	return a, b
}
