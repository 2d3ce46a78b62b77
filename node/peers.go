package node

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/text/unicode/norm"

	"github.com/stronghold-go/stronghold/protocol"
)

// maxAddresses is how many addresses one peer may have.
const maxAddresses = 16

// book is the known peers as they were at one moment. It is never changed.
type book struct {
	byID   map[peer.ID]*protocol.Peer
	byName map[string]peer.ID
}

func newBook(peers []*protocol.Peer, log *slog.Logger) *book {
	b := &book{byID: map[peer.ID]*protocol.Peer{}, byName: map[string]peer.ID{}}
	for _, p := range peers {
		id, err := peer.Decode(p.Id)
		if err != nil {
			log.Warn("a known peer has no valid id", "name", p.Name)
			continue
		}
		b.byID[id] = p
		b.byName[p.Name] = id
	}
	return b
}

func (b *book) has(id peer.ID) bool { return b.byID[id] != nil }

// find resolves what a person calls a peer: its name, its id, or an address that
// ends in its id, which is then returned too.
func (b *book) find(text string) (peer.ID, ma.Multiaddr, error) {
	if id, ok := b.byName[text]; ok {
		return id, nil, nil
	}
	id, addr, err := parseAddress(text)
	if err != nil || !b.has(id) {
		return "", nil, ErrUnknownPeer
	}
	return id, addr, nil
}

// peersChanged takes over the list of known peers. Who is no longer on it is
// cut off: the gater, and each request, look at the new list from here on.
func (n *Node) peersChanged() {
	n.bookMu.Lock()
	defer n.bookMu.Unlock()
	before, now := n.known.Load(), newBook(n.local.Peers(), n.log)
	n.known.Store(now)
	store := n.host.Peerstore()
	for id, p := range now.byID {
		if old := before.byID[id]; old != nil && slices.Equal(old.Addresses, p.Addresses) {
			continue
		}
		store.ClearAddrs(id)
		for _, text := range p.Addresses {
			if _, addr, err := parseAddress(text); err == nil && addr != nil {
				store.AddAddr(id, addr, peerstore.PermanentAddrTTL)
				n.strangers.saw(id, placeOf(addr))
			}
		}
		for _, text := range p.Usage.GetSeen() {
			if place, err := netip.ParsePrefix(text); err == nil {
				n.strangers.saw(id, place)
			}
		}
	}
	for id := range before.byID {
		if now.has(id) {
			continue
		}
		store.ClearAddrs(id)
		n.strangers.forget(id)
		n.log.Info("peer removed", "peer", id.String())
		n.mu.Lock()
		if a := n.askers[id]; a != nil {
			n.forget(a)
		}
		n.mu.Unlock()
		n.start(func() { n.disconnect(id) }) // a closing node disconnects everybody
	}
	n.turns.sweep()
}

func (n *Node) disconnect(id peer.ID) {
	n.mu.Lock()
	r := n.remotes[id]
	delete(n.remotes, id)
	n.mu.Unlock()
	if r != nil {
		r.close()
	}
	n.host.Network().ClosePeer(id)
}

// peerList is the known peers, and who of them is connected.
func (n *Node) peerList() []*protocol.Peer {
	var out []*protocol.Peer
	used := map[string]*protocol.Usage{}
	for _, p := range n.local.Peers() {
		used[p.Id] = p.Usage
	}
	for id, p := range n.known.Load().byID {
		out = append(out, &protocol.Peer{Name: p.Name, Id: p.Id, Addresses: slices.Clone(p.Addresses),
			Connected: n.host.Network().Connectedness(id) == network.Connected, Usage: used[p.Id]})
	}
	slices.SortFunc(out, func(a, b *protocol.Peer) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// addPeer answers peer.add. Adding an address to a peer that is known by this
// name and id keeps the addresses it has.
func (n *Node) addPeer(_ context.Context, req *protocol.Request) *protocol.Response {
	if detail := checkName(req.Name); detail != "" {
		return protocol.Invalid("name", detail)
	}
	id, addr, err := parseAddress(req.Address)
	switch {
	case err != nil:
		return protocol.Invalid("address", "must be a peer id, or a TCP multiaddr that ends in /p2p/ID")
	case id == n.id:
		return protocol.Invalid("address", "is this node itself")
	}
	n.addMu.Lock()
	defer n.addMu.Unlock()
	// The list itself, not the book: two that are added at once must see each other.
	p := &protocol.Peer{Name: req.Name, Id: id.String()}
	for _, known := range n.local.Peers() {
		switch {
		case known.Name == p.Name && known.Id != p.Id:
			return protocol.Refuse(protocol.Status_EXISTS, "another peer has this name")
		case known.Name != p.Name && known.Id == p.Id:
			return protocol.Refuse(protocol.Status_EXISTS, "this peer is known by another name")
		case known.Name == p.Name:
			p.Addresses = slices.Clone(known.Addresses)
		}
	}
	if n.local.Rules().HasGroup(p.Name) {
		return protocol.Refuse(protocol.Status_EXISTS, groupHasName)
	}
	if addr != nil {
		text := addr.String() + "/p2p/" + p.Id
		if !slices.Contains(p.Addresses, text) {
			p.Addresses = append(p.Addresses, text)
		}
	}
	if len(p.Addresses) > maxAddresses {
		return protocol.Refuse(protocol.Status_LIMITED, "this peer has 16 addresses already")
	}
	if err := n.local.SetPeer(p); err != nil {
		n.log.Error("peer not saved", "error", err)
		return protocol.Answer(req, nil, err)
	}
	n.log.Info("peer added", "name", p.Name, "peer", p.Id)
	return &protocol.Response{Status: protocol.Status_OK}
}

// A peer with the name of a group would have the policy refused when it is applied
// again.
const groupHasName = "a group of the policy has this name"

// checkName says what is wrong with a peer's name, if anything is. A name must
// not be taken for something else: not for an id, an address, or everybody.
func checkName(name string) string {
	switch {
	case name == "" || utf8.RuneCountInString(name) > 64:
		return "must be 1 to 64 characters"
	case strings.ContainsRune(name, '/'):
		return "must not hold a /"
	case name == "*":
		return "means everybody"
	case name[0] == '-':
		return "must not begin with -"
	case !norm.NFC.IsNormalString(name):
		return "must be in Unicode normal form C"
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || r == ' ' {
			return "must be visible characters"
		}
	}
	if _, err := peer.Decode(name); err == nil {
		return "looks like a peer id"
	}
	return ""
}

// parseAddress reads a peer id, or a multiaddr that ends in one and reaches it
// by TCP. The address comes back without its id, and is nil for an id alone.
func parseAddress(text string) (peer.ID, ma.Multiaddr, error) {
	if !strings.HasPrefix(text, "/") {
		id, err := peer.Decode(text)
		return id, nil, err
	}
	full, err := ma.NewMultiaddr(text)
	if err != nil {
		return "", nil, err
	}
	addr, id := peer.SplitAddr(full)
	if id == "" || addr != nil && !overTCP(addr) {
		return "", nil, errAddress
	}
	return id, addr, nil
}

// overTCP says whether addr is a host and a TCP port, and nothing more.
func overTCP(addr ma.Multiaddr) bool {
	if len(addr) != 2 || addr[1].Protocol().Code != ma.P_TCP {
		return false
	}
	switch addr[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return true
	}
	return false
}
