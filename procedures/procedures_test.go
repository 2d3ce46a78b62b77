package procedures

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

func newArena(t testing.TB) *memory.Arena {
	t.Helper()
	arena, err := memory.NewArena(512 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	return arena
}

// isEmpty fails unless all of the arena can be had.
func isEmpty(t testing.TB, arena *memory.Arena) {
	t.Helper()
	all, err := arena.New(arena.Size())
	if err != nil {
		t.Error("something was left in the arena")
		return
	}
	all.Destroy()
}

// bytesOf takes what was made out of the arena.
func bytesOf(t testing.TB, m *Made) (b []byte) {
	t.Helper()
	if err := m.Secret.Use(func(s []byte) error { b = bytes.Clone(s); return nil }); err != nil {
		t.Fatal(err)
	}
	m.Secret.Destroy()
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func isInput(t testing.TB, what string, err error, field string) {
	t.Helper()
	input := new(InputError)
	if !errors.As(err, &input) || input.Field != field {
		t.Errorf("%s: %v, want something about %s", what, err, field)
	}
}

// Every kind has one name on the wire, and each of those one kind.
func TestKinds(t *testing.T) {
	seen := map[vault.Kind]bool{}
	for _, name := range protocol.Kinds() {
		k, err := KindOf(name)
		if err != nil || KindName(k) != name || seen[k] {
			t.Errorf("%s: %d, %s, %v", name, k, KindName(k), err)
		}
		seen[k] = true
	}
	if len(seen) != len(kindNames) {
		t.Errorf("%d kinds on the wire, %d here", len(seen), len(kindNames))
	}
	for _, name := range []string{"", "untyped", "ED25519", "rsa"} {
		_, err := KindOf(name)
		isInput(t, name, err, "kind")
	}
	for _, k := range []vault.Kind{vault.Untyped, 200} {
		if KindName(k) != "untyped" {
			t.Errorf("kind %d is called %s", k, KindName(k))
		}
	}
}

// The standard library is the reference: public keys and signatures are its own.
func TestEd25519(t *testing.T) {
	arena := newArena(t)
	for i := range 20 {
		seed := bytes.Repeat([]byte{byte(i * 13)}, 32)
		m, err := Import(arena, vault.Ed25519, seed)
		if err != nil {
			t.Fatal(err)
		}
		key := ed25519.NewKeyFromSeed(seed)
		if !bytes.Equal(m.Public, key.Public().(ed25519.PublicKey)) || m.Kind != vault.Ed25519 {
			t.Errorf("seed %d: another public key", i)
		}
		record := bytesOf(t, m)
		if !bytes.Equal(record, key) { // the standard library keeps seed ‖ public key, too
			t.Errorf("seed %d: another record", i)
		}
		public, err := PublicKey(vault.Ed25519, record)
		if err != nil || !bytes.Equal(public, m.Public) {
			t.Errorf("seed %d: %x %v", i, public, err)
		}
		for _, n := range []int{0, 1, 31, 32, 33, 1000, 100_000} {
			message := bytes.Repeat([]byte{byte(n)}, n)
			sig, err := Ed25519Sign(arena, vault.Ed25519, record, message)
			if err != nil || !bytes.Equal(sig, ed25519.Sign(key, message)) {
				t.Errorf("seed %d, %d bytes: another signature, %v", i, n, err)
			}
		}
	}
	a, err := GenerateKey(arena, vault.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	b, err := GenerateKey(arena, vault.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Public, b.Public) {
		t.Error("two generated keys are the same")
	}
	a.Secret.Destroy()
	b.Secret.Destroy()
	isEmpty(t, arena)
}

// Records of kinds and lengths that do not fit are refused, by every procedure.
func TestWrongKinds(t *testing.T) {
	arena := newArena(t)
	for _, kind := range []vault.Kind{vault.Untyped, vault.Ed25519, vault.Seed, vault.Extended, vault.Mnemonic, vault.Data, 254} {
		for _, n := range []int{0, 1, 32, 63, 64, 65, 81, 1000} {
			secret := make([]byte, n)
			fits := kind == vault.Ed25519 && n == 64
			if _, err := PublicKey(kind, secret); (err == nil) != fits || !fits && err != ErrKind {
				t.Errorf("public key of kind %d, %d bytes: %v", kind, n, err)
			}
			if _, err := Ed25519Sign(arena, kind, secret, nil); (err == nil) != fits || !fits && err != ErrKind {
				t.Errorf("signature with kind %d, %d bytes: %v", kind, n, err)
			}
			fits = kind == vault.Seed || kind == vault.Extended && n == 64 || kind == vault.Mnemonic && n > 65
			if kind == vault.Seed && (n < MinSeed || n > MaxSeed) {
				continue // no such record is made
			}
			m, err := Derive(arena, kind, secret, "m/44'", vault.Ed25519)
			if (err == nil) != fits || !fits && err != ErrKind {
				t.Errorf("derived of kind %d, %d bytes: %v", kind, n, err)
			}
			if err == nil {
				m.Secret.Destroy()
			}
		}
	}
	isEmpty(t, arena)
}

func TestImport(t *testing.T) {
	arena := newArena(t)
	for _, tt := range []struct {
		kind  vault.Kind
		n     int
		field string // "": it is taken
	}{
		{vault.Ed25519, 31, "secret"}, {vault.Ed25519, 33, "secret"}, {vault.Ed25519, 0, "secret"}, {vault.Ed25519, 64, "secret"},
		{vault.Seed, 15, "secret"}, {vault.Seed, 16, ""}, {vault.Seed, 64, ""}, {vault.Seed, 65, "secret"},
		{vault.Extended, 63, "secret"}, {vault.Extended, 64, ""}, {vault.Extended, 65, "secret"},
		{vault.Data, 0, "secret"}, {vault.Data, 1, ""}, {vault.Data, vault.MaxSecret, ""},
		{vault.Mnemonic, 97, "kind"}, {vault.Untyped, 32, "kind"}, {254, 32, "kind"},
	} {
		raw := bytes.Repeat([]byte{9}, tt.n)
		m, err := Import(arena, tt.kind, raw)
		if tt.field != "" {
			isInput(t, fmt.Sprintf("kind %d, %d bytes", tt.kind, tt.n), err, tt.field)
			continue
		}
		if err != nil {
			t.Errorf("kind %d, %d bytes: %v", tt.kind, tt.n, err)
			continue
		}
		if m.Kind != tt.kind || m.Public != nil || !bytes.Equal(bytesOf(t, m), raw) {
			t.Errorf("kind %d, %d bytes: made something else", tt.kind, tt.n)
		}
	}
	for _, kind := range []vault.Kind{vault.Seed, vault.Extended, vault.Mnemonic, vault.Data, vault.Untyped} {
		_, err := GenerateKey(arena, kind)
		isInput(t, "generate", err, "kind")
	}
	isEmpty(t, arena)
}

func TestGenerateSeed(t *testing.T) {
	arena := newArena(t)
	for _, size := range []int{-1, 1, 15, 65, 1 << 40} {
		_, err := GenerateSeed(arena, size)
		isInput(t, fmt.Sprint(size), err, "size")
	}
	for size, want := range map[int]int{0: 64, 16: 16, 64: 64} {
		m, err := GenerateSeed(arena, size)
		if err != nil {
			t.Fatal(err)
		}
		if b := bytesOf(t, m); len(b) != want || m.Kind != vault.Seed || bytes.Equal(b, make([]byte, want)) {
			t.Errorf("size %d: %d bytes", size, len(b))
		}
	}
	isEmpty(t, arena)
}

// SLIP-0010's own vectors, in one step and in two.
func TestDerive(t *testing.T) {
	b, err := os.ReadFile("primitive/testdata/slip10.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Curve, Seed, Path, Chain, Private, Public string }
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	arena := newArena(t)
	n := 0
	for _, v := range vectors {
		if !strings.EqualFold(v.Curve, "ed25519") {
			continue
		}
		n++
		seed, private, public := unhex(t, v.Seed), unhex(t, v.Private), unhex(t, v.Public)
		public = public[len(public)-32:]
		m, err := Derive(arena, vault.Seed, seed, v.Path, vault.Ed25519)
		if err != nil {
			t.Errorf("%s: %v", v.Path, err)
			continue
		}
		if !bytes.Equal(m.Public, public) || !bytes.Equal(bytesOf(t, m), append(private, public...)) {
			t.Errorf("%s: another key", v.Path)
		}
		// By way of an extended key, from a mnemonic's seed if it is as long as one.
		kind, record := vault.Seed, seed
		if len(seed) == 64 {
			kind, record = vault.Mnemonic, append(append([]byte{0}, seed...), make([]byte, 16)...)
		}
		first, rest := "m", strings.TrimPrefix(v.Path, "m")
		if i := strings.LastIndex(v.Path, "/"); i > 0 {
			first, rest = v.Path[:i], v.Path[i:]
		}
		m, err = Derive(arena, kind, record, first, vault.Extended)
		if err != nil {
			t.Errorf("%s: %v", first, err)
			continue
		}
		extended := bytesOf(t, m)
		m, err = Derive(arena, vault.Extended, extended, "m"+rest, vault.Extended)
		if err != nil {
			t.Errorf("%s: %v", rest, err)
			continue
		}
		if m.Public != nil || m.Kind != vault.Extended || !bytes.Equal(bytesOf(t, m), append(unhex(t, v.Private), unhex(t, v.Chain)...)) {
			t.Errorf("%s then %s: another key", first, rest)
		}
	}
	if n < 5 {
		t.Errorf("%d vectors", n)
	}
	seed := make([]byte, 64)
	for _, path := range []string{"m/44", "m/44'/0", "", "44'", "m//", "m/x'", "m/2147483648'"} {
		_, err := Derive(arena, vault.Seed, seed, path, vault.Ed25519)
		isInput(t, path, err, "path")
	}
	for _, target := range []vault.Kind{vault.Seed, vault.Data, vault.Mnemonic, vault.Untyped} {
		_, err := Derive(arena, vault.Seed, seed, "m/44'", target)
		isInput(t, "target", err, "kind")
	}
	isEmpty(t, arena)
}

// BIP 39's own vectors, and what is made is recovered.
func TestMnemonic(t *testing.T) {
	b, err := os.ReadFile("primitive/testdata/bip39.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Language, Entropy, Mnemonic, Passphrase, Seed string }
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	arena := newArena(t)
	for _, v := range vectors {
		m, err := RecoverMnemonic(arena, v.Language, []byte(v.Mnemonic), []byte(v.Passphrase))
		if err != nil {
			t.Errorf("%s: %v", v.Entropy, err)
			continue
		}
		record := bytesOf(t, m)
		if m.Kind != vault.Mnemonic || !bytes.Equal(record[1:65], unhex(t, v.Seed)) || !bytes.Equal(record[65:], unhex(t, v.Entropy)) {
			t.Errorf("%s %s: another record", v.Language, v.Entropy)
		}
	}
	for _, lang := range []string{"", "english", "Japanese"} {
		for _, size := range []int{0, 16, 20, 24, 28, 32} {
			m, words, err := GenerateMnemonic(arena, lang, size, []byte("passphrase"))
			if err != nil {
				t.Fatal(err)
			}
			made := bytesOf(t, m)
			err = words.Use(func(b []byte) error {
				m, err := RecoverMnemonic(arena, lang, b, []byte("passphrase"))
				if err != nil {
					return err
				}
				if !bytes.Equal(bytesOf(t, m), made) {
					t.Errorf("%s, %d bytes: recovered another", lang, size)
				}
				if m, err = RecoverMnemonic(arena, lang, b, nil); err != nil {
					return err
				}
				if other := bytesOf(t, m); bytes.Equal(other[:65], made[:65]) || !bytes.Equal(other[65:], made[65:]) {
					t.Errorf("%s, %d bytes: the passphrase does not count", lang, size)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			words.Destroy()
		}
	}
	for _, size := range []int{-4, 4, 12, 15, 17, 33, 36} {
		_, _, err := GenerateMnemonic(arena, "", size, nil)
		isInput(t, fmt.Sprint(size), err, "size")
	}
	_, _, err = GenerateMnemonic(arena, "klingon", 16, nil)
	isInput(t, "language", err, "language")
	for name, words := range map[string]string{
		"nothing": "", "unknown word": strings.Repeat("abandon ", 11) + "zzz", "checksum": strings.TrimSpace(strings.Repeat("abandon ", 12)),
		"too few": "abandon about", "too long": strings.Repeat("abandon ", 10_000), "not text": "\xff\xfe",
	} {
		_, err := RecoverMnemonic(arena, "", []byte(words), nil)
		isInput(t, name, err, "secret")
		if err != nil && len(words) > 3 && strings.Contains(err.Error(), words) || strings.Contains(fmt.Sprint(err), "zzz") {
			t.Errorf("%s: the error tells the words: %v", name, err)
		}
	}
	_, err = RecoverMnemonic(arena, "klingon", []byte("abandon"), nil)
	isInput(t, "language", err, "language")
	isEmpty(t, arena)
}

// A full arena fails each procedure, at whatever it takes out of it, and leaves nothing.
func TestFullArena(t *testing.T) {
	arena := newArena(t)
	key := bytes.Repeat([]byte{1}, 64)
	words := []byte(strings.Repeat("abandon ", 11) + "about")
	destroy := func(m *Made, err error) error {
		if err == nil {
			m.Secret.Destroy()
		}
		return err
	}
	for name, f := range map[string]func() error{
		"generate":  func() error { return destroy(GenerateKey(arena, vault.Ed25519)) },
		"import":    func() error { return destroy(Import(arena, vault.Ed25519, key[:32])) },
		"seed":      func() error { return destroy(GenerateSeed(arena, 0)) },
		"sign":      func() error { _, err := Ed25519Sign(arena, vault.Ed25519, key, nil); return err },
		"derive":    func() error { return destroy(Derive(arena, vault.Seed, key, "m/44'", vault.Ed25519)) },
		"derive on": func() error { return destroy(Derive(arena, vault.Seed, key, "m/44'", vault.Extended)) },
		"recover":   func() error { return destroy(RecoverMnemonic(arena, "", words, nil)) },
		"a mnemonic": func() error {
			m, words, err := GenerateMnemonic(arena, "", 32, nil)
			if err == nil {
				words.Destroy()
			}
			return destroy(m, err)
		},
	} {
		failures := 0
		for free := 0; ; free += 64 {
			taken, err := arena.New(arena.Size() - free)
			if err != nil {
				t.Fatal(err)
			}
			err = f()
			taken.Destroy()
			isEmpty(t, arena)
			if err == nil {
				break
			}
			failures++
			if !errors.Is(err, memory.ErrFull) {
				t.Errorf("%s with %d bytes free: %v", name, free, err)
				break
			}
		}
		if failures == 0 {
			t.Errorf("%s takes nothing out of the arena", name)
		}
	}
}

func TestConcurrently(t *testing.T) {
	arena := newArena(t)
	record := ed25519.NewKeyFromSeed(make([]byte, 32))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				message := []byte{byte(i), byte(j)}
				sig, err := Ed25519Sign(arena, vault.Ed25519, record, message)
				if err != nil || !bytes.Equal(sig, ed25519.Sign(record, message)) {
					t.Error("another signature", err)
				}
				m, err := GenerateKey(arena, vault.Ed25519)
				if err != nil {
					t.Error(err)
					return
				}
				m.Secret.Destroy()
			}
		})
	}
	wg.Wait()
	isEmpty(t, arena)
}
