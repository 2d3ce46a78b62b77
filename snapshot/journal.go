package snapshot

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Journal seals changes for the end of one file. Each time it begins, and after
// each [Journal.Restart], entries get a new key, derived with 32 random bytes
// that are written first; within a key they are counted. So two copies of a file
// that go different ways never use a nonce twice.
//
// An entry authenticates the tag of the one before it, the first one that of the
// index: entries cannot be reordered, repeated, left out or moved between files.
// It is not safe for concurrent use.
type Journal struct {
	keys *Keys
	file [idSize]byte
	last [tagSize]byte // of the last entry, or of the index

	key *memory.Secret // of the session; nil before its first entry
	n   uint64
}

// Seal returns what to append to the file for the change, in the order of the
// changes' numbers.
func (j *Journal) Seal(c *vault.Change) ([]byte, error) { return j.seal(appendChange(nil, c)) }

func (j *Journal) seal(plain []byte) ([]byte, error) {
	var out []byte
	if j.key == nil {
		salt := make([]byte, saltSize)
		rand.Read(salt)
		key, err := j.session(salt)
		if err != nil {
			return nil, err
		}
		j.key, j.n = key, 0
		out = append(appendBlockHead(out, blockSession, saltSize), salt...)
	}
	out = appendBlockHead(out, blockEntry, int64(len(plain)+tagSize))
	nonce := entryNonce(j.n)
	j.n++
	memory.Erase(func() {
		j.key.Use(func(key []byte) error {
			out = primitive.ChaChaSeal(out, (*[32]byte)(key), &nonce, plain, j.last[:])
			return nil
		})
	})
	copy(j.last[:], out[len(out)-tagSize:])
	return out, nil
}

// Tag identifies the journal's end: what the next entry authenticates.
func (j *Journal) Tag() [16]byte { return j.last }

// Restart begins anew behind the entry that ends with this tag: entries sealed
// since are not in the file, or not wholly, and their key is not used again.
func (j *Journal) Restart(tag [16]byte) {
	j.Close()
	j.last = tag
}

// Close wipes the session's key.
func (j *Journal) Close() {
	if j.key != nil {
		j.key.Destroy()
		j.key = nil
	}
}

func (j *Journal) session(salt []byte) (*memory.Secret, error) {
	return j.keys.derive("journal", salt, j.file[:])
}

func entryNonce(n uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}
