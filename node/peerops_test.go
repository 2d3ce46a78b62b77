package node

import (
	"errors"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/stronghold-go/stronghold/protocol"
)

// ask is a request to the local door, and its answer.
func ask(t *testing.T, n *Node, req *protocol.Request) *protocol.Response {
	t.Helper()
	req.Id = protocol.NewID()
	resp, err := n.Local().Handle(testContext(t), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Operation, err)
	}
	return resp
}

// TestPeerRename: the new name reaches the same node, and no right moves.
func TestPeerRename(t *testing.T) {
	a, b, _, bm := pair(t)
	do(t, a.Remote("b"), sign(t))
	other := newNode(t, newMemory(t))
	addPeer(t, a, "c", other)
	rename := func(name, to string) *protocol.Response {
		return ask(t, a, &protocol.Request{Operation: "peer.rename", Name: name, NewName: to})
	}
	for _, bad := range []string{"a/b", "*", " ", "-x", b.ID(), strings.Repeat("x", 65)} {
		if resp := rename("b", bad); resp.Status != protocol.Status_INVALID || resp.Field != "new_name" {
			t.Errorf("to %q: %v", bad, resp)
		}
	}
	if resp := rename("nobody", "somebody"); resp.Status != protocol.Status_NOT_FOUND {
		t.Errorf("nobody: %v", resp)
	}
	for _, taken := range []string{"c", "b"} {
		if resp := rename("b", taken); resp.Status != protocol.Status_EXISTS {
			t.Errorf("to a name that is taken: %v", resp)
		}
	}
	if resp := rename("b", "bob"); resp.Status != protocol.Status_OK {
		t.Fatal(resp)
	}
	do(t, a.Remote("bob"), sign(t))
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("by its old name: %v", err)
	}
	// What b calls a is of no weight for what a may do there.
	if resp := ask(t, b, &protocol.Request{Operation: "peer.rename", Name: "a", NewName: "alice"}); resp.Status != protocol.Status_OK {
		t.Fatal(resp)
	}
	do(t, a.Remote("bob"), sign(t))
	if p := bm.Peers()[0]; p.Name != "alice" || p.Id != a.ID() {
		t.Errorf("known there: %v", p)
	}
}

// TestPeerRemove: its connections end, and it is not let in again.
func TestPeerRemove(t *testing.T) {
	a, b, _, _ := pair(t)
	do(t, a.Remote("b"), sign(t))
	remove := func(name string) *protocol.Response {
		return ask(t, b, &protocol.Request{Operation: "peer.remove", Name: name})
	}
	if resp := remove("nobody"); resp.Status != protocol.Status_NOT_FOUND {
		t.Errorf("nobody: %v", resp)
	}
	if resp := remove("a"); resp.Status != protocol.Status_OK {
		t.Fatal(resp)
	}
	eventually(t, "the connection ends", func() bool { return len(a.host.Network().ConnsToPeer(b.id)) == 0 })
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrRefused) {
		t.Errorf("after it was removed: %v", err)
	}
	if resp := remove("a"); resp.Status != protocol.Status_NOT_FOUND {
		t.Errorf("twice: %v", resp)
	}
}

func TestPing(t *testing.T) {
	a, b, _, bm := pair(t)
	bm.setPolicy(t, "") // a ping needs no right
	ping := func(peer string) *protocol.Response {
		return ask(t, a, &protocol.Request{Operation: "peer.ping", Peer: peer})
	}
	for _, name := range []string{"b", b.ID(), b.Addrs()[0], "b"} {
		resp := ping(name)
		p := resp.Ping
		if resp.Status != protocol.Status_OK || p.RoundTripUs == 0 || p.Relayed || p.Address+"/p2p/"+b.ID() != b.Addrs()[0] {
			t.Errorf("%s: %v", name, resp)
		}
	}
	if n := bm.handled.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	// It leaves nothing behind: many pings do not use streams up.
	for range 200 {
		if resp := ping("b"); resp.Status != protocol.Status_OK {
			t.Fatal(resp)
		}
	}
	stranger := newNode(t, newMemory(t))
	if resp := ping(stranger.ID()); resp.Status != protocol.Status_UNAVAILABLE || !strings.Contains(resp.Detail, "no peer of this name") {
		t.Errorf("a stranger: %v", resp)
	}
	addPeer(t, a, "stranger", stranger)
	if resp := ping("stranger"); resp.Status != protocol.Status_UNAVAILABLE || !strings.Contains(resp.Detail, "hung up") {
		t.Errorf("one that does not know this node: %v", resp)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if resp := ping("b"); resp.Status != protocol.Status_UNAVAILABLE {
		t.Errorf("one that is gone: %v", resp)
	}
}

func TestRelayed(t *testing.T) {
	const id = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
	for text, want := range map[string]bool{
		"/ip4/192.0.2.1/tcp/7411":                            false,
		"/ip4/192.0.2.1/tcp/7411/p2p/" + id + "/p2p-circuit": true,
	} {
		if addr, err := ma.NewMultiaddr(text); err != nil || relayed(addr) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
}
