package permissions

import (
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// requests has one good request for every operation that a peer may ask.
func requests(t *testing.T) map[string]*protocol.Request {
	record, key := location(t, "wallet/keys/main"), location(t, "wallet/colour")
	secret := make([]byte, protocol.SealOverhead+32)
	out := map[string]*protocol.Request{
		"aes.unwrap":      {Location: record, Target: location(t, "wallet/keys/unwrapped"), Kind: "ed25519", Wrapped: make([]byte, 40)},
		"aes.wrap":        {Location: record, Target: location(t, "wallet/keys/other")},
		"bip39.recover":   {Location: record, Secret: secret},
		"ed25519.sign":    {Location: record, Message: []byte("message")},
		"key.generate":    {Location: record, Kind: "ed25519"},
		"key.import":      {Location: record, Kind: "ed25519", Secret: secret},
		"key.public":      {Location: record},
		"pipeline.run":    {Steps: []*protocol.Request{{Id: protocol.NewID(), Operation: "key.generate", Location: record, Kind: "ed25519"}}},
		"record.copy":     {Location: record, Target: location(t, "wallet/keys/copy")},
		"record.disable":  {Location: record},
		"record.enable":   {Location: record},
		"record.exists":   {Location: record},
		"record.list":     {Location: location(t, "wallet/keys")},
		"record.move":     {Location: record, Target: location(t, "wallet/keys/moved")},
		"record.revoke":   {Location: record},
		"record.stat":     {Location: record},
		"record.type":     {Location: record, Kind: "ed25519"},
		"record.write":    {Location: record, Kind: "ed25519", Secret: secret},
		"slip10.derive":   {Location: record, Target: location(t, "wallet/keys/derived"), Path: "m/44'"},
		"slip10.generate": {Location: record},
		"store.get":       {Location: key},
		"store.list":      {Location: location(t, "wallet")},
		"store.put":       {Location: key, Value: []byte("red")},
		"store.remove":    {Location: key},
		"store.swap":      {Location: key, Value: []byte("red"), IfAbsent: true},
		"zone.key":        {Location: record},
	}
	for name, req := range out {
		req.Id, req.Operation = protocol.NewID(), name
	}
	return out
}

// TestEveryOperation walks the table. An operation that is new there fails
// here until someone has said what a request for it looks like.
func TestEveryOperation(t *testing.T) {
	reqs := requests(t)
	everything := "allow * use,write,list,extract,store-read,store-write **"
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		t.Run(op.Name, func(t *testing.T) {
			if op.Door != protocol.DoorPeer {
				accesses := op.Accesses(&protocol.Request{Location: location(t, "wallet/keys/main")})
				if d := rules(t, everything).Check(laptopID, op, accesses); d.Allowed {
					t.Errorf("a policy grants it to a peer: %+v", d)
				}
				for _, verb := range []string{"allow", "deny"} {
					if _, err := Parse([]byte(policyText(verb + " * " + op.Name + " **"))); err == nil {
						t.Errorf("a rule may %s it", verb)
					}
				}
				return
			}
			req := reqs[op.Name]
			if req == nil {
				t.Fatal("no request is known for it: add one to requests")
			}
			if refusal := protocol.Check(req, protocol.DoorPeer); refusal != nil {
				t.Fatalf("the request is no good: %v", refusal)
			}
			accesses := op.Accesses(req)
			if len(accesses) == 0 {
				t.Fatal("a peer may ask it, and no right is needed")
			}
			classes := make(map[protocol.Class]bool)
			var all []string
			for _, a := range accesses {
				if !classes[a.Class] {
					all = append(all, string(a.Class))
				}
				classes[a.Class] = true
			}
			if op.Name == "pipeline.run" {
				return // TestPipeline
			}
			needed := strings.Join(all, ",")
			var others []string
			for _, c := range protocol.Classes {
				if !classes[c] {
					others = append(others, string(c))
				}
			}
			var otherOps []string
			for name := range reqs {
				if name != op.Name && name != "pipeline.run" { // of which no rule speaks
					otherOps = append(otherOps, name)
				}
			}
			here, elsewhere := "wallet/keys/*", "wallet/keys2/*,wallets/**,*/key/*"
			if depthOf(accesses[0].Class) == storeDepth {
				here, elsewhere = "wallet/*", "wallet2/*,wallets/**"
			}
			for _, test := range []struct {
				name   string
				rules  []string
				want   bool
				reason string
			}{
				{"by its name", []string{"allow laptop " + op.Name + " " + here}, true, "allow 1"},
				{"by its class", []string{"allow laptop " + needed + " " + here}, true, "allow 1"},
				{"for everyone", []string{"allow * " + op.Name + " **"}, true, "allow 1"},
				{"by the second rule", []string{"allow eve " + op.Name + " **", "allow laptop " + op.Name + " **"}, true, "allow 2"},
				{"by default", nil, false, "no rule matches"},
				{"by other classes", []string{"allow laptop " + strings.Join(others, ",") + " **"}, false, "no rule matches"},
				{"by other operations", []string{"allow laptop " + strings.Join(otherOps, ",") + " **"}, false, "no rule matches"},
				{"for another peer", []string{"allow eve " + op.Name + " **"}, false, "no rule matches"},
				{"elsewhere", []string{"allow laptop " + op.Name + " " + elsewhere}, false, "no rule matches"},
				{"denied by its name", []string{"allow laptop " + op.Name + " " + here, "deny laptop " + op.Name + " wallet/**"}, false, "deny 1 on wallet/**"},
				{"denied by its class", []string{"deny laptop " + needed + " wallet/**", "allow laptop " + op.Name + " **"}, false, "deny 1 on wallet/**"},
				{"denied by one class", []string{everything, "deny laptop " + all[0] + " **"}, false, "deny 1 on **"},
				{"denied to everyone", []string{everything, "deny * " + op.Name + " **"}, false, "deny 1 on **"},
				{"denied to another peer", []string{everything, "deny eve " + op.Name + " **"}, true, "allow 1"},
				{"denied elsewhere", []string{everything, "deny laptop " + op.Name + " " + elsewhere}, true, "allow 1"},
				{"other operations denied", []string{everything, "deny laptop " + strings.Join(otherOps, ",") + " **"}, true, "allow 1"},
				{"other classes denied", []string{everything, "deny laptop " + strings.Join(others, ",") + " **"}, true, "allow 1"},
			} {
				got := rules(t, test.rules...).Check(laptopID, op, accesses)
				if got != (Decision{test.want, test.reason}) {
					t.Errorf("%s: got %+v, want %v, %s", test.name, got, test.want, test.reason)
				}
			}
		})
	}
	for name := range reqs {
		if _, ok := protocol.Lookup(name); !ok {
			t.Errorf("%s is no operation any more", name)
		}
	}
}

// TestGrid asks every peer, operation and location under one policy, and
// compares with what a person reads in it.
func TestGrid(t *testing.T) {
	r := mustResolve(t, `
groups.phones = ["alice-phone", "bob-phone"]
[[allow]]
peers = ["phones"]
ops = ["use"]
on = ["wallet/keys/*"]
[[allow]]
peers = ["laptop"]
ops = ["use", "write", "list"]
on = ["wallet/**", "work/**"]
[[allow]]
peers = ["*"]
ops = ["key.public"]
on = ["public/*/*"]
[[deny]]
peers = ["bob-phone", "eve"]
ops = ["ed25519.sign"]
on = ["**"]
[[deny]]
peers = ["laptop"]
ops = ["write"]
on = ["**/root"]
`)
	allowed := map[string]bool{
		"laptop ed25519.sign wallet/keys/main": true, "laptop key.public wallet/keys/main": true, "laptop key.generate wallet/keys/main": true,
		"laptop key.import wallet/keys/main": true, "laptop zone.key wallet/keys/main": true,
		"laptop record.list wallet/keys/main": true,
		"laptop ed25519.sign work/ca/root":    true, "laptop key.public work/ca/root": true, "laptop record.list work/ca/root": true,
		"laptop key.public public/a/b":              true,
		"alice-phone ed25519.sign wallet/keys/main": true, "alice-phone key.public wallet/keys/main": true, "alice-phone key.public public/a/b": true,
		"bob-phone key.public wallet/keys/main": true, "bob-phone key.public public/a/b": true,
		"eve key.public public/a/b": true,
	}
	seen := 0
	for name, id := range peers {
		for _, op := range []string{"ed25519.sign", "key.public", "key.generate", "key.import", "zone.key", "record.list"} {
			for _, on := range []string{"wallet/keys/main", "work/ca/root", "public/a/b", "other/a/b"} {
				question := name + " " + op + " " + on
				got := r.Can(id, operation(t, op), location(t, on))
				if got.Allowed != allowed[question] {
					t.Errorf("%s: %+v", question, got)
				}
				if allowed[question] {
					seen++
				}
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d of the %d allowed questions were asked", seen, len(allowed))
	}
}
