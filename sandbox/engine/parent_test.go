package engine

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
	"google.golang.org/protobuf/proto"
)

// rawKey is a key of 32 bytes that costs no password hash.
func rawKey(digit string) []byte { return []byte(snapshot.KeyPrefix + strings.Repeat(digit, 64)) }

// parent is somebody who runs code in the parent: he carries every message, sees
// all of them, and starts zones. He does not know a passphrase or a key.
type parent struct {
	t testing.TB
	e *Engine // the zone that keeps the secrets
}

// prove is the honest client: it seals a proof for a new request.
func (p *parent) prove(operation string, proof *protocol.Proof) *protocol.Request {
	p.t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: operation}
	var err error
	if req.Secret, err = protocol.SealProof(p.e.inbox.public(), req, proof); err != nil {
		p.t.Fatal(err)
	}
	return req
}

// begin hands a request to the zone, with a hashing zone of his, and returns what it gives.
func (p *parent) begin(req *protocol.Request) (other *Engine, job *protocol.Response) {
	p.t.Helper()
	other = newEngine(p.t)
	with := proto.CloneOf(req)
	with.HashKey = other.inbox.public()
	return other, handle(p.t, p.e, with)
}

// hash has the hashing zone do the job of a request.
func (p *parent) hash(other *Engine, id []byte, job *protocol.Response) *protocol.Response {
	p.t.Helper()
	return handle(p.t, other, &protocol.Request{Id: id, Operation: "zone.hash", Job: job.Job, Snapshot: job.Snapshot})
}

func (p *parent) finish(id, hashed []byte) *protocol.Response {
	p.t.Helper()
	return handle(p.t, p.e, &protocol.Request{Id: id, Operation: "zone.hashed", Hashed: hashed})
}

// slots are the numbers of the slots that a file written now has.
func (p *parent) slots() (numbers []byte) {
	p.t.Helper()
	file, _ := fold(p.t, p.e)
	h, _, err := snapshot.ReadHeader(bytes.NewReader(file))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range h.Slots {
		numbers = append(numbers, s.Number)
	}
	return numbers
}

func newParent(t testing.TB) *parent {
	e, _ := opened(t)
	do(t, e, generate(t, "c/v/r"))
	return &parent{t, e}
}

// lettingOut are the operations that let secrets out, with what an honest person asks of each.
func lettingOut() map[string]*protocol.Proof {
	return map[string]*protocol.Proof{
		"slot.add":        {Key: []byte(passphrase), NewKey: rawKey("1")},
		"slot.remove":     {Key: []byte(passphrase), Slot: 2},
		"snapshot.rekey":  {Key: []byte(passphrase)},
		"snapshot.export": {Key: []byte(passphrase), NewKey: rawKey("1")},
	}
}

// The control: what an honest parent carries, works.
func TestHonestParent(t *testing.T) {
	for operation, proof := range lettingOut() {
		p := newParent(t)
		before := p.slots()
		req := p.prove(operation, proof)
		other, job := p.begin(req)
		hashed := p.hash(other, req.Id, want(t, job, protocol.Status_OK))
		resp := want(t, p.finish(req.Id, want(t, hashed, protocol.Status_OK).Hashed), protocol.Status_OK)
		after := p.slots()
		wantSlots := map[string]int{"slot.add": 1, "slot.remove": -1}[operation] + len(before)
		if len(after) != wantSlots || (operation == "snapshot.export") != (len(resp.Snapshot) > 0) {
			t.Errorf("%s: slots %v, and %v before; %d bytes", operation, after, before, len(resp.Snapshot))
		}
	}
}

// A parent who was taken over changes whatever passes through his hands, and gets
// nothing: no file, no slot, no other root key.
func TestCompromisedParent(t *testing.T) {
	secretOf := func(p *parent, operation string, proof *protocol.Proof) []byte {
		return p.prove(operation, proof).Secret
	}
	for operation, proof := range lettingOut() {
		if raceDetector && operation != "snapshot.export" {
			continue
		}
		for name, attack := range map[string]func(p *parent) *protocol.Response{
			"another operation": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				if req.Operation = "slot.remove"; operation == "slot.remove" {
					req.Operation = "snapshot.rekey"
				}
				_, resp := p.begin(req)
				return resp
			},
			"another id": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				req.Id = protocol.NewID()
				_, resp := p.begin(req)
				return resp
			},
			"the passphrase of an unlock": func(p *parent) *protocol.Response {
				unlock := sealFor(t, p.e, &protocol.Request{Operation: "node.unlock"}, passphrase)
				_, resp := p.begin(&protocol.Request{Id: unlock.Id, Operation: operation, Secret: unlock.Secret})
				return resp
			},
			"a proof of his own": func(p *parent) *protocol.Response {
				own := proto.CloneOf(proof)
				own.Key = []byte("a guess")
				req := p.prove(operation, own)
				other, job := p.begin(req)
				return p.hash(other, req.Id, job)
			},
			"his key instead of a new one": func(p *parent) *protocol.Response {
				// He can seal what he likes, and not put it beside a proof that he cannot open.
				req := p.prove(operation, proof)
				forged := secretOf(p, operation, &protocol.Proof{NewKey: rawKey("2"), Slot: proof.Slot})
				req.Secret = append(bytes.Clone(req.Secret[:32]), forged[32:]...)
				_, resp := p.begin(req)
				return resp
			},
			"flipped": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				req.Secret[len(req.Secret)/2] ^= 1
				_, resp := p.begin(req)
				return resp
			},
			"twice": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				p.begin(req)
				_, resp := p.begin(req)
				return resp
			},
			"of the zone before": func(p *parent) *protocol.Response {
				req := newParent(t).prove(operation, proof) // lock ends a zone, and its key
				_, resp := p.begin(req)
				return resp
			},
			"the client's own hashing zone": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				if refusal := protocol.Check(&protocol.Request{Id: req.Id, Operation: operation, Secret: req.Secret, HashKey: make([]byte, 32)}, protocol.DoorLocal); refusal != nil {
					return refusal
				}
				return new(protocol.Response)
			},
			"no hashing zone": func(p *parent) *protocol.Response {
				return handle(t, p.e, p.prove(operation, proof))
			},
			"a hashing zone without a key": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				req.HashKey = make([]byte, 32) // the point of order 1
				return handle(t, p.e, req)
			},
			"a result of his own": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				p.begin(req)
				plain, err := protocol.Marshal(&protocol.Hashed{Token: make([]byte, 32), Root: make([]byte, 32), Recipient: "age1", SlotKind: 2})
				if err != nil {
					t.Fatal(err)
				}
				hashed, err := protocol.Seal(p.e.waits.key.Public(), &protocol.Request{Id: req.Id, Operation: "zone.hashed"}, "hashed", protocol.ToZone, plain)
				if err != nil {
					t.Fatal(err)
				}
				return p.finish(req.Id, hashed)
			},
			"the result of another request": func(p *parent) *protocol.Response {
				first := p.prove(operation, proof)
				other, job := p.begin(first)
				hashed := p.hash(other, first.Id, job).Hashed
				second := p.prove(operation, proof)
				p.begin(second)
				return p.finish(second.Id, hashed)
			},
			"the result of a request given up": func(p *parent) *protocol.Response {
				first := p.prove(operation, proof)
				other, job := p.begin(first)
				hashed := p.hash(other, first.Id, job).Hashed
				p.begin(p.prove(operation, proof))
				return p.finish(first.Id, hashed)
			},
			"the job done for another id": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				other, job := p.begin(req)
				return p.hash(other, protocol.NewID(), job)
			},
			"the job in another zone": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				_, job := p.begin(req)
				return p.hash(newEngine(t), req.Id, job)
			},
			"the job given to the zone itself": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				_, job := p.begin(req)
				return p.hash(p.e, req.Id, job)
			},
			"a result in place of a job": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				other, job := p.begin(req)
				hashed := p.hash(other, req.Id, job).Hashed
				return handle(t, p.e, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: hashed})
			},
			"a flipped result": func(p *parent) *protocol.Response {
				req := p.prove(operation, proof)
				other, job := p.begin(req)
				hashed := p.hash(other, req.Id, job).Hashed
				hashed[40] ^= 1
				return p.finish(req.Id, hashed)
			},
		} {
			p := newParent(t)
			before, root := p.slots(), p.root()
			resp := attack(p)
			if resp.Status == protocol.Status_OK || len(resp.Snapshot) > 0 || resp.Slots != nil {
				t.Errorf("%s, %s: %v", operation, name, resp)
			}
			if after := p.slots(); !bytes.Equal(after, before) || !p.is(root) {
				t.Errorf("%s, %s: slots %v, and %v before; the same root key: %v", operation, name, after, before, p.is(root))
			}
			if more := handle(t, p.e, &protocol.Request{Id: protocol.NewID(), Operation: "snapshot.export", Offset: 1}); more.Status != protocol.Status_INVALID {
				t.Errorf("%s, %s: a file goes out: %v", operation, name, more)
			}
		}
	}
}

// root is the root key of a file written now, for is to compare.
func (p *parent) root() []byte {
	p.t.Helper()
	file, _ := fold(p.t, p.e)
	h, _, err := snapshot.ReadHeader(bytes.NewReader(file))
	if err != nil {
		p.t.Fatal(err)
	}
	root, err := h.Open([]byte(passphrase), 1)
	if err != nil {
		p.t.Fatal(err)
	}
	return root
}

func (p *parent) is(root []byte) bool { return bytes.Equal(p.root(), root) }

// A result is taken once: an export or a slot is not had twice for one proof.
func TestResultIsTakenOnce(t *testing.T) {
	for operation, proof := range lettingOut() {
		p := newParent(t)
		req := p.prove(operation, proof)
		other, job := p.begin(req)
		hashed := p.hash(other, req.Id, job).Hashed
		want(t, p.finish(req.Id, hashed), protocol.Status_OK)
		if r := p.finish(req.Id, hashed); r.Status != protocol.Status_INVALID || r.Field != "hashed" {
			t.Errorf("%s: the second time: %v", operation, r)
		}
		if r := p.hash(other, req.Id, job); r.Status != protocol.Status_INVALID {
			t.Errorf("%s: the job a second time: %v", operation, r)
		}
	}
}

// What a person asked for cannot be weakened on its way: none of it stands outside of the seal.
func TestNothingBesideTheSeal(t *testing.T) {
	for operation := range lettingOut() {
		op, _ := protocol.Lookup(operation)
		for _, f := range op.In {
			if f.Name != "secret" && f.Name != "hash_key" && f.Name != "offset" {
				t.Errorf("%s takes %s in the clear", operation, f.Name)
			}
		}
	}
}

// A rekey takes the root key away from who has had it, and keeps the state.
func TestRekey(t *testing.T) {
	p := newParent(t)
	before := p.root()
	ok(t, p.e, &protocol.Request{Operation: "zone.adopt"}) // what root has folded
	req := p.prove("snapshot.rekey", &protocol.Proof{Key: []byte(identity)})
	ok(t, p.e, req)
	file, _ := fold(t, p.e)
	ok(t, p.e, &protocol.Request{Operation: "zone.adopt"})
	if p.is(before) {
		t.Error("the root key is the same")
	}
	// Changes go on under the new one, and both slots open it.
	file = append(file, inBatch(do(t, p.e, generate(t, "c/v/after")).Change.Entry)...)
	for _, key := range []string{passphrase, identity} {
		e := newEngine(t)
		want(t, bring(t, e, file, key, PartSize), protocol.Status_OK)
		if list := paths(t, e); len(list) != 2 {
			t.Errorf("with %.10s: %q", key, list)
		}
		ok(t, e, sign(t, "c/v/r"))
	}
	isEmpty(t, p.e, 4)
	// A file that nobody adopts takes the new root key with it.
	now := p.root()
	ok(t, p.e, p.prove("snapshot.rekey", &protocol.Proof{Key: []byte(identity)}))
	fold(t, p.e)
	if !p.is(now) {
		t.Error("a file that was given up has changed the root key")
	}
}
