package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/stronghold-go/stronghold/protocol"
)

func TestRemote(t *testing.T) {
	a, b, _, _ := pair(t)
	for _, name := range []string{"b", b.ID(), b.Addrs()[0]} {
		resp := do(t, a.Remote(name), sign(t))
		if !bytes.Equal(resp.Signature, signature("wallet/keys/main", []byte("hello"))) {
			t.Errorf("%s: got signature %x", name, resp.Signature)
		}
	}
	if c := len(a.host.Network().ConnsToPeer(b.host.ID())); c != 1 {
		t.Errorf("there are %d connections", c)
	}
}

func TestLocalHandsOn(t *testing.T) {
	a, _, am, _ := pair(t)
	req := sign(t)
	req.To = "b"
	if resp := do(t, a.Local(), req); len(resp.Signature) != 64 {
		t.Errorf("got %v", resp)
	}
	if req.To != "b" {
		t.Error("the caller's request was changed")
	}
	if am.handled.Load() != 0 {
		t.Error("the own engine was asked")
	}
}

// TestUnreachable: each way in which a peer cannot be asked has its own error.
func TestUnreachable(t *testing.T) {
	am := newMemory(t)
	a := newNode(t, am)
	stranger := newNode(t, newMemory(t)) // does not know a
	addPeer(t, a, "stranger", stranger)

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	id := func() string {
		identity, _ := NewIdentity()
		id, err := PeerID(identity)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	set := func(name, address string) {
		do(t, a.Local(), &protocol.Request{Operation: "peer.add", Name: name, Address: address})
	}
	set("nobody", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", port, id()))
	set("nowhere", id())
	set("impostor", strings.Replace(stranger.Addrs()[0], stranger.ID(), id(), 1))

	mute := newNode(t, newMemory(t)) // speaks libp2p, and not our protocol, whatever it says of itself
	addPeer(t, mute, "a", a)
	mute.host.Mux().RemoveHandler(protocol.ID)
	addPeer(t, a, "mute", mute)

	for name, want := range map[string]error{
		"unknown":                          ErrUnknownPeer,
		id():                               ErrUnknownPeer,
		"/ip4/127.0.0.1/tcp/1/p2p/" + id(): ErrUnknownPeer,
		"/ip4/127.0.0.1/tcp/1":             ErrUnknownPeer,
		"":                                 ErrUnknownPeer,
		"nobody":                           ErrNoAnswer,
		"nowhere":                          ErrNoAddress,
		"impostor":                         ErrWrongPeer,
		"stranger":                         ErrRefused,
		"mute":                             ErrNoProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time nothing may come from a memory of the first
				_, err := protocol.Client{H: a.Remote(name)}.Do(testContext(t), sign(t))
				if !errors.Is(err, want) || !errors.Is(err, ErrUnreachable) {
					t.Fatalf("got %v, want %v", err, want)
				}
				answer := protocol.Answer(sign(t), nil, err)
				if answer.Status != protocol.Status_UNAVAILABLE || answer.Detail != want.Error() {
					t.Errorf("at the local door it is %v", answer)
				}
			}
		})
	}
	if m := stranger.local.(*memory); m.handled.Load() != 0 {
		t.Error("an unknown node was answered")
	}
	eventually(t, "the stranger has no connections", func() bool { return len(stranger.host.Network().Conns()) == 0 })
}

// TestUnknownPeerEndsAtTheHandshake: the listener never has a connection of it.
func TestUnknownPeerEndsAtTheHandshake(t *testing.T) {
	am, bm := newMemory(t), newMemory(t)
	a, b := newNode(t, am), newNode(t, bm)
	addPeer(t, a, "b", b)
	met := make(chan peer.ID, 1)
	b.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { met <- c.RemotePeer() }})
	for range 3 {
		if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrRefused) {
			t.Fatalf("got %v", err)
		}
	}
	select {
	case id := <-met:
		t.Errorf("%s got past the handshake", id)
	default:
	}
	// Once it is known, it gets in: nothing remembers the refusal.
	addPeer(t, b, "a", a)
	bm.setPolicy(t, allowAll)
	do(t, a.Remote("b"), sign(t))
}

// TestOneDial: all who ask at once share one stream.
func TestOneDial(t *testing.T) {
	a, b, _, _ := pair(t)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			if _, err := a.Remote("b").Handle(testContext(t), sign(t)); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	streams := 0
	for _, c := range b.host.Network().ConnsToPeer(a.host.ID()) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == protocol.ID {
				streams++
			}
		}
	}
	if streams != 1 {
		t.Errorf("there are %d streams", streams)
	}
}

// TestOutOfOrder: an answer belongs to its question, whichever comes first.
func TestOutOfOrder(t *testing.T) {
	const callers = 48
	a, _, _, bm := pair(t)
	var mu sync.Mutex
	turns := map[string]chan struct{}{}
	arrived := make(chan string, callers)
	bm.instead(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		turn := make(chan struct{})
		mu.Lock()
		turns[string(req.Message)] = turn
		mu.Unlock()
		arrived <- string(req.Message)
		<-turn
		return &protocol.Response{Status: protocol.Status_OK, Signature: signature("", req.Message)}, nil
	})
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			req := sign(t)
			req.Message = fmt.Appendf(nil, "message %d", i)
			resp, err := a.Remote("b").Handle(testContext(t), req)
			if err != nil || !bytes.Equal(resp.Signature, signature("", req.Message)) {
				t.Errorf("%s: got %v, %v", req.Message, resp, err)
			}
		})
	}
	var order []string
	for range callers {
		order = append(order, wait(t, "the requests", arrived))
	}
	for i := range order { // the last to come is answered first
		mu.Lock()
		close(turns[order[len(order)-1-i]])
		mu.Unlock()
	}
	all.Wait()
}

// TestRedial: a stream that ended is replaced, and its callers do not notice
// unless they waited for an answer on it.
func TestRedial(t *testing.T) {
	a, b, _, bm := pair(t)
	do(t, a.Remote("b"), sign(t))
	ended := func() {
		t.Helper()
		r := a.remote(b.host.ID())
		r.mu.Lock()
		defer r.mu.Unlock()
		wait(t, "the end of the stream", r.conn.Done())
	}
	for range 5 {
		for _, c := range b.host.Network().Conns() {
			for _, s := range c.GetStreams() {
				if s.Protocol() == protocol.ID {
					s.Reset()
				}
			}
		}
		ended()
		do(t, a.Remote("b"), sign(t))
	}

	// The whole node goes, and comes back at the same address.
	address := b.host.Network().ListenAddresses()[0].String()
	b.Close()
	ended()
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("while it was away: %v", err)
	}
	newNode(t, bm, func(cfg *Config) { cfg.Listen = []string{address} })
	do(t, a.Remote("b"), sign(t))
}

// TestLost: the stream breaks when a request has left. What changes something
// may have been done, and is not asked again by itself.
func TestLost(t *testing.T) {
	a, b, _, bm := pair(t)
	bm.instead(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		b.host.Network().ClosePeer(a.host.ID())
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	generate := requestFor(t, operation(t, "key.generate"), "wallet/keys/main")
	for _, test := range []struct {
		req  *protocol.Request
		want error
	}{{sign(t), protocol.ErrUnavailable}, {generate, protocol.ErrOutcomeUnknown}} {
		before := bm.handled.Load()
		_, err := a.Remote("b").Handle(testContext(t), test.req)
		if !errors.Is(err, test.want) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: got %v, want %v", test.req.Operation, err, test.want)
		}
		if status := protocol.Answer(test.req, nil, err).Status; status != test.want.(*protocol.Error).Status {
			t.Errorf("%s: at the local door it is %s", test.req.Operation, status)
		}
		if got := bm.handled.Load() - before; got != 1 {
			t.Errorf("%s: it was handled %d times", test.req.Operation, got)
		}
	}
}

// TestAskerLeaves: whoever stops waiting takes nothing from the others.
func TestAskerLeaves(t *testing.T) {
	a, _, _, bm := pair(t)
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	bm.instead(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		arrived <- struct{}{}
		<-release
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	ctx, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := a.Remote("b").Handle(ctx, sign(t)); left <- err }()
	go func() { _, err := a.Remote("b").Handle(testContext(t), sign(t)); stayed <- err }()
	wait(t, "the requests", arrived)
	wait(t, "the requests", arrived)
	leave()
	if err := wait(t, "who left", left); !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(release)
	if err := wait(t, "who stayed", stayed); err != nil {
		t.Errorf("who stayed got %v", err)
	}
}

// TestTooLongToSend: a request that fits no frame is the caller's mistake, and
// harms nobody else.
func TestTooLongToSend(t *testing.T) {
	a, _, _, _ := pair(t)
	req := sign(t)
	req.Message = make([]byte, protocol.MaxFrame)
	if _, err := a.Remote("b").Handle(testContext(t), req); !errors.Is(err, protocol.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	do(t, a.Remote("b"), sign(t))
}

// TestPresentable: a peer's words may be shown on a terminal.
func TestPresentable(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		return &protocol.Response{Status: protocol.Status_NOT_FOUND, Detail: "no\x1b[2J\u202e key"}, nil
	})
	resp, err := a.Remote("b").Handle(testContext(t), sign(t))
	if err != nil || resp.Detail != "no[2J key" {
		t.Errorf("got %q, %v", resp.GetDetail(), err)
	}
}

func operation(t testing.TB, name string) *protocol.Operation {
	t.Helper()
	op, ok := protocol.Lookup(name)
	if !ok {
		t.Fatalf("no operation %s", name)
	}
	return op
}
