package snapshot

import (
	"bytes"
	"encoding/binary"

	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// replay is the journal, as far as it opens. An entry opens under the key of its session,
// its number in that, and the tag of the entry before it. The tag stands there also if
// that entry does not open, and if it is the tag that is damaged, it can be computed: then
// the entry behind vouches for what the one before it says.
type replay struct {
	*salvager
	replayer
	numbered bool   // the number of the change before the journal is known
	at       int    // of what is looked at
	from     int    // where what does not open begins; -1: all before has opened
	batch    int    // where a batch begins that does not agree with its checksum; -1: none since the last entry
	skipped  int    // bytes that are of no block, since the last entry
	guesses  int    // of an entry's number that may still be made
	seq      uint64 // of the last change

	before struct { // the last entry, if it did not open and its number is known
		plain []byte
		key   *memory.Secret // of its session
		n     uint64
		tag   [tagSize]byte
	}
	old *memory.Secret // the key of the session before
}

const (
	maxLostHeads = 1 << 12 // in a row, behind which an entry is still found
	maxGuesses   = 1 << 20 // in all
)

// journal applies the entries that open.
func (v *salvager) journal(at int, numbered bool) error {
	v.Base = int64(at)
	r := &replay{salvager: v, replayer: replayer{keys: v.Keys, file: v.Header.FileID}, numbered: numbered,
		at: at, from: -1, batch: -1, guesses: maxGuesses, seq: v.DB.Sequence()}
	defer r.session(nil)
	defer r.session(nil)
	r.last = r.tagBefore()
	for r.at < v.end {
		kind, size, ok := v.head(r.at)
		body := v.part(r.at+blockHead, size)
		ok = ok && len(body) == size
		switch {
		case ok && kind == blockBatch && size > sumSize:
			if _, ok := inBatch(body); !ok && r.batch < 0 {
				r.batch = r.at
			}
			r.at += blockHead + sumSize
		case ok && kind == blockSession && size == saltSize:
			key, err := v.Keys.session(body, v.Header.FileID)
			if err != nil {
				return err
			}
			r.session(key)
			r.at += blockHead + size
		case ok && kind == blockEntry:
			if err := r.entry(body); err != nil {
				return err
			}
			r.at += blockHead + size
		case r.isEnd():
			r.at++
		default:
			r.lose()
			r.skipped++
			r.at++
		}
	}
	switch {
	case r.from >= 0: // nothing tells how much it was
		v.note(Damage{Where: "journal", Offset: int64(r.from), First: r.first(), Lost: true})
	case r.batch >= 0:
		v.note(Damage{Where: "journal", Offset: int64(r.batch)})
	}
	return nil
}

// session begins a session. The key of the one before is still needed if its last entry did not open.
func (r *replay) session(key *memory.Secret) {
	if r.old != nil {
		r.old.Destroy()
		if r.before.key == r.old {
			r.before.plain = nil
		}
	}
	r.old, r.key = r.key, key
	r.n, r.skipped = 0, 0
}

// lose says that what is here does not open.
func (r *replay) lose() {
	if r.from < 0 {
		r.from = r.at
	}
}

// first is the number of the change behind the last one; 0: not known.
func (r *replay) first() uint64 {
	if !r.numbered {
		return 0
	}
	return r.seq + 1
}

// isEnd says whether this is the end of a batch.
func (r *replay) isEnd() bool {
	kind, _, ok := r.head(r.at + 1)
	return r.salvager.file[r.at] == batchEnd && (ok && kind == blockBatch || r.at+1 >= r.salvager.end)
}

// tagBefore is the tag of what stands before this place, as the file has it.
func (r *replay) tagBefore() (tag [tagSize]byte) {
	at := r.at
	if kind, size, ok := r.head(at - blockHead - saltSize); ok && kind == blockSession && size == saltSize {
		at -= blockHead + saltSize
	}
	if kind, _, ok := r.head(at - sumSize - blockHead); ok && kind == blockBatch {
		if at -= sumSize + blockHead; int64(at) > r.Base {
			at-- // the end of the batch before
		}
	}
	copy(tag[:], r.part(at-tagSize, tagSize))
	return tag
}

// entry opens an entry and applies it.
func (r *replay) entry(sealed []byte) error {
	if r.key == nil || len(sealed) < tagSize {
		r.lose()
		return nil
	}
	stored, start := [tagSize]byte(sealed[len(sealed)-tagSize:]), r.n
	tags := [][tagSize]byte{r.last, r.tagBefore()}
	if r.before.plain != nil {
		tags = append(tags, r.before.tag)
	}
	// Heads that are damaged have hidden as many entries as there is room for, and some may have been cut out.
	for most := start + min(uint64(r.skipped)/(blockHead+tagSize)+16, maxLostHeads); r.n <= most; r.n++ {
		if r.n > start {
			if r.guesses--; r.guesses < 0 {
				break
			}
		}
		for i, tag := range tags {
			plain, ok := r.try(sealed, tag)
			if !ok {
				continue
			}
			if i == 2 {
				key, n := r.key, r.n
				r.key, r.n = r.before.key, r.before.n
				if err := r.apply(r.before.plain); err != nil {
					return err
				}
				r.key, r.n = key, n
			}
			err := r.apply(plain)
			r.last, r.before.plain, r.skipped = stored, nil, 0
			r.n++
			return err
		}
	}
	r.n, r.before.plain = start, nil
	if r.from < 0 {
		r.compute(sealed)
	}
	r.lose()
	r.last, r.n = stored, start+1
	return nil
}

func (r *replay) try(sealed []byte, tag [tagSize]byte) (plain []byte, ok bool) {
	plain, err := r.open(entryNonce(r.n), bytes.Clone(sealed), tag[:])
	return plain, err == nil
}

// compute keeps what an entry says if only its tag is damaged, and the tag that it had.
func (r *replay) compute(sealed []byte) {
	memory.Erase(func() {
		r.key.Use(func(key []byte) error {
			r.before.plain, r.before.tag = retag((*[32]byte)(key), entryNonce(r.n), sealed[:len(sealed)-tagSize], r.last[:])
			return nil
		})
	})
	r.before.key, r.before.n = r.key, r.n
}

// apply takes what an entry says to the state.
func (r *replay) apply(plain []byte) error {
	if len(plain) < 8 || binary.BigEndian.Uint64(plain) <= r.seq {
		r.lose()
		return nil
	}
	c := &vault.Change{Sequence: binary.BigEndian.Uint64(plain)}
	r.gap(c.Sequence)
	lost := Damage{Where: "entry", Offset: int64(r.at), First: c.Sequence, Last: c.Sequence, Lost: true}
	e, err := decodeEntry(plain)
	switch {
	case err != nil && len(plain) == 12 && zeros(plain[8:]): // it says that nothing has changed
		lost.Where, lost.Lost = "entry without parts", false
		r.note(lost)
	case err != nil:
		r.note(lost)
	default:
		for i := range e.parts {
			edits, err := r.edits(e, i)
			if err != nil {
				lost.Client = e.parts[i].client
				r.note(lost)
				continue
			}
			c.Edits = append(c.Edits, edits...)
		}
	}
	r.DB.Resume(c.Sequence - 1)
	return r.DB.Apply(c)
}

// gap tells of what did not open before the change with this number.
func (r *replay) gap(seq uint64) {
	d := Damage{Where: "journal", Offset: int64(max(r.from, r.batch))}
	if seq > r.seq+1 && (r.numbered || r.from >= 0) {
		d.First, d.Last, d.Lost = r.first(), seq-1, true
	}
	if r.from >= 0 {
		d.Offset = int64(r.from)
	}
	if r.from >= 0 || r.batch >= 0 || d.Lost {
		d.Offset = max(d.Offset, r.Base)
		r.note(d)
	}
	r.from, r.batch, r.seq, r.numbered = -1, -1, seq, true
}
