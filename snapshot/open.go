package snapshot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/bits"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"
)

// What is here leaves copies of secrets on the heap. It is for a process that ends
// with that.

// KeyPrefix begins a raw key, which 64 hexadecimal digits follow: the seed of a
// hybrid identity of age.
const KeyPrefix = "STRONGHOLD-KEY-"

const identityPrefix = "AGE-SECRET-KEY-"

// opener is what a person or a machine opens slots with.
type opener struct {
	passphrase []byte       // in Unicode normal form C
	identity   age.Identity // else
	recipient  string       // of the identity
	raw        bool         // it came as a raw key
}

// ErrNotAKey is the error for what holds a key and is not exactly one.
var ErrNotAKey = errors.New("snapshot: it holds a key, and is not exactly one")

// parseOpener takes one line that is an identity of age, or a raw key, for that, with
// comments (#) and empty lines around it, as age-keygen makes them. What has the
// beginning of one in it, in whatever place, case or encoding, was meant as a key, and
// is no passphrase: nobody who has the key would know it. Anything else is one.
func parseOpener(secret []byte) (*opener, error) {
	letters := bytes.ToUpper(bytes.ReplaceAll(secret, []byte{0}, nil)) // UTF-16 too
	if !bytes.Contains(letters, []byte(KeyPrefix)) && !bytes.Contains(letters, []byte(identityPrefix)) {
		return &opener{passphrase: norm.NFC.Bytes(secret)}, nil
	}
	var line string
	for l := range strings.Lines(string(secret)) {
		if l = strings.TrimSpace(l); l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if line != "" {
			return nil, ErrNotAKey
		}
		line = l
	}
	digits, ok := strings.CutPrefix(line, KeyPrefix)
	if !ok {
		return parseIdentity(line)
	}
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != keySize {
		return nil, ErrNotAKey
	}
	o, err := parseIdentity(encodeIdentity(key))
	if err == nil {
		o.raw = true
	}
	return o, err
}

func parseIdentity(line string) (*opener, error) {
	if strings.HasPrefix(line, identityPrefix+"PQ-1") {
		id, err := age.ParseHybridIdentity(line)
		if err != nil {
			return nil, ErrNotAKey
		}
		return &opener{identity: id, recipient: id.Recipient().String()}, nil
	}
	id, err := age.ParseX25519Identity(line)
	if err != nil {
		return nil, ErrNotAKey
	}
	return &opener{identity: id, recipient: id.Recipient().String()}, nil
}

// NewSlot makes a slot that the secret opens, a passphrase or a key, without the
// root key. cost is log2 N of scrypt, 0 for what takes about half a second here, and no
// more than half of memory, in bytes, if that is not 0.
// Errors are [*CostError], [ErrNotAKey], and [ErrWrongKey] for the empty passphrase.
func NewSlot(secret []byte, cost int, memory uint64) (Slot, error) {
	if cost != 0 && (cost < MinCost || cost > MaxCost) {
		return Slot{}, &CostError{Cost: cost, Max: MaxCost}
	}
	return newSlot(secret, cost, memory)
}

func newSlot(secret []byte, cost int, memory uint64) (Slot, error) {
	o, err := parseOpener(secret)
	if err != nil {
		return Slot{}, err
	}
	if o.identity != nil {
		s := Slot{Kind: RecipientSlot, Recipient: o.recipient}
		if o.raw {
			s.Kind = KeySlot
		}
		return s, nil
	}
	lock, err := age.NewScryptRecipient(string(o.passphrase))
	if err != nil {
		return Slot{}, ErrWrongKey // it is empty
	}
	if cost == 0 {
		if cost = fittingCost(memory); cost > MinCost { // else there may be no room for a sample
			cost = min(timedCost(), cost)
		}
	}
	lock.SetWorkFactor(cost)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return Slot{}, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, lock)
	if err == nil {
		_, err = io.WriteString(w, id.String())
	}
	if err == nil {
		err = w.Close()
	}
	return Slot{Kind: PassphraseSlot, Recipient: id.Recipient().String(), Lock: out.Bytes()}, err
}

const (
	aimedTime    = 500 * time.Millisecond
	maxTimedCost = 20 // 1 GiB: more is for a person to decide
)

// timedCost is the cost whose hash takes about half a second here, never less
// than MinCost.
func timedCost() int {
	const sample = 15
	start := time.Now()
	if _, err := scrypt.Key([]byte("a sample"), []byte("a salt"), 1<<sample, 8, 1, keySize); err != nil {
		panic("snapshot: internal error: " + err.Error())
	}
	took := time.Since(start)
	debug.FreeOSMemory() // before the hash itself takes as much again, and more
	return costFor(sample, took)
}

// fittingCost is the highest cost whose hash leaves half of memory to others, if one
// does: whoever opens the snapshot has more to do than to hash. 0 bytes mean no bound.
func fittingCost(memory uint64) int {
	if memory == 0 {
		return MaxCost
	}
	const costToBytes = 10 // 128 r N, where r = 8
	return min(max(bits.Len64(memory/2)-1-costToBytes, MinCost), MaxCost)
}

// costFor is the cost that takes about half a second where one of sample takes took.
func costFor(sample int, took time.Duration) int {
	more := math.Round(math.Log2(float64(aimedTime) / float64(max(took, time.Microsecond))))
	return min(max(sample+int(more), MinCost), maxTimedCost)
}

// Open opens the first slot that fits the secret, a passphrase or a key, and
// returns the root key. A passphrase is hashed for one slot after the other, the
// cheapest first: all of these hashes together take 2^maxCost steps of scrypt at
// most, and none more than 2^[MaxCost], since anybody can write a header. Errors are
// [ErrWrongKey], [ErrNoSlotFits], [ErrNotAKey], [*CostError] if only slots that are
// too expensive are left, and [*DamagedError].
func (h *Header) Open(secret []byte, maxCost int) (root []byte, err error) {
	o, err := parseOpener(secret)
	if err != nil {
		return nil, err
	}
	if o.identity == nil {
		return h.openPassphrase(o.passphrase, maxCost)
	}
	for i := range h.Slots {
		if s := &h.Slots[i]; s.Recipient == o.recipient {
			return s.unwrap(o.identity)
		}
	}
	return nil, ErrNoSlotFits
}

func (h *Header) openPassphrase(passphrase []byte, maxCost int) (root []byte, err error) {
	type locked struct {
		*Slot
		cost int
	}
	var slots []locked
	for i := range h.Slots {
		if s := &h.Slots[i]; s.Kind == PassphraseSlot {
			cost, ok := s.Cost()
			if !ok {
				return nil, s.damaged()
			}
			slots = append(slots, locked{s, cost})
		}
	}
	if len(slots) == 0 {
		return nil, ErrNoSlotFits
	}
	slices.SortStableFunc(slots, func(a, b locked) int { return a.cost - b.cost })
	for spent := uint64(0); len(slots) > 0; slots = slots[1:] {
		s := slots[0]
		if s.cost > MaxCost || spent+1<<s.cost > 1<<maxCost {
			for _, s := range slots {
				spent += 1 << min(s.cost, 57) // 32 of these fit
			}
			return nil, &CostError{Cost: bits.Len64(spent - 1), Max: maxCost}
		}
		id, err := s.unlock(passphrase, s.cost)
		if err == nil {
			return s.unwrap(id)
		}
		if err != ErrWrongKey {
			return nil, err
		}
		spent += 1 << s.cost
		debug.FreeOSMemory() // what this hash took, before the next one takes as much again
	}
	return nil, ErrWrongKey
}

// ErrNoSlotFits is the error for a secret of a sort that no slot is for.
var ErrNoSlotFits = errors.New("snapshot: no key slot is for such a key")

// unlock opens the identity behind a passphrase.
func (s *Slot) unlock(passphrase []byte, maxCost int) (age.Identity, error) {
	lock, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, ErrWrongKey // the empty passphrase, which age does not hash
	}
	lock.SetMaxWorkFactor(maxCost)
	text, err := s.decrypt(s.Lock, lock, 256)
	if err != nil {
		return nil, err
	}
	o, err := parseIdentity(string(text))
	if err != nil || o.recipient != s.Recipient {
		return nil, s.damaged()
	}
	return o.identity, nil
}

// unwrap opens the root key with the recipient's identity.
func (s *Slot) unwrap(id age.Identity) ([]byte, error) {
	root, err := s.decrypt(s.Wrap, id, keySize)
	if err != nil || len(root) != keySize {
		return nil, s.damaged() // it says that it is for this one
	}
	return root, nil
}

// decrypt opens an age file of at most size bytes.
func (s *Slot) decrypt(file []byte, id age.Identity, size int64) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), id)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, s.damaged()
	}
	b, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil || int64(len(b)) > size {
		return nil, s.damaged()
	}
	return b, nil
}

func (s *Slot) damaged() error { return &DamagedError{Where: "key slot", Offset: s.at} }
