package permissions

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

func TestResolve(t *testing.T) {
	for _, test := range []struct {
		name, text string
		names      map[string]string
		rule       string
		reason     string
	}{
		{"unknown in a rule", policyText("allow * use **", "allow nobody use **"), peers, "allow 2", "unknown peer nobody"},
		{"unknown in a deny", policyText("deny nobody use **"), peers, "deny 1", "unknown peer nobody"},
		{"unknown in a group, unused", "groups.g = ['nobody']", peers, "group g", "unknown peer nobody"},
		{"unknown in a test", "[[test]]\npeer='nobody'\nop='ed25519.sign'\non='a/b/c'\nexpect='deny'", peers, "test 1", "unknown peer nobody"},
		{"other case", policyText("allow Laptop use **"), peers, "allow 1", "unknown peer Laptop"},
		{"trailing space", "[[allow]]\npeers=['laptop ']\nops=['use']\non=['**']", peers, "allow 1", `unknown peer "laptop "`},
		{"look-alike", "[[allow]]\npeers=['l\u0430ptop']\nops=['use']\non=['**']", peers, "allow 1", `unknown peer "l\u0430ptop"`},
		{"no peers at all", policyText("allow laptop use **"), nil, "allow 1", "unknown peer laptop"},
		{"an id cut short", policyText("allow " + eveID[:51] + " use **"), peers, "allow 1", "unknown peer"},
		{"an id with a wrong letter", policyText("allow " + eveID[:51] + "0 use **"), peers, "allow 1", "unknown peer"},
		{"a peer without an id", policyText("allow ghost use **"), map[string]string{"ghost": ""}, "allow 1", "has no id"},
		{"a group and a peer of one name", "groups.laptop = ['eve']", peers, "group laptop", "a peer has the same name"},
		{"a name like another's id", policyText("allow " + eveID + " use **"), map[string]string{eveID: bobID}, "allow 1", "looks like the id"},
	} {
		r, err := mustParse(t, test.text).Resolve(test.names)
		var e *Error
		if !errors.As(err, &e) || r != nil || e.Rule != test.rule || !strings.Contains(e.Reason, test.reason) {
			t.Errorf("%s: got %v, %v", test.name, r, err)
		}
	}
}

func TestPeerIDs(t *testing.T) {
	const hash = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
	r := rules(t, "allow "+eveID+","+hash+" use a/b/*", "allow * use a/c/*", "deny * use a/b/denied")
	sign := operation(t, "ed25519.sign")
	for _, test := range []struct {
		id, on string
		want   bool
	}{
		{eveID, "a/b/c", true},
		{eveID, "a/c/c", true}, // eve is known
		{hash, "a/b/c", true},
		{hash, "a/c/c", false}, // "*" allows the known ones only
		{hash, "a/b/denied", false},
		{laptopID, "a/b/c", false},
		{laptopID, "a/c/c", true},
	} {
		if d := r.Can(test.id, sign, location(t, test.on)); d.Allowed != test.want {
			t.Errorf("%s on %s: %+v", test.id, test.on, d)
		}
	}
	if n := r.Names(); len(n) != 0 {
		t.Errorf("names of a policy without names: %v", n)
	}
}

func TestEveryoneIsEveryKnownPeer(t *testing.T) {
	p := mustParse(t, policyText("allow * use **"))
	stranger := "12D3KooWStranger111111111111111111111111111111111111"
	sign, at := operation(t, "ed25519.sign"), location(t, "a/b/c")
	r, err := p.Resolve(peers)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Can(stranger, sign, at); d.Allowed || d.Reason != "not a known peer" {
		t.Errorf("a stranger: %+v", d)
	}
	if r, err = p.Resolve(nil, stranger, laptopID, ""); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{stranger: true, laptopID: true, eveID: false, "": false} {
		if d := r.Can(id, sign, at); d.Allowed != want {
			t.Errorf("%q: %+v", id, d)
		}
	}
}

func TestNamesAndIDsOfOnePeerAreOne(t *testing.T) {
	r, err := mustParse(t, policyText("allow work-laptop use **", "deny home-laptop use a/**", "deny "+laptopID+" use b/**")).
		Resolve(map[string]string{"work-laptop": laptopID, "home-laptop": laptopID})
	if err != nil {
		t.Fatal(err)
	}
	for on, want := range map[string]bool{"a/b/c": false, "b/b/c": false, "c/b/c": true} {
		if d := use(t, r, on); d.Allowed != want {
			t.Errorf("%s: %+v", on, d)
		}
	}
}

func TestGroups(t *testing.T) {
	r := mustResolve(t, `
[groups]
phones = ["alice-phone", "bob-phone", "alice-phone"]
guests = ["bob-phone", "`+eveID+`"]
[[allow]]
peers = ["phones"]
ops = ["use"]
on = ["a/**"]
[[deny]]
peers = ["guests"]
ops = ["use"]
on = ["a/b/*"]
`)
	sign := operation(t, "ed25519.sign")
	for id, want := range map[string][2]bool{aliceID: {true, true}, bobID: {false, true}, eveID: {false, false}, laptopID: {false, false}} {
		got := [2]bool{r.Can(id, sign, location(t, "a/b/c")).Allowed, r.Can(id, sign, location(t, "a/x/c")).Allowed}
		if got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if got, want := r.Names(), (map[string]string{"alice-phone": aliceID, "bob-phone": bobID}); !maps.Equal(got, want) {
		t.Errorf("names: %v", got)
	}
}

// The reason is the first rule in the text that decides, whatever way a walk
// through the index takes.
func TestReasons(t *testing.T) {
	for _, test := range []struct {
		rules []string
		on    string
		want  Decision
	}{
		{[]string{"allow laptop use a/**", "allow * use **"}, "a/b/c", Decision{true, "allow 1"}},
		{[]string{"allow * use **", "allow laptop use a/b/c"}, "a/b/c", Decision{true, "allow 1"}},
		{[]string{"allow laptop use a/b/c", "allow laptop use a/b/*"}, "a/b/c", Decision{true, "allow 1"}},
		{[]string{"allow laptop use a/b/c", "allow laptop use a/b/*"}, "a/b/d", Decision{true, "allow 2"}},
		{[]string{"allow * use **", "deny * use a/b/*", "deny laptop use **"}, "a/b/d", Decision{false, "deny 1 on a/b/*"}},
		{[]string{"allow * use **", "deny * use x/b/*", "deny laptop use x/**,a/**"}, "a/b/d", Decision{false, "deny 2 on a/**"}},
		{[]string{"deny laptop use **"}, "a/b/d", Decision{false, "deny 1 on **"}},
		{[]string{"allow laptop use x/**"}, "a/b/d", Decision{false, "no rule matches"}},
	} {
		if got := use(t, rules(t, test.rules...), test.on); got != test.want {
			t.Errorf("%v on %s: %+v, want %+v", test.rules, test.on, got, test.want)
		}
	}
}

// A listing may be asked for a place if something there may be listed, and its
// entries are filtered one by one.
func TestListing(t *testing.T) {
	list := operation(t, "record.list")
	for _, test := range []struct {
		name      string
		rules     []string
		yes, no   []string // prefixes
		show, not []string // entries
	}{
		{"a vault", []string{"allow laptop list wallet/keys/*"},
			[]string{"", "wallet", "wallet/keys"}, []string{"wallet/key", "work", "wallet/keys2"},
			[]string{"wallet/keys/main", "wallet/keys/@7"}, []string{"wallet/key/main", "work/keys/main"}},
		{"one record", []string{"allow laptop record.list wallet/keys/main"},
			[]string{"", "wallet", "wallet/keys"}, []string{"wallet/key", "work"},
			[]string{"wallet/keys/main"}, []string{"wallet/keys/other", "wallet/keys/@head"}},
		{"every vault", []string{"allow laptop list wallet/**"},
			[]string{"", "wallet", "wallet/x"}, []string{"work", "work/x"},
			[]string{"wallet/x/y"}, []string{"work/x/y"}},
		{"globs", []string{"allow laptop list w*/k*/m*"},
			[]string{"", "wallet", "wallet/keys"}, []string{"allet", "wallet/x"},
			[]string{"wallet/keys/main"}, []string{"wallet/keys/x"}},
		{"another right", []string{"allow laptop use,write,extract **"},
			nil, []string{"", "wallet", "wallet/keys"}, nil, []string{"wallet/keys/main"}},
		{"all but one vault", []string{"allow laptop list **", "deny laptop list wallet/secret/*"},
			[]string{"", "wallet", "wallet/keys"}, []string{"wallet/secret"},
			[]string{"wallet/keys/main"}, []string{"wallet/secret/main", "wallet/secret/@head"}},
		{"all but one client", []string{"allow laptop list **", "deny laptop list wallet/**"},
			[]string{"", "work"}, []string{"wallet", "wallet/keys"},
			[]string{"work/keys/main"}, []string{"wallet/keys/main"}},
		{"all but some records", []string{"allow laptop list **", "deny laptop list **/s*"},
			[]string{"", "wallet", "wallet/keys"}, nil,
			[]string{"wallet/keys/main"}, []string{"wallet/keys/secret"}},
		{"nothing after all", []string{"allow laptop list **", "deny * record.list **"},
			nil, []string{"", "wallet", "wallet/keys"}, nil, []string{"wallet/keys/main"}},
		{"versions only", []string{"allow laptop list **", "deny laptop list wallet/keys/@*"},
			[]string{"wallet/keys"}, nil,
			[]string{"wallet/keys/main"}, []string{"wallet/keys/@7", "wallet/keys/@head"}},
	} {
		r := rules(t, test.rules...)
		for want, prefixes := range map[bool][]string{true: test.yes, false: test.no} {
			for _, prefix := range prefixes {
				req := &protocol.Request{Location: location(t, prefix)}
				if prefix == "" {
					req.Location = nil
				}
				if d := r.Check(laptopID, list, list.Accesses(req)); d.Allowed != want {
					t.Errorf("%s: list %q: %+v", test.name, prefix, d)
				}
			}
		}
		for want, entries := range map[bool][]string{true: test.show, false: test.not} {
			for _, entry := range entries {
				if got := r.MayList(laptopID, location(t, entry)); got != want {
					t.Errorf("%s: show %q: %v", test.name, entry, got)
				}
			}
		}
		if r.MayList(eveID, location(t, "wallet/keys/main")) || r.MayList("", location(t, "wallet/keys/main")) {
			t.Errorf("%s: others see it too", test.name)
		}
	}
}

func TestMayListNeedsAWholeLocation(t *testing.T) {
	r := rules(t, "allow laptop list **")
	for _, loc := range []*protocol.Location{nil, {}, location(t, "a"), location(t, "a/b"), location(t, "id:"+strings.Repeat("A", 32)+"/b/c")} {
		if r.MayList(laptopID, loc) {
			t.Errorf("%v may be shown", loc)
		}
	}
}

func TestStoreKeys(t *testing.T) {
	get, put := operation(t, "store.get"), operation(t, "store.put")
	r := rules(t, "allow laptop store-read wallet/*", "allow laptop use,write **", "deny laptop store-read **/secret")
	for _, test := range []struct {
		op   *protocol.Operation
		on   string
		want bool
	}{
		{get, "wallet/colour", true},
		{get, "wallet/secret", false},
		{get, "work/colour", false},
		{get, "wallet", false},
		{get, "wallet/keys/main", false},
		{put, "wallet/colour", false},
		{operation(t, "ed25519.sign"), "wallet/keys/main", true},
		{operation(t, "ed25519.sign"), "wallet/colour", false},
	} {
		if d := r.Can(laptopID, test.op, location(t, test.on)); d.Allowed != test.want {
			t.Errorf("%s on %s: %+v", test.op.Name, test.on, d)
		}
	}
}

func TestListingOfTheStore(t *testing.T) {
	list := operation(t, "store.list")
	r := rules(t, "allow laptop store-read wallet/c*,work/*", "allow laptop list,store-write **", "deny * store-read work/**")
	for prefix, want := range map[string]bool{"wallet": true, "work": false, "home": false} {
		if d := r.Can(laptopID, list, location(t, prefix)); d.Allowed != want {
			t.Errorf("%s: %+v", prefix, d)
		}
	}
	for key, want := range map[string]bool{"wallet/colour": true, "wallet/size": false, "work/colour": false, "wallet": false} {
		if got := r.MayList(laptopID, location(t, key)); got != want {
			t.Errorf("%s: %v", key, got)
		}
	}
}

func TestExtractIsInNoClass(t *testing.T) {
	export := &protocol.Operation{Name: "record.export", Door: protocol.DoorPeer, In: []protocol.Field{{Name: "location", Needs: protocol.Extract}}}
	at := location(t, "wallet/keys/main")
	for line, want := range map[string]bool{
		"allow laptop use,write,list,store-read,store-write **": false,
		"allow laptop extract wallet/**":                        true,
	} {
		if d := rules(t, line).Can(laptopID, export, at); d.Allowed != want {
			t.Errorf("%s: %+v", line, d)
		}
	}
	// Allowed by name, it still meets the rule that denies the class.
	r, err := (&Policy{rules: []*rule{{peers: []string{everyone}, ops: []grant{{name: export.Name, records: true}}, on: []pattern{{segments: []segment{{kind: across}}}}}}}).Resolve(peers)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Can(laptopID, export, at); !d.Allowed {
		t.Errorf("by its name: %+v", d)
	}
	r = rules(t, "allow laptop extract **", "deny * extract **")
	if d := r.Can(laptopID, export, at); d.Allowed {
		t.Errorf("denied by its class: %+v", d)
	}
}

func TestMalformedLocations(t *testing.T) {
	r := rules(t, "allow laptop use,list **")
	a, n := []byte("a"), uint64(7)
	whole := func() *protocol.Location { return &protocol.Location{Client: a, Vault: a, Record: a} }
	sign, list := operation(t, "ed25519.sign"), operation(t, "record.list")
	if d := r.Can(laptopID, sign, whole()); !d.Allowed {
		t.Fatalf("a good one: %+v", d)
	}
	for name, change := range map[string]func(*protocol.Location){
		"record and version": func(l *protocol.Location) { l.Version = &n },
		"record and head":    func(l *protocol.Location) { l.Head = true },
		"version and head":   func(l *protocol.Location) { l.Record, l.Version, l.Head = nil, &n, true },
		"no client":          func(l *protocol.Location) { l.Client = nil },
		"no vault":           func(l *protocol.Location) { l.Vault = nil },
		"no record":          func(l *protocol.Location) { l.Record = nil },
		"empty client":       func(l *protocol.Location) { l.Client = []byte{} },
		"empty vault":        func(l *protocol.Location) { l.Vault = []byte{} },
		"empty record":       func(l *protocol.Location) { l.Record = []byte{} },
		"long client":        func(l *protocol.Location) { l.Client = make([]byte, 257) },
		"client and its id":  func(l *protocol.Location) { l.ClientId = make([]byte, 24) },
		"vault by id":        func(l *protocol.Location) { l.Vault, l.VaultId = nil, make([]byte, 24) },
		"record by id":       func(l *protocol.Location) { l.Record, l.RecordId = nil, make([]byte, 24) },
	} {
		loc := whole()
		change(loc)
		if d := r.Can(laptopID, sign, loc); d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
		// As a prefix, what is missing at the end is no mistake.
		if d := r.Can(laptopID, list, loc); d.Allowed && name != "no record" {
			t.Errorf("%s as a prefix: %+v", name, d)
		}
	}
	if d := r.Can(laptopID, sign, nil); d.Allowed {
		t.Errorf("none: %+v", d)
	}
	if d := r.Can(laptopID, list, nil); !d.Allowed {
		t.Errorf("a listing of all: %+v", d)
	}
}

func TestPolicyTests(t *testing.T) {
	text := policyText("allow laptop use,list wallet/**", "deny * use **/root")
	test := func(peer, op, on, expect string) {
		text += "[[test]]\npeer='" + peer + "'\nop='" + op + "'\non='" + on + "'\nexpect='" + expect + "'\n"
	}
	test("laptop", "ed25519.sign", "wallet/keys/main", "allow")
	test("laptop", "ed25519.sign", "wallet/keys/root", "allow") // fails
	test("laptop", "record.list", "", "allow")
	test("laptop", "record.list", "wallet/keys", "allow")
	test("laptop", "record.list", "wallet/keys/root", "allow")
	test("laptop", "record.list", "work", "deny")
	test("eve", "ed25519.sign", "wallet/keys/@head", "deny")
	test(eveID, "ed25519.sign", "wallet/keys/@7", "allow")   // fails
	test("laptop", "key.public", "wallet/keys/main", "deny") // fails
	got := mustResolve(t, text).Test()
	want := []string{
		"test 2: laptop ed25519.sign wallet/keys/root: expected allow, got deny (deny 1 on **/root)",
		"test 8: " + eveID + " ed25519.sign wallet/keys/@7: expected allow, got deny (no rule matches)",
		"test 9: laptop key.public wallet/keys/main: expected deny, got allow (allow 1)",
	}
	if len(got) != len(want) {
		t.Fatalf("failures: %v", got)
	}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if got[0].Line != 14 {
		t.Errorf("the first failure is said to be in line %d", got[0].Line)
	}
}

// Rules are asked by every stream at once.
func TestConcurrentUse(t *testing.T) {
	r := mustResolve(t, contract)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if d := use(t, r, "wallet/keys/main"); !d.Allowed {
					t.Errorf("%+v", d)
				}
				r.MayList(laptopID, location(t, "wallet/keys/main"))
				r.Test()
				r.Names()["laptop"] = eveID
			}
		})
	}
	wg.Wait()
}
