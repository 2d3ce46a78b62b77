package protocol

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// IDSize is the length of the id of a client, a vault or a record, in bytes.
const IDSize = 24

// ErrLocation is what every error of [ParseLocation] is.
var ErrLocation = errors.New("not a location")

// ParseLocation reads the text form: client/vault/record, client/vault/@7 (the
// seventh version), client/vault/@head, or a prefix of these. A segment holds
// any byte but '/'; %2F style escapes stand for the rest, and %40 for a
// leading '@'. id:BASE64 stands for a segment known only by its id.
// The empty text is the location above all clients.
func ParseLocation(text string) (*Location, error) {
	loc := &Location{}
	if text == "" {
		return loc, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 {
		return nil, fmt.Errorf("%w: more than client/vault/record", ErrLocation)
	}
	for i, part := range parts {
		if i == 2 && strings.HasPrefix(part, "@") {
			if part == "@head" {
				loc.Head = true
				break
			}
			n, err := strconv.ParseUint(part[1:], 10, 64)
			if err != nil || part[1:] != strconv.FormatUint(n, 10) {
				return nil, fmt.Errorf("%w: after @ comes a number or head", ErrLocation)
			}
			loc.Version = &n
			break
		}
		if b64, ok := strings.CutPrefix(part, "id:"); ok {
			id, err := base64.RawURLEncoding.Strict().DecodeString(b64)
			if err != nil || len(id) != IDSize {
				return nil, fmt.Errorf("%w: id: takes 32 characters of URL-safe base64", ErrLocation)
			}
			*[]*[]byte{&loc.ClientId, &loc.VaultId, &loc.RecordId}[i] = id
			continue
		}
		seg, err := unescape(part)
		if err != nil {
			return nil, err
		}
		*[]*[]byte{&loc.Client, &loc.Vault, &loc.Record}[i] = seg
	}
	return loc, nil
}

func unescape(s string) ([]byte, error) {
	if s == "" {
		return nil, fmt.Errorf("%w: empty segment", ErrLocation)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return nil, fmt.Errorf("%w: %% is followed by two hexadecimal digits", ErrLocation)
		}
		b, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return nil, fmt.Errorf("%w: %% is followed by two hexadecimal digits", ErrLocation)
		}
		out = append(out, byte(b))
		i += 2
	}
	if len(out) > MaxSegment {
		return nil, fmt.Errorf("%w: a segment is longer than %d bytes", ErrLocation, MaxSegment)
	}
	return out, nil
}

// Text is the form that [ParseLocation] reads. Bytes that would not survive, or
// would not show, in a terminal are escaped.
func (l *Location) Text() string {
	var b strings.Builder
	segment := func(path, id []byte) bool {
		if path == nil && id == nil {
			return false
		}
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		if path == nil {
			b.WriteString("id:")
			b.WriteString(base64.RawURLEncoding.EncodeToString(id))
			return true
		}
		EscapeSegment(&b, path)
		return true
	}
	if !segment(l.GetClient(), l.GetClientId()) || !segment(l.GetVault(), l.GetVaultId()) {
		return b.String()
	}
	switch {
	case l.Head:
		b.WriteString("/@head")
	case l.Version != nil:
		b.WriteString("/@")
		b.WriteString(strconv.FormatUint(*l.Version, 10))
	default:
		segment(l.GetRecord(), l.GetRecordId())
	}
	return b.String()
}

// EscapeSegment writes one segment of the text form.
func EscapeSegment(b *strings.Builder, segment []byte) {
	const hex = "0123456789ABCDEF"
	for i, c := range segment {
		plain := c > ' ' && c < 0x7f && c != '/' && c != '%' && c != '*' &&
			!(i == 0 && c == '@') && !(i == 0 && bytes.HasPrefix(segment, []byte("id:")))
		if plain {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

// Depth is how many segments l names: 0 to 3.
func (l *Location) Depth() int {
	switch {
	case l == nil || l.Client == nil && l.ClientId == nil:
		return 0
	case l.Vault == nil && l.VaultId == nil:
		return 1
	case l.Record == nil && l.RecordId == nil && l.Version == nil && !l.Head:
		return 2
	}
	return 3
}

// ByID says whether a segment is given by its id instead of its path.
func (l *Location) ByID() bool {
	return l != nil && (l.ClientId != nil || l.VaultId != nil || l.RecordId != nil)
}

func checkLocation(l *Location, f *Field, door Door) *Response {
	bad := func(detail string) *Response { return Invalid(f.Name, detail) }
	depth := l.Depth()
	// Each level is named at most once, and none without the one above it.
	if l.Client != nil && l.ClientId != nil || l.Vault != nil && l.VaultId != nil {
		return bad("a segment is given twice")
	}
	last := 0
	for _, set := range []bool{l.Record != nil, l.RecordId != nil, l.Version != nil, l.Head} {
		if set {
			last++
		}
	}
	if last > 1 {
		return bad("a segment is given twice")
	}
	if depth < 3 && last > 0 || depth < 2 && (l.Vault != nil || l.VaultId != nil) {
		return bad("a segment is missing")
	}
	for _, seg := range [][]byte{l.Client, l.Vault, l.Record} {
		if seg != nil && (len(seg) == 0 || len(seg) > MaxSegment) {
			return bad(fmt.Sprintf("a segment is 1 to %d bytes", MaxSegment))
		}
	}
	// A record's id is an HMAC with its path as key. Such a key is padded with zeros, and hashed if it is
	// long: these paths would be second names of other records, which a policy does not know.
	if n := len(l.Record); n > MaxRecordPath || n > 0 && l.Record[n-1] == 0 {
		return bad(fmt.Sprintf("a record's path is at most %d bytes and does not end in a zero byte", MaxRecordPath))
	}
	for _, id := range [][]byte{l.ClientId, l.VaultId, l.RecordId} {
		if id != nil && len(id) != IDSize {
			return bad("an id is 24 bytes")
		}
	}
	// A policy speaks of paths. An id would slip past its patterns.
	if door == DoorPeer && l.ByID() {
		return bad("a peer names records by their paths")
	}
	switch {
	case f.Shape == ShapeRecord && depth != 3:
		return bad("must be client/vault/record")
	case f.Shape == ShapePrefix && depth == 3:
		return bad("must be a client, or client/vault")
	case f.Shape == ShapeStore && (depth != 2 || l.VaultId != nil):
		return bad("must be client/key")
	case f.Shape == ShapeClient && depth != 1:
		return bad("must be a client")
	case f.Shape == ShapeVault && depth != 2:
		return bad("must be client/vault")
	}
	return nil
}
