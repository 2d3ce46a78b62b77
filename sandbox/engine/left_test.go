package engine

import (
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// TestLeft: a change makes no more than its asker has left, by itself or in a pipeline,
// and says what it makes.
func TestLeft(t *testing.T) {
	e, _ := opened(t)
	step := func(operation, where string, more func(*protocol.Request)) *protocol.Request {
		req := &protocol.Request{Id: protocol.NewID(), Operation: operation, Location: at(t, where)}
		if operation == "key.generate" {
			req.Kind = protocol.Ed25519
		}
		if more != nil {
			more(req)
		}
		return req
	}
	value := func(size int) func(*protocol.Request) {
		return func(r *protocol.Request) { r.Value = make([]byte, size) }
	}
	over := func(r *protocol.Request) { r.Overwrite = true }
	pipeline := func(steps ...*protocol.Request) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run", Steps: steps}
	}
	for _, tt := range []struct {
		what  string
		req   *protocol.Request
		makes *protocol.Usage
	}{
		{"a record and a client", step("key.generate", "c/v/r", nil), &protocol.Usage{Records: 1, Clients: 1}},
		{"a record", step("key.generate", "c/v/s", nil), &protocol.Usage{Records: 1}},
		{"one in the place of another", step("key.generate", "c/v/s", over), &protocol.Usage{}},
		{"several", pipeline(step("key.generate", "c/w/r", nil), step("key.generate", "c/w/s", nil), step("key.generate", "d/w/s", nil)), &protocol.Usage{Records: 3, Clients: 1}},
		{"and none in the end", pipeline(step("key.generate", "c/w/t", nil), step("record.revoke", "c/w/t", nil)), &protocol.Usage{Tombstones: 1}},
		{"a value", step("store.put", "c/key", value(97)), &protocol.Usage{StoreBytes: 100}},
		{"a larger value", step("store.put", "c/key", value(98)), &protocol.Usage{StoreBytes: 1}},
		{"a smaller value", step("store.put", "c/key", value(1)), &protocol.Usage{}},
		{"a value that passes", step("store.put", "c/other", func(r *protocol.Request) { r.Value, r.TtlMs = make([]byte, 100), 1000 }), &protocol.Usage{}},
		{"a value that stays for a day", step("store.put", "c/day", func(r *protocol.Request) { r.Value, r.TtlMs = make([]byte, 100), vault.Passing }), &protocol.Usage{StoreBytes: 103}},
		{"a tombstone", step("record.revoke", "c/v/r", nil), &protocol.Usage{Tombstones: 1}},
		{"a record in its place", step("key.generate", "c/v/r", nil), &protocol.Usage{Records: 1}},
	} {
		makes := tt.makes
		for _, less := range []*uint64{&makes.Records, &makes.Tombstones, &makes.Clients, &makes.StoreBytes} {
			if *less == 0 {
				continue
			}
			*less--
			tt.req.Left = makes
			if r := ask(t, e, tt.req); r.Status != protocol.Status_NO_SPACE || r.Change != nil || r.Detail == "" {
				t.Errorf("%s, with too little left: %v", tt.what, r)
			}
			*less++
		}
		tt.req.Left = makes
		r := ok(t, e, tt.req)
		if r.Change == nil || max(0, r.Change.Records) != int64(makes.Records) || max(0, r.Change.Tombstones) != int64(makes.Tombstones) ||
			r.Change.Clients != int64(makes.Clients) || max(0, r.Change.StoreBytes) != int64(makes.StoreBytes) {
			t.Errorf("%s: it makes %d records, %d tombstones, %d clients and %d bytes, want %v", tt.what, r.Change.GetRecords(), r.Change.GetTombstones(),
				r.Change.GetClients(), r.Change.GetStoreBytes(), makes)
		}
		ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: r.Change.GetSequence()})
	}
}
