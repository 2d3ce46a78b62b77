package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/stronghold-go/stronghold/vault"
)

// errMalformed is what a decoder says; callers turn it into where.
var errMalformed = errors.New("snapshot: malformed")

// decoder reads big-endian integers and byte strings. After an error it yields
// zeros, so that callers check once.
type decoder struct {
	r   io.Reader
	buf [2 * stampSize]byte
	err error

	only *scratch // not nil: what is read is only looked at, and comes to lie here
}

// scratch is where a decoder puts everything that nobody keeps.
type scratch struct {
	b      []byte
	record vault.Record
	item   vault.Item
	keep   uint64
}

func (d *decoder) fill(b []byte) []byte {
	if buffered, ok := d.r.(*bufio.Reader); ok && d.err == nil && buffered.Buffered() >= len(b) {
		n, _ := buffered.Read(b) // without the way through ReadFull: most of a file passes here
		b = b[:n]
	} else if d.err == nil {
		_, d.err = io.ReadFull(d.r, b)
	}
	if d.err != nil {
		clear(b)
	}
	return b
}

func (d *decoder) u8() uint8   { return d.fill(d.buf[:1])[0] }
func (d *decoder) u16() uint16 { return binary.BigEndian.Uint16(d.fill(d.buf[:2])) }
func (d *decoder) u32() uint32 { return binary.BigEndian.Uint32(d.fill(d.buf[:4])) }
func (d *decoder) u64() uint64 { return binary.BigEndian.Uint64(d.fill(d.buf[:8])) }

func (d *decoder) id() (id vault.ID) {
	d.fill(id[:])
	return id
}

// bytes returns n new bytes, nil for none. Callers bound n.
func (d *decoder) bytes(n int) []byte {
	if n == 0 || d.err != nil {
		return nil
	}
	if d.only != nil {
		d.only.b = slices.Grow(d.only.b[:0], n)[:n]
		return d.fill(d.only.b)
	}
	return d.fill(make([]byte, n))
}

// limit fails the decoder if n is more than is allowed.
func (d *decoder) limit(n, most int) int {
	if n > most {
		d.fail()
	}
	return n
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errMalformed
	}
}

// end fails the decoder unless everything was read.
func (d *decoder) end() error {
	if d.err == nil {
		if n, err := io.ReadFull(d.r, d.buf[:1]); n != 0 || err != io.EOF {
			d.fail()
			if err != nil && err != io.EOF {
				d.err = err
			}
		}
	}
	return d.err
}

const (
	maxName   = vault.MaxName
	maxHint   = vault.MaxHint
	maxSealed = vault.MaxSecret + maxName + 64 // with its nonce, tag and lengths
	minSealed = 24 + 2 + 16                    // nonce, the name's length, tag
	nameExtra = 64

	bitRevoked = 1 << 0
	bitCounter = 1 << 1
)

func appendName(b, sealed []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(sealed)))
	return append(b, sealed...)
}

// name reads the sealed name of a client or a vault; there may be none.
func (d *decoder) name() []byte {
	n := d.limit(int(d.u16()), maxName+nameExtra)
	if n > 0 && n < minSealed {
		d.fail()
	}
	return d.bytes(n)
}

func appendStamp(b []byte, s vault.Stamp) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.UnixMilli))
	b = append(b, s.Device[:]...)
	return binary.BigEndian.AppendUint64(b, s.Sequence)
}

const stampSize = 8 + 8 + 8

func (d *decoder) stamp() (s vault.Stamp) {
	readStamp(&s, d.fill(d.buf[:stampSize]))
	return s
}

func readStamp(s *vault.Stamp, b []byte) {
	s.UnixMilli, s.Device, s.Sequence = int64(binary.BigEndian.Uint64(b)), [8]byte(b[8:]), binary.BigEndian.Uint64(b[16:])
}

func appendRecord(b []byte, r *vault.Record) []byte {
	b = append(b, r.ID[:]...)
	b = append(b, byte(r.Kind))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Flags))
	var bits byte
	if r.Revoked {
		bits |= bitRevoked
	}
	if r.Counter {
		bits |= bitCounter
	}
	b = append(b, bits)
	if r.Counter {
		b = binary.BigEndian.AppendUint64(b, r.Number)
	}
	b = append(b, byte(len(r.Hint)))
	b = append(b, r.Hint...)
	b = appendStamp(b, r.Created)
	b = appendStamp(b, r.Changed)
	if r.Revoked {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Sealed)))
	return append(b, r.Sealed...)
}

func (d *decoder) record() (r *vault.Record) {
	if d.only != nil {
		r = &d.only.record
	} else {
		r = new(vault.Record)
	}
	d.recordInto(r, nil)
	return r
}

// recordInto is record into one that was used before. What is sealed goes into
// room, if there is one, which grows.
func (d *decoder) recordInto(r *vault.Record, room *[]byte) {
	// A file is mostly records: they are read in few pieces, and set field by field.
	b := d.fill(d.buf[:24+1+2+1])
	r.ID = vault.ID(b)
	r.Kind, r.Flags = vault.Kind(b[24]), vault.Flags(binary.BigEndian.Uint16(b[25:]))
	bits := b[27]
	if bits&^(bitRevoked|bitCounter) != 0 {
		d.fail()
	}
	r.Revoked, r.Counter = bits&bitRevoked != 0, bits&bitCounter != 0
	r.Number, r.Sealed = 0, nil
	if r.Counter {
		r.Number = d.u64()
	}
	r.Hint = d.bytes(d.limit(int(d.u8()), maxHint))
	b = d.fill(d.buf[:2*stampSize])
	readStamp(&r.Created, b)
	readStamp(&r.Changed, b[stampSize:])
	if r.Revoked {
		return
	}
	n := d.limit(int(d.u32()), maxSealed)
	if n < minSealed {
		d.fail()
	}
	if room == nil || d.err != nil {
		r.Sealed = d.bytes(n)
		return
	}
	*room = slices.Grow((*room)[:0], n)[:n]
	r.Sealed = d.fill(*room)
}

func appendItem(b []byte, it *vault.Item) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(it.Key)))
	b = append(b, it.Key...)
	b = appendStamp(b, it.Changed)
	if it.Removed {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, uint64(it.Expires))
	b = binary.BigEndian.AppendUint32(b, uint32(len(it.Value)))
	return append(b, it.Value...)
}

func (d *decoder) item(removed bool) (it *vault.Item) {
	if d.only != nil {
		it = &d.only.item
	} else {
		it = new(vault.Item)
	}
	*it = vault.Item{Key: d.bytes(d.limit(int(d.u16()), maxName)), Changed: d.stamp(), Removed: removed}
	if !removed {
		it.Expires = int64(d.u64())
		it.Value = d.bytes(d.limit(int(d.u32()), vault.MaxValue))
	}
	return it
}

// What an edit does.
const (
	editRecord = 'r' // puts a record or a tombstone
	editItem   = 'p' // puts an item into the store
	editRemove = 'd' // takes one out
	editClient = 'c' // makes sure that there is a client
	editPurge  = 'x' // takes a client away
	editKeep   = 'k' // has a vault keep its last versions
)

func appendEdits(b []byte, edits []*vault.Edit) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(edits)))
	for _, e := range edits {
		switch {
		case e.Purge:
			b = append(b, editPurge)
		case e.Record == nil && e.Item == nil && e.Keep == nil:
			b = append(b, editClient)
		case e.Record != nil:
			b = append(b, editRecord)
			b = append(b, e.Vault[:]...)
			b = appendName(b, e.VaultName)
			b = appendRecord(b, e.Record)
		case e.Keep != nil:
			b = append(b, editKeep)
			b = append(b, e.Vault[:]...)
			b = appendName(b, e.VaultName)
			b = binary.BigEndian.AppendUint64(b, *e.Keep)
		case e.Item.Removed:
			b = appendItem(append(b, editRemove), e.Item)
		default:
			b = appendItem(append(b, editItem), e.Item)
		}
	}
	return b
}

// edits reads the edits of a part; none of them are returned if they are only looked at.
func (d *decoder) edits(p *part) (edits []vault.Edit, err error) {
	some, gone := false, false
	for n := d.u32(); n > 0 && d.err == nil; n-- {
		e := vault.Edit{Client: p.client, ClientName: p.name}
		gone = false
		switch d.u8() {
		case editRecord:
			e.Vault, e.VaultName = d.id(), d.name()
			e.Record = d.record()
		case editKeep:
			e.Vault, e.VaultName = d.id(), d.name()
			if e.Keep = new(uint64); d.only != nil {
				e.Keep = &d.only.keep
			}
			*e.Keep = d.u64()
		case editItem:
			e.Item = d.item(false)
		case editRemove:
			e.Item = d.item(true)
		case editClient:
		case editPurge:
			e.ClientName, e.Purge, gone = nil, true, true
		default:
			d.fail()
		}
		if some = true; d.only == nil {
			edits = append(edits, e)
		}
	}
	if !some || gone != p.gone { // nobody writes one
		d.fail()
	}
	return edits, d.end()
}

// entry is a change as it stands in the journal: a part for each client, which opens for itself.
type entry struct {
	sequence uint64
	parts    []part // in the order of their clients
}

// part is what a change does to one client. What becomes of that is said outside of
// what is sealed, for those who do not open it.
type part struct {
	client vault.ID
	name   []byte // sealed; nil when known already, not known at all, or gone
	gone   bool   // the client is not there any more
	sealed []byte // edits
}

func appendEntry(b []byte, e *entry) []byte {
	b = binary.BigEndian.AppendUint64(b, e.sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.parts)))
	for i := range e.parts {
		p := &e.parts[i]
		b = append(b, p.client[:]...)
		b = appendName(b, p.name)
		gone := byte(0)
		if p.gone {
			gone = 1
		}
		b = append(b, gone)
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.sealed)))
		b = append(b, p.sealed...)
	}
	return b
}

// decodeEntry is appendEntry the other way round. What it returns has pieces of b.
func decodeEntry(b []byte) (*entry, error) {
	r, e := bytes.NewReader(b), new(entry)
	d := decoder{r: r}
	return e, d.entry(e, r, b)
}

// entry reads an entry, which is b and in r.
func (d *decoder) entry(e *entry, r *bytes.Reader, b []byte) error {
	e.sequence, e.parts = d.u64(), e.parts[:0]
	for n := d.u32(); n > 0 && d.err == nil; n-- {
		p := part{client: d.id(), name: d.name()}
		gone := d.u8()
		p.gone = gone == 1
		size := d.limit(int(d.u32()), r.Len())
		if last := len(e.parts) - 1; gone > 1 || p.gone && p.name != nil || last >= 0 && bytes.Compare(e.parts[last].client[:], p.client[:]) >= 0 {
			d.fail()
		}
		if d.err == nil {
			at := len(b) - r.Len()
			p.sealed = b[at : at+size]
			r.Seek(int64(size), io.SeekCurrent)
		}
		e.parts = append(e.parts, p)
	}
	if len(e.parts) == 0 { // nobody writes one
		d.fail()
	}
	return d.end()
}

// rereader reads what has just been written, as those will who open the file.
type rereader struct {
	r       bytes.Reader
	d       decoder
	e       entry
	scratch scratch
}

func (a *rereader) begin(b []byte) *decoder {
	a.r.Reset(b)
	a.scratch.b = spare(a.scratch.b)
	a.d.r, a.d.err, a.d.only = &a.r, nil, &a.scratch
	return &a.d
}

// edits says whether these are the edits of a part.
func (a *rereader) edits(b []byte, p *part) bool {
	_, err := a.begin(b).edits(p)
	return err == nil
}

// record says whether this is a record that a vault may hold.
func (a *rereader) record(b []byte, v *vault.VaultView) bool {
	d := a.begin(b)
	d.recordInto(&a.scratch.record, &a.scratch.b)
	return d.end() == nil && belongs(&a.scratch.record, v)
}

// item says whether this is an item of a store.
func (a *rereader) item(b []byte) bool {
	d := a.begin(b)
	d.item(false)
	return d.end() == nil
}

// name says whether this is the name of a client or a vault, sealed.
func (a *rereader) name(b []byte) bool {
	d := a.begin(b)
	d.name()
	return d.end() == nil
}

// entry says whether this is an entry.
func (a *rereader) entry(b []byte) bool {
	return a.begin(b).entry(&a.e, &a.r, b) == nil
}
