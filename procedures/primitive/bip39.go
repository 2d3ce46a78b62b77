package primitive

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/tyler-smith/go-bip39/wordlists"
)

// A Language is one of the word lists of BIP 39. The zero value is none and panics
// when used.
type Language uint8

const (
	English Language = 1 + iota
	Japanese
)

const (
	// MaxMnemonicSize is the length in bytes that no mnemonic of 24 words exceeds.
	MaxMnemonicSize = 24*wordSize + 23
	// MaxEntropySize is the length of the entropy of 24 words.
	MaxEntropySize = 32

	wordSize = 40 // no word of a list is longer in NFKD, in bytes; whole uint64s
)

var (
	errEntropySize = errors.New("primitive: entropy of a mnemonic has 16, 20, 24, 28 or 32 bytes")
	errWordCount   = errors.New("primitive: a mnemonic has 12, 15, 18, 21 or 24 words with one space between them")
	errChecksum    = errors.New("primitive: mnemonic has a wrong checksum: a word is wrong or in the wrong place")
)

// A WordError says which word of a mnemonic, counted from 1, is not in the list of its
// language.
type WordError struct{ Word int }

func (e *WordError) Error() string {
	return fmt.Sprintf("primitive: word %d of the mnemonic is not in the list", e.Word)
}

// Mnemonic appends the mnemonic of entropy to dst and returns the extended slice:
// 12 to 24 words in NFKD with a U+0020 between them, in Japanese as well, since a
// U+3000 becomes one before the seed is made. dst needs the capacity, of
// [MaxMnemonicSize] at most, or Mnemonic panics.
func (l Language) Mnemonic(dst, entropy []byte) ([]byte, error) {
	list := l.list()
	switch len(entropy) {
	case 16, 20, 24, 28, 32:
	default:
		return nil, errEntropySize
	}
	var bits [MaxEntropySize + 1]byte
	entropyAndChecksum(&bits, entropy)
	for i := range len(entropy) * 3 / 4 {
		// 11 bits from bit 11i on lie within 3 bytes, of which the last may be beyond the end.
		at := 11 * i
		window := uint32(bits[at/8])<<16 | uint32(bits[at/8+1])<<8
		if at/8+2 < len(bits) {
			window |= uint32(bits[at/8+2])
		}
		var w word
		list.read(&w, window>>(13-at%8)&0x7ff)
		var text [wordSize]byte
		for j := range w {
			binary.NativeEndian.PutUint64(text[8*j:], w[j])
		}
		n := bytes.IndexByte(text[:], 0)
		if n < 0 {
			n = len(text)
		}
		if i > 0 {
			needRoom(dst, n+1)
			dst = append(dst, ' ')
		}
		needRoom(dst, n)
		dst = append(dst, text[:n]...)
	}
	return dst, nil
}

// Entropy appends the entropy of a mnemonic to dst and returns the extended slice. It
// takes the words in any Unicode normalization, with one U+0020 or U+3000 between
// them and nothing around them, and checks their number, that each is in the list
// ([*WordError]) and the checksum. dst needs a capacity of 4 bytes for every 3 words,
// [MaxEntropySize] at most, or Entropy panics.
func (l Language) Entropy(dst, mnemonic []byte) ([]byte, error) {
	list := l.list()
	var bits [MaxEntropySize + 1]byte
	words := 0
	for rest, more := mnemonic, true; more; words++ {
		if words == 24 {
			return nil, errWordCount
		}
		var one []byte
		one, rest, more = cutSpace(rest)
		if len(one) == 0 {
			return nil, errWordCount
		}
		var buf [wordSize]byte
		text, err := appendNFKD(buf[:0], one)
		if err != nil || bytes.IndexByte(text, 0) >= 0 { // which is what words are filled up with
			return nil, &WordError{words + 1}
		}
		clear(buf[len(text):])
		var w word
		for i := range w {
			w[i] = binary.NativeEndian.Uint64(buf[8*i:])
		}
		index, ok := list.find(&w)
		if !ok {
			return nil, &WordError{words + 1}
		}
		at := 11 * words
		window := index << (13 - at%8)
		bits[at/8] |= byte(window >> 16)
		bits[at/8+1] |= byte(window >> 8)
		if at/8+2 < len(bits) {
			bits[at/8+2] |= byte(window)
		}
	}
	if words < 12 || words%3 != 0 {
		return nil, errWordCount
	}
	size := words / 3 * 4
	var want [MaxEntropySize + 1]byte
	entropyAndChecksum(&want, bits[:size])
	if subtle.ConstantTimeCompare(bits[:], want[:]) != 1 {
		return nil, errChecksum
	}
	needRoom(dst, size)
	return append(dst, bits[:size]...), nil
}

// MnemonicSeed writes the seed of a mnemonic and its passphrase to seed: PBKDF2 with
// HMAC-SHA-512 and 2048 iterations over both in NFKD (BIP 39, "From mnemonic to
// seed"). Any text is a mnemonic here, as it is in BIP 39: who wants it checked calls
// [Language.Entropy] before. scratch, of [MnemonicScratchSize] bytes at most, must
// not overlap the rest; what was put there is overwritten with zeros.
func MnemonicSeed(seed *[64]byte, mnemonic, passphrase, scratch []byte) error {
	defer clear(scratch)
	password, err := appendNFKD(scratch[:0], mnemonic)
	if err != nil {
		return err
	}
	salt := scratch[len(password):len(password)]
	if cap(salt) < len("mnemonic") {
		return errScratch
	}
	salt, err = appendNFKD(append(salt, "mnemonic"...), passphrase)
	if err != nil {
		return err
	}
	return SHA512.PBKDF2(seed[:], password, salt, 2048)
}

// MnemonicScratchSize returns the length of the scratch that always suffices for a
// mnemonic and a passphrase of the given lengths in bytes.
func MnemonicScratchSize(mnemonic, passphrase int) int {
	return nfkdGrowth*(mnemonic+passphrase) + len("mnemonic")
}

// entropyAndChecksum writes entropy to bits, followed by the first len(entropy)/4 bits
// of its SHA-256.
func entropyAndChecksum(bits *[MaxEntropySize + 1]byte, entropy []byte) {
	var sum [32]byte
	SHA256.Sum(sum[:], entropy)
	n := copy(bits[:], entropy)
	bits[n] = sum[0] &^ (0xff >> (n / 4))
}

// cutSpace cuts text at its first U+0020 or U+3000. more is true if there was one.
func cutSpace(text []byte) (before, after []byte, more bool) {
	for i := range text {
		if text[i] == ' ' {
			return text[:i], text[i+1:], true
		}
		if bytes.HasPrefix(text[i:], []byte("\u3000")) {
			return text[:i], text[i+len("\u3000"):], true
		}
	}
	return text, nil, false
}

// A word is the NFKD of a word, filled up with zeros.
type word [wordSize / 8]uint64

// A wordList is read from front to back for each word, so that neither the word nor its
// index shows in what memory was read. That takes a few microseconds; the seed
// takes milliseconds.
type wordList [2048]word

// read sets w to the word at index.
func (list *wordList) read(w *word, index uint32) {
	for i := range list {
		mask := -uint64(subtle.ConstantTimeEq(int32(i), int32(index)))
		for j := range w {
			w[j] |= list[i][j] & mask
		}
	}
}

// find returns the index of w.
func (list *wordList) find(w *word) (index uint32, ok bool) {
	found := 0
	for i := range list {
		var diff uint64
		for j := range w {
			diff |= list[i][j] ^ w[j]
		}
		equal := subtle.ConstantTimeEq(int32(diff>>32)|int32(diff), 0)
		index |= uint32(i) & -uint32(equal)
		found |= equal
	}
	return index, found == 1
}

// list returns the list of l, made when it is first needed.
func (l Language) list() *wordList {
	switch l {
	case English:
		return englishList()
	case Japanese:
		return japaneseList()
	}
	panic("primitive: internal error: unknown language " + strconv.Itoa(int(l)))
}

var (
	englishList  = sync.OnceValue(func() *wordList { return newWordList(wordlists.English) })
	japaneseList = sync.OnceValue(func() *wordList { return newWordList(wordlists.Japanese) })
)

func newWordList(words []string) *wordList {
	var list wordList
	if len(words) != len(list) {
		panic("primitive: internal error: word list of another length")
	}
	for i := range list {
		var buf [wordSize]byte
		if _, err := appendNFKD(buf[:0], []byte(words[i])); err != nil {
			panic("primitive: internal error: " + err.Error())
		}
		for j := range list[i] {
			list[i][j] = binary.NativeEndian.Uint64(buf[8*j:])
		}
	}
	return &list
}

// String returns the name of the language, in English.
func (l Language) String() string {
	switch l {
	case English:
		return "English"
	case Japanese:
		return "Japanese"
	}
	return "unknown language"
}
