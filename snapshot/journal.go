package snapshot

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Journal seals changes for the end of one file, and knows what is before its end.
// Each time it begins, and after each [Journal.Restart], entries get a new key, derived
// with 32 random bytes that are written first; within a key they are counted. So two
// copies of a file that go different ways never use a nonce twice.
//
// An entry authenticates the tag of the one before it, the first one that of the
// index: entries cannot be reordered, repeated, left out or moved between files.
// Within an entry, what is of one client is sealed for itself.
// It is not safe for concurrent use.
type Journal struct {
	keys     *Keys
	file     [idSize]byte
	base     int64                // where it begins
	first    [tagSize]byte        // of the index
	sections map[vault.ID]section // before it; never changed
	touched  map[vault.ID]bool    // clients that an entry is about, or would have been

	last [tagSize]byte  // of the last entry, or of the index
	key  *memory.Secret // of the session; nil before its first entry
	n    uint64

	parts, plain []byte // an entry, before it is sealed
	again        rereader
}

// newJournal is the journal of a file that ends with its index.
func newJournal(k *Keys, file [idSize]byte, base int64, tag [tagSize]byte, sections map[vault.ID]section) *Journal {
	return &Journal{keys: k, file: file, base: base, first: tag, last: tag, sections: sections, touched: map[vault.ID]bool{}}
}

// Seal returns what to append to the file for each change, in the order of the
// changes' numbers. What is sealed together costs less: the key's traces are erased once.
// With an error there are only the entries before the change that it is about.
func (j *Journal) Seal(changes ...*vault.Change) (entries [][]byte, err error) {
	head, err := j.begin()
	if err != nil {
		return nil, err
	}
	entries = make([][]byte, 0, len(changes))
	j.withKey(func(key *[32]byte) {
		for _, c := range changes {
			var entry []byte
			if entry, err = j.sealChange(key, head, c); err != nil {
				break
			}
			entries, head = append(entries, entry), nil
		}
	})
	if err != nil { // some of it may be sealed: that nonce is not used again
		j.Restart(j.last)
	}
	return entries, err
}

// errUnreadable is for what would be taken for damage by whoever reads it: it is not written.
var errUnreadable = errors.New("snapshot: internal error: no reader would take this")

// spare is b for another entry, unless it is a large one.
func spare(b []byte) []byte {
	if cap(b) > maxSpare {
		return nil
	}
	return b
}

const maxSpare = 16 << 10

// begin returns what stands before the first entry of a session, nothing before others.
func (j *Journal) begin() ([]byte, error) {
	if j.key != nil {
		return nil, nil
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	key, err := j.keys.session(salt, j.file)
	if err != nil {
		return nil, err
	}
	j.key, j.n = key, 0
	return append(appendBlockHead(nil, blockSession, saltSize), salt...), nil
}

// withKey lends the session's key to f.
func (j *Journal) withKey(f func(key *[32]byte)) {
	memory.Erase(func() {
		j.key.Use(func(key []byte) error {
			f((*[32]byte)(key))
			return nil
		})
	})
}

// sealChange appends the entry of a change, if those who will read it take it.
func (j *Journal) sealChange(key *[32]byte, out []byte, c *vault.Change) ([]byte, error) {
	parts := byClient(c.Edits)
	e := entry{sequence: c.Sequence, parts: make([]part, len(parts))}
	b := j.parts[:0]
	for i, edits := range parts {
		p, nonce, at := &e.parts[i], partNonce(j.n, i), len(b)
		*p = partOf(edits)
		b = slices.Grow(appendEdits(b, edits), tagSize)
		if !j.again.edits(b[at:], p) {
			return nil, errUnreadable
		}
		p.sealed = primitive.ChaChaSeal(b[at:at], key, &nonce, b[at:], p.client[:])
		b = b[:at+len(p.sealed)]
		j.touched[p.client] = true
	}
	j.parts = spare(b)
	plain := appendEntry(j.plain[:0], &e)
	j.plain = spare(plain)
	if !j.again.entry(plain) {
		return nil, errUnreadable
	}
	return j.seal(key, out, plain), nil
}

// seal appends an entry with this plaintext.
func (j *Journal) seal(key *[32]byte, out, plain []byte) []byte {
	out = slices.Grow(out, blockHead+len(plain)+tagSize)
	out = appendBlockHead(out, blockEntry, int64(len(plain)+tagSize))
	nonce := entryNonce(j.n)
	j.n++
	out = primitive.ChaChaSeal(out, key, &nonce, plain, j.last[:])
	copy(j.last[:], out[len(out)-tagSize:])
	return out
}

// byClient are the edits of each client, in the order of the clients.
func byClient(edits []vault.Edit) (groups [][]*vault.Edit) {
	all := make([]*vault.Edit, len(edits))
	for i := range edits {
		all[i] = &edits[i]
	}
	slices.SortStableFunc(all, func(a, b *vault.Edit) int { return bytes.Compare(a.Client[:], b.Client[:]) })
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Client == all[0].Client {
			n++
		}
		groups, all = append(groups, all[:n]), all[n:]
	}
	return groups
}

// partOf is what is said of a client's edits outside of them.
func partOf(edits []*vault.Edit) part {
	p := part{client: edits[0].Client}
	for _, e := range edits {
		if p.gone = e.Purge; p.gone {
			p.name = nil
		} else if e.ClientName != nil {
			p.name = e.ClientName
		}
	}
	return p
}

// Tag identifies the journal's end: what the next entry authenticates.
func (j *Journal) Tag() [16]byte { return j.last }

// EntryTag is the Tag behind an entry that [Journal.Seal] has returned.
func EntryTag(sealed []byte) [16]byte { return [16]byte(sealed[len(sealed)-tagSize:]) }

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

// session is the key of a session of a file's journal.
func (k *Keys) session(salt []byte, file [idSize]byte) (*memory.Secret, error) {
	return k.derive("journal", salt, file[:])
}

// entryNonce is the nonce of an entry of a session, the partNonce of one of its parts.
func entryNonce(n uint64) (nonce [12]byte) { return partNonce(n, -1) }

func partNonce(n uint64, part int) (nonce [12]byte) {
	binary.BigEndian.PutUint32(nonce[:], uint32(part+1))
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}
