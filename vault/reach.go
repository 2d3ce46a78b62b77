package vault

import (
	"bytes"
	"slices"
)

// A Segment is a condition on one segment of a path. The zero Segment is met by
// every one.
type Segment struct {
	Path     []byte   // it is this; nil: not asked
	Pieces   [][]byte // it begins with the first of these, ends with the last, and has the others between, in their order; nil: not asked
	Versions bool     // in the place of a record: it is a version
	Version  *uint64  // it is this version
}

// A Reach is a part of all records: what lies at or below the paths whose
// segments, from the client on, meet its own. Without any it is everything. Of a store it
// is client and key.
type Reach []Segment

// Meets says whether a path may be the segment; nil is one that is not known.
func (s *Segment) Meets(path []byte) bool {
	switch {
	case s.Path != nil:
		return bytes.Equal(s.Path, path)
	case s.Pieces != nil:
		return path != nil && hasPieces(s.Pieces, path)
	}
	return !s.Versions && s.Version == nil
}

// meetsVersion says whether a version may be the segment.
func (s *Segment) meetsVersion(n uint64) bool {
	return s.Path == nil && s.Pieces == nil && (s.Version == nil || *s.Version == n)
}

// hasPieces takes each piece where it first occurs, which is enough: nothing is tried twice.
func hasPieces(pieces [][]byte, b []byte) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(b) < len(first)+len(last) || !bytes.HasPrefix(b, first) || !bytes.HasSuffix(b, last) {
		return false
	}
	b = b[len(first) : len(b)-len(last)]
	for _, piece := range pieces[1:max(1, len(pieces)-1)] {
		i := bytes.Index(b, piece)
		if i < 0 {
			return false
		}
		b = b[i+len(piece):]
	}
	return true
}

// rule is a Reach, with the ids of what it names.
type rule struct {
	Reach
	ids [2]ID // of the client and the vault, where these are paths
}

func rulesOf(reaches []Reach) []rule {
	rules := make([]rule, len(reaches))
	for i, r := range reaches {
		rules[i].Reach = r
		for depth, s := range r[:min(len(r), 2)] {
			if s.Path != nil {
				rules[i].ids[depth] = VaultID(s.Path) // a client's is made in the same way
			}
		}
	}
	return rules
}

// meets says whether a client, or a vault, may be in r. Ids tell more than names, which
// need not be known.
func (r *rule) meets(depth int, id ID, name func() []byte) bool {
	if len(r.Reach) <= depth {
		return true
	}
	s := &r.Reach[depth]
	switch {
	case s.Path != nil:
		return r.ids[depth] == id
	case s.Pieces != nil:
		return s.Meets(name())
	}
	return s.Meets(nil)
}

// named are the ids at a depth that all of the rules are about; all says that they are about
// more than what they name.
func named(rules []rule, depth int) (ids []ID, all bool) {
	for i := range rules {
		if len(rules[i].Reach) <= depth || rules[i].Reach[depth].Path == nil {
			return nil, true
		}
		ids = append(ids, rules[i].ids[depth])
	}
	return sortedIDs(ids), false
}

func sortedIDs(ids []ID) []ID {
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// below are the rules that are about what lies in a client or a vault; whole says that one of
// them is about all of that.
func below(rules []rule, depth int, id ID, name func() []byte) (in []rule, whole bool) {
	for i := range rules {
		if rules[i].meets(depth, id, name) {
			in = append(in, rules[i])
			whole = whole || len(rules[i].Reach) <= depth+1
		}
	}
	return in, whole
}
