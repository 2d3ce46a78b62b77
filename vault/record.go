package vault

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Kind is what a record's secret is. The numbers are part of the snapshot format.
type Kind uint8

// Kinds.
const (
	Untyped  Kind = 0 // imported from elsewhere: nobody has said what it is
	Ed25519  Kind = 1 // seed (32 bytes) ‖ public key (32 bytes)
	Seed     Kind = 2 // of SLIP-0010, 16 to 64 bytes
	Extended Kind = 3 // SLIP-0010 for Ed25519: private key (32 bytes) ‖ chain code (32 bytes)
	Mnemonic Kind = 4 // of BIP 39: language (1 byte) ‖ seed (64 bytes) ‖ entropy (16 to 32 bytes)
	Data     Kind = 5 // any bytes
	AES256   Kind = 6 // 32 bytes
)

// Flags say what may be done with a record. The bits are part of the snapshot format.
type Flags uint16

// Flags.
const (
	FromOutside   Flags = 1 << 0  // somebody has known this secret
	Sign          Flags = 1 << 1  // it may sign
	Derive        Flags = 1 << 2  // it may be derived from
	Agree         Flags = 1 << 3  // it may agree on a shared secret
	Encrypt       Flags = 1 << 4  // it may encrypt
	Decrypt       Flags = 1 << 5  // it may decrypt
	MAC           Flags = 1 << 6  // it may authenticate
	MayWrapOthers Flags = 1 << 7  // other keys may leave under it, and come
	MayBeWrapped  Flags = 1 << 8  // it may leave under another key
	MayBeExported Flags = 1 << 9  // it may leave
	Disabled      Flags = 1 << 10 // it is there and of no use
)

// Stamp says when, and by which device, something happened.
type Stamp struct {
	UnixMilli int64
	Device    [8]byte
	Sequence  uint64 // of the change, on that device
}

// Record is a record without its secret in the clear. It never changes: a change
// puts another in its place. The DB keeps it in one piece (see packed.go).
type Record struct {
	ID      ID
	Kind    Kind
	Flags   Flags
	Revoked bool   // a tombstone: the secret is gone, that it was here is not
	Counter bool   // it has a number instead of a name
	Number  uint64 // of a counter record
	Hint    []byte // at most 24 bytes
	Created Stamp
	Changed Stamp
	Sealed  []byte // nonce (24) ‖ ciphertext of name length (2) ‖ name ‖ secret ‖ tag (16); nil when revoked

	rest packed // where it rests, if it was found there
}

const sealOverhead = primitive.XChaChaNonceSize + primitive.AEADOverhead

// seal encrypts name and secret. The ciphertext opens only as this kind of record at this place.
func (db *DB) seal(p Place, kind Kind, name, secret []byte) ([]byte, error) {
	if len(secret) > MaxSecret {
		return nil, ErrTooLarge
	}
	n := 2 + len(name) + len(secret)
	plain, err := db.arena.New(n)
	if err != nil {
		return nil, err
	}
	defer plain.Destroy()
	out := make([]byte, primitive.XChaChaNonceSize, n+sealOverhead)
	rand.Read(out)
	memory.Erase(func() {
		err = plain.Use(func(b []byte) error {
			binary.BigEndian.PutUint16(b, uint16(len(name)))
			copy(b[2:], name)
			copy(b[2+len(name):], secret)
			return db.key.Use(func(key []byte) error {
				ad := sealedAs(p, kind)
				out = primitive.XChaChaSeal(out, (*[32]byte)(key), (*[24]byte)(out), b, ad[:])
				return nil
			})
		})
	})
	return out, err
}

// open decrypts what seal made, into guarded memory, and lends it to f.
func (db *DB) open(r *Record, p Place, f func(name, secret []byte) error) error {
	n := len(r.Sealed) - sealOverhead
	if n < 2 {
		return ErrDamaged
	}
	plain, err := db.arena.New(n)
	if err != nil {
		return err
	}
	defer plain.Destroy()
	memory.Erase(func() {
		err = plain.Use(func(b []byte) error {
			err := db.key.Use(func(key []byte) error {
				ad := sealedAs(p, r.Kind)
				_, err := primitive.XChaChaOpen(b[:0], (*[32]byte)(key), (*[24]byte)(r.Sealed), r.Sealed[primitive.XChaChaNonceSize:], ad[:])
				return err
			})
			if err != nil {
				return ErrDamaged
			}
			at := 2 + int(binary.BigEndian.Uint16(b))
			if at > len(b) {
				return ErrDamaged
			}
			return f(b[2:at], b[at:])
		})
	})
	return err
}

// sealedAs is the associated data of a record: what it must be to open.
func sealedAs(p Place, kind Kind) (ad [3*24 + 1]byte) {
	copy(ad[0:], p.Client[:])
	copy(ad[24:], p.Vault[:])
	copy(ad[48:], p.Record[:])
	ad[72] = byte(kind)
	return ad
}

// The kinds of the two things that are sealed and are not records. They lie at
// places that no record has: a client's has a zero vault, a vault's a zero record.
const (
	clientName Kind = 254
	vaultName  Kind = 255
)

func (db *DB) sealName(p Place, kind Kind, name []byte) ([]byte, error) {
	return db.seal(p, kind, name, nil)
}

// openName returns a copy of a sealed name, nil if there is none.
func (db *DB) openName(p Place, kind Kind, sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	return db.name(&Record{Kind: kind, Sealed: sealed}, p)
}

// name returns a copy of the name that r was given, nil if it has none.
func (db *DB) name(r *Record, p Place) (name []byte, err error) {
	err = db.open(r, p, func(b, _ []byte) error {
		if len(b) > 0 {
			name = append([]byte{}, b...)
		}
		return nil
	})
	return name, err
}
