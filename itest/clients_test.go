package itest

import (
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// clients walks the pages of all clients there are.
func (s *suite) clients(t testing.TB, limit uint32) map[string]*protocol.ClientInfo {
	t.Helper()
	all := map[string]*protocol.ClientInfo{}
	var after []byte
	for {
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "client.list", After: after, Limit: limit})
		if limit != 0 && len(resp.Clients) > int(limit) {
			t.Fatalf("a page of %d has %d clients", limit, len(resp.Clients))
		}
		for _, c := range resp.Clients {
			if all[c.Location.Text()] != nil {
				t.Errorf("%s is listed twice", c.Location.Text())
			}
			all[c.Location.Text()] = c
		}
		if after = resp.Next; len(after) == 0 {
			return all
		}
	}
}

// testClient makes a client, fills it, and takes it away.
func testClient(t *testing.T, s *suite) {
	client := &protocol.Location{Client: []byte(s.client)}
	ask := func(op string, loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: op, Location: loc}
	}
	// One that is not there is not found, and not taken for an empty one.
	s.want(t, protocol.Status_NOT_FOUND, ask("client.purge", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("record.list", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("record.list", s.in("keys")))
	s.want(t, protocol.Status_NOT_FOUND, ask("store.list", client))
	s.want(t, protocol.Status_OK, ask("client.create", client))
	s.want(t, protocol.Status_EXISTS, ask("client.create", client))
	if resp := s.want(t, protocol.Status_OK, ask("record.list", client)); len(resp.Entries) != 0 {
		t.Errorf("a new client holds %v", resp.Entries)
	}
	s.want(t, protocol.Status_OK, ask("store.list", client))

	public := s.generate(t, s.at("keys", "main"))
	for _, name := range []string{"one", "two", "revoked"} {
		s.generate(t, s.at("others", name))
	}
	s.want(t, protocol.Status_OK, ask("record.revoke", s.at("others", "revoked")))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("key"), Value: []byte("value")})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("session"), Value: []byte("value"), Session: true})
	for _, limit := range []uint32{0, 1, 1000} {
		c := s.clients(t, limit)[s.client]
		if c.GetVaults() != 2 || c.Records != 3 || c.Values != 1 || c.ValueBytes != 8 {
			t.Errorf("in pages of %d: %v", limit, c)
		}
	}
	// Writing makes a client, and so it cannot be made any more.
	other := &protocol.Location{Client: []byte(s.client + " implicit")}
	s.generate(t, &protocol.Location{Client: other.Client, Vault: []byte("v"), Record: []byte("r")})
	s.want(t, protocol.Status_EXISTS, ask("client.create", other))

	s.sign(t, s.at("keys", "main"), public, []byte("before it is purged"))
	s.want(t, protocol.Status_OK, ask("client.purge", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("client.purge", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("record.list", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("store.list", client))
	s.want(t, protocol.Status_NOT_FOUND, ask("store.get", s.key("key")))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "store.get", Location: s.key("session"), Session: true})
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "ed25519.sign", Location: s.at("keys", "main"), Message: []byte("m")})
	all := s.clients(t, 1)
	if all[s.client] != nil || all[other.Text()] == nil {
		t.Errorf("after it was purged: %v", all)
	}
	s.want(t, protocol.Status_OK, ask("client.create", client)) // made anew, it is empty
	if c := s.clients(t, 0)[s.client]; c == nil || c.Vaults != 0 || c.Values != 0 {
		t.Errorf("made anew it has %v", c)
	}
	s.wantInvalid(t, "location", ask("client.create", s.in("v")))
	s.wantInvalid(t, "location", ask("client.purge", s.at("v", "r")))
	s.wantInvalid(t, "after", &protocol.Request{Operation: "client.list", After: []byte("cursor")})
	s.wantInvalid(t, "limit", &protocol.Request{Operation: "client.list", Limit: protocol.MaxPage + 1})
}

// testCollect wipes the memory; that it is wiped is for vault's tests to see.
func testCollect(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	s.generate(t, s.at("keys", "revoked"))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: s.at("keys", "revoked")})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.collect"})
	s.sign(t, loc, public, []byte("it goes on"))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("keys", "revoked")})
}

// testSwap writes values where what is there is what is expected.
func testSwap(t *testing.T, s *suite) {
	for _, session := range []bool{false, true} {
		swap := func(value string, expect func(*protocol.Request)) *protocol.Request {
			req := &protocol.Request{Operation: "store.swap", Location: s.key("key"), Value: []byte(value), Session: session}
			expect(req)
			return req
		}
		absent := func(r *protocol.Request) { r.IfAbsent = true }
		value := func(v string) func(*protocol.Request) { return func(r *protocol.Request) { r.IfValue = []byte(v) } }
		version := func(n uint64) func(*protocol.Request) { return func(r *protocol.Request) { r.IfVersion = n } }
		get := func() *protocol.Response {
			t.Helper()
			return s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.get", Location: s.key("key"), Session: session})
		}
		s.wantInvalid(t, "if_value", swap("v", func(*protocol.Request) {}))
		s.wantInvalid(t, "if_absent", swap("v", func(r *protocol.Request) { r.IfAbsent, r.IfVersion = true, 1 }))
		s.wantInvalid(t, "if_value", swap("v", value(string(make([]byte, protocol.MaxValue+1)))))
		s.want(t, protocol.Status_CONFLICT, swap("one", value("")))
		s.want(t, protocol.Status_CONFLICT, swap("one", version(1)))
		first := s.want(t, protocol.Status_OK, swap("one", absent))
		s.want(t, protocol.Status_EXISTS, swap("two", absent))
		if got := get(); string(got.Value) != "one" || got.Entries[0].Version != first.GetVersion() || first.GetVersion() == 0 {
			t.Errorf("written as version %v, read %v", first.Version, got)
		}
		s.want(t, protocol.Status_CONFLICT, swap("two", value("on")))
		second := s.want(t, protocol.Status_OK, swap("two", value("one")))
		s.want(t, protocol.Status_CONFLICT, swap("three", version(first.GetVersion())))
		s.want(t, protocol.Status_OK, swap("", version(second.GetVersion())))
		s.want(t, protocol.Status_OK, swap("four", value("")))
		put := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("key"), Value: []byte("five"), Session: session})
		s.want(t, protocol.Status_OK, swap("six", version(put.GetVersion())))
		if got := get(); string(got.Value) != "six" {
			t.Errorf("in the end it is %q", got.Value)
		}
		// An expired value is none.
		brief := swap("brief", value("six"))
		brief.TtlMs = 1
		s.want(t, protocol.Status_OK, brief)
		for s.ask(t, swap("anew", absent)).Status != protocol.Status_OK {
			if t.Context().Err() != nil {
				t.Fatal("it does not expire")
			}
		}
	}
}

// testSession: what is in a session's store is in no other, and gone when it is locked.
func (s *suite) testSession(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "session"}
	of := func(op, name string, session bool) *protocol.Request {
		req := &protocol.Request{Operation: op, Location: s.key(name), Session: session}
		if op == "store.put" {
			req.Value = []byte("value")
		}
		return req
	}
	list := func(session bool, prefix string) (names string) {
		t.Helper()
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.list", Location: &protocol.Location{Client: []byte(s.client)}, Session: session, Prefix: []byte(prefix)})
		for _, e := range resp.Entries {
			names += string(e.Location.Vault) + " "
		}
		return names
	}
	s.want(t, protocol.Status_OK, of("store.put", "a1", true))
	s.want(t, protocol.Status_NOT_FOUND, of("store.get", "a1", false))
	s.want(t, protocol.Status_OK, of("store.put", "b", false))
	s.want(t, protocol.Status_NOT_FOUND, of("store.get", "b", true))
	s.want(t, protocol.Status_OK, of("store.put", "a2", true))
	s.want(t, protocol.Status_OK, of("store.put", "b2", true))
	s.want(t, protocol.Status_OK, of("store.put", "a3", false))
	for prefix, want := range map[string][2]string{"": {"a3 b ", "a1 a2 b2 "}, "a": {"a3 ", "a1 a2 "}, "b": {"b ", "b2 "}, "c": {}} {
		if got := [2]string{list(false, prefix), list(true, prefix)}; got != want {
			t.Errorf("with the prefix %q: %q, want %q", prefix, got, want)
		}
	}
	s.want(t, protocol.Status_OK, of("store.remove", "a1", true))
	s.want(t, protocol.Status_NOT_FOUND, of("store.remove", "a1", true))
	s.want(t, protocol.Status_NOT_FOUND, of("store.remove", "b", true))
	s.want(t, protocol.Status_OK, of("store.get", "a2", true))
	if s.door != protocol.DoorLocal {
		return
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.lock"})
	s.unlock(t)
	s.want(t, protocol.Status_NOT_FOUND, of("store.get", "a2", true))
	s.want(t, protocol.Status_OK, of("store.get", "b", false))
}
