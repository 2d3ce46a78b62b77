package node

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/stronghold-go/stronghold/protocol"
)

// renamePeer answers peer.rename. No right moves: the policy in force means ids.
func (n *Node) renamePeer(req *protocol.Request) *protocol.Response {
	if detail := checkName(req.NewName); detail != "" {
		return protocol.Invalid("new_name", detail)
	}
	n.addMu.Lock()
	defer n.addMu.Unlock()
	p := n.named(req.Name)
	switch {
	case p == nil:
		return protocol.Refuse(protocol.Status_NOT_FOUND, "no peer has this name")
	case n.named(req.NewName) != nil:
		return protocol.Refuse(protocol.Status_EXISTS, "a peer has this name")
	case n.local.Rules().HasGroup(req.NewName):
		return protocol.Refuse(protocol.Status_EXISTS, groupHasName)
	}
	if err := n.local.RenamePeer(req.Name, req.NewName); err != nil {
		n.log.Error("peer not renamed", "error", err)
		return protocol.Answer(req, nil, err)
	}
	n.log.Info("peer renamed", "name", req.Name, "new_name", req.NewName)
	return n.mentions(p)
}

// removePeer answers peer.remove. What is under way with the peer ends.
func (n *Node) removePeer(req *protocol.Request) *protocol.Response {
	n.addMu.Lock()
	defer n.addMu.Unlock()
	p := n.named(req.Name)
	if p == nil {
		return protocol.Refuse(protocol.Status_NOT_FOUND, "no peer has this name")
	}
	if req.Address != "" {
		return n.removeAddress(p, req)
	}
	if err := n.local.RemovePeer(req.Name); err != nil {
		n.log.Error("peer not removed", "error", err)
		return protocol.Answer(req, nil, err)
	}
	return n.mentions(p)
}

// removeAddress takes one address of a peer away, which may be given without the
// peer's id, as people see it. Connections stay. n.addMu is held.
func (n *Node) removeAddress(p *protocol.Peer, req *protocol.Request) *protocol.Response {
	suffix := "/p2p/" + p.Id
	addr, err := ma.NewMultiaddr(strings.TrimSuffix(req.Address, suffix) + suffix)
	if err != nil {
		return protocol.Invalid("address", "must be a multiaddr of this peer")
	}
	i := slices.Index(p.Addresses, addr.String())
	if i < 0 {
		return protocol.Refuse(protocol.Status_NOT_FOUND, "the peer has no such address")
	}
	p.Addresses = slices.Delete(p.Addresses, i, i+1)
	if err := n.local.SetPeer(p); err != nil {
		n.log.Error("address not removed", "error", err)
		return protocol.Answer(req, nil, err)
	}
	n.log.Info("address of a peer removed", "name", p.Name, "peer", p.Id)
	return &protocol.Response{Status: protocol.Status_OK}
}

// mentions answers that it is done, and where the policy in force speaks of a
// peer: that stays.
func (n *Node) mentions(p *protocol.Peer) *protocol.Response {
	return &protocol.Response{Status: protocol.Status_OK, Text: strings.Join(n.local.Rules().Mentions(p.Id), "\n")}
}

// named is the peer of this name, a copy; nil if there is none. The list itself is
// asked, not the book. n.addMu is held.
func (n *Node) named(name string) *protocol.Peer {
	peers := n.local.Peers()
	if i := slices.IndexFunc(peers, func(p *protocol.Peer) bool { return p.Name == name }); i >= 0 {
		return peers[i]
	}
	return nil
}

// ping answers peer.ping.
func (n *Node) ping(ctx context.Context, req *protocol.Request) *protocol.Response {
	ctx, cancel := context.WithTimeout(ctx, protocol.Timeout(req))
	defer cancel()
	p, err := n.roundTrip(ctx, req.Peer)
	return protocol.Answer(req, &protocol.Response{Status: protocol.Status_OK, Ping: p}, err)
}

// roundTrip measures how long a message and its answer take to and from a peer:
// those by which the two agree on protocol.ID for a stream, on a connection that
// is there by then. That asks nothing, so the peer has nothing to permit, and
// nothing to note.
func (n *Node) roundTrip(ctx context.Context, name string) (*protocol.Ping, error) {
	id, addr, err := n.known.Load().find(name)
	if err != nil {
		return nil, err
	}
	if addr != nil {
		n.host.Peerstore().AddAddr(id, addr, peerstore.TempAddrTTL)
	}
	if _, err := n.remote(id).stream(ctx); err != nil {
		return nil, err
	}
	n.host.Peerstore().RemoveProtocols(id, protocol.ID) // else they agree only when something is sent
	began := time.Now()
	s, err := n.openOnce(ctx, id)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	letGo(s) // by when the peer has let go of it, too
	return &protocol.Ping{RoundTripUs: uint64(max(1, took.Microseconds())), Relayed: relayed(s.Conn().RemoteMultiaddr()),
		Address: s.Conn().RemoteMultiaddr().String()}, nil
}

// letGo closes a stream, and waits until the peer has let go of it too: it does
// not take many at once.
func letGo(s network.Stream) {
	defer s.Close()
	if s.CloseWrite() == nil {
		s.SetReadDeadline(time.Now().Add(farewellTime))
		io.Copy(io.Discard, s)
	}
}

// relayed says whether the way to this address goes by another node.
func relayed(addr ma.Multiaddr) bool {
	return slices.ContainsFunc(addr, func(part ma.Component) bool { return part.Protocol().Code == ma.P_CIRCUIT })
}
