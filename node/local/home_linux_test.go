package local_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"go.uber.org/goleak"
	"golang.org/x/crypto/chacha20poly1305"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// emptySnapshot makes a file from snapshot/FORMAT.md, whose password hash takes no
// time. No writer of ours makes one.
func emptySnapshot(t testing.TB) []byte { return snapshotOfCost(t, 1) }

func snapshotOfCost(t testing.TB, cost int) []byte {
	t.Helper()
	var root [32]byte
	rand.Read(root[:])
	derive := func(purpose string, salt []byte) []byte {
		key, err := hkdf.Key(sha256.New, root[:], salt, "stronghold/4 "+purpose+"\x00", 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	bytes16 := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	encrypted := func(r age.Recipient, payload []byte) []byte {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, r)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(payload)
		w.Close()
		return bytes16(out.Bytes())
	}
	aead := func(purpose string, salt []byte) cipher.AEAD {
		aead, err := chacha20poly1305.New(derive(purpose, salt))
		if err != nil {
			t.Fatal(err)
		}
		return aead
	}
	lock, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	lock.SetWorkFactor(cost)
	own, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	slot := append(make([]byte, 8), 0) // made in 1970, without a label
	slot = append(append([]byte{1}, slot...), bytes16([]byte(own.Recipient().String()))...)
	slot = append(slot, encrypted(lock, []byte(own.String()))...)
	slot = append(slot, encrypted(own.Recipient(), root[:])...)
	id, records := make([]byte, 16), make([]byte, 32)
	rand.Read(id)
	rand.Read(records)
	file := append([]byte("PARTI\x04\x00"), id...)
	file = append(append(file, 1, 1), bytes16(slot)...)
	file = aead("records", id).Seal(append(file, 0, 0), make([]byte, 12), records, nil)
	h := hmac.New(sha256.New, derive("header", id))
	h.Write(file)
	mac := h.Sum(nil)
	head := binary.BigEndian.AppendUint64([]byte("I"), 12+16)
	file = append(append(file, mac...), head...)
	file = binary.BigEndian.AppendUint32(file, crc32.Checksum(head, crc32.MakeTable(crc32.Castagnoli)))
	nonce := [12]byte{11: 1}
	return aead("index", id).Seal(file, nonce[:], make([]byte, 12), mac)
}

// quickHome is a home like one of Init's, which is unlocked at once.
func quickHome(t testing.TB) local.Config {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	writeHome(t, home)
	return local.Config{Home: home, Workers: 2}
}

func writeHome(t testing.TB, home string) {
	t.Helper()
	for name, b := range map[string][]byte{"identity.key": []byte("identity"), "vault.stronghold": emptySnapshot(t), "policy.toml": nil} {
		if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func unlock(t testing.TB, s *local.Stronghold) {
	t.Helper()
	if err := s.Client().Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
}

// files are the names in a folder.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Init makes all of a home, or nothing at all.
func TestInit(t *testing.T) {
	parent := t.TempDir()
	cfg := local.Config{Home: filepath.Join(parent, "home")}
	o := local.InitOptions{Identity: []byte("identity"), Passphrase: []byte(passphrase), Cost: 17}
	for _, bad := range []local.InitOptions{{Cost: 16, Passphrase: o.Passphrase}, {Cost: 23, Passphrase: o.Passphrase}, {Cost: 17}} {
		if err := local.Init(t.Context(), cfg, bad); !errors.Is(err, protocol.ErrInvalid) {
			t.Errorf("cost %d, passphrase %q: %v", bad.Cost, bad.Passphrase, err)
		}
		if left := files(t, parent); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	if _, err := local.Open(t.Context(), cfg); !errors.Is(err, local.ErrNoHome) {
		t.Errorf("opened where nothing is: %v", err)
	}
	// Two at once, of which one is first.
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for range cap(errs) {
		wg.Go(func() { errs <- local.Init(t.Context(), cfg, o) })
	}
	wg.Wait()
	a, b := <-errs, <-errs
	if (a == nil) == (b == nil) || a != nil && a != local.ErrHomeExists || b != nil && b != local.ErrHomeExists {
		t.Fatalf("two at once: %v, %v", a, b)
	}
	if left := files(t, parent); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	for _, name := range append(files(t, cfg.Home), ".") {
		st, err := os.Stat(filepath.Join(cfg.Home, name))
		if err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	for what, home := range map[string]string{"a home": cfg.Home, "a folder with something in it": parent} {
		if err := local.Init(t.Context(), local.Config{Home: home}, o); err != local.ErrHomeExists {
			t.Errorf("over %s: %v", what, err)
		}
	}
	if err := local.Init(t.Context(), local.Config{Home: filepath.Join(cfg.Home, "identity.key")}, o); err == nil {
		t.Error("over a file")
	}
	s := open(t, cfg)
	unlock(t, s)
	if string(s.Identity()) != "identity" {
		t.Errorf("identity %q", s.Identity())
	}
}

func TestInUse(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	if _, err := local.Open(t.Context(), cfg); !errors.Is(err, local.ErrInUse) {
		t.Fatalf("a second one: %v", err)
	}
	unlock(t, s) // the first goes on
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
}

// What a home must not be.
func TestUntrustedHome(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, home string) error
		says  string // why Open refuses; "" if it does not
		want  error  // of an unlock
	}{
		"open to others":          {func(_ *testing.T, h string) error { return os.Chmod(h, 0o755) }, "open to other users", nil},
		"identity open to others": {func(_ *testing.T, h string) error { return os.Chmod(h+"/identity.key", 0o640) }, "open to other users", nil},
		"identity of another":     {func(t *testing.T, h string) error { return giveAway(t, h+"/identity.key") }, "another user", nil},
		"of another":              {func(t *testing.T, h string) error { return giveAway(t, h) }, "another user", nil},
		"identity a link":         {func(_ *testing.T, h string) error { return link(h + "/identity.key") }, "not a regular file", nil},
		"unknown setting":         {func(_ *testing.T, h string) error { return os.WriteFile(h+"/config.toml", []byte("lisen = []"), 0o600) }, "unknown setting", nil},
		"config that is none":     {func(_ *testing.T, h string) error { return os.WriteFile(h+"/config.toml", []byte("listen = ["), 0o600) }, "config.toml", nil},
		"large config":            {func(_ *testing.T, h string) error { return os.WriteFile(h+"/config.toml", make([]byte, 2<<20), 0o600) }, "larger", nil},
		"no snapshot":             {func(_ *testing.T, h string) error { return os.Remove(h + "/vault.stronghold") }, "", protocol.ErrMissing},
		"snapshot a link":         {func(_ *testing.T, h string) error { return link(h + "/vault.stronghold") }, "", protocol.ErrUnavailable},
		"snapshot of another":     {func(t *testing.T, h string) error { return giveAway(t, h+"/vault.stronghold") }, "", protocol.ErrUnavailable},
		"snapshot open to others": {func(_ *testing.T, h string) error { return os.Chmod(h+"/vault.stronghold", 0o644) }, "", protocol.ErrUnavailable},
		"snapshot a folder": {func(_ *testing.T, h string) error {
			return errors.Join(os.Remove(h+"/vault.stronghold"), os.Mkdir(h+"/vault.stronghold", 0o700))
		}, "", protocol.ErrUnavailable},
		"snapshot empty": {func(_ *testing.T, h string) error { return os.Truncate(h+"/vault.stronghold", 0) }, "", protocol.ErrNotASnapshot},
		"snapshot cut":   {func(_ *testing.T, h string) error { return os.Truncate(h+"/vault.stronghold", 100) }, "", protocol.ErrDamaged},
		"a Rust snapshot": {func(_ *testing.T, h string) error {
			return os.WriteFile(h+"/vault.stronghold", []byte("PARTI\x03\x00"), 0o600)
		}, "", protocol.ErrUnsupportedVersion},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := quickHome(t)
			if err := tt.spoil(t, cfg.Home); err != nil {
				t.Fatal(err)
			}
			s, err := local.Open(t.Context(), cfg)
			if tt.says != "" {
				if err == nil {
					s.Close()
				}
				if !errors.As(err, new(*local.HomeError)) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("got %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			// What was spoilt can be mended, without another start.
			os.RemoveAll(cfg.Home + "/vault.stronghold")
			if err := os.WriteFile(cfg.Home+"/vault.stronghold", emptySnapshot(t), 0o600); err != nil {
				t.Fatal(err)
			}
			unlock(t, s)
		})
	}
}

// giveAway makes a file another user's.
func giveAway(t *testing.T, path string) error {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	return os.Chown(path, 65534, -1)
}

// link puts a link in the place of a file.
func link(path string) error {
	return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
}

// What crashes have left of files that were being written goes.
func TestLeftovers(t *testing.T) {
	cfg := quickHome(t)
	for _, name := range []string{"vault.stronghold.unfinished-0123456789ab", "policy.toml.unfinished-0123456789ab", "mine.unfinished"} {
		if err := os.WriteFile(filepath.Join(cfg.Home, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, cfg)
	var left []string
	for _, name := range files(t, cfg.Home) {
		if strings.Contains(name, "unfinished") {
			left = append(left, name)
		}
	}
	if len(left) != 1 || left[0] != "mine.unfinished" {
		t.Errorf("left: %q", left)
	}
}

const (
	laptop  = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	desktop = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD"
)

const allowLaptop = `
[[allow]]
peers = ["laptop"]
ops   = ["ed25519.sign"]
on    = ["wallet/keys/*"]
`

func can(t testing.TB, s *local.Stronghold, peer string) bool {
	t.Helper()
	resp, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "policy.can", Peer: peer, Query: "ed25519.sign", Location: loc(t, "wallet/keys/main")})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Decision.Allowed
}

func TestPolicy(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	for name, id := range map[string]string{"laptop": laptop, "desktop": desktop} {
		if err := s.SetPeer(&protocol.Peer{Name: name, Id: id}); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(text string) error {
		_, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "policy.apply", Text: text})
		return err
	}
	if can(t, s, laptop) {
		t.Error("a new home allows something")
	}
	if err := apply(allowLaptop); err != nil {
		t.Fatal(err)
	}
	if !can(t, s, laptop) || can(t, s, desktop) {
		t.Error("the policy is not in force")
	}
	for _, bad := range []string{"nonsense", "[[allow]]\npeers = [\"nobody\"]\nops = [\"use\"]\non = [\"**\"]\n", "[[alow]]\n"} {
		if err := apply(bad); !errors.Is(err, protocol.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if !can(t, s, laptop) {
		t.Error("a refused policy changed something")
	}
	// Another takes the name. The right does not move: now, nor after a restart.
	if err := s.SetPeer(&protocol.Peer{Name: "laptop", Id: desktop}); err != nil {
		t.Fatal(err)
	}
	again := func(s *local.Stronghold) {
		t.Helper()
		if !can(t, s, laptop) || can(t, s, desktop) {
			t.Error("a right has moved with its name")
		}
	}
	again(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	again(s)
	if st, err := s.Client().Status(t.Context()); err != nil || st.PolicyError != "" {
		t.Errorf("%v %v", st, err)
	}
	// Whoever applies it again means the name of today.
	if err := apply(allowLaptop); err != nil {
		t.Fatal(err)
	}
	if can(t, s, laptop) || !can(t, s, desktop) {
		t.Error("names are not those of today")
	}
	s.Close()

	// An edit on the disk is applied at the start; one that cannot be allows nobody anything, and the status says so.
	edit := func(text string, mode os.FileMode) *local.Stronghold {
		t.Helper()
		path := filepath.Join(cfg.Home, "policy.toml")
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return open(t, cfg)
	}
	s = edit(strings.ReplaceAll(allowLaptop, `"laptop"`, `"`+laptop+`"`), 0o600)
	if !can(t, s, laptop) || can(t, s, desktop) {
		t.Error("an edited policy is not in force")
	}
	s.Close()
	for text, mode := range map[string]os.FileMode{"[[allow]]\npeers": 0o600, allowLaptop: 0o666} {
		s = edit(text, mode)
		st, err := s.Client().Status(t.Context())
		if err != nil || st.PolicyError == "" {
			t.Errorf("%q: the status says %v, %v", text, st, err)
		}
		if can(t, s, laptop) || can(t, s, desktop) {
			t.Errorf("%q: somebody is allowed something", text)
		}
		unlock(t, s) // the home is of use to its user all the same
		s.Close()
	}
}
