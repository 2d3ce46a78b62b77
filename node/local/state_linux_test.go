package local_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// A state.db that is cut, empty or something else is named, and ends nothing.
func TestDamagedState(t *testing.T) {
	cfg, vault := used(t, "a")
	path := filepath.Join(cfg.Home, "state.db")
	good, snapshot := read(t, path), read(t, vault)
	for _, n := range []int{0, 1, 100, 512, 4095, 4096, 8192, 12288, len(good) / 2} {
		write(t, path, good[:n])
		s, err := local.Open(t.Context(), cfg)
		var home *local.HomeError
		if !errors.As(err, &home) || home.Path != path || !home.Damaged {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
		if err == nil {
			s.Close()
		}
		if _, _, err := local.Restore(t.Context(), cfg, vault, local.RestoreOptions{Secret: []byte(passphrase)}); !errors.As(err, &home) || !home.Damaged {
			t.Errorf("%d of %d bytes: restore: %v", n, len(good), err)
		}
		if !bytes.Equal(read(t, path), good[:n]) {
			t.Fatalf("%d of %d bytes: it was changed", n, len(good))
		}
	}
	write(t, path, bytes.Repeat([]byte("text"), 8<<10))
	if _, err := local.Open(t.Context(), cfg); !errors.As(err, new(*local.HomeError)) {
		t.Errorf("something else: %v", err)
	}
	// Pages that are not what they were: whatever comes of it, the process goes on.
	for at := 0; at < len(good); at += 1 << 10 {
		b := bytes.Clone(good)
		for i := range 1 << 10 {
			b[at+i] ^= 0x55
		}
		if err := os.Remove(path); err != nil { // bbolt keeps a file open that it could not read
			t.Fatal(err)
		}
		write(t, path, b)
		if s, err := local.Open(t.Context(), cfg); err == nil {
			s.Close()
		} else if !errors.As(err, new(*local.HomeError)) {
			t.Errorf("at %d: %v", at, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, append(good[:len(good):len(good)], make([]byte, 4096)...)) // longer than it says
	s := open(t, cfg)
	unlock(t, s)
	s.Close()
	if !bytes.Equal(read(t, vault), snapshot) {
		t.Error("the snapshot was changed")
	}
}

// Without what the home remembered, a used snapshot takes a yes, once. One that is as it
// was made takes none.
func TestNewState(t *testing.T) {
	cfg, _ := used(t, "a")
	path := filepath.Join(cfg.Home, "state.db")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the new one is no yes
		s := open(t, cfg)
		if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrOlder) {
			t.Errorf("beside a new state.db: %v", err)
		}
		s.Close()
	}
	s := open(t, cfg)
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{AcceptOlder: true}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	change(t, cfg, "b")

	unused := quickHome(t)
	if err := os.Remove(filepath.Join(unused.Home, "state.db")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	change(t, unused, "a")
}

// A copy of a home that has gone another way is noticed, also at the same number.
func TestOtherWay(t *testing.T) {
	save := func(cfg local.Config) {
		s := open(t, cfg)
		defer s.Close()
		unlock(t, s)
		if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
			t.Fatal(err)
		}
	}
	for name, ways := range map[string]struct {
		here, there func(cfg local.Config)
		fits        bool // what was written there has what was written here
	}{
		"one change each":           {func(cfg local.Config) { change(t, cfg, "b") }, func(cfg local.Config) { change(t, cfg, "c") }, false},
		"more there":                {func(cfg local.Config) { change(t, cfg, "b") }, func(cfg local.Config) { change(t, cfg, "c", "d", "e") }, false},
		"folded there":              {func(cfg local.Config) { change(t, cfg, "b") }, func(cfg local.Config) { change(t, cfg, "c"); save(cfg) }, false},
		"folded here":               {func(cfg local.Config) { change(t, cfg, "b"); save(cfg) }, func(cfg local.Config) { change(t, cfg, "c") }, false},
		"only folded there":         {func(local.Config) {}, save, false}, // nothing in the file tells what it was made of
		"changes there alone":       {func(local.Config) {}, func(cfg local.Config) { change(t, cfg, "c", "d") }, true},
		"folded, and changes there": {save, func(cfg local.Config) { change(t, cfg, "c", "d") }, false},
	} {
		cfg, path := used(t, "a")
		there := local.Config{Home: filepath.Join(t.TempDir(), "copy")}
		if err := os.Mkdir(there.Home, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range files(t, cfg.Home) {
			write(t, filepath.Join(there.Home, filepath.Base(file)), read(t, filepath.Join(cfg.Home, filepath.Base(file))))
		}
		ways.here(cfg)
		ways.there(there)
		own := read(t, path)
		write(t, path, read(t, filepath.Join(there.Home, "vault.stronghold")))
		s := open(t, cfg)
		err := s.Client().Unlock(t.Context(), []byte(passphrase))
		if errors.Is(err, protocol.ErrOlder) == ways.fits || err != nil && !errors.Is(err, protocol.ErrOlder) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		if !ways.fits {
			write(t, path, own)
			change(t, cfg, "z")
		}
	}
}
