package engine

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"go.uber.org/goleak"
	"golang.org/x/crypto/chacha20poly1305"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	passphrase = "correct horse battery staple"
	identity   = "AGE-SECRET-KEY-10343DTKCUS2KTGVERQZ2VTF78AY70JLMJQJ8Q9VFNY727XHAXEXS5UQWXV"
)

// emptySnapshot makes a file from snapshot/FORMAT.md alone, without the code of
// package snapshot, and with a password hash that takes no time: no writer of
// ours makes one.
func emptySnapshot(t testing.TB) []byte { return snapshotOfCost(t, "1") }

// snapshotOfCost says another cost than the 1 that its slot was made with.
func snapshotOfCost(t testing.TB, cost string) []byte {
	t.Helper()
	var root [32]byte
	rand.Read(root[:])
	derive := func(purpose string, salt []byte) []byte {
		key, err := hkdf.Key(sha256.New, root[:], salt, "stronghold/4 "+purpose+"\x00", 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	bytes16 := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	encrypted := func(r age.Recipient, payload string) []byte {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, r)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, payload)
		w.Close()
		return out.Bytes()
	}
	id := make([]byte, 16)
	rand.Read(id)
	slots := 0
	var all []byte
	add := func(kind byte, recipient string, files ...[]byte) {
		slots++
		data := binary.BigEndian.AppendUint64([]byte{byte(slots)}, 1<<40)
		data = append(append(data, 3, 'a', 'n', 'y'), bytes16([]byte(recipient))...)
		for _, f := range files {
			data = append(data, bytes16(f)...)
		}
		all = append(append(all, kind), bytes16(data)...)
	}
	lock, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	lock.SetWorkFactor(1)
	own, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	locked := bytes.Replace(encrypted(lock, own.String()), []byte(" 1\n"), []byte(" "+cost+"\n"), 1)
	add(1, own.Recipient().String(), locked, encrypted(own.Recipient(), string(root[:])))
	other, err := age.ParseX25519Identity(identity)
	if err != nil {
		t.Fatal(err)
	}
	add(2, other.Recipient().String(), encrypted(other.Recipient(), string(root[:])))

	file := append([]byte("PARTI\x04\x00"), id...)
	file = append(append(file, byte(slots)), all...)
	file = append(file, 0, 0)
	records := make([]byte, 32)
	rand.Read(records)
	inner, err := chacha20poly1305.New(derive("records", id))
	if err != nil {
		t.Fatal(err)
	}
	file = inner.Seal(file, make([]byte, 12), records, nil)
	h := hmac.New(sha256.New, derive("header", id))
	h.Write(file)
	mac := h.Sum(nil)
	file = append(file, mac...)

	head := binary.BigEndian.AppendUint64([]byte("I"), 12+16)
	file = append(file, head...)
	file = binary.BigEndian.AppendUint32(file, crc32.Checksum(head, crc32.MakeTable(crc32.Castagnoli)))
	aead, err := chacha20poly1305.New(derive("index", id))
	if err != nil {
		t.Fatal(err)
	}
	nonce := [12]byte{11: 1}
	return aead.Seal(file, nonce[:], make([]byte, 12), mac)
}

func newEngine(t testing.TB) *Engine {
	t.Helper()
	arena, err := memory.NewArena(ArenaSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	e, err := New(arena)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ask is one request, with an id if it has none. Another engine hashes for it, if it has to.
func ask(t testing.TB, e *Engine, req *protocol.Request) *protocol.Response {
	t.Helper()
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	op, _ := protocol.Lookup(req.Operation)
	if op == nil || !op.Hashes || req.Secret == nil {
		return handle(t, e, req)
	}
	other := newEngine(t)
	req.HashKey = other.inbox.public()
	resp := handle(t, e, req)
	req.HashKey = nil
	if resp.Job == nil {
		return resp
	}
	resp = handle(t, other, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: resp.Job, Snapshot: resp.Snapshot})
	if resp.Hashed == nil {
		return resp
	}
	return handle(t, e, &protocol.Request{Id: req.Id, Operation: "zone.hashed", Hashed: resp.Hashed})
}

func handle(t testing.TB, e *Engine, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp, err := e.Handle(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// want fails unless resp has the status.
func want(t testing.TB, resp *protocol.Response, status protocol.Status) *protocol.Response {
	t.Helper()
	if resp.Status != status {
		t.Errorf("got %s (%s: %s), want %s", resp.Status.Code(), resp.Field, resp.Detail, status.Code())
	}
	return resp
}

func ok(t testing.TB, e *Engine, req *protocol.Request) *protocol.Response {
	t.Helper()
	return want(t, ask(t, e, req), protocol.Status_OK)
}

// do is ok, and the second step if there is one.
func do(t testing.TB, e *Engine, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp := ok(t, e, req)
	if resp.Change != nil {
		ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: resp.Change.Sequence})
	}
	return resp
}

// sealFor seals a secret for a request, as the person who brings it does.
func sealFor(t testing.TB, e *Engine, req *protocol.Request, secret string) *protocol.Request {
	t.Helper()
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	var err error
	if req.Secret, err = protocol.Seal(e.inbox.public(), req, "secret", protocol.ToZone, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	return req
}

// bring brings a file in parts of this size, and returns the last answer.
func bring(t testing.TB, e *Engine, file []byte, passphrase string, size int) *protocol.Response {
	t.Helper()
	unlock := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
	req := &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Device: []byte("a device")}
	at := 0
	for first := max(size, 1<<13); ; first = 0 { // the first part holds the header
		n := min(max(size, first), len(file)-at)
		req.Snapshot = file[at : at+n]
		req.More = at+n < len(file)
		resp := ask(t, e, req)
		if resp.Wanted == nil {
			return resp
		}
		at = min(int(resp.Wanted.At), len(file))
		req = &protocol.Request{Operation: "zone.open"}
	}
}

// opened is an engine with an empty state, and the file it came from.
func opened(t testing.TB) (*Engine, []byte) {
	t.Helper()
	e, file := newEngine(t), emptySnapshot(t)
	want(t, bring(t, e, file, passphrase, PartSize), protocol.Status_OK)
	return e, file
}

func at(t testing.TB, text string) *protocol.Location {
	t.Helper()
	l, err := protocol.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func generate(t testing.TB, text string) *protocol.Request {
	return &protocol.Request{Operation: "key.generate", Location: at(t, text), Kind: protocol.Ed25519}
}

func sign(t testing.TB, text string) *protocol.Request {
	return &protocol.Request{Operation: "ed25519.sign", Location: at(t, text), Message: []byte("a message")}
}

// paths are the text forms of all locations in a listing.
func paths(t testing.TB, e *Engine) (all []string) {
	t.Helper()
	for _, entry := range ok(t, e, &protocol.Request{Operation: "record.list"}).Entries {
		all = append(all, entry.Location.Text())
	}
	return all
}

// isEmpty fails unless nothing but what it has to keep is left in the arena.
func isEmpty(t testing.TB, e *Engine, keeps int) {
	t.Helper()
	var free []*memory.Secret
	n := 0
	for size := e.arena.Size(); size >= 64; size /= 2 {
		for {
			s, err := e.arena.New(size)
			if err != nil {
				break
			}
			free, n = append(free, s), n+size
		}
	}
	if kept := (e.arena.Size() - n) / 64; kept != keeps {
		t.Errorf("%d pieces are left in the arena, want %d", kept, keeps)
	}
	for _, s := range slices.Backward(free) {
		s.Destroy()
	}
}

// read opens a file outside of any engine.
func read(t testing.TB, file []byte) *snapshot.State {
	t.Helper()
	arena, err := memory.NewArena(512 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	s, err := snapshot.Read(bytes.NewReader(file), func(h *snapshot.Header) (*snapshot.Keys, error) {
		root, err := h.Open([]byte(passphrase), 1)
		if err != nil {
			return nil, err
		}
		return snapshot.KeysOf(arena, root)
	}, snapshot.Options{Arena: arena})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// inBatch is what a node appends for an answer's change.
func inBatch(entry []byte) []byte {
	crc := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	entry = append(slices.Clone(entry), 0xFF)
	b := binary.BigEndian.AppendUint64([]byte("B"), uint64(4+len(entry)))
	b = binary.BigEndian.AppendUint32(b, crc(b))
	return append(binary.BigEndian.AppendUint32(b, crc(entry)), entry...)
}
