package vault

import (
	"bytes"
	"hash/maphash"
	"strconv"
	"sync/atomic"

	"github.com/stronghold-go/stronghold/procedures/primitive"
)

// ID names a client, a vault or a record: 24 bytes that are derived from its
// path exactly as the Rust Stronghold did, so that its files keep their
// addresses. An id is the first 24 bytes of HMAC-SHA-512 with the path as key.
type ID [24]byte

func (a ID) less(b ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// derived has the ids of the paths that were asked for last, since those are asked
// for again, and three ids take as long as a sixth of a signature. They are no
// secrets; nor are paths to whoever could read them here, since the requests lie here
// too.
var (
	derived     [512]atomic.Pointer[derivation]
	derivedSeed = maphash.MakeSeed()
)

// A derivation is never changed.
type derivation struct {
	data, path []byte
	id         ID
}

// maxRemembered is the longest path to be remembered, in bytes.
const maxRemembered = 128

func derive(data, path []byte) (id ID) {
	slot := &derived[(maphash.Bytes(derivedSeed, path)^maphash.Bytes(derivedSeed, data)>>1)%uint64(len(derived))]
	if d := slot.Load(); d != nil && bytes.Equal(d.path, path) && bytes.Equal(d.data, data) {
		return d.id
	}
	var sum [64]byte
	primitive.SHA512.HMAC(sum[:], path, data)
	copy(id[:], sum[:])
	if len(path) <= maxRemembered && len(data) <= maxRemembered {
		slot.Store(&derivation{bytes.Clone(data), bytes.Clone(path), id})
	}
	return id
}

// ClientID is the id of the client at path.
func ClientID(path []byte) ID { return derive(path, path) }

// VaultID is the id of the vault at path; it does not depend on the client.
func VaultID(path []byte) ID { return derive(path, path) }

// RecordID is the id of the generic record at path in a vault.
func RecordID(vault ID, path []byte) ID { return derive(vault[:], path) }

// CounterID is the id of version n in the vault at path. Its text is Rust's
// debug form of a byte vector, then the number: "[118, 97]3"; for 0 it is
// "[118, 97]first_record".
func CounterID(vaultPath []byte, n uint64) ID {
	b := []byte{'['}
	for i, c := range vaultPath {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	b = append(b, ']')
	if n == 0 {
		b = append(b, "first_record"...)
	} else {
		b = strconv.AppendUint(b, n, 10)
	}
	return derive(b, b)
}

// Place is where a record lies: ids to find it by, and the names they come
// from, nil where a name is not known.
type Place struct {
	Client, Vault, Record             ID
	ClientName, VaultName, RecordName []byte

	Counter bool   // a counter record: it has a number instead of a name
	Number  uint64 // its number, unless Head
	Head    bool   // the last counter record when reading, the next when writing
}

// At is the place of the generic record at these paths.
func At(client, vault, record []byte) Place {
	p := In(client, vault)
	p.RecordName = record
	p.Record = RecordID(p.Vault, record)
	return p
}

// In is a vault as a place, without a record.
func In(client, vault []byte) Place {
	return Place{Client: ClientID(client), Vault: VaultID(vault), ClientName: client, VaultName: vault}
}

// Version is counter record n in p's vault, whose name must be known.
func (p Place) Version(n uint64) Place {
	p.Counter, p.Head, p.Number, p.RecordName = true, false, n, nil
	p.Record = CounterID(p.VaultName, n)
	return p
}
