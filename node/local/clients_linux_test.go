package local_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

func clientAt(name string) *protocol.Location { return &protocol.Location{Client: []byte(name)} }

func at(client, vault, record string) *protocol.Location {
	return &protocol.Location{Client: []byte(client), Vault: []byte(vault), Record: []byte(record)}
}

func do(t testing.TB, s *local.Stronghold, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp, err := s.Client().Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// keyOf makes a key in a client, whose sign signs with it.
func keyOf(t testing.TB, s *local.Stronghold, client string) ed25519.PublicKey {
	t.Helper()
	return do(t, s, &protocol.Request{Operation: "key.generate", Location: at(client, "keys", "main"), Kind: protocol.Ed25519}).PublicKey
}

func sign(ctx context.Context, s *local.Stronghold, client string, public ed25519.PublicKey) error {
	message := []byte("a message of " + client)
	resp, err := s.Client().Do(ctx, &protocol.Request{Operation: "ed25519.sign", Location: at(client, "keys", "main"), Message: message})
	if err == nil && !ed25519.Verify(public, message, resp.Signature) {
		err = errors.New("the signature is wrong")
	}
	return err
}

// openSome unlocks with these clients only.
func openSome(t testing.TB, s *local.Stronghold, names ...string) {
	t.Helper()
	var clients []*protocol.Location
	for _, n := range names {
		clients = append(clients, clientAt(n))
	}
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{Clients: clients}); err != nil {
		t.Fatal(err)
	}
}

func lockUp(t testing.TB, s *local.Stronghold) {
	t.Helper()
	if err := s.Client().Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What is not loaded is kept: when the file is written anew, under the same root key
// and under another, with something of it in the journal and without.
func TestUnloadedIsKept(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	unlock(t, s)
	names := []string{"a", "b", "c"}
	public := map[string]ed25519.PublicKey{}
	for _, name := range names {
		public[name] = keyOf(t, s, name)
	}
	do(t, s, save())
	for _, name := range names { // in the journal
		do(t, s, &protocol.Request{Operation: "record.disable", Location: at(name, "keys", "main")})
		do(t, s, &protocol.Request{Operation: "record.enable", Location: at(name, "keys", "main")})
	}
	check := func(what string) {
		t.Helper()
		lockUp(t, s)
		for _, name := range names {
			openSome(t, s, name)
			for _, other := range names {
				want := protocol.ErrNotLoaded
				if other == name {
					want = nil
				}
				if err := sign(t.Context(), s, other, public[other]); want == nil && err != nil || want != nil && !errors.Is(err, want) {
					t.Errorf("%s: only %s is loaded, and %s: %v", what, name, other, err)
				}
			}
			lockUp(t, s)
		}
		openSome(t, s, "a")
	}
	check("from the journal")
	do(t, s, save())
	check("the journal folded in")
	do(t, s, save())
	check("copied")
	rekey := func() {
		c := s.Client()
		req := &protocol.Request{Id: protocol.NewID(), Operation: "snapshot.rekey"}
		var err error
		if req.Secret, err = protocol.SealProof(do(t, s, &protocol.Request{Operation: "zone.key"}).PublicKey, req, &protocol.Proof{Key: []byte(passphrase)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	rekey()
	check("under another root key")
	do(t, s, &protocol.Request{Operation: "client.unload", Location: clientAt("a")})
	rekey() // nothing is loaded
	check("with nothing loaded")
	// One that is purged without being loaded is gone.
	do(t, s, &protocol.Request{Operation: "client.purge", Location: clientAt("b")})
	names = []string{"a", "c"}
	check("one purged")
	do(t, s, save())
	check("one purged, and saved")
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{}); !errors.Is(err, protocol.ErrExists) {
		t.Errorf("unlocked twice: %v", err)
	}
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "client.load", Location: clientAt("b")}); !errors.Is(err, protocol.ErrNotFound) {
		t.Errorf("loaded and purged: %v", err)
	}
	do(t, s, &protocol.Request{Operation: "client.load"})
	for _, name := range names {
		if err := sign(t.Context(), s, name, public[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, err := local.Verify(t.Context(), filepath.Join(cfg.Home, "vault.stronghold"), local.VerifyOptions{Secret: []byte(passphrase)}); err != nil || v.Recovered {
		t.Errorf("verified: %v, %v", v, err)
	}
}

// Clients come and go while others are used and changed, and the file is written anew.
func TestLoadAndUnloadWhileBusy(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	names := []string{"a", "b"}
	public := map[string]ed25519.PublicKey{"c": keyOf(t, s, "c")}
	for _, name := range names {
		public[name] = keyOf(t, s, name)
	}
	times := rounds(30, 2000)
	if raceDetector {
		times = 5
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var busy, changing sync.WaitGroup
	written := make([]int, len(names))
	for n, name := range names { // each client's value counts what was acknowledged
		changing.Go(func() {
			for i := 1; ctx.Err() == nil; i++ {
				_, err := s.Client().Do(context.Background(), &protocol.Request{Operation: "store.put",
					Location: &protocol.Location{Client: []byte(name), Vault: []byte("count")}, Value: []byte(fmt.Sprint(i))})
				switch {
				case err == nil:
					written[n] = i
				case !errors.Is(err, protocol.ErrNotLoaded):
					t.Errorf("%s: a change: %v", name, err)
					return
				}
			}
		})
		busy.Go(func() {
			for range times {
				for _, op := range []string{"client.unload", "client.load"} {
					if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: op, Location: clientAt(name)}); err != nil {
						t.Errorf("%s %s: %v", op, name, err)
					}
				}
			}
		})
		busy.Go(func() {
			for range times {
				if err := sign(t.Context(), s, name, public[name]); err != nil && !errors.Is(err, protocol.ErrNotLoaded) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	busy.Go(func() {
		for range times / 2 {
			if _, err := s.Client().Do(t.Context(), save()); err != nil {
				t.Errorf("save: %v", err)
			}
			if err := sign(t.Context(), s, "c", public["c"]); err != nil {
				t.Errorf("the one that stays: %v", err)
			}
		}
	})
	busy.Wait()
	cancel()
	changing.Wait()
	for range 2 {
		for n, name := range names {
			resp := do(t, s, &protocol.Request{Operation: "store.get", Location: &protocol.Location{Client: []byte(name), Vault: []byte("count")}})
			if written[n] == 0 || string(resp.Value) != fmt.Sprint(written[n]) {
				t.Errorf("%s: %d was acknowledged, and %s is there", name, written[n], resp.Value)
			}
			if err := sign(t.Context(), s, name, public[name]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		lockUp(t, s)
		unlock(t, s)
	}
}

// A section that is damaged hurts nobody but its client.
func TestDamagedClient(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	unlock(t, s)
	whole, hurt := "a", "b" // in the order of their ids, as in the file
	if a, b := vault.ClientID([]byte(whole)), vault.ClientID([]byte(hurt)); string(a[:]) > string(b[:]) {
		whole, hurt = hurt, whole
	}
	public := keyOf(t, s, whole)
	keyOf(t, s, hurt)
	do(t, s, save())
	lockUp(t, s)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(file) - 400 // in the second section, before the index
	file[end] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrDamaged) {
		t.Fatalf("all of it: %v", err)
	}
	openSome(t, s, whole)
	for range 2 {
		if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "client.load", Location: clientAt(hurt)}); !errors.Is(err, protocol.ErrDamaged) {
			t.Errorf("the damaged one: %v", err)
		}
		if err := sign(t.Context(), s, whole, public); err != nil {
			t.Error(err)
		}
		do(t, s, save()) // it is kept as it is: somebody may mend it
	}
}

// BenchmarkLoadClient loads one of a hundred clients, beside loading all of them.
func BenchmarkLoadClient(b *testing.B) {
	const clients, keys = 100, 1000
	cfg := quickHome(b)
	fillHome(b, cfg, clients, keys)
	s := open(b, cfg)
	load := func(loc *protocol.Location) time.Duration {
		start := time.Now()
		do(b, s, &protocol.Request{Operation: "client.load", Location: loc})
		return time.Since(start)
	}
	var one, all time.Duration
	for b.Loop() {
		openSome(b, s, "client 0")
		for i := 1; i < clients; i++ {
			one += load(clientAt(fmt.Sprint("client ", i)))
		}
		lockUp(b, s)
		openSome(b, s, "client 0")
		all += load(nil)
		lockUp(b, s)
	}
	each := one.Seconds() / (clients - 1)
	b.ReportMetric(each*1e6/float64(b.N), "µs/client")
	b.ReportMetric(each/all.Seconds(), "one/all")
}

// fillHome writes a snapshot of clients with keys into a home.
func fillHome(b *testing.B, cfg local.Config, clients, keys int) {
	b.Helper()
	path := filepath.Join(cfg.Home, "vault.stronghold")
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	arena, err := memory.NewArena(1 << 20)
	if err != nil {
		b.Fatal(err)
	}
	defer arena.Destroy()
	state, err := snapshot.Read(f, func(h *snapshot.Header) (*snapshot.Keys, error) {
		root, err := h.Open([]byte(passphrase), snapshot.MaxCost)
		if err != nil {
			return nil, err
		}
		return snapshot.KeysOf(arena, root)
	}, snapshot.Options{Arena: arena})
	if err != nil {
		b.Fatal(err)
	}
	defer state.Close()
	for c := range clients {
		change, err := state.DB.Stage(func(tx *vault.Tx) error {
			for i := range keys {
				p := vault.At(fmt.Append(nil, "client ", c), []byte("keys"), fmt.Append(nil, i))
				if _, err := tx.Put(p, vault.Value{Kind: vault.Data, Secret: make([]byte, 64)}, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := state.DB.Commit(change.Sequence); err != nil {
			b.Fatal(err)
		}
	}
	var out bytes.Buffer
	j, err := snapshot.Write(&out, state.Keys, state.Header, state.DB.Freeze(), nil)
	if err != nil {
		b.Fatal(err)
	}
	j.Close()
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
}
