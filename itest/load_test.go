package itest

import (
	"bytes"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// load asks for a client to be loaded. At the zone's door it is its node, which has the file.
func (s *suite) load(t testing.TB, file []byte, status protocol.Status, req *protocol.Request) {
	t.Helper()
	if s.door == protocol.DoorZone {
		ask := &protocol.Request{Operation: "zone.load"}
		if req.Location != nil {
			ask.Within = []*protocol.Location{req.Location}
		}
		for {
			resp := s.ask(t, ask)
			if resp.Status != protocol.Status_OK {
				if resp.Status != status {
					t.Fatalf("zone.load: %v, want %v", resp, status)
				}
				return
			}
			if resp.Wanted == nil {
				break
			}
			rest := file[min(int(resp.Wanted.At), len(file)):]
			ask = &protocol.Request{Operation: "zone.load", More: true, Snapshot: rest[:min(int(resp.Wanted.Bytes), len(rest))]}
		}
		req.Operation = "client.load"
		if req.Target != nil && status == protocol.Status_OK {
			seq := s.stage(t, req)
			s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.commit", Sequence: seq})
			return
		}
	}
	req.Operation = "client.load"
	s.want(t, status, req)
}

// testLoad unloads clients, loads them again, and gives one another path.
func testLoad(t *testing.T, s *suite) {
	client := &protocol.Location{Client: []byte(s.client)}
	other := &suite{target: s.target, Client: s.Client, client: s.client + ".other"}
	otherClient := &protocol.Location{Client: []byte(other.client)}
	of := func(op string, loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: op, Location: loc}
	}
	s.want(t, protocol.Status_NOT_FOUND, of("client.unload", client))
	s.load(t, nil, protocol.Status_NOT_FOUND, of("", client))
	public, elsewhere := s.generate(t, s.at("keys", "main")), other.generate(t, other.at("keys", "main"))
	s.generate(t, s.at("keys", "revoked"))
	s.want(t, protocol.Status_OK, of("record.revoke", s.at("keys", "revoked")))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("key"), Value: []byte("value")})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("session"), Value: []byte("value"), Session: true})
	var file []byte
	if s.door == protocol.DoorZone {
		file = s.fold(t)
		s.want(t, protocol.Status_OK, of("zone.adopt", nil))
	}

	s.want(t, protocol.Status_OK, of("client.unload", client))
	s.want(t, protocol.Status_OK, of("client.unload", client)) // it is so already
	for _, req := range []*protocol.Request{
		{Operation: "ed25519.sign", Location: s.at("keys", "main"), Message: []byte("m")},
		of("key.public", s.at("keys", "main")), of("record.exists", s.at("keys", "main")), of("record.stat", s.at("keys", "never")),
		of("record.list", client), of("record.list", s.in("keys")), of("record.revoke", s.at("keys", "main")), of("store.list", client),
		of("vault.stat", s.in("keys")),
		{Operation: "store.get", Location: s.key("key")}, {Operation: "store.put", Location: s.key("key"), Value: []byte("v")},
		{Operation: "key.generate", Location: s.at("keys", "new"), Kind: protocol.Ed25519},
		{Operation: "record.copy", Location: other.at("keys", "main"), Target: s.at("keys", "copy")},
		{Operation: "record.copy", Location: s.at("keys", "main"), Target: other.at("keys", "copy")},
	} {
		s.want(t, protocol.Status_NOT_LOADED, req)
	}
	s.want(t, protocol.Status_EXISTS, of("client.create", client))
	if s.door == protocol.DoorZone {
		s.want(t, protocol.Status_NOT_LOADED, of("client.load", client)) // which is not loading it
	}
	other.sign(t, other.at("keys", "main"), elsewhere, []byte("the other one is there"))
	if c := s.clients(t, 1); !c[s.client].GetUnloaded() || c[s.client].Records != 0 || c[other.client].GetUnloaded() {
		t.Errorf("listed as %v and %v", c[s.client], c[other.client])
	}
	if resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list", Limit: 1}); !resp.Unloaded {
		t.Error("a listing does not say that there is more")
	}

	s.load(t, file, protocol.Status_OK, of("", client))
	s.load(t, file, protocol.Status_OK, of("", client)) // it is so already
	s.sign(t, s.at("keys", "main"), public, []byte("it is there again"))
	s.want(t, protocol.Status_NOT_FOUND, of("key.public", s.at("keys", "revoked")))
	if got := s.want(t, protocol.Status_OK, of("store.get", s.key("key"))).Value; !bytes.Equal(got, []byte("value")) {
		t.Errorf("its value is %q", got)
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "store.get", Location: s.key("session"), Session: true})

	// Under another path.
	renamed := &suite{target: s.target, Client: s.Client, client: s.client + ".renamed"}
	to := &protocol.Location{Client: []byte(renamed.client)}
	s.want(t, protocol.Status_OK, of("client.unload", client))
	s.load(t, file, protocol.Status_EXISTS, &protocol.Request{Location: client, Target: otherClient})
	s.load(t, file, protocol.Status_INVALID, &protocol.Request{Location: client, Target: client})
	s.load(t, file, protocol.Status_INVALID, &protocol.Request{Target: to})
	s.load(t, file, protocol.Status_OK, &protocol.Request{Location: client, Target: to})
	renamed.sign(t, renamed.at("keys", "main"), public, []byte("under another path"))
	s.want(t, protocol.Status_OK, of("store.get", renamed.key("key")))
	s.want(t, protocol.Status_NOT_FOUND, of("record.list", client))
	if c := s.clients(t, 0); c[s.client] != nil || c[renamed.client].GetRecords() != 1 {
		t.Errorf("renamed: %v, before: %v", c[renamed.client], c[s.client])
	}
	if s.door != protocol.DoorLocal {
		return
	}
	// All of it is in the file, and a part of it can be opened.
	s.want(t, protocol.Status_OK, of("client.unload", otherClient))
	s.want(t, protocol.Status_OK, of("snapshot.save", nil))
	s.want(t, protocol.Status_OK, of("node.lock", nil))
	some := func(clients ...*protocol.Location) error {
		return s.Client.UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{Clients: clients})
	}
	wantError(t, some(to, client), protocol.ErrNotFound)
	s.want(t, protocol.Status_LOCKED, of("record.list", nil))
	if err := some(to); err != nil {
		t.Fatal(err)
	}
	renamed.sign(t, renamed.at("keys", "main"), public, []byte("alone"))
	s.want(t, protocol.Status_NOT_LOADED, &protocol.Request{Operation: "key.public", Location: other.at("keys", "main")})
	s.want(t, protocol.Status_OK, of("client.load", nil))
	other.sign(t, other.at("keys", "main"), elsewhere, []byte("all of them"))
	if resp := s.want(t, protocol.Status_OK, of("record.list", nil)); resp.Unloaded {
		t.Error("all are loaded, and a listing says that they are not")
	}
}
