package snapshot

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

// A key of each sort, made once.
const (
	identity = "AGE-SECRET-KEY-10343DTKCUS2KTGVERQZ2VTF78AY70JLMJQJ8Q9VFNY727XHAXEXS5UQWXV"
	rawKey   = KeyPrefix + "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

// However an accent was typed, it is the same passphrase. What is no text is one too.
func TestPassphraseForms(t *testing.T) {
	k, _ := newKeys(t)
	for _, forms := range [][]string{
		{"caf\u00e9 \u1e9b\u0323", "cafe\u0301 \u017f\u0323\u0307"},
		{"\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"},
		{"\xff\x00\xc3", "\xff\x00\xc3"},
	} {
		for _, made := range forms {
			h := k.header(t, made)
			for _, typed := range forms {
				if root, err := h.Open([]byte(typed), MaxCost); err != nil || !k.Are(root) {
					t.Errorf("made as %+q, typed as %+q: %v", made, typed, err)
				}
			}
			for _, other := range []string{"cafe", "caf\u00e8 \u1e9b\u0323", "CAF\u00c9 \u1e9b\u0323", "caf\u00e9 \u1e69"} { // compatible is not the same
				if _, err := h.Open([]byte(other), MaxCost); !errors.Is(err, ErrWrongKey) {
					t.Errorf("made as %+q, typed as %+q: %v", made, other, err)
				}
			}
		}
	}
}

// A cost that is chosen leaves half of the memory that there is.
func TestFittingCost(t *testing.T) {
	for memory, want := range map[uint64]int{0: MaxCost, 1: MinCost, 150 << 20: MinCost, 511 << 20: MinCost, 512 << 20: 18, 1 << 30: 19, 2<<30 - 1: 19, 2 << 30: 20, 1 << 60: MaxCost} {
		if got := fittingCost(memory); got != want {
			t.Errorf("with %d MiB: %d, want %d", memory>>20, got, want)
		}
	}
	s, err := newSlot([]byte(passphrase), 0, 200<<20)
	if cost, _ := s.Cost(); err != nil || cost != MinCost {
		t.Errorf("in little memory: cost %d, %v", cost, err)
	}
}

// Each sort of secret opens its slot, and says which slots it is not for.
func TestSlotsOpen(t *testing.T) {
	k, _ := newKeys(t)
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	raw := KeyPrefix + strings.Repeat("5a", keySize)
	all := []string{passphrase, "another passphrase", x25519.String(), hybrid.String(), raw}
	h := k.header(t, all...)
	for i, want := range []SlotKind{PassphraseSlot, PassphraseSlot, RecipientSlot, RecipientSlot, KeySlot} {
		if s := h.Slots[i]; s.Kind != want || int(s.Number) != i+1 || time.Since(time.UnixMilli(s.Created)) > time.Hour {
			t.Errorf("slot %d: %d %d %d", i, s.Kind, s.Number, s.Created)
		}
		if cost, ok := h.Slots[i].Cost(); ok != (want == PassphraseSlot) || ok && cost != 1 {
			t.Errorf("slot %d: cost %d, %v", i, cost, ok)
		}
	}
	for _, secret := range append(all, "# created: today\n# public key: age1…\n"+hybrid.String()+"\n", "\n "+raw+"\r\n") {
		if root, err := h.Open([]byte(secret), MaxCost); err != nil || !k.Are(root) {
			t.Errorf("with %.20q: %v", secret, err)
		}
	}
	for _, tt := range []struct {
		h      *Header
		secret string
		want   error
	}{
		{h, "", ErrWrongKey},
		{h, "wrong", ErrWrongKey},
		{h, passphrase + " ", ErrWrongKey},
		{h, passphrase + "\n", ErrWrongKey}, // whoever reads a file takes its last line end off
		{h, stranger.String(), ErrNoSlotFits},
		{h, KeyPrefix + strings.Repeat("00", keySize), ErrNoSlotFits},
		{h, KeyPrefix + strings.Repeat("00", keySize-1), ErrNotAKey},
		{h, KeyPrefix + strings.Repeat("zz", keySize), ErrNotAKey},
		{h, KeyPrefix, ErrNotAKey},
		{h, "AGE-SECRET-KEY-1", ErrNotAKey},
		{h, hybrid.String()[:60], ErrNotAKey},
		{h, hybrid.String() + "\n" + x25519.String(), ErrNotAKey},
		{h, hybrid.String() + "\n" + hybrid.String(), ErrNotAKey},
		{h, "\ufeff" + hybrid.String(), ErrNotAKey},
		{h, "my key: " + hybrid.String(), ErrNotAKey},
		{h, hybrid.String() + "\nand a note", ErrNotAKey},
		{h, "# " + hybrid.String() + "\n" + passphrase, ErrNotAKey},
		{h, strings.ToLower(x25519.String()), ErrNotAKey},
		{h, strings.ToLower(raw), ErrNotAKey},
		{h, "\xff\xfe" + strings.Join(strings.Split(raw, ""), "\x00") + "\x00", ErrNotAKey},
		{k.header(t, hybrid.String()), passphrase, ErrNoSlotFits},
		{k.header(t, passphrase), hybrid.String(), ErrNoSlotFits},
	} {
		if root, err := tt.h.Open([]byte(tt.secret), MaxCost); !errors.Is(err, tt.want) || root != nil {
			t.Errorf("with %.20q: %v, want %v", tt.secret, err, tt.want)
		}
	}
	// What another root key's slot holds is not this one.
	other, theirs := newKeys(t)
	root, err := theirs.Open([]byte(passphrase), MaxCost)
	if err != nil || k.Are(root) || !other.Are(root) || k.Are(nil) || k.Are(root[:31]) {
		t.Errorf("the slot of another snapshot: %v", err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := KeysOf(newArena(t), make([]byte, n)); !errors.Is(err, ErrWrongKey) {
			t.Errorf("a root key of %d bytes: %v", n, err)
		}
	}
}

// The two age files of a slot are what package age, and so the age tool, opens.
func TestSlotIsForAge(t *testing.T) {
	k, h := newKeys(t)
	lock, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	open := func(file []byte, id age.Identity) string {
		r, err := age.Decrypt(bytes.NewReader(file), id)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	ids, err := age.ParseIdentities(strings.NewReader(open(h.Slots[0].Lock, lock)))
	if err != nil || len(ids) != 1 {
		t.Fatal(err)
	}
	if root := open(h.Slots[0].Wrap, ids[0]); !k.Are([]byte(root)) {
		t.Errorf("a root key of %d bytes", len(root))
	}
}

// A raw key is the seed of a hybrid identity, spelled otherwise.
func TestRawKeyIsAnIdentity(t *testing.T) {
	for _, seed := range [][]byte{make([]byte, keySize), bytes.Repeat([]byte{0xff}, keySize), []byte("these are 32 bytes, as it should")} {
		text := encodeIdentity(seed)
		id, err := age.ParseHybridIdentity(text)
		if err != nil || id.String() != text {
			t.Errorf("%s: %v", text, err)
			continue
		}
		a, errA := newSlot([]byte(KeyPrefix+hex.EncodeToString(seed)), 0, 0)
		b, errB := newSlot([]byte(text), 0, 0)
		if errA != nil || errB != nil || a.Recipient != b.Recipient || a.Kind != KeySlot || b.Kind != RecipientSlot {
			t.Errorf("%v %v: %d %d", errA, errB, a.Kind, b.Kind)
		}
	}
}

// Who had a slot that was removed, and every file, has nothing of what came after.
func TestRemovedSlotOpensNothing(t *testing.T) {
	k, _ := newKeys(t)
	h := k.header(t, passphrase, "to be removed")
	db := newDB(t, k)
	fill(t, db)
	old, _ := write(t, k, h, db)
	without, err := h.Without(2)
	if err != nil {
		t.Fatal(err)
	}
	next, err := k.Renew()
	if err != nil {
		t.Fatal(err)
	}
	if without, err = next.Wrap(without); err != nil {
		t.Fatal(err)
	}
	fresh, _ := write(t, next, without, db)

	// The honest way: the one who stays opens the file with the passphrase he had.
	s := mustOpen(t, newArena(t), fresh)
	if got, want := dump(t, s.DB), dump(t, db); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.Close()
	// The other has this root key, and his identity.
	root, err := h.Open([]byte("to be removed"), MaxCost)
	if err != nil || !k.Are(root) || next.Are(root) {
		t.Fatal(err)
	}
	if _, err := without.Open([]byte("to be removed"), MaxCost); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with the passphrase that was removed: %v", err)
	}
	his, err := h.Slots[1].unlock([]byte("to be removed"), MaxCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range without.Slots {
		if _, err := s.unwrap(his); err == nil {
			t.Error("his identity opens a slot that stayed")
		}
	}
	_, err = Read(bytes.NewReader(fresh), func(*Header) (*Keys, error) { return KeysOf(newArena(t), root) }, Options{Arena: newArena(t)})
	isDamaged(t, err, "header")
	// Nor do the slots of the old file fit the new one.
	header, list := blocksOf(t, fresh)
	mac := header[len(header)-macSize:]
	forged := *without
	forged.Slots = h.Slots
	_, err = open(t, newArena(t), join(append(forged.encode(), mac...), list))
	isDamaged(t, err, "header")
	if len(old) == 0 || bytes.Contains(fresh, without.Slots[0].Wrap) == false {
		t.Error("the file has other slots")
	}
}

func TestSlotNumbers(t *testing.T) {
	k, h := newKeys(t)
	if _, err := h.Without(1); !errors.Is(err, ErrLastSlot) {
		t.Errorf("the last slot: %v", err)
	}
	if _, err := h.Without(9); !errors.Is(err, ErrNoSlot) {
		t.Errorf("a slot that is not there: %v", err)
	}
	extra, err := NewRecipientSlot(h.Slots[0].Recipient)
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= maxSlots; n++ {
		var got uint8
		if h, got, err = h.With(extra); err != nil || int(got) != n {
			t.Fatal(got, err)
		}
	}
	if _, _, err := h.With(extra); !errors.Is(err, ErrSlots) {
		t.Errorf("one slot too many: %v", err)
	}
	if h, err = k.Wrap(h); err != nil {
		t.Fatal(err)
	}
	again, _, err := ReadHeader(bytes.NewReader(h.Encode()))
	if err != nil || !bytes.Equal(again.encode(), h.encode()) {
		t.Errorf("%d slots: %v", len(h.Slots), err)
	}
	// A number that was free is used again only when there is no higher one.
	if h, err = h.Without(5); err != nil {
		t.Fatal(err)
	}
	next, n, err := h.With(extra)
	if err != nil || n != maxSlots+1 {
		t.Errorf("after a removal: %d, %v", n, err)
	}
	next.Slots[len(next.Slots)-1].Number = 255
	if next, err = next.Without(7); err != nil {
		t.Fatal(err)
	}
	if next, n, err = next.With(extra); err != nil || n != 5 || next.Slots[4].Number != 5 {
		t.Errorf("after number 255: %d, %v", n, err)
	}
	for _, label := range []string{strings.Repeat("x", MaxLabel+1), "\xff"} {
		extra.Label = label
		if _, _, err := h.Without1(t).With(extra); err == nil {
			t.Errorf("a label of %d bytes", len(label))
		}
	}
}

// Without1 makes room.
func (h *Header) Without1(t *testing.T) *Header {
	t.Helper()
	next, err := h.Without(1)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestRecipientsHaveOneSpelling(t *testing.T) {
	_, h := newKeys(t)
	good := h.Slots[0].Recipient
	x := "age1" + strings.Repeat("q", 58)
	for _, text := range []string{"", "age1", "AGE1", x, good[:len(good)-1], strings.ToUpper(good), " " + good, good + "\n",
		identity, "ssh-ed25519 AAAA", strings.Repeat("a", maxRecipient+1)} {
		if _, err := NewRecipientSlot(text); err == nil {
			t.Errorf("%.30q is a recipient", text)
		}
	}
}

// A slot that was tampered with is damaged, at its place; a cost beyond what is
// allowed is refused before any of it is spent.
func TestDamagedSlots(t *testing.T) {
	k, _ := newKeys(t)
	h := k.header(t, passphrase, identity)
	encoded := h.Encode()
	second := int64(bytes.Index(encoded, h.Slots[1].encode()))
	for name, change := range map[string]func(*Header){
		"another lock":           func(h *Header) { h.Slots[0].Lock = h.Slots[0].Wrap },
		"another wrap":           func(h *Header) { h.Slots[0].Wrap = h.Slots[1].Wrap },
		"a flipped wrap":         func(h *Header) { h.Slots[0].Wrap = flipped(h.Slots[0].Wrap, -1) },
		"another's recipient":    func(h *Header) { h.Slots[0].Recipient = h.Slots[1].Recipient },
		"no age file":            func(h *Header) { h.Slots[0].Wrap = []byte("nothing") },
		"an identity of another": func(h *Header) { h.Slots[0].Lock = k.header(t, passphrase).Slots[0].Lock },
	} {
		bad, _, err := ReadHeader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		change(bad)
		_, err = bad.Open([]byte(passphrase), MaxCost)
		damaged := new(DamagedError)
		if !errors.As(err, &damaged) || damaged.Where != "key slot" || damaged.Offset != int64(headerStart+3) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad, _, err := ReadHeader(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	bad.Slots[1].Wrap = flipped(bad.Slots[1].Wrap, -1)
	damaged := new(DamagedError)
	if _, err := bad.Open([]byte(identity), MaxCost); !errors.As(err, &damaged) || damaged.Offset != second {
		t.Errorf("the second slot: %v, want it at %d", err, second)
	}
	if root, err := bad.Open([]byte(passphrase), MaxCost); err != nil || !k.Are(root) {
		t.Errorf("the other slot: %v", err)
	}
	// A dear slot does not stand in the way of another.
	dear, _, _ := ReadHeader(bytes.NewReader(k.header(t, passphrase, "another").Encode()))
	dear.Slots[0].Lock = bytes.Replace(dear.Slots[0].Lock, []byte(" 1\n"), []byte(" 40\n"), 1)
	cost := new(CostError)
	if _, err := dear.Open([]byte(passphrase), MaxCost); !errors.As(err, &cost) || *cost != (CostError{41, MaxCost}) {
		t.Errorf("a dear slot: %v", err)
	}
	if root, err := dear.Open([]byte("another"), MaxCost); err != nil || !k.Are(root) {
		t.Errorf("behind a dear slot: %v", err)
	}
}

// lockOf is the lock of a slot of this cost, made without any key or hash.
func lockOf(cost int) []byte {
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Appendf(nil, "age-encryption.org/v1\n-> scrypt %s %d\n%s\n--- %s\n%s",
		text(make([]byte, 16)), cost, text(make([]byte, 32)), text(make([]byte, 32)), make([]byte, 100))
}

// hostile is a header whose slots have these costs, which anybody can write.
func hostile(t testing.TB, costs ...int) *Header {
	t.Helper()
	h := new(Header)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, cost := range costs {
		s := Slot{Kind: PassphraseSlot, Recipient: id.Recipient().String(), Lock: lockOf(cost), Wrap: make([]byte, 200)}
		if h, _, err = h.With(s); err != nil {
			t.Fatal(err)
		}
	}
	if h, _, err = ReadHeader(bytes.NewReader(h.Encode())); err != nil {
		t.Fatal(err)
	}
	return h
}

// A header that was made without a key has nobody hash more than is allowed, in all:
// what is not affordable is not begun, and the slots that are come first. What was
// hashed is told by the memory that it took: 2^cost KiB each.
func TestHostileSlots(t *testing.T) {
	repeat := func(n, cost int) []int { return slices.Repeat([]int{cost}, n) }
	for _, tt := range []struct {
		name    string
		costs   []int
		maxCost int
		want    error
		hashed  uint64 // KiB
	}{
		{"32 that are too dear", repeat(32, MaxCost), DefaultMaxCost, &CostError{MaxCost + 5, DefaultMaxCost}, 0},
		{"a slot that nobody may pay", []int{MaxCost + 1}, MaxMaxCost, &CostError{MaxCost + 1, MaxMaxCost}, 0},
		{"numbers that overflow", []int{64, 63, 62, 1 << 40, 1 << 62, 40}, DefaultMaxCost, &CostError{60, DefaultMaxCost}, 0},
		{"32 of which some are affordable", repeat(32, 12), 14, &CostError{17, 14}, 4 << 12},
		{"the cheapest first", []int{22, 12, 22, 13, 22, 22}, 14, &CostError{25, 14}, 1<<12 + 1<<13},
		{"all of them", repeat(4, 12), 14, ErrWrongKey, 4 << 12},
	} {
		h := hostile(t, tt.costs...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := h.Open([]byte("a passphrase"), tt.maxCost)
		runtime.ReadMemStats(&after)
		cost := new(CostError)
		if errors.As(err, &cost) {
			err = cost
		}
		if !reflect.DeepEqual(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		// Each hash takes little more than it is to fill.
		if got := (after.TotalAlloc - before.TotalAlloc) >> 10; got < tt.hashed || got > tt.hashed+3<<10 {
			t.Errorf("%s: it took %d KiB, want %d and at most 3 MiB more", tt.name, got, tt.hashed)
		}
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return b
}

func TestCosts(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want int
	}{{0, 20}, {time.Millisecond, 20}, {60 * time.Millisecond, 18}, {125 * time.Millisecond, 17}, {time.Second, 17}, {time.Hour, 17}} {
		if got := costFor(15, tt.took); got != tt.want {
			t.Errorf("2^15 in %v: %d, want %d", tt.took, got, tt.want)
		}
	}
	for _, cost := range []int{-1, 1, MinCost - 1, MaxCost + 1} {
		if _, err := NewSlot([]byte(passphrase), cost, 0); !errors.As(err, new(*CostError)) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
	if _, err := NewSlot(nil, MinCost, 0); !errors.Is(err, ErrWrongKey) {
		t.Errorf("the empty passphrase: %v", err)
	}
	if _, err := NewSlot([]byte("AGE-SECRET-KEY-1X"), MinCost, 0); !errors.Is(err, ErrNotAKey) {
		t.Errorf("no key: %v", err)
	}
}

// Whatever bit of a header is another, the header is damaged or its MAC is wrong.
// TestEveryBit takes every bit of a small header; of this one it is every fifth.
func TestEveryBitOfAHeader(t *testing.T) {
	k, _ := newKeys(t)
	file, _ := write(t, k, k.header(t, passphrase, identity, rawKey), newDB(t, k))
	encoded, _ := blocksOf(t, file)
	step := 5
	if raceDetector {
		step = 151
	}
	for i := 0; i < len(encoded)*8; i += step {
		encoded[i/8] ^= 1 << (i % 8)
		if h, mac, err := ReadHeader(bytes.NewReader(encoded)); err == nil && k.verify(h, mac) == nil {
			t.Errorf("bit %d of byte %d of %d", i%8, i/8, len(encoded))
		}
		encoded[i/8] ^= 1 << (i % 8)
	}
}
