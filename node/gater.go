package node

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater lets known peers through, and nobody else, in either direction.
type gater struct{ n *Node }

func (g gater) knows(id peer.ID) bool { return g.n.known.Load().has(id) }

func (g gater) InterceptPeerDial(id peer.ID) bool { return g.knows(id) }

func (g gater) InterceptAddrDial(id peer.ID, _ ma.Multiaddr) bool { return g.knows(id) }

// InterceptAccept cannot know yet who comes; strangers counts them.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g gater) InterceptSecured(dir network.Direction, id peer.ID, addrs network.ConnMultiaddrs) bool {
	if g.knows(id) {
		return true
	}
	g.n.log.Debug("unknown peer refused", "peer", id.String(), "direction", dir.String())
	return false
}

func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// connected closes the connection of a peer that was removed while it shook
// hands: after the gater saw it, and before there was a connection to close.
func (n *Node) connected(_ network.Network, c network.Conn) {
	if seen := n.strangers.saw(c.RemotePeer(), placeOf(c.RemoteMultiaddr())); seen != nil {
		n.local.Saw(c.RemotePeer().String(), seen)
	}
	if !n.known.Load().has(c.RemotePeer()) {
		n.strangers.forget(c.RemotePeer())
		go c.Close()
	}
}
