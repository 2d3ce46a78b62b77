package node

import (
	"errors"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// strangers is the resource manager, which lets an address have a few connections
// only that have not proven who they are, and keeps room among all of those for
// where known peers were last seen. A connection counts from when it is accepted
// until libp2p names its peer, or gives it up for whatever reason.
type strangers struct {
	network.ResourceManager
	perIP int
	most  int // from where no known peer was seen

	mu       sync.Mutex
	open     map[netip.Prefix]int
	unknown  int                        // of those that are open, from where no known peer was seen
	lastSeen map[peer.ID][]netip.Prefix // the latest last
	familiar map[netip.Prefix]int       // by how many peers
}

// placesPerPeer is of how many places a peer is remembered: as many as it may have addresses.
const placesPerPeer = maxAddresses

var errStrangers = errors.New("node: too many handshakes under way from there")

func newStrangers(m network.ResourceManager, l Limits) *strangers {
	return &strangers{ResourceManager: m, perIP: l.HandshakesPerIP, most: l.Handshakes - l.Handshakes/4,
		open: map[netip.Prefix]int{}, lastSeen: map[peer.ID][]netip.Prefix{}, familiar: map[netip.Prefix]int{}}
}

// placeOf is who probably shares an address: one IPv4 address, or a network of
// IPv6, in which a machine takes addresses as it likes. It is no place if the
// address has no IP.
func placeOf(addr ma.Multiaddr) netip.Prefix {
	ip, err := manet.ToIP(addr)
	if err != nil {
		return netip.Prefix{}
	}
	a, _ := netip.AddrFromSlice(ip)
	a = a.Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// OpenConnection counts a connection that comes in, or refuses it.
func (s *strangers) OpenConnection(dir network.Direction, usefd bool, from ma.Multiaddr) (network.ConnManagementScope, error) {
	if dir == network.DirOutbound {
		return s.ResourceManager.OpenConnection(dir, usefd, from)
	}
	h := &handshake{s: s, place: placeOf(from)}
	if !s.admit(h) {
		return nil, errStrangers
	}
	scope, err := s.ResourceManager.OpenConnection(dir, usefd, from)
	if err != nil {
		h.ended()
		return nil, err
	}
	h.ConnManagementScope = scope
	return h, nil
}

func (s *strangers) admit(h *handshake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.unknown = s.familiar[h.place] == 0
	if s.open[h.place] >= s.perIP || h.unknown && s.unknown >= s.most {
		return false
	}
	s.open[h.place]++
	if h.unknown {
		s.unknown++
	}
	return true
}

// saw remembers where a known peer is, and returns all places where it was if this one
// is new.
func (s *strangers) saw(id peer.ID, place netip.Prefix) (all []string) {
	if !place.IsValid() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	places := s.lastSeen[id]
	known := slices.Contains(places, place)
	if i := slices.Index(places, place); i >= 0 {
		places = slices.Delete(places, i, i+1)
	} else {
		s.familiar[place]++
	}
	if len(places) == placesPerPeer {
		s.unsee(places[0])
		places = slices.Delete(places, 0, 1)
	}
	places = append(places, place)
	s.lastSeen[id] = places
	if known {
		return nil
	}
	for _, p := range places {
		all = append(all, p.String())
	}
	return all
}

// forget forgets where a peer was: it is not known any more.
func (s *strangers) forget(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, place := range s.lastSeen[id] {
		s.unsee(place)
	}
	delete(s.lastSeen, id)
}

func (s *strangers) unsee(place netip.Prefix) {
	if s.familiar[place]--; s.familiar[place] == 0 {
		delete(s.familiar, place)
	}
}

// handshake is the scope of a connection that came in, by which libp2p tells what
// becomes of it: it names the peer once that is proven and the gater knows it, and is
// done with the scope however a handshake fails.
type handshake struct {
	network.ConnManagementScope
	s       *strangers
	place   netip.Prefix
	unknown bool // no known peer was seen there
	once    sync.Once
}

func (h *handshake) SetPeer(id peer.ID) error {
	err := h.ConnManagementScope.SetPeer(id)
	if err == nil {
		h.ended()
	}
	return err
}

func (h *handshake) Done() {
	h.ConnManagementScope.Done()
	h.ended()
}

func (h *handshake) ended() {
	h.once.Do(func() {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		if h.s.open[h.place]--; h.s.open[h.place] == 0 {
			delete(h.s.open, h.place)
		}
		if h.unknown {
			h.s.unknown--
		}
	})
}
