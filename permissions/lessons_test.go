package permissions

import (
	"maps"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// Bugs that systems like this one really had, in the decision who may do what.
// Not here, because a policy cannot see them: whether every door asks (the
// node's tests), cancelling and renewing other people's requests (there are
// none yet), and clocks and logs that fail (a policy has neither).

// move is an operation with two locations, as wrapping and deriving have.
var move = &protocol.Operation{Name: "test.move", Door: protocol.DoorPeer, In: []protocol.Field{
	{Name: "location", Required: true, Needs: protocol.Use},
	{Name: "target", Required: true, Needs: protocol.Write},
}}

func TestLessonChangeAllowedByReadRight(t *testing.T) {
	r := rules(t, "allow laptop use,list,store-read,ed25519.sign,key.public,record.list **")
	for name := range requests(t) {
		op := operation(t, name)
		if d := r.Can(laptopID, op, location(t, "wallet/keys/main")); op.Changes && d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestLessonOverwriteOfAnothersRecord(t *testing.T) {
	r := rules(t, "allow laptop write laptop/**", "allow laptop use **")
	for _, op := range []string{"key.import", "key.generate", "record.revoke"} {
		req := requests(t)[op]
		req.Overwrite = op != "record.revoke"
		if d := r.Check(laptopID, operation(t, op), operation(t, op).Accesses(req)); d.Allowed {
			t.Errorf("%s: %+v", op, d)
		}
		req.Location = location(t, "laptop/keys/main")
		if d := r.Check(laptopID, operation(t, op), operation(t, op).Accesses(req)); !d.Allowed {
			t.Errorf("%s of his own: %+v", op, d)
		}
	}
}

func TestLessonListBypassesDenyUnderWildcard(t *testing.T) {
	for _, deny := range []string{"deny laptop list wallet/secret/*", "deny * list wallet/secret/**", "deny laptop record.list **/secret/*"} {
		r := rules(t, "allow laptop list,record.list **,wallet/**,wallet/*/*,wallet/secret/*", deny)
		for _, entry := range []string{"wallet/secret/main", "wallet/secret/@7", "wallet/secret/@head", "wallet/secret/%2A", "wallet/secret/*"} {
			if r.MayList(laptopID, location(t, entry)) {
				t.Errorf("%s: %s is shown", deny, entry)
			}
		}
		if d := r.Can(laptopID, operation(t, "record.list"), location(t, "wallet/secret")); d.Allowed {
			t.Errorf("%s: %+v", deny, d)
		}
		if !r.MayList(laptopID, location(t, "wallet/keys/main")) {
			t.Errorf("%s: denies more", deny)
		}
	}
}

func TestLessonNamesThatLookAlike(t *testing.T) {
	r := rules(t, "allow laptop use wallet/keys/main", "allow laptop use a/**", "deny laptop use a/keys/Secret")
	for _, on := range []string{
		"wallet/keys/Main", "WALLET/keys/main", // case
		"wallet/keys/main%20", "wallet/keys/main%09", "%20wallet/keys/main", // spaces
		"wallet/keys/main.", "wallet/keys/.", "wallet/keys/..", "wallet/../main", "./keys/main", // dots
		"wallet/keys/m\u0430in", "wallet/keys/m\uff41in", "wallet/keys/main\u200b", // look-alikes
		"wallet/keys/*", "wallet/*/main", "wallet/keys/%2A", "wallet/keys/+", "wallet/+/main", "%2A%2A/keys/main", // patterns
		"wallet/keys/%6dain%2F", "wallet%2Fkeys/keys/main", "wallet/keys/..%2Fmain", // slashes
		"wallet/keys/main%00", "wallet/keys/%00main",
	} {
		if d := use(t, r, on); d.Allowed {
			t.Errorf("%s: %+v", on, d)
		}
	}
	// The same bytes, written otherwise, are the same.
	if d := use(t, r, "%77allet/keys/%6d%61in"); !d.Allowed {
		t.Errorf("escaped: %+v", d)
	}
	if d := use(t, r, "a/keys/%53ecret"); d.Allowed {
		t.Errorf("escaped past a deny: %+v", d)
	}
}

func TestLessonStarsInNamesMatchThemselves(t *testing.T) {
	r := rules(t, "allow laptop use wallet/keys/%2A", "allow laptop use work/+/main")
	for on, want := range map[string]bool{
		"wallet/keys/%2A": true, "wallet/keys/main": false, "wallet/keys/@7": false,
		"work/+/main": true, "work/x/main": false,
	} {
		if d := use(t, r, on); d.Allowed != want {
			t.Errorf("%s: %+v", on, d)
		}
	}
	// A peer who is called "*" is not everyone, and no rule can name him.
	r, err := mustParse(t, policyText("allow * use a/**")).Resolve(map[string]string{"*": eveID, "laptop": laptopID})
	if err != nil {
		t.Fatal(err)
	}
	if d := use(t, r, "a/b/c"); !d.Allowed || d.Reason != "allow 1" {
		t.Errorf("%+v", d)
	}
	if n := r.Names(); len(n) != 0 {
		t.Errorf("the name * was resolved: %v", n)
	}
}

// A record's head and its versions are names of the same thing.
func TestLessonDenyBypassedByVersionOrHead(t *testing.T) {
	for _, test := range []struct {
		deny   string
		denied []string
		left   []string
	}{
		{"wallet/keys/*", []string{"@0", "@7", "@head", "main", "%407"}, nil},
		{"wallet/keys/**", []string{"@0", "@7", "@head", "main"}, nil},
		{"wallet/keys/@*", []string{"@0", "@7", "@head"}, []string{"main", "%40head", "%407"}},
		{"wallet/keys/@7", []string{"@7", "@head"}, []string{"@0", "@8", "main", "%407", "7"}},
		{"wallet/keys/@head", []string{"@0", "@7", "@head"}, []string{"main", "%40head", "head"}},
		{"**/@7", []string{"@7", "@head"}, []string{"@8", "main"}},
	} {
		for _, right := range []string{"use", "ed25519.sign"} {
			r := rules(t, "allow laptop "+right+" **,wallet/keys/*,wallet/keys/@*,wallet/keys/@head,wallet/keys/@7", "deny laptop "+right+" "+test.deny)
			for _, name := range test.denied {
				if d := use(t, r, "wallet/keys/"+name); d.Allowed || d.Reason != "deny 1 on "+test.deny {
					t.Errorf("deny %s: %s: %+v", test.deny, name, d)
				}
			}
			for _, name := range test.left {
				if d := use(t, r, "wallet/keys/"+name); !d.Allowed {
					t.Errorf("deny %s: %s: %+v", test.deny, name, d)
				}
			}
		}
	}
	// To allow one is not to allow the other.
	r := rules(t, "allow laptop use wallet/keys/@7")
	if d := use(t, r, "wallet/keys/@head"); d.Allowed {
		t.Errorf("the head by a version: %+v", d)
	}
	r = rules(t, "allow laptop use wallet/keys/@head")
	if d := use(t, r, "wallet/keys/@7"); d.Allowed {
		t.Errorf("a version by the head: %+v", d)
	}
}

// The id of wallet/keys/main is also that of main followed by zero bytes, and
// that of a long path also that of its hash (see addressable).
func TestLessonDenyBypassedBySecondNameOfARecord(t *testing.T) {
	r := rules(t, "allow laptop use,list **", "deny laptop use,list wallet/keys/main")
	for _, name := range []string{"main", "main%00", "main%00%00", strings.Repeat("x", protocol.MaxRecordPath+1)} {
		on := "wallet/keys/" + name
		if d := use(t, r, on); d.Allowed {
			t.Errorf("%s: %+v", on, d)
		}
		if r.MayList(laptopID, location(t, on)) {
			t.Errorf("%s is shown", on)
		}
	}
	for _, name := range []string{"%00main", "main%00x", strings.Repeat("x", protocol.MaxRecordPath)} {
		if d := use(t, r, "wallet/keys/"+name); !d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestLessonAnothersThingByItsID(t *testing.T) {
	id := "id:" + strings.Repeat("A", 32)
	r := rules(t, "allow laptop use,write,list **")
	for _, on := range []string{id + "/" + id + "/" + id, "wallet/keys/" + id, "wallet/" + id + "/main", id + "/keys/main", id + "/keys/@7", id + "/keys/@head"} {
		for name := range requests(t) {
			if d := r.Can(laptopID, operation(t, name), location(t, on)); d.Allowed {
				t.Errorf("%s on %s: %+v", name, on, d)
			}
		}
	}
	for _, prefix := range []string{id, id + "/" + id, "wallet/" + id} {
		if d := r.Can(laptopID, operation(t, "record.list"), location(t, prefix)); d.Allowed {
			t.Errorf("list %s: %+v", prefix, d)
		}
	}
}

func TestLessonSecondaryInputsUnchecked(t *testing.T) {
	from, to := location(t, "wallet/keys/from"), location(t, "wallet/keys/to")
	accesses := move.Accesses(&protocol.Request{Location: from, Target: to})
	if len(accesses) != 2 {
		t.Fatalf("accesses: %v", accesses)
	}
	for _, test := range []struct {
		rules []string
		want  bool
	}{
		{[]string{"allow laptop use wallet/keys/from", "allow laptop write wallet/keys/to"}, true},
		{[]string{"allow laptop use,write **"}, true},
		{[]string{"allow laptop use wallet/keys/from"}, false},
		{[]string{"allow laptop write wallet/keys/to"}, false},
		{[]string{"allow laptop use wallet/keys/to", "allow laptop write wallet/keys/from"}, false},
		{[]string{"allow laptop use,write wallet/keys/from"}, false},
		{[]string{"allow laptop use,write **", "deny laptop write wallet/keys/to"}, false},
		{[]string{"allow laptop use,write **", "deny laptop use wallet/keys/from"}, false},
		{[]string{"allow laptop use,write **", "deny laptop write wallet/keys/from"}, true},
	} {
		r := rules(t, test.rules...)
		if d := r.Check(laptopID, move, accesses); d.Allowed != test.want {
			t.Errorf("%v: %+v", test.rules, d)
		}
		// What is left out was not checked, and is not allowed.
		for i := range accesses {
			if d := r.Check(laptopID, move, accesses[i:i+1]); d.Allowed {
				t.Errorf("%v: one of two: %+v", test.rules, d)
			}
		}
		// Neither is a target that the request does not give.
		if d := r.Check(laptopID, move, move.Accesses(&protocol.Request{Location: from})); d.Allowed {
			t.Errorf("%v: no target: %+v", test.rules, d)
		}
	}
}

// A step of a pipeline or an item of a batch is an access like any other.
func TestLessonBatchItemUnchecked(t *testing.T) {
	r := rules(t, "allow laptop use wallet/**", "deny laptop use wallet/keys/root")
	sign := operation(t, "ed25519.sign")
	var batch []protocol.Access
	for range 100 {
		batch = append(batch, protocol.Access{Class: protocol.Use, Location: location(t, "wallet/keys/main")})
	}
	if d := r.Check(laptopID, sign, batch); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	for _, i := range []int{0, 50, 99} {
		for _, on := range []string{"wallet/keys/root", "work/keys/main"} {
			bad := append([]protocol.Access(nil), batch...)
			bad[i].Location = location(t, on)
			if d := r.Check(laptopID, sign, bad); d.Allowed {
				t.Errorf("%s at %d: %+v", on, i, d)
			}
		}
	}
}

func TestLessonRightMovesWithAName(t *testing.T) {
	p := mustParse(t, policyText("allow laptop use **", "deny eve use **"))
	before, err := p.Resolve(peers)
	if err != nil {
		t.Fatal(err)
	}
	// The laptop is renamed, and eve takes its name; alice takes eve's.
	now := map[string]string{"old-laptop": laptopID, "laptop": eveID, "eve": aliceID}
	var ids []string
	for _, id := range now {
		ids = append(ids, id)
	}
	after, err := p.Resolve(before.Names(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	sign, at := operation(t, "ed25519.sign"), location(t, "a/b/c")
	for _, r := range []*Rules{before, after} {
		for id, want := range map[string]Decision{laptopID: {true, "allow 1"}, eveID: {false, "deny 1 on **"}, aliceID: {false, "no rule matches"}} {
			if d := r.Can(id, sign, at); d != want {
				t.Errorf("%s: %+v", id, d)
			}
		}
	}
	if !maps.Equal(before.Names(), after.Names()) {
		t.Errorf("the names came to mean something else: %v, %v", before.Names(), after.Names())
	}
}

func TestLessonStrangerAsks(t *testing.T) {
	r := rules(t, "allow * use,write,list,extract,store-read,store-write **")
	for _, who := range []string{"", "*", "laptop", "12D3KooWStranger111111111111111111111111111111111111", laptopID + " ", strings.ToLower(laptopID)} {
		for name := range requests(t) {
			if d := r.Can(who, operation(t, name), location(t, "wallet/keys/main")); d.Allowed {
				t.Errorf("%q %s: %+v", who, name, d)
			}
		}
	}
}

func TestLessonFailsOpen(t *testing.T) {
	at := location(t, "wallet/keys/main")
	for name, r := range map[string]*Rules{"no policy": new(Rules), "an empty policy": rules(t)} {
		for op := range requests(t) {
			if d := r.Can(laptopID, operation(t, op), at); d.Allowed {
				t.Errorf("%s: %s: %+v", name, op, d)
			}
		}
		if r.MayList(laptopID, at) {
			t.Errorf("%s: shown", name)
		}
	}
	r := rules(t, "allow * use,write,list **")
	if d := r.Check(laptopID, nil, []protocol.Access{{Class: protocol.Use, Location: at}}); d.Allowed {
		t.Errorf("no operation: %+v", d)
	}
	local := &protocol.Operation{Name: "test.local", Door: protocol.DoorLocal, In: []protocol.Field{{Name: "location", Needs: protocol.Use}}}
	if d := r.Can(laptopID, local, at); d.Allowed {
		t.Errorf("an operation of the local door: %+v", d)
	}
	if d := r.Check(laptopID, operation(t, "ed25519.sign"), nil); d.Allowed {
		t.Errorf("no accesses: %+v", d)
	}
	if p, err := Parse([]byte(contract + "[[allow]]\n")); p != nil || err == nil {
		t.Errorf("half a policy was read: %v", err)
	}
}

func TestLessonInfoForTheUnauthorised(t *testing.T) {
	info := &protocol.Operation{Name: "test.info", Door: protocol.DoorPeer, In: []protocol.Field{{Name: "name"}}}
	r := rules(t, "allow * use,write,list,extract,store-read,store-write **")
	for _, accesses := range [][]protocol.Access{nil, {}, {{Class: protocol.Use, Location: location(t, "a/b/c")}}} {
		if d := r.Check(laptopID, info, accesses); d.Allowed {
			t.Errorf("%+v", d)
		}
	}
}

// The caller's maps and bytes may change; what was decided by may not.
func TestLessonPolicyChangesUnderTheFeet(t *testing.T) {
	text := []byte(policyText("allow laptop use wallet/keys/main"))
	names := maps.Clone(peers)
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(names)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	names["laptop"] = eveID
	if d := use(t, r, "wallet/keys/main"); !d.Allowed {
		t.Errorf("%+v", d)
	}
	if d := r.Can(eveID, operation(t, "ed25519.sign"), location(t, "wallet/keys/main")); d.Allowed {
		t.Errorf("%+v", d)
	}
}
