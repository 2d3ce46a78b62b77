package local

import (
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// aSpender asks for a peer, at a time that the test says.
type aSpender struct {
	*usages
	t  *testing.T
	at time.Time
}

func newSpender(t *testing.T, l PeerLimits) *aSpender {
	s := &aSpender{usages: newUsages(l), t: t, at: time.UnixMilli(1_700_000_000_000)}
	s.now = func() time.Time { return s.at }
	return s
}

func (s *aSpender) begins(req *protocol.Request) *spending {
	s.t.Helper()
	sp, refusal := s.begin("peer", req)
	if refusal != nil {
		s.t.Fatalf("%s: %v", req.Operation, refusal)
	}
	return sp
}

func (s *aSpender) refused(req *protocol.Request, status protocol.Status, what string) {
	s.t.Helper()
	_, refusal := s.begin("peer", req)
	if refusal.GetStatus() != status || !strings.Contains(refusal.GetDetail(), what) || (status == protocol.Status_LIMITED) != (refusal.GetRetryAfterMs() > 0) {
		s.t.Errorf("%s: %v, want %v", req.Operation, refusal, status)
	}
}

func put(size int, ttl time.Duration, session bool) *protocol.Request {
	return &protocol.Request{Operation: "store.put", Location: &protocol.Location{Client: []byte("c"), Vault: []byte("k")},
		Value: make([]byte, size-1), TtlMs: uint64(ttl.Milliseconds()), Session: session}
}

// TestUsage: what is under way counts with the most that it could make, what has
// happened with what it made; the zone is told what is left where that is less.
func TestUsage(t *testing.T) {
	s := newSpender(t, PeerLimits{Records: 2, Tombstones: 1, Clients: 20})
	generate := func(left ...uint64) *spending {
		t.Helper()
		req := &protocol.Request{Operation: "key.generate"}
		sp := s.begins(req)
		if (len(left) > 0) != (req.Left != nil) || len(left) > 0 && req.Left.Records != left[0] {
			t.Errorf("the zone is told %v, want %v", req.Left, left)
		}
		return sp
	}
	one, two := generate(), generate()
	generate(0).end(false, nil)
	one.end(false, nil)
	three := generate()
	two.end(true, &protocol.Change{Records: 1, Clients: 1})
	three.end(true, &protocol.Change{}) // it replaced another
	pipeline := &protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{{Operation: "key.generate"}, {Operation: "record.move"}}}
	s.begins(pipeline).end(false, nil)
	if pipeline.Left.GetRecords() != 1 || pipeline.Left.GetTombstones() != 1 || pipeline.Asker == 0 {
		t.Errorf("of a pipeline the zone is told %v", pipeline)
	}
	generate().end(true, &protocol.Change{Records: 1})
	generate(0).end(true, &protocol.Change{})
	if other, refusal := s.begin("another", &protocol.Request{Operation: "key.generate"}); refusal != nil {
		t.Errorf("another peer: %v", refusal)
	} else {
		other.end(false, nil)
	}
	s.begins(&protocol.Request{Operation: "record.revoke"}).end(true, &protocol.Change{Records: -1, Tombstones: 1})
	s.begins(&protocol.Request{Operation: "record.disable"}).end(true, &protocol.Change{})
	generate().end(true, &protocol.Change{Records: -5}) // of others', which is no credit
	if u := s.by["peer"]; u.made != (amounts{0, 1, 1, 0}) || u.underway != (amounts{}) {
		t.Errorf("it has made %+v, and %+v are under way", u.made, u.underway)
	}
	if got := s.changed(); len(got) != 1 || got["peer"].Tombstones != 1 || got["peer"].Clients != 1 || len(s.changed()) != 0 {
		t.Errorf("to be remembered: %v", got)
	}
	late := generate()
	s.keep([]string{"another"})
	late.end(true, &protocol.Change{Records: 1})
	if got := s.changed(); len(got) != 1 || got["peer"] != nil {
		t.Errorf("of a peer that is gone: %v", got)
	}
	if s.of("peer") != nil {
		t.Error("it is known still")
	}
}

// TestUsageOfStores: values that stay are counted as the zone says, those that pass
// until they have passed.
func TestUsageOfStores(t *testing.T) {
	s := newSpender(t, PeerLimits{StoreBytes: 100})
	s.begins(put(60, 0, false)).end(true, &protocol.Change{StoreBytes: 60})
	large := put(41, 0, false)
	if s.begins(large).end(false, nil); large.Left.GetStoreBytes() != 40 {
		t.Errorf("the zone is told %v", large.Left)
	}
	s.begins(put(30, time.Hour, false)).end(true, &protocol.Change{})
	s.begins(put(10, 23*time.Hour, true)).end(true, nil)
	s.refused(put(1, time.Millisecond, false), protocol.Status_LIMITED, "bytes of stores")
	s.at = s.at.Add(2 * time.Hour)
	for range 3 { // the same key, which is counted once more each time
		s.begins(put(10, time.Minute, false)).end(true, &protocol.Change{})
	}
	s.refused(put(1, 0, true), protocol.Status_LIMITED, "bytes of stores")
	s.at = s.at.Add(24 * time.Hour)
	s.begins(put(40, 25*time.Hour, false)).end(true, &protocol.Change{StoreBytes: 40}) // longer than a day stays
	s.refused(put(1, 0, true), protocol.Status_NO_SPACE, "bytes of stores")
	s.at = s.at.Add(1000 * time.Hour)
	s.refused(put(1, 0, true), protocol.Status_NO_SPACE, "bytes of stores")
	s.begins(&protocol.Request{Operation: "store.remove"}).end(true, &protocol.Change{StoreBytes: -60})
	lost := s.begins(put(60, time.Hour, false))
	s.refused(put(1, time.Hour, false), protocol.Status_LIMITED, "bytes of stores")
	lost.end(false, nil)
	if u := s.by["peer"]; u.made.storeBytes != 40 || u.passing.sum(s.at.UnixMilli()/hourMs) != 0 {
		t.Errorf("it has made %+v, and %d pass", u.made, u.passing.sum(s.at.UnixMilli()/hourMs))
	}
}

// TestUsageOfJournal: who has written more than he may in a minute waits until there is room.
func TestUsageOfJournal(t *testing.T) {
	s := newSpender(t, PeerLimits{Journal: 6000})
	generate := &protocol.Request{Operation: "key.generate"}
	for range 2 {
		s.begins(generate).end(true, &protocol.Change{Entry: make([]byte, 4000)})
	}
	_, refusal := s.begin("peer", generate)
	if refusal.GetStatus() != protocol.Status_LIMITED || refusal.RetryAfterMs < 20_000 || refusal.RetryAfterMs > 20_100 {
		t.Fatalf("got %v", refusal)
	}
	s.at = s.at.Add(time.Duration(refusal.RetryAfterMs) * time.Millisecond)
	s.begins(generate).end(true, &protocol.Change{Entry: make([]byte, 4000)})
	s.refused(generate, protocol.Status_LIMITED, "a minute")
	s.at = s.at.Add(time.Hour)
	s.begins(generate).end(true, &protocol.Change{Entry: make([]byte, 6000)})
	s.refused(generate, protocol.Status_LIMITED, "a minute")
}

// TestBounds: each operation by which a peer may change something has a bound, and who
// makes a new one is counted as if it made a record.
func TestBounds(t *testing.T) {
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if op.Door != protocol.DoorPeer || !op.Changes || op.Name == "pipeline.run" {
			continue
		}
		b := boundOf(&protocol.Request{Operation: op.Name, Location: &protocol.Location{Vault: []byte("key")}, Value: []byte("value")})
		want := amounts{records: 1, clients: 1}
		switch op.Name {
		case "record.revoke":
			want = amounts{tombstones: 1}
		case "record.move":
			want.tombstones = 1
		case "record.disable", "record.enable", "record.type", "store.remove":
			want = amounts{}
		case "store.put", "store.swap":
			want = amounts{clients: 1, storeBytes: 8}
		}
		if b.amounts != want {
			t.Errorf("%s: %+v, want %+v", op.Name, b.amounts, want)
		}
	}
}
