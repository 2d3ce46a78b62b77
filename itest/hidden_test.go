package itest

import (
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestPeersCountNothing: what a peer is told of what he may see does not say how much else
// is changed. The numbers that a value gets are far apart, however little was changed in
// between, and of a record he is told when it was changed and no more, in a pipeline too.
func TestPeersCountNothing(t *testing.T) {
	a, b := newPair(t)
	unlock(t, b.node.Local())
	local := &suite{target: &target{handler: b.node.Local(), door: protocol.DoorLocal, node: b}, Client: b.local(), client: "app"}
	peer := &suite{target: &target{handler: a.node.Remote("b"), door: protocol.DoorPeer, node: b}, client: "app"}
	local.generate(t, local.at("keys", "main"))
	var versions []uint64
	told := func(v uint64) {
		t.Helper()
		for _, before := range versions {
			if max(v, before)-min(v, before) < 1<<20 { // of 2^53
				t.Errorf("the versions %d and %d can be counted", before, v)
			}
		}
		versions = append(versions, v)
	}
	put := func(session bool) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "store.put", Location: peer.key("mine"), Value: []byte("v"), Session: session}
	}
	for i := range 3 {
		for range i {
			local.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: local.key("other"), Value: []byte("v")})
		}
		told(peer.want(t, protocol.Status_OK, put(false)).GetVersion())
		told(peer.want(t, protocol.Status_OK, put(true)).GetVersion())
		stat := &protocol.Request{Id: protocol.NewID(), Operation: "record.stat", Location: peer.at("keys", "main")}
		steps := peer.want(t, protocol.Status_OK, &protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{put(false), stat}}).Results
		told(steps[0].GetVersion())
		stat.Id = nil
		alone := peer.want(t, protocol.Status_OK, stat)
		for _, e := range append(alone.Entries, steps[1].Entries...) {
			if e.Created != nil || e.Changed != nil || e.ChangedMs == 0 {
				t.Errorf("told of a record: %v", e)
			}
		}
		get := peer.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.get", Location: peer.key("mine")})
		if get.Entries[0].Version != steps[0].GetVersion() {
			t.Errorf("written as version %d, read as %d", steps[0].GetVersion(), get.Entries[0].Version)
		}
	}
	// That a number is another is still told, and a swap goes by it, after the node was locked too.
	last := peer.want(t, protocol.Status_OK, put(false)).GetVersion()
	local.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.lock"})
	unlock(t, b.node.Local())
	swap := put(false)
	swap.Operation, swap.IfVersion = "store.swap", last
	peer.want(t, protocol.Status_OK, swap)
	swap.Id = protocol.NewID()
	peer.want(t, protocol.Status_CONFLICT, swap)
}
