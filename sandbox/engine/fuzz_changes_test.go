package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// draws are decisions that a fuzzer's input makes, a byte for each.
type draws struct{ left []byte }

func (d *draws) Uint64() uint64 {
	b := byte(0x9E) // behind the end; 0 would be drawn for ever
	if len(d.left) > 0 {
		b, d.left = d.left[0], d.left[1:]
	}
	return uint64(b) * 0x0101010101010101
}

// ground is what all runs begin with: keys without a password, and an empty file.
var ground = sync.OnceValues(func() (*memory.Arena, func() (root, file []byte)) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	arena, err := memory.NewArena(ArenaSize)
	must(err)
	keys, err := snapshot.NewKeys(arena)
	must(err)
	id, err := age.ParseX25519Identity(identity)
	must(err)
	slot, err := snapshot.NewRecipientSlot(id.Recipient().String())
	must(err)
	h, _, err := new(snapshot.Header).With(slot)
	must(err)
	h, err = keys.Wrap(h)
	must(err)
	root, err := h.Open([]byte(identity), 1)
	must(err)
	var file bytes.Buffer
	j, err := snapshot.Write(&file, keys, h, vault.New(arena, nil, [8]byte{}).Freeze(), nil)
	must(err)
	j.Close()
	return arena, func() ([]byte, []byte) { return root, slices.Clone(file.Bytes()) }
})

// story is an engine and its file, and a node that writes it when the input says so.
type story struct {
	t    *testing.T
	r    *rand.Rand
	root []byte
	e    *Engine
	file []byte
	next uint64   // number of the change that is written next
	line [][]byte // entries that wait
	told uint64   // up to here the engine has heard what is on the disk

	fresh []byte // a file that is to take the place of this one; nil: none
}

func (s *story) open() {
	s.t.Helper()
	arena, _ := ground()
	e, err := New(arena)
	if err != nil {
		s.t.Fatal(err)
	}
	e.state, e.session = s.read(), vault.New(arena, nil, [8]byte{})
	s.e, s.line, s.fresh, s.next = e, nil, nil, e.state.DB.Sequence()+1
	s.told = s.next - 1
}

// read is what a reader finds in the file.
func (s *story) read() *snapshot.State {
	s.t.Helper()
	arena, _ := ground()
	state, err := snapshot.Read(bytes.NewReader(s.file), func(*snapshot.Header) (*snapshot.Keys, error) { return snapshot.KeysOf(arena, s.root) }, snapshot.Options{Arena: arena})
	if err != nil {
		s.t.Fatalf("what was acknowledged is not read: %v", err)
	}
	if state.Recovered || state.Length != int64(len(s.file)) {
		s.t.Fatalf("recovered %v, %d bytes of %d", state.Recovered, state.Length, len(s.file))
	}
	return state
}

func (s *story) close() {
	s.e.folds.Lock()
	s.e.giveUp()
	s.e.folds.Unlock()
	s.e.state.Close()
}

// answered puts a change in line.
func (s *story) answered(resp *protocol.Response) *protocol.Response {
	s.t.Helper()
	last := s.next + uint64(len(s.line)) - 1
	switch c := resp.Change; {
	case resp.Status == protocol.Status_INTERNAL:
		s.t.Fatalf("internal: %v", resp)
	case c == nil || resp.Status != protocol.Status_OK:
	case len(c.Entry) == 0:
		if c.Sequence != last || len(s.line) == 0 && s.told == last {
			s.t.Fatalf("it rests on change %d, and %d is the last, %d committed", c.Sequence, last, s.told)
		}
	case c.Sequence != last+1:
		s.t.Fatalf("change %d behind %d", c.Sequence, last)
	default:
		s.line = append(s.line, c.Entry)
	}
	return resp
}

func (s *story) ask(req *protocol.Request) *protocol.Response {
	s.t.Helper()
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	if s.told < s.next-1 && s.r.IntN(2) == 0 {
		s.told = s.next - 1
		req.Durable = s.told
	}
	resp, err := s.e.answer(context.Background(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.answered(resp)
}

// write writes the first n entries that wait.
func (s *story) write(n int) {
	if n > 0 {
		s.file = append(s.file, inBatch(bytes.Join(s.line[:n], nil))...)
		s.line = s.line[n:]
		s.next += uint64(n)
	}
}

// commit has the engine hear what is on the disk.
func (s *story) commit() {
	s.t.Helper()
	if s.told = s.next - 1; s.told > 0 {
		want(s.t, s.ask(&protocol.Request{Operation: "zone.commit", Sequence: s.told}), protocol.Status_OK)
	}
}

// rest is when nothing is on its way.
func (s *story) rest() {
	s.write(len(s.line))
	s.commit()
}

// fold begins a file, or puts it in the place of the one before.
func (s *story) fold() {
	s.t.Helper()
	if s.fresh == nil {
		req := &protocol.Request{Operation: "zone.fold"}
		for more := true; more; {
			resp := want(s.t, s.ask(req), protocol.Status_OK)
			s.fresh = append(s.fresh, resp.Snapshot...)
			if c := resp.Copied; c != nil {
				s.fresh = append(s.fresh, s.file[c.At:c.At+c.Bytes]...)
			}
			more = resp.More
			req = &protocol.Request{Operation: "zone.fold", More: true, Snapshot: (&disk{file: s.file}).part(resp.Wanted)}
		}
		return
	}
	s.rest()
	if since := want(s.t, s.ask(&protocol.Request{Operation: "zone.carry"}), protocol.Status_OK).Snapshot; len(since) > 0 {
		s.fresh = append(s.fresh, inBatch(since)...)
	}
	want(s.t, s.ask(&protocol.Request{Operation: "zone.adopt"}), protocol.Status_OK)
	s.file, s.fresh = s.fresh, nil
}

// load loads a client if it is away, and unloads it if it is not.
func (s *story) load(client *protocol.Location) {
	s.rest()
	s.fresh = nil // given up
	if !s.e.state.DB.IsAway(clientID(client)) {
		s.ask(&protocol.Request{Operation: "client.unload", Location: client})
		return
	}
	req := &protocol.Request{Operation: "zone.load", Within: []*protocol.Location{client}}
	for {
		resp := want(s.t, s.ask(req), protocol.Status_OK)
		if resp.Wanted == nil {
			return
		}
		req = &protocol.Request{Operation: "zone.load", More: true, Snapshot: (&disk{file: s.file}).part(resp.Wanted)}
	}
}

// check holds what is committed against what a reader finds.
func (s *story) check() {
	s.t.Helper()
	s.commit()
	there := s.read()
	defer there.Close()
	if a, b := s.e.state.DB.Sequence(), there.DB.Sequence(); a != s.next-1 || b != a {
		s.t.Fatalf("change %d was the last to be written, here it is %d, in the file %d", s.next-1, a, b)
	}
	named := map[[2]vault.ID]bool{} // vaults; a name that only a reader has brought is not in the file
	for _, c := range there.DB.Freeze().Clients {
		for _, v := range c.Vaults {
			named[[2]vault.ID{c.ID, v.ID}] = v.Name != nil
		}
	}
	if a, b := s.dump(s.e.state.DB, named), s.dump(there.DB, named); a != b {
		s.t.Fatalf("here:\n%s\nin the file:\n%s", a, b)
	}
}

var foreign = []byte("foreign") // a client that came by its ids: what its numbers are follows from its names

// dump is what a DB holds of the clients that are loaded here; of vaults that are not named, without
// the numbers, which follow from the name.
func (s *story) dump(db *vault.DB, named map[[2]vault.ID]bool) string {
	var b strings.Builder
	for _, c := range db.Freeze().Clients {
		if fmt.Fprintf(&b, "client %x\n", c.ID); s.e.state.DB.IsAway(c.ID) {
			continue
		}
		foreigner := c.ID == vault.ClientID(foreign) || c.ID == vault.ClientID([]byte("elsewhere"))
		for _, v := range c.Vaults {
			numbers := !foreigner && named[[2]vault.ID{c.ID, v.ID}]
			if fmt.Fprintf(&b, " vault %x keep %d\n", v.ID, v.Keep); numbers {
				fmt.Fprintf(&b, "  next %d\n", v.Next)
			}
			for r := range v.Records {
				fmt.Fprintf(&b, "  %x %d %d %v %x %v %v", r.ID, r.Kind, r.Flags, r.Revoked, r.Hint, r.Created, r.Changed)
				if numbers {
					fmt.Fprintf(&b, " %v %d", r.Counter, r.Number)
				}
				if !r.Revoked { // what is sealed may be another here, with a name that a reader has brought
					if err := db.LendRecord(r, c.ID, v.ID, func(secret []byte) error { fmt.Fprintf(&b, " %x", secret); return nil }); err != nil {
						s.t.Fatal(err)
					}
				}
				b.WriteByte('\n')
			}
		}
		_, items := c.Items()
		for it := range items {
			fmt.Fprintf(&b, " item %s %s %v\n", it.Key, it.Value, it.Changed)
		}
	}
	return b.String()
}

var inhabitants = [][]byte{[]byte("one"), []byte("two"), []byte("one"), []byte("two"), foreign}

// request is anyRequest, and all else that changes something without a password.
func (s *story) request() *protocol.Request {
	r := s.r
	client := inhabitants[r.IntN(len(inhabitants))]
	in := &protocol.Location{Client: client}
	spot := &protocol.Location{Client: client, Vault: []byte{"ab"[r.IntN(2)]}, Record: []byte{"xyz"[r.IntN(3)]}}
	var req *protocol.Request
	switch r.IntN(16) {
	case 0:
		req = &protocol.Request{Operation: "client.create", Location: in}
	case 1:
		req = &protocol.Request{Operation: "client.purge", Location: in}
	case 2:
		req = &protocol.Request{Operation: "client.load", Location: in, Target: &protocol.Location{Client: []byte("elsewhere")}}
		if r.IntN(2) == 0 {
			req.Location, req.Target = req.Target, req.Location
		}
	case 3:
		req = &protocol.Request{Operation: "key.generate", Location: spot, Kind: protocol.Ed25519, Hint: []byte("hint"), Overwrite: true}
	case 4:
		req = &protocol.Request{Operation: "slip10.derive", Location: spot, Target: &protocol.Location{Client: client, Vault: spot.Vault, Head: true}, Path: "m/0'"}
	case 5:
		largest := uint64(1 << 32) // as far ahead as a version may be
		req = &protocol.Request{Operation: "slip10.generate", Location: &protocol.Location{Client: client, Vault: []byte("z"), Version: &largest}, Size: 16}
	case 6:
		req = &protocol.Request{Operation: "store.swap", Location: &protocol.Location{Client: client, Vault: []byte("k")}, Value: bytes.Repeat([]byte("v"), 256), IfAbsent: true}
	case 7, 8: // half of these change nothing
		req = &protocol.Request{Operation: []string{"record.disable", "record.enable"}[r.IntN(2)], Location: &protocol.Location{Client: inhabitants[0], Vault: []byte("a"), Record: []byte("x")}}
	default:
		req = anyRequest(r, client, false)
	}
	if l := req.Location; r.IntN(8) == 0 && l != nil && l.Vault != nil && l.Record != nil { // by its id
		p := place(l)
		req.Location = &protocol.Location{ClientId: p.Client[:], VaultId: p.Vault[:], RecordId: p.Record[:]}
	}
	return req
}

// bringIn takes in a record by its ids, as an import does, or its tombstone; perhaps
// nothing changes by it.
func (s *story) bringIn() *protocol.Response {
	p := vault.In(foreign, []byte{"ab"[s.r.IntN(2)]})
	p.Record = vault.CounterID(p.VaultName, uint64(s.r.IntN(3)))
	p.ClientName, p.VaultName = nil, nil
	value := &vault.Value{Secret: []byte("it came from elsewhere")}
	if s.r.IntN(3) == 0 {
		value = nil
	}
	resp := newResponse()
	if err := s.e.change(new(protocol.Request), resp, func(tx *vault.Tx) error { return tx.Import(p, value, s.r.IntN(2) == 0) }); err != nil {
		return refuse(err)
	}
	resp.Status = protocol.Status_OK
	return resp
}

// run does what the input says, and counts the steps.
func (s *story) run(input *draws, steps *int) {
	s.ask(&protocol.Request{Operation: "key.generate", Location: &protocol.Location{Client: inhabitants[0], Vault: []byte("a"), Record: []byte("x")}, Kind: protocol.Ed25519})
	for n := 0; len(input.left) > 0 && n < 24; n++ {
		*steps++
		switch s.r.IntN(20) {
		case 0, 1: // some at once
			answers, err := s.e.stage(2+s.r.IntN(4), func(int) (*protocol.Request, error) {
				req := s.request()
				if req.Id == nil {
					req.Id = protocol.NewID()
				}
				return req, nil
			})
			if err != nil {
				s.t.Fatal(err)
			}
			for _, resp := range answers {
				s.answered(resp)
			}
		case 2:
			answer := []*protocol.Response{s.bringIn()}
			s.e.seal(answer)
			s.answered(answer[0])
		case 3, 4: // some of what waits
			s.write(s.r.IntN(len(s.line) + 1))
		case 5:
			s.write(len(s.line))
		case 6:
			s.commit()
		case 7:
			want(s.t, s.ask(&protocol.Request{Operation: "zone.abort", Sequence: s.next}), protocol.Status_OK)
			s.line = nil
		case 8:
			s.fold()
		case 9:
			s.load(&protocol.Location{Client: inhabitants[s.r.IntN(len(inhabitants))]})
		case 10:
			s.check()
		case 11: // the zone ends
			s.close()
			s.open()
		default:
			s.ask(s.request())
		}
	}
	s.rest()
	s.check()
	if s.fresh == nil {
		s.fold()
	}
	s.fold()
	s.check()
}

// Whatever is asked in whatever order, and whenever it is written, committed, undone or
// written anew: what was acknowledged is read again, and is what is here.
func FuzzChanges(f *testing.F) {
	for seed := range uint64(64) {
		b := make([]byte, 150)
		r := rand.New(rand.NewPCG(seed, 1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	steps := 0
	f.Fuzz(func(t *testing.T, b []byte) {
		defer func() {
			if t.Failed() {
				t.Logf("found after %d steps", steps)
			}
		}()
		_, begin := ground()
		root, file := begin()
		input := &draws{b}
		s := &story{t: t, r: rand.New(input), root: root, file: file}
		s.open()
		defer func() { s.close() }()
		s.run(input, &steps)
	})
}
