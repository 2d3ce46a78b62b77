package engine

import (
	"bytes"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

func together(all ...*protocol.Request) *protocol.Request {
	req := steps(all...)
	req.Operation = "zone.stage"
	return req
}

// served has a zone.stage answered as it comes over the pipe.
func served(t testing.TB, e *Engine, req *protocol.Request) *protocol.Response {
	t.Helper()
	b, err := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: req.Operation})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range req.Steps {
		in, err := protocol.Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		b = protocol.AppendStep(b, in)
	}
	if _, ok := protocol.ReadStaging(b); !ok {
		t.Fatal("it does not go step by step")
	}
	b, err = e.Serve(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	resp := new(protocol.Response)
	if err := protocol.Unmarshal(b, resp); err != nil {
		t.Fatal(err)
	}
	return resp
}

// What is staged together is answered as if each had come by itself, in its order: a
// refusal is that of one. Their entries are a file.
func TestStage(t *testing.T) {
	t.Run("decoded", func(t *testing.T) { testStage(t, ask) })
	t.Run("served", func(t *testing.T) { testStage(t, served) })
}

func testStage(t *testing.T, do func(testing.TB, *Engine, *protocol.Request) *protocol.Response) {
	e, file := opened(t)
	seed := bytes.Repeat([]byte{7}, 32)
	imported := sealFor(t, e, &protocol.Request{Operation: "key.import", Location: at(t, "c/v/imported"), Kind: protocol.Ed25519}, string(seed))
	put := &protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte("value")}
	resp := do(t, e, together(generate(t, "c/v/one"), put, imported,
		generate(t, "c/v/one"), // there already, though nobody else sees it
		&protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/absent")},
		&protocol.Request{Operation: "key.generate", Location: at(t, "c/v/new"), Kind: "rsa"},
		&protocol.Request{Operation: "key.generate", Location: at(t, "c/v/new"), Kind: protocol.Ed25519, Durable: 1},
		&protocol.Request{Operation: "store.put", Location: at(t, "c/of the session"), Value: []byte("value"), Session: true},
		&protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/one")}))
	statuses := []protocol.Status{protocol.Status_OK, protocol.Status_OK, protocol.Status_OK, protocol.Status_EXISTS,
		protocol.Status_NOT_FOUND, protocol.Status_INVALID, protocol.Status_INVALID, protocol.Status_OK, protocol.Status_OK}
	staged := map[int]uint64{0: 1, 1: 2, 2: 3, 8: 4}
	if len(resp.Results) != len(statuses) {
		t.Fatalf("%d answers", len(resp.Results))
	}
	first := resp.Results[0].GetChange().GetSequence()
	for i, r := range resp.Results {
		want(t, r, statuses[i])
		if n := staged[i]; n == 0 && r.Change != nil || n != 0 && r.Change.GetSequence() != first+n-1 {
			t.Errorf("the change of step %d: %v", i, r.Change)
		}
		if r.Change != nil {
			file = append(file, inBatch(r.Change.Entry)...)
		}
	}
	if resp.Results[8].Change == nil || !resp.Results[8].Change.Takes || resp.Results[0].Change.Takes {
		t.Error("what takes something away does not say so")
	}
	if p := paths(t, e); len(p) != 0 {
		t.Errorf("others see %q before it is committed", p)
	}
	ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: first + 3})
	for what, e := range map[string]*Engine{"here": e, "from the file": opens(t, file)} {
		if p := paths(t, e); len(p) != 1 || p[0] != "c/v/imported" {
			t.Errorf("%s: there are %q", what, p)
		}
		if r := ok(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/key")}); string(r.Value) != "value" {
			t.Errorf("%s: %q", what, r.Value)
		}
	}
}

// If what is staged cannot be sealed, nothing of it has happened; what needs no sealing has.
func TestStageNotSealed(t *testing.T) {
	e, file := opened(t)
	key := do(t, e, generate(t, "c/v/key"))
	file = append(file, inBatch(key.Change.Entry)...)
	e.state.Journal.Restart(e.state.Journal.Tag()) // so that the next entry needs memory
	put := func(key string, session bool) *protocol.Request {
		return &protocol.Request{Operation: "store.put", Location: at(t, "c/"+key), Value: []byte("value"), Session: session}
	}
	var all []*memory.Secret
	for size := e.arena.Size(); size >= 1; size /= 2 {
		for {
			s, err := e.arena.New(size)
			if err != nil {
				break
			}
			all = append(all, s)
		}
	}
	requests := func() *protocol.Request {
		return together(put("one", false), put("of the session", true), put("two", false))
	}
	for _, resp := range []*protocol.Response{served(t, e, requests()), ask(t, e, requests())} {
		want(t, resp.Results[0], protocol.Status_NO_SPACE)
		want(t, resp.Results[1], protocol.Status_OK)
		want(t, resp.Results[2], protocol.Status_NO_SPACE)
	}
	want(t, ask(t, e, put("alone", false)), protocol.Status_NO_SPACE)
	disable := &protocol.Request{Operation: "record.disable", Location: at(t, "c/v/key")}
	for i, resp := range served(t, e, together(disable, disable)).Results { // the second one finds it so
		if resp.Status != protocol.Status_NO_SPACE || resp.Change != nil {
			t.Errorf("disabling, %d: %v", i, resp)
		}
	}
	if len(e.ends) != 0 || len(e.unsealed) != 0 {
		t.Errorf("%d changes are staged, and %d not sealed", len(e.ends), len(e.unsealed))
	}
	for _, s := range all {
		s.Destroy()
	}
	resp := served(t, e, requests())
	if first, second := resp.Results[0].Change, resp.Results[2].Change; first.GetSequence() != 1+e.state.DB.Sequence() || second.GetSequence() != first.Sequence+1 {
		t.Fatalf("the changes %v and %v", first, second)
	}
	again := opens(t, append(file, inBatch(append(resp.Results[0].Change.Entry, resp.Results[2].Change.Entry...))...))
	for _, key := range []string{"one", "two"} {
		if r := ok(t, again, &protocol.Request{Operation: "store.get", Location: at(t, "c/"+key)}); string(r.Value) != "value" {
			t.Errorf("%s: %q", key, r.Value)
		}
	}
}

// opens is another engine with this file.
func opens(t *testing.T, file []byte) *Engine {
	t.Helper()
	e := newEngine(t)
	want(t, bring(t, e, file, passphrase, PartSize), protocol.Status_OK)
	return e
}

// Only what changes something, and takes no long time, is staged with others; else
// nothing of it is.
func TestStageOperations(t *testing.T) {
	e, _ := opened(t)
	joined := 0
	for _, op := range protocol.Operations {
		resp := ask(t, e, together(&protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}}, &protocol.Request{Operation: op.Name}))
		if op.Joins() {
			joined++
			if resp.Status != protocol.Status_OK || len(resp.Results) != 2 || resp.Results[1].Status != protocol.Status_INVALID {
				t.Errorf("%s: %v", op.Name, resp)
			}
		} else if resp.Status != protocol.Status_INVALID || resp.Field != "steps[1].operation" {
			t.Errorf("%s: %v", op.Name, resp)
		}
	}
	if joined < 10 {
		t.Errorf("%d operations are staged with others", joined)
	}
	if n := len(e.ends); n != joined {
		t.Errorf("%d changes are staged, not %d", n, joined)
	}
	many := make([]*protocol.Request, protocol.MaxStaged+1)
	for i := range many {
		many[i] = &protocol.Request{Operation: "store.put", Location: at(t, "c/key"), Value: []byte{}}
	}
	for what, req := range map[string]*protocol.Request{"none": together(), "too many": together(many...), "an empty one": together(&protocol.Request{})} {
		if resp := ask(t, e, req); resp.Status != protocol.Status_INVALID {
			t.Errorf("%s: %v", what, resp)
		}
	}
	locked := ask(t, newEngine(t), together(generate(t, "c/v/r")))
	if len(locked.Results) != 1 || locked.Results[0].Status != protocol.Status_LOCKED {
		t.Errorf("locked: %v", locked)
	}
}
