package engine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// steps is a pipeline of requests.
func steps(all ...*protocol.Request) *protocol.Request {
	for _, step := range all {
		if step.Id == nil {
			step.Id = protocol.NewID()
		}
	}
	return &protocol.Request{Operation: "pipeline.run", Steps: all}
}

// The steps see one another, others see them with the commit, and the journal
// has them as one change.
func TestPipeline(t *testing.T) {
	e, file := opened(t)
	old := do(t, e, sealFor(t, e, &protocol.Request{Operation: "record.write", Location: at(t, "c/v/old"), Kind: protocol.Data}, "old"))
	file = append(file, inBatch(old.Change.Entry)...)
	message := []byte("a message")
	seed := string(bytes.Repeat([]byte{7}, 32))
	resp := ok(t, e, steps(
		&protocol.Request{Operation: "slip10.generate", Location: at(t, "c/v/seed")},
		&protocol.Request{Operation: "slip10.derive", Location: at(t, "c/v/seed"), Target: at(t, "c/v/@head"), Path: "m/44'/4218'"},
		&protocol.Request{Operation: "key.public", Location: at(t, "c/v/@head")},
		&protocol.Request{Operation: "ed25519.sign", Location: at(t, "c/v/@0"), Message: message},
		&protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/seed")},
		&protocol.Request{Operation: "record.exists", Location: at(t, "c/v/seed")},
		sealFor(t, e, &protocol.Request{Operation: "key.import", Location: at(t, "c/v/seed"), Kind: protocol.Ed25519}, seed),
		&protocol.Request{Operation: "store.put", Location: at(t, "c/colour"), Value: []byte("blue")},
		&protocol.Request{Operation: "store.get", Location: at(t, "c/colour")},
		&protocol.Request{Operation: "record.move", Location: at(t, "c/v/old"), Target: at(t, "c/v/moved")},
	))
	r := resp.Results
	if len(r) != 10 {
		t.Fatalf("%d results", len(r))
	}
	if v := r[1].Version; v == nil || *v != 0 || !bytes.Equal(r[1].PublicKey, r[2].PublicKey) {
		t.Errorf("derived %v, told %v", r[1], r[2])
	}
	if !ed25519.Verify(r[1].PublicKey, message, r[3].Signature) {
		t.Error("the signature does not verify")
	}
	if r[5].Exists || string(r[8].Value) != "blue" {
		t.Errorf("exists %v, value %q", r[5].Exists, r[8].Value)
	}
	for i, result := range r {
		if result.Status != protocol.Status_OK || result.Change != nil {
			t.Errorf("step %d: %v", i, result)
		}
	}
	// Nobody sees anything yet.
	if p := paths(t, e); !slices.Equal(p, []string{"c/v/old"}) {
		t.Errorf("before the commit there are %q", p)
	}
	want(t, ask(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/colour")}), protocol.Status_NOT_FOUND)
	ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: resp.Change.Sequence})
	p := paths(t, e)
	slices.Sort(p)
	if !slices.Equal(p, []string{"c/v/@0", "c/v/moved", "c/v/seed"}) {
		t.Errorf("after the commit there are %q", p)
	}
	// On the disk it is one entry, and comes back from there whole.
	again := newEngine(t)
	opened := want(t, bring(t, again, append(file, inBatch(resp.Change.Entry)...), passphrase, PartSize), protocol.Status_OK)
	if opened.Change.GetSequence() != 2 || opened.Recovered {
		t.Errorf("opened again it is at change %d", opened.Change.GetSequence())
	}
	if got := paths(t, again); !slices.Equal(got, paths(t, e)) {
		t.Errorf("opened again there are %q", got)
	}
	ok(t, again, sign(t, "c/v/@0"))
	isEmpty(t, e, 4)
}

// Whichever step fails, nothing has happened: what was there is as it was, and the
// answer says which one it was.
func TestPipelineFails(t *testing.T) {
	e, _ := opened(t)
	old := do(t, e, generate(t, "c/v/key")).PublicKey
	do(t, e, generate(t, "c/v/other"))
	do(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/colour"), Value: []byte("blue")})
	good := func() []*protocol.Request {
		over := generate(t, "c/v/key")
		over.Overwrite = true
		return []*protocol.Request{
			over, generate(t, "c/v/new"), {Operation: "record.revoke", Location: at(t, "c/v/other")},
			{Operation: "store.put", Location: at(t, "c/colour"), Value: []byte("red")}, generate(t, "d/v/@head"),
		}
	}
	absent := at(t, "c/v/absent")
	for name, bad := range map[string]struct {
		step   *protocol.Request
		status protocol.Status
		field  string
	}{
		"absent":       {&protocol.Request{Operation: "ed25519.sign", Location: absent, Message: []byte{}}, protocol.Status_NOT_FOUND, ""},
		"there":        {generate(t, "c/v/key"), protocol.Status_EXISTS, ""},
		"no such kind": {&protocol.Request{Operation: "key.generate", Location: absent, Kind: protocol.Data}, protocol.Status_INVALID, ".kind"},
		"not sealed":   {&protocol.Request{Operation: "key.import", Location: absent, Kind: protocol.Ed25519, Secret: make([]byte, 100)}, protocol.Status_INVALID, ".secret"},
		"no seed":      {&protocol.Request{Operation: "slip10.derive", Location: at(t, "c/v/key"), Target: absent, Path: "m/1'"}, protocol.Status_WRONG_KIND, ""},
	} {
		for i := range len(good()) + 1 {
			all := slices.Insert(good(), i, bad.step)
			for _, step := range all {
				step.Id = protocol.NewID()
			}
			resp := ask(t, e, steps(all...))
			if resp.Status != bad.status || resp.Field != fmt.Sprintf("steps[%d]%s", i, bad.field) || resp.Change != nil || resp.Results != nil {
				t.Errorf("%s at %d: %v", name, i, resp)
			}
		}
	}
	if p := paths(t, e); len(p) != 2 {
		t.Errorf("there are %q", p)
	}
	if public := ok(t, e, &protocol.Request{Operation: "key.public", Location: at(t, "c/v/key")}).PublicKey; !bytes.Equal(public, old) {
		t.Error("the key that was there is another")
	}
	if v := ok(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/colour")}).Value; string(v) != "blue" {
		t.Errorf("the value is %q", v)
	}
	do(t, e, steps(good()...)) // it was not for them
	if len(e.ends) != 0 {
		t.Error("something is staged")
	}
	isEmpty(t, e, 4)
}

// What a step brings is sealed for that step, and taken once: what failed with it
// is not to be had again.
func TestPipelineSealedInputs(t *testing.T) {
	e, _ := opened(t)
	seed := string(bytes.Repeat([]byte{7}, 32))
	bring := func(text string) *protocol.Request {
		return sealFor(t, e, &protocol.Request{Operation: "key.import", Location: at(t, text), Kind: protocol.Ed25519}, seed)
	}
	a, b := bring("c/v/a"), bring("c/v/b")
	a.Secret, b.Secret = b.Secret, a.Secret
	resp := want(t, ask(t, e, steps(a, b)), protocol.Status_INVALID)
	if resp.Field != "steps[0].secret" {
		t.Errorf("it is %s", resp.Field)
	}
	a.Secret, b.Secret = b.Secret, a.Secret
	want(t, ask(t, e, steps(a, generate(t, "c/v/x"), generate(t, "c/v/x"))), protocol.Status_EXISTS)
	want(t, ask(t, e, steps(a)), protocol.Status_INVALID)
	want(t, ask(t, e, a), protocol.Status_INVALID)
	do(t, e, steps(b))
	want(t, ask(t, e, steps(b, generate(t, "c/v/x"))), protocol.Status_INVALID)
}

// The engine does every operation that may be a step, and refuses every other.
func TestPipelineOperations(t *testing.T) {
	e, _ := opened(t)
	change := func() *protocol.Request {
		return &protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}}
	}
	allowed := 0
	for _, op := range protocol.Operations {
		step := &protocol.Request{Operation: op.Name, Location: at(t, "c/v/r")}
		resp := ask(t, e, steps(change(), step))
		if op.InPipeline() {
			allowed++
			if resp.Field == "steps[1].operation" || resp.Status == protocol.Status_UNSUPPORTED {
				t.Errorf("%s: %v", op.Name, resp)
			}
			if op.Door == protocol.DoorZone {
				t.Errorf("%s is for the zone's door", op.Name)
			}
			continue
		}
		if resp.Status != protocol.Status_INVALID || resp.Field != "steps[1].operation" {
			t.Errorf("%s: %v", op.Name, resp)
		}
	}
	if allowed < 10 {
		t.Errorf("%d operations may be steps", allowed)
	}
	for name, req := range map[string]*protocol.Request{
		"no steps":          {Operation: "pipeline.run"},
		"only reads":        steps(sign(t, "c/v/r")),
		"too many":          steps(slices.Repeat([]*protocol.Request{change()}, protocol.MaxSteps+1)...),
		"within itself":     steps(steps(change())),
		"nothing":           {Operation: "pipeline.run", Steps: []*protocol.Request{{}}},
		"of a session":      steps(&protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}, Session: true}),
		"for another":       steps(&protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}, To: "bob"}),
		"a time of its own": steps(&protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}, TimeoutMs: 1}),
	} {
		if resp := ask(t, e, req); resp.Status != protocol.Status_INVALID || !strings.HasPrefix(resp.Field, "steps") {
			t.Errorf("%s: %v", name, resp)
		}
	}
	do(t, e, steps(slices.Repeat([]*protocol.Request{change()}, protocol.MaxSteps)...))

	// More answers than fit into a frame.
	big := &protocol.Request{Operation: "store.put", Location: at(t, "c/big"), Value: make([]byte, protocol.MaxValue)}
	all := append([]*protocol.Request{big}, slices.Repeat([]*protocol.Request{{Id: protocol.NewID(), Operation: "store.get", Location: at(t, "c/big")}}, 20)...)
	want(t, ask(t, e, steps(all...)), protocol.Status_NO_SPACE)
	want(t, ask(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/big")}), protocol.Status_NOT_FOUND)
	do(t, e, steps(all[:6]...))
}

// Readers see what a pipeline does before or after, and never between.
func TestPipelinesAreSeenWhole(t *testing.T) {
	e, _ := opened(t)
	pair := func(i int) *protocol.Request {
		value := fmt.Appendf(nil, "%d", i)
		return steps(&protocol.Request{Operation: "store.put", Location: at(t, "c/left"), Value: value},
			&protocol.Request{Operation: "store.put", Location: at(t, "c/right"), Value: value})
	}
	do(t, e, pair(0))
	value := func(key string) (n int) {
		fmt.Sscan(string(ok(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/"+key)}).Value), &n)
		return n
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			req := pair(i + 1)
			req.Id = protocol.NewID()
			resp, err := e.Handle(context.Background(), req)
			if err != nil || resp.Status != protocol.Status_OK {
				t.Error(resp, err)
				return
			}
			e.Handle(context.Background(), &protocol.Request{Id: protocol.NewID(), Operation: "zone.commit", Sequence: resp.Change.Sequence})
		}
	}()
	for {
		var by []uint64 // which change each of the two values is from, in one look
		for _, c := range e.state.DB.Freeze().Clients {
			_, items := c.Items()
			for it := range items {
				by = append(by, it.Changed.Sequence)
			}
		}
		if len(by) != 2 || by[0] != by[1] {
			t.Fatalf("half a change is seen: %v", by)
		}
		// And one after the other: what comes later is not older.
		left, right := value("left"), value("right")
		if left > right {
			t.Fatalf("%d, and then %d", left, right)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestVaultKeeps(t *testing.T) {
	e, _ := opened(t)
	keep := func(n uint64) *protocol.Request {
		return &protocol.Request{Operation: "vault.keep", Location: at(t, "c/v"), Keep: &n}
	}
	want(t, ask(t, e, keep(2)), protocol.Status_NOT_FOUND)
	want(t, ask(t, e, &protocol.Request{Operation: "vault.stat", Location: at(t, "c/v")}), protocol.Status_NOT_FOUND)
	for range 3 {
		do(t, e, generate(t, "c/v/@head"))
	}
	do(t, e, keep(2))
	if p := paths(t, e); len(p) != 2 {
		t.Errorf("there are %q", p)
	}
	do(t, e, generate(t, "c/v/@head"))
	want(t, ask(t, e, sign(t, "c/v/@1")), protocol.Status_NOT_FOUND)
	ok(t, e, sign(t, "c/v/@2"))
	ok(t, e, sign(t, "c/v/@head"))
	if resp := want(t, ask(t, e, generate(t, "c/v/@1")), protocol.Status_INVALID); resp.Field != "location" {
		t.Errorf("the field is %q", resp.Field)
	}
	if v := ok(t, e, &protocol.Request{Operation: "vault.stat", Location: at(t, "c/v")}).Vault; v.Keep != 2 || v.NextVersion != 4 {
		t.Errorf("the vault says %v", v)
	}
	do(t, e, keep(0))
	do(t, e, generate(t, "c/v/@head"))
	ok(t, e, sign(t, "c/v/@2"))
}

// A node sets limits with the snapshot it brings; over them nothing is done, and
// the answer says which one it was.
func TestLimits(t *testing.T) {
	e, file := opened(t)
	file = append(file, inBatch(do(t, e, generate(t, "c/v/there already")).Change.Entry)...)
	e = newEngine(t)
	unlock := sealFor(t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
	ok(t, e, &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Device: []byte("a device"), Snapshot: file,
		MaxRecordBytes: 40, MaxRecords: 2, MaxPathBytes: 20, MaxStoreBytes: 10, MaxStoreValues: 2})
	over := func(detail string, req *protocol.Request) {
		t.Helper()
		if resp := want(t, ask(t, e, req), protocol.Status_NO_SPACE); !strings.Contains(resp.Detail, detail) || resp.Change != nil {
			t.Errorf("over %s: %v", detail, resp)
		}
	}
	write := func(n int) *protocol.Request {
		return sealFor(t, e, &protocol.Request{Operation: "record.write", Location: at(t, "c/v/new"), Kind: protocol.Data}, strings.Repeat("x", n))
	}
	put := func(key, value string, session bool) *protocol.Request {
		return &protocol.Request{Operation: "store.put", Location: at(t, "s/"+key), Value: []byte(value), Session: session}
	}
	over("bytes of a record: at most 40", write(41))
	over("bytes of a path: at most 20", sealFor(t, e, &protocol.Request{Operation: "record.write", Location: at(t, "c/v/17 bytes in a name"), Kind: protocol.Data}, "x"))
	do(t, e, write(40))
	over("records: at most 2", sealFor(t, e, &protocol.Request{Operation: "record.write", Location: at(t, "d/v/r"), Kind: protocol.Data}, "x"))
	do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/new")})
	do(t, e, write(1))
	for _, session := range []bool{false, true} {
		do(t, e, put("key", "value", session))
		over("bytes of keys and values of a client's store: at most 10", put("more", "", session))
		do(t, e, put("k", "", session))
		over("values of a client's store: at most 2", put("l", "", session))
	}
	if resp := want(t, ask(t, e, steps(put("k", "", false), put("l", "", false))), protocol.Status_NO_SPACE); resp.Field != "steps[1]" || resp.Detail == "" {
		t.Errorf("in a pipeline: %v", resp)
	}
	ok(t, e, &protocol.Request{Operation: "key.public", Location: at(t, "c/v/there already")}) // whose path is longer
}
