package rust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// State is the content of a snapshot file. Everything that [Open] returns is sorted by id, and entries by key, since
// the Rust program writes its hash maps in any order.
type State struct {
	Clients []Client
}

// A Client is a namespace of vaults with a store.
type Client struct {
	ID     ID
	Vaults []Vault
	Store  []Entry
}

// A Vault holds records. One without records is legal.
type Vault struct {
	ID      ID
	Records []Record

	// Counter is the number of writes into the vault that versions before 0.4 kept, to find the next and the last counter
	// location. Later files have none, and 0 here. [Encode] drops it.
	Counter uint64

	// Garbage counts what versions before 0.4 left behind on each write until it was collected: older values and values
	// no longer pointed at. The program could not read them any more; they are not in Records. [Encode] drops them.
	Garbage int
}

// A Record is one secret.
type Record struct {
	ID   ID
	Hint []byte // at most 24 bytes, without the zeros that pad it

	// Revoked says that the program no longer gives the secret out, though the file holds it until it is collected.
	// Secret is nil then; see [Record.RevokedSecret].
	Revoked bool
	Secret  Secret

	// sealed gives the sealed secret of a revoked record that came from a file. It is a function since no print of a
	// record can follow that to the key.
	sealed func() *sealedSecret
}

// sealedSecret is the secret of a revoked record as the file has it.
type sealedSecret struct {
	key  [KeySize]byte
	blob ID
	box  []byte
	open func(key, ad, box []byte) ([]byte, error)
	off  int // where it was
}

// keepSealed copies what is needed to open the box later: the content that it comes from is wiped.
func keepSealed(s sealedSecret) func() *sealedSecret {
	s.box = bytes.Clone(s.box)
	return func() *sealedSecret { return &s }
}

// RevokedSecret opens the secret of a revoked record, which the caller wipes. It returns nil if there is none: the
// record is not revoked, or was revoked before it was ever written.
func (r *Record) RevokedSecret() (Secret, error) {
	if r.sealed == nil {
		return nil, nil
	}
	s := r.sealed()
	secret, err := s.open(s.key[:], s.blob[:], s.box)
	if err != nil {
		return nil, &DamagedError{Stage: StageVault, Offset: s.off, Reason: "the secret of a revoked record does not open"}
	}
	return secret, nil
}

// An Entry is one value of a store, which the Rust program keeps in the clear.
type Entry struct {
	Key, Value []byte

	// Expires is zero for an entry that does not expire. The Rust program leaves expired entries in its files.
	Expires time.Time
}

// Wipe overwrites every secret and every store value, also those in slices that were copied out of the state. The
// state must not be used after it.
func (s *State) Wipe() {
	for _, c := range s.Clients {
		for _, v := range c.Vaults {
			for _, r := range v.Records {
				r.Secret.Wipe()
				if r.sealed != nil {
					clear(r.sealed().key[:])
				}
			}
		}
		for _, e := range c.Store {
			clear(e.Value)
		}
	}
}

// Secret is the plaintext of a record. It prints as [secret] and cannot be marshalled by accident.
type Secret []byte

// Wipe overwrites the secret with zeros.
func (s Secret) Wipe() { clear(s) }

// Format prints [secret], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

var errMarshalSecret = errors.New("rust: a secret is not marshalled")

// MarshalText always fails. It keeps encoding/json and encoding/xml from writing a secret.
func (Secret) MarshalText() ([]byte, error) { return nil, errMarshalSecret }

// MarshalBinary always fails. It keeps encoding/gob from writing a secret.
func (Secret) MarshalBinary() ([]byte, error) { return nil, errMarshalSecret }

func compareID(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// sortByID sorts and reports whether every id comes once.
func sortByID[T any](list []T, id func(*T) ID) bool {
	slices.SortFunc(list, func(a, b T) int { return compareID(id(&a), id(&b)) })
	for i := 1; i < len(list); i++ {
		if id(&list[i-1]) == id(&list[i]) {
			return false
		}
	}
	return true
}

// sortEntries sorts by key and reports whether every key comes once.
func sortEntries(list []Entry) bool {
	slices.SortFunc(list, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
	for i := 1; i < len(list); i++ {
		if bytes.Equal(list[i-1].Key, list[i].Key) {
			return false
		}
	}
	return true
}
