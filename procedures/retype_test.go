package procedures

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// TestRetypeLosesNothing: every byte of what is typed is in what it becomes, or can be
// made of that, or somebody has said that it may go.
func TestRetypeLosesNothing(t *testing.T) {
	arena := newArena(t)
	seed := bytes.Repeat([]byte{7}, 32)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	for name, raw := range map[string][]byte{
		"a seed": seed, "a seed and its public half": slices.Concat(seed, public), "an extended key": slices.Concat(seed, seed),
		"one byte more": slices.Concat(seed, []byte{0}), "much": bytes.Repeat(seed, 100),
		"the public half and more": slices.Concat(seed, public, []byte{0}),
	} {
		for _, kind := range []vault.Kind{vault.Ed25519, vault.Seed, vault.Extended, vault.AES256, vault.Data} {
			for _, lose := range []bool{false, true} {
				m, err := Retype(arena, vault.Untyped, raw, kind, lose)
				if err != nil {
					if keeps := kind == vault.Ed25519 && !lose && len(raw) != 32 && !bytes.Equal(raw[32:], public); keeps != errors.Is(err, ErrLoses) {
						t.Errorf("%s as %v, lose %t: %v", name, kind, lose, err)
					}
					continue
				}
				m.Secret.Use(func(b []byte) error {
					if !lose && !bytes.Equal(b, raw) && !bytes.Equal(b, slices.Concat(raw, public)) {
						t.Errorf("%s as %v: %x", name, kind, b)
					}
					return nil
				})
				m.Secret.Destroy()
			}
		}
	}
}
