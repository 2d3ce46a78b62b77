package engine

import (
	"bytes"
	"errors"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// scope is a part of all records, in the order of their ids: all of them, those of
// a client, of a vault, or one.
type scope struct {
	depth int
	place vault.Place
	ids   vault.Cursor // as deep as it is; zeros follow
}

func scopeOf(l *protocol.Location) scope {
	s := scope{depth: l.Depth()}
	if s.depth == 0 {
		return s
	}
	s.place = place(l)
	copy(s.ids[:s.depth], []vault.ID{s.place.Client, s.place.Vault, s.place.Record})
	return s
}

// has says whether t is a part of s.
func (s scope) has(t scope) bool {
	return s.depth <= t.depth && slices.Equal(s.ids[:s.depth], t.ids[:s.depth])
}

// scopes are the parts that a listing is about, in their order: what lies in
// req.Location and, if it says so, in one of req.Within. None is in another.
func scopes(req *protocol.Request) []scope {
	whole := scopeOf(req.Location)
	if len(req.Within) == 0 {
		return []scope{whole}
	}
	var all []scope
	for _, l := range req.Within {
		switch s := scopeOf(l); {
		case whole.has(s):
			all = append(all, s)
		case s.has(whole):
			all = append(all, whole)
		}
	}
	slices.SortFunc(all, func(a, b scope) int {
		for i := range a.ids {
			if c := bytes.Compare(a.ids[i][:], b.ids[i][:]); c != 0 {
				return c
			}
		}
		return a.depth - b.depth
	})
	apart := all[:0]
	for _, s := range all { // a part of another follows it, with nothing but its parts in between
		if n := len(apart); n == 0 || !apart[n-1].has(s) {
			apart = append(apart, s)
		}
	}
	return apart
}

// from is where a listing that came to a cursor goes on in s, if it has not been
// through it.
func (s scope) from(after vault.Cursor) (vault.Cursor, bool) {
	for i := range s.depth {
		switch c := bytes.Compare(s.ids[i][:], after[i][:]); {
		case c > 0:
			return vault.Cursor{}, true
		case c < 0:
			return after, false
		}
	}
	return after, s.depth < len(s.ids)
}

// listIn lists up to limit records of a scope behind a cursor.
func (e *Engine) listIn(s scope, hint []byte, after vault.Cursor, limit int) (page []vault.Listed, err error) {
	var client, in *vault.ID
	switch s.depth {
	case 3:
		r, err := e.state.DB.Stat(s.place)
		if errors.Is(err, vault.ErrNotFound) {
			return nil, nil
		}
		if err != nil || hint != nil && !bytes.Equal(hint, r.Hint) {
			return nil, err
		}
		return []vault.Listed{{Place: s.place, Record: r}}, nil
	case 2:
		in = &s.ids[1]
		fallthrough
	case 1:
		client = &s.ids[0]
	}
	page, _, err = e.state.DB.List(client, in, hint, after, limit)
	return page, err
}
