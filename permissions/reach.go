package permissions

import (
	"maps"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
)

// Reach is what a listing may tell a peer of, as places: what lies in one of
// Within and in none of Except. So the engine need not go through what is hidden
// from him. Either is shortened where it would be too long, so that each entry is
// still to be checked.
type Reach struct {
	Within, Except []*protocol.Reach // Within is empty where there is nothing to tell

	whole  [][]segment // of Within, those that are a client or more
	except [][]segment
	vague  bool // there are more of these
}

// maxReaches bounds what is remembered of them: a large policy has large ones.
const maxReaches = 256

// Reach is what op, a listing, may tell the peer of. It is worked out once.
func (r *Rules) Reach(peer string, op *protocol.Operation) *Reach {
	who := r.peers[peer]
	if who == nil {
		return new(Reach)
	}
	r.reachMu.Lock()
	defer r.reachMu.Unlock()
	at := [2]string{peer, op.Name}
	if known := r.reaches[at]; known != nil {
		return known
	}
	class := op.Accesses(&protocol.Request{})[0].Class
	g := gathering{op: op.Name, class: string(class), depth: depthOf(class)}
	for _, s := range append(slices.Clone(who.subjects), r.all) {
		g.allows = s != r.all || who.known
		if g.depth == storeDepth {
			g.walk(s.store, nil)
		} else {
			g.walk(s.records, nil)
		}
	}
	reach := &Reach{whole: g.whole, except: g.except, vague: len(g.except) > protocol.MaxPage || len(g.whole) > protocol.MaxPage}
	reach.Within, reach.Except = spell(g.within), spell(g.except)
	if len(g.within) > protocol.MaxPage { // so many that there is no point in it
		reach.Within = []*protocol.Reach{{}}
	}
	reach.Except = reach.Except[:min(len(reach.Except), protocol.MaxPage)]
	if r.reaches == nil || len(r.reaches) >= maxReaches {
		r.reaches = map[[2]string]*Reach{}
	}
	r.reaches[at] = reach
	return reach
}

// Everything says whether nothing at all is hidden.
func (r *Reach) Everything() bool {
	return len(r.except) == 0 && slices.ContainsFunc(r.whole, func(path []segment) bool { return len(path) == 0 })
}

// Client says whether nothing of a client is hidden: only then may the peer be told that there
// is none, or that it is not loaded.
func (r *Reach) Client(client []byte) bool {
	holds := func(path []segment) bool { return len(path) == 0 || path[0].matches(client) }
	return !r.vague && !slices.ContainsFunc(r.except, holds) && slices.ContainsFunc(r.whole, holds)
}

// matches says whether s matches a path.
func (s *segment) matches(path []byte) bool {
	switch s.kind {
	case anything:
		return true
	case literal:
		return s.bytes == string(path)
	case glob:
		return matchGlob(s.pieces, path)
	}
	return false
}

// gathering gathers what is allowed and what is denied.
type gathering struct {
	op, class string
	depth     int
	allows    bool // what is allowed counts, not only what is denied

	// At most one more of each than a request takes.
	within, whole, except [][]segment
}

func (g *gathering) add(to *[][]segment, path []segment) {
	if len(*to) <= protocol.MaxPage {
		*to = append(*to, path)
	}
}

func (g *gathering) walk(n *node, path []segment) {
	if n == nil {
		return
	}
	if len(path) == g.depth {
		op, class := n.rights[g.op], n.rights[g.class]
		for len(path) > 0 && path[len(path)-1].kind == anything { // all that is below
			path = path[:len(path)-1]
		}
		if g.allows && (op.allow != nil || class.allow != nil) {
			g.add(&g.within, path)
			if len(path) <= 1 {
				g.add(&g.whole, path)
			}
		}
		if op.deny != nil || class.deny != nil {
			g.add(&g.except, path)
		}
		return
	}
	to := func(next *node, s segment) { g.walk(next, append(path[:len(path):len(path)], s)) }
	for _, name := range slices.Sorted(maps.Keys(n.literals)) {
		to(n.literals[name], segment{kind: literal, bytes: name})
	}
	for i := range n.globs {
		to(n.globs[i].to, segment{kind: glob, pieces: n.globs[i].pieces})
	}
	to(n.any, segment{kind: anything})
	for _, number := range slices.Sorted(maps.Keys(n.numbers)) {
		to(n.numbers[number], segment{kind: version, number: number})
	}
	to(n.versions, segment{kind: versions})
	// A listing tells of versions by their numbers, and never of the head.
}

// spell is what a request says, with each place once.
func spell(paths [][]segment) (out []*protocol.Reach) {
	seen := map[string]bool{}
	for _, path := range paths {
		r := new(protocol.Reach)
		for _, s := range path {
			to := new(protocol.Segment)
			switch s.kind {
			case literal:
				to.Is = []byte(s.bytes)
			case glob:
				to.Pieces = s.pieces
			case version:
				to.Version = &s.number
			case versions:
				to.Versions = true
			}
			r.Path = append(r.Path, to)
		}
		b, err := protocol.Marshal(r)
		if err != nil || seen[string(b)] {
			continue
		}
		seen[string(b)] = true
		out = append(out, r)
	}
	return out
}
