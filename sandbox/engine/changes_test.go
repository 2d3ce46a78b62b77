package engine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

func TestKeysAndSignatures(t *testing.T) {
	e, _ := opened(t)
	made := do(t, e, generate(t, "c/v/r"))
	public := ok(t, e, &protocol.Request{Operation: "key.public", Location: at(t, "c/v/r")})
	if !bytes.Equal(made.PublicKey, public.PublicKey) || public.Kind != protocol.Ed25519 || made.Kind != protocol.Ed25519 {
		t.Errorf("made %v, told %v", made, public)
	}
	for _, message := range [][]byte{{}, []byte("a message"), make([]byte, 1<<20)} {
		sig := ok(t, e, &protocol.Request{Operation: "ed25519.sign", Location: at(t, "c/v/r"), Message: message}).Signature
		if !ed25519.Verify(made.PublicKey, message, sig) {
			t.Errorf("the signature of %d bytes does not verify", len(message))
		}
	}

	seed := bytes.Repeat([]byte{7}, 32)
	req := &protocol.Request{Operation: "key.import", Location: at(t, "c/v/imported"), Kind: protocol.Ed25519}
	imported := do(t, e, sealFor(t, e, req, string(seed)))
	key := ed25519.NewKeyFromSeed(seed)
	if !bytes.Equal(imported.PublicKey, key.Public().(ed25519.PublicKey)) {
		t.Error("the public key of an imported seed")
	}
	if sig := ok(t, e, sign(t, "c/v/imported")).Signature; !bytes.Equal(sig, ed25519.Sign(key, []byte("a message"))) {
		t.Error("the signature is another than the standard library's")
	}
}

func TestRefusals(t *testing.T) {
	e, _ := opened(t)
	do(t, e, generate(t, "c/v/key"))
	do(t, e, sealFor(t, e, &protocol.Request{Operation: "record.write", Location: at(t, "c/v/data"), Kind: protocol.Data}, "some bytes"))
	short := func(op, kind, secret string) *protocol.Request {
		return sealFor(t, e, &protocol.Request{Operation: op, Location: at(t, "c/v/new"), Kind: kind}, secret)
	}
	unnamed := &protocol.Location{ClientId: make([]byte, 24), VaultId: make([]byte, 24), Version: new(uint64)}
	head := &protocol.Location{ClientId: make([]byte, 24), VaultId: make([]byte, 24), Head: true}
	last := at(t, "c/v/@18446744073709551615")
	for name, tt := range map[string]struct {
		req   *protocol.Request
		want  protocol.Status
		field string
	}{
		"no such operation":       {&protocol.Request{Operation: "key.steal"}, protocol.Status_UNSUPPORTED, ""},
		"of the node":             {&protocol.Request{Operation: "node.lock"}, protocol.Status_UNSUPPORTED, ""},
		"absent record":           {sign(t, "c/v/absent"), protocol.Status_NOT_FOUND, ""},
		"absent vault":            {sign(t, "c/absent/key"), protocol.Status_NOT_FOUND, ""},
		"absent client":           {sign(t, "absent/v/key"), protocol.Status_NOT_FOUND, ""},
		"head of nothing":         {sign(t, "c/v/@head"), protocol.Status_NOT_FOUND, ""},
		"there already":           {generate(t, "c/v/key"), protocol.Status_EXISTS, ""},
		"sign with data":          {sign(t, "c/v/data"), protocol.Status_WRONG_KIND, ""},
		"public half of data":     {&protocol.Request{Operation: "key.public", Location: at(t, "c/v/data")}, protocol.Status_WRONG_KIND, ""},
		"revoke what is not":      {&protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/absent")}, protocol.Status_NOT_FOUND, ""},
		"seed too short":          {short("key.import", protocol.Ed25519, "short"), protocol.Status_INVALID, "secret"},
		"seed too long":           {short("key.import", protocol.Ed25519, string(make([]byte, 33))), protocol.Status_INVALID, "secret"},
		"empty seed":              {short("key.import", protocol.Ed25519, ""), protocol.Status_INVALID, "secret"},
		"mnemonic as raw bytes":   {short("record.write", protocol.Mnemonic, "abandon"), protocol.Status_INVALID, "kind"},
		"generate data":           {&protocol.Request{Operation: "key.generate", Location: at(t, "c/v/new"), Kind: protocol.Data}, protocol.Status_INVALID, "kind"},
		"unknown kind":            {&protocol.Request{Operation: "key.generate", Location: at(t, "c/v/new"), Kind: "rsa"}, protocol.Status_INVALID, "kind"},
		"cursor":                  {&protocol.Request{Operation: "record.list", After: []byte("x")}, protocol.Status_INVALID, "after"},
		"version without a path":  {&protocol.Request{Operation: "key.generate", Location: unnamed, Kind: protocol.Ed25519}, protocol.Status_NOT_FOUND, ""},
		"head without a path":     {&protocol.Request{Operation: "key.generate", Location: head, Kind: protocol.Ed25519}, protocol.Status_NOT_FOUND, ""},
		"the last of all numbers": {&protocol.Request{Operation: "key.generate", Location: last, Kind: protocol.Ed25519}, protocol.Status_NO_SPACE, ""},
		"a store's absent key":    {&protocol.Request{Operation: "store.get", Location: at(t, "c/key")}, protocol.Status_NOT_FOUND, ""},
		"commit of nothing":       {&protocol.Request{Operation: "zone.commit", Sequence: 99}, protocol.Status_INTERNAL, ""},
	} {
		resp := ask(t, e, tt.req)
		if resp.Status != tt.want || resp.Field != tt.field {
			t.Errorf("%s: %s, field %q (%s)", name, resp.Status.Code(), resp.Field, resp.Detail)
		}
		if resp.Change != nil || resp.PublicKey != nil || resp.Signature != nil {
			t.Errorf("%s: a refusal that holds %v", name, resp)
		}
	}
	if p := paths(t, e); len(p) != 2 {
		t.Errorf("after refusals there are %q", p)
	}
	if len(e.ends) != 0 {
		t.Error("a refusal has staged something")
	}
	isEmpty(t, e, 4) // root key, record key, the journal's
}

// A sealed secret is taken once, by the request it was sealed for.
func TestSealedInputs(t *testing.T) {
	e, _ := opened(t)
	seed := string(bytes.Repeat([]byte{7}, 32))
	base := func() *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "key.import", Location: at(t, "c/v/r"), Kind: protocol.Ed25519, Overwrite: true}
	}
	good := sealFor(t, e, base(), seed)
	refused := func(what string, req *protocol.Request) {
		t.Helper()
		if r := ask(t, e, req); r.Status != protocol.Status_INVALID || r.Field != "secret" {
			t.Errorf("%s: %s, field %q", what, r.Status.Code(), r.Field)
		}
	}
	move := func(what string, change func(*protocol.Request)) {
		t.Helper()
		req := base()
		req.Id, req.Secret = good.Id, good.Secret
		change(req)
		refused(what, req)
	}
	move("another request", func(r *protocol.Request) { r.Id = protocol.NewID() })
	move("another location", func(r *protocol.Request) { r.Location = at(t, "c/v/other") })
	move("another version", func(r *protocol.Request) { r.Location = at(t, "c/v/@1") })
	move("another operation", func(r *protocol.Request) { r.Operation = "record.write" })
	move("cut", func(r *protocol.Request) { r.Secret = r.Secret[:len(r.Secret)-1] })
	move("flipped", func(r *protocol.Request) { r.Secret = bytes.Clone(r.Secret); r.Secret[40] ^= 1 })
	move("the other way to say a key", func(r *protocol.Request) { r.Secret = bytes.Clone(r.Secret); r.Secret[31] ^= 0x80 })
	refused("sealed to another engine", sealFor(t, newEngine(t), base(), seed))

	do(t, e, good) // none of these used it up
	refused("twice", good)

	// Many at once: one is the first.
	again := sealFor(t, e, base(), seed)
	var wg sync.WaitGroup
	accepted := make(chan *protocol.Response, 16)
	for range cap(accepted) {
		wg.Go(func() {
			req := base()
			req.Id, req.Secret = again.Id, again.Secret
			if resp, err := e.Handle(context.Background(), req); err == nil && resp.Status == protocol.Status_OK {
				accepted <- resp
			}
		})
	}
	wg.Wait()
	if len(accepted) != 1 {
		t.Errorf("%d of %d were accepted", len(accepted), cap(accepted))
	}
	if n := len(e.inbox.now.seen); n != 3 { // the passphrase and these two
		t.Errorf("%d inputs are remembered", n)
	}
}

func TestTwoSteps(t *testing.T) {
	e, file := opened(t)
	do(t, e, generate(t, "c/v/old"))
	before := paths(t, e)
	old := ok(t, e, sign(t, "c/v/old")).Signature

	var staged []*protocol.Response
	for i := range 4 {
		staged = append(staged, ok(t, e, generate(t, fmt.Sprintf("c/v/%d", i))))
	}
	over := generate(t, "c/v/old")
	over.Overwrite = true
	ok(t, e, over)
	ok(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/1")}) // staged only
	want(t, ask(t, e, sign(t, "c/v/0")), protocol.Status_NOT_FOUND)
	want(t, ask(t, e, generate(t, "c/v/0")), protocol.Status_EXISTS) // writers see it
	if !slices.Equal(paths(t, e), before) {
		t.Error("readers see what is not committed")
	}
	ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: staged[1].Change.Sequence})
	ok(t, e, sign(t, "c/v/0"))
	ok(t, e, sign(t, "c/v/1"))
	want(t, ask(t, e, sign(t, "c/v/2")), protocol.Status_NOT_FOUND)

	// The third could not be written: it goes, and all behind it.
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: staged[2].Change.Sequence})
	want(t, ask(t, e, &protocol.Request{Operation: "zone.commit", Sequence: staged[3].Change.Sequence}), protocol.Status_INTERNAL)
	ok(t, e, sign(t, "c/v/1"))
	if sig := ok(t, e, sign(t, "c/v/old")).Signature; !bytes.Equal(sig, old) {
		t.Error("an aborted overwrite had an effect")
	}
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: 99})
	again := do(t, e, generate(t, "c/v/2"))
	if again.Change.Sequence != staged[2].Change.Sequence {
		t.Errorf("number %d after an abort, want %d", again.Change.Sequence, staged[2].Change.Sequence)
	}
	if bytes.Equal(again.Change.Entry[:64], staged[2].Change.Entry[:64]) {
		t.Error("the key of an aborted entry is used again")
	}

	// The entries that were committed are a file, in that order and no other.
	for _, r := range []*protocol.Response{staged[0], staged[1], again} {
		file = append(file, inBatch(r.Change.Entry)...)
	}
	want(t, bring(t, newEngine(t), file, passphrase, PartSize), protocol.Status_DAMAGED) // the first is missing
}

// What the node has on the disk is committed before its request is looked at.
func TestDurableWithARequest(t *testing.T) {
	e, _ := opened(t)
	serve := func(durable uint64, req *protocol.Request) *protocol.Response {
		t.Helper()
		req.Id = protocol.NewID()
		b, err := protocol.Marshal(req)
		if err == nil {
			b, err = e.Serve(t.Context(), protocol.AppendDurable(b, durable))
		}
		resp := new(protocol.Response)
		if err == nil {
			err = protocol.Unmarshal(b, resp)
		}
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first, second := ok(t, e, generate(t, "c/v/1")).Change.Sequence, ok(t, e, generate(t, "c/v/2")).Change.Sequence
	want(t, ask(t, e, sign(t, "c/v/1")), protocol.Status_NOT_FOUND)
	want(t, serve(first, sign(t, "c/v/2")), protocol.Status_NOT_FOUND)
	want(t, ask(t, e, sign(t, "c/v/1")), protocol.Status_OK)
	want(t, serve(second, sign(t, "c/v/2")), protocol.Status_OK)
	want(t, serve(first, sign(t, "c/v/2")), protocol.Status_OK) // an older number undoes nothing
	want(t, serve(second+1, sign(t, "c/v/2")), protocol.Status_INVALID)
	if n := len(e.ends); n != 0 {
		t.Errorf("%d changes are not committed", n)
	}
	third := ok(t, e, generate(t, "c/v/3")).Change.Sequence
	ok(t, e, generate(t, "c/v/4"))
	want(t, serve(third, &protocol.Request{Operation: "zone.abort", Sequence: third + 1}), protocol.Status_OK)
	want(t, ask(t, e, sign(t, "c/v/3")), protocol.Status_OK)
	want(t, serve(third, generate(t, "c/v/4")), protocol.Status_OK)
	locked := newEngine(t)
	b, _ := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: "zone.key"})
	if b, err := locked.Serve(t.Context(), protocol.AppendDurable(b, 1)); err != nil || protocol.Unmarshal(b, new(protocol.Response)) != nil {
		t.Errorf("while locked: %v", err)
	}
}

// What a session has of a client goes with the client, and not before that is committed.
func TestPurgeTakesTheSession(t *testing.T) {
	e, _ := opened(t)
	value := &protocol.Request{Operation: "store.get", Location: at(t, "c/key"), Session: true}
	do(t, e, generate(t, "c/v/r"))
	ok(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte("x"), Session: true})
	purge := &protocol.Request{Operation: "client.purge", Location: &protocol.Location{Client: []byte("c")}}

	staged := ok(t, e, purge)
	ok(t, e, value)
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: staged.Change.Sequence})
	ok(t, e, value)
	ok(t, e, sign(t, "c/v/r"))

	do(t, e, purge)
	want(t, ask(t, e, value), protocol.Status_NOT_FOUND)
}

func TestJournalIsTheState(t *testing.T) {
	e, file := opened(t)
	add := func(req *protocol.Request) {
		file = append(file, inBatch(do(t, e, req).Change.Entry)...)
	}
	add(generate(t, "c/v/kept"))
	add(generate(t, "c/v/gone"))
	add(generate(t, "c/v/@head"))
	add(generate(t, "c/v/@head"))
	add(&protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/gone")})
	add(&protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte("value")})
	lost := ok(t, e, generate(t, "c/v/lost"))
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: lost.Change.Sequence})
	add(generate(t, "c/v/after"))
	sig := ok(t, e, sign(t, "c/v/kept")).Signature

	other := newEngine(t)
	want(t, bring(t, other, file, passphrase, 100), protocol.Status_OK)
	if a, b := paths(t, e), paths(t, other); !slices.Equal(a, b) || len(a) != 4 {
		t.Errorf("%q became %q", a, b)
	}
	if !bytes.Equal(ok(t, other, sign(t, "c/v/kept")).Signature, sig) {
		t.Error("another key")
	}
	if v := ok(t, other, &protocol.Request{Operation: "store.get", Location: at(t, "c/key")}).Value; string(v) != "value" {
		t.Errorf("the store holds %q", v)
	}
	if v := do(t, other, generate(t, "c/v/@head")).Version; v == nil || *v != 2 {
		t.Errorf("the next version is %v", v)
	}
}

func TestListPages(t *testing.T) {
	e, _ := opened(t)
	for i := range 25 {
		do(t, e, generate(t, fmt.Sprintf("c%d/v/%d", i%2, i)))
	}
	for _, limit := range []uint32{1, 7, 24, 25, 0} {
		for _, below := range []string{"", "c0", "c1/v"} {
			var all []string
			req := &protocol.Request{Operation: "record.list", Location: at(t, below), Limit: limit}
			for {
				resp := ok(t, e, req)
				for _, entry := range resp.Entries {
					all = append(all, entry.Location.Text())
				}
				if len(resp.Next) == 0 {
					break
				}
				req = &protocol.Request{Operation: "record.list", Location: at(t, below), Limit: limit, After: resp.Next}
			}
			if n := map[string]int{"": 25, "c0": 13, "c1/v": 12}[below]; len(all) != n || len(slices.Compact(slices.Sorted(slices.Values(all)))) != n {
				t.Errorf("below %q, %d at a time: %d entries", below, limit, len(all))
			}
		}
	}
}

// Many at once: every change is in the file in the order of its number, whoever
// commits it, and every signature verifies.
func TestConcurrently(t *testing.T) {
	e, file := opened(t)
	const callers, each = 8, 20
	entries := make([][]byte, callers*each)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				path := fmt.Sprintf("c/v/%d-%d", c, i)
				made := do(t, e, generate(t, path))
				if made.Change == nil {
					return
				}
				entries[made.Change.Sequence-1] = made.Change.Entry
				sig := ok(t, e, sign(t, path)).Signature
				if !ed25519.Verify(made.PublicKey, []byte("a message"), sig) {
					t.Error("a signature does not verify")
				}
				ok(t, e, &protocol.Request{Operation: "record.list", Limit: 3})
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	other := newEngine(t)
	want(t, bring(t, other, append(file, inBatch(slices.Concat(entries...))...), passphrase, PartSize), protocol.Status_OK)
	resp := ok(t, other, &protocol.Request{Operation: "record.list", Limit: 1000})
	if len(resp.Entries) != callers*each {
		t.Errorf("the file has %d records", len(resp.Entries))
	}
	isEmpty(t, e, 4)
}

func TestServeRefusesWhatIsNoRequest(t *testing.T) {
	e := newEngine(t)
	for _, b := range [][]byte{[]byte("garbage"), {0xff}, bytes.Repeat([]byte{0x0a, 0x7f}, 10)} {
		if _, err := e.Serve(context.Background(), b); err == nil {
			t.Errorf("%q was answered", b)
		}
	}
}

// A target whose seeds went away runs on nothing and passes.
func TestFuzzSeeds(t *testing.T) {
	if files, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzServe")); err != nil || len(files) < 8 {
		t.Errorf("%d seeds: %v", len(files), err)
	}
}
