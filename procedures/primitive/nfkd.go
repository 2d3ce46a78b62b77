package primitive

import (
	"errors"
	"runtime"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	errNotUTF8 = errors.New("primitive: text is not UTF-8")
	errScratch = errors.New("primitive: scratch too small for the normalised text")
)

// fewMarks is how many combining marks in a row are put in order as they come, which
// takes time in the square of their number. More are put in order at once.
const fewMarks = 32

// nfkdGrowth is by how much text can become longer when it is normalised: U+FDFA takes
// 3 bytes before and 33 after.
const nfkdGrowth = 11

// appendNFKD appends src in Unicode Normalization Form KD (UAX #15) to dst, within its
// capacity. It uses the tables of golang.org/x/text, but not its normaliser, which
// keeps pieces of the text in the heap and puts a U+034F after 30 marks. It takes time
// in proportion to the length of src; for more than fewMarks in a row it needs as much
// of the capacity again as they take.
func appendNFKD(dst, src []byte) ([]byte, error) {
	src = hide(src) // the tables keep nothing of it
	starter := len(dst)
	marks := 0
	for n := 1; len(src) > 0; n++ {
		if n%yieldRunes == 0 {
			runtime.Gosched()
		}
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size <= 1 {
			return nil, errNotUTF8
		}
		one := src[:size]
		src = src[size:]
		var jamo [9]byte
		decomposed := hangul(&jamo, r)
		if decomposed == nil {
			decomposed = norm.NFKD.Properties(one).Decomposition()
		}
		if decomposed == nil {
			decomposed = one
		}
		if cap(dst)-len(dst) < len(decomposed) {
			return nil, errScratch
		}
		for len(decomposed) > 0 {
			_, size := utf8.DecodeRune(decomposed)
			class := combiningClass(decomposed)
			dst = append(dst, decomposed[:size]...)
			decomposed = decomposed[size:]
			if class == 0 {
				if !inOrder(dst[starter:len(dst)-size], marks, dst[len(dst):cap(dst)]) {
					return nil, errScratch
				}
				starter, marks = len(dst), 0
				continue
			}
			if marks++; marks <= fewMarks {
				sink(dst[starter:], size, class)
			}
		}
	}
	if !inOrder(dst[starter:], marks, dst[len(dst):cap(dst)]) {
		return nil, errScratch
	}
	return dst, nil
}

// inOrder puts n marks in the order of their classes, those of one class as they stood,
// unless they are few and stand so already. It counts how much there is of each class,
// and so where it goes: room is for that. It reports false if that is too small.
func inOrder(marks []byte, n int, room []byte) bool {
	if n <= fewMarks {
		return true
	}
	if len(room) < len(marks) {
		return false
	}
	var at [256]int // where the next mark of a class goes
	for rest := marks; len(rest) > 0; {
		_, size := utf8.DecodeRune(rest)
		at[combiningClass(rest)] += size
		rest = rest[size:]
	}
	sum := 0
	for class, size := range at {
		at[class], sum = sum, sum+size
	}
	for rest := marks; len(rest) > 0; {
		_, size := utf8.DecodeRune(rest)
		to := &at[combiningClass(rest)]
		*to += copy(room[*to:], rest[:size])
		rest = rest[size:]
	}
	copy(marks, room[:sum])
	clear(room[:sum])
	clear(at[:])
	return true
}

// sink moves the last rune of marks, of the given size and class, before those of a
// higher class (the Unicode Standard, section 3.11, D109).
func sink(marks []byte, size int, class uint8) {
	end := len(marks) - size
	at := end
	for at > 0 {
		_, n := utf8.DecodeLastRune(marks[:at])
		if combiningClass(marks[at-n:]) <= class {
			break
		}
		at -= n
	}
	var mark [utf8.UTFMax]byte
	copy(mark[:], marks[end:])
	copy(marks[at+size:], marks[at:end])
	copy(marks[at:], mark[:size])
}

func combiningClass(b []byte) uint8 {
	return norm.NFKD.Properties(b).CCC()
}

// hangul writes the decomposition of a Hangul syllable to buf and returns it, or nil if
// r is none (the Unicode Standard, section 3.12). The tables leave it out.
func hangul(buf *[9]byte, r rune) []byte {
	const (
		first, count            = 0xac00, 11172
		leading, vowel, trailer = 0x1100, 0x1161, 0x11a7
	)
	s := r - first
	if s < 0 || s >= count {
		return nil
	}
	b := utf8.AppendRune(buf[:0], leading+s/588)
	b = utf8.AppendRune(b, vowel+s%588/28)
	if s%28 != 0 {
		b = utf8.AppendRune(b, trailer+s%28)
	}
	return b
}
