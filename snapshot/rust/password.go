package rust

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

var (
	// ErrNoSalt says that a method needs the salt that the program kept in a file of its own.
	ErrNoSalt = errors.New("rust: the salt is missing")

	// ErrNotAKey says that a password is not a key itself: 32 bytes, or 64 hexadecimal digits.
	ErrNotAKey = errors.New("rust: not a key of 32 bytes")

	// ErrNoMethod says that no program of that kind wrote files of that version.
	ErrNoMethod = errors.New("rust: no known way from a password to the key of such a file")
)

// A Kind is a family of programs that wrote snapshot files. The empty kind stands for all of them.
type Kind string

// The kinds.
const (
	KindWallet Kind = "wallet.rs" // wallet.rs and Firefly
	KindTauri  Kind = "tauri"     // tauri-plugin-stronghold and tauri-plugin-authenticator
	KindSDK    Kind = "iota-sdk"
	KindCLI    Kind = "cli" // the command lines and native bindings of Stronghold itself
	KindRaw    Kind = "raw" // programs that hashed nothing
)

// A Method is one way in which programs made the key of a file from a password. None of them is in the file.
type Method struct {
	Kind Kind
	Name string // what is computed, for people
	Salt bool   // whether it takes a salt, which the program kept beside the snapshot

	memory   uint64 // bytes, if it is much
	versions []Version
	derive   func(password, salt []byte) []byte // nil if the password has the wrong form
}

// methods is the table: cheap and exact forms first, and for each version the most frequent before the rare.
//
// The Argon2 rows all come from one line of code, "the default configuration of rust-argon2". What that is changed twice
// within the life of the plugin: 1.x when it wrote version 2; 2.x, from mid-2024, when it writes version 3. 2.0 was the
// plugin's for five weeks of 2023.
var methods = []Method{
	{Kind: KindRaw, Name: "the key in hexadecimal", versions: []Version{V1, V2, V3}, derive: rawHex},
	{Kind: KindSDK, Name: nameBlake2b, versions: []Version{V3}, derive: blake2bKey},
	{Kind: KindWallet, Name: nameWallet, versions: []Version{V2}, derive: pbkdf2Key("wallet.rs")},
	{Kind: KindSDK, Name: nameWallet, versions: []Version{V2}, derive: pbkdf2Key("wallet.rs")},
	// A Firefly file that iota-sdk has migrated.
	{Kind: KindWallet, Name: nameBlake2b, versions: []Version{V3}, derive: blake2bKey},
	{
		Kind: KindTauri, Name: "Argon2id, 19 MiB, 2 passes (rust-argon2 2.1)", Salt: true,
		memory: 19 << 20, versions: []Version{V3}, derive: argon2id(2, 19<<10),
	},
	{
		Kind: KindTauri, Name: "Argon2i, 4 MiB, 3 passes (rust-argon2 1)", Salt: true,
		memory: 4 << 20, versions: []Version{V2, V3}, derive: argon2i,
	},
	{Kind: KindTauri, Name: "PBKDF2-HMAC-SHA-512, salt tauri, 100 rounds", versions: []Version{V2}, derive: pbkdf2Key("tauri")},
	{Kind: KindCLI, Name: "HMAC-SHA-256 under zeros", versions: []Version{V1, V2}, derive: naiveKey},
	{Kind: KindCLI, Name: nameBlake2b, versions: []Version{V2, V3}, derive: blake2bKey},
	{Kind: KindRaw, Name: "the key as it is", versions: []Version{V1, V2, V3}, derive: rawBytes},
	{Kind: KindRaw, Name: "the first 32 bytes, padded with zeros", versions: []Version{V2}, derive: truncated},
	{
		Kind: KindTauri, Name: "Argon2id, 2 GiB, 1 pass (rust-argon2 2.0)", Salt: true,
		memory: 2 << 30, versions: []Version{V2, V3}, derive: argon2id(1, 2<<20),
	},
}

const (
	nameBlake2b = "Blake2b-256"
	nameWallet  = "PBKDF2-HMAC-SHA-512, salt wallet.rs, 100 rounds"
)

// Methods returns the ways that are known for files of this version and kind, in the order to try them. For the empty
// kind it returns each computation once, under the kind that it is most likely of.
func Methods(version Version, kind Kind) []Method {
	var list []Method
	known := make(map[string]bool)
	for _, m := range methods {
		if kind != "" && m.Kind != kind || known[m.Name] {
			continue
		}
		for _, v := range m.versions {
			if v == version {
				list = append(list, m)
				known[m.Name] = true
			}
		}
	}
	return list
}

// Key computes the key of [KeySize] bytes, which the caller wipes. The salt is only for a method that takes one.
//
// Errors: [ErrNoSalt], [ErrNotAKey], [*ExpensiveError].
func (m Method) Key(password, salt []byte, o Options) ([]byte, error) {
	if m.Salt && len(salt) == 0 {
		return nil, ErrNoSalt
	}
	if m.memory > o.maxScryptMemory() {
		return nil, &ExpensiveError{What: "argon2", Needs: m.memory, Allowed: o.maxScryptMemory()}
	}
	key := m.derive(password, salt)
	if key == nil {
		return nil, ErrNotAKey
	}
	return key, nil
}

// An Attempt says how a method fared. Err is nil for the one that fit; an attempt with any other error than
// [ErrWrongKey] was not made.
type Attempt struct {
	Method Method
	Err    error
}

// OpenPassword opens the snapshot file by a password, with the first of the [Methods] for its version and the kind that
// fits. It returns what it tried, the one that fit last. The salt may be nil. In version 3 each attempt costs a scrypt:
// all of them together fill no more than [Options] allows, and methods for which nothing is left are not tried.
//
// Errors: those of [Open], and [ErrNoMethod], [ErrNoSalt] or [ErrNotAKey] if there was nothing to try. An error other
// than a wrong key ends the search.
func OpenPassword(file, password, salt []byte, kind Kind, o Options) (*State, []Attempt, error) {
	var state *State
	tried, err := try(file, password, salt, kind, o, func(key []byte) (err error) {
		state, err = Open(file, key, o)
		return err
	})
	return state, tried, err
}

// Unseal is the first half of [OpenPassword], with the password hash: it removes the outer encryption of the file and
// returns what [Decode] takes, which the caller wipes.
func Unseal(file, password, salt []byte, kind Kind, o Options) ([]byte, []Attempt, error) {
	var content []byte
	tried, err := try(file, password, salt, kind, o, func(key []byte) (err error) {
		content, _, err = openContainer(file, key, o)
		return err
	})
	return content, tried, err
}

// try calls open with the key of each method until its error is another than a wrong key.
func try(file, password, salt []byte, kind Kind, o Options, open func(key []byte) error) ([]Attempt, error) {
	info, err := Detect(file)
	if err != nil {
		return nil, err
	}
	list := Methods(info.Version, kind)
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: version %s", ErrNoMethod, info.Version)
	}
	var tried []Attempt
	spent := uint64(0)
	for _, m := range list {
		key, err := m.Key(password, salt, o)
		if all := spent + info.Memory; err == nil && spent > 0 && all > o.maxScryptMemory() {
			err = &ExpensiveError{What: "scrypt, with those before,", Needs: all, Allowed: o.maxScryptMemory()}
		}
		if err != nil {
			clear(key)
			tried = append(tried, Attempt{m, err})
			continue
		}
		spent += info.Memory
		err = open(key)
		clear(key)
		tried = append(tried, Attempt{m, err})
		if !errors.Is(err, ErrWrongKey) {
			return tried, err
		}
	}
	for _, a := range tried {
		if errors.Is(a.Err, ErrWrongKey) {
			return tried, ErrWrongKey
		}
	}
	return tried, tried[0].Err
}

// PasswordKey makes the key of a file that is to be written, as iota-sdk and the bindings of Stronghold 2.x make it:
// Blake2b-256 of the password. The caller wipes it.
func PasswordKey(password []byte) []byte { return blake2bKey(password, nil) }

// blake2bKey is the with_passphrase_hashed_blake2b of Stronghold's KeyProvider.
func blake2bKey(password, _ []byte) []byte {
	sum := blake2b.Sum256(password)
	return sum[:]
}

// pbkdf2Key is what wallet.rs did, and what others copied from it with a salt of their own.
func pbkdf2Key(salt string) func(password, _ []byte) []byte {
	return func(password, _ []byte) []byte {
		key, err := pbkdf2.Key(sha512.New, string(password), []byte(salt), 100, KeySize)
		if err != nil {
			panic("rust: internal error: " + err.Error())
		}
		return key
	}
}

// naiveKey is the naive_kdf of the first command lines.
func naiveKey(password, _ []byte) []byte {
	mac := hmac.New(sha256.New, make([]byte, sha256.Size))
	mac.Write(password)
	return mac.Sum(nil)
}

// argon2i is also the with_passphrase_hashed_argon2 of Stronghold 0.5 to 1.1.
func argon2i(password, salt []byte) []byte { return argon2.Key(password, salt, 3, 4<<10, 1, KeySize) }

func argon2id(passes, kib uint32) func(password, salt []byte) []byte {
	return func(password, salt []byte) []byte { return argon2.IDKey(password, salt, passes, kib, 1, KeySize) }
}

func rawHex(password, _ []byte) []byte {
	key := make([]byte, KeySize)
	if len(password) != 2*KeySize {
		return nil
	}
	if _, err := hex.Decode(key, password); err != nil {
		return nil
	}
	return key
}

func rawBytes(password, _ []byte) []byte {
	if len(password) != KeySize {
		return nil
	}
	return append([]byte(nil), password...)
}

// truncated is the with_passphrase_truncated of Stronghold 0.5 to 1.1.
func truncated(password, _ []byte) []byte {
	key := make([]byte, KeySize)
	copy(key, password)
	return key
}
