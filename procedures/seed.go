package procedures

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Sizes of a seed in bytes: SLIP-0010 asks for 128 to 512 bits.
const (
	MinSeed     = 16
	MaxSeed     = 64
	DefaultSeed = 64
)

// GenerateSeed makes a seed of size bytes; 0 means 64.
func GenerateSeed(arena *memory.Arena, size int) (*Made, error) {
	if size == 0 {
		size = DefaultSeed
	}
	if size < MinSeed || size > MaxSeed {
		return nil, &InputError{"size", fmt.Sprintf("must be %d to %d", MinSeed, MaxSeed)}
	}
	return fillSecret(arena, vault.Seed, size, func(b []byte) ([]byte, error) { rand.Read(b); return nil, nil })
}

// Derive makes a key of the kind target along path (SLIP-0010 for Ed25519:
// every element is hardened), from a seed, from a mnemonic's seed, or from an
// extended key. target is Ed25519, to sign with, or Extended, to derive from.
func Derive(arena *memory.Arena, kind vault.Kind, secret []byte, path string, target vault.Kind) (*Made, error) {
	steps, err := primitive.ParsePath(path)
	if err != nil {
		return nil, &InputError{"path", err.Error()}
	}
	derive := func(to *primitive.ExtendedKey) error {
		switch {
		case kind == vault.Seed:
			to.Master(primitive.Ed25519, secret)
		case kind == vault.Mnemonic && len(secret) > mnemonicHead:
			to.Master(primitive.Ed25519, secret[1:mnemonicHead])
		case kind == vault.Extended && len(secret) == primitive.ExtendedKeySize:
			copy(to[:], secret)
		default:
			return ErrKind
		}
		err := to.Derive(primitive.Ed25519, to, steps)
		if errors.Is(err, primitive.ErrUnhardened) {
			return &InputError{"path", "every element must be hardened"}
		}
		return err
	}
	switch target {
	case vault.Extended:
		return fillSecret(arena, target, primitive.ExtendedKeySize, func(b []byte) ([]byte, error) {
			return nil, derive((*primitive.ExtendedKey)(b))
		})
	case vault.Ed25519:
		scratch, err := arena.New(primitive.ExtendedKeySize)
		if err != nil {
			return nil, err
		}
		defer scratch.Destroy()
		return ed25519Key(arena, func(seed []byte) error {
			return scratch.Use(func(b []byte) error {
				if err := derive((*primitive.ExtendedKey)(b)); err != nil {
					return err
				}
				copy(seed, b[:ed25519Seed])
				return nil
			})
		})
	}
	return nil, &InputError{"kind", "must be ed25519 or slip10-ed25519"}
}

// A mnemonic record is language ‖ seed ‖ entropy.
const mnemonicHead = 1 + 64

// languages of mnemonics, by the names that requests use.
var languages = map[string]primitive.Language{
	"": primitive.English, "english": primitive.English, "japanese": primitive.Japanese,
}

func language(name string) (primitive.Language, error) {
	l, ok := languages[strings.ToLower(name)]
	if !ok {
		return 0, &InputError{"language", "must be english or japanese"}
	}
	return l, nil
}

// GenerateMnemonic makes a mnemonic (BIP 39) of size bytes of entropy, 16 to 32
// and a multiple of 4; 0 means 32, which is 24 words. The words are the caller's
// to destroy.
func GenerateMnemonic(arena *memory.Arena, lang string, size int, passphrase []byte) (m *Made, words *memory.Secret, err error) {
	l, err := language(lang)
	if err != nil {
		return nil, nil, err
	}
	if size == 0 {
		size = primitive.MaxEntropySize
	}
	if size < 16 || size > primitive.MaxEntropySize || size%4 != 0 {
		return nil, nil, &InputError{"size", "must be 16, 20, 24, 28 or 32"}
	}
	buffer, err := arena.New(primitive.MaxMnemonicSize)
	if err != nil {
		return nil, nil, err
	}
	defer buffer.Destroy()
	m, err = fillSecret(arena, vault.Mnemonic, mnemonicHead+size, func(b []byte) ([]byte, error) {
		return nil, buffer.Use(func(text []byte) error {
			b[0] = byte(l)
			rand.Read(b[mnemonicHead:])
			text, err := l.Mnemonic(text[:0], b[mnemonicHead:])
			if err != nil {
				return err
			}
			if err := mnemonicSeed(arena, b, text, passphrase); err != nil {
				return err
			}
			if words, err = arena.New(len(text)); err != nil {
				return err
			}
			return words.Use(func(w []byte) error { copy(w, text); return nil })
		})
	})
	if err != nil && words != nil {
		words.Destroy()
	}
	return m, words, err
}

// RecoverMnemonic makes the record of a mnemonic that somebody brought. Its words
// and its checksum are checked. The caller wipes mnemonic and passphrase.
func RecoverMnemonic(arena *memory.Arena, lang string, mnemonic, passphrase []byte) (*Made, error) {
	l, err := language(lang)
	if err != nil {
		return nil, err
	}
	if len(mnemonic) > 4*primitive.MaxMnemonicSize { // in other normalizations it is longer, but not by that
		return nil, &InputError{"secret", "too long for a mnemonic"}
	}
	scratch, err := arena.New(primitive.MaxEntropySize)
	if err != nil {
		return nil, err
	}
	defer scratch.Destroy()
	n := 0
	memory.Erase(func() {
		err = scratch.Use(func(b []byte) error {
			entropy, err := l.Entropy(b[:0:len(b)], mnemonic)
			n = len(entropy)
			return err
		})
	})
	if err != nil {
		return nil, &InputError{"secret", "not a mnemonic: " + err.Error()}
	}
	return fillSecret(arena, vault.Mnemonic, mnemonicHead+n, func(b []byte) ([]byte, error) {
		b[0] = byte(l)
		scratch.Use(func(entropy []byte) error { copy(b[mnemonicHead:], entropy); return nil })
		return nil, mnemonicSeed(arena, b, mnemonic, passphrase)
	})
}

// mnemonicSeed writes the seed into a mnemonic record.
func mnemonicSeed(arena *memory.Arena, record, mnemonic, passphrase []byte) error {
	scratch, err := arena.New(primitive.MnemonicScratchSize(len(mnemonic), len(passphrase)))
	if err != nil {
		return err
	}
	defer scratch.Destroy()
	return scratch.Use(func(b []byte) error {
		err := primitive.MnemonicSeed((*[64]byte)(record[1:]), mnemonic, passphrase, b)
		if err != nil {
			return &InputError{"passphrase", "not text that can be normalized"}
		}
		return nil
	})
}
