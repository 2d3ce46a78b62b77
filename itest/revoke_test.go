package itest

import (
	"crypto/ed25519"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestRevokeBitesEverywhere signs without a pause, over a peer's open stream, the
// local socket and in pipelines, while the key is revoked, written anew, disabled
// and replaced. What was asked for after the answer to such a change is answered
// by it; what was under way may be answered either way, and by no third key.
func TestRevokeBitesEverywhere(t *testing.T) {
	a, b := newPair(t)
	unlock(t, b.node.Local())
	serveSocket(t, b)
	owner := protocol.Client{H: b.node.Local()}
	key := &protocol.Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}
	message := []byte("a message")
	single := func() *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign", Location: key, Message: message}
	}
	// era is what is so since a change was answered. What began in one may be answered
	// as in it or in a later one, up to the one that is being made when the answer comes.
	type era struct {
		status protocol.Status
		public ed25519.PublicKey // who signs, with OK
	}
	type seen struct {
		by           string
		began, ended int
		resp         *protocol.Response
	}
	var mu sync.Mutex
	eras := []era{{status: protocol.Status_NOT_FOUND}}
	var all []seen
	now := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(eras) - 1
	}
	socket := dialSocket(t, b.Home())
	askers := map[string]func() (*protocol.Response, error){
		"a peer":     func() (*protocol.Response, error) { return a.node.Remote("b").Handle(t.Context(), single()) },
		"the socket": func() (*protocol.Response, error) { return socket.Handle(t.Context(), single()) },
		"a pipeline": func() (*protocol.Response, error) {
			note := &protocol.Request{Id: protocol.NewID(), Operation: "store.put", Location: &protocol.Location{Client: key.Client, Vault: []byte("signed")}, Value: message}
			resp, err := a.node.Remote("b").Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run", Steps: []*protocol.Request{note, single()}})
			if err == nil && resp.Status == protocol.Status_OK {
				resp = resp.Results[1]
			}
			return resp, err
		},
	}
	var stop atomic.Bool
	var answers atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	for name, ask := range askers {
		for range 2 {
			wg.Go(func() {
				for !stop.Load() {
					s := seen{by: name, began: now()}
					var err error
					if s.resp, err = ask(); err != nil {
						t.Errorf("%s: %v", name, err)
						answers.Add(1 << 30) // nobody waits for others
						return
					}
					mu.Lock()
					s.ended = len(eras)
					all = append(all, s)
					mu.Unlock()
					answers.Add(1)
				}
			})
		}
	}
	change := func(op string, status protocol.Status, public ed25519.PublicKey) ed25519.PublicKey {
		t.Helper()
		req := &protocol.Request{Operation: op, Location: key}
		if op == "key.generate" {
			req.Kind = protocol.Ed25519
			req.Overwrite = public != nil
		}
		resp, err := owner.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if op == "key.generate" {
			public = resp.PublicKey
		}
		mu.Lock()
		eras = append(eras, era{status, public})
		mu.Unlock()
		for n := answers.Load() + 12; answers.Load() < n; { // some are answered before the next
			if resp, err := owner.H.Handle(t.Context(), single()); err != nil || resp.Status != status {
				t.Fatalf("after %s: %v, %v", op, resp, err)
			}
		}
		return public
	}
	rounds := 5
	if raceDetector {
		rounds = 2
	}
	for range rounds {
		public := change("key.generate", protocol.Status_OK, nil)
		change("record.disable", protocol.Status_DISABLED, nil)
		change("record.enable", protocol.Status_OK, public)
		change("key.generate", protocol.Status_OK, public)
		change("record.revoke", protocol.Status_NOT_FOUND, nil)
	}
	stop.Store(true)
	wg.Wait()
	in := map[string]map[protocol.Status]int{}
	for _, s := range all {
		fits := false
		for _, e := range eras[s.began:min(s.ended+1, len(eras))] {
			fits = fits || s.resp.Status == e.status && (e.status != protocol.Status_OK || ed25519.Verify(e.public, message, s.resp.Signature))
		}
		if !fits {
			t.Errorf("%s, in eras %d to %d: %v", s.by, s.began, s.ended, s.resp.Status)
		}
		if in[s.by] == nil {
			in[s.by] = map[protocol.Status]int{}
		}
		in[s.by][s.resp.Status]++
	}
	for by := range askers {
		if n := in[by]; n[protocol.Status_OK] == 0 || n[protocol.Status_NOT_FOUND] == 0 || n[protocol.Status_DISABLED] == 0 {
			t.Errorf("%s saw %v", by, n)
		}
	}
}
