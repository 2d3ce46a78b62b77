package local_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// used is a home with some changes, closed, and its snapshot file.
func used(t testing.TB, keys ...string) (cfg local.Config, path string) {
	t.Helper()
	cfg = quickHome(t)
	change(t, cfg, keys...)
	return cfg, filepath.Join(cfg.Home, "vault.stronghold")
}

// change opens a home, writes values and closes it.
func change(t testing.TB, cfg local.Config, keys ...string) {
	t.Helper()
	s := open(t, cfg)
	defer s.Close()
	unlock(t, s)
	for _, key := range keys {
		if err := put(t.Context(), s, key, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
}

// has says which of the keys a home has, after it was unlocked.
func has(t testing.TB, s *local.Stronghold, keys ...string) (all string) {
	t.Helper()
	for _, key := range keys {
		if _, err := get(t.Context(), s, key); err == nil {
			all += key
		} else if !errors.Is(err, protocol.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return all
}

// An older copy in the place of the file is noticed, and opened only if told so.
func TestOlder(t *testing.T) {
	cfg, path := used(t, "a", "b")
	older := read(t, path)
	change(t, cfg, "c")
	s := open(t, cfg)
	unlock(t, s)
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	newest := read(t, path)
	other, otherPath := used(t, "a", "b", "c", "d")
	for name, file := range map[string][]byte{"older": older, "of another root key": read(t, otherPath), "without its last entry": older[:len(older)-1]} {
		write(t, path, file)
		s := open(t, cfg)
		for range 2 {
			if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrOlder) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := get(t.Context(), s, "a"); !errors.Is(err, protocol.ErrLocked) {
				t.Errorf("%s: after it was refused: %v", name, err)
			}
			if !bytes.Equal(read(t, path), file) {
				t.Errorf("%s: the file was changed", name)
			}
		}
		s.Close()
	}
	write(t, path, newest)
	s = open(t, cfg)
	unlock(t, s)
	if all := has(t, s, "a", "b", "c"); all != "abc" {
		t.Errorf("the newest has %q", all)
	}
	s.Close()

	write(t, path, older)
	s = open(t, cfg)
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{AcceptOlder: true}); err != nil {
		t.Fatal(err)
	}
	if all := has(t, s, "a", "b", "c"); all != "ab" {
		t.Errorf("the older one has %q", all)
	}
	s.Close()
	change(t, cfg, "d") // it is the newest now
	change(t, other)    // and that home knows its own
}

// As many replaced files stay as the setting says, and each is a snapshot.
func TestKeep(t *testing.T) {
	cfg := quickHome(t)
	write(t, filepath.Join(cfg.Home, "config.toml"), []byte("keep = 2\n"))
	s := open(t, cfg)
	unlock(t, s)
	for _, key := range []string{"a", "b", "c", "d"} {
		if err := put(t.Context(), s, key, []byte("value")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	path := filepath.Join(cfg.Home, "vault.stronghold")
	for n, changes := range map[int]uint64{0: 4, 1: 4, 2: 3} { // each with the journal that it had in the end
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		v, err := local.Verify(t.Context(), name, local.VerifyOptions{Secret: []byte(passphrase)})
		if err != nil || v.Changes != changes {
			t.Errorf("%s: %v, %v", filepath.Base(name), v, err)
		}
	}
	if _, err := os.Stat(path + ".3"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a third one: %v", err)
	}
	write(t, filepath.Join(cfg.Home, "config.toml"), []byte("keep = -1\n"))
	if _, err := local.Open(t.Context(), cfg); !errors.As(err, new(*local.HomeError)) {
		t.Errorf("keep = -1: %v", err)
	}
}

// What can be wrong with a file, and what it is called: for an unlock, which leaves
// memory and file as they were, and for a look at it.
func TestRefusedFiles(t *testing.T) {
	cfg, path := used(t, "a", "b")
	good := read(t, path)
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	s := open(t, cfg)
	unlock(t, s) // so that it knows the file
	if err := s.Client().Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file   []byte
		secret string
		want   *protocol.Error
		detail string
	}{
		"not a snapshot":  {[]byte("something else"), passphrase, protocol.ErrNotASnapshot, ""},
		"empty":           {nil, passphrase, protocol.ErrNotASnapshot, ""},
		"another version": {append([]byte("PARTI\x05\x00"), good[7:]...), passphrase, protocol.ErrUnsupportedVersion, "5.0"},
		"a Rust snapshot": {append([]byte("PARTI\x03\x00"), good[7:]...), passphrase, protocol.ErrUnsupportedVersion, "3.0"},
		"the header":      {flipped(10), passphrase, protocol.ErrDamaged, "header"},
		"the journal":     {flipped(len(good) - 100), passphrase, protocol.ErrDamaged, "journal at byte"},
		"half of it":      {good[:100], passphrase, protocol.ErrDamaged, "header"},
		"wrong key":       {good, "wrong", protocol.ErrWrongKey, ""},
		"too expensive":   {nil, passphrase, protocol.ErrTooExpensive, "2^30"},
	} {
		if name == "too expensive" {
			tt.file = bytes.Replace(good, []byte(" 1\n"), []byte(" 30\n"), 1)
			for _, at := range []int{25, bytes.Index(good, []byte("age-encryption.org")) - 2} { // the slot, and the lock in it
				binary.BigEndian.PutUint16(tt.file[at:], binary.BigEndian.Uint16(tt.file[at:])+1)
			}
		}
		write(t, path, tt.file)
		err := s.Client().Unlock(t.Context(), []byte(tt.secret))
		_, verifyErr := local.Verify(t.Context(), path, local.VerifyOptions{Secret: []byte(tt.secret)})
		for what, err := range map[string]error{"unlock": err, "verify": verifyErr} {
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if !bytes.Equal(read(t, path), tt.file) {
			t.Errorf("%s: the file was changed", name)
		}
		if _, err := get(t.Context(), s, "a"); !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("%s: %v", name, err)
		}
		write(t, path, good)
		unlock(t, s) // it stands in nobody's way
		if all := has(t, s, "a", "b"); all != "ab" {
			t.Errorf("after %s: %q", name, all)
		}
		if err := s.Client().Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := files(t, cfg.Home); len(left) != 4 {
			t.Errorf("%s left behind: %q", name, left)
		}
	}
}

func TestRestore(t *testing.T) {
	cfg, path := used(t, "a")
	older := write(t, filepath.Join(t.TempDir(), "older"), read(t, path))
	change(t, cfg, "b")
	newer := write(t, filepath.Join(t.TempDir(), "newer"), read(t, path))
	damaged := bytes.Clone(read(t, newer))
	damaged[len(damaged)-100] ^= 1
	bad := write(t, filepath.Join(t.TempDir(), "damaged"), damaged)

	restore := func(from string, o local.RestoreOptions) (string, error) {
		t.Helper()
		before := read(t, path)
		v, replaced, err := local.Restore(t.Context(), cfg, from, o)
		if (err != nil || o.DryRun) && (replaced != "" || !bytes.Equal(read(t, path), before)) {
			t.Error("the file was replaced all the same")
		}
		if err == nil && v.Changes == 0 {
			t.Errorf("verified: %+v", v)
		}
		return replaced, err
	}
	secret := []byte(passphrase)
	for name, tt := range map[string]struct {
		from string
		o    local.RestoreOptions
		want error
	}{
		"wrong passphrase": {newer, local.RestoreOptions{Secret: []byte("wrong")}, protocol.ErrWrongKey},
		"damaged":          {bad, local.RestoreOptions{Secret: secret, AcceptOlder: true}, protocol.ErrDamaged},
		"older":            {older, local.RestoreOptions{Secret: secret}, protocol.ErrOlder},
		"older, dry":       {older, local.RestoreOptions{Secret: secret, DryRun: true}, protocol.ErrOlder},
		"no file":          {older + " not", local.RestoreOptions{Secret: secret}, os.ErrNotExist},
		"dry":              {older, local.RestoreOptions{Secret: secret, AcceptOlder: true, DryRun: true}, nil},
	} {
		if _, err := restore(tt.from, tt.o); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left := files(t, cfg.Home); len(left) != 4 {
			t.Errorf("%s left behind: %q", name, left)
		}
	}
	s := open(t, cfg)
	if _, err := restore(newer, local.RestoreOptions{Secret: secret}); !errors.Is(err, local.ErrInUse) {
		t.Errorf("while it runs: %v", err)
	}
	s.Close()

	was := read(t, path)
	replaced, err := restore(older, local.RestoreOptions{Secret: secret, AcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, replaced), was) || !bytes.Equal(read(t, path), read(t, older)) {
		t.Error("the files are not where they belong")
	}
	s = open(t, cfg)
	unlock(t, s) // it is the newest now
	if all := has(t, s, "a", "b"); all != "a" {
		t.Errorf("it has %q", all)
	}
	s.Close()
	if _, err := restore(replaced, local.RestoreOptions{Secret: secret}); err != nil {
		t.Error(err)
	}
	s = open(t, cfg)
	unlock(t, s)
	if all := has(t, s, "a", "b"); all != "ab" {
		t.Errorf("it has %q", all)
	}
	s.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, replaced, err := local.Restore(t.Context(), cfg, newer, local.RestoreOptions{Secret: secret}); err != nil || replaced != "" {
		t.Errorf("in the place of none: %q, %v", replaced, err)
	}
	change(t, cfg, "c")
}
