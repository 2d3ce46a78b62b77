package snapshot

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Header is the part of a file that is not encrypted. It is authenticated under
// the root key, so that no slot can be dropped or swapped unseen.
type Header struct {
	FileID   [idSize]byte // random, new with every file: keys of the file depend on it
	Slots    []Slot
	Settings []byte // none yet: empty
}

const maxSettings = 4 << 10

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
		b = append(b, byte(s.Kind))
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.Data)))
		b = append(b, s.Data...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Settings)))
	return append(b, h.Settings...)
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
	for range n {
		s := Slot{Kind: SlotKind(d.u8())}
		s.Data = d.bytes(d.limit(int(d.u16()), maxSlotSize))
		if s.Kind != AgeSlot {
			return nil, nil, damaged
		}
		h.Slots = append(h.Slots, s)
	}
	h.Settings = d.bytes(d.limit(int(d.u16()), maxSettings))
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
