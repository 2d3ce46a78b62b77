package itest

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot/rust"
	"github.com/stronghold-go/stronghold/vault"
)

const oldPassword = "an old password"

// encode writes a file as the Rust program would, with next to no hashing.
func encode(t testing.TB, s *rust.State) []byte {
	t.Helper()
	file, err := rust.Encode(s, rust.PasswordKey([]byte(oldPassword)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// oldRecord is a record at a path.
func oldRecord(inVault, path, secret string) rust.Record {
	return rust.Record{ID: rust.RecordID([]byte(inVault), []byte(path)), Hint: []byte("hint"), Secret: rust.Secret(secret)}
}

func idOf(id rust.ID) []byte { return id[:] }

// bringFile sends an old file in parts of n bytes, and returns the last answer.
func (s *suite) bringFile(t testing.TB, file []byte, n int, password string, change func(*protocol.Request)) *protocol.Response {
	t.Helper()
	id := protocol.NewID()
	for offset := 0; ; offset += n {
		part := file[offset:min(offset+n, len(file))]
		req := &protocol.Request{Id: id, Operation: "snapshot.import", Snapshot: part, Offset: uint64(offset), More: offset+n < len(file)}
		if !req.More {
			req.Secret = s.seal(t, req, "secret", []byte(password))
			if change != nil {
				change(req)
			}
			return s.ask(t, req)
		}
		s.want(t, protocol.Status_OK, req)
	}
}

func version(loc *protocol.Location, n uint64) *protocol.Location {
	return &protocol.Location{Client: loc.Client, Vault: loc.Vault, Version: &n}
}

// TestOldFiles asks an engine, and a node behind its socket.
func TestOldFiles(t *testing.T) {
	for _, name := range []string{"engine", "socket"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := targets[name](t)
			tg.unlock(t)
			testOldFiles(t, &suite{target: tg, Client: protocol.Client{H: tg.handler}, client: "old"})
			testTyped(t, &suite{target: tg, Client: protocol.Client{H: tg.handler}, client: "typed"})
		})
	}
}

// testOldFiles brings an old file in, addresses what came by its paths, says what
// it is, gives all out again, and holds the two files against each other.
func testOldFiles(t *testing.T, s *suite) {
	soon := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	seed := strings.Repeat("0123456789abcdef", 2)
	key := ed25519.NewKeyFromSeed([]byte(seed))
	old := &rust.State{Clients: []rust.Client{{
		ID: rust.ClientID([]byte(s.client)),
		Vaults: []rust.Vault{
			{ID: rust.VaultID([]byte("keys")), Records: []rust.Record{
				oldRecord("keys", "ed", seed), oldRecord("keys", "long", seed+"and more"), oldRecord("keys", "short", "short"),
				oldRecord("keys", "extended", seed+seed), oldRecord("keys", "empty", ""),
				{ID: rust.RecordID([]byte("keys"), []byte("gone")), Revoked: true},
			}},
			{ID: rust.VaultID([]byte("versions"))},
			{ID: rust.VaultID([]byte("nothing in it"))},
		},
		Store: []rust.Entry{
			{Key: []byte("for ever"), Value: []byte("value")}, {Key: []byte("soon"), Value: []byte("later"), Expires: soon},
			{Key: []byte("expired"), Value: []byte("v"), Expires: time.Unix(1e9, 0)}, {Key: []byte{0xff}, Value: nil},
			{Key: idOf(rust.VaultID([]byte("of 0.4"))), Value: []byte("old")},
		},
	}}}
	for _, n := range []uint64{0, 1, 7} {
		old.Clients[0].Vaults[1].Records = append(old.Clients[0].Vaults[1].Records,
			rust.Record{ID: rust.CounterID([]byte("versions"), n), Secret: rust.Secret(fmt.Sprintf("version %d, and its 32 bytes of it", n)[:32])})
	}
	for n := range 20 { // vaults that nobody names
		path := fmt.Sprintf("vault %d", n)
		old.Clients[0].Vaults = append(old.Clients[0].Vaults, rust.Vault{ID: rust.VaultID([]byte(path)), Records: []rust.Record{oldRecord(path, "r", "secret")}})
	}
	file := encode(t, old)
	before := bytes.Clone(file)

	status := func(want protocol.Status, resp *protocol.Response) *protocol.Response {
		t.Helper()
		if resp.Status != want {
			t.Fatalf("%v (%s %s), want %v", resp.Status, resp.Field, resp.Detail, want)
		}
		return resp
	}
	dry := func(req *protocol.Request) { req.DryRun = true }
	told := status(protocol.Status_OK, s.bringFile(t, file, 1000, oldPassword, dry)).Imported
	// A record has at least one byte: the empty one is data as it is, and comes.
	want := protocol.ImportCounts{Clients: 1, Vaults: 22, Records: 28, Revoked: 1, Entries: 4, Expired: 1, EmptyVaults: 1}
	counts := func(c *protocol.ImportCounts) string { return fmt.Sprintf("%+v", c) }
	if counts(told.Total) != counts(&want) || told.Version != "3.0" || len(told.Parts) != 23 || told.MoreParts || len(told.LeftOut) != 0 {
		t.Errorf("told %v of version %s, %d parts; want %v", told.Total, told.Version, len(told.Parts), &want)
	}
	if a := told.Attempts; len(a) == 0 || a[len(a)-1].Name != "Blake2b-256" || !a[len(a)-1].Tried || a[len(a)-1].Format != "iota-sdk" {
		t.Errorf("attempts: %v", a)
	}
	all := &protocol.Request{Operation: "record.list", Location: &protocol.Location{Client: []byte(s.client)}}
	if got := s.ask(t, all).Entries; len(got) != 0 {
		t.Fatalf("a dry run brought %d records", len(got))
	}

	// What is refused changes nothing, and says why.
	refusals := []struct {
		name   string
		file   []byte
		status protocol.Status
		detail string
		change func(*protocol.Request)
	}{
		{"not a snapshot", []byte("something else altogether"), protocol.Status_NOT_A_SNAPSHOT, "", nil},
		{"this program's own", newSnapshot(t), protocol.Status_UNSUPPORTED_VERSION, "unsupported snapshot version 4.0", nil},
		{"damaged", append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]^1), protocol.Status_DAMAGED, "damaged snapshot: payload at byte", nil},
		{"cut", file[:100], protocol.Status_DAMAGED, "file is too short", nil},
		{"by another program", file, protocol.Status_WRONG_KEY, "tried", func(r *protocol.Request) { r.Format = "raw" }},
		{"without its salt", file, protocol.Status_WRONG_KEY, "it needs the salt", func(r *protocol.Request) { r.Format = "tauri" }},
		{"by nobody", file, protocol.Status_INVALID, "", func(r *protocol.Request) { r.Format = "firefox" }},
		{"no program of that version", file, protocol.Status_OK, "", func(r *protocol.Request) { r.Format = "wallet.rs"; r.DryRun = true }},
		{"a password that was sealed for another", file, protocol.Status_INVALID, "", func(r *protocol.Request) { r.Secret[0] ^= 1 }},
		{"more than is allowed", file, protocol.Status_INVALID, "", func(r *protocol.Request) { r.Cost = 24 }},
	}
	for _, tt := range refusals {
		resp := s.bringFile(t, tt.file, protocol.MaxPart, oldPassword, tt.change)
		if resp.Status != tt.status || !strings.Contains(resp.Detail, tt.detail) {
			t.Errorf("%s: %v %s, want %v %s", tt.name, resp.Status, resp.Detail, tt.status, tt.detail)
		}
	}
	wrong := s.bringFile(t, file, protocol.MaxPart, "another password", nil)
	if wrong.Status != protocol.Status_WRONG_KEY || !strings.Contains(wrong.Detail, "tried Blake2b-256") || !strings.Contains(wrong.Detail, "(rust-argon2 1) (it needs the salt)") {
		t.Errorf("a wrong password: %v %s", wrong.Status, wrong.Detail)
	}
	expensive := bytes.Replace(file, []byte(" 0\n"), []byte(" 21\n"), 1)
	if resp := s.bringFile(t, expensive, protocol.MaxPart, oldPassword, nil); resp.Status != protocol.Status_TOO_EXPENSIVE || !strings.Contains(resp.Detail, "scrypt takes 2048 MiB of memory, and 1024 MiB are allowed") {
		t.Errorf("an expensive file: %v %s", resp.Status, resp.Detail)
	}
	large := &rust.State{Clients: []rust.Client{{ID: rust.ClientID([]byte(s.client)), Vaults: []rust.Vault{{ID: rust.VaultID([]byte("large")), Records: []rust.Record{
		oldRecord("large", "fits", strings.Repeat("x", vault.MaxSecret)), oldRecord("large", "does not", strings.Repeat("x", vault.MaxSecret+1))}}}}}}
	resp := s.bringFile(t, encode(t, large), protocol.MaxPart, oldPassword, nil)
	if resp.Status != protocol.Status_NO_SPACE || !strings.Contains(resp.Detail, "65537 bytes") {
		t.Errorf("a large record: %v %s", resp.Status, resp.Detail)
	}
	resp = status(protocol.Status_OK, s.bringFile(t, encode(t, large), protocol.MaxPart, oldPassword, func(r *protocol.Request) { dry(r); r.SkipLarge = true }))
	if l := resp.Imported.LeftOut; len(l) != 1 || l[0].Size != vault.MaxSecret+1 || resp.Imported.Total.LeftOut != 1 || resp.Imported.Total.Records != 1 {
		t.Errorf("left out: %v", l)
	}
	// Parts that do not follow each other.
	id := protocol.NewID()
	s.want(t, protocol.Status_OK, &protocol.Request{Id: id, Operation: "snapshot.import", Snapshot: file[:10], More: true})
	for _, req := range []*protocol.Request{{Id: id, Offset: 9}, {Id: id, Offset: 11}, {Offset: 10}} {
		req.Operation, req.Snapshot = "snapshot.import", file[10:]
		s.wantInvalid(t, "offset", req)
	}
	if got := s.ask(t, all).Entries; len(got) != 0 {
		t.Fatalf("what was refused brought %d records", len(got))
	}

	// Now it comes, and is found by its old paths.
	told = status(protocol.Status_OK, s.bringFile(t, file, 512, oldPassword, func(r *protocol.Request) { r.Format = "iota-sdk" })).Imported
	if counts(told.Total) != counts(&want) {
		t.Errorf("came %v, want %v", told.Total, &want)
	}
	if !bytes.Equal(file, before) {
		t.Error("the old file was changed")
	}
	status(protocol.Status_EXISTS, s.bringFile(t, file, 512, oldPassword, nil))
	if again := s.bringFile(t, file, 512, oldPassword, dry).Imported.Total; again.Conflicts != 32 || again.Records != 0 {
		t.Errorf("a second time: %v", again)
	}
	entries := s.ask(t, all).Entries
	if len(entries) != 28 {
		t.Fatalf("%d records", len(entries))
	}
	for _, e := range entries {
		if e.Kind != "untyped" || !bytes.Equal(e.Location.Client, []byte(s.client)) || e.Location.VaultId == nil {
			t.Errorf("listed %v", e)
		}
	}
	sign := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: []byte("m")}
	}
	s.want(t, protocol.Status_WRONG_KIND, sign(s.at("keys", "ed"))) // untyped
	s.want(t, protocol.Status_NOT_FOUND, sign(s.at("keys", "gone")))
	s.want(t, protocol.Status_NOT_FOUND, sign(version(s.in("versions"), 2)))
	s.want(t, protocol.Status_WRONG_KIND, sign(version(s.in("versions"), 7)))
	if r := s.ask(t, &protocol.Request{Operation: "record.list", Location: s.in("versions")}); len(r.Entries) != 3 || r.Entries[0].Location.Version == nil {
		t.Errorf("the versions are listed as %v", r.Entries)
	}
	store := func(key string) *protocol.Response {
		return s.ask(t, &protocol.Request{Operation: "store.get", Location: &protocol.Location{Client: []byte(s.client), Vault: []byte(key)}})
	}
	if r := store("for ever"); string(r.Value) != "value" || r.Entries[0].ExpiresMs != 0 {
		t.Errorf("a value: %v", r)
	}
	if r := store("soon"); string(r.Value) != "later" || r.Entries[0].ExpiresMs != uint64(soon.UnixMilli()) {
		t.Errorf("a value that expires: %v", r)
	}
	// Before 0.5 a value lay under the id that a vault of this path would have.
	if r := store("of 0.4"); string(r.Value) != "old" {
		t.Errorf("a value of 0.4: %v", r)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.remove", Location: &protocol.Location{Client: []byte(s.client), Vault: []byte("of 0.4")}})
	if store("expired").Status != protocol.Status_NOT_FOUND || store("\xff").Status != protocol.Status_OK {
		t.Error("an expired value is there, or an empty one is not")
	}

	// What they are is said, where it fits.
	for kind, name := range map[string]string{protocol.Ed25519: "short", protocol.Seed: "short", protocol.Extended: "ed", protocol.Mnemonic: "ed", protocol.Data: "empty"} {
		s.wantInvalid(t, "kind", typing(s.at("keys", name), kind))
	}
	for _, name := range []string{"ed", "long"} {
		req := typing(s.at("keys", name), protocol.Ed25519)
		if name == "long" {
			s.want(t, protocol.Status_EXISTS, req)
			req.Overwrite = true
		}
		if r := s.want(t, protocol.Status_OK, req); r.Kind != protocol.Ed25519 {
			t.Errorf("%s: %v", name, r)
		}
		if r := s.want(t, protocol.Status_OK, sign(s.at("keys", name))); !bytes.Equal(r.Signature, ed25519.Sign(key, []byte("m"))) {
			t.Errorf("%s signs otherwise", name)
		}
	}
	s.want(t, protocol.Status_OK, typing(s.at("keys", "extended"), protocol.Extended))
	s.want(t, protocol.Status_OK, typing(s.at("keys", "short"), protocol.Data))
	head := s.in("versions")
	head.Head = true
	s.want(t, protocol.Status_OK, typing(head, protocol.Ed25519)) // the last one, not the next
	if v := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: head, Kind: protocol.Ed25519}).Version; v == nil || *v != 8 {
		t.Errorf("the next version is %v", v)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: head})

	// Out again: with a proof, and with the content that came in.
	export := func(proof, password string, weaken func(*protocol.Proof), change func(*protocol.Request)) (*protocol.Response, []byte) {
		t.Helper()
		req := &protocol.Request{Operation: "snapshot.export"}
		p := &protocol.Proof{Key: []byte(proof), NewKey: []byte(password), Format: "stronghold-3", Cost: 17}
		if weaken != nil {
			weaken(p)
		}
		s.prove(t, req, p)
		if change != nil {
			change(req)
		}
		var out []byte
		for {
			resp := s.ask(t, req)
			out = append(out, resp.Snapshot...)
			if resp.Status != protocol.Status_OK || !resp.More {
				return resp, out
			}
			req = &protocol.Request{Id: req.Id, Operation: req.Operation, Offset: uint64(len(out))}
		}
	}
	for name, tt := range map[string]struct {
		proof, password string
		weaken          func(*protocol.Proof)
		change          func(*protocol.Request)
		status          protocol.Status
	}{
		"wrong proof":      {"wrong", "new", nil, nil, protocol.Status_WRONG_KEY},
		"no proof":         {"", "new", nil, nil, protocol.Status_WRONG_KEY},
		"no password":      {passphrase, "", nil, nil, protocol.Status_INVALID},
		"no secret":        {passphrase, "new", nil, func(r *protocol.Request) { r.Secret = nil }, protocol.Status_INVALID},
		"another format":   {passphrase, "new", func(p *protocol.Proof) { p.Format = "stronghold-2" }, nil, protocol.Status_INVALID},
		"next to no work":  {passphrase, "new", func(p *protocol.Proof) { p.Cost = 1 }, nil, protocol.Status_INVALID},
		"moved to another": {passphrase, "new", nil, func(r *protocol.Request) { r.Id = protocol.NewID() }, protocol.Status_INVALID},
		"one secret":       {passphrase, "new", nil, func(r *protocol.Request) { r.Secret = s.seal(t, r, "secret", []byte(passphrase)) }, protocol.Status_INVALID},
		"a later part":     {passphrase, "new", nil, func(r *protocol.Request) { r.Offset, r.Secret = 1, nil }, protocol.Status_INVALID},
	} {
		if resp, out := export(tt.proof, tt.password, tt.weaken, tt.change); resp.Status != tt.status || len(out) > 0 {
			t.Errorf("%s: %v with %d bytes, want %v", name, resp.Status, len(out), tt.status)
		}
	}
	resp, out := export(passphrase, "new password", nil, nil)
	status(protocol.Status_OK, resp)
	state, _, err := rust.OpenPassword(out, []byte("new password"), nil, rust.KindSDK, rust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(state.Clients, func(c rust.Client) bool { return c.ID == rust.ClientID([]byte(s.client)) })
	if i < 0 {
		t.Fatal("the client is not in the file")
	}
	got, was := &state.Clients[i], &old.Clients[0]
	for _, v := range was.Vaults {
		j := slices.IndexFunc(got.Vaults, func(g rust.Vault) bool { return g.ID == v.ID })
		if j < 0 {
			if len(v.Records) > 0 {
				t.Errorf("vault %v is not in the file", v.ID)
			}
			continue
		}
		for _, r := range v.Records {
			k := slices.IndexFunc(got.Vaults[j].Records, func(g rust.Record) bool { return g.ID == r.ID })
			if k < 0 {
				t.Errorf("record %v is not in the file", r.ID)
				continue
			}
			g, secret := got.Vaults[j].Records[k], r.Secret
			if r.ID == rust.RecordID([]byte("keys"), []byte("long")) {
				secret = secret[:32] // all that an Ed25519 key was made of
			}
			if !bytes.Equal(g.Secret, secret) || g.Revoked != r.Revoked || !r.Revoked && !bytes.Equal(g.Hint, r.Hint) {
				t.Errorf("record %v differs: %d bytes, %q, %t", r.ID, len(g.Secret), g.Hint, g.Revoked)
			}
		}
	}
	if len(got.Store) != 3 || !got.Store[2].Expires.IsZero() && got.Store[1].Expires.Equal(soon) {
		t.Errorf("the store: %+v", got.Store)
	}

	// In over what is there, when that is asked for.
	told = status(protocol.Status_OK, s.bringFile(t, out, protocol.MaxPart, "new password", func(r *protocol.Request) { r.Overwrite = true })).Imported
	if told.Total.Conflicts != 0 || told.Total.Records < 28 || told.WorkFactor != 17 {
		t.Errorf("over itself: %v", told)
	}
	s.want(t, protocol.Status_WRONG_KIND, sign(s.at("keys", "ed"))) // nobody has said anew what it is
	s.want(t, protocol.Status_OK, typing(s.at("keys", "ed"), protocol.Ed25519))
}

// testTyped says what records are that nobody imported: those of any bytes.
func testTyped(t *testing.T, s *suite) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	loc := s.at("records", "data")
	s.want(t, protocol.Status_NOT_FOUND, typing(loc, protocol.Ed25519))
	s.want(t, protocol.Status_OK, s.write(t, loc, protocol.Data, make([]byte, 64)))
	s.wantInvalid(t, "kind", typing(loc, "untyped"))
	s.wantInvalid(t, "kind", typing(loc, protocol.Mnemonic))
	s.wantInvalid(t, "location", typing(s.in("records"), protocol.Data))
	s.want(t, protocol.Status_OK, typing(loc, protocol.Data))
	s.want(t, protocol.Status_EXISTS, typing(loc, protocol.Ed25519)) // 32 of its bytes would be lost
	lossy := typing(loc, protocol.Ed25519)
	lossy.Overwrite = true
	if r := s.want(t, protocol.Status_OK, lossy); r.Kind != protocol.Ed25519 {
		t.Errorf("typed as %v", r)
	}
	s.sign(t, loc, key.Public().(ed25519.PublicKey), []byte("a message"))
	for _, kind := range []string{protocol.Ed25519, protocol.Data, protocol.Seed} { // a key stays what it is
		s.want(t, protocol.Status_WRONG_KIND, typing(loc, kind))
	}
	made := s.at("records", "made here")
	s.generate(t, made)
	s.want(t, protocol.Status_WRONG_KIND, typing(made, protocol.Data))
	short := s.at("records", "short")
	s.want(t, protocol.Status_OK, s.write(t, short, protocol.Data, make([]byte, 5)))
	for _, kind := range []string{protocol.Ed25519, protocol.Seed, protocol.Extended} {
		s.wantInvalid(t, "kind", typing(short, kind))
	}
}

// TestLargeOldFile brings in as much as comes at once, and a little more.
func TestLargeOldFile(t *testing.T) {
	records := 100_000
	if testing.Short() || raceDetector {
		records = 2_000
	}
	vaults := func(n int) *rust.State {
		s := &rust.State{Clients: []rust.Client{{ID: rust.ClientID([]byte("large"))}}}
		for v := range 100 {
			path := fmt.Appendf(nil, "vault %d", v)
			vault := rust.Vault{ID: rust.VaultID(path)}
			for r := range n / 100 {
				vault.Records = append(vault.Records, rust.Record{ID: rust.CounterID(path, uint64(r)), Secret: rust.Secret("thirty-two bytes, as keys have it")[:32]})
			}
			s.Clients[0].Vaults = append(s.Clients[0].Vaults, vault)
		}
		return s
	}
	tg := targets["socket"](t)
	tg.unlock(t)
	s := &suite{target: tg, Client: protocol.Client{H: tg.handler}, client: "large"}
	long := func(r *protocol.Request) { r.TimeoutMs = uint32(protocol.MaxTimeout.Milliseconds()) }
	start := time.Now()
	resp := s.bringFile(t, encode(t, vaults(records)), protocol.MaxPart, oldPassword, long)
	if resp.Status != protocol.Status_OK || resp.Imported.Total.Records != uint64(records) {
		t.Fatalf("%v %s: %v", resp.Status, resp.Detail, resp.Imported.GetTotal())
	}
	t.Logf("%d records in %v", records, time.Since(start))
	head := &protocol.Location{Client: []byte("large"), Vault: []byte("vault 99"), Head: true}
	if v := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "key.generate", Location: head, Kind: protocol.Ed25519}).Version; v == nil || *v != uint64(records/100) {
		t.Errorf("the next version is %v", v)
	}
	if records < 100_000 {
		return
	}
	resp = s.bringFile(t, encode(t, vaults(records+100)), protocol.MaxPart, oldPassword, long)
	if resp.Status != protocol.Status_NO_SPACE {
		t.Errorf("more than comes at once: %v %s", resp.Status, resp.Detail)
	}
}

// TestPeerSeesNamedRecords lists imported records as a peer: rules speak of
// paths, and he is shown those whose paths are known.
func TestPeerSeesNamedRecords(t *testing.T) {
	a, b := newPair(t)
	unlock(t, b.node.Local())
	local := &suite{target: &target{handler: b.node.Local(), door: protocol.DoorLocal, node: b}, Client: b.local(), client: "app"}
	peer := &suite{target: &target{handler: a.node.Remote("b"), door: protocol.DoorPeer, node: b}, client: "app"}
	old := &rust.State{Clients: []rust.Client{{ID: rust.ClientID([]byte("app")), Vaults: []rust.Vault{{ID: rust.VaultID([]byte("keys")), Records: []rust.Record{
		oldRecord("keys", "one", "1"), oldRecord("keys", "two", "2"), {ID: rust.CounterID([]byte("keys"), 3), Secret: rust.Secret("3")}}}}}}}
	if resp := local.bringFile(t, encode(t, old), protocol.MaxPart, oldPassword, nil); resp.Status != protocol.Status_OK {
		t.Fatal(resp)
	}
	listed := func() string {
		var out []string
		for _, e := range peer.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list", Location: peer.in("keys")}).Entries {
			out = append(out, e.Location.Text())
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if got, want := listed(), "app/keys/@3"; got != want {
		t.Errorf("listed %q, want %q", got, want)
	}
	sign := &protocol.Request{Operation: "ed25519.sign", Location: peer.at("keys", "two"), Message: []byte("m")}
	peer.want(t, protocol.Status_WRONG_KIND, sign)
	if got, want := listed(), "app/keys/@3 app/keys/two"; got != want {
		t.Errorf("after one was named: %q, want %q", got, want)
	}
	if n := len(local.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list"}).Entries); n != 3 {
		t.Errorf("the local user is shown %d", n)
	}
}
