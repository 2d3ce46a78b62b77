package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{stdin: strings.NewReader("of stdin\n")}
	for arg, want := range map[string]string{
		"itself": "itself", "": "", "a@b": "a@b", "@" + file: "of the file", "-": "of stdin",
	} {
		got, err := a.text(t.Context(), "VALUE", arg)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", arg, got, err)
		}
	}
	if _, err := a.value(t.Context(), "VALUE", "-"); explain(t.Context(), err, false).exit != exitUsage {
		t.Errorf("stdin a second time: %v", err)
	}
	if _, err := a.value(t.Context(), "VALUE", "@"+file+".not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestReadUpTo(t *testing.T) {
	if b, err := readUpTo(strings.NewReader("1234"), "it", 4); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := readUpTo(strings.NewReader("12345"), "it", 4); !errors.As(err, new(*tooMuch)) {
		t.Errorf("one too many: %v", err)
	}
}

func TestAwait(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(interruption{os.Interrupt}) })
	r, w := io.Pipe()
	defer w.Close()
	if _, err := await(ctx, func() ([]byte, error) { return io.ReadAll(r) }); !errors.As(err, new(interruption)) {
		t.Errorf("%v", err)
	}
}

func TestLocations(t *testing.T) {
	for arg, want := range map[string]struct{ record, prefix bool }{
		"a/b/c": {true, false}, "a/b/@7": {true, false}, "a/b/@head": {true, false},
		"a/b": {false, true}, "a": {false, true}, "": {false, true},
		"a//c": {false, false}, "a/b/c/d": {false, false}, "a/%zz": {false, false},
	} {
		if _, err := record(arg); (err == nil) != want.record {
			t.Errorf("record %q: %v", arg, err)
		}
		if _, err := prefix(arg); (err == nil) != want.prefix {
			t.Errorf("prefix %q: %v", arg, err)
		}
	}
}

func TestPassphraseFile(t *testing.T) {
	for content, want := range map[string]string{
		"word": "word", "word\n": "word", "word\r\n": "word", "word\n\n": "word\n", "word\r": "word\r", " two words \n": " two words ",
	} {
		a := &app{stdin: strings.NewReader(content), stderr: io.Discard, passphraseFile: "-"}
		buf, err := a.passphrase(t.Context(), false)
		if err != nil || string(buf.Bytes()) != want {
			t.Errorf("%q: %v", content, err)
		}
		buf.Destroy()
	}
	for _, content := range []string{"", "\n", strings.Repeat("x", 1<<17)} {
		a := &app{stdin: strings.NewReader(content), stderr: io.Discard, passphraseFile: "-"}
		if _, err := a.passphrase(t.Context(), false); err == nil {
			t.Errorf("%d bytes: accepted", len(content))
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb\nc\u202e é"); got != "a?[2Jb?c? é" {
		t.Errorf("%q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"oot", "out", 1}, {"json", "jsno", 2}, {"kitten", "sitting", 3}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%s, %s: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
