package node

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

// Local is the door for the user of this machine. It answers what
// protocol.DoorLocal admits: what concerns the network itself, what names
// another node in Request.To there, and the rest in the local Stronghold.
func (n *Node) Local() protocol.Handler { return protocol.HandlerFunc(n.handleLocal) }

func (n *Node) handleLocal(ctx context.Context, req *protocol.Request) (resp *protocol.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = n.panicked(req, v), nil
		}
	}()
	if refusal := protocol.Check(req, protocol.DoorLocal); refusal != nil {
		return refusal, nil
	}
	n.turns.meetLocal()
	if req.To != "" {
		there := proto.CloneOf(req)
		there.To = ""
		return n.Remote(req.To).Handle(ctx, there)
	}
	switch req.Operation {
	case "peer.add":
		return n.addPeer(ctx, req), nil
	case "peer.list":
		return &protocol.Response{Status: protocol.Status_OK, Peers: n.peerList()}, nil
	case "peer.ping":
		return n.ping(ctx, req), nil
	case "peer.remove":
		return n.removePeer(req), nil
	case "peer.rename":
		return n.renamePeer(req), nil
	case "node.status":
		resp, err := n.local.Handle(ctx, req)
		if err != nil || resp.Node == nil {
			return resp, err
		}
		resp = proto.CloneOf(resp)
		n.addStatus(resp.Node)
		return resp, nil
	}
	return n.local.Handle(ctx, req)
}

// addStatus adds what only the network knows.
func (n *Node) addStatus(status *protocol.NodeStatus) {
	status.PeerId = n.ID()
	status.Addresses = n.Addrs()
	status.Peers, status.Connected = 0, 0
	for _, p := range n.peerList() {
		status.Peers++
		if p.Connected {
			status.Connected++
		}
	}
}
