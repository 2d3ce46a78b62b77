package primitive

import (
	"fmt"
	"strconv"
)

// MaxPathDepth is the number of elements that a derivation path may have: BIP 32 keeps
// the depth of a key in one byte.
const MaxPathDepth = 255

// A PathError says what is wrong with a derivation path, and where, without repeating
// any of it.
type PathError struct {
	Offset int    // in bytes from the start of the text
	Reason string // "leading zero", "index out of range" …
}

func (e *PathError) Error() string {
	return fmt.Sprintf("primitive: derivation path: %s at byte %d", e.Reason, e.Offset)
}

// ParsePath parses a derivation path as BIP 32 writes it: "m", then for each element a
// slash and a decimal number below 2^31 without a leading zero, followed by ', h or H
// if it is hardened: m/44'/4218'/0'/0'. "m" alone is the empty path. The errors are of
// type [*PathError].
func ParsePath(s string) ([]uint32, error) {
	if s == "" || s[0] != 'm' {
		return nil, &PathError{0, "does not start with m"}
	}
	path := []uint32{}
	for i := 1; i < len(s); {
		if s[i] != '/' {
			return nil, &PathError{i, "slash expected"}
		}
		if len(path) == MaxPathDepth {
			return nil, &PathError{i, "too many elements"}
		}
		i++
		start := i
		index := uint32(0)
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			if i > start && s[start] == '0' {
				return nil, &PathError{start, "leading zero"}
			}
			// Below 2^31 before, so below 2^35 after: no digit overflows unseen.
			next := uint64(index)*10 + uint64(s[i]-'0')
			if next >= Hardened {
				return nil, &PathError{start, "index out of range"}
			}
			index = uint32(next)
			i++
		}
		if i == start {
			return nil, &PathError{i, "number expected"}
		}
		if i < len(s) && (s[i] == '\'' || s[i] == 'h' || s[i] == 'H') {
			index |= Hardened
			i++
		}
		path = append(path, index)
	}
	return path, nil
}

// FormatPath writes a derivation path as [ParsePath] reads it, with ' for hardened.
func FormatPath(path []uint32) string {
	b := []byte{'m'}
	for _, index := range path {
		b = append(b, '/')
		b = strconv.AppendUint(b, uint64(index&^Hardened), 10)
		if index >= Hardened {
			b = append(b, '\'')
		}
	}
	return string(b)
}
