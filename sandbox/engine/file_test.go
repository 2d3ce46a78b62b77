package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
)

// The real password hash, once: create, look at what was made, open it.
func TestCreate(t *testing.T) {
	if raceDetector {
		t.Skip("the password hash takes minutes, and nothing in it is shared")
	}
	e := newEngine(t)
	create := func(passphrase string, cost uint32) *protocol.Response {
		return ask(t, e, sealFor(t, e, &protocol.Request{Operation: "zone.create", Cost: cost}, passphrase))
	}
	for _, cost := range []uint32{1, 16, 23, 1 << 31} {
		if r := want(t, create(passphrase, cost), protocol.Status_INVALID); r.Field != "cost" {
			t.Errorf("cost %d: field %q", cost, r.Field)
		}
	}
	want(t, create("", 17), protocol.Status_INVALID)
	want(t, create("AGE-SECRET-KEY-1", 17), protocol.Status_INVALID)
	isEmpty(t, e, 0)
	file := want(t, create(passphrase, 17), protocol.Status_OK).Snapshot
	isEmpty(t, e, 0)
	info := ok(t, e, &protocol.Request{Operation: "zone.inspect", Snapshot: file}).Info
	if info.Version != "4.0" || len(info.Slots) != 1 || info.Slots[0].Kind != "passphrase" || info.Slots[0].Cost != 17 {
		t.Errorf("inspected: %v", info)
	}
	want(t, ask(t, e, sign(t, "c/v/r")), protocol.Status_LOCKED) // it was given out, not opened
	want(t, bring(t, e, file, passphrase, PartSize), protocol.Status_OK)
	if p := paths(t, e); len(p) != 0 {
		t.Errorf("a new snapshot holds %q", p)
	}
}

func TestLocked(t *testing.T) {
	e := newEngine(t)
	for _, op := range protocol.Operations {
		req := &protocol.Request{Operation: op.Name, Location: at(t, "c/v/r"), Message: []byte{}, Kind: protocol.Ed25519, Sequence: 1}
		switch op.Name {
		case "ed25519.sign":
			req.Kind, req.Sequence = "", 0
		case "key.generate":
			req.Message, req.Sequence = nil, 0
		case "key.public", "record.revoke", "record.exists":
			req.Message, req.Kind, req.Sequence = nil, "", 0
		case "zone.commit", "zone.abort":
			req.Message, req.Kind, req.Location = nil, "", nil
		case "zone.fold", "zone.carry", "zone.adopt", "record.list", "slot.list":
			req = &protocol.Request{Operation: op.Name}
		default:
			continue
		}
		want(t, ask(t, e, req), protocol.Status_LOCKED)
	}
	if key := ok(t, e, &protocol.Request{Operation: "zone.key"}).PublicKey; len(key) != 32 {
		t.Errorf("a key of %d bytes", len(key))
	}
	isEmpty(t, e, 0)
}

func TestOpenInParts(t *testing.T) {
	e, file := opened(t)
	key := do(t, e, generate(t, "c/v/r"))
	file = append(file, inBatch(key.Change.Entry)...)
	for _, size := range []int{1, 7, 100, len(file) - 1, len(file), len(file) + 1} {
		e := newEngine(t)
		resp := want(t, bring(t, e, file, passphrase, size), protocol.Status_OK)
		if int(resp.Length) != len(file) || resp.Base >= resp.Length || resp.Recovered || resp.Change.GetSequence() != 1 {
			t.Errorf("%d at a time: %v", size, resp)
		}
		ok(t, e, sign(t, "c/v/r"))
	}
	// Empty parts are parts, and the end may come alone.
	e = newEngine(t)
	unlock := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
	ok(t, e, &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Device: []byte("a device"), Snapshot: file[:len(file)-100], More: true})
	ok(t, e, &protocol.Request{Operation: "zone.open", More: true})
	ok(t, e, &protocol.Request{Operation: "zone.open", Snapshot: file[len(file)-100:], More: true})
	ok(t, e, &protocol.Request{Operation: "zone.open"})
	ok(t, e, sign(t, "c/v/r"))
}

func TestOpenFails(t *testing.T) {
	_, file := opened(t)
	garbage := make([]byte, 10_000)
	rand.Read(garbage)
	damaged := bytes.Clone(file)
	damaged[len(damaged)-1] ^= 1
	e := newEngine(t)
	for name, tt := range map[string]struct {
		file       []byte
		passphrase string
		want       protocol.Status
	}{
		"wrong passphrase":  {file, "wrong", protocol.Status_WRONG_KEY},
		"empty passphrase":  {file, "", protocol.Status_WRONG_KEY},
		"garbage":           {garbage, passphrase, protocol.Status_NOT_A_SNAPSHOT},
		"nothing":           {nil, passphrase, protocol.Status_NOT_A_SNAPSHOT},
		"a Rust snapshot":   {append([]byte("PARTI\x03\x00"), garbage...), passphrase, protocol.Status_UNSUPPORTED_VERSION},
		"damaged":           {damaged, passphrase, protocol.Status_DAMAGED},
		"cut":               {file[:len(file)-1], passphrase, protocol.Status_DAMAGED},
		"a damaged journal": {append(bytes.Clone(file), garbage...), passphrase, protocol.Status_DAMAGED},
		"too expensive":     {snapshotOfCost(t, "30"), passphrase, protocol.Status_TOO_EXPENSIVE},
	} {
		for _, size := range []int{1000, PartSize} {
			if resp := bring(t, e, tt.file, tt.passphrase, size); resp.Status != tt.want {
				t.Errorf("%s, %d at a time: %s %s", name, size, resp.Status.Code(), resp.Detail)
			}
			isEmpty(t, e, 0)
			want(t, ask(t, e, sign(t, "c/v/r")), protocol.Status_LOCKED)
			want(t, ask(t, e, &protocol.Request{Operation: "zone.open", Snapshot: file}), protocol.Status_UNAVAILABLE) // a part of nothing
		}
	}
	// None of it stands in the way of the right one.
	want(t, bring(t, e, file, passphrase, PartSize), protocol.Status_OK)
	want(t, bring(t, e, file, passphrase, PartSize), protocol.Status_UNAVAILABLE)
	want(t, ask(t, e, &protocol.Request{Operation: "zone.open", Snapshot: file}), protocol.Status_UNAVAILABLE)
	ok(t, e, &protocol.Request{Operation: "record.list"})
}

// A snapshot that was not brought whole makes room for another.
func TestOpenBegunAnew(t *testing.T) {
	_, file := opened(t)
	e := newEngine(t)
	step := 101
	if raceDetector {
		step = 997
	}
	for n := 0; n < len(file); n += step {
		if n > len(file)-200 {
			step = 7 // behind the header
		}
		unlock := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
		if _, _, err := snapshot.ReadHeader(bytes.NewReader(file[:n])); err != nil {
			resp := ask(t, e, &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Snapshot: file[:n], More: true})
			if resp.Status == protocol.Status_OK {
				t.Errorf("a first part of %d bytes, which is less than the header", n)
			}
			continue
		}
		resp := ask(t, e, &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Snapshot: file[:n], More: true})
		want(t, resp, protocol.Status_OK)
	}
	want(t, bring(t, e, file, passphrase, 100), protocol.Status_OK)
	isEmpty(t, e, 3) // root key, and the records' for the file and for the DB
}

// The passphrase opens what it was sealed for.
func TestOpenWithAnotherSecret(t *testing.T) {
	e, file := newEngine(t), emptySnapshot(t)
	open := func(sealedFor *protocol.Request, id []byte) *protocol.Response {
		return ask(t, e, &protocol.Request{Id: id, Operation: "zone.open", Secret: sealedFor.Secret, Snapshot: file})
	}
	req := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
	want(t, open(req, protocol.NewID()), protocol.Status_INVALID)
	other := sealFor(t, e, &protocol.Request{Operation: "zone.create"}, passphrase)
	want(t, open(other, other.Id), protocol.Status_INVALID)
	stranger := newEngine(t)
	foreign := sealFor(t, stranger, &protocol.Request{Operation: "node.unlock"}, passphrase)
	want(t, open(foreign, foreign.Id), protocol.Status_INVALID)
	wrong := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, "wrong")
	want(t, open(wrong, wrong.Id), protocol.Status_WRONG_KEY)
	want(t, open(wrong, wrong.Id), protocol.Status_INVALID) // the second time
	want(t, open(req, req.Id), protocol.Status_OK)
}

// fold takes a fresh file out of the engine.
func fold(t testing.TB, e *Engine) (file []byte, parts int) {
	t.Helper()
	req := &protocol.Request{Operation: "zone.fold"}
	for {
		resp := ok(t, e, req)
		file = append(file, resp.Snapshot...)
		parts++
		if !resp.More {
			return file, parts
		}
		if len(resp.Snapshot) != PartSize {
			t.Fatalf("a part of %d bytes, and more to come", len(resp.Snapshot))
		}
		req = &protocol.Request{Operation: "zone.fold", More: true}
	}
}

func TestFoldAndAdopt(t *testing.T) {
	e, file := opened(t)
	adopt := &protocol.Request{Operation: "zone.adopt"}
	want(t, ask(t, e, &protocol.Request{Operation: "zone.fold", More: true}), protocol.Status_UNAVAILABLE)
	want(t, ask(t, e, adopt), protocol.Status_UNAVAILABLE)

	first := do(t, e, generate(t, "c/v/first"))
	file = append(file, inBatch(first.Change.Entry)...)

	abandoned, _ := fold(t, e) // the disk was full: nobody adopts it
	folded, _ := fold(t, e)
	if bytes.Equal(abandoned, folded) {
		t.Error("two files are the same")
	}
	adopt.Id = nil
	ok(t, e, adopt)
	adopt.Id = nil
	want(t, ask(t, e, adopt), protocol.Status_UNAVAILABLE) // twice
	second := do(t, e, generate(t, "c/v/second"))
	entry := inBatch(second.Change.Entry)
	for name, tt := range map[string]struct {
		file []byte
		n    int
	}{
		"the old file": {file, 1}, "the new file": {folded, 1}, "the new file, with what came after": {append(bytes.Clone(folded), entry...), 2},
		"the abandoned file": {abandoned, 1},
	} {
		e := newEngine(t)
		want(t, bring(t, e, tt.file, passphrase, PartSize), protocol.Status_OK)
		if p := paths(t, e); len(p) != tt.n {
			t.Errorf("%s holds %q", name, p)
		}
	}
	for _, file := range [][]byte{append(bytes.Clone(file), entry...), append(bytes.Clone(abandoned), entry...)} {
		want(t, bring(t, newEngine(t), file, passphrase, PartSize), protocol.Status_DAMAGED)
	}

	// A file that is older than the state is not adopted, nor while something is staged.
	fold(t, e)
	do(t, e, generate(t, "c/v/third"))
	want(t, ask(t, e, &protocol.Request{Operation: "zone.adopt"}), protocol.Status_UNAVAILABLE)
	ok(t, e, &protocol.Request{Operation: "zone.carry"})
	staged := ok(t, e, generate(t, "c/v/fourth"))
	want(t, ask(t, e, &protocol.Request{Operation: "zone.adopt"}), protocol.Status_UNAVAILABLE)
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: staged.Change.Sequence})
	ok(t, e, &protocol.Request{Operation: "zone.adopt"})
}

// What is changed while a file is given out is carried into it: what was staged
// before and what came after, what was committed and nothing else.
func TestCarry(t *testing.T) {
	e, _ := opened(t)
	commit := func(r *protocol.Response) {
		ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: r.Change.Sequence})
	}
	do(t, e, generate(t, "c/v/before"))
	pending := ok(t, e, generate(t, "c/v/pending"))
	first := ok(t, e, &protocol.Request{Operation: "zone.fold"})
	file := first.Snapshot
	for more := first.More; more; {
		resp := ok(t, e, &protocol.Request{Operation: "zone.fold", More: true})
		file, more = append(file, resp.Snapshot...), resp.More
	}
	carry := func() {
		t.Helper()
		resp := ok(t, e, &protocol.Request{Operation: "zone.carry"})
		if resp.More {
			t.Error("more to carry")
		}
		if len(resp.Snapshot) > 0 {
			file = append(file, inBatch(resp.Snapshot)...)
		}
	}
	holds := func(n int) {
		t.Helper()
		other := newEngine(t)
		want(t, bring(t, other, file, passphrase, PartSize), protocol.Status_OK)
		if p := paths(t, other); len(p) != n {
			t.Errorf("the file holds %q, want %d", p, n)
		}
	}
	carry()
	holds(1) // what is pending may yet be aborted
	commit(pending)
	do(t, e, generate(t, "c/v/during"))
	do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/before")})
	carry()
	holds(2)
	lost := ok(t, e, generate(t, "c/v/lost"))
	last := ok(t, e, generate(t, "c/v/lost too"))
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: last.Change.Sequence})
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: lost.Change.Sequence})
	again := ok(t, e, generate(t, "c/v/again"))
	commit(again)
	carry()
	carry()
	ok(t, e, &protocol.Request{Operation: "zone.adopt"})
	holds(3)
	file = append(file, inBatch(do(t, e, generate(t, "c/v/after")).Change.Entry)...)
	holds(4)
}

// A file of several parts, and of which one is exactly full.
func TestFoldInParts(t *testing.T) {
	e, _ := opened(t)
	value := make([]byte, 64<<10)
	for i := range 150 {
		l := &protocol.Location{Client: []byte("c"), Vault: []byte{'k', byte(i)}}
		do(t, e, &protocol.Request{Operation: "store.put", Location: l, Value: value})
	}
	ok(t, e, &protocol.Request{Operation: "zone.fold"}) // one part, and then anew
	want(t, ask(t, e, &protocol.Request{Operation: "zone.adopt"}), protocol.Status_UNAVAILABLE)
	want(t, ask(t, e, &protocol.Request{Operation: "zone.carry"}), protocol.Status_UNAVAILABLE) // it is not given out whole yet
	file, parts := fold(t, e)
	if parts < 3 {
		t.Errorf("%d parts", parts)
	}
	if n, _ := read(t, file).DB.Freeze().Clients[0].Items(); n != 150 {
		t.Errorf("the file has %d items", n)
	}
	other := newEngine(t)
	want(t, bring(t, other, file, passphrase, 1<<20), protocol.Status_OK)
	ok(t, e, &protocol.Request{Operation: "zone.adopt"})
}

// What is not a request gets an error, what is not a good one a status, and
// neither a panic.
func FuzzServe(f *testing.F) {
	e, _ := opened(f)
	do(f, e, generate(f, "c/v/r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := e.Serve(context.Background(), b)
		if err != nil {
			return
		}
		resp := new(protocol.Response)
		if err := protocol.Unmarshal(out, resp); err != nil {
			t.Fatal(err)
		}
		if resp.Status == protocol.Status_STATUS_UNSPECIFIED || resp.Status == protocol.Status_INTERNAL && resp.Change == nil &&
			!slices.Contains(internal, operation(b)) {
			t.Errorf("status %s", resp.Status.Code())
		}
		if resp.Change != nil {
			ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: resp.Change.Sequence})
		}
	})
}

// internal are the operations whose wrong use by the node itself is an internal error.
var internal = []string{"zone.commit"}

func operation(b []byte) string {
	req := new(protocol.Request)
	protocol.Unmarshal(b, req)
	return req.Operation
}

// What has expired is in no fresh file.
func TestFoldLeavesOutWhatExpired(t *testing.T) {
	e, _ := opened(t)
	do(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/short"), Value: []byte("x"), TtlMs: 1})
	do(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/long"), Value: []byte("x"), TtlMs: 1 << 30})
	for ask(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/short")}).Status == protocol.Status_OK {
	}
	file, _ := fold(t, e)
	if n, _ := read(t, file).DB.Freeze().Clients[0].Items(); n != 1 {
		t.Errorf("the file has %d items", n)
	}
}
