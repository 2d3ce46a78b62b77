package engine

import (
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Nobody but another change waits for one that is being made, however long that takes:
// what is on the disk is committed meanwhile, what was staged before is sealed, and
// everything is read.
func TestReadingWaitsForNoChange(t *testing.T) {
	e, _ := opened(t)
	key := ok(t, e, generate(t, "c/v/key")).Change
	second := e.handle(&protocol.Request{Id: protocol.NewID(), Operation: "store.put", Location: at(t, "c/k"), Value: []byte("value")})
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	var resp protocol.Response
	go func() {
		done <- e.change(new(protocol.Request), &resp, func(tx *vault.Tx) error { // as a pipeline does
			return tx.Within(func(db *vault.DB) error {
				if _, err := db.Stat(place(at(t, "c/v/key"))); err != nil {
					return err
				}
				close(inside)
				<-release
				// It is among what is committed now, and not ahead of it any more.
				if _, err := db.Get(place(at(t, "c")).Client, []byte("k")); err != nil {
					return err
				}
				_, err := db.Stat(place(at(t, "c/v/key")))
				return err
			})
		})
	}()
	<-inside
	others := make(chan struct{})
	go func() {
		defer close(others)
		told := sign(t, "c/v/key")
		told.Id, told.Durable = protocol.NewID(), key.Sequence
		if resp, err := e.answer(t.Context(), told); err != nil || resp.Status != protocol.Status_OK {
			t.Errorf("a signature with a key that is on the disk: %v, %v", resp, err)
		}
		answers := []*protocol.Response{second}
		if e.seal(answers); len(answers[0].GetChange().GetEntry()) == 0 {
			t.Errorf("what was staged before: %v", answers[0])
			return
		}
		ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: second.Change.Sequence})
		if resp := ok(t, e, &protocol.Request{Operation: "store.get", Location: at(t, "c/k")}); string(resp.Value) != "value" {
			t.Errorf("what was committed meanwhile: %v", resp)
		}
		paths(t, e)
	}()
	select {
	case <-others:
	case <-time.After(30 * time.Second):
		t.Error("they wait")
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("what the change had seen: %v", err)
	}
	if <-others; resp.Change != nil {
		t.Errorf("all it may rest on is on the disk: %v", resp.Change)
	}
}

// What is made while something before it fails to be sealed has not happened either.
func TestMadeOnWhatIsNotSealed(t *testing.T) {
	e, _ := opened(t)
	first := e.handle(&protocol.Request{Id: protocol.NewID(), Operation: "store.put", Location: at(t, "c/k"), Value: []byte("value")})
	e.unsealed[0].Edits[0].Item.Key = make([]byte, 1<<16) // no reader would take it
	for _, edits := range []bool{true, false} {
		inside, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
		var resp protocol.Response
		go func() {
			done <- e.change(new(protocol.Request), &resp, func(tx *vault.Tx) error {
				close(inside)
				<-release
				if !edits {
					return nil
				}
				return tx.CreateClient(place(at(t, "d")))
			})
		}()
		<-inside
		answers := []*protocol.Response{first}
		sealed := make(chan struct{})
		go func() { e.seal(answers); close(sealed) }()
		for e.aborts.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		close(release)
		<-sealed
		want(t, answers[0], protocol.Status_INTERNAL)
		if err := <-done; err != errBusy {
			t.Errorf("edits %v: %v, %v", edits, err, resp.Change)
		}
		first = e.handle(&protocol.Request{Id: protocol.NewID(), Operation: "store.put", Location: at(t, "c/k"), Value: []byte("value")})
		if first.Change.GetSequence() != 1 {
			t.Fatalf("change %v is the first", first.Change)
		}
		e.unsealed[0].Edits[0].Item.Key = make([]byte, 1<<16)
		e.aborts.Store(0)
	}
}

// What the steps of a pipeline bring is made before the pipeline waits for other changes,
// and so before others wait for it.
func TestMadeBeforeItsTurn(t *testing.T) {
	e, _ := opened(t)
	bring := func(text string) *protocol.Request {
		return sealFor(t, e, &protocol.Request{Operation: "key.import", Location: at(t, text), Kind: protocol.Ed25519}, string(make([]byte, 32)))
	}
	free := freePieces(t, e)
	e.staging.Lock() // another change is being made
	done := make(chan *protocol.Response)
	go func() { done <- ask(t, e, steps(generate(t, "c/v/a"), bring("c/v/b"), bring("c/v/c"))) }()
	opened := func() int {
		e.inbox.mu.Lock()
		defer e.inbox.mu.Unlock()
		return len(e.inbox.now.seen)
	}
	for late := time.Now().Add(30 * time.Second); opened() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Error("nothing is made before")
			break
		}
	}
	e.staging.Unlock()
	resp := want(t, <-done, protocol.Status_OK)
	if len(resp.Results) != 3 {
		t.Errorf("%v", resp)
	}
	// A step that fails, before what was made or in the making, leaves none of it in memory.
	want(t, ask(t, e, steps(generate(t, "c/v/a"), generate(t, "c/v/d"), bring("c/v/e"))), protocol.Status_EXISTS)
	want(t, ask(t, e, steps(generate(t, "c/v/d"), &protocol.Request{Operation: "key.generate", Location: at(t, "c/v/e"), Kind: "rsa"}, bring("c/v/f"))), protocol.Status_INVALID)
	ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: 1})
	if now := freePieces(t, e); now != free {
		t.Errorf("%d pieces of memory are free, and there were %d", now, free)
	}
}

// freePieces is how many pieces of 64 bytes are free in the arena.
func freePieces(t *testing.T, e *Engine) (n int) {
	t.Helper()
	var all []*memory.Secret
	for {
		s, err := e.arena.New(64)
		if err != nil {
			break
		}
		all = append(all, s)
	}
	for _, s := range all {
		s.Destroy()
	}
	return len(all)
}
