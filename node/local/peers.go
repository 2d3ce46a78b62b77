package local

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stronghold-go/stronghold/protocol"
	"google.golang.org/protobuf/proto"
)

// peers are the nodes that this one knows, as state.db has them.
type peers struct {
	changing sync.Mutex // held while the list is replaced
	mu       sync.RWMutex
	list     []*protocol.Peer // sorted by name; replaced, never changed
	changed  []func()
}

func (s *Stronghold) loadPeers() error {
	list, err := s.state.peers()
	s.peers.list = list // bbolt keeps keys sorted
	if err != nil {
		return err
	}
	made, err := s.state.usage()
	s.usages = newUsages(s.settings.Limits.Peer)
	s.usages.load(made)
	s.usages.keep(s.peerIDs())
	return err
}

// Peers returns the known peers, sorted by name.
func (s *Stronghold) Peers() []*protocol.Peer {
	s.peers.mu.RLock()
	defer s.peers.mu.RUnlock()
	out := make([]*protocol.Peer, len(s.peers.list))
	for i, p := range s.peers.list {
		out[i] = proto.CloneOf(p)
		out[i].Usage = s.usages.of(p.Id)
	}
	return out
}

// Errors of changing the known peers.
var (
	ErrNoPeer    = errors.New("local: no peer of this name")
	ErrNameTaken = errors.New("local: a peer has this name already")
)

// SetPeer adds a peer, or replaces the one of the same name. It is durable when
// SetPeer returns, as are the other changes of peers.
func (s *Stronghold) SetPeer(p *protocol.Peer) error {
	p = proto.CloneOf(p)
	p.Connected, p.Usage = false, nil // that is not remembered here
	return s.changePeers(func(list []*protocol.Peer) ([]*protocol.Peer, error) {
		if i := indexPeer(list, p.Name); i >= 0 {
			list[i] = p
			return list, nil
		}
		return append(list, p), nil
	})
}

// RemovePeer forgets a peer, or fails with [ErrNoPeer].
func (s *Stronghold) RemovePeer(name string) error {
	return s.changePeers(func(list []*protocol.Peer) ([]*protocol.Peer, error) {
		i := indexPeer(list, name)
		if i < 0 {
			return nil, ErrNoPeer
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// RenamePeer gives a peer another name, or fails with [ErrNoPeer] or
// [ErrNameTaken]. What the policy in force says of it stays.
func (s *Stronghold) RenamePeer(name, newName string) error {
	return s.changePeers(func(list []*protocol.Peer) ([]*protocol.Peer, error) {
		i := indexPeer(list, name)
		if i < 0 {
			return nil, ErrNoPeer
		}
		if indexPeer(list, newName) >= 0 {
			return nil, ErrNameTaken
		}
		list[i] = proto.CloneOf(list[i])
		list[i].Name = newName
		return list, nil
	})
}

func indexPeer(list []*protocol.Peer, name string) int {
	return slices.IndexFunc(list, func(p *protocol.Peer) bool { return p.Name == name })
}

// changePeers replaces the list of peers by what f makes of it: on the disk,
// then here, then in what was built upon it.
func (s *Stronghold) changePeers(f func([]*protocol.Peer) ([]*protocol.Peer, error)) error {
	s.peers.changing.Lock()
	defer s.peers.changing.Unlock()
	list, err := f(slices.Clone(s.peers.list))
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b *protocol.Peer) int { return strings.Compare(a.Name, b.Name) })
	if err := s.state.setPeers(list); err != nil {
		return err
	}
	s.peers.mu.Lock()
	s.peers.list = list
	changed := s.peers.changed
	s.peers.mu.Unlock()
	s.usages.keep(s.peerIDs())
	if err := s.state.setUsage(s.usages.changed()); err != nil {
		s.log.Error("what peers have made is not remembered", "error", err)
	}
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
