package local

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stronghold-go/stronghold/protocol"
	"google.golang.org/protobuf/proto"
)

// peers are the nodes that this one knows, as state.db has them.
type peers struct {
	mu      sync.RWMutex
	list    []*protocol.Peer // sorted by name; replaced, never changed
	changed []func()
}

func (s *Stronghold) loadPeers() error {
	list, err := s.state.peers()
	s.peers.list = list // bbolt keeps keys sorted
	return err
}

// Peers returns the known peers, sorted by name.
func (s *Stronghold) Peers() []*protocol.Peer {
	s.peers.mu.RLock()
	defer s.peers.mu.RUnlock()
	out := make([]*protocol.Peer, len(s.peers.list))
	for i, p := range s.peers.list {
		out[i] = proto.CloneOf(p)
	}
	return out
}

// SetPeer adds a peer, or replaces the one of the same name. It is durable when
// SetPeer returns.
func (s *Stronghold) SetPeer(p *protocol.Peer) error {
	p = proto.CloneOf(p)
	p.Connected = false // that is not remembered
	if err := s.state.putPeer(p); err != nil {
		return err
	}
	s.peers.mu.Lock()
	list := slices.Clone(s.peers.list)
	i, there := slices.BinarySearchFunc(list, p.Name, func(q *protocol.Peer, name string) int { return strings.Compare(q.Name, name) })
	if there {
		list[i] = p
	} else {
		list = slices.Insert(list, i, p)
	}
	s.peers.list = list
	changed := s.peers.changed
	s.peers.mu.Unlock()
	s.peersChanged()
	for _, f := range changed {
		f()
	}
	return nil
}

// OnPeersChanged has f called after every change of the known peers.
func (s *Stronghold) OnPeersChanged(f func()) {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	s.peers.changed = append(s.peers.changed, f)
}

// peerNames is what names mean now.
func (s *Stronghold) peerNames() map[string]string {
	s.peers.mu.RLock()
	defer s.peers.mu.RUnlock()
	ids := make(map[string]string, len(s.peers.list))
	for _, p := range s.peers.list {
		ids[p.Name] = p.Id
	}
	return ids
}

func (s *Stronghold) peerIDs() []string { return slices.Collect(maps.Values(s.peerNames())) }
