package primitive

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Each rune of Unicode, alone and between two marks, as the library normalises it.
func TestNFKDOfEveryRune(t *testing.T) {
	buf := make([]byte, 0, 64)
	step := rune(256 / cases(256)) // 1, or 10 under the race detector
	for r := rune(0); r <= utf8.MaxRune; r += step {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		for _, s := range []string{string(r), "a\u0301" + string(r) + "\u0316\u0301"} {
			got, err := appendNFKD(buf, []byte(s))
			if err != nil {
				t.Fatalf("%U: %v", r, err)
			}
			if want := norm.NFKD.String(s); string(got) != want {
				t.Fatalf("%U: %+q, want %+q", r, got, want)
			}
			if len(got) > nfkdGrowth*len(s) {
				t.Errorf("%U: grows from %d to %d bytes", r, len(s), len(got))
			}
		}
	}
}

func TestNFKDOfRandomText(t *testing.T) {
	r := newRand(t)
	// Starters, what decomposes, and marks of many classes.
	alphabet := []rune("aé가각ｶﾞ㍍が\u3000ﷺ\u0301\u0300\u0316\u0323\u0345\u0334\u05b0\u064b\u3099\u0f71\u0f74\U0001d165\U0001d16e1½ﬁ🎉")
	for range cases(20000) {
		var s []byte
		for range r.Uint64() % 25 { // no 30 marks in a row, where the library puts something in
			s = utf8.AppendRune(s, alphabet[r.Uint64()%uint64(len(alphabet))])
		}
		got, err := appendNFKD(make([]byte, 0, nfkdGrowth*len(s)), s)
		if err != nil || !bytes.Equal(got, norm.NFKD.Bytes(s)) {
			t.Fatalf("%+q: %+q, want %+q (%v)", s, got, norm.NFKD.Bytes(s), err)
		}
	}
}

// Marks in a row, however many, are put in order: those of a lower class before those
// of a higher one, and those of one class as they stood. The library puts something
// between them after 30, so they are put in order here as the standard says (D109).
func TestNFKDOfManyMarks(t *testing.T) {
	r := newRand(t)
	var marks []rune
	for m := rune(0x300); m < 0x20000; m++ {
		if p := norm.NFKD.PropertiesString(string(m)); p.CCC() != 0 && p.Decomposition() == nil {
			marks = append(marks, m)
		}
	}
	for range cases(300) {
		var s []rune
		var want []byte
		for range 1 + r.Uint64()%3 { // runs behind a starter, the first perhaps behind none
			if len(s) > 0 || r.Uint64()%2 == 0 {
				s = append(s, 'a')
				want = append(want, 'a')
			}
			var run []rune
			for range r.Uint64() % 1500 {
				run = append(run, marks[r.Uint64()%uint64(len(marks))])
			}
			s = append(s, run...)
			slices.SortStableFunc(run, func(a, b rune) int {
				return int(norm.NFKD.PropertiesString(string(a)).CCC()) - int(norm.NFKD.PropertiesString(string(b)).CCC())
			})
			want = append(want, string(run)...)
		}
		got, err := appendNFKD(make([]byte, 0, nfkdGrowth*len(string(s))), []byte(string(s)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d runes: %v, or in another order", len(s), err)
		}
		if room := got[len(got):cap(got)]; len(bytes.Trim(room, "\x00")) != 0 {
			t.Fatal("something is left in the room behind the text")
		}
	}
}

// The longest runs are looked at as often for each mark as short ones: what looks for
// the place of each among all before it would not end.
func TestNFKDIsLinear(t *testing.T) {
	const n = 1 << 21
	high, low := strings.Repeat("\u0345", n/2), strings.Repeat("\u0334", n/2) // class 240, and class 1
	got, err := appendNFKD(make([]byte, 0, 4*n+1), []byte("a"+high+low))
	if err != nil || string(got) != "a"+low+high {
		t.Errorf("%v, %d bytes", err, len(got))
	}
}

func TestNFKDErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		room     int
		want     error
	}{
		{"not UTF-8", "abc\xff", 100, errNotUTF8},
		{"cut", "ab\xe3\x81", 100, errNotUTF8},
		{"surrogate", "\xed\xa0\x80", 100, errNotUTF8},
		{"no room", "abcd", 3, errScratch},
		{"no room for the decomposition", "é", 2, errScratch},
		{"no room to put many marks in order", "a" + strings.Repeat("\u0301", fewMarks+1), 2*fewMarks + 10, errScratch},
		{"no room that few marks would need", "a" + strings.Repeat("\u0301", fewMarks), 2*fewMarks + 1, nil},
		{"U+FFFD itself", "\ufffd", 100, nil},
	} {
		if _, err := appendNFKD(make([]byte, 0, tt.room), []byte(tt.in)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
