package rust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// The values were made by others: Python's hashlib, and for Argon2 the crate rust-argon2 in the release that is named.
// (That of 2.0 was compared once: it takes 2 GiB. The wallet.rs and Blake2b rows open real files too: TestFixtures.)
func TestMethodKeys(t *testing.T) {
	const password = "a password"
	salt := bytes.Repeat([]byte{7}, 32)
	for _, test := range []struct {
		version Version
		kind    Kind
		want    []string
	}{
		{V1, KindCLI, []string{"HMAC-SHA-256 under zeros"}},
		{V2, KindCLI, []string{"HMAC-SHA-256 under zeros", nameBlake2b}},
		{V3, KindCLI, []string{nameBlake2b}},
		{V1, KindWallet, nil},
		{V2, KindWallet, []string{nameWallet}},
		{V3, KindWallet, []string{nameBlake2b}},
		{V2, KindSDK, []string{nameWallet}},
		{V3, KindSDK, []string{nameBlake2b}},
		{V1, KindTauri, nil},
		{V2, KindTauri, []string{
			"Argon2i, 4 MiB, 3 passes (rust-argon2 1)", "PBKDF2-HMAC-SHA-512, salt tauri, 100 rounds",
			"Argon2id, 2 GiB, 1 pass (rust-argon2 2.0)",
		}},
		{V3, KindTauri, []string{
			"Argon2id, 19 MiB, 2 passes (rust-argon2 2.1)", "Argon2i, 4 MiB, 3 passes (rust-argon2 1)",
			"Argon2id, 2 GiB, 1 pass (rust-argon2 2.0)",
		}},
		{V1, KindRaw, []string{"the key in hexadecimal", "the key as it is"}},
		{V2, KindRaw, []string{"the key in hexadecimal", "the key as it is", "the first 32 bytes, padded with zeros"}},
		{V3, KindRaw, []string{"the key in hexadecimal", "the key as it is"}},
		{V3, "unheard of", nil},
	} {
		var names []string
		for _, m := range Methods(test.version, test.kind) {
			names = append(names, m.Name)
			if m.Kind != test.kind {
				t.Errorf("%s, %s: a method of %s", test.version, test.kind, m.Kind)
			}
		}
		if strings.Join(names, "|") != strings.Join(test.want, "|") {
			t.Errorf("%s, %s: %q", test.version, test.kind, names)
		}
	}

	// Every computation once, whatever its kind.
	keys := map[string]string{
		"HMAC-SHA-256 under zeros": "19b3ba526dff58e084331e07e02c1b2e736b3674a2d44d59d8e5503908e3f0ec",
		nameBlake2b:                "f50079fcc335c5de14414e9bd7ffee98752d0a1b16ce7c4490e55148e9fbc728",
		nameWallet:                 "60226630b9ccf4cbb4c3cc537ffceec9c52017d0b70de44c4f7dbe61c649ffab",
		"PBKDF2-HMAC-SHA-512, salt tauri, 100 rounds":  "12a79d9b84ddfd72d5b78c97a319cff58654151792dac889722a4ca78a1ec738",
		"Argon2i, 4 MiB, 3 passes (rust-argon2 1)":     "89ace425dce651d25ecb6d429db07936d1dac0b1022fba3890ea402a66819b67",
		"Argon2id, 19 MiB, 2 passes (rust-argon2 2.1)": "10f587e186df86ac19d6269cf84c3b4e1010c35fd8dcffe3e9aab1186471a59d",
	}
	for _, version := range []Version{V1, V2, V3} {
		seen := make(map[string]bool)
		for _, m := range Methods(version, "") {
			if seen[m.Name] {
				t.Errorf("%s: %s comes twice", version, m.Name)
			}
			seen[m.Name] = true
			key, err := m.Key([]byte(password), salt, Options{})
			var expensive *ExpensiveError
			switch {
			case m.memory > 1<<30:
				if !errors.As(err, &expensive) || expensive.Needs != 2<<30 {
					t.Errorf("%s: %v", m.Name, err)
				}
				continue
			case m.Kind == KindRaw && strings.HasPrefix(m.Name, "the key"):
				if !errors.Is(err, ErrNotAKey) {
					t.Errorf("%s: %v", m.Name, err)
				}
				continue
			case err != nil || len(key) != KeySize:
				t.Errorf("%s: %d bytes, %v", m.Name, len(key), err)
				continue
			}
			if want, ok := keys[m.Name]; ok && hex.EncodeToString(key) != want {
				t.Errorf("%s: %x, want %s", m.Name, key, want)
			}
			if m.Salt {
				if _, err := m.Key([]byte(password), nil, Options{}); !errors.Is(err, ErrNoSalt) {
					t.Errorf("%s without its salt: %v", m.Name, err)
				}
				if other, _ := m.Key([]byte(password), salt[1:], Options{}); bytes.Equal(other, key) {
					t.Errorf("%s: the salt has no effect", m.Name)
				}
			}
		}
	}
}

func TestRawKeys(t *testing.T) {
	key := testKey()
	hexKey := []byte(hex.EncodeToString(key))
	for _, test := range []struct {
		password []byte
		fits     string
	}{
		{key, "the key as it is"},
		{hexKey, "the key in hexadecimal"},
		{bytes.ToUpper(hexKey), "the key in hexadecimal"},
	} {
		for _, m := range Methods(V3, KindRaw) {
			got, err := m.Key(test.password, nil, Options{})
			if fits := m.Name == test.fits; fits != (err == nil) || fits && !bytes.Equal(got, key) {
				t.Errorf("%d bytes, %s: %v", len(test.password), m.Name, err)
			}
		}
	}
	for _, bad := range [][]byte{nil, key[1:], append(key[:32:32], 0), hexKey[1:], append([]byte("0x"), hexKey[2:]...)} {
		for _, m := range Methods(V3, KindRaw) {
			if _, err := m.Key(bad, nil, Options{}); !errors.Is(err, ErrNotAKey) {
				t.Errorf("%d bytes, %s: %v", len(bad), m.Name, err)
			}
		}
	}
	for _, test := range []struct{ password, want string }{
		{"", strings.Repeat("\x00", 32)},
		{"short", "short" + strings.Repeat("\x00", 27)},
		{strings.Repeat("long ", 10), strings.Repeat("long ", 10)[:32]},
	} {
		if got := truncated([]byte(test.password), nil); string(got) != test.want {
			t.Errorf("%q: %q", test.password, got)
		}
	}
	// A key that is handed out is no alias of the password: the caller wipes it.
	got := rawBytes(key, nil)
	clear(got)
	if !bytes.Equal(key, testKey()) {
		t.Error("the key is an alias of the password")
	}
}

// TestOpenPassword makes a file for every row of the table and opens it by its password alone, with its kind named and
// without. With another password it does not open.
func TestOpenPassword(t *testing.T) {
	salt := []byte("0123456789abcdef0123456789abcdef")
	content := compress(marshalState(nil))
	for _, version := range []Version{V1, V2, V3} {
		for _, m := range methods {
			for _, v := range m.versions {
				if v != version || m.memory > 1<<30 {
					continue
				}
				password := []byte("a password")
				if m.Kind == KindRaw {
					password = testKey()
				}
				if m.Name == "the key in hexadecimal" {
					password = []byte(hex.EncodeToString(testKey()))
				}
				key, err := m.Key(password, salt, Options{})
				if err != nil {
					t.Fatal(err)
				}
				withSalt := salt // only where it is needed: each Argon2 takes its time
				if !m.Salt {
					withSalt = nil
				}
				var file []byte
				switch version {
				case V1:
					file = sealV1(marshalOldState(nil, true), key)
				case V2:
					file = sealV2(t, content, key)
				case V3:
					if file, err = Encode(new(State), key, 0); err != nil {
						t.Fatal(err)
					}
				}
				for _, kind := range []Kind{m.Kind, ""} {
					s, tried, err := OpenPassword(file, password, withSalt, kind, Options{})
					if err != nil || s == nil {
						t.Errorf("%s, %s: %v", version, m.Name, err)
						continue
					}
					for i, a := range tried {
						if last := i == len(tried)-1; last != (a.Err == nil) {
							t.Errorf("%s, %s: attempt %d with %s: %v", version, m.Name, i, a.Method.Name, a.Err)
						}
					}
					if fit := tried[len(tried)-1].Method.Name; fit != m.Name && m.Name != "the first 32 bytes, padded with zeros" {
						t.Errorf("%s, %s: %s fit", version, m.Name, fit)
					}
					if _, _, err := OpenPassword(file, []byte("another"), withSalt, kind, Options{}); err == nil {
						t.Errorf("%s, %s: opened with another password", version, m.Name)
					}
				}
			}
		}
	}
}

func TestOpenPasswordErrors(t *testing.T) {
	file, err := Encode(new(State), testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenPassword(file, nil, nil, "unheard of", Options{}); !errors.Is(err, ErrNoMethod) {
		t.Errorf("unknown kind: %v", err)
	}
	if _, tried, err := OpenPassword(file, []byte("x"), nil, KindTauri, Options{}); !errors.Is(err, ErrNoSalt) || len(tried) != 3 {
		t.Errorf("no salt: %v", err)
	}
	if _, _, err := OpenPassword(file, []byte("x"), nil, KindRaw, Options{}); !errors.Is(err, ErrNotAKey) {
		t.Errorf("not a key: %v", err)
	}
	if _, _, err := OpenPassword(file[:50], nil, nil, "", Options{}); classify(t, err) != string(StageContainer) {
		t.Errorf("cut: %v", err)
	}
	// Damage that only the right key finds ends the search.
	file[len(file)-1] ^= 1
	password := []byte(hex.EncodeToString(testKey()))
	if _, tried, err := OpenPassword(file, password, nil, "", Options{}); classify(t, err) != string(StagePayload) || len(tried) != 1 {
		t.Errorf("damaged: %d attempts, %v", len(tried), err)
	}
}

// All scrypts of a search fill no more memory, one after the other, than one may.
func TestSearchIsBounded(t *testing.T) {
	key := blake2bKey([]byte("password"), nil)
	file, err := Encode(new(State), key, 14) // 16 MiB
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		mib    uint64
		hashed int
	}{{31, 1}, {32, 2}, {47, 2}, {48, 3}, {1 << 10, 3}} {
		_, tried, err := Unseal(file, []byte("another"), []byte("a salt"), "", Options{MaxScryptMemory: tt.mib << 20})
		if err != ErrWrongKey {
			t.Errorf("%d MiB: %v", tt.mib, err)
		}
		hashed := 0
		for _, a := range tried {
			if a.Err == ErrWrongKey {
				hashed++
			}
		}
		if hashed != tt.hashed {
			t.Errorf("%d MiB: %d hashes, want %d: %v", tt.mib, hashed, tt.hashed, tried)
		}
	}
}
