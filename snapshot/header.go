package snapshot

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Header is the part of a file that is not encrypted. It is authenticated under
// the root key, so that no slot can be dropped or swapped unseen.
type Header struct {
	FileID   [idSize]byte // random, new with every file: keys of the file depend on it
	Slots    []Slot
	Settings []byte              // none yet: empty
	records  [sealedKeySize]byte // the key of records and names, sealed
}

const sealedKeySize = keySize + tagSize

const (
	maxSettings = 4 << 10
	headerStart = len(magic) + 2 + idSize + 1 // where the first slot begins
)

// renew gives the header of a file that is about to be written a new id.
func (h Header) renew() Header {
	rand.Read(h.FileID[:])
	return h
}

// encode returns the header without its MAC.
func (h *Header) encode() []byte {
	b := append([]byte(magic), major, minor)
	b = append(b, h.FileID[:]...)
	b = append(b, byte(len(h.Slots)))
	for _, s := range h.Slots {
		b = appendBytes16(append(b, byte(s.Kind)), s.encode())
	}
	b = appendBytes16(b, h.Settings)
	return append(b, h.records[:]...)
}

// Encode returns the header as [ReadHeader] takes it, without its MAC: that is for
// those who have the key.
func (h *Header) Encode() []byte { return append(h.encode(), make([]byte, macSize)...) }

// ReadHeader reads what a file tells without a key: its header, and the MAC that
// only the key can check.
func ReadHeader(r io.Reader) (h *Header, mac []byte, err error) {
	damaged := &DamagedError{Where: "header"}
	var start [len(magic) + 2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[:len(magic)]) != magic {
		return nil, nil, ErrNotASnapshot
	}
	if start[5] != major || start[6] != minor {
		return nil, nil, &VersionError{start[5], start[6]}
	}
	d := &decoder{r: r}
	h = new(Header)
	copy(h.FileID[:], d.bytes(idSize))
	n := int(d.u8())
	if n == 0 || n > maxSlots {
		return nil, nil, damaged
	}
	at, last := int64(headerStart), uint8(0)
	for range n {
		kind := SlotKind(d.u8())
		data := d.bytes(d.limit(int(d.u16()), maxSlotSize))
		s, ok := decodeSlot(kind, data)
		if s.at = at + 3; d.err != nil {
			break
		}
		if !ok || s.Number <= last {
			return nil, nil, s.damaged()
		}
		at, last = s.at+int64(len(data)), s.Number
		h.Slots = append(h.Slots, s)
	}
	h.Settings = d.bytes(d.limit(int(d.u16()), maxSettings))
	d.fill(h.records[:])
	mac = bytes.Clone(d.bytes(macSize))
	if d.err != nil || len(h.Settings) != 0 {
		return nil, nil, damaged
	}
	return h, mac, nil
}

// mac is HMAC-SHA-256 of the encoded header under a key of the root key.
func (k *Keys) mac(h *Header) ([]byte, error) {
	key, err := k.derive("header", h.FileID[:], nil)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	mac := make([]byte, macSize)
	memory.Erase(func() {
		key.Use(func(key []byte) error { primitive.SHA256.HMAC(mac, key, h.encode()); return nil })
	})
	return mac, nil
}

// verify holds the header against its MAC.
func (k *Keys) verify(h *Header, mac []byte) error {
	want, err := k.mac(h)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want, mac) != 1 {
		return &DamagedError{Where: "header"}
	}
	return nil
}

// sealRecords puts the key of records and names into the header. The key that it
// is sealed under is of this file's id, and seals nothing else.
func (k *Keys) sealRecords(h *Header) error {
	return k.underHeader(h, func(key *[keySize]byte) error {
		return k.records.Use(func(b []byte) error {
			primitive.ChaChaSeal(h.records[:0], key, new([12]byte), b, nil)
			return nil
		})
	})
}

// openRecords takes it out again.
func (k *Keys) openRecords(h *Header) error {
	records, err := k.arena.New(sealedKeySize)
	if err != nil {
		return err
	}
	defer records.Destroy()
	if k.records, err = k.arena.New(keySize); err != nil {
		return err
	}
	return k.underHeader(h, func(key *[keySize]byte) error {
		return records.Use(func(b []byte) error {
			if _, err := primitive.ChaChaOpen(b[:0], key, new([12]byte), h.records[:], nil); err != nil {
				return &DamagedError{Where: "header"}
			}
			return k.records.Use(func(out []byte) error { copy(out, b); return nil })
		})
	})
}

func (k *Keys) underHeader(h *Header, f func(*[keySize]byte) error) (err error) {
	key, err := k.derive("records", h.FileID[:], nil)
	if err != nil {
		return err
	}
	defer key.Destroy()
	memory.Erase(func() { err = key.Use(func(b []byte) error { return f((*[keySize]byte)(b)) }) })
	return err
}
