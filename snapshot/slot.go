package snapshot

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"filippo.io/age"
)

// Costs of a passphrase slot: log2 N of scrypt (RFC 7914) with r = 8, p = 1, so
// that opening it takes 2^(cost-10) MiB.
const (
	MinCost     = 17 // 128 MiB
	DefaultCost = 18 // 256 MiB, about half a second to a second
	MaxCost     = 22 // 4 GiB; more is refused before any of it is spent
)

// Slot wraps the root key.
type Slot struct {
	Kind SlotKind
	Data []byte
}

// SlotKind says how a slot wraps the root key.
type SlotKind uint8

// AgeSlot is an age file (age-encryption.org/v1) whose payload is the root key.
const AgeSlot SlotKind = 1

const (
	maxSlots    = 32
	maxSlotSize = 8 << 10
)

// Wrap makes a slot that opens with the passphrase. cost is log2 N of scrypt.
func (k *Keys) Wrap(passphrase []byte, cost int) (Slot, error) {
	if cost < MinCost || cost > MaxCost {
		return Slot{}, &CostError{Cost: cost, Max: MaxCost}
	}
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return Slot{}, err
	}
	recipient.SetWorkFactor(cost)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return Slot{}, err
	}
	err = k.root.Use(func(root []byte) error { _, err := w.Write(root); return err })
	if err == nil {
		err = w.Close()
	}
	return Slot{Kind: AgeSlot, Data: out.Bytes()}, err
}

// Open opens the first slot that fits the passphrase, and returns the root key,
// which the caller wipes. It leaves copies of both on the heap: it is for a process
// that ends with that. Errors are [ErrWrongKey], [*CostError] and [*DamagedError].
func (h *Header) Open(passphrase []byte, maxCost int) (root []byte, err error) {
	for _, s := range h.Slots {
		cost, ok := s.Cost()
		if !ok {
			continue
		}
		if cost > maxCost {
			return nil, &CostError{Cost: cost, Max: maxCost}
		}
		id, err := age.NewScryptIdentity(string(passphrase))
		if err != nil {
			return nil, ErrWrongKey // the empty passphrase, which age does not hash
		}
		id.SetMaxWorkFactor(maxCost)
		root, err := unwrapAge(s.Data, id)
		if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
			continue
		}
		return root, err
	}
	return nil, ErrWrongKey
}

func unwrapAge(file []byte, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), id)
	if err != nil {
		if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
			return nil, err
		}
		return nil, &DamagedError{Where: "key slot"}
	}
	root := make([]byte, keySize+1) // one more, to see that there is no more
	n, err := io.ReadFull(r, root)
	if n != keySize || err != io.ErrUnexpectedEOF {
		return nil, &DamagedError{Where: "key slot"}
	}
	return root[:keySize], nil
}

// Cost is log2 N of scrypt, for a slot that opens with a passphrase. It reads the
// work factor out of an age file that begins with a scrypt stanza, "-> scrypt SALT
// COST"; age holds the syntax against its specification.
func (s Slot) Cost() (int, bool) {
	head := string(s.Data[:min(len(s.Data), 256)])
	_, head, ok := strings.Cut(head, "\n-> scrypt ")
	if !ok {
		return 0, false
	}
	line, _, _ := strings.Cut(head, "\n")
	_, cost, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(cost)
	return n, err == nil && n > 0
}
