package protocol

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func version(n uint64) *uint64 { return &n }

func TestLocationText(t *testing.T) {
	id := bytes.Repeat([]byte{0xab}, IDSize)
	b64 := base64.RawURLEncoding.EncodeToString(id)
	tests := []struct {
		text  string
		loc   *Location
		other string // another text of the same location
	}{
		{"", &Location{}, ""},
		{"wallet", &Location{Client: []byte("wallet")}, "%77allet"},
		{"wallet/keys", &Location{Client: []byte("wallet"), Vault: []byte("keys")}, ""},
		{"wallet/keys/main", &Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}, ""},
		{"a/b/@0", &Location{Client: []byte("a"), Vault: []byte("b"), Version: version(0)}, ""},
		{"a/b/@18446744073709551615", &Location{Client: []byte("a"), Vault: []byte("b"), Version: version(1<<64 - 1)}, ""},
		{"a/b/@head", &Location{Client: []byte("a"), Vault: []byte("b"), Head: true}, ""},
		{"a/b/%40head", &Location{Client: []byte("a"), Vault: []byte("b"), Record: []byte("@head")}, ""},
		{"%40a/%40b/c", &Location{Client: []byte("@a"), Vault: []byte("@b"), Record: []byte("c")}, "@a/@b/c"},
		{"a/b/x@y", &Location{Client: []byte("a"), Vault: []byte("b"), Record: []byte("x@y")}, ""},
		{"a%2Fb/%25/%2A", &Location{Client: []byte("a/b"), Vault: []byte("%"), Record: []byte("*")}, "a%2fb/%25/*"},
		{"%00/%20/%0A", &Location{Client: []byte{0}, Vault: []byte(" "), Record: []byte("\n")}, "\x00/ /\n"},
		{"%C3%A9/b/c", &Location{Client: []byte("é"), Vault: []byte("b"), Record: []byte("c")}, "é/b/c"},
		{"../.../.", &Location{Client: []byte(".."), Vault: []byte("..."), Record: []byte(".")}, ""},
		{"id:" + b64 + "/v/r", &Location{ClientId: id, Vault: []byte("v"), Record: []byte("r")}, ""},
		{"id:" + b64 + "/id:" + b64 + "/id:" + b64, &Location{ClientId: id, VaultId: id, RecordId: id}, ""},
		{"%69d:x/v/r", &Location{Client: []byte("id:x"), Vault: []byte("v"), Record: []byte("r")}, ""},
	}
	for _, test := range tests {
		if got := test.loc.Text(); got != test.text {
			t.Errorf("text is %q, want %q", got, test.text)
		}
		for _, text := range []string{test.text, test.other} {
			if text == "" && test.text != "" {
				continue
			}
			if got, err := ParseLocation(text); err != nil || !proto.Equal(got, test.loc) {
				t.Errorf("%q is %v, %v, want %v", text, got, err, test.loc)
			}
		}
	}
	if got := (*Location)(nil).Text(); got != "" {
		t.Errorf("the text of no location is %q", got)
	}
}

func TestParseLocationRefuses(t *testing.T) {
	for _, text := range []string{
		"/", "a/", "/b", "a//c", "a/b/", "a/b/c/d", "a/b/c/", "a%", "a%2", "a%2g", "%+1", "%-1", "% 1",
		"a/b/@", "a/b/@07", "a/b/@-1", "a/b/@+1", "a/b/@ 1", "a/b/@0x1", "a/b/@1_0", "a/b/@Head", "a/b/@18446744073709551616",
		"id:", "id:AAAA", "a/id:" + strings.Repeat("A", 33), "a/b/id:" + strings.Repeat("=", 32), "id:" + strings.Repeat("+", 32),
		strings.Repeat("a", MaxSegment+1), "a/b/" + strings.Repeat("%41", MaxSegment+1),
	} {
		if loc, err := ParseLocation(text); !errors.Is(err, ErrLocation) {
			t.Errorf("%q is %v, %v", text, loc, err)
		} else if len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows its input: %v", err)
		}
	}
	if _, err := ParseLocation(strings.Repeat("%41", MaxSegment)); err != nil {
		t.Errorf("a segment of the greatest length: %v", err)
	}
}

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 1, "a/b": 2, "a/b/c": 3, "a/b/@1": 3, "a/b/@head": 3,
		"id:" + strings.Repeat("A", 32): 1} {
		loc, err := ParseLocation(text)
		if err != nil || loc.Depth() != want || loc.ByID() != strings.HasPrefix(text, "id:") {
			t.Errorf("%q: depth %d, by id %t, %v", text, loc.Depth(), loc.ByID(), err)
		}
	}
	if (*Location)(nil).Depth() != 0 || (*Location)(nil).ByID() {
		t.Error("no location has a depth")
	}
}

// FuzzParseLocation: what is accepted has one text, which says the same and
// holds nothing that a terminal would obey.
func FuzzParseLocation(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		loc, err := ParseLocation(text)
		if err != nil {
			if !errors.Is(err, ErrLocation) {
				t.Fatal(err)
			}
			return
		}
		canonical := loc.Text()
		for _, c := range []byte(canonical) {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q holds what does not show", canonical)
			}
		}
		again, err := ParseLocation(canonical)
		if err != nil || !proto.Equal(loc, again) {
			t.Fatalf("%q became %q: %v", text, canonical, err)
		}
		if again.Text() != canonical {
			t.Fatalf("%q has a second text", canonical)
		}
		shape := Field{Name: "location", Shape: ShapePrefix}
		if loc.Depth() == 3 {
			shape.Shape = ShapeRecord
		}
		// A record's path has limits of its own, which are those of a request and not of the text.
		if n := len(loc.Record); n > MaxRecordPath || n > 0 && loc.Record[n-1] == 0 {
			return
		}
		if refusal := checkLocation(loc, &shape, DoorLocal); refusal != nil {
			t.Fatalf("%q is no valid location: %s", canonical, refusal.Detail)
		}
	})
}
