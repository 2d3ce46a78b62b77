package local_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	_ "github.com/stronghold-go/stronghold/sandbox/engine/zone"
)

const passphrase = "correct horse battery staple"

// newHome makes a home with the cheapest password hash.
func newHome(t testing.TB) local.Config {
	t.Helper()
	cfg := local.Config{Home: filepath.Join(t.TempDir(), "home")}
	err := local.Init(t.Context(), cfg, local.InitOptions{Identity: []byte("identity"), Passphrase: []byte(passphrase), Cost: 17})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func open(t testing.TB, cfg local.Config) *local.Stronghold {
	t.Helper()
	s, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func loc(t testing.TB, text string) *protocol.Location {
	t.Helper()
	l, err := protocol.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSignAcrossLockAndRestart(t *testing.T) {
	cfg := newHome(t)
	s := open(t, cfg)
	c := s.Client()
	ctx := t.Context()
	key := loc(t, "wallet/keys/main")

	if _, err := c.GenerateKey(ctx, key, protocol.Ed25519, false); !errors.Is(err, protocol.ErrLocked) {
		t.Fatalf("locked: %v", err)
	}
	if err := c.Unlock(ctx, []byte("wrong")); !errors.Is(err, protocol.ErrWrongKey) {
		t.Fatalf("wrong passphrase: %v", err)
	}
	if err := c.Unlock(ctx, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	public, err := c.GenerateKey(ctx, key, protocol.Ed25519, false)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("a message")
	verify := func(c protocol.Client) {
		t.Helper()
		sig, err := c.Sign(ctx, key, message)
		if err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(public, message, sig) {
			t.Fatal("signature does not verify")
		}
	}
	verify(c)
	if err := c.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(ctx, key, message); !errors.Is(err, protocol.ErrLocked) {
		t.Fatalf("after lock: %v", err)
	}
	if err := c.Unlock(ctx, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	verify(c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if err := s.Client().Unlock(context.Background(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	verify(s.Client())
	if err := s.Client().Revoke(ctx, key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().Sign(ctx, key, message); !errors.Is(err, protocol.ErrNotFound) {
		t.Fatalf("after remove: %v", err)
	}
}
