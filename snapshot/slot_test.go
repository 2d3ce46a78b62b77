package snapshot

import (
	"errors"
	"testing"
)

// TestProve asks an opened snapshot for a passphrase anew: each slot of its own
// will do, and nothing else.
func TestProve(t *testing.T) {
	k, h := newKeys(t)
	_, otherHeader := newKeys(t)
	db := newDB(t, k)
	file, _ := write(t, k, h, db)
	s, err := open(t, newArena(t), file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Prove([]byte(passphrase)); err != nil {
		t.Errorf("with the passphrase: %v", err)
	}
	for _, wrong := range []string{"", "wrong", passphrase + " "} {
		if err := s.Prove([]byte(wrong)); !errors.Is(err, ErrWrongKey) {
			t.Errorf("with %q: %v", wrong, err)
		}
	}
	// A slot that opens and holds another key proves nothing.
	s.Header.Slots = otherHeader.Slots
	if err := s.Prove([]byte(passphrase)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with the slot of another snapshot: %v", err)
	}
}
