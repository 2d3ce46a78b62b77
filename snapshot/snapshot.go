// Package snapshot turns a vault's state into encrypted bytes and back: bytes,
// never paths. FORMAT.md says the same byte by byte.
//
// A snapshot is one file. Its header has the key slots, each of which wraps the
// same random root key, and is authenticated under that key. Then comes the
// state, a section for each client and an index of them, and behind it the
// journal: the changes since, one sealed entry each, appended as they happen.
// [Write] makes header, sections and index; [Journal] seals entries; [Read]
// takes all of it.
package snapshot

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Errors of [Read]. Each means that nothing was opened.
var (
	ErrNotASnapshot = errors.New("snapshot: not a snapshot")
	ErrWrongKey     = errors.New("snapshot: no key slot opens with this")
)

// VersionError is the error for a snapshot of another version.
type VersionError struct {
	Major, Minor byte
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("snapshot: version %d.%d is not supported", e.Major, e.Minor)
}

// DamagedError is the error for a file that is not what was written.
type DamagedError struct {
	Where  string // "header", "client section", "index", "journal"
	Offset int64  // of the block, in bytes from the file's beginning
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("snapshot: damaged: %s at byte %d", e.Where, e.Offset)
}

// CostError is the error for passphrase slots that take more to try, all together, than
// is allowed.
type CostError struct {
	Cost, Max int // log2 N of scrypt; of one that takes as much as all
}

func (e *CostError) Error() string {
	return fmt.Sprintf("snapshot: its passphrase slots take scrypt 2^%d in all, more than the allowed 2^%d", e.Cost, e.Max)
}

// Version is the version of the format that this package reads and writes.
const Version = "4.0"

const (
	magic    = "PARTI"
	major    = 4
	minor    = 0
	idSize   = 16 // of a file
	saltSize = 32
	macSize  = 32
	keySize  = 32
)

// Keys are the keys of a snapshot, in guarded memory: the root key, which all that
// is in a file depends on, and the key of records and names, which stay sealed under
// it in memory too and so outlive a root key.
type Keys struct {
	arena   *memory.Arena
	root    *memory.Secret
	records *memory.Secret // nil until it was found in a file
}

// NewKeys makes random keys.
func NewKeys(arena *memory.Arena) (*Keys, error) {
	random := func(b []byte) { rand.Read(b) }
	k, err := keysFrom(arena, random)
	if err != nil {
		return nil, err
	}
	if k.records, err = newSecret(arena, random); err != nil {
		k.Destroy()
		return nil, err
	}
	return k, nil
}

// Renew returns keys with another root key for the same records.
func (k *Keys) Renew() (*Keys, error) {
	next, err := NewKeys(k.arena)
	if err != nil {
		return nil, err
	}
	next.records.Use(func(b []byte) error {
		return k.records.Use(func(have []byte) error { copy(b, have); return nil })
	})
	return next, nil
}

// same are the keys of the same root key, before another was found in a file.
func (k *Keys) same() (*Keys, error) {
	var next *Keys
	err := k.root.Use(func(b []byte) (err error) { next, err = KeysOf(k.arena, b); return err })
	return next, err
}

// Copy returns the same keys, to be destroyed for themselves.
func (k *Keys) Copy() (*Keys, error) {
	next, err := k.Renew()
	if err != nil {
		return nil, err
	}
	next.root.Use(func(b []byte) error {
		return k.root.Use(func(have []byte) error { copy(b, have); return nil })
	})
	return next, nil
}

// KeysOf are the keys of a root key that a slot has held.
func KeysOf(arena *memory.Arena, root []byte) (*Keys, error) {
	if len(root) != keySize {
		return nil, ErrWrongKey
	}
	return keysFrom(arena, func(b []byte) { copy(b, root) })
}

func keysFrom(arena *memory.Arena, fill func([]byte)) (*Keys, error) {
	root, err := newSecret(arena, fill)
	return &Keys{arena: arena, root: root}, err
}

func newSecret(arena *memory.Arena, fill func([]byte)) (*memory.Secret, error) {
	s, err := arena.New(keySize)
	if err != nil {
		return nil, err
	}
	s.Use(func(b []byte) error { fill(b); return nil })
	return s, nil
}

// Are says whether these are the keys of root.
func (k *Keys) Are(root []byte) (same bool) {
	k.root.Use(func(b []byte) error { same = subtle.ConstantTimeCompare(b, root) == 1; return nil })
	return same
}

// Destroy wipes the keys. Keys derived from the root key live on.
func (k *Keys) Destroy() {
	k.root.Destroy()
	if k.records != nil {
		k.records.Destroy()
	}
}

// Records returns a copy of the key that names and records are sealed under.
func (k *Keys) Records() (*memory.Secret, error) {
	var s *memory.Secret
	err := k.records.Use(func(b []byte) (err error) {
		s, err = newSecret(k.arena, func(out []byte) { copy(out, b) })
		return err
	})
	return s, err
}

// Lineage is the same for all files of one root key, and tells nothing of the key:
// a node remembers by it what it wrote last. 16 bytes.
func (k *Keys) Lineage() ([]byte, error) {
	key, err := k.derive("lineage", nil, nil)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	lineage := make([]byte, LineageSize)
	key.Use(func(b []byte) error { copy(lineage, b); return nil })
	return lineage, nil
}

// LineageSize is how long a lineage is, in bytes.
const LineageSize = 16

// derive returns HKDF-SHA-256 (RFC 5869) of the root key: 32 bytes. The purpose
// is part of the info, and so is what the key is bound to.
func (k *Keys) derive(purpose string, salt, bound []byte) (*memory.Secret, error) {
	key, err := k.arena.New(keySize)
	if err != nil {
		return nil, err
	}
	info := append([]byte("stronghold/4 "+purpose+"\x00"), bound...)
	memory.Erase(func() {
		err = k.root.Use(func(root []byte) error {
			return key.Use(func(out []byte) error { return primitive.SHA256.HKDF(out, root, salt, info) })
		})
	})
	if err != nil {
		key.Destroy()
		return nil, err
	}
	return key, nil
}
