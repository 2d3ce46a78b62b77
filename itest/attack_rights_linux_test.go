package itest

import (
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// A peer without the right to use a record says what it is: he is not told its public half,
// and no bytes go.
func TestAttackType(t *testing.T) {
	t.Parallel()
	all := guests(t, "mallory")
	h := newHouse(t, all, `
[[allow]]
peers = ["mallory"]
ops = ["write"]
on = ["inbox/**"]
`)
	c := all["mallory"].client(t)
	for _, kind := range []string{protocol.Ed25519, protocol.Data, protocol.Seed} {
		h.must(t, &protocol.Request{Operation: "key.generate", Location: at("inbox/keys/" + kind), Kind: protocol.Ed25519})
		resp, err := c.H.Handle(t.Context(), ask("record.type", "inbox/keys/"+kind, func(r *protocol.Request) { r.Kind = kind }))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != protocol.Status_DENIED || len(resp.PublicKey) > 0 {
			t.Errorf("%s: who may write, and not use, is answered %v", kind, resp)
		}
		if _, err := h.owner.Sign(t.Context(), at("inbox/keys/"+kind), []byte("m")); err != nil {
			t.Errorf("%s: and afterwards the key does not sign: %v", kind, err)
		}
	}
}

// A policy that is shown and applied again moves no right to whoever has a name by then.
func TestAttackPolicyAgain(t *testing.T) {
	t.Parallel()
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	h.must(t, &protocol.Request{Operation: "key.generate", Location: at("inbox/keys/mine"), Kind: protocol.Ed25519})
	h.must(t, &protocol.Request{Operation: "peer.rename", Name: "mallory", NewName: "laptop"})
	other := newGuest(t)
	other.addr = h.addr
	h.must(t, &protocol.Request{Operation: "peer.add", Name: "mallory", Address: other.id.String()})
	shown := h.must(t, &protocol.Request{Operation: "policy.show"}).Text
	h.owner.Do(t.Context(), &protocol.Request{Operation: "policy.apply", Text: shown}) // it may be refused
	if _, err := other.client(t).Sign(t.Context(), at("inbox/keys/mine"), []byte("m")); err == nil {
		t.Error("who has the name now has the rights of who had it")
	}
	if _, err := all["mallory"].client(t).Sign(t.Context(), at("inbox/keys/mine"), []byte("m")); err != nil {
		t.Errorf("who had the name has lost his rights: %v", err)
	}
}

// What a peer may not see and what is not there are one to him, by every question.
func TestAttackAbsentAndHidden(t *testing.T) {
	t.Parallel()
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	h.must(t, &protocol.Request{Operation: "key.generate", Location: at("hidden/keys/there"), Kind: protocol.Ed25519})
	h.must(t, &protocol.Request{Operation: "store.put", Location: at("hidden/there"), Value: []byte("v")})
	h.must(t, &protocol.Request{Operation: "key.generate", Location: at("away/keys/there"), Kind: protocol.Ed25519})
	h.must(t, &protocol.Request{Operation: "client.unload", Location: at("away")})
	c := all["mallory"].client(t)
	cursor := func(n int) []byte { return []byte(strings.Repeat("\x42", n)) }
	for _, operation := range []string{"ed25519.sign", "key.public", "record.exists", "record.stat", "record.revoke", "store.get", "record.list", "store.list"} {
		answers := map[string][]string{}
		for _, client := range []string{"hidden", "away", "absent"} {
			for _, after := range [][]byte{nil, cursor(16), cursor(32), cursor(72), cursor(48)} {
				loc := client
				switch {
				case operation == "store.get":
					loc += "/there"
				case !strings.HasSuffix(operation, ".list"):
					loc += "/keys/there"
				}
				req := ask(operation, loc, nil)
				if strings.HasSuffix(operation, ".list") {
					req.After = after
				} else if after != nil {
					continue
				}
				if operation == "ed25519.sign" {
					req.Message = []byte("m")
				}
				resp, err := c.H.Handle(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				answers[client] = append(answers[client], resp.String())
			}
		}
		for i, absent := range answers["absent"] {
			for _, client := range []string{"hidden", "away"} {
				if answers[client][i] != absent {
					t.Errorf("%s of what is %s: %s; of what is absent: %s", operation, client, answers[client][i], absent)
				}
			}
		}
	}
	// Of everything, too, and a cursor that nobody gave is none. A listing of all says nothing of clients that are away.
	if resp, err := c.H.Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "record.list"}); err != nil || resp.Unloaded || len(resp.Entries) > 0 {
		t.Errorf("a listing of all says %v, %v", resp, err)
	}
	for _, n := range []int{16, 32, 48, 72} {
		resp, err := c.H.Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "record.list", After: cursor(n)})
		if err != nil || resp.Status != protocol.Status_INVALID || resp.Field != "after" {
			t.Errorf("a cursor of %d bytes that was never given: %v, %v", n, resp, err)
		}
	}
}
