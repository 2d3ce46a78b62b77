package itest

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

// generate makes a key, and expects to be told its public half.
func (s *suite) generate(t testing.TB, loc *protocol.Location) ed25519.PublicKey {
	t.Helper()
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519})
	if len(resp.PublicKey) != ed25519.PublicKeySize || resp.Kind != protocol.Ed25519 {
		t.Fatalf("made a %s key of %d bytes", resp.Kind, len(resp.PublicKey))
	}
	return resp.PublicKey
}

// sign signs, and verifies with the standard library.
func (s *suite) sign(t testing.TB, loc *protocol.Location, public ed25519.PublicKey, message []byte) {
	t.Helper()
	if message == nil {
		message = []byte{}
	}
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: message})
	if !ed25519.Verify(public, message, resp.Signature) {
		t.Fatalf("the signature of %d bytes does not verify", len(message))
	}
}

func testSign(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	for _, message := range [][]byte{nil, {0}, []byte("a message"), bytes.Repeat([]byte{0xff}, 512<<10)} {
		s.sign(t, loc, public, message)
	}
	sign := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: []byte("a message")}
	}
	// Ed25519 is deterministic: the same key gives the same signature.
	if a, b := s.ask(t, sign(loc)), s.ask(t, sign(loc)); !proto.Equal(a, b) {
		t.Error("two signatures of one message differ")
	}
	for _, absent := range []*protocol.Location{s.at("keys", "other"), s.at("other", "main"),
		{Client: []byte("nobody"), Vault: []byte("keys"), Record: []byte("main")}} {
		s.want(t, protocol.Status_NOT_FOUND, sign(absent))
	}
	s.wantInvalid(t, "location", sign(s.in("keys")))
	s.wantInvalid(t, "location", sign(nil)) // required
}

func testGenerate(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	again := &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519}
	s.want(t, protocol.Status_EXISTS, again)
	s.sign(t, loc, public, []byte("the first one is still there"))

	again.Id, again.Overwrite = nil, true
	second := ed25519.PublicKey(s.want(t, protocol.Status_OK, again).PublicKey)
	if second.Equal(public) {
		t.Error("two keys are the same")
	}
	s.sign(t, loc, second, []byte("the second took its place"))

	for _, kind := range []string{"rsa", "Ed25519", "ed25519 ", "untyped"} {
		s.wantInvalid(t, "kind", &protocol.Request{Operation: "key.generate", Location: s.at("keys", "other"), Kind: kind})
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("keys", "other")})
}

// importing is a request that brings a key, sealed for it.
func (s *suite) importing(t testing.TB, loc *protocol.Location, raw []byte) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: "key.import", Location: loc, Kind: protocol.Ed25519}
	req.Secret = s.seal(t, req, "secret", raw)
	return req
}

func testImport(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{42}, 32))
	public := private.Public().(ed25519.PublicKey)

	req := s.importing(t, loc, private.Seed())
	resp := s.want(t, protocol.Status_OK, req)
	if !public.Equal(ed25519.PublicKey(resp.PublicKey)) || resp.Kind != protocol.Ed25519 {
		t.Errorf("imported as a %s key with another public half", resp.Kind)
	}
	message := []byte("a message")
	resp = s.want(t, protocol.Status_OK, &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: message})
	if !bytes.Equal(resp.Signature, ed25519.Sign(private, message)) {
		t.Error("the signature is not that of the standard library")
	}

	// What was sealed is taken once, whatever became of it, and by the request it was sealed for.
	other := s.at("keys", "other")
	again := proto.CloneOf(req)
	again.Overwrite = true
	s.wantInvalid(t, "secret", again)
	s.want(t, protocol.Status_EXISTS, s.importing(t, loc, private.Seed()))
	tests := map[string]func(*protocol.Request){
		"another request":  func(r *protocol.Request) { r.Id = protocol.NewID() },
		"another location": func(r *protocol.Request) { r.Location = s.at("keys", "elsewhere") },
		"damaged":          func(r *protocol.Request) { r.Secret[len(r.Secret)-1] ^= 1 },
		"another zone": func(r *protocol.Request) {
			key, err := protocol.NewSealKey()
			if err != nil {
				t.Fatal(err)
			}
			if r.Secret, err = protocol.Seal(key.Public(), r, "secret", protocol.ToZone, private.Seed()); err != nil {
				t.Fatal(err)
			}
		},
		"cut":            func(r *protocol.Request) { r.Secret = r.Secret[:protocol.SealOverhead-1] },
		"more than fits": func(r *protocol.Request) { r.Secret = make([]byte, protocol.MaxSecret+protocol.SealOverhead+1) },
	}
	for name, change := range tests {
		req := s.importing(t, other, private.Seed())
		change(req)
		if resp := s.ask(t, req); resp.Status != protocol.Status_INVALID || resp.Field != "secret" {
			t.Errorf("%s: %v %s", name, resp.Status, resp.Field)
		}
	}
	for _, n := range []int{0, 31, 33, 64, protocol.MaxSecret} {
		s.wantInvalid(t, "secret", s.importing(t, other, make([]byte, n)))
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: other})

	req = s.importing(t, loc, bytes.Repeat([]byte{43}, 32))
	req.Overwrite = true
	s.want(t, protocol.Status_OK, req)
}

func testPublic(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.public", Location: loc})
	want := &protocol.Response{Status: protocol.Status_OK, Kind: protocol.Ed25519, PublicKey: public}
	if !proto.Equal(resp, want) {
		t.Errorf("told %v, want %v", resp, want)
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("keys", "other")})
}

func testRevoke(t *testing.T, s *suite) {
	loc, other := s.at("keys", "main"), s.at("keys", "other")
	s.generate(t, loc)
	public := s.generate(t, other)
	revoke := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: "record.revoke", Location: loc}
	}
	s.want(t, protocol.Status_OK, revoke(loc))
	s.want(t, protocol.Status_NOT_FOUND, revoke(loc))
	s.want(t, protocol.Status_NOT_FOUND, revoke(s.at("keys", "never")))
	s.want(t, protocol.Status_NOT_FOUND, revoke(s.at("nowhere", "never")))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: []byte("m")})
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: loc})
	if got := s.list(t, s.in("keys"), 10); len(got) != 1 || got[0] != "other" {
		t.Errorf("listed %q", got)
	}
	s.sign(t, other, public, []byte("its neighbour is still there"))
	s.generate(t, loc) // where a record was there can be another, without overwriting
}

// list walks the pages of a listing and returns the records' names.
func (s *suite) list(t testing.TB, loc *protocol.Location, limit uint32) (names []string) {
	t.Helper()
	var after []byte
	for {
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list", Location: loc, After: after, Limit: limit})
		if limit > 0 && len(resp.Entries) > int(limit) {
			t.Fatalf("a page of %d has %d entries", limit, len(resp.Entries))
		}
		for _, e := range resp.Entries {
			names = append(names, string(e.GetLocation().GetRecord()))
		}
		if after = resp.Next; len(after) == 0 {
			return names
		}
		if len(resp.Entries) != int(limit) {
			t.Fatalf("a page of %d has %d entries and is not the last", limit, len(resp.Entries))
		}
	}
}

func testList(t *testing.T, s *suite) {
	for _, loc := range []*protocol.Location{s.in("nowhere"), {Client: []byte(s.client)}} {
		s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "record.list", Location: loc}) // there is no such client
	}
	const n = 5
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.generate(t, s.at("keys", name))
	}
	if got := s.list(t, s.in("nowhere"), 10); len(got) != 0 {
		t.Errorf("an absent vault has %q", got)
	}
	s.generate(t, s.at("other", "f"))

	all := s.list(t, s.in("keys"), 1000)
	if sorted := slices.Sorted(slices.Values(all)); strings.Join(sorted, "") != "abcde" {
		t.Fatalf("listed %q", all)
	}
	for limit := uint32(0); limit <= n+1; limit++ { // 0: as many as it likes
		if got := s.list(t, s.in("keys"), limit); !slices.Equal(got, all) {
			t.Errorf("in pages of %d: %q, not %q", limit, got, all)
		}
	}
	// The last full page says that nothing comes after it.
	if resp := s.ask(t, &protocol.Request{Operation: "record.list", Location: s.in("keys"), Limit: n}); len(resp.Entries) != n || len(resp.Next) > 0 {
		t.Errorf("a page that holds all has %d entries and a next of %d bytes", len(resp.Entries), len(resp.Next))
	}
	client := &protocol.Location{Client: []byte(s.client)}
	for _, loc := range []*protocol.Location{client, nil, {}} {
		got := s.list(t, loc, 3)
		for _, name := range append(all, "f") {
			if !slices.Contains(got, name) {
				t.Errorf("below %q there is no %s", loc.Text(), name)
			}
		}
		if loc == client && len(got) != n+1 {
			t.Errorf("a client has %d records, not %d", len(got), n+1)
		}
	}

	resp := s.ask(t, &protocol.Request{Operation: "record.list", Location: s.in("other")})
	e := resp.Entries[0]
	if !proto.Equal(e.Location, s.at("other", "f")) || e.Kind != protocol.Ed25519 || e.CreatedMs == 0 || e.ChangedMs < e.CreatedMs {
		t.Errorf("an entry: %v", e)
	}

	// A page may begin where nothing is, after what was removed meanwhile.
	first := s.ask(t, &protocol.Request{Operation: "record.list", Location: s.in("keys"), Limit: 2})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: first.Entries[1].Location})
	rest := s.ask(t, &protocol.Request{Operation: "record.list", Location: s.in("keys"), After: first.Next})
	if len(rest.Entries) != n-2 || string(rest.Entries[0].Location.Record) != all[2] {
		t.Errorf("after a removed record come %d entries", len(rest.Entries))
	}

	for _, after := range [][]byte{{1}, make([]byte, 71), make([]byte, 73), make([]byte, 1<<10)} {
		s.wantInvalid(t, "after", &protocol.Request{Operation: "record.list", After: after})
	}
	s.wantInvalid(t, "limit", &protocol.Request{Operation: "record.list", Limit: protocol.MaxPage + 1})
	s.wantInvalid(t, "location", &protocol.Request{Operation: "record.list", Location: s.at("keys", "a")})
}

func testZoneKey(t *testing.T, s *suite) {
	req := &protocol.Request{Operation: "zone.key", Location: s.at("v", "r")}
	a := s.want(t, protocol.Status_OK, req)
	if len(a.PublicKey) != 32 {
		t.Errorf("the key has %d bytes", len(a.PublicKey))
	}
	if b := s.want(t, protocol.Status_OK, req); !proto.Equal(a, b) {
		t.Error("the key changes")
	}
	if s.door == protocol.DoorPeer { // whoever may write nothing needs no key
		s.wantInvalid(t, "location", &protocol.Request{Operation: "zone.key"})
	} else {
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key"})
	}
}

func testExists(t *testing.T, s *suite) {
	exists := func(loc *protocol.Location) bool {
		t.Helper()
		return s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.exists", Location: loc}).Exists
	}
	loc := s.at("keys", "main")
	if exists(loc) {
		t.Error("it exists before it was made")
	}
	s.generate(t, loc)
	if !exists(loc) || exists(s.at("keys", "other")) || exists(s.at("other", "main")) {
		t.Error("what was made does not exist, or what was not does")
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: loc})
	if exists(loc) {
		t.Error("it exists after it was revoked")
	}
}

// write is a request to store bytes as a record.
func (s *suite) write(t testing.TB, loc *protocol.Location, kind string, raw []byte) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: "record.write", Location: loc, Kind: kind}
	req.Secret = s.seal(t, req, "secret", raw)
	return req
}

// seal seals a field of a request to the zone.
func (s *suite) seal(t testing.TB, req *protocol.Request, field string, raw []byte) []byte {
	t.Helper()
	key := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key", Location: req.Location}).PublicKey
	sealed, err := protocol.Seal(key, req, field, protocol.ToZone, raw)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func testWrite(t *testing.T, s *suite) {
	loc := s.at("records", "data")
	if resp := s.want(t, protocol.Status_OK, s.write(t, loc, protocol.Data, []byte("some bytes"))); resp.Kind != protocol.Data || resp.PublicKey != nil {
		t.Errorf("wrote %v", resp)
	}
	s.want(t, protocol.Status_EXISTS, s.write(t, loc, protocol.Data, []byte("others")))
	s.want(t, protocol.Status_OK, s.write(t, s.at("records", "large"), protocol.Data, make([]byte, protocol.MaxSecret)))
	// It is no key, and nothing that asks for one takes it for one.
	s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "key.public", Location: loc})
	s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: []byte("m")})
	s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "slip10.derive", Location: loc, Target: s.at("records", "derived"), Path: "m/0'"})
	s.want(t, protocol.Status_OK, s.write(t, s.at("records", "key"), protocol.Ed25519, make([]byte, 32)))
	s.sign(t, s.at("records", "key"), ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey), []byte("a key is a key"))

	s.wantInvalid(t, "secret", s.write(t, s.at("records", "other"), protocol.Data, nil))
	s.wantInvalid(t, "secret", s.write(t, s.at("records", "other"), protocol.Seed, make([]byte, 15)))
	s.wantInvalid(t, "secret", s.write(t, s.at("records", "other"), protocol.Extended, make([]byte, 63)))
	s.wantInvalid(t, "kind", s.write(t, s.at("records", "other"), protocol.Mnemonic, make([]byte, 64)))
	for _, kind := range []string{protocol.Data, protocol.Seed, protocol.Mnemonic} { // these are not made as keys are
		s.wantInvalid(t, "kind", &protocol.Request{Operation: "key.generate", Location: s.at("records", "other"), Kind: kind})
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("records", "other")})
}

// testVersions writes to the head: each write is a new version, and the old ones stay.
func (s *suite) testVersions(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "versions"}
	head := s.in("keys")
	head.Head = true
	version := func(n uint64) *protocol.Location {
		loc := s.in("keys")
		loc.Version = &n
		return loc
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: head})
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: version(0)})
	var keys []ed25519.PublicKey
	for n := range uint64(3) {
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: head, Kind: protocol.Ed25519})
		if resp.Version == nil || *resp.Version != n {
			t.Errorf("written as version %v, want %d", resp.Version, n)
		}
		keys = append(keys, resp.PublicKey)
		s.sign(t, head, keys[n], []byte("by the last"))
	}
	s.generate(t, s.at("keys", "generic")) // moves no counter
	for n, key := range keys {
		s.sign(t, version(uint64(n)), key, []byte("by an old one"))
	}
	s.sign(t, head, keys[2], []byte("by the last"))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: version(3)})
	s.want(t, protocol.Status_EXISTS, &protocol.Request{Operation: "key.generate", Location: version(1), Kind: protocol.Ed25519})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: version(1)})
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: version(1)})
	s.sign(t, version(0), keys[0], []byte("its neighbours are still there"))

	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list", Location: s.in("keys")})
	var listed []string
	for _, e := range resp.Entries {
		listed = append(listed, e.Location.Text())
	}
	slices.Sort(listed)
	if want := []string{"versions/keys/@0", "versions/keys/@2", "versions/keys/generic"}; !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
}

// testHints gives records a hint, and lists those that have one.
func (s *suite) testHints(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "hints"}
	make := func(name string, hint []byte) *protocol.Request {
		return &protocol.Request{Operation: "key.generate", Location: s.at("keys", name), Kind: protocol.Ed25519, Hint: hint}
	}
	longest := bytes.Repeat([]byte{0xff}, protocol.MaxHint)
	s.want(t, protocol.Status_OK, make("a", []byte("red")))
	s.want(t, protocol.Status_OK, make("b", []byte("red")))
	s.want(t, protocol.Status_OK, make("c", longest))
	s.want(t, protocol.Status_OK, make("d", nil))
	s.wantInvalid(t, "hint", make("e", append(longest, 0)))
	for hint, want := range map[string]string{"red": "ab", string(longest): "c", "re": "", "": "abcd"} {
		req := &protocol.Request{Operation: "record.list", Location: s.in("keys")}
		if hint != "" {
			req.Hint = []byte(hint)
		}
		resp := s.want(t, protocol.Status_OK, req)
		var got []string
		for _, e := range resp.Entries {
			got = append(got, string(e.Location.Record))
			if hint != "" && string(e.Hint) != hint {
				t.Errorf("asked for %q, got an entry with %q", hint, e.Hint)
			}
		}
		slices.Sort(got)
		if strings.Join(got, "") != want {
			t.Errorf("with the hint %q: %q, want %s", hint, got, want)
		}
	}
}
