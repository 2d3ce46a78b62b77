package primitive

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	const h = Hardened
	for _, tt := range []struct {
		in   string
		want []uint32
		out  string
	}{
		{"m", nil, "m"},
		{"m/0", []uint32{0}, "m/0"},
		{"m/44'/4218'/0'/0'", []uint32{h | 44, h | 4218, h, h}, "m/44'/4218'/0'/0'"},
		{"m/44h/4218H/0'/7", []uint32{h | 44, h | 4218, h, 7}, "m/44'/4218'/0'/7"},
		{"m/2147483647'/2147483647", []uint32{1<<32 - 1, h - 1}, "m/2147483647'/2147483647"},
		{"m" + strings.Repeat("/1", 255), slices.Repeat([]uint32{1}, 255), "m" + strings.Repeat("/1", 255)},
	} {
		got, err := ParsePath(tt.in)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v %v", tt.in, got, err)
		}
		if out := FormatPath(got); out != tt.out {
			t.Errorf("%s: formatted %s", tt.in, out)
		}
	}
}

func TestParsePathErrors(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "does not start with m"},
		{"M/0", 0, "does not start with m"},
		{"/0", 0, "does not start with m"},
		{" m/0", 0, "does not start with m"},
		{"44'/0'", 0, "does not start with m"},
		{"m0", 1, "slash expected"},
		{"m'", 1, "slash expected"},
		{"m/", 2, "number expected"},
		{"m//0", 2, "number expected"},
		{"m/0/", 4, "number expected"},
		{"m/'", 2, "number expected"},
		{"m/-1", 2, "number expected"},
		{"m/+1", 2, "number expected"},
		{"m/ 1", 2, "number expected"},
		{"m/٣", 2, "number expected"},
		{"m/00", 2, "leading zero"},
		{"m/5/01'", 4, "leading zero"},
		{"m/0x1", 3, "slash expected"},
		{"m/1_0", 3, "slash expected"},
		{"m/0''", 4, "slash expected"},
		{"m/0'h", 4, "slash expected"},
		{"m/0 ", 3, "slash expected"},
		{"m/0\x00", 3, "slash expected"},
		{"m/2147483648", 2, "index out of range"},
		{"m/1/4294967296'", 4, "index out of range"},
		{"m/99999999999999999999999999999999", 2, "index out of range"},
		{"m" + strings.Repeat("/1", 256), 511, "too many elements"},
	} {
		path, err := ParsePath(tt.in)
		var pathErr *PathError
		if !errors.As(err, &pathErr) || path != nil {
			t.Errorf("%q: %v %v", tt.in, path, err)
			continue
		}
		if *pathErr != (PathError{tt.offset, tt.reason}) {
			t.Errorf("%q: %+v", tt.in, *pathErr)
		}
	}
}

// What is accepted is the formatted path, but for the two other marks of hardening.
func FuzzParsePath(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		path, err := ParsePath(s)
		if err != nil {
			return
		}
		if len(path) > MaxPathDepth {
			t.Errorf("%d elements", len(path))
		}
		if got, want := FormatPath(path), strings.NewReplacer("h", "'", "H", "'").Replace(s); got != want {
			t.Errorf("%q was read as %q", s, got)
		}
	})
}
