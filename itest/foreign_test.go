package itest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/sha512"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot/rust"
)

// foreign is a file that a release of wallet.rs has written, its password, and
// the mnemonic that it was made of.
const (
	foreign         = "../snapshot/rust/testdata/v2.stronghold"
	foreignPassword = "current_password"
	foreignMnemonic = "winter spend artefact viable cigar pink easy charge ranch license coyote cage " +
		"brass mushroom repair game attack peanut glad rather cart obey famous chat"
)

// bringIn brings a foreign file in parts, and returns the answer to the last.
func (s *suite) bringIn(t testing.TB, file []byte, password string, change func(*protocol.Request)) *protocol.Response {
	t.Helper()
	const size = 1000
	id := protocol.NewID()
	for at := 0; ; at += size {
		req := &protocol.Request{Id: id, Operation: "snapshot.import", Offset: uint64(at), Snapshot: file[at:min(at+size, len(file))]}
		if at+size < len(file) {
			req.More = true
			s.want(t, protocol.Status_OK, req)
			continue
		}
		req.Secret = s.seal(t, req, "secret", []byte(password))
		change(req)
		return s.ask(t, req)
	}
}

func testBringIn(t *testing.T, s *suite) {
	file, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	as := func(*protocol.Request) {}
	refused := func(status protocol.Status, field string, resp *protocol.Response) {
		t.Helper()
		if resp.Status != status || resp.Field != field || resp.Imported != nil {
			t.Errorf("answered with %v, want %v %s", resp, status, field)
		}
	}
	before := s.list(t, nil, 1000)
	refused(protocol.Status_WRONG_KEY, "", s.bringIn(t, file, "wrong", as))
	refused(protocol.Status_NOT_A_SNAPSHOT, "", s.bringIn(t, bytes.Repeat([]byte("something else"), 100), foreignPassword, as))
	refused(protocol.Status_DAMAGED, "", s.bringIn(t, file[:50], foreignPassword, as))
	refused(protocol.Status_INVALID, "format", s.bringIn(t, file, foreignPassword, func(r *protocol.Request) { r.Format = "something" }))
	refused(protocol.Status_INVALID, "offset", s.bringIn(t, file, foreignPassword, func(r *protocol.Request) { r.Offset-- }))
	refused(protocol.Status_INVALID, "secret", s.bringIn(t, file, foreignPassword, func(r *protocol.Request) { r.Secret[0] ^= 1 }))
	dry := s.bringIn(t, file, foreignPassword, func(r *protocol.Request) { r.DryRun = true })
	if dry.Status != protocol.Status_OK || dry.Imported.GetTotal().GetRecords() == 0 {
		t.Fatalf("a dry run: %v", dry)
	}
	if after := s.list(t, nil, 1000); len(after) != len(before) {
		t.Errorf("after a dry run there are %d records more", len(after)-len(before))
	}

	resp := s.bringIn(t, file, foreignPassword, as)
	if !proto.Equal(resp, dry) {
		t.Fatalf("imported %v, and the dry run said %v", resp, dry)
	}
	total := resp.Imported.Total
	if after := s.list(t, nil, 1000); len(after)-len(before) != int(total.Records) {
		t.Errorf("there are %d records more, and %d were imported", len(after)-len(before), total.Records)
	}
	// It has the seed of a mnemonic, typed, which a key is derived from.
	seed, err := pbkdf2.Key(sha512.New, foreignMnemonic, []byte("mnemonic"), 2048, 64)
	if err != nil {
		t.Fatal(err)
	}
	if total.Typed != 1 {
		t.Fatalf("%d records are typed: %v", total.Typed, resp.Imported)
	}
	for _, part := range resp.Imported.Parts {
		if part.Counts.Typed == 0 {
			continue
		}
		at := part.Location
		at.Record = []byte("iota-wallet-seed")
		derived := s.want(t, protocol.Status_OK, derive(at, s.at("keys", "derived"), "m/44'/4218'/0'/0'/0'"))
		if want := slip10(seed, 44, 4218, 0, 0, 0); !want.Equal(ed25519.PublicKey(derived.PublicKey)) {
			t.Errorf("derived %x, want %x", derived.PublicKey, want)
		}
	}
	refused(protocol.Status_EXISTS, "", s.bringIn(t, file, foreignPassword, as))
	if again := s.bringIn(t, file, foreignPassword, func(r *protocol.Request) { r.Overwrite = true }); again.Status != protocol.Status_OK {
		t.Errorf("over itself: %v", again)
	}
}

func testExport(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	public := s.generate(t, s.at("keys", "main"))
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key("k"), Value: []byte("v")})
	const password = "another password"
	export := func(p *protocol.Proof) *protocol.Request {
		req := &protocol.Request{Operation: "snapshot.export"}
		s.prove(t, req, p)
		return req
	}
	proof := func(key, password string) *protocol.Proof {
		return &protocol.Proof{Key: []byte(key), NewKey: []byte(password), Format: "stronghold-3", Cost: 17}
	}
	s.want(t, protocol.Status_WRONG_KEY, export(proof("wrong", password)))
	wrong := proof(passphrase, password)
	wrong.Format = "stronghold-9"
	s.wantInvalid(t, "secret", export(wrong))
	wrong = proof(passphrase, password)
	wrong.NewKey = nil
	s.wantInvalid(t, "secret", export(wrong))
	wrong = proof(passphrase, password)
	wrong.Slot = 1 // which is not for this operation
	s.wantInvalid(t, "secret", export(wrong))
	s.wantInvalid(t, "secret", &protocol.Request{Operation: "snapshot.export"})
	single := &protocol.Request{Id: protocol.NewID(), Operation: "snapshot.export"}
	single.Secret = s.seal(t, single, "secret", []byte(passphrase)) // no message
	s.wantInvalid(t, "secret", single)

	file := s.fetch(t, export(proof(passphrase, password)))
	seen := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list", Limit: protocol.MaxPage})
	back := s.bringIn(t, file, password, func(r *protocol.Request) { r.Overwrite, r.DryRun = true, true })
	if back.Status != protocol.Status_OK || int(back.Imported.GetTotal().GetRecords()) != len(seen.Entries) || back.Imported.Total.Entries == 0 {
		t.Errorf("exported %v, and there are %d records", back, len(seen.Entries))
	}
	s.sign(t, s.at("keys", "main"), public, []byte("it is all still here"))
}

// prove seals a proof for a request.
func (s *suite) prove(t testing.TB, req *protocol.Request, p *protocol.Proof) {
	t.Helper()
	key := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key"}).PublicKey
	req.Id = protocol.NewID()
	var err error
	if req.Secret, err = protocol.SealProof(key, req, p); err != nil {
		t.Fatal(err)
	}
}

// fetch exports, and returns all parts of the file.
func (s *suite) fetch(t testing.TB, req *protocol.Request) []byte {
	t.Helper()
	resp := s.want(t, protocol.Status_OK, req)
	file := resp.Snapshot
	next := &protocol.Request{Id: req.Id, Operation: req.Operation}
	for resp.More {
		next.Offset = uint64(len(file))
		resp = s.want(t, protocol.Status_OK, next)
		file = append(file, resp.Snapshot...)
	}
	next.Offset = uint64(len(file))
	s.wantInvalid(t, "offset", next) // it is forgotten
	return file
}

func testRecordType(t *testing.T, s *suite) {
	raw := bytes.Repeat([]byte{8}, 32)
	loc := s.at("records", "main")
	s.want(t, protocol.Status_NOT_FOUND, typing(s.at("records", "none"), protocol.Seed))
	s.want(t, protocol.Status_OK, s.write(t, loc, protocol.Data, raw))
	s.wantInvalid(t, "kind", typing(loc, "untyped"))
	if s.door == protocol.DoorPeer { // whoever wrote it has said what it is: TestPeerTypes has the others
		s.want(t, protocol.Status_WRONG_KIND, typing(loc, protocol.Ed25519))
		for field, set := range map[string]func(*protocol.Request){"overwrite": func(r *protocol.Request) { r.Overwrite = true },
			"untyped": func(r *protocol.Request) { r.Untyped = true }} {
			req := typing(loc, protocol.Ed25519)
			set(req)
			s.wantInvalid(t, field, req)
		}
		return
	}
	untyped := typing(loc, protocol.Ed25519)
	untyped.Untyped = true
	s.want(t, protocol.Status_WRONG_KIND, untyped)
	want := ed25519.NewKeyFromSeed(raw).Public().(ed25519.PublicKey)
	if resp := s.want(t, protocol.Status_OK, typing(loc, protocol.Ed25519)); resp.Kind != protocol.Ed25519 || resp.PublicKey != nil {
		t.Errorf("typed as %v", resp)
	}
	s.sign(t, loc, want, []byte("by what was bytes"))
	s.want(t, protocol.Status_WRONG_KIND, typing(loc, protocol.Seed)) // what it is is known
	short := s.at("records", "short")
	s.want(t, protocol.Status_OK, s.write(t, short, protocol.Data, raw[:5]))
	for _, kind := range []string{protocol.Ed25519, protocol.Seed, protocol.Extended, protocol.Mnemonic} {
		s.wantInvalid(t, "kind", typing(short, kind))
	}
	seed := s.at("records", "seed")
	s.want(t, protocol.Status_OK, s.write(t, seed, protocol.Data, raw))
	s.want(t, protocol.Status_OK, typing(seed, protocol.Seed))
	if resp := s.want(t, protocol.Status_OK, derive(seed, s.at("records", "derived"), "m/0'")); !slip10(raw, 0).Equal(ed25519.PublicKey(resp.PublicKey)) {
		t.Error("derived another key")
	}
}

func typing(loc *protocol.Location, kind string) *protocol.Request {
	return &protocol.Request{Operation: "record.type", Location: loc, Kind: kind}
}

// TestPeerTypes: a peer says what an imported record is if he may use and write it. He is told
// no public half, and nothing that he does loses bytes, in a pipeline neither.
func TestPeerTypes(t *testing.T) {
	a, b := newPair(t)
	unlock(t, b.node.Local())
	local := &suite{target: &target{handler: b.node.Local(), door: protocol.DoorLocal, node: b}, Client: b.local(), client: "app"}
	peer := &suite{target: &target{handler: a.node.Remote("b"), door: protocol.DoorPeer, node: b}, client: "app"}
	seed := strings.Repeat("s", 32)
	old := &rust.State{Clients: []rust.Client{{ID: rust.ClientID([]byte("app")), Vaults: []rust.Vault{{ID: rust.VaultID([]byte("keys")), Records: []rust.Record{
		oldRecord("keys", "short", seed), oldRecord("keys", "long", seed+"and a chain code"), oldRecord("keys", "other", seed)}}}}}}
	if resp := local.bringFile(t, encode(t, old), protocol.MaxPart, oldPassword, nil); resp.Status != protocol.Status_OK {
		t.Fatal(resp)
	}
	local.want(t, protocol.Status_OK, local.write(t, local.at("keys", "data"), protocol.Data, []byte(seed+"and what is dear to somebody")))
	for rights, want := range map[string]protocol.Status{`"use"`: protocol.Status_DENIED, `"write", "list"`: protocol.Status_DENIED, `"use", "write"`: protocol.Status_OK} {
		local.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.apply", Text: "[[allow]]\npeers = [\"a\"]\nops = [" + rights + "]\non = [\"app/keys/*\"]\n"})
		if resp := peer.want(t, want, typing(peer.at("keys", "short"), protocol.Ed25519)); resp.PublicKey != nil {
			t.Errorf("with %s he is told %v", rights, resp)
		}
		if want == protocol.Status_DENIED {
			continue
		}
		for name, want := range map[string]protocol.Status{"data": protocol.Status_WRONG_KIND, "long": protocol.Status_EXISTS} {
			peer.want(t, want, typing(peer.at("keys", name), protocol.Ed25519))
			step := typing(peer.at("keys", name), protocol.Ed25519)
			step.Id = protocol.NewID()
			peer.want(t, want, &protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{step}})
		}
		// What it is he may say, where that loses nothing.
		peer.want(t, protocol.Status_OK, typing(peer.at("keys", "long"), protocol.Data))
		peer.want(t, protocol.Status_OK, typing(peer.at("keys", "other"), protocol.AES256))
	}
	for name, size := range map[string]int{"data": 60, "long": 48} { // all of it is there
		loc := local.at("keys", name)
		local.want(t, protocol.Status_INVALID, typing(loc, protocol.AES256))
		local.want(t, protocol.Status_EXISTS, typing(loc, protocol.Ed25519))
		if size <= 64 {
			local.want(t, protocol.Status_OK, typing(loc, protocol.Seed))
		}
	}
}
