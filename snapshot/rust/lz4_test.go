package rust

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

func TestLZ4Decode(t *testing.T) {
	long := strings.Repeat("x", 15+255+255)
	for _, test := range []struct {
		name, block, want string
	}{
		{"nothing", "", ""},
		{"no literals", "\x00", ""},
		{"literals", "\x50hello", "hello"},
		{"14 literals", "\xe0abcdefghijklmn", "abcdefghijklmn"},
		{"15 literals", "\xf0\x00abcdefghijklmno", "abcdefghijklmno"},
		{"long literals", "\xf0\xff\xff\x00" + long, long},
		{"match", "\x45abcd\x04\x00\x20ef", "abcdabcdabcdaef"},
		{"overlap of one", "\x10a\x01\x00\x00", "aaaaa"},
		{"overlap of three", "\x34abc\x03\x00\x00", "abcabcabcab"},
		{"long match", "\x1fa\x01\x00\xff\x05\x10b", strings.Repeat("a", 1+4+15+255+5) + "b"},
		{"match without literals", "\x40abcd\x04\x00\x00\x02\x00\x00", "abcdabcdcdcd"},
		// The Rust encoder ends a block with a match and an empty run, and its decoder takes even a bare match.
		{"ends after a match", "\x40abcd\x04\x00", "abcdabcd"},
		{"ends after a long match", "\x1fa\x01\x00\x00", strings.Repeat("a", 20)},
	} {
		got, err := decompress([]byte(test.block), 1<<20)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestLZ4Damaged(t *testing.T) {
	for _, test := range []struct{ name, block string }{
		{"literals are cut", "\x50hell"},
		{"length is cut", "\xf0"},
		{"length is cut after 255", "\xf0\xff\xff"},
		{"length is too long", "\xf0\xff\xff\xff\x00abc"},
		{"offset is cut", "\x10a\x01"},
		{"match length is cut", "\x1fa\x01\x00"},
		{"match length is cut after 255", "\x1fa\x01\x00\xff"},
		{"offset zero", "\x10a\x00\x00\x00"},
		{"offset before the start", "\x10a\x02\x00\x00"},
		{"match before any literal", "\x00\x01\x00\x00"},
	} {
		if _, err := decompress([]byte(test.block), 1<<20); err == nil {
			t.Errorf("%s: no error", test.name)
		} else if got := classify(t, err); got != string(StageLZ4) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// Every cut of a block either ends at a sequence or is an error, and never more than the whole.
	whole := []byte("\x45abcd\x04\x00\x3f123\x03\x00\xff\x07\x50hello")
	full, err := decompress(whole, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if got, err := decompress(whole[:n], 1<<20); err == nil && !bytes.HasPrefix(full, got) {
			t.Errorf("cut at %d: %d bytes", n, len(got))
		}
	}
}

// A bomb is refused with its size, before the memory for it is asked for.
func TestLZ4Bomb(t *testing.T) {
	bomb := append([]byte("\x1fa\x01\x00"), bytes.Repeat([]byte{255}, 40<<20)...)
	bomb = append(bomb, 0)
	const size = 1 + 4 + 15 + 255*(40<<20)
	allocated := testing.AllocsPerRun(1, func() {
		var expensive *ExpensiveError
		_, err := decompress(bomb, defaultMaxState)
		if !errors.As(err, &expensive) || *expensive != (ExpensiveError{"lz4", size, defaultMaxState}) {
			t.Errorf("%v", err)
		}
	})
	if allocated > 10 {
		t.Errorf("%v allocations", allocated)
	}

	// Many small ones add up, and the limit is exact.
	block := bytes.Repeat([]byte("\x4fabcd\x01\x00\x64"), 1000)
	each := uint64(4 + 4 + 15 + 100)
	if _, err := decompress(block, 1000*each); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := decompress(block, 1000*each-1); classify(t, err) != "expensive" {
		t.Errorf("over the limit: %v", err)
	}
	// So is that of a whole file.
	file := sealV2(t, bomb[:1<<20], testKey())
	if _, err := Open(file, testKey(), Options{}); classify(t, err) != string(StageLZ4) {
		t.Errorf("cut bomb: %v", err)
	}
	file = sealV2(t, append(bomb[:1<<20:1<<20], 0), testKey())
	if _, err := Open(file, testKey(), Options{MaxState: 1 << 20}); classify(t, err) != "expensive" {
		t.Errorf("bomb: %v", err)
	}
}

func TestLZ4RoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 14, 15, 16, 15 + 254, 15 + 255, 15 + 256, 15 + 510, 1000, 70000, 1 << 20} {
		plain := make([]byte, size)
		rand.Read(plain)
		block := compress(plain)
		if cap(block) > size+size/255+2 {
			t.Errorf("%d: the block was grown", size)
		}
		got, err := decompress(block, uint64(size))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d: %v", size, err)
		}
	}
}
