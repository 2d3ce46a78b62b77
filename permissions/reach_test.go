package permissions

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// reachText writes a reach as a pattern would be written; ** is everything.
func reachText(parts []*protocol.Reach) string {
	var all []string
	for _, r := range parts {
		path := []string{}
		for _, s := range r.Path {
			switch {
			case s.Is != nil:
				path = append(path, string(s.Is))
			case s.Pieces != nil:
				path = append(path, string(bytes.Join(s.Pieces, []byte("*"))))
			case s.Version != nil:
				path = append(path, fmt.Sprintf("@%d", *s.Version))
			case s.Versions:
				path = append(path, "@*")
			default:
				path = append(path, "*")
			}
		}
		all = append(all, strings.Join(append(path, "**")[:max(1, len(path))], "/"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestReach: what a listing may show lies in Within, and what it may not and is denied in Except;
// that these are small is the point of it.
func TestReach(t *testing.T) {
	list, keys := operation(t, "record.list"), operation(t, "store.list")
	for _, tt := range []struct {
		rules         string
		want, except  string // of records
		store, hidden string
		everything    bool
		client        bool // all of wallet
	}{
		{rules: ""},
		{rules: "allow laptop list **", want: "**", everything: true, client: true},
		{rules: "allow laptop list,store-read **", want: "**", store: "**", everything: true, client: true},
		{rules: "allow laptop use wallet/**"},
		{rules: "allow laptop list wallet/**", want: "wallet", client: true},
		{rules: "allow laptop list w*/**", want: "w*", client: true},
		{rules: "allow laptop list other/**", want: "other"},
		{rules: "allow laptop list wallet/keys/*", want: "wallet/keys"},
		{rules: "allow laptop list wallet/keys/a*,wallet/keys/b", want: "wallet/keys/a* wallet/keys/b"},
		{rules: "allow laptop list wallet/keys/@3", want: "wallet/keys/@3"},
		{rules: "allow laptop list wallet/keys/@*", want: "wallet/keys/@*"},
		{rules: "allow laptop list wallet/keys/@head"},
		{rules: "allow laptop list wallet/*/main", want: "wallet/*/main"},
		{rules: "allow laptop list w*/keys/main", want: "w*/keys/main"},
		{rules: "allow laptop list */inbox/*", want: "*/inbox"},
		{rules: "allow laptop record.list wallet/keys/main;allow laptop list work/**", want: "wallet/keys/main work"},
		{rules: "allow laptop list wallet/keys/main;allow * list public/**", want: "public wallet/keys/main"},
		{rules: "allow laptop list wallet/keys/main,wallet/keys/main", want: "wallet/keys/main"},
		{rules: "allow laptop list **;deny laptop list wallet/**", want: "**", except: "wallet"},
		{rules: "allow laptop list **;deny * record.list other/keys/a*", want: "**", except: "other/keys/a*", client: true},
		{rules: "allow laptop list **;deny * list w*/keys/a*", want: "**", except: "w*/keys/a*"},
		{rules: "allow laptop list **;deny laptop use wallet/**", want: "**", everything: true, client: true},
		{rules: "allow laptop list **;deny laptop list wallet/keys/@head", want: "**", except: "wallet/keys/@*"},
		{rules: "allow eve list **"},
		{rules: "allow laptop store-read wallet/height,wallet/colour", store: "wallet/colour wallet/height"},
		{rules: "allow laptop store-read wallet/*;deny laptop store-read wallet/x*", store: "wallet", hidden: "wallet/x*"},
	} {
		var lines []string
		if tt.rules != "" {
			lines = strings.Split(tt.rules, ";")
		}
		r := rules(t, lines...)
		got, store := r.Reach(laptopID, list), r.Reach(laptopID, keys)
		if reachText(got.Within) != tt.want || reachText(got.Except) != tt.except || reachText(store.Within) != tt.store || reachText(store.Except) != tt.hidden {
			t.Errorf("%q: %q but %q, of a store %q but %q", tt.rules, reachText(got.Within), reachText(got.Except), reachText(store.Within), reachText(store.Except))
		}
		if got.Everything() != tt.everything || got.Client([]byte("wallet")) != tt.client {
			t.Errorf("%q: everything %t, all of a client %t", tt.rules, got.Everything(), got.Client([]byte("wallet")))
		}
		if r.Reach(laptopID, list) != got {
			t.Error("it is worked out again")
		}
	}
	if got := rules(t, "allow laptop list **").Reach("nobody", list); len(got.Within) > 0 || got.Everything() {
		t.Error("a stranger may list")
	}
	// So many places that there is no point in it.
	var on []string
	for i := range protocol.MaxPage + 1 {
		on = append(on, "wallet/keys/"+strings.Repeat("x", i%90+1)+string(rune('a'+i/90)))
	}
	many := strings.Join(on, ",")
	if got := rules(t, "allow laptop list "+many).Reach(laptopID, list); reachText(got.Within) != "**" || got.Everything() {
		t.Errorf("more places than a request takes: %q", reachText(got.Within))
	}
	if got := rules(t, "allow laptop list **", "deny laptop list "+many).Reach(laptopID, list); len(got.Except) != protocol.MaxPage || got.Everything() || got.Client([]byte("other")) {
		t.Errorf("more places than a request takes are denied: %d", len(got.Except))
	}
}

// holds is what a reach is by its definition.
func holds(parts []*protocol.Reach, l *protocol.Location) bool {
	return slices.ContainsFunc(parts, func(r *protocol.Reach) bool {
		for i, s := range r.Path {
			name := [][]byte{l.Client, l.Vault, l.Record}[i]
			if s.Is != nil && !bytes.Equal(s.Is, name) || s.Pieces != nil && (name == nil || !matchGlob(s.Pieces, name)) ||
				s.Versions && l.Version == nil || s.Version != nil && (l.Version == nil || *l.Version != *s.Version) {
				return false
			}
		}
		return true
	})
}

// TestReachIsTheRules compares it with the answers to each place.
func TestReachIsTheRules(t *testing.T) {
	list := operation(t, "record.list")
	random := rand.New(rand.NewPCG(5, 6))
	segments := []string{"a", "b", "a*", "*b", "*", "**"}
	records := append([]string{"@1", "@*", "@head"}, segments...)
	pattern := func() string {
		for {
			text := segments[random.IntN(6)] + "/" + segments[random.IntN(6)] + "/" + records[random.IntN(len(records))]
			if p, err := parsePattern(text); err == nil && len(p.expand(3)) > 0 {
				return text
			}
		}
	}
	var places []*protocol.Location
	for _, c := range []string{"a", "b", "ab"} {
		for _, v := range []string{"a", "b", "ab"} {
			for _, r := range []string{"a", "b", "ab", "@0", "@1"} {
				places = append(places, location(t, c+"/"+v+"/"+r))
			}
		}
	}
	for range 500 {
		var lines []string
		for range 1 + random.IntN(3) {
			lines = append(lines, []string{"allow laptop", "allow laptop", "allow *", "deny laptop", "deny *"}[random.IntN(5)]+" "+[]string{"list", "record.list"}[random.IntN(2)]+" "+pattern())
		}
		r := rules(t, lines...)
		reach := r.Reach(laptopID, list)
		all := true
		client := map[string]bool{"a": true, "b": true, "ab": true}
		for _, l := range places {
			may := r.MayList(laptopID, l)
			if got := holds(reach.Within, l) && !holds(reach.Except, l); got != may {
				t.Fatalf("%q: %s is in reach %t, may be listed %t", lines, l.Text(), got, may)
			}
			all = all && may
			client[string(l.Client)] = client[string(l.Client)] && may
		}
		if reach.Everything() && !all {
			t.Fatalf("%q: everything, and something is hidden", lines)
		}
		for c, may := range client {
			if reach.Client([]byte(c)) && !may {
				t.Fatalf("%q: all of %s, and something is hidden", lines, c)
			}
		}
	}
}
