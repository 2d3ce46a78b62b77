package itest

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

func testPipeline(t *testing.T, s *suite) {
	message, value := []byte("a message"), []byte("blue")
	step := func(op string, loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: op, Location: loc}
	}
	pipeline := func(steps ...*protocol.Request) *protocol.Request {
		return &protocol.Request{Operation: "pipeline.run", Steps: steps}
	}
	seed := step("slip10.generate", s.at("keys", "seed"))
	derive := step("slip10.derive", s.at("keys", "seed"))
	derive.Target, derive.Path = s.at("keys", "derived"), "m/44'"
	sign := step("ed25519.sign", s.at("keys", "derived"))
	sign.Message = message
	forget := step("record.revoke", s.at("keys", "seed"))
	put := step("store.put", s.in("colour"))
	put.Value = value
	results := s.want(t, protocol.Status_OK, pipeline(seed, derive, sign, s.importing(t, s.at("keys", "brought"), make([]byte, 32)), forget, put)).Results
	if len(results) != 6 || !ed25519.Verify(results[1].PublicKey, message, results[2].Signature) {
		t.Fatalf("the results: %v", results)
	}
	for i, r := range results {
		if r.Status != protocol.Status_OK || r.Change != nil {
			t.Errorf("step %d: %v", i, r)
		}
	}
	s.sign(t, s.at("keys", "derived"), results[1].PublicKey, message)
	s.want(t, protocol.Status_NOT_FOUND, step("key.public", s.at("keys", "seed")))
	if got := s.want(t, protocol.Status_OK, step("store.get", s.in("colour"))).Value; !bytes.Equal(got, value) {
		t.Errorf("the value is %q", got)
	}

	// One that fails undoes what the others did, and harms nothing that was there.
	over := step("key.generate", s.at("keys", "derived"))
	over.Kind, over.Overwrite = protocol.Ed25519, true
	red := step("store.put", s.in("colour"))
	red.Value = []byte("red")
	resp := s.want(t, protocol.Status_NOT_FOUND, pipeline(over, step("record.revoke", s.at("keys", "brought")), red, step("record.revoke", s.at("keys", "nobody"))))
	if resp.Field != "steps[3]" {
		t.Errorf("the step that failed is %q", resp.Field)
	}
	s.sign(t, s.at("keys", "derived"), results[1].PublicKey, message)
	s.want(t, protocol.Status_OK, step("key.public", s.at("keys", "brought")))
	if got := s.want(t, protocol.Status_OK, step("store.get", s.in("colour"))).Value; !bytes.Equal(got, value) {
		t.Errorf("after a pipeline that failed the value is %q", got)
	}
	bad := step("key.generate", s.in("keys"))
	bad.Kind = protocol.Ed25519
	s.wantInvalid(t, "steps[1].location", pipeline(put, bad))
	s.wantInvalid(t, "steps[1].operation", pipeline(put, step("record.list", nil)))
	s.wantInvalid(t, "steps", pipeline(sign))
	if s.door == protocol.DoorPeer { // what a peer may not ask alone he may not ask with others
		words := step("bip39.generate", s.at("keys", "words"))
		words.ReplyKey = make([]byte, 32)
		s.wantInvalid(t, "steps[1].operation", pipeline(put, words))
		byID := step("key.generate", &protocol.Location{ClientId: make([]byte, 24), VaultId: make([]byte, 24), RecordId: make([]byte, 24)})
		byID.Kind = protocol.Ed25519
		s.wantInvalid(t, "steps[1].location", pipeline(put, byID))
	}
}

func testKeep(t *testing.T, s *suite) {
	head, vault := s.in("log"), s.in("log")
	head.Head = true
	keep := func(n uint64) *protocol.Request {
		return &protocol.Request{Operation: "vault.keep", Location: vault, Keep: &n}
	}
	version := func(n uint64) *protocol.Location { l := s.in("log"); l.Version = &n; return l }
	s.want(t, protocol.Status_NOT_FOUND, keep(2))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "vault.stat", Location: vault})
	var public []ed25519.PublicKey
	for range 4 {
		public = append(public, s.generate(t, head))
	}
	s.sign(t, version(0), public[0], nil)
	s.want(t, protocol.Status_OK, keep(2))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: version(1)})
	s.sign(t, version(2), public[2], nil)
	public = append(public, s.generate(t, head))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: version(2)})
	s.sign(t, version(3), public[3], nil)
	s.sign(t, head, public[4], nil)
	s.wantInvalid(t, "location", &protocol.Request{Operation: "key.generate", Location: version(1), Kind: protocol.Ed25519})
	if v := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "vault.stat", Location: vault}).Vault; v.Keep != 2 || v.NextVersion != 5 {
		t.Errorf("the vault says %v", v)
	}
	s.want(t, protocol.Status_OK, keep(0))
	s.wantInvalid(t, "location", &protocol.Request{Operation: "vault.stat", Location: s.at("log", "x")})
}
