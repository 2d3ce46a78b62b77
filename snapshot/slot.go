package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"filippo.io/age"
)

// Costs of a passphrase slot: log2 N of scrypt (RFC 7914) with r = 8, p = 1, so
// that opening it takes 2^(cost-10) MiB.
const (
	MinCost = 17 // 128 MiB
	MaxCost = 22 // 4 GiB; more is refused before any of it is spent

	// DefaultMaxCost is what all hashes that a file asks for may take together if nobody
	// says, MaxMaxCost what somebody can say: as many slots as there can be, at MaxCost.
	DefaultMaxCost = 20 // 1 GiB
	MaxMaxCost     = MaxCost + 5
)

// MaxLabel bounds what a slot is called, in bytes.
const MaxLabel = 64

const (
	maxSlots     = 32
	maxSlotSize  = 8 << 10
	maxRecipient = 3 << 10
)

// Errors of slots.
var (
	ErrSlots    = errors.New("snapshot: there is no room for another key slot")
	ErrNoSlot   = errors.New("snapshot: there is no such key slot")
	ErrLastSlot = errors.New("snapshot: the last key slot cannot be removed")
)

// SlotKind says what opens a slot. The numbers are part of the format.
type SlotKind uint8

// Kinds of slots.
const (
	PassphraseSlot SlotKind = 1 // a passphrase
	RecipientSlot  SlotKind = 2 // an age identity
	KeySlot        SlotKind = 3 // 32 bytes, without any hash
)

// Slot wraps the root key for an age recipient, whose identity is what opens it,
// or lies, itself encrypted, behind a passphrase. So a new root key can be wrapped
// for every slot by somebody who knows none of the passphrases.
type Slot struct {
	Kind      SlotKind
	Number    uint8 // 1 to 255: its name as long as it is there
	Label     string
	Created   int64  // ms since the Unix epoch
	Recipient string // age1… or age1pq1…
	Lock      []byte // of a passphrase: an age file, whose payload is the recipient's identity
	Wrap      []byte // an age file for the recipient, whose payload is the root key

	at int64 // of its data in the file, in bytes from the beginning
}

// NewRecipientSlot makes a slot for an age recipient, without the root key.
func NewRecipientSlot(recipient string) (Slot, error) {
	if _, err := parseRecipient(recipient); err != nil {
		return Slot{}, err
	}
	return Slot{Kind: RecipientSlot, Recipient: recipient}, nil
}

// parseRecipient reads the one spelling that an age public key has.
func parseRecipient(text string) (age.Recipient, error) {
	if len(text) > maxRecipient {
		return nil, errMalformed
	}
	if strings.HasPrefix(text, "age1pq1") {
		r, err := age.ParseHybridRecipient(text)
		if err != nil || r.String() != text {
			return nil, errMalformed
		}
		return r, nil
	}
	r, err := age.ParseX25519Recipient(text)
	if err != nil || r.String() != text {
		return nil, errMalformed
	}
	return r, nil
}

// Cost is log2 N of scrypt, for a slot that opens with a passphrase. It reads the
// work factor out of an age file that begins with a scrypt stanza, "-> scrypt SALT
// COST"; age holds the syntax against its specification.
func (s *Slot) Cost() (int, bool) {
	head := string(s.Lock[:min(len(s.Lock), 256)])
	_, head, ok := strings.Cut(head, "\n-> scrypt ")
	if !ok {
		return 0, false
	}
	line, _, _ := strings.Cut(head, "\n")
	_, cost, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(cost)
	return n, err == nil && n > 0
}

// With returns a header that has another slot, and the number that this one got.
func (h *Header) With(s Slot) (*Header, uint8, error) {
	if len(h.Slots) >= maxSlots {
		return nil, 0, ErrSlots
	}
	if len(s.Label) > MaxLabel || !utf8.ValidString(s.Label) {
		return nil, 0, errMalformed
	}
	s.Number = h.free()
	s.Created = max(0, time.Now().UnixMilli()) // a clock may be before the epoch
	next := *h
	next.Slots = append(slices.Clone(h.Slots), s)
	slices.SortFunc(next.Slots, func(a, b Slot) int { return int(a.Number) - int(b.Number) })
	return &next, s.Number, nil
}

// free is a number that no slot has: the next one, so that a number does not soon
// mean another slot than it did.
func (h *Header) free() uint8 {
	if len(h.Slots) == 0 {
		return 1
	}
	if last := h.Slots[len(h.Slots)-1].Number; last < 255 {
		return last + 1
	}
	n := uint8(1)
	for _, s := range h.Slots {
		if s.Number == n {
			n++
		}
	}
	return n
}

// Without returns a header that has one slot less. Its root key is to be another,
// too: whoever had the slot may have the root key.
func (h *Header) Without(number uint8) (*Header, error) {
	i := slices.IndexFunc(h.Slots, func(s Slot) bool { return s.Number == number })
	if i < 0 {
		return nil, ErrNoSlot
	}
	if len(h.Slots) == 1 {
		return nil, ErrLastSlot
	}
	next := *h
	next.Slots = slices.Delete(slices.Clone(h.Slots), i, i+1)
	return &next, nil
}

// Wrap returns a header whose slots hold these keys.
func (k *Keys) Wrap(h *Header) (*Header, error) {
	next := *h
	next.Slots = slices.Clone(h.Slots)
	for i := range next.Slots {
		s := &next.Slots[i]
		r, err := parseRecipient(s.Recipient)
		if err != nil {
			return nil, err
		}
		if s.Wrap, err = k.wrap(r); err != nil {
			return nil, err
		}
	}
	return &next, nil
}

// encode returns the slot's data.
func (s *Slot) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{s.Number}, uint64(s.Created))
	b = append(append(b, byte(len(s.Label))), s.Label...)
	b = appendBytes16(b, []byte(s.Recipient))
	if s.Kind == PassphraseSlot {
		b = appendBytes16(b, s.Lock)
	}
	return appendBytes16(b, s.Wrap)
}

func appendBytes16(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// decodeSlot reads the data of a slot.
func decodeSlot(kind SlotKind, data []byte) (s Slot, ok bool) {
	d := &decoder{r: bytes.NewReader(data)}
	s = Slot{Kind: kind, Number: d.u8(), Created: int64(d.u64())}
	s.Label = string(d.bytes(d.limit(int(d.u8()), MaxLabel)))
	s.Recipient = string(d.bytes(d.limit(int(d.u16()), maxRecipient)))
	switch kind {
	case PassphraseSlot:
		s.Lock = d.bytes(d.limit(int(d.u16()), maxSlotSize))
	case RecipientSlot, KeySlot:
	default:
		return s, false
	}
	s.Wrap = d.bytes(d.limit(int(d.u16()), maxSlotSize))
	if d.end() != nil || s.Number == 0 || s.Created < 0 || !utf8.ValidString(s.Label) {
		return s, false
	}
	_, err := parseRecipient(s.Recipient)
	return s, err == nil
}
