package permissions

import "github.com/stronghold-go/stronghold/protocol"

// node is a place in the tree of all patterns of a subject, spelled out to
// their full depth. A question walks down every edge that matches its location:
// rules about other places cost it nothing, and nothing is tried twice.
type node struct {
	rights map[string]right // by operation or class

	literals map[string]*node // one path segment
	globs    []edge
	globAt   map[string]*node // the same, by their text
	any      *node            // * or a part of **

	// In the place of a record only.
	numbers  map[uint64]*node // @7
	head     *node            // @head
	versions *node            // @*, which includes the head
}

// edge is one glob: what stands before, between and after its stars.
type edge struct {
	pieces [][]byte
	to     *node
}

// right is what is said of one operation or class at a node. At the bottom of
// the tree, of the locations that lead there. Above it, only allow is set: it
// is allowed somewhere below, which is what a listing asks.
type right struct {
	allow, deny *ground
}

// ground is a rule that decides.
type ground struct {
	order  int
	reason string
}

// least is the ground to tell of two, so that the reason does not depend on
// the order of a walk.
func least(a, b *ground) *ground {
	if a == nil || b != nil && b.order < a.order {
		return b
	}
	return a
}

func newSubject() *subject { return &subject{new(node), new(node)} }

// add enters a rule.
func (s *subject) add(r *rule) {
	for _, p := range r.on {
		g := &ground{order: r.order, reason: r.name}
		if r.deny {
			g.reason += " on " + p.text
		}
		records, store := p.expand(recordDepth), p.expand(storeDepth)
		for _, op := range r.ops {
			if op.records {
				for _, path := range records {
					s.records.enter(path, op.name, g, r.deny)
				}
			}
			if op.store {
				for _, path := range store {
					s.store.enter(path, op.name, g, r.deny)
				}
			}
		}
	}
}

// enter says of everything that path matches that name is allowed or denied.
func (n *node) enter(path []segment, name string, g *ground, deny bool) {
	if len(path) == 0 || !deny {
		if n.rights == nil {
			n.rights = make(map[string]right)
		}
		is := n.rights[name]
		if deny {
			is.deny = least(is.deny, g)
		} else {
			is.allow = least(is.allow, g)
		}
		n.rights[name] = is
	}
	if len(path) == 0 {
		return
	}
	s := path[0]
	if deny {
		// The head is one of the versions, and only the vault knows which.
		switch s.kind {
		case version:
			n.child(segment{kind: head}).enter(path[1:], name, g, deny)
		case head:
			s = segment{kind: versions}
		}
	}
	n.child(s).enter(path[1:], name, g, deny)
}

// child is the node below n by the edge s, made if there is none.
func (n *node) child(s segment) *node {
	made := func(at **node) *node {
		if *at == nil {
			*at = new(node)
		}
		return *at
	}
	switch s.kind {
	case anything:
		return made(&n.any)
	case head:
		return made(&n.head)
	case versions:
		return made(&n.versions)
	case version:
		if n.numbers == nil {
			n.numbers = make(map[uint64]*node)
		}
		if n.numbers[s.number] == nil {
			n.numbers[s.number] = new(node)
		}
		return n.numbers[s.number]
	case literal:
		if n.literals == nil {
			n.literals = make(map[string]*node)
		}
		if n.literals[s.bytes] == nil {
			n.literals[s.bytes] = new(node)
		}
		return n.literals[s.bytes]
	case glob:
		if n.globAt == nil {
			n.globAt = make(map[string]*node)
		}
		to := n.globAt[s.text]
		if to == nil {
			to = new(node)
			n.globAt[s.text] = to
			n.globs = append(n.globs, edge{s.pieces, to})
		}
		return to
	}
	panic("permissions: internal error: an edge of no kind")
}

// query is one access, and what was found about it.
type query struct {
	op, class string
	depth     int       // of what the class is about
	given     int       // segments that the location names
	path      [3][]byte // those that are paths
	number    *uint64   // the third is a version
	head      bool      // or the head

	allow, deny *ground
}

// locate takes the location of an access, and says what is wrong with it. What
// could be read in two ways, or names a thing by a second name, never gets to
// the rules: to deny is the only answer that no rule could contradict.
func (q *query) locate(a *protocol.Access) string {
	l := a.Location
	if l.ByID() {
		return "a location by id, which no rule can allow"
	}
	q.given = l.Depth()
	switch {
	case !a.Prefix && q.given != q.depth, q.given > q.depth:
		return "not a whole location"
	case q.given == 0:
		if l != nil && (l.Vault != nil || l.Record != nil || l.Version != nil || l.Head) {
			return "not a location"
		}
		return ""
	case q.given == 1 && (l.Record != nil || l.Version != nil || l.Head):
		return "not a location"
	}
	q.path = [3][]byte{l.Client, l.Vault, l.Record}
	q.number, q.head = l.Version, l.Head
	paths := q.given
	if q.given == recordDepth {
		named := 0
		for _, is := range [...]bool{l.Record != nil, l.Version != nil, l.Head} {
			if is {
				named++
			}
		}
		if named != 1 {
			return "not a location"
		}
		if l.Record == nil {
			paths--
		}
	}
	for _, segment := range q.path[:paths] {
		if len(segment) == 0 || len(segment) > protocol.MaxSegment {
			return "not a location"
		}
	}
	if paths == recordDepth && !addressable(l.Record) {
		return "a path that is not the record's only name, which no rule can allow"
	}
	return ""
}

func (q *query) ask(s *subject) {
	if q.depth == storeDepth {
		q.walk(s.store, 0)
	} else {
		q.walk(s.records, 0)
	}
}

// walk follows the location from n, where its first i segments lead.
func (q *query) walk(n *node, i int) {
	if n == nil {
		return
	}
	if i == q.given {
		q.arrive(n, i)
		return
	}
	switch {
	case i == recordDepth-1 && q.head:
		q.walk(n.head, i+1)
		q.walk(n.versions, i+1)
	case i == recordDepth-1 && q.number != nil:
		q.walk(n.numbers[*q.number], i+1)
		q.walk(n.versions, i+1)
	default:
		q.walk(n.literals[string(q.path[i])], i+1)
		for j := range n.globs {
			if matchGlob(n.globs[j].pieces, q.path[i]) {
				q.walk(n.globs[j].to, i+1)
			}
		}
	}
	q.walk(n.any, i+1)
}

// arrive notes what is said at n. If n is above the bottom, the question was
// about a prefix: it is allowed if anything below is, and denied if everything
// below is.
func (q *query) arrive(n *node, i int) {
	q.allow = least(q.allow, n.rights[q.op].allow)
	q.allow = least(q.allow, n.rights[q.class].allow)
	for ; i < q.depth; i++ {
		if n = n.any; n == nil {
			return
		}
	}
	q.deny = least(q.deny, n.rights[q.op].deny)
	q.deny = least(q.deny, n.rights[q.class].deny)
}
