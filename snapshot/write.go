package snapshot

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/stronghold-go/stronghold/vault"
)

// Blocks follow the header: a type, the length of what follows the head (8 bytes),
// a checksum of these two (4 bytes), and that. The checksum tells a length that was
// damaged from a file that was cut short: without it, one flipped bit in an old
// entry's length would pass for a crash and cost every entry behind it.
const (
	blockClient  = 'C' // salt (32), STREAM of one client's vaults and records
	blockIndex   = 'I' // STREAM of the sequence number and the list of the clients' blocks
	blockBatch   = 'B' // what was made durable at once: checksum (4), sessions and entries
	blockSession = 'S' // salt (32) of the entries that follow
	blockEntry   = 'E' // one sealed change

	blockHead = 1 + 8 + 4
)

func appendBlockHead(b []byte, kind byte, size int64) []byte {
	n := len(b)
	b = binary.BigEndian.AppendUint64(append(b, kind), uint64(size))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

// castagnoli is the polynomial of CRC-32C (RFC 3720, section 12.1).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Write writes the state as a new file with h's slots under a new file id, and
// returns the journal of that file, which is empty. Clients that are not loaded come
// from rest: as they are, or sealed anew if the journal has something of them, or if the
// keys are others. It may be nil if there are none.
func Write(w io.Writer, k *Keys, h *Header, view *vault.View, rest *Rest) (*Journal, error) {
	head := h.renew()
	if err := k.sealRecords(&head); err != nil {
		return nil, err
	}
	mac, err := k.mac(&head)
	if err != nil {
		return nil, err
	}
	encoded := append(head.encode(), mac...)
	if _, _, err := ReadHeader(bytes.NewReader(encoded)); err != nil {
		return nil, errUnreadable
	}
	out := &counter{w: w}
	if _, err := out.Write(encoded); err != nil {
		return nil, err
	}
	if err := rest.prepare(view); err != nil {
		return nil, err
	}
	index := binary.BigEndian.AppendUint64(nil, view.Sequence)
	index = binary.BigEndian.AppendUint32(index, uint32(len(view.Clients)))
	sections := make(map[vault.ID]section, len(view.Clients))
	for i := range view.Clients {
		sec, err := k.writeSection(out, &view.Clients[i], rest)
		if err != nil {
			return nil, err
		}
		sections[sec.id] = sec
		index = appendSection(index, &sec)
	}
	tag, err := k.writeIndex(out, head.FileID, mac, index)
	if err != nil {
		return nil, err
	}
	return newJournal(k, head.FileID, out.n, tag, sections), nil
}

// appendSection appends what the index says of a section.
func appendSection(b []byte, sec *section) []byte {
	b = append(b, sec.id[:]...)
	b = appendName(b, sec.name)
	b = append(b, sec.salt[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(sec.size))
}

// writeIndex writes the index of the file with this id and MAC, and returns the tag
// of its last chunk.
func (k *Keys) writeIndex(w io.Writer, file [idSize]byte, mac, index []byte) (tag [tagSize]byte, err error) {
	key, err := k.derive("index", file[:], nil)
	if err != nil {
		return tag, err
	}
	defer key.Destroy()
	if _, err := w.Write(appendBlockHead(nil, blockIndex, streamSize(int64(len(index))))); err != nil {
		return tag, err
	}
	// The MAC in the index binds the slots to this state, and the other way round.
	s := newStreamWriter(w, key, mac)
	if _, err := s.Write(index); err != nil {
		return tag, err
	}
	err = s.Close()
	return s.tag, err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// prepare finds what the journal has of the clients that are not in the view.
func (r *Rest) prepare(view *vault.View) error {
	away := map[vault.ID]bool{}
	for i := range view.Clients {
		if c := &view.Clients[i]; c.Away {
			away[c.ID] = true
		}
	}
	switch {
	case len(away) == 0:
		return nil
	case r == nil:
		return vault.ErrNotLoaded
	}
	return r.collect(away, view.Sequence)
}

// writeSection writes a client's block. It depends on nothing else in the file.
func (k *Keys) writeSection(out *counter, c *vault.ClientView, rest *Rest) (sec section, err error) {
	if c.Away {
		if sec, ok := rest.asIs(c.ID, k); ok {
			from := sec.at + blockHead
			sec.at = out.n
			if _, err := out.Write(appendBlockHead(nil, blockClient, sec.body())); err != nil {
				return sec, err
			}
			out.n += sec.body()
			return sec, rest.Copy(from, sec.body())
		}
		if c, err = rest.view(c.ID); err != nil {
			return sec, err
		}
	}
	sec = section{id: c.ID, name: c.Name, at: out.n}
	salt, size, err := k.writeClient(out, c)
	if err == nil {
		sec.salt, sec.size = [saltSize]byte(salt), size
	}
	return sec, err
}

// writeClient writes a client's block and returns its salt and the size of its
// ciphertext.
func (k *Keys) writeClient(w io.Writer, c *vault.ClientView) (salt []byte, size int64, err error) {
	salt = make([]byte, saltSize)
	rand.Read(salt)
	size, err = k.writeSalted(w, c, salt)
	return salt, size, err
}

// writeSalted is writeClient under a given salt. Nothing else is left to chance.
func (k *Keys) writeSalted(w io.Writer, c *vault.ClientView, salt []byte) (size int64, err error) {
	key, err := k.derive("client", salt, nil)
	if err != nil {
		return 0, err
	}
	defer key.Destroy()
	// The length stands before what it is of. A section that is not large is kept
	// until it is known; else the client is gone through twice.
	var kept held
	s := newStreamWriter(&kept, key, nil)
	if err := encodeClient(s, c); err != nil {
		return 0, err
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	if _, err := w.Write(append(appendBlockHead(nil, blockClient, saltSize+kept.size), salt...)); err != nil {
		return 0, err
	}
	if !kept.dropped {
		for _, chunk := range kept.chunks {
			if _, err := w.Write(chunk); err != nil {
				return 0, err
			}
		}
		return kept.size, nil
	}
	// The same again is the same ciphertext: the view does not change.
	s = newStreamWriter(w, key, nil)
	if err := encodeClient(s, c); err != nil {
		return 0, err
	}
	return kept.size, s.Close()
}

// held keeps what is written to it, until it is too much, and counts it.
type held struct {
	chunks  [][]byte
	size    int64
	dropped bool
}

const maxHeld = 32 << 20

// Write keeps p itself: a streamWriter goes on with another buffer.
func (h *held) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	if h.size > maxHeld {
		h.chunks, h.dropped = nil, true
	}
	if !h.dropped {
		h.chunks = append(h.chunks, p)
	}
	return len(p), nil
}

// encodeClient writes what loadClient reads, and fails where that would: a file that
// nobody can read does not take the place of one that is read.
func encodeClient(to io.Writer, c *vault.ClientView) error {
	var again rereader
	var vaults, records, keys inOrder
	w := bufio.NewWriterSize(to, 8<<10) // it keeps the first error until Flush
	b := append(w.AvailableBuffer(), c.ID[:]...)
	at := len(b)
	b = appendName(b, c.Name)
	if !again.name(b[at:]) {
		return errUnreadable
	}
	w.Write(binary.BigEndian.AppendUint32(b, uint32(len(c.Vaults))))
	for i := range c.Vaults {
		v := &c.Vaults[i]
		b := append(w.AvailableBuffer(), v.ID[:]...)
		at := len(b)
		b = appendName(b, v.Name)
		if !again.name(b[at:]) || !vaults.next(v.ID[:]) {
			return errUnreadable
		}
		b = binary.BigEndian.AppendUint64(b, v.Next)
		b = binary.BigEndian.AppendUint64(b, v.Keep)
		w.Write(binary.BigEndian.AppendUint64(b, uint64(v.Len())))
		records.begin()
		for r := range v.Records {
			b := appendRecord(w.AvailableBuffer(), r)
			if !again.record(b, v) || !records.next(r.ID[:]) {
				return errUnreadable
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	n, items := c.Items()
	w.Write(binary.BigEndian.AppendUint32(w.AvailableBuffer(), uint32(n)))
	for it := range items {
		b := appendItem(w.AvailableBuffer(), it)
		if !again.item(b) || !keys.next(it.Key) {
			return errUnreadable
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return w.Flush()
}
