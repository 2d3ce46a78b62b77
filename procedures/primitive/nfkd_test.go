package primitive

import (
	"bytes"
	"errors"
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
		{"marks", "a" + strings.Repeat("\u0301", maxMarks+1), 10000, errMarks},
		{"marks within the limit", "a" + strings.Repeat("\u0301", maxMarks), 10000, nil},
		{"U+FFFD itself", "\ufffd", 100, nil},
	} {
		if _, err := appendNFKD(make([]byte, 0, tt.room), []byte(tt.in)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
