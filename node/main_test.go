package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within is how long a test waits for what must happen; nothing waits so long if all is well.
const within = 20 * time.Second

// memory is a Stronghold that lives in memory, and can be told to fail. (itest
// has the real one behind a node.)
type memory struct {
	identity []byte
	rules    atomic.Pointer[permissions.Rules]
	handled  atomic.Int64 // requests that got past the policy

	mu      sync.Mutex
	peers   []*protocol.Peer
	changed []func()
	handle  protocol.HandlerFunc // instead of answering
	staging func(staged func())  // before it, for what has a turn
	records []string             // texts of locations, in the order of a listing
}

func newMemory(t testing.TB) *memory {
	t.Helper()
	identity, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{identity: identity}
	m.setPolicy(t, "")
	return m
}

func (m *memory) Identity() []byte          { return m.identity }
func (m *memory) Rules() *permissions.Rules { return m.rules.Load() }
func (m *memory) Peers() []*protocol.Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.peers)
}

func (m *memory) SetPeer(p *protocol.Peer) error {
	m.change(func() {
		m.peers = slices.DeleteFunc(m.peers, func(q *protocol.Peer) bool { return q.Name == p.Name })
		m.peers = append(m.peers, p)
	})
	return nil
}

func (m *memory) RenamePeer(name, newName string) error {
	m.change(func() {
		m.peers = slices.Clone(m.peers)
		for i, p := range m.peers {
			if p.Name == name {
				m.peers[i] = proto.CloneOf(p)
				m.peers[i].Name = newName
			}
		}
	})
	return nil
}

func (m *memory) RemovePeer(name string) error {
	m.change(func() {
		m.peers = slices.DeleteFunc(m.peers, func(q *protocol.Peer) bool { return q.Name == name })
	})
	return nil
}

func (m *memory) change(f func()) {
	m.mu.Lock()
	f()
	changed := m.changed
	m.mu.Unlock()
	for _, f := range changed {
		f()
	}
}

func (m *memory) OnPeersChanged(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = append(m.changed, f)
}

// setPolicy puts a policy in force. The names in it are those of the known peers.
func (m *memory) setPolicy(t testing.TB, text string) {
	t.Helper()
	p, err := permissions.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, p := range m.Peers() {
		names[p.Name] = p.Id
	}
	rules, err := p.Resolve(names)
	if err != nil {
		t.Fatal(err)
	}
	m.rules.Store(rules)
}

func (m *memory) Saw(peer string, networks []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = slices.Clone(m.peers)
	for i, p := range m.peers {
		if p.Id == peer {
			m.peers[i] = proto.CloneOf(p)
			m.peers[i].Usage = &protocol.Usage{Seen: networks}
		}
	}
}

// instead has every request handled by f.
func (m *memory) instead(f protocol.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handle = f
}

func (m *memory) HandleFor(ctx context.Context, _ string, req *protocol.Request, staged func()) (*protocol.Response, error) {
	if m.staging != nil {
		m.staging(staged)
	}
	return m.Handle(ctx, req)
}

func (m *memory) Handle(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	m.handled.Add(1)
	m.mu.Lock()
	handle, records := m.handle, m.records
	m.mu.Unlock()
	if handle != nil {
		return handle(ctx, req)
	}
	resp := &protocol.Response{Status: protocol.Status_OK}
	switch req.Operation {
	case "ed25519.sign":
		resp.Signature = signature(req.Location.Text(), req.Message)
	case "key.public", "key.generate", "key.import":
		resp.Kind, resp.PublicKey = protocol.Ed25519, []byte(req.Location.Text())
	case "zone.key":
		resp.PublicKey = make([]byte, 32)
	case "record.list":
		return listRecords(records, req), nil
	case "node.status":
		resp.Node = &protocol.NodeStatus{Version: "test", PeerId: "to be replaced"}
	}
	return resp, nil
}

// signature is what memory answers in place of one.
func signature(at string, message []byte) []byte {
	sum := sha256.Sum256([]byte(at + "\x00" + string(message)))
	return slices.Concat(sum[:], sum[:])
}

// looksOfMemory is how many records memory looks at for a page, beside what is on it.
const looksOfMemory = 10

// listRecords lists as the engine does: what is in reach, so many for a page, and not too much that is
// hidden. A cursor is the place of the record that was looked at last.
func listRecords(records []string, req *protocol.Request) *protocol.Response {
	resp := &protocol.Response{Status: protocol.Status_OK}
	limit, left := int(req.Limit), looksOfMemory
	if limit == 0 {
		limit = 3
	}
	var at []byte
	for i, text := range records {
		if len(req.After) > 0 && bytes.Compare(cursorOf(i), req.After) <= 0 {
			continue
		}
		loc, err := protocol.ParseLocation(text)
		if err != nil {
			panic(err)
		}
		switch shown := (len(req.Reach) == 0 || inReach(req.Reach, text)) && !inReach(req.Except, text); {
		case left == 0, shown && len(resp.Entries) == limit:
			resp.Next = at
			return resp
		case shown:
			resp.Entries = append(resp.Entries, &protocol.Entry{Location: loc, Kind: protocol.Ed25519, Hint: []byte("hint"), CreatedMs: 1})
		default:
			left--
		}
		at = cursorOf(i)
	}
	return resp
}

// inReach says whether a record lies in one of these. There is one star in a segment, at most.
func inReach(parts []*protocol.Reach, text string) bool {
	names := strings.Split(text, "/")
	return slices.ContainsFunc(parts, func(r *protocol.Reach) bool {
		for i, s := range r.Path {
			if s.Is != nil && string(s.Is) != names[i] ||
				s.Pieces != nil && !(strings.HasPrefix(names[i], string(s.Pieces[0])) && strings.HasSuffix(names[i], string(s.Pieces[1]))) {
				return false
			}
		}
		return true
	})
}

func cursorOf(i int) []byte { return fmt.Appendf(nil, "%06d", i) }

// newNode starts a node on loopback.
func newNode(t testing.TB, m *memory, change ...func(*Config)) *Node {
	t.Helper()
	cfg := Config{Local: m, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, DialTimeout: within}
	for _, f := range change {
		f(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// addPeer makes n know other under a name.
func addPeer(t testing.TB, n *Node, name string, other *Node) {
	t.Helper()
	address := other.ID()
	if addrs := other.Addrs(); len(addrs) > 0 {
		address = addrs[0]
	}
	do(t, n.Local(), &protocol.Request{Operation: "peer.add", Name: name, Address: address})
}

// pair is two nodes, a and b, that know each other. The policy of b allows a
// everything on wallet/keys/*.
func pair(t testing.TB, change ...func(*Config)) (a, b *Node, am, bm *memory) {
	t.Helper()
	am, bm = newMemory(t), newMemory(t)
	a, b = newNode(t, am), newNode(t, bm, change...)
	addPeer(t, a, "b", b)
	addPeer(t, b, "a", a)
	bm.setPolicy(t, allowAll)
	return a, b, am, bm
}

const allowAll = `
[[allow]]
peers = ["a"]
ops   = ["use", "write", "list", "extract"]
on    = ["wallet/keys/*"]

[[allow]]
peers = ["a"]
ops   = ["store-read", "store-write"]
on    = ["wallet/keys"]
`

// testContext ends before the test's patience does.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

func do(t testing.TB, h protocol.Handler, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp, err := protocol.Client{H: h}.Do(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func location(t testing.TB, text string) *protocol.Location {
	t.Helper()
	loc, err := protocol.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func sign(t testing.TB) *protocol.Request {
	return &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign", Location: location(t, "wallet/keys/main"), Message: []byte("hello")}
}

// requestFor is a request that fits its operation's row, on a location: on as
// much of it as the row takes.
func requestFor(t testing.TB, op *protocol.Operation, at string) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: op.Name}
	for _, f := range op.In {
		loc := location(t, at)
		switch f.Shape {
		case protocol.ShapePrefix, protocol.ShapeStore:
			loc.Record = nil
		case protocol.ShapeClient:
			loc.Vault, loc.Record = nil, nil
		}
		d := req.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(f.Name))
		set := func(v any) { req.ProtoReflect().Set(d, protoreflect.ValueOf(v)) }
		switch {
		case f.Name == "steps":
			key, _ := protocol.Lookup("key.generate")
			req.Steps = []*protocol.Request{requestFor(t, key, at)}
		case d.IsList(): // of more locations, or of flags
		case f.Name == "kind":
			req.Kind = protocol.Ed25519
		case f.Name == "device":
			req.Device = make([]byte, 8)
		case f.Name == "hint" || f.Name == "after" || f.Name == "limit":
		case f.Name == "reply_key":
			req.ReplyKey = make([]byte, 32)
		case d.Kind() == protoreflect.MessageKind:
			set(loc.ProtoReflect())
		case d.Kind() == protoreflect.BytesKind:
			set(make([]byte, 100))
		case d.Kind() == protoreflect.StringKind:
			set("x")
		case d.Kind() == protoreflect.Uint32Kind:
			set(uint32(1))
		case d.Kind() == protoreflect.Uint64Kind:
			set(uint64(1))
		}
	}
	return req
}

// eventually waits until ok, which nothing announces, holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := testContext(t)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came about that %s", what)
		}
	}
}

func wait[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(within):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func sameAnswer(a, b *protocol.Response) bool { return proto.Equal(a, b) }

func names(entries []*protocol.Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Location.Text())
	}
	return strings.Join(out, " ")
}
