package permissions

import (
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestWithin: what a listing may show lies in the places that Within gives; that
// these are few is the point of it.
func TestWithin(t *testing.T) {
	list, keys := operation(t, "record.list"), operation(t, "store.list")
	for _, tt := range []struct {
		rules string
		want  string // of records
		store string
	}{
		{"", "", ""},
		{"allow laptop list **", "*", ""},
		{"allow laptop list,store-read **", "*", "*"},
		{"allow laptop use wallet/**", "", ""},
		{"allow laptop list wallet/keys/*", "wallet/keys", ""},
		{"allow laptop list wallet/keys/a*,wallet/keys/b", "wallet/keys", ""},
		{"allow laptop list wallet/keys/a,wallet/keys/b", "wallet/keys/a wallet/keys/b", ""},
		{"allow laptop list wallet/keys/@3", "wallet/keys", ""},
		{"allow laptop list wallet/keys/@head", "wallet/keys", ""},
		{"allow laptop list wallet/*/main,wallet/keys/b", "wallet", ""},
		{"allow laptop list w*/keys/main", "*", ""},
		{"allow laptop record.list wallet/keys/main;allow laptop list work/**", "wallet/keys/main work", ""},
		{"allow laptop list wallet/keys/main;allow * list public/**", "public wallet/keys/main", ""},
		{"allow laptop list wallet/keys/main;deny laptop list wallet/**", "wallet/keys/main", ""}, // each entry is checked
		{"allow eve list **", "", ""},
		{"allow laptop store-read wallet/height,wallet/colour", "", "wallet/colour wallet/height"},
		{"allow laptop store-read wallet/*", "", "wallet"},
		{"allow laptop store.list wallet/h*", "", "wallet"},
	} {
		var lines []string
		if tt.rules != "" {
			lines = strings.Split(tt.rules, ";")
		}
		r := rules(t, lines...)
		for op, want := range map[*protocol.Operation]string{list: tt.want, keys: tt.store} {
			class := protocol.List
			if op == keys {
				class = protocol.StoreRead
			}
			places, all := r.Within(laptopID, op, class)
			var got []string
			for _, l := range places {
				got = append(got, l.Text())
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); !all && text != want || all != (want == "*") {
				t.Errorf("%q, %s: %q, all %v; want %q", tt.rules, op.Name, got, all, want)
			}
		}
	}
	if places, all := rules(t, "allow laptop list **").Within("nobody", list, protocol.List); len(places) > 0 || all {
		t.Error("a stranger may list")
	}
	// So many places that there is no point in it.
	var on []string
	for i := range protocol.MaxPage + 1 {
		on = append(on, "wallet/keys/"+strings.Repeat("x", i%90+1)+string(rune('a'+i/90)))
	}
	if _, all := rules(t, "allow laptop list "+strings.Join(on, ",")).Within(laptopID, list, protocol.List); !all {
		t.Error("more places than a request takes")
	}
}
