package itest

import (
	"testing"

	"google.golang.org/protobuf/proto"

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

// TestHiddenIsAbsent: of clients of which a peer may see nothing he is told the same, byte by byte but
// for what is sealed, whether they are hidden, not loaded, or not there at all, by each listing.
func TestHiddenIsAbsent(t *testing.T) {
	a, b := newPair(t)
	unlock(t, b.node.Local())
	in := func(client string) *suite {
		return &suite{target: &target{handler: b.node.Local(), door: protocol.DoorLocal, node: b}, Client: b.local(), client: client}
	}
	peer := &suite{target: &target{handler: a.node.Remote("b"), door: protocol.DoorPeer, node: b}, client: "app"}
	for _, client := range []string{"hidden", "away"} {
		local := in(client)
		for _, name := range []string{"main", "second", "third"} {
			local.generate(t, local.at("keys", name))
			local.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: local.key(name), Value: []byte("v")})
			local.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: local.key(name), Value: []byte("v"), Session: true})
		}
	}
	in("").want(t, protocol.Status_OK, &protocol.Request{Operation: "client.unload", Location: &protocol.Location{Client: []byte("away")}})
	for _, on := range []string{`"*/keys/open-*", "*/open-*"`, `"hidden/keys/open-*", "away/keys/open-*", "absent/keys/open-*", "hidden/open-*", "away/open-*", "absent/open-*"`,
		`"hidden/keys/open", "away/keys/open", "absent/keys/open", "hidden/open", "away/open", "absent/open"`} {
		in("").want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.apply", Text: "[[allow]]\npeers = [\"a\"]\nops = [\"list\", \"store-read\"]\non = [" + on + "]\n"})
		for _, after := range [][]byte{nil, make([]byte, 72), make([]byte, 298)} {
			for name, req := range map[string]*protocol.Request{"a client": {Operation: "record.list"}, "a vault": {Operation: "record.list"}, "a hint": {Operation: "record.list", Hint: []byte("h")},
				"a store": {Operation: "store.list"}, "a session": {Operation: "store.list", Session: true}, "a prefix": {Operation: "store.list", Prefix: []byte("m")}} {
				var first *protocol.Response
				for _, client := range []string{"absent", "hidden", "away"} {
					req.Id, req.After, req.Location = protocol.NewID(), after, &protocol.Location{Client: []byte(client)}
					if name == "a vault" {
						req.Location.Vault = []byte("keys")
					}
					resp := peer.ask(t, req)
					if first == nil {
						first = resp
					}
					if want := map[bool]protocol.Status{true: protocol.Status_OK, false: protocol.Status_INVALID}[after == nil]; resp.Status != want || !proto.Equal(resp, first) {
						t.Errorf("with %s, after %d bytes, %s of %s: %v, of absent %v", on, len(after), name, client, resp, first)
					}
				}
			}
		}
		if resp := peer.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list"}); len(resp.Entries) != 0 || resp.Unloaded {
			t.Errorf("with %s, of all: %v", on, resp)
		}
	}
}
