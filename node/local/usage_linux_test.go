package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/engine"
)

const telling = "telling who asks"

func init() {
	sandbox.Gate(telling, engine.ArenaSize, func(in sandbox.Inside) (sandbox.Handler, error) {
		e, err := engine.New(in.Arena)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, request []byte) ([]byte, error) {
			req := new(protocol.Request)
			if err := protocol.Unmarshal(request, req); err == nil && (req.Operation == "record.write" || req.Operation == "pipeline.run") {
				return protocol.Marshal(protocol.Refuse(protocol.Status_EXISTS, strconv.FormatUint(req.Asker, 10)))
			}
			return e.Serve(ctx, request)
		}, nil
	})
}

// TestZoneIsToldWhoAsks: which peer brings something sealed, or that it is the local user.
func TestZoneIsToldWhoAsks(t *testing.T) {
	s := open(t, local.InZone(quickHome(t), telling))
	unlock(t, s)
	told := map[string]string{}
	for _, peer := range []string{"", "one", "two", "one"} {
		write := &protocol.Request{Id: protocol.NewID(), Operation: "record.write", Location: loc(t, "c/v/r"), Kind: protocol.Data, Secret: make([]byte, 100)}
		pipeline := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run", Steps: []*protocol.Request{write}}
		for _, req := range []*protocol.Request{write, pipeline} {
			resp, err := s.HandleFor(t.Context(), peer, req, nil)
			if err != nil || resp.Status != protocol.Status_EXISTS || (resp.Detail == "0") != (peer == "") {
				t.Fatalf("of %q: %v, %v", peer, resp, err)
			}
			if before, ok := told[peer]; ok && before != resp.Detail {
				t.Errorf("%q is %s, and was %s", peer, resp.Detail, before)
			}
			told[peer] = resp.Detail
			write.Asker = 0
		}
	}
	if told["one"] == told["two"] {
		t.Error("two peers are one")
	}
}

// TestPeerLimits: a peer makes no more than he may, however much he asks for at once,
// and what he made is remembered until he is removed.
func TestPeerLimits(t *testing.T) {
	const most = 5
	cfg := quickHome(t)
	limits := fmt.Sprintf("[limits.peer]\nrecords = %d\ntombstones = 2\nclients = 2\nstore_bytes = 1000\n", most)
	if err := os.WriteFile(filepath.Join(cfg.Home, "config.toml"), []byte(limits), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, cfg)
	unlock(t, s)
	peer := &protocol.Peer{Name: "guest", Id: "the id of a guest"}
	if err := s.SetPeer(peer); err != nil {
		t.Fatal(err)
	}
	ask := func(req *protocol.Request) error {
		req.Id = protocol.NewID()
		resp, err := s.HandleFor(t.Context(), peer.Id, req, nil)
		if err != nil {
			return err
		}
		return protocol.AsError(req, resp)
	}
	generate := func(where string) error {
		return ask(&protocol.Request{Operation: "key.generate", Location: loc(t, where), Kind: protocol.Ed25519})
	}
	full := func(what string, err error) {
		t.Helper()
		var refused *protocol.Error
		if !errors.As(err, &refused) || refused.Status != protocol.Status_NO_SPACE || !strings.Contains(refused.Detail, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var made atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if err := generate(fmt.Sprintf("c/v/%d", i)); err == nil {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != most {
		t.Errorf("%d were made, of at most %d", made.Load(), most)
	}
	full("records", generate("c/v/another"))
	full("records", ask(&protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{
		{Id: protocol.NewID(), Operation: "key.generate", Location: loc(t, "c/v/another"), Kind: protocol.Ed25519}}}))
	if _, err := s.Client().GenerateKey(t.Context(), loc(t, "mine/v/r"), protocol.Ed25519, false); err != nil {
		t.Errorf("the local user: %v", err)
	}
	put := func(key string, size int) error {
		return ask(&protocol.Request{Operation: "store.put", Location: loc(t, key), Value: make([]byte, size)})
	}
	if err := put("d/key", 900); err != nil {
		t.Fatal(err)
	}
	full("bytes of stores", put("d/other", 100))
	full("clients", put("e/other", 1))
	full("bytes of stores", put("d/key", 998))
	if err := put("d/key", 900); err != nil {
		t.Errorf("what takes no more: %v", err)
	}
	var kept []string
	s.Client().List(t.Context(), loc(t, "c/v"), func(e *protocol.Entry) bool { kept = append(kept, e.Location.Text()); return true })
	if err := ask(&protocol.Request{Operation: "key.generate", Location: loc(t, kept[4]), Kind: protocol.Ed25519, Overwrite: true}); err != nil {
		t.Errorf("what replaces another: %v", err)
	}
	for i, where := range kept[:3] {
		err := ask(&protocol.Request{Operation: "record.revoke", Location: loc(t, where)})
		if i < 2 && err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			full("tombstones", err)
		}
	}
	usage := func(s *local.Stronghold) *protocol.Usage { return s.Peers()[0].Usage }
	want := func(s *local.Stronghold) {
		t.Helper()
		if u := usage(s); u.GetRecords() != 3 || u.GetTombstones() != 2 || u.GetClients() != 2 || u.GetStoreBytes() != 903 {
			t.Errorf("it has made %v", u)
		}
	}
	want(s)
	s.Saw(peer.Id, []string{"192.0.2.7/32"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	unlock(t, s)
	want(s)
	if seen := usage(s).GetSeen(); len(seen) != 1 || seen[0] != "192.0.2.7/32" {
		t.Errorf("it was seen at %q", seen)
	}
	full("tombstones", ask(&protocol.Request{Operation: "record.revoke", Location: loc(t, kept[2])}))
	if err := s.RemovePeer("guest"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPeer(peer); err != nil {
		t.Fatal(err)
	}
	if u := usage(s); u != nil {
		t.Errorf("a peer that is new has made %v", u)
	}
	if err := ask(&protocol.Request{Operation: "record.revoke", Location: loc(t, kept[2])}); err != nil {
		t.Errorf("a peer that is new: %v", err)
	}
	// The zone counts what stays for a day, the node what does not: neither nothing, nor both.
	const day = 24 * 3600 * 1000
	for _, ttl := range []uint64{day - 1, day, day + 1, 0} {
		before := usage(s).GetStoreBytes()
		key := fmt.Sprint("d/for", ttl)
		if err := ask(&protocol.Request{Operation: "store.put", Location: loc(t, key), Value: make([]byte, 10), TtlMs: ttl}); err != nil {
			t.Fatal(err)
		}
		if grew := usage(s).GetStoreBytes() - before; (grew > 0) != (ttl == 0 || ttl >= day) {
			t.Errorf("what stays for %d ms counts as %d bytes for good", ttl, grew)
		}
	}
}
