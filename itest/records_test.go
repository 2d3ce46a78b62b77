package itest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

// stat asks for all of a record.
func (s *suite) stat(t testing.TB, loc *protocol.Location) *protocol.Entry {
	t.Helper()
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.stat", Location: loc})
	if len(resp.Entries) != 1 {
		t.Fatalf("told of %d records", len(resp.Entries))
	}
	return resp.Entries[0]
}

func testStat(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	stat := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: "record.stat", Location: loc}
	}
	s.want(t, protocol.Status_NOT_FOUND, stat(loc))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519, Hint: []byte("a hint")})
	e := s.stat(t, loc)
	if !proto.Equal(e.Location, loc) || e.Kind != protocol.Ed25519 || string(e.Hint) != "a hint" || !slices.Equal(e.Flags, []string{"sign"}) {
		t.Errorf("told %v", e)
	}
	if s.door == protocol.DoorPeer {
		if e.Created != nil || e.Changed != nil || e.CreatedMs == 0 || e.ChangedMs != e.CreatedMs {
			t.Errorf("a peer is told %v", e)
		}
	} else if c := e.Created; c.GetMs() == 0 || c.Ms != e.CreatedMs || len(c.Device) != 8 || c.Sequence == 0 || !proto.Equal(c, e.Changed) {
		t.Errorf("made %v, changed %v", c, e.Changed)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.disable", Location: loc})
	if now := s.stat(t, loc); s.door != protocol.DoorPeer && (!proto.Equal(now.Created, e.Created) || now.Changed.GetSequence() <= e.Changed.GetSequence() || !bytes.Equal(now.Changed.Device, e.Changed.Device)) {
		t.Errorf("after a change: made %v, changed %v", now.Created, now.Changed)
	}
	// What was brought has been known, and the head is a version.
	s.want(t, protocol.Status_OK, s.write(t, s.at("keys", "data"), protocol.Data, []byte("some bytes")))
	if e := s.stat(t, s.at("keys", "data")); !slices.Equal(e.Flags, []string{"from-outside"}) || e.Kind != protocol.Data {
		t.Errorf("told %v", e)
	}
	head := s.in("versions")
	head.Head = true
	s.want(t, protocol.Status_NOT_FOUND, stat(head))
	for n := range uint64(2) {
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: head, Kind: protocol.AES256})
		at := s.in("versions")
		at.Version = &n
		if e := s.stat(t, head); !proto.Equal(e.Location, at) || !slices.Equal(e.Flags, []string{"encrypt", "decrypt"}) {
			t.Errorf("the head is %v, want version %d", e, n)
		}
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: loc})
	s.want(t, protocol.Status_NOT_FOUND, stat(loc))
	s.wantInvalid(t, "location", stat(s.in("keys")))
}

// testDisable: a disabled record refuses every use, is listed, and comes back as it was.
func testDisable(t *testing.T, s *suite) {
	key, seed, aes, data := s.at("keys", "main"), s.at("keys", "seed"), s.at("keys", "aes"), s.at("keys", "data")
	public := s.generate(t, key)
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "slip10.generate", Location: seed})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: aes, Kind: protocol.AES256, Flags: []string{"may-wrap-others"}})
	s.want(t, protocol.Status_OK, s.write(t, data, protocol.Data, make([]byte, 32)))
	set := func(loc *protocol.Location, what string) *protocol.Request {
		return &protocol.Request{Operation: "record." + what, Location: loc}
	}
	to := s.at("keys", "made")
	uses := []*protocol.Request{
		{Operation: "ed25519.sign", Location: key, Message: []byte("m")},
		{Operation: "key.public", Location: key},
		{Operation: "slip10.derive", Location: seed, Target: to, Path: "m/0'"},
		{Operation: "aes.wrap", Location: aes, Target: key},
		{Operation: "aes.unwrap", Location: aes, Target: to, Kind: protocol.Ed25519, Wrapped: make([]byte, 40)},
		{Operation: "record.type", Location: data, Kind: protocol.Seed},
		{Operation: "record.copy", Location: key, Target: to},
		{Operation: "record.move", Location: key, Target: to},
	}
	for _, loc := range []*protocol.Location{key, seed, aes, data} {
		s.want(t, protocol.Status_OK, set(loc, "disable"))
		s.want(t, protocol.Status_OK, set(loc, "disable")) // it is so already
		if e := s.stat(t, loc); !slices.Contains(e.Flags, "disabled") {
			t.Errorf("the flags of a disabled record: %q", e.Flags)
		}
	}
	for _, use := range uses {
		s.want(t, protocol.Status_DISABLED, use)
	}
	s.want(t, protocol.Status_NOT_FOUND, set(to, "disable"))
	s.want(t, protocol.Status_NOT_FOUND, set(to, "enable"))
	if resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.exists", Location: key}); !resp.Exists {
		t.Error("a disabled record is gone")
	}
	if got := s.list(t, s.in("keys"), 10); len(got) != 4 {
		t.Errorf("listed %q", got)
	}
	s.want(t, protocol.Status_EXISTS, &protocol.Request{Operation: "key.generate", Location: key, Kind: protocol.Ed25519})

	s.want(t, protocol.Status_OK, set(key, "enable"))
	s.want(t, protocol.Status_OK, set(key, "enable"))
	s.sign(t, key, public, []byte("it is the same key"))
	if e := s.stat(t, key); !slices.Equal(e.Flags, []string{"sign"}) {
		t.Errorf("its flags now: %q", e.Flags)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: seed})
	s.want(t, protocol.Status_NOT_FOUND, set(seed, "enable"))
}

func testCopy(t *testing.T, s *suite) {
	from, to := s.at("keys", "main"), s.at("other", "copy")
	copying := func(from, to *protocol.Location, overwrite bool) *protocol.Request {
		return &protocol.Request{Operation: "record.copy", Location: from, Target: to, Overwrite: overwrite}
	}
	s.want(t, protocol.Status_NOT_FOUND, copying(from, to, false))
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: from, Kind: protocol.Ed25519, Hint: []byte("hint"),
		Flags: []string{"may-be-wrapped", "sign"}})
	public := ed25519.PublicKey(resp.PublicKey)
	if resp := s.want(t, protocol.Status_OK, copying(from, to, false)); resp.Kind != protocol.Ed25519 {
		t.Errorf("copied %v", resp)
	}
	s.sign(t, to, public, []byte("by the copy"))
	s.sign(t, from, public, []byte("by what was copied"))
	a, b := s.stat(t, from), s.stat(t, to)
	if !slices.Equal(a.Flags, b.Flags) || !bytes.Equal(a.Hint, b.Hint) || a.Kind != b.Kind || !slices.Equal(b.Flags, []string{"sign", "may-be-wrapped"}) {
		t.Errorf("copied %v as %v", a, b)
	}
	s.want(t, protocol.Status_EXISTS, copying(from, to, false))
	s.wantInvalid(t, "target", copying(from, from, true))
	s.generate(t, s.at("keys", "second"))
	s.want(t, protocol.Status_OK, copying(s.at("keys", "second"), to, true))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: s.at("keys", "second")})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "ed25519.sign", Location: to, Message: []byte("it stays")})
	s.sign(t, from, public, []byte("by what was copied"))

	// Somebody has known it, and of its copy that is known as well.
	s.want(t, protocol.Status_OK, s.importing(t, s.at("keys", "known"), make([]byte, 32)))
	s.want(t, protocol.Status_OK, copying(s.at("keys", "known"), s.at("keys", "known too"), false))
	if e := s.stat(t, s.at("keys", "known too")); !slices.Equal(e.Flags, []string{"sign", "from-outside"}) {
		t.Errorf("its flags: %q", e.Flags)
	}
	// To the head: each is a version.
	head := s.in("versions")
	head.Head = true
	for n := range uint64(2) {
		if resp := s.want(t, protocol.Status_OK, copying(from, head, false)); resp.Version == nil || *resp.Version != n {
			t.Errorf("copied as version %v, want %d", resp.Version, n)
		}
	}
	if resp := s.want(t, protocol.Status_OK, copying(head, head, false)); resp.Version == nil || *resp.Version != 2 {
		t.Errorf("the head was copied as version %v, want 2", resp.Version)
	}
	s.sign(t, head, public, []byte("by a version"))
}

func testMove(t *testing.T, s *suite) {
	from, to := s.at("keys", "main"), s.at("other", "moved")
	moving := func(from, to *protocol.Location, overwrite bool) *protocol.Request {
		return &protocol.Request{Operation: "record.move", Location: from, Target: to, Overwrite: overwrite}
	}
	s.want(t, protocol.Status_NOT_FOUND, moving(from, to, false))
	public := s.generate(t, from)
	occupied := s.generate(t, to)
	s.want(t, protocol.Status_EXISTS, moving(from, to, false))
	s.sign(t, from, public, []byte("where it was"))
	s.sign(t, to, occupied, []byte("as it was"))
	s.wantInvalid(t, "target", moving(from, from, true))
	s.want(t, protocol.Status_OK, moving(from, to, true))
	s.sign(t, to, public, []byte("where it went"))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: from})
	s.want(t, protocol.Status_NOT_FOUND, moving(from, to, true))
	s.want(t, protocol.Status_OK, moving(to, from, false)) // and back
	s.sign(t, from, public, []byte("where it was before"))
	if got := s.list(t, s.in("other"), 10); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	head, zero := s.in("versions"), uint64(0)
	head.Head = true
	first := s.in("versions")
	first.Version = &zero
	s.want(t, protocol.Status_OK, moving(from, head, false))
	if resp := s.want(t, protocol.Status_OK, moving(head, head, false)); resp.Version == nil || *resp.Version != 1 {
		t.Errorf("the head moved to version %v, want 1", resp.Version)
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: first})
	s.sign(t, head, public, []byte("as the next version"))
}

// wrapping is a request to give key, wrapped under kek.
func wrapping(kek, key *protocol.Location) *protocol.Request {
	return &protocol.Request{Operation: "aes.wrap", Location: kek, Target: key}
}

// testWrap wraps; the flags' every setting is tried by TestWrapAndExtract.
func testWrap(t *testing.T, s *suite) {
	kek, key := s.at("keys", "kek"), s.at("keys", "main")
	s.want(t, protocol.Status_NOT_FOUND, wrapping(kek, key))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: kek, Kind: protocol.AES256, Flags: []string{"may-wrap-others"}})
	s.want(t, protocol.Status_NOT_FOUND, wrapping(kek, key))
	s.generate(t, key)
	s.want(t, protocol.Status_WRONG_KIND, wrapping(kek, key)) // it may not leave
	s.want(t, protocol.Status_WRONG_KIND, wrapping(key, kek))
	s.want(t, protocol.Status_WRONG_KIND, wrapping(kek, kek))
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: key, Kind: protocol.Ed25519, Overwrite: true,
		Flags: []string{"sign", "may-be-wrapped"}})
	public := ed25519.PublicKey(resp.PublicKey)
	resp = s.want(t, protocol.Status_OK, wrapping(kek, key))
	if resp.Kind != protocol.Ed25519 || len(resp.Wrapped) != 40 {
		t.Fatalf("wrapped %d bytes as %s", len(resp.Wrapped), resp.Kind)
	}
	back := s.at("keys", "back")
	resp = s.want(t, protocol.Status_OK, &protocol.Request{Operation: "aes.unwrap", Location: kek, Target: back, Kind: protocol.Ed25519, Wrapped: resp.Wrapped})
	if !public.Equal(ed25519.PublicKey(resp.PublicKey)) {
		t.Error("another key came back")
	}
	s.sign(t, back, public, []byte("by what came back"))
	if e := s.stat(t, back); !slices.Equal(e.Flags, []string{"sign", "from-outside"}) {
		t.Errorf("what came back: %q", e.Flags)
	}
	// A key that decrypts does not wrap.
	for _, flags := range [][]string{{"may-wrap-others", "decrypt"}, {"encrypt", "may-wrap-others"}, {"sign"}, {"mac"}} {
		s.wantInvalid(t, "flags", &protocol.Request{Operation: "key.generate", Location: s.at("keys", "other"), Kind: protocol.AES256, Flags: flags})
	}
	for _, flags := range [][]string{{"disabled"}, {"from-outside"}, {"none"}, {""}, {"sign", "sign"}, {"may-wrap-others"}} {
		s.wantInvalid(t, "flags", &protocol.Request{Operation: "key.generate", Location: s.at("keys", "other"), Kind: protocol.Ed25519, Flags: flags})
	}
	// Without the flag of its use it is of none.
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: s.at("keys", "mute"), Kind: protocol.Ed25519, Flags: []string{"exportable"}})
	s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "ed25519.sign", Location: s.at("keys", "mute"), Message: []byte("m")})
	// What is derived may not leave unless what it is derived from may.
	seed := s.at("keys", "seed")
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "slip10.generate", Location: seed})
	child := &protocol.Request{Operation: "slip10.derive", Location: seed, Target: s.at("keys", "child"), Path: "m/0'", Flags: []string{"sign", "may-be-wrapped"}}
	s.wantInvalid(t, "flags", child)
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "slip10.generate", Location: seed, Overwrite: true, Flags: []string{"derive", "may-be-wrapped"}})
	s.want(t, protocol.Status_OK, child)
	s.want(t, protocol.Status_OK, wrapping(kek, child.Target))
}

// testUnwrap has the vector of RFC 3394, section 4.6.
func testUnwrap(t *testing.T, s *suite) {
	kek, to := s.at("keys", "kek"), s.at("keys", "main")
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i)
	}
	req := &protocol.Request{Id: protocol.NewID(), Operation: "key.import", Location: kek, Kind: protocol.AES256, Flags: []string{"may-wrap-others"}}
	req.Secret = s.seal(t, req, "secret", raw)
	s.want(t, protocol.Status_OK, req)
	// 256 bits under a 256-bit key: the data are 00112233…FF00010203…0F.
	wrapped, err := hex.DecodeString("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
	if err != nil {
		t.Fatal(err)
	}
	unwrap := func(kind string, wrapped []byte) *protocol.Request {
		return &protocol.Request{Operation: "aes.unwrap", Location: kek, Target: to, Kind: kind, Wrapped: wrapped}
	}
	for _, bad := range [][]byte{{1}, make([]byte, 16), make([]byte, 39), make([]byte, 40), make([]byte, protocol.MaxSecret+9), append([]byte{0}, wrapped[1:]...)} {
		s.wantInvalid(t, "wrapped", unwrap(protocol.Seed, bad))
	}
	s.wantInvalid(t, "kind", unwrap(protocol.Extended, wrapped))
	s.wantInvalid(t, "kind", unwrap(protocol.Mnemonic, wrapped))
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "record.stat", Location: to})
	again := unwrap(protocol.Data, wrapped)
	again.Flags = []string{"may-be-wrapped"}
	s.want(t, protocol.Status_OK, again)
	if resp := s.want(t, protocol.Status_OK, wrapping(kek, to)); !bytes.Equal(resp.Wrapped, wrapped) {
		t.Errorf("wrapped anew it is %x", resp.Wrapped)
	}
	s.want(t, protocol.Status_EXISTS, unwrap(protocol.Data, wrapped))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: s.at("keys", "encrypts"), Kind: protocol.AES256})
	other := unwrap(protocol.Data, wrapped)
	other.Location, other.Overwrite = s.at("keys", "encrypts"), true
	s.want(t, protocol.Status_WRONG_KIND, other)
}
