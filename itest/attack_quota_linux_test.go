package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// What a peer makes stays within the limits of config.toml, whichever of them he runs
// into, and the owner and the honest peer make what they like meanwhile and afterwards.
func TestAttackQuotas(t *testing.T) {
	t.Parallel()
	const most = 100
	for _, tt := range []struct {
		kind, limit string
		made        func(*protocol.Usage) uint64
		most        uint64
	}{
		{"generate", "records", (*protocol.Usage).GetRecords, most},
		{"tombstones", "tombstones", (*protocol.Usage).GetTombstones, most},
		{"clients", "clients", (*protocol.Usage).GetClients, most},
		{"put", "store_bytes", (*protocol.Usage).GetStoreBytes, 100 * 1024},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			t.Parallel()
			all := guests(t, "mallory")
			h := newLimitedHouse(t, all, `
[[allow]]
peers = ["mallory"]
ops = ["use", "write", "list", "store-read", "store-write"]
on = ["**"]
`, fmt.Sprintf("[limits.peer]\n%s = %d\n", tt.limit, tt.most))
			honest := all["honest"].client(t)
			r := all["mallory"].attack(t, assault{Kind: tt.kind, Streams: 4, InFlight: 16, Count: 2000})
			for i := range longer(40, 400) {
				if _, err := honest.GenerateKey(t.Context(), at(fmt.Sprintf("wallet/new/%d", i)), protocol.Ed25519, false); err != nil {
					t.Fatalf("the honest peer: %v", err)
				}
				h.must(t, ask("store.put", fmt.Sprintf("wallet/%d", i), func(r *protocol.Request) { r.Value = make([]byte, 4000) }))
			}
			made := func() uint64 {
				for _, p := range h.must(t, &protocol.Request{Operation: "peer.list"}).Peers {
					if p.Name == "mallory" {
						return tt.made(p.Usage)
					}
				}
				t.Fatal("the peer is gone")
				return 0
			}
			until(t, "he is at the limit", func() bool { return made() >= tt.most*9/10 })
			time.Sleep(300 * time.Millisecond)
			y := r.stop(t)
			if n := made(); n > tt.most || y.refused() == 0 {
				t.Errorf("he has made %d, of at most %d, and got %v", n, tt.most, y)
			}
			if _, err := honest.GenerateKey(t.Context(), at("wallet/new/last"), protocol.Ed25519, false); err != nil {
				t.Errorf("the honest peer, afterwards: %v", err)
			}
			h.must(t, ask("store.put", "wallet/last", func(r *protocol.Request) { r.Value = make([]byte, 4000) }))
			h.reopens(t)
		})
	}
}

// newLimitedHouse is newHouse with a config.toml.
func newLimitedHouse(t *testing.T, guests map[string]*guest, allow, config string) *house {
	t.Helper()
	path, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	if raceDetector {
		t.Skip("what is attacked is another process, and this one would only be slow")
	}
	first, err := firstHouse()
	if err != nil {
		t.Fatal(err)
	}
	limited := t.TempDir()
	if err := os.CopyFS(limited, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(limited, "home", "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return newHouseOf(t, path, limited, guests, allow)
}

// A peer who seals one input after the other keeps the owner from bringing in and taking
// out nothing: the zone remembers what has come, and room is kept for others. The long run
// is long enough to fill that memory.
func TestAttackSealedInputs(t *testing.T) {
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	r := all["mallory"].attack(t, assault{Kind: "inputs", Streams: 4, InFlight: 4})
	export := func() {
		file := filepath.Join(t.TempDir(), "out.stronghold")
		if code, out := h.command(t, "snapshot", "export", file, "--passphrase-file", h.passphrase); code != 0 {
			t.Errorf("export: exit %d: %s", code, out)
		}
	}
	i := 0
	for end := time.Now().Add(longer(2*time.Second, 120*time.Second)); time.Now().Before(end); i++ {
		if _, err := h.owner.ImportKey(t.Context(), at("wallet/brought/in"), protocol.Ed25519, make([]byte, 32), true); err != nil {
			t.Fatalf("the owner imports, the %dth time: %v", i, err)
		}
	}
	export()
	y := r.stop(t)
	if y.Statuses["ok"] == 0 {
		t.Errorf("the attacker got %v", y)
	}
	if _, err := h.owner.ImportKey(t.Context(), at("wallet/brought/in"), protocol.Ed25519, make([]byte, 32), true); err != nil {
		t.Errorf("the owner imports afterwards: %v", err)
	}
	export()
	h.reopens(t)
	t.Logf("the owner brought in %d; the attacker got %v", i, y)
}
