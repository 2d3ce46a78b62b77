package procedures

import (
	"crypto/rand"
	"errors"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// AES256KeySize is the size of a key in bytes.
const AES256KeySize = 32

func aesKey(arena *memory.Arena) (*Made, error) {
	return fillSecret(arena, vault.AES256, AES256KeySize, func(b []byte) ([]byte, error) { rand.Read(b); return nil, nil })
}

// MayWrap says whether a key may leave wrapped under another: the one that wraps
// must be made for it, the one that leaves must be allowed to, and what somebody
// knows never wraps what nobody does. Who knows the key that wraps has the other.
func MayWrap(kek vault.Kind, kekFlags vault.Flags, key vault.Kind, keyFlags vault.Flags) error {
	if err := Permit(kek, kekFlags, vault.MayWrapOthers); err != nil {
		return err
	}
	if err := Permit(key, keyFlags, vault.MayBeWrapped); err != nil {
		return err
	}
	if kekFlags&vault.FromOutside != 0 && keyFlags&vault.FromOutside == 0 {
		return ErrFlags
	}
	return nil
}

// AESWrap wraps a key under another (RFC 3394), 8 bytes longer than the key is
// outside: of an Ed25519 key the seed, of the others all of it. [MayWrap] has
// said that it may be done.
func AESWrap(kek []byte, kind vault.Kind, secret []byte) ([]byte, error) {
	if len(kek) != AES256KeySize {
		return nil, ErrKind
	}
	key := Plain(kind, secret)
	if len(key) < 16 || len(key)%8 != 0 {
		return nil, &InputError{"target", "wrapping takes 16 bytes or more, in steps of 8"}
	}
	return primitive.AESKeyWrap(make([]byte, 0, len(key)+primitive.AESKeyWrapOverhead), (*[AES256KeySize]byte)(kek), key)
}

// AESUnwrap makes a record of the kind of a key that [AESWrap] wrapped, here or
// elsewhere. What was wrapped is of the kind that the caller says.
func AESUnwrap(arena *memory.Arena, kek, wrapped []byte, kind vault.Kind) (m *Made, err error) {
	if len(kek) != AES256KeySize {
		return nil, ErrKind
	}
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, &InputError{"wrapped", "not a wrapped key"}
	}
	key, err := arena.New(len(wrapped) - primitive.AESKeyWrapOverhead)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	err = key.Use(func(b []byte) error {
		_, err := primitive.AESKeyUnwrap(b[:0], (*[AES256KeySize]byte)(kek), wrapped)
		if err != nil {
			return &InputError{"wrapped", "it was not wrapped under this key, or it is damaged"}
		}
		m, err = Import(arena, kind, b)
		return err
	})
	var input *InputError
	if errors.As(err, &input) && input.Field == "secret" {
		err = &InputError{"kind", "what was wrapped is not of this kind: it " + input.Reason}
	}
	return m, err
}
