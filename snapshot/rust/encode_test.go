package rust

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is a state with everything that a file can have.
func sample() *State {
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	record := func(vault, path, secret string) Record {
		return Record{ID: RecordID([]byte(vault), []byte(path)), Secret: Secret(secret), Hint: []byte{}}
	}
	main := Vault{ID: VaultID([]byte("main"))}
	main.Records = append(main.Records, record("main", "one", "secret one"), record("main", "empty", ""))
	hinted := record("main", "hinted", strings.Repeat("long", 5000))
	hinted.Hint = []byte("a hint of 24 bytes, full")
	short := record("main", "short", "\x00\x00")
	short.Hint = []byte{0, 1}
	main.Records = append(main.Records, hinted, short)
	for n := range uint64(20) {
		main.Records = append(main.Records, Record{
			ID: CounterID([]byte("main"), n), Secret: fmt.Appendf(nil, "version %d", n), Hint: []byte{},
		})
	}
	c := Client{ID: ClientID([]byte("client")), Vaults: []Vault{main, {ID: VaultID([]byte("empty"))}}}
	for i := range 40 {
		path := fmt.Appendf(nil, "vault %d", i)
		c.Vaults = append(c.Vaults, Vault{ID: VaultID(path), Records: []Record{record(string(path), "r", "x")}})
	}
	old := VaultID([]byte("old"))
	c.Store = []Entry{
		{Key: []byte("key"), Value: []byte("value")},
		{Key: []byte("expires"), Value: bytes.Repeat([]byte{1}, 3000), Expires: at},
		{Key: []byte("expired"), Value: []byte("still here"), Expires: time.Unix(0, 0)},
		{Key: []byte("far"), Value: []byte{}, Expires: time.Unix(1<<40, 999999999)},
		{Key: []byte{}, Value: []byte("no key")},
		{Key: old[:], Value: []byte("as 0.3 named them")},
	}
	return &State{Clients: []Client{c, {ID: ClientID([]byte("empty"))}, {ID: ID{}}}}
}

// sorted brings a state into the order of Open, with its times in UTC.
func sorted(s *State) *State {
	out := &State{Clients: []Client{}}
	for _, c := range s.Clients {
		n := Client{ID: c.ID, Store: []Entry{}}
		for _, v := range c.Vaults {
			records := append([]Record{}, v.Records...)
			sortByID(records, func(r *Record) ID { return r.ID })
			n.Vaults = append(n.Vaults, Vault{ID: v.ID, Records: records})
		}
		sortByID(n.Vaults, func(v *Vault) ID { return v.ID })
		for _, e := range c.Store {
			if !e.Expires.IsZero() {
				e.Expires = e.Expires.UTC()
			}
			n.Store = append(n.Store, e)
		}
		sortEntries(n.Store)
		out.Clients = append(out.Clients, n)
	}
	sortByID(out.Clients, func(c *Client) ID { return c.ID })
	return out
}

func TestEncode(t *testing.T) {
	s := sample()
	before := fmt.Sprintf("%#v", s)
	for _, workFactor := range []int{0, 1, 10} {
		file, err := Encode(s, testKey(), workFactor)
		if err != nil {
			t.Fatal(err)
		}
		want := Info{V3, workFactor, 1024 << workFactor}
		if info, err := Detect(file); err != nil || info != want {
			t.Errorf("%+v, %v; want %+v", info, err, want)
		}
		got, err := Open(file, testKey(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := sorted(s); !reflect.DeepEqual(got, want) {
			t.Error("another state came back")
		}
		wrong := testKey()
		wrong[31] ^= 1
		if _, err := Open(file, wrong, Options{}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("wrong key: %v", err)
		}
	}
	if fmt.Sprintf("%#v", s) != before {
		t.Error("the state was changed")
	}
}

// reencode writes a state that came from a file and compares what comes back, revoked secrets too.
func reencode(t *testing.T, s *State) {
	t.Helper()
	file, err := Encode(s, testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(file, testKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	flat := func(s *State) string {
		var b strings.Builder
		for _, c := range s.Clients {
			fmt.Fprintf(&b, "client %x %v\n", c.ID, c.Store)
			for _, v := range c.Vaults {
				fmt.Fprintf(&b, " vault %x\n", v.ID)
				for _, r := range v.Records {
					revoked, err := r.RevokedSecret()
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&b, "  %x %q %v %x %x\n", r.ID, r.Hint, r.Revoked, []byte(r.Secret), []byte(revoked))
				}
			}
		}
		return b.String()
	}
	if a, b := flat(s), flat(got); a != b {
		t.Errorf("another state came back:\n%s\n%s", a, b)
	}
}

func TestEncodeRevoked(t *testing.T) {
	s := &State{Clients: []Client{{ID: ID{1}, Vaults: []Vault{{ID: ID{2}, Records: []Record{
		{ID: ID{3}, Secret: Secret("kept"), Hint: []byte("hint"), Revoked: true},
		{ID: ID{4}, Revoked: true},
		{ID: ID{5}, Secret: Secret("live")},
	}}}}}}
	file, err := Encode(s, testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again, from what was read
		got, err := Open(file, testKey(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		records := got.Clients[0].Vaults[0].Records
		for i, want := range []string{"kept", "", "live"} {
			r := &records[i]
			if r.Revoked != (i < 2) || r.Revoked && r.Secret != nil {
				t.Errorf("record %d: revoked %v, secret of %d bytes", i, r.Revoked, len(r.Secret))
			}
			secret := r.Secret
			if r.Revoked {
				if secret, err = r.RevokedSecret(); err != nil {
					t.Fatal(err)
				}
			} else if none, err := r.RevokedSecret(); none != nil || err != nil {
				t.Errorf("a live record: %v, %v", none, err)
			}
			if string(secret) != want {
				t.Errorf("record %d has another secret", i)
			}
		}
		if string(records[0].Hint) != "hint" {
			t.Errorf("hint %q", records[0].Hint)
		}
		if file, err = Encode(got, testKey(), 0); err != nil {
			t.Fatal(err)
		}
		got.Wipe()
		if _, err := records[0].RevokedSecret(); classify(t, err) != string(StageVault) {
			t.Errorf("after Wipe: %v", err)
		}
		if _, err := Encode(got, testKey(), 0); classify(t, err) != string(StageVault) {
			t.Errorf("encoded after Wipe: %v", err)
		}
	}
}

// The Rust loader wants 173 bytes, and both copies of a vault's key.
func TestEncodeForRust(t *testing.T) {
	file, err := Encode(new(State), testKey(), 0)
	if err != nil || len(file) < 173 {
		t.Errorf("the smallest file has %d bytes, %v", len(file), err)
	}
	if file, err = Encode(sample(), testKey(), 0); err != nil {
		t.Fatal(err)
	}
	block, _, err := openContainer(file, testKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := decompress(block, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := parseState(content)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, c := range raw {
		if len(c.keys) != len(c.vaults) {
			t.Errorf("%d keys for %d vaults", len(c.keys), len(c.vaults))
		}
		for i, v := range c.vaults {
			if c.keys[i].vault != v.id || !bytes.Equal(c.keys[i].key, v.key) {
				t.Error("the key store and the vault differ")
			}
			if seen[string(v.key)] {
				t.Error("two vaults have one key")
			}
			seen[string(v.key)] = true
			for _, r := range v.records {
				if len(r.data) != 152 {
					t.Errorf("a transaction of %d bytes", len(r.data))
				}
			}
		}
	}
	again, err := Encode(sample(), testKey(), 0)
	if err != nil || bytes.Equal(again, file) {
		t.Errorf("two files are alike, %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	with := func(v ...Vault) *State { return &State{Clients: []Client{{Vaults: v}}} }
	for _, test := range []struct {
		name string
		s    *State
	}{
		{"client twice", &State{Clients: []Client{{ID: ID{1}}, {ID: ID{2}}, {ID: ID{1}}}}},
		{"vault twice", with(Vault{ID: ID{1}}, Vault{ID: ID{1}})},
		{"record twice", with(Vault{Records: []Record{{ID: ID{1}}, {ID: ID{1}}}})},
		{"long hint", with(Vault{Records: []Record{{Hint: make([]byte, 25)}}})},
		{"entry twice", &State{Clients: []Client{{Store: []Entry{{Key: []byte("a")}, {Key: []byte("a")}}}}}},
		{"before 1970", &State{Clients: []Client{{Store: []Entry{{Expires: time.Unix(-1, 0)}}}}}},
	} {
		if file, err := Encode(test.s, testKey(), 0); file != nil || !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for _, workFactor := range []int{-1, 24, 63} {
		if _, err := Encode(new(State), testKey(), workFactor); err == nil {
			t.Errorf("work factor %d", workFactor)
		}
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := Encode(new(State), make([]byte, n), 0); !errors.Is(err, ErrKeySize) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestWipe(t *testing.T) {
	file, err := Encode(sample(), testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(file, testKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var held [][]byte
	for _, c := range s.Clients {
		for _, v := range c.Vaults {
			for _, r := range v.Records {
				held = append(held, r.Secret)
			}
		}
		for _, e := range c.Store {
			held = append(held, e.Value)
		}
	}
	if len(held) < 60 {
		t.Fatalf("%d values", len(held))
	}
	s.Wipe()
	for _, b := range held {
		if !allZero(b) {
			t.Error("a value was not wiped")
		}
	}
}

// A secret shows in no print of a state and in no encoding of it.
func TestSecretIsNotShown(t *testing.T) {
	s := &State{Clients: []Client{{Vaults: []Vault{{Records: []Record{
		{Secret: Secret("hunter2")}, {ID: ID{1}, Revoked: true, Secret: Secret("hunter2")},
	}}}}}}
	file, err := Encode(s, testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	read, err := Open(file, testKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	secret := s.Clients[0].Vaults[0].Records[0].Secret
	key := read.Clients[0].Vaults[0].Records[1].sealed().key
	for _, v := range []any{s, *s, read, *read, read.Clients, secret, &secret, read.Clients[0].Vaults[0].Records} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range []string{
				"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110", "0x68, 0x75",
				fmt.Sprintf("%x", key[:8]), fmt.Sprintf("%d %d %d %d", key[0], key[1], key[2], key[3]),
			} {
				if strings.Contains(got, leak) {
					t.Errorf("%s of a %T shows a secret", verb, v)
				}
			}
		}
		if _, err := json.Marshal(v); err == nil {
			t.Errorf("a %T was marshalled", v)
		}
		if err := gob.NewEncoder(io.Discard).Encode(v); err == nil {
			t.Errorf("a %T was encoded", v)
		}
	}
}
