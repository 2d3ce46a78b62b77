package vault_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stronghold-go/stronghold/snapshot/rust"
	"github.com/stronghold-go/stronghold/vault"
)

// Ids as they stand in files of the Rust Stronghold.
func TestIDs(t *testing.T) {
	secret := vault.VaultID([]byte("iota-wallet-secret"))
	for name, tt := range map[string]struct {
		got  vault.ID
		want string
	}{
		"client":               {vault.ClientID([]byte("iota_seed")), "4d6d354cd2fc52effbb5741cbe206da77024f8b3c3594f82"},
		"client with a hyphen": {vault.ClientID([]byte("iota-wallet-records")), "52ccd1d7e86523610b5534f05097d3b7c771ffbaeac7e7c9"},
		"vault":                {secret, "4dc00c84b7a4244e8686f5a1eaa4d82fe4f60ca81a50acfb"},
		"record":               {vault.RecordID(secret, []byte("iota-wallet-seed")), "c582e1fda802fd150b16ec724e268bc9a8ef5e11a1acf72d"},
	} {
		if got := hex.EncodeToString(tt.got[:]); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// The importer has its own derivation, held against real files.
func TestIDsAreTheImporters(t *testing.T) {
	paths := [][]byte{nil, {}, []byte("va"), []byte("with / and \x00"), {0, 9, 10, 99, 100, 255}, make([]byte, 256)}
	for _, v := range paths {
		same := func(what string, a vault.ID, b rust.ID) {
			t.Helper()
			if fmt.Sprintf("%x", a[:]) != fmt.Sprintf("%x", b[:]) {
				t.Errorf("%s of %q: %x, the importer has %x", what, v, a[:], b[:])
			}
		}
		same("client", vault.ClientID(v), rust.ClientID(v))
		same("vault", vault.VaultID(v), rust.VaultID(v))
		for _, r := range paths {
			same("record", vault.RecordID(vault.VaultID(v), r), rust.RecordID(v, r))
		}
		for _, n := range []uint64{0, 1, 3, 10, 1<<64 - 1} {
			same("counter", vault.CounterID(v, n), rust.CounterID(v, n))
		}
	}
}

func TestPlaces(t *testing.T) {
	p := vault.At([]byte("c"), []byte("va"), []byte("r"))
	if p.Client != vault.ClientID([]byte("c")) || p.Vault != vault.VaultID([]byte("va")) || p.Record != vault.RecordID(p.Vault, []byte("r")) {
		t.Error("a generic place")
	}
	v := p.Version(3)
	if !v.Counter || v.Head || v.Number != 3 || v.RecordName != nil || v.Record != vault.CounterID([]byte("va"), 3) {
		t.Error("a counter place")
	}
	if p.Counter || string(p.RecordName) != "r" {
		t.Error("Version changed the place it was asked of")
	}
}

// TestIDsAreRemembered: an id is the same whether it is remembered or not, whatever else was asked for.
func TestIDsAreRemembered(t *testing.T) {
	want := func(data, path []byte) (id vault.ID) {
		mac := hmac.New(sha512.New, path)
		mac.Write(data)
		copy(id[:], mac.Sum(nil))
		return id
	}
	var paths [][]byte
	for i := range 2000 {
		paths = append(paths, fmt.Append(nil, "path ", i))
	}
	for _, n := range []int{0, 1, 128, 129} {
		paths = append(paths, bytes.Repeat([]byte("p"), n))
	}
	for range 2 {
		for i, path := range paths {
			if got := vault.ClientID(path); got != want(path, path) {
				t.Fatalf("client %.20q: %x", path, got)
			}
			in := vault.VaultID(paths[(i+1)%len(paths)])
			for range 2 {
				if got := vault.RecordID(in, path); got != want(in[:], path) {
					t.Fatalf("record %.20q: %x", path, got)
				}
			}
		}
	}
	path := []byte("changed")
	before := vault.ClientID(path)
	path[0] = 'C'
	if after := vault.ClientID(path); after == before || after != want(path, path) {
		t.Error("what is remembered changed with the caller's bytes")
	}
}
