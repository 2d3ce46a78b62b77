package snapshot

import (
	"errors"
	"testing"
)

// TestSlotHoldsTheRoot asks the slots of an opened snapshot for its root key anew:
// each slot of its own will do, and nothing else.
func TestSlotHoldsTheRoot(t *testing.T) {
	k, h := newKeys(t)
	_, otherHeader := newKeys(t)
	root, err := h.Open([]byte(passphrase), MaxCost)
	if err != nil || !k.Are(root) {
		t.Errorf("with the passphrase: %v", err)
	}
	for _, wrong := range []string{"", "wrong", passphrase + " "} {
		if root, err := h.Open([]byte(wrong), MaxCost); !errors.Is(err, ErrWrongKey) || root != nil {
			t.Errorf("with %q: %v", wrong, err)
		}
	}
	// A slot that opens and holds another key is no proof.
	root, err = otherHeader.Open([]byte(passphrase), MaxCost)
	if err != nil || k.Are(root) || k.Are(nil) || k.Are(root[:31]) {
		t.Errorf("with the slot of another snapshot: %v", err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := KeysOf(newArena(t), make([]byte, n)); !errors.Is(err, ErrWrongKey) {
			t.Errorf("a root key of %d bytes: %v", n, err)
		}
	}
}
