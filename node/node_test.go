package node

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/stronghold-go/stronghold/protocol"
)

func TestIdentity(t *testing.T) {
	one, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	two, _ := NewIdentity()
	id, err := PeerID(one)
	if err != nil || !strings.HasPrefix(id, "12D3KooW") {
		t.Errorf("the id is %s, %v", id, err)
	}
	if other, _ := PeerID(two); other == id {
		t.Error("two identities are one")
	}
	secp, _, _ := crypto.GenerateSecp256k1Key(nil)
	other, _ := crypto.MarshalPrivateKey(secp)
	for _, bad := range [][]byte{nil, []byte("correct horse"), one[:len(one)-1], append([]byte{1}, one...), other} {
		_, err := PeerID(bad)
		if err == nil || strings.Contains(err.Error(), "horse") {
			t.Errorf("%x: %v", bad, err)
		}
		if n, err := New(Config{Local: &memory{identity: bad}}); err == nil {
			n.Close()
			t.Errorf("%x: a node started", bad)
		}
	}
}

func TestNew(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, listen := range [][]string{
		{"127.0.0.1:7411"}, {"/ip4/127.0.0.1"}, {"/ip4/127.0.0.1/udp/1/quic-v1"}, {"/ip4/127.0.0.1/tcp/0/ws"}, {""},
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/" + port}, // one that works does not make up for one that does not
	} {
		if n, err := New(Config{Local: newMemory(t), Listen: listen}); err == nil {
			n.Close()
			t.Errorf("%q: a node started", listen)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a node of nothing started")
	}
	n := newNode(t, newMemory(t), func(cfg *Config) { cfg.Listen = nil })
	if len(n.Addrs()) != 0 {
		t.Errorf("a node that does not listen has the addresses %q", n.Addrs())
	}
}

// TestAsksWithoutListening: a node need not be reachable to ask, nor to be asked
// on a connection it made.
func TestAsksWithoutListening(t *testing.T) {
	am, bm := newMemory(t), newMemory(t)
	a, b := newNode(t, am, func(cfg *Config) { cfg.Listen = nil }), newNode(t, bm)
	addPeer(t, a, "b", b)
	addPeer(t, b, "a", a)
	am.setPolicy(t, strings.ReplaceAll(allowAll, `"a"`, `"b"`))
	bm.setPolicy(t, allowAll)
	if _, err := b.Remote("a").Handle(testContext(t), sign(t)); !errors.Is(err, ErrNoAddress) {
		t.Errorf("before it came: %v", err)
	}
	do(t, a.Remote("b"), sign(t))
	do(t, b.Remote("a"), sign(t))
}

func TestStatusAndPeers(t *testing.T) {
	a, b, _, _ := pair(t)
	peers := do(t, a.Local(), &protocol.Request{Operation: "peer.list"}).Peers
	if len(peers) != 1 || peers[0].Name != "b" || peers[0].Id != b.ID() || peers[0].Connected || !slices.Equal(peers[0].Addresses, b.Addrs()) {
		t.Errorf("got %v", peers)
	}
	do(t, a.Remote("b"), sign(t))
	if peers = do(t, a.Local(), &protocol.Request{Operation: "peer.list"}).Peers; !peers[0].Connected {
		t.Errorf("once connected: %v", peers)
	}
	status := do(t, a.Local(), &protocol.Request{Operation: "node.status"}).Node
	if status.PeerId != a.ID() || !slices.Equal(status.Addresses, a.Addrs()) || status.Peers != 1 || status.Connected != 1 || status.Version != "test" {
		t.Errorf("got %v", status)
	}
}

// TestLocalDoor: it admits what its table admits, and survives a panic behind it.
func TestLocalDoor(t *testing.T) {
	m := newMemory(t)
	n := newNode(t, m)
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		resp, err := n.Local().Handle(testContext(t), requestFor(t, op, "wallet/keys/main"))
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		if got, want := resp.Status == protocol.Status_UNSUPPORTED, op.Door == protocol.DoorZone; got != want {
			t.Errorf("%s: got %v", op.Name, resp)
		}
	}
	m.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) { panic("a secret") })
	resp, err := n.Local().Handle(testContext(t), sign(t))
	if err != nil || !sameAnswer(resp, &protocol.Response{Status: protocol.Status_INTERNAL}) {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestPeerAdd(t *testing.T) {
	n := newNode(t, newMemory(t))
	identity, _ := NewIdentity()
	id, _ := PeerID(identity)
	identity, _ = NewIdentity()
	other, _ := PeerID(identity)
	add := func(name, address string) *protocol.Response {
		resp, err := n.Local().Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "peer.add", Name: name, Address: address})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for _, name := range []string{"a/b", "/x", "*", " ", "a b", "a\nb", "a\u202eb", "a\u200bb", "-x", "e\u0301", strings.Repeat("x", 65),
		id, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "\x7f", "a\u00a0b"} {
		if resp := add(name, id); resp.Status != protocol.Status_INVALID || resp.Field != "name" {
			t.Errorf("name %q: %v", name, resp)
		}
	}
	for _, address := range []string{"x", "/", "/p2p/", "/p2p/x", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + id, "/ip4/1.2.3.4/p2p/" + id,
		"/ip4/1.2.3.4/tcp/1/ws/p2p/" + id, "/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit", "/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + other,
		"1.2.3.4:1", n.ID(), n.Addrs()[0], id + " "} {
		if resp := add("x", address); resp.Status != protocol.Status_INVALID || resp.Field != "address" {
			t.Errorf("address %q: %v", address, resp)
		}
	}
	for _, step := range []struct {
		name, address string
		want          protocol.Status
		addresses     int
	}{
		{"alice", id, protocol.Status_OK, 0},
		{"alice", "/ip4/1.2.3.4/tcp/1/p2p/" + id, protocol.Status_OK, 1},
		{"alice", "/ip4/1.2.3.4/tcp/1/p2p/" + id, protocol.Status_OK, 1},
		{"alice", "/dns/node.example/tcp/2/p2p/" + id, protocol.Status_OK, 2},
		{"alice", "/ip6/::1/tcp/2/p2p/" + id, protocol.Status_OK, 3},
		{"alice", id, protocol.Status_OK, 3},
		{"alice", "/p2p/" + id, protocol.Status_OK, 3},
		{"alice", other, protocol.Status_EXISTS, 3},
		{"bob", id, protocol.Status_EXISTS, 3},
		{"Ålice-2.home", other, protocol.Status_OK, 3},
	} {
		if resp := add(step.name, step.address); resp.Status != step.want {
			t.Errorf("%s at %s: %v", step.name, step.address, resp)
		}
		for _, p := range n.peerList() {
			if p.Name == "alice" && len(p.Addresses) != step.addresses {
				t.Errorf("after %s at %s alice has %q", step.name, step.address, p.Addresses)
			}
		}
	}
	if peers := n.peerList(); len(peers) != 2 {
		t.Errorf("there are %v", peers)
	}
}

// TestPeerAddAtOnce: many at once are all there in the end, with all of their addresses.
func TestPeerAddAtOnce(t *testing.T) {
	n := newNode(t, newMemory(t))
	identity, _ := NewIdentity()
	id, _ := PeerID(identity)
	var adders sync.WaitGroup
	for i := range maxAddresses {
		adders.Go(func() {
			do(t, n.Local(), &protocol.Request{Operation: "peer.add", Name: "x", Address: "/ip4/1.2.3.4/tcp/" + string(rune('1'+i%9)) + string(rune('0'+i/9)) + "/p2p/" + id})
		})
	}
	adders.Wait()
	if peers := n.peerList(); len(peers) != 1 || len(peers[0].Addresses) != maxAddresses {
		t.Errorf("got %v", peers)
	}
	resp, _ := n.Local().Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "peer.add", Name: "x", Address: "/ip4/1.2.3.4/tcp/999/p2p/" + id})
	if resp.Status != protocol.Status_LIMITED {
		t.Errorf("one more: %v", resp)
	}
}

// TestClose: what is in flight is answered, what comes later is not.
func TestClose(t *testing.T) {
	a, b, _, bm := pair(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		close(arrived)
		<-release
		return &protocol.Response{Status: protocol.Status_OK, Signature: []byte("in time")}, nil
	})
	type result struct {
		resp *protocol.Response
		err  error
	}
	answered, closed := make(chan result, 1), make(chan error, 2)
	go func() {
		resp, err := a.Remote("b").Handle(testContext(t), sign(t))
		answered <- result{resp, err}
	}()
	wait(t, "the request", arrived)
	for range 2 {
		go func() { closed <- b.Close() }()
	}
	wait(t, "the node to stop reading", b.serving.Done())
	stream, err := a.open(testContext(t), b.host.ID()) // the connection is still there
	if err == nil {
		stream.SetReadDeadline(time.Now().Add(within))
		_, err = stream.Read(make([]byte, 1))
		stream.Reset()
	}
	if turnedAway(err) != ErrStopping && !errors.Is(err, ErrStopping) {
		t.Errorf("a new stream to a closing node: %v", err)
	}
	eventually(t, "nobody listens", func() bool { return len(b.host.Network().ListenAddresses()) == 0 })
	if _, err := b.Remote("a").Handle(testContext(t), sign(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("a closing node asks others: %v", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with a request in flight: %v", err)
	default:
	}
	close(release)
	if r := wait(t, "the answer", answered); r.err != nil || string(r.resp.Signature) != "in time" {
		t.Errorf("got %v, %v", r.resp, r.err)
	}
	for range 2 {
		if err := wait(t, "the end", closed); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestCloseHasADeadline: a request that takes longer than the grace is told to end.
func TestCloseHasADeadline(t *testing.T) {
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Grace = 50 * time.Millisecond })
	arrived := make(chan struct{})
	bm.instead(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		close(arrived)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	answered := make(chan *protocol.Response, 1)
	go func() {
		resp, err := a.Remote("b").Handle(testContext(t), sign(t))
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	wait(t, "the request", arrived)
	start := time.Now()
	b.Close()
	if took := time.Since(start); took > within/2 {
		t.Errorf("closing took %v", took)
	}
	if resp := wait(t, "the answer", answered); resp.GetStatus() != protocol.Status_UNAVAILABLE {
		t.Errorf("got %v", resp)
	}
}

// TestCloseWhileDialling: a dial that goes nowhere does not hold the node up.
func TestCloseWhileDialling(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	_, port, _ := net.SplitHostPort(mute.Addr().String())
	identity, _ := NewIdentity()
	id, _ := PeerID(identity)
	n := newNode(t, newMemory(t))
	do(t, n.Local(), &protocol.Request{Operation: "peer.add", Name: "mute", Address: "/ip4/127.0.0.1/tcp/" + port + "/p2p/" + id})
	failed := make(chan error, 1)
	go func() { _, err := n.Remote("mute").Handle(testContext(t), sign(t)); failed <- err }()
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n.Close()
	if err := wait(t, "the asker", failed); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
