package itest

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

// What only the local door answers.

func testStatus(t *testing.T, s *suite) {
	n := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.status"}).Node
	if n.GetLocked() || n.GetPeerId() != s.node.node.ID() || len(n.Addresses) == 0 || n.Version == "" || n.PolicyError != "" {
		t.Errorf("status: %v", n)
	}
	if len(n.GetZone().GetPublicKey()) != 32 || n.Zone.Pid == 0 || len(n.Zone.Layers) == 0 {
		t.Errorf("the zone's status: %v", n.Zone)
	}
}

// testLock locks and unlocks; the sealed passphrase of before opens nothing after.
func testLock(t *testing.T, s *suite) {
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	key := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key"}).PublicKey
	old := &protocol.Request{Id: protocol.NewID(), Operation: "node.unlock"}
	var err error
	if old.Secret, err = protocol.Seal(key, old, "secret", protocol.ToZone, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	bringing := s.importing(t, s.at("keys", "late"), make([]byte, 32))

	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.lock"})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.lock"}) // it is locked all the same
	s.want(t, protocol.Status_LOCKED, &protocol.Request{Operation: "key.public", Location: loc})
	s.want(t, protocol.Status_LOCKED, &protocol.Request{Operation: "record.list"})
	if st, err := s.Status(t.Context()); err != nil || !st.Locked {
		t.Errorf("the status after lock: %v, %v", st, err)
	}
	s.wantInvalid(t, "secret", old)
	s.unlock(t)
	s.sign(t, loc, public, []byte("after lock and unlock"))
	s.wantInvalid(t, "secret", bringing)
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("keys", "late")})
}

// testUnlock unlocks what is unlocked; testLocked has tried a wrong passphrase.
func testUnlock(t *testing.T, s *suite) {
	wantError(t, s.Unlock(t.Context(), []byte(passphrase)), protocol.ErrExists)
	wantError(t, s.Unlock(t.Context(), []byte("wrong")), protocol.ErrExists)
	s.generate(t, s.at("keys", "it is unlocked all the same"))
}

func testPeers(t *testing.T, s *suite) {
	const id = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
	add := func(name, address string) *protocol.Request {
		return &protocol.Request{Operation: "peer.add", Name: name, Address: address}
	}
	address := "/ip4/192.0.2.1/tcp/7411/p2p/" + id
	s.want(t, protocol.Status_OK, add("laptop", id))
	s.want(t, protocol.Status_OK, add("laptop", address))
	s.want(t, protocol.Status_OK, add("laptop", address)) // once is enough
	s.want(t, protocol.Status_EXISTS, add("phone", id))
	s.want(t, protocol.Status_EXISTS, add("laptop", "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"))
	for _, name := range []string{"a/b", "*", "-x", "two words", strings.Repeat("x", 65), id} {
		s.wantInvalid(t, "name", add(name, id))
	}
	for _, address := range []string{"12D3", "/ip4/192.0.2.1/tcp/7411", "/ip4/192.0.2.1/udp/7411/quic-v1/p2p/" + id, s.node.node.ID()} {
		s.wantInvalid(t, "address", add("phone", address))
	}
	want := &protocol.Peer{Name: "laptop", Id: id, Addresses: []string{address}}
	peers := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.list"}).Peers
	if len(peers) != 1 || !proto.Equal(peers[0], want) {
		t.Errorf("the peers: %v", peers)
	}
}

func testRename(t *testing.T, s *suite) {
	const laptop, phone = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf", "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	for name, id := range map[string]string{"laptop": laptop, "phone": phone} {
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.add", Name: name, Address: id})
	}
	rename := func(name, to string) *protocol.Request {
		return &protocol.Request{Operation: "peer.rename", Name: name, NewName: to}
	}
	s.want(t, protocol.Status_OK, rename("laptop", "desk"))
	s.want(t, protocol.Status_NOT_FOUND, rename("laptop", "desk"))
	s.want(t, protocol.Status_EXISTS, rename("desk", "phone"))
	s.wantInvalid(t, "new_name", rename("desk", "a/b"))
	peers := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.list"}).Peers
	if len(peers) != 2 || peers[0].Name != "desk" || peers[0].Id != laptop {
		t.Errorf("after renaming one: %v", peers)
	}
	remove := func(name string) *protocol.Request { return &protocol.Request{Operation: "peer.remove", Name: name} }
	s.want(t, protocol.Status_OK, remove("desk"))
	s.want(t, protocol.Status_NOT_FOUND, remove("desk"))
	peers = s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.list"}).Peers
	if len(peers) != 1 || peers[0].Name != "phone" {
		t.Errorf("after removing one: %v", peers)
	}
	s.want(t, protocol.Status_OK, remove("phone"))
}

func testPing(t *testing.T, s *suite) {
	for _, name := range []string{"nobody", "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"} {
		if resp := s.ask(t, &protocol.Request{Operation: "peer.ping", Peer: name}); resp.Status != protocol.Status_UNAVAILABLE && resp.Status != protocol.Status_NOT_FOUND {
			t.Errorf("nobody answers with %v", resp)
		}
	}
	other := newNode(t)
	other.knows(t, s.node, "asker")
	s.node.knows(t, other, "neighbour")
	ping := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.ping", Peer: "neighbour"}).Ping
	if ping.GetRoundTripUs() == 0 || ping.Relayed || ping.Address == "" {
		t.Errorf("a neighbour answers with %v", ping)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "peer.remove", Name: "neighbour"})
}

func testPolicyTest(t *testing.T, s *suite) {
	const id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	policy := func(expect string) string {
		return "[[allow]]\npeers = [\"" + id + "\"]\nops = [\"use\"]\non = [\"a/b/*\"]\n" +
			"[[test]]\npeer = \"" + id + "\"\nop = \"ed25519.sign\"\non = \"a/b/c\"\nexpect = \"" + expect + "\"\n"
	}
	before := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.show"})
	test := func(text string) *protocol.Request { return &protocol.Request{Operation: "policy.test", Text: text} }
	if resp := s.want(t, protocol.Status_OK, test(policy("allow"))); resp.Text != "" {
		t.Errorf("a test that passes: %q", resp.Text)
	}
	if resp := s.want(t, protocol.Status_OK, test(policy("deny"))); resp.Text == "" {
		t.Error("nothing is said of a test that fails")
	}
	s.want(t, protocol.Status_OK, test("")) // the policy in force
	s.wantInvalid(t, "text", test("[[allow]"))
	if after := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.show"}); !proto.Equal(before, after) {
		t.Error("a policy that was tested is in force")
	}
}

// testSave writes a fresh file: what was revoked and overwritten is gone from it,
// and everything else is there after it was opened again.
func testSave(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	size := func() int64 {
		st, err := os.Stat(filepath.Join(s.node.Home(), "vault.stronghold"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	for _, name := range []string{"snapshot.save", "vault.collect"} {
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: name})
		before := size()
		for range 20 {
			s.want(t, protocol.Status_OK, s.write(t, s.at("keys", "large"), protocol.Data, make([]byte, 10<<10)))
			s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: s.at("keys", "large")})
		}
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: name})
		if after := size(); after > before+10<<10 {
			t.Errorf("%s: the file had %d bytes and has %d", name, before, after)
		}
		s.sign(t, loc, public, []byte("it goes on"))
	}
	later := s.at("keys", "later")
	laterPublic := s.generate(t, later)
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "node.lock"})
	s.want(t, protocol.Status_LOCKED, &protocol.Request{Operation: "snapshot.save"})
	s.unlock(t)
	s.sign(t, loc, public, []byte("from the file"))
	s.sign(t, later, laterPublic, []byte("from its journal"))
}

func testPolicy(t *testing.T, s *suite) {
	const id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	show := func() string {
		return s.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.show"}).Text
	}
	can := func(peer, op string, loc *protocol.Location) bool {
		t.Helper()
		d := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.can", Peer: peer, Query: op, Location: loc}).Decision
		if d.GetReason() == "" {
			t.Errorf("%s for %s: no reason", op, peer)
		}
		return d.GetAllowed()
	}
	text := "[[allow]]\npeers = [\"" + id + "\"]\nops = [\"ed25519.sign\"]\non = [\"wallet/keys/*\"]\n"
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "policy.apply", Text: text})
	if show() != text {
		t.Errorf("the policy in force:\n%s", show())
	}
	for _, bad := range []string{"[[allow]", "[[allow]]\nsurprise = 1\n", "[[allow]]\npeers = [\"nobody\"]\nops = [\"use\"]\non = [\"**\"]\n",
		strings.Replace(text, "ed25519.sign", "node.lock", 1)} {
		s.wantInvalid(t, "text", &protocol.Request{Operation: "policy.apply", Text: bad})
	}
	if show() != text {
		t.Error("a policy that was refused is in force")
	}
	key := &protocol.Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}
	if !can(id, "ed25519.sign", key) {
		t.Error("what is allowed is denied")
	}
	other := &protocol.Location{Client: []byte("wallet"), Vault: []byte("other"), Record: []byte("main")}
	if can(id, "key.public", key) || can(id, "ed25519.sign", other) || can("somebody", "ed25519.sign", key) {
		t.Error("what is not allowed is not denied")
	}
	for i := range protocol.Operations { // no policy can grant what is not for peers
		if op := &protocol.Operations[i]; op.Door != protocol.DoorPeer && can(id, op.Name, key) {
			t.Errorf("%s is allowed", op.Name)
		}
	}
	s.wantInvalid(t, "query", &protocol.Request{Operation: "policy.can", Peer: id, Query: "key.steal", Location: key})
}

// What only the zone's door answers.

// stage asks for a change and leaves out the second step.
func (s *suite) stage(t testing.TB, req *protocol.Request) uint64 {
	t.Helper()
	req.Id = protocol.NewID()
	resp, err := s.engine.Handle(t.Context(), req)
	if err != nil || resp.Status != protocol.Status_OK || len(resp.GetChange().GetEntry()) == 0 {
		t.Fatalf("%s: %v, %v", req.Operation, resp, err)
	}
	return resp.Change.Sequence
}

func testSteps(t *testing.T, s *suite) {
	one, two := s.at("keys", "one"), s.at("keys", "two")
	generate := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519}
	}
	step := func(name string, seq uint64) *protocol.Request {
		return &protocol.Request{Operation: name, Sequence: seq}
	}
	public := func(loc *protocol.Location, status protocol.Status) {
		t.Helper()
		s.want(t, status, &protocol.Request{Operation: "key.public", Location: loc})
	}
	first := s.stage(t, generate(one))
	second := s.stage(t, generate(two))
	if second != first+1 {
		t.Errorf("changes %d and %d do not follow each other", first, second)
	}
	// A change sees those staged before it, and nobody else does.
	if resp, err := s.engine.Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "key.generate",
		Location: one, Kind: protocol.Ed25519}); err != nil || resp.Status != protocol.Status_EXISTS {
		t.Errorf("over a staged key: %v, %v", resp, err)
	}
	public(one, protocol.Status_NOT_FOUND)
	s.want(t, protocol.Status_OK, step("zone.abort", first)) // and all after it
	public(one, protocol.Status_NOT_FOUND)
	public(two, protocol.Status_NOT_FOUND)

	if again := s.stage(t, generate(one)); again != first {
		t.Errorf("after change %d was aborted comes %d", first, again)
	}
	second = s.stage(t, generate(two))
	s.want(t, protocol.Status_OK, step("zone.commit", second)) // and all before it
	public(one, protocol.Status_OK)
	public(two, protocol.Status_OK)
	s.want(t, protocol.Status_OK, step("zone.abort", first)) // too late: it is committed
	public(one, protocol.Status_OK)

	// An abort brings back what a change was to replace or remove.
	removing := s.stage(t, &protocol.Request{Operation: "record.revoke", Location: one})
	public(one, protocol.Status_OK)
	s.want(t, protocol.Status_OK, step("zone.abort", removing))
	public(one, protocol.Status_OK)
	if resp := s.ask(t, step("zone.commit", second+1000)); resp.Status == protocol.Status_OK {
		t.Error("committed a change that was not staged")
	}
}

// Changes that are staged together are answered one by one.
func testStage(t *testing.T, s *suite) {
	generate := func(loc *protocol.Location) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "key.generate", Location: loc, Kind: protocol.Ed25519}
	}
	one, two := s.at("keys", "staged one"), s.at("keys", "staged two")
	resp, err := s.engine.Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "zone.stage",
		Steps: []*protocol.Request{generate(one), generate(one), generate(two)}})
	if err != nil || resp.Status != protocol.Status_OK || len(resp.Results) != 3 {
		t.Fatal(resp, err)
	}
	r := resp.Results
	if r[0].Status != protocol.Status_OK || r[1].Status != protocol.Status_EXISTS || r[2].Status != protocol.Status_OK ||
		r[1].Change != nil || r[2].Change.GetSequence() != r[0].Change.GetSequence()+1 {
		t.Fatalf("each by itself: %v", r)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.commit", Sequence: r[2].Change.Sequence})
	s.sign(t, one, r[0].PublicKey, []byte("one"))
	s.sign(t, two, r[2].PublicKey, []byte("two"))
	s.wantInvalid(t, "steps[0].operation", &protocol.Request{Operation: "zone.stage", Steps: []*protocol.Request{{Id: protocol.NewID(), Operation: "key.public", Location: one}}})
}

func testFold(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	s.want(t, protocol.Status_UNAVAILABLE, &protocol.Request{Operation: "zone.adopt"})            // nothing was folded
	s.want(t, protocol.Status_UNAVAILABLE, &protocol.Request{Operation: "zone.fold", More: true}) // nothing was begun
	s.want(t, protocol.Status_UNAVAILABLE, &protocol.Request{Operation: "zone.carry"})
	staged := s.stage(t, &protocol.Request{Operation: "record.revoke", Location: loc})
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.abort", Sequence: staged})

	file := s.fold(t)
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.adopt"})
	s.want(t, protocol.Status_UNAVAILABLE, &protocol.Request{Operation: "zone.adopt"}) // once

	// The journal of the new file begins with the next change: together they are the state.
	later := s.at("keys", "later")
	resp, err := s.engine.Handle(t.Context(), &protocol.Request{Id: protocol.NewID(), Operation: "key.generate", Location: later, Kind: protocol.Ed25519})
	if err != nil || resp.Status != protocol.Status_OK {
		t.Fatalf("a change after the fold: %v, %v", resp, err)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.commit", Sequence: resp.Change.Sequence})
	other := engineTarget(newEngine(t))
	opened, err := bring(t.Context(), other.engine, []byte(passphrase), append(file, inBatch(resp.Change.Entry)...))
	if err != nil || opened.Status != protocol.Status_OK || opened.Recovered || opened.Base != uint64(len(file)) {
		t.Fatalf("opening what was folded: %v, %v", opened, err)
	}
	there := &suite{target: other, Client: protocol.Client{H: other.handler}, client: s.client}
	there.sign(t, loc, public, []byte("from the file"))
	there.sign(t, later, resp.PublicKey, []byte("from its journal"))
}

func testCreate(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	create := func(passphrase string, cost uint32) *protocol.Request {
		key := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key"}).PublicKey
		req := &protocol.Request{Id: protocol.NewID(), Operation: "zone.create", Cost: cost}
		var err error
		if req.Secret, err = protocol.Seal(key, req, "secret", protocol.ToZone, []byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		return req
	}
	for _, cost := range []uint32{1, 16, 23, 1 << 31} {
		s.wantInvalid(t, "cost", create(passphrase, cost))
	}
	s.wantInvalid(t, "secret", create("", 17))
	req := create(passphrase, 17)
	if resp := s.want(t, protocol.Status_OK, req); len(resp.Snapshot) == 0 {
		t.Error("an empty file")
	}
	s.wantInvalid(t, "secret", req) // a sealed value is taken once
}

// testHash brings what no zone has sealed; that of an honest one is in every test that unlocks.
func testHash(t *testing.T, s *suite) {
	key := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.key"}).PublicKey
	for _, plain := range [][]byte{nil, []byte("no message"), {0x0a, 1, 0}} {
		job := &protocol.Request{Id: protocol.NewID(), Operation: "zone.hash"}
		result := &protocol.Request{Id: job.Id, Operation: "zone.hashed"}
		var err error
		if job.Job, err = protocol.Seal(key, job, "job", protocol.ToZone, plain); err != nil {
			t.Fatal(err)
		}
		s.wantInvalid(t, "job", job) // it says nobody to answer to
		if result.Hashed, err = protocol.Seal(key, result, "hashed", protocol.ToZone, plain); err != nil {
			t.Fatal(err)
		}
		s.wantInvalid(t, "hashed", result) // nobody waits for it
	}
	for _, short := range [][]byte{{1}, make([]byte, 1000)} {
		s.wantInvalid(t, "job", &protocol.Request{Operation: "zone.hash", Job: short})
		s.wantInvalid(t, "hashed", &protocol.Request{Operation: "zone.hashed", Hashed: short})
	}
}

// testSlots adds, lists and removes slots, and has everything encrypted anew. Most
// proofs are keys: they take no password hash.
func testSlots(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	ask := func(operation string, p *protocol.Proof) *protocol.Request {
		req := &protocol.Request{Operation: operation}
		s.prove(t, req, p)
		return req
	}
	list := func() (numbers []uint32) {
		for _, slot := range s.want(t, protocol.Status_OK, &protocol.Request{Operation: "slot.list"}).Slots {
			numbers = append(numbers, slot.Number)
		}
		return numbers
	}
	key := func(digit string) []byte { return []byte("STRONGHOLD-KEY-" + strings.Repeat(digit, 64)) }
	before := list()
	added := s.want(t, protocol.Status_OK, ask("slot.add", &protocol.Proof{Key: []byte(passphrase), NewKey: key("1"), Label: "machine"})).Slots
	if len(added) != 1 || added[0].Kind != "key" || added[0].Label != "machine" || added[0].Cost != 0 || added[0].CreatedMs == 0 {
		t.Fatalf("added %v", added)
	}
	machine := added[0].Number
	recipient := added[0].Recipient
	second := s.want(t, protocol.Status_OK, ask("slot.add", &protocol.Proof{Key: key("1"), Recipient: recipient})).Slots[0]
	if second.Kind != "recipient" || second.Recipient != recipient || second.Number == machine {
		t.Errorf("added %v", second)
	}
	if now := list(); len(now) != len(before)+2 {
		t.Errorf("slots %v, and there were %v", now, before)
	}
	for what, p := range map[string]*protocol.Proof{
		"nothing": {Key: key("1")}, "both": {Key: key("1"), NewKey: key("2"), Recipient: recipient}, "an empty key": {Key: key("1"), NewKey: []byte{}},
		"no key": {Key: key("1"), NewKey: []byte("STRONGHOLD-KEY-1")}, "no recipient": {Key: key("1"), Recipient: "age1"},
		"next to no work": {Key: key("1"), NewKey: []byte("new"), Cost: 16}, "a slot": {Key: key("1"), NewKey: key("2"), Slot: 1},
		"a long label": {Key: key("1"), NewKey: key("2"), Label: strings.Repeat("x", 65)}, "a proof that is no key": {Key: []byte("STRONGHOLD-KEY-1"), NewKey: key("2")},
	} {
		if resp := s.ask(t, ask("slot.add", p)); resp.Status != protocol.Status_INVALID || resp.Field != "secret" {
			t.Errorf("with %s: %v", what, resp)
		}
	}
	for _, operation := range []string{"slot.add", "slot.remove", "snapshot.rekey", "snapshot.export"} {
		p := &protocol.Proof{Key: key("2")}
		switch operation {
		case "slot.add":
			p.Recipient = recipient
		case "slot.remove":
			p.Slot = machine
		}
		s.want(t, protocol.Status_NO_SLOT, ask(operation, p))
	}
	s.want(t, protocol.Status_WRONG_KEY, ask("snapshot.rekey", &protocol.Proof{Key: []byte("wrong")}))
	s.want(t, protocol.Status_WRONG_KEY, ask("snapshot.rekey", new(protocol.Proof)))
	s.want(t, protocol.Status_NO_SLOT, ask("slot.remove", &protocol.Proof{Key: key("1"), Slot: 200}))
	s.want(t, protocol.Status_NO_SLOT, ask("slot.remove", &protocol.Proof{Key: key("1")}))
	if now := list(); len(now) != len(before)+2 {
		t.Errorf("after refusals: slots %v", now)
	}

	// A copy, and one with a key of its own.
	copied := s.fetch(t, ask("snapshot.export", &protocol.Proof{Key: key("1")}))
	own := s.fetch(t, ask("snapshot.export", &protocol.Proof{Key: key("1"), NewKey: key("3")}))
	s.want(t, protocol.Status_OK, ask("snapshot.rekey", &protocol.Proof{Key: key("1")}))
	s.want(t, protocol.Status_OK, ask("slot.remove", &protocol.Proof{Key: key("1"), Slot: second.Number}))
	s.want(t, protocol.Status_OK, ask("slot.remove", &protocol.Proof{Key: key("1"), Slot: machine})) // its own
	s.want(t, protocol.Status_NO_SLOT, ask("snapshot.rekey", &protocol.Proof{Key: key("1")}))
	s.wantInvalid(t, "secret", ask("slot.remove", &protocol.Proof{Key: []byte(passphrase), Slot: list()[0]})) // the last
	s.sign(t, loc, public, []byte("under another root key"))
	for _, tt := range []struct {
		file []byte
		key  []byte
		want protocol.Status
	}{{copied, key("1"), protocol.Status_OK}, {copied, key("3"), protocol.Status_NO_SLOT}, {own, key("3"), protocol.Status_OK},
		{own, key("1"), protocol.Status_NO_SLOT}, {own, []byte(passphrase), protocol.Status_NO_SLOT}} {
		other := engineTarget(newEngine(t))
		resp, err := bring(t.Context(), other.engine, tt.key, tt.file)
		if err != nil || resp.Status != tt.want {
			t.Errorf("an exported file: %v, %v, want %v", resp, err, tt.want)
		}
		if tt.want == protocol.Status_OK {
			there := &suite{target: other, Client: protocol.Client{H: other.handler}, client: s.client}
			there.sign(t, loc, public, []byte("from a copy"))
		}
	}
}

func testInspect(t *testing.T, s *suite) {
	inspect := func(file []byte) *protocol.Request {
		return &protocol.Request{Operation: "zone.inspect", Snapshot: file}
	}
	file := newSnapshot(t)
	info := s.want(t, protocol.Status_OK, inspect(file)).Info
	want := &protocol.SnapshotInfo{Version: "4.0", Slots: info.GetSlots(), HeaderSize: info.GetHeaderSize()}
	if slots := info.GetSlots(); len(slots) != 1 || slots[0].Kind != "passphrase" || slots[0].Cost != 17 || slots[0].Number != 1 || slots[0].CreatedMs == 0 {
		t.Errorf("the slots: %v", slots)
	}
	if !proto.Equal(info, want) || info.HeaderSize == 0 || info.HeaderSize >= uint64(len(file)) {
		t.Errorf("a file of %d bytes: %v, want %v", len(file), info, want)
	}
	s.want(t, protocol.Status_OK, inspect(file[:info.HeaderSize])) // its beginning is enough
	s.want(t, protocol.Status_DAMAGED, inspect(file[:info.HeaderSize-1]))
	s.want(t, protocol.Status_NOT_A_SNAPSHOT, inspect([]byte("something else")))
	s.want(t, protocol.Status_NOT_A_SNAPSHOT, inspect(nil))
}

// testOpen opens where something is open; the target's own opening was the good case.
func testOpen(t *testing.T, s *suite) {
	if raceDetector {
		t.Skip("password hashes take too long")
	}
	resp, err := bring(t.Context(), s.engine, []byte(passphrase), newSnapshot(t))
	if err != nil || resp.Status != protocol.Status_UNAVAILABLE {
		t.Errorf("opening twice: %v, %v", resp, err)
	}
	other := engineTarget(newEngine(t))
	there := &suite{target: other, Client: protocol.Client{H: other.handler}}
	there.want(t, protocol.Status_UNAVAILABLE, &protocol.Request{Operation: "zone.open", Snapshot: []byte("a part that follows nothing")})
	good := newSnapshot(t)
	tests := map[string]struct {
		file []byte
		want protocol.Status
	}{
		"nothing":         {nil, protocol.Status_NOT_A_SNAPSHOT},
		"something else":  {[]byte(strings.Repeat("not a snapshot ", 100)), protocol.Status_NOT_A_SNAPSHOT},
		"another version": {append([]byte("PARTI\x05\x00"), good[7:]...), protocol.Status_UNSUPPORTED_VERSION},
		"cut":             {good[:20], protocol.Status_DAMAGED},
	}
	for name, tt := range tests {
		resp, err := bring(t.Context(), other.engine, []byte(passphrase), tt.file)
		if err != nil || resp.Status != tt.want {
			t.Errorf("%s: %v, %v, want %v", name, resp, err, tt.want)
		}
	}
	there.want(t, protocol.Status_LOCKED, &protocol.Request{Operation: "record.list"})
}

// fold has the zone give its state as a file, to be adopted.
func (s *suite) fold(t testing.TB) (file []byte) {
	t.Helper()
	for more := true; more; {
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.fold", More: file != nil})
		file = append(file, resp.Snapshot...)
		more = resp.More
	}
	if more := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "zone.carry"}).Snapshot; len(more) > 0 {
		t.Errorf("%d bytes of changes since", len(more))
	}
	return file
}

// inBatch is what a node appends for an answer's change.
func inBatch(entry []byte) []byte {
	crc := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	entry = append(slices.Clone(entry), 0xFF)
	b := binary.BigEndian.AppendUint64([]byte("B"), uint64(4+len(entry)))
	b = binary.BigEndian.AppendUint32(b, crc(b))
	return append(binary.BigEndian.AppendUint32(b, crc(entry)), entry...)
}
