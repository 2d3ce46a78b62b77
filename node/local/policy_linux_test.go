package local_test

import (
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// TestShowAndApply: the policy that is told and applied again moves no right,
// whoever has the names by then, and says where they are others'.
func TestShowAndApply(t *testing.T) {
	s := open(t, quickHome(t))
	set := func(name, id string) {
		t.Helper()
		if err := s.SetPeer(&protocol.Peer{Name: name, Id: id}); err != nil {
			t.Fatal(err)
		}
	}
	do := func(op, text string) string {
		t.Helper()
		resp, err := s.Client().Do(t.Context(), &protocol.Request{Operation: op, Text: text})
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		return resp.Text
	}
	set("laptop", laptop)
	do("policy.apply", allowLaptop+"[[test]]\npeer=\"laptop\"\nop=\"ed25519.sign\"\non=\"wallet/keys/main\"\nexpect=\"allow\"\n")
	told := do("policy.show", "")
	for what, tt := range map[string]struct {
		change func()
		notes  string
	}{
		"nothing changed": {func() {}, ""},
		"renamed, and another has the name": {func() {
			if err := s.RenamePeer("laptop", "old"); err != nil {
				t.Fatal(err)
			}
			set("laptop", desktop)
		}, "laptop is " + laptop + " in it, which is called old now; it does not mean " + desktop + ", which is called laptop now"},
		"removed":  {func() { remove(t, s, "laptop") }, "laptop is " + laptop + " in it, which is not known now"},
		"replaced": {func() { set("laptop", desktop) }, "laptop is " + laptop + " in it, which is not known now; it does not mean " + desktop + ", which is called laptop now"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, p := range s.Peers() {
				remove(t, s, p.Name)
			}
			set("laptop", laptop)
			do("policy.apply", told)
			tt.change()
			if failed := do("policy.test", ""); failed != "" {
				t.Errorf("the policy in force fails its own tests: %s", failed)
			}
			for _, text := range []string{told, do("policy.show", "")} {
				notes := do("policy.apply", text)
				if !can(t, s, laptop) || can(t, s, desktop) {
					t.Errorf("a right has moved, by\n%s", text)
				}
				if notes != tt.notes {
					t.Errorf("applied with %q, want %q", notes, tt.notes)
				}
			}
		})
	}
	// Nothing at all is a policy too.
	if notes := do("policy.apply", ""); !strings.Contains(notes, "nobody anything") || can(t, s, laptop) {
		t.Errorf("an empty policy: %q", notes)
	}
}

func remove(t *testing.T, s *local.Stronghold, name string) {
	t.Helper()
	if err := s.RemovePeer(name); err != nil {
		t.Fatal(err)
	}
}
