package vault

import (
	"bytes"
	"encoding/binary"

	"github.com/tidwall/btree"
)

// A packed record, behind its head:
//
//	id (24) ‖ kind (1) ‖ flags (2) ‖ bits (1) ‖ hint's length (1) ‖ changed (24)
//	‖ created (24), unless it is the same ‖ number (8) of a counter record ‖ hint ‖ sealed
//
// It is in no file and on no wire: snapshot.Write says how a record rests there.
const (
	packedKind    = 24
	packedFlags   = 25
	packedBits    = 27
	packedHint    = 28
	packedChanged = 29
	packedRest    = packedChanged + stampSize

	stampSize = 24

	bitRevoked = 1 << 0
	bitCounter = 1 << 1
	bitCreated = 1 << 2 // a stamp of its own says when it was made
)

// pack makes one piece of r.
func pack(r *Record) packed {
	n := packedRest + len(r.Hint) + len(r.Sealed)
	var bits byte
	if r.Revoked {
		bits |= bitRevoked
	}
	if r.Counter {
		bits |= bitCounter
		n += 8
	}
	if r.Created != r.Changed {
		bits |= bitCreated
		n += stampSize
	}
	p := newPacked(n)
	b := p.bytes()
	copy(b, r.ID[:])
	b[packedKind] = byte(r.Kind)
	binary.BigEndian.PutUint16(b[packedFlags:], uint16(r.Flags))
	b[packedBits] = bits
	b[packedHint] = byte(len(r.Hint))
	putStamp(b[packedChanged:], r.Changed)
	b = b[packedRest:]
	if bits&bitCreated != 0 {
		putStamp(b, r.Created)
		b = b[stampSize:]
	}
	if r.Counter {
		binary.BigEndian.PutUint64(b, r.Number)
		b = b[8:]
	}
	copy(b[copy(b, r.Hint):], r.Sealed)
	return p
}

// record is p in parts. Its hint and what is sealed are p's own bytes: they do not change either.
func (p packed) record() *Record {
	r := new(Record)
	p.into(r)
	return r
}

// into is record into one that was used before. It sets field by field: a Record
// that was made first and copied would cost more than the rest of this.
func (p packed) into(r *Record) {
	b := p.bytes()
	bits := b[packedBits]
	r.ID = ID(b)
	r.Kind, r.Flags = Kind(b[packedKind]), Flags(binary.BigEndian.Uint16(b[packedFlags:]))
	r.Revoked, r.Counter, r.Number = bits&bitRevoked != 0, bits&bitCounter != 0, 0
	r.Changed.read(b[packedChanged:])
	hint := int(b[packedHint])
	b = b[packedRest:]
	if bits&bitCreated != 0 {
		r.Created.read(b)
		b = b[stampSize:]
	} else {
		r.Created = r.Changed
	}
	if r.Counter {
		r.Number = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	r.Hint, r.Sealed, r.rest = nil, nil, p
	if hint > 0 {
		r.Hint = b[:hint:hint]
	}
	if b = b[hint:]; len(b) > 0 {
		r.Sealed = b
	}
}

func (p packed) id() ID        { return ID(p.bytes()) }
func (p packed) revoked() bool { return p.bytes()[packedBits]&bitRevoked != 0 }

// number is that of a counter record.
func (p packed) number() (n uint64, ok bool) {
	b := p.bytes()
	if b[packedBits]&bitCounter == 0 {
		return 0, false
	}
	at := packedRest
	if b[packedBits]&bitCreated != 0 {
		at += stampSize
	}
	return binary.BigEndian.Uint64(b[at:]), true
}

func (p packed) hint() []byte {
	b := p.bytes()
	at := packedRest
	if b[packedBits]&bitCreated != 0 {
		at += stampSize
	}
	if b[packedBits]&bitCounter != 0 {
		at += 8
	}
	return b[at : at+int(b[packedHint])]
}

func putStamp(b []byte, s Stamp) {
	binary.BigEndian.PutUint64(b, uint64(s.UnixMilli))
	copy(b[8:], s.Device[:])
	binary.BigEndian.PutUint64(b[16:], s.Sequence)
}

func (s *Stamp) read(b []byte) {
	_ = b[stampSize-1]
	s.UnixMilli, s.Device, s.Sequence = int64(binary.BigEndian.Uint64(b)), [8]byte(b[8:]), binary.BigEndian.Uint64(b[16:])
}

// records are the records of a vault in the order of their ids, copied in constant time.
type records struct{ tree *btree.BTreeG[spot] }

// spot is where a record lies. The first bytes of its id stand here too: ids are
// spread evenly, so that they decide nearly every comparison, and what they do
// not point to need not be fetched from memory.
type spot struct {
	first uint64
	packed
}

func spotOf(p packed) spot { return spot{binary.BigEndian.Uint64(p.bytes()), p} }

// spotAt is a spot to look for.
func spotAt(id ID) spot {
	p := newPacked(len(id))
	copy(p.bytes(), id[:])
	return spotOf(p)
}

func newRecords() records {
	less := func(a, b spot) bool {
		if a.first != b.first {
			return a.first < b.first
		}
		return a.at != b.at && bytes.Compare(a.bytes()[8:len(ID{})], b.bytes()[8:len(ID{})]) < 0
	}
	return records{btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: 16})}
}

// get returns the record with this id, a tombstone too, nil if there is none.
func (rs records) get(id ID) *Record {
	s, ok := rs.tree.Get(spotAt(id))
	if !ok {
		return nil
	}
	return s.record()
}

// set puts r in the place of what has its id, and returns that.
func (rs records) set(r *Record) (old packed, replaced bool) {
	s, replaced := rs.tree.Set(spotOf(pack(r)))
	return s.packed, replaced
}

// drop takes the record with this id away, if there is one.
func (rs records) drop(id ID) (old packed, there bool) {
	s, there := rs.tree.Delete(spotAt(id))
	return s.packed, there
}

// load is set, and quicker if the id is above all others.
func (rs records) load(r *Record) { rs.tree.Load(spotOf(pack(r))) }

func (rs records) len() int      { return rs.tree.Len() }
func (rs records) copy() records { return records{rs.tree.Copy()} }

// from calls visit for each record from an id on, until it returns false.
func (rs records) from(id ID, visit func(packed) bool) {
	rs.tree.Ascend(spotAt(id), func(s spot) bool { return visit(s.packed) })
}
