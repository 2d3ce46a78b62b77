package permissions

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/stronghold-go/stronghold/protocol"
)

// How many segments a whole location has.
const (
	recordDepth = 3 // client/vault/record
	storeDepth  = 2 // client/key
)

// depthOf is the depth of what a class of access is about.
func depthOf(c protocol.Class) int {
	if c == protocol.StoreRead || c == protocol.StoreWrite {
		return storeDepth
	}
	return recordDepth
}

// addressable says whether a record's path is the only name of the record. Its
// id is an HMAC-SHA-512 with the path as key: a longer path has the id of its
// own hash, and one that ends in a zero byte the id of the path without it. Both
// are second names, which a rule that denies the first one does not know.
// protocol.Check refuses them too; an answer here must not depend on that.
func addressable(record []byte) bool {
	return len(record) <= protocol.MaxRecordPath && record[len(record)-1] != 0
}

type segmentKind int

const (
	across   segmentKind = iota // **: any number of segments, none included
	anything                    // *: one segment, be it a path, a version or the head
	literal                     // these bytes
	glob                        // bytes with stars between
	versions                    // @*: any version, and the head
	version                     // @7
	head                        // @head
)

// segment is one segment of a pattern.
type segment struct {
	kind   segmentKind
	bytes  string   // literal
	pieces [][]byte // glob: what stands before, between and after its stars
	text   string   // glob: as written
	number uint64   // version
}

// pattern is one entry of a rule's `on`.
type pattern struct {
	text     string
	segments []segment
}

// parsePattern reads the text form of a location, in which * stands for any
// bytes within a segment, and the segment ** for any segments. It refuses what
// a person might take for something that it is not.
func parsePattern(text string) (pattern, error) {
	if len(text) > MaxPattern {
		return pattern{}, fmt.Errorf("longer than %d bytes", MaxPattern)
	}
	// Of what is written plainly. Whoever means such bytes escapes them.
	if !norm.NFC.IsNormalString(text) {
		return pattern{}, errors.New("not in Unicode's NFC; %-escapes stand for other bytes")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) || r == ' ' {
			return pattern{}, errors.New("a space or an invisible character; write it as %-escapes, %20 for a space")
		}
	}
	p := pattern{text: text}
	whole := 0
	for part := range strings.SplitSeq(text, "/") {
		seg, err := parseSegment(part)
		if err != nil {
			return pattern{}, err
		}
		if seg.kind != across {
			whole++
		} else if n := len(p.segments); n > 0 && p.segments[n-1].kind == across {
			continue // ** beside ** says nothing more
		}
		if whole > recordDepth {
			return pattern{}, errors.New("can never match: more than client/vault/record")
		}
		p.segments = append(p.segments, seg)
	}
	return p, nil
}

func parseSegment(part string) (segment, error) {
	switch {
	case part == "":
		return segment{}, errors.New("an empty segment")
	case part == "**":
		return segment{kind: across}, nil
	case part == "*":
		return segment{kind: anything}, nil
	case strings.Contains(part, "**"):
		return segment{}, errors.New("** stands alone between slashes")
	case part[0] == '@':
		return parseVersion(part[1:])
	case strings.HasPrefix(part, "id:"):
		return segment{}, errors.New("a policy names things by their paths, not by id; %69d: stands for the letters")
	}
	seg := segment{kind: glob, text: part}
	long := 0
	for piece := range strings.SplitSeq(part, "*") {
		raw, err := unescape(piece)
		if err != nil {
			return segment{}, err
		}
		long += len(raw)
		seg.pieces = append(seg.pieces, raw)
	}
	if long > protocol.MaxSegment {
		return segment{}, fmt.Errorf("can never match: a segment has at most %d bytes", protocol.MaxSegment)
	}
	if len(seg.pieces) > 1 {
		return seg, nil
	}
	only := string(seg.pieces[0])
	if only == "." || only == ".." {
		return segment{}, errors.New("a segment . or ..: paths are not walked, they are compared")
	}
	return segment{kind: literal, bytes: only}, nil
}

func parseVersion(text string) (segment, error) {
	switch text {
	case "*":
		return segment{kind: versions}, nil
	case "head":
		return segment{kind: head}, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || text != strconv.FormatUint(n, 10) {
		return segment{}, errors.New("after @ comes a number, head or *; %40 stands for the character")
	}
	return segment{kind: version, number: n}, nil
}

// unescape reads %2F style escapes, as protocol.ParseLocation does.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return nil, errors.New("% is followed by two hexadecimal digits")
		}
		b, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return nil, errors.New("% is followed by two hexadecimal digits")
		}
		out = append(out, byte(b))
		i += 2
	}
	return out, nil
}

// expand spells out what ** stands for in a location of this depth: every way
// to read the pattern with exactly depth segments, at most three. None means
// that the pattern can never match there.
func (p pattern) expand(depth int) [][]segment {
	rest := depth
	for _, s := range p.segments {
		if s.kind != across {
			rest--
		}
	}
	var out [][]segment
	var spell func(done, todo []segment, rest int)
	spell = func(done, todo []segment, rest int) {
		if len(todo) == 0 {
			if rest == 0 {
				out = append(out, done)
			}
			return
		}
		if todo[0].kind != across {
			if todo[0].fits(len(done), depth) {
				spell(append(done[:len(done):len(done)], todo[0]), todo[1:], rest)
			}
			return
		}
		for n := range rest + 1 {
			spell(done, todo[1:], rest-n)
			done = append(done[:len(done):len(done)], segment{kind: anything})
		}
	}
	if rest >= 0 {
		spell(nil, p.segments, rest)
	}
	return out
}

// fits says whether anything at place i of a location can match s.
func (s segment) fits(i, depth int) bool {
	last := i == recordDepth-1 && depth == recordDepth
	switch s.kind {
	case versions, version, head:
		return last
	case literal:
		return !last || addressable([]byte(s.bytes))
	}
	return true
}

// matchGlob says whether b is the pieces with anything between them. Taking
// each piece where it first occurs is enough, so there is nothing to try again.
func matchGlob(pieces [][]byte, b []byte) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(b) < len(first)+len(last) || !bytes.HasPrefix(b, first) || !bytes.HasSuffix(b, last) {
		return false
	}
	b = b[len(first) : len(b)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := bytes.Index(b, piece)
		if i < 0 {
			return false
		}
		b = b[i+len(piece):]
	}
	return true
}
