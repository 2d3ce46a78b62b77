package permissions

import (
	"maps"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
)

// Within are places that all lie in what a peer may be told of by a listing: at
// or below them. So the engine need not walk through what is hidden from him. Not
// all that lies there may be told: each entry is still to be checked. all says
// that there is no such bound, or none that is worth it; no place, and not all,
// that there is nothing to tell.
func (r *Rules) Within(peer string, op *protocol.Operation, class protocol.Class) (places []*protocol.Location, all bool) {
	who := r.peers[peer]
	if who == nil {
		return nil, false
	}
	subjects := slices.Clone(who.subjects)
	if who.known {
		subjects = append(subjects, r.all)
	}
	w := within{op: op.Name, class: string(class), depth: depthOf(class)}
	for _, s := range subjects {
		root := s.records
		if w.depth == storeDepth {
			root = s.store
		}
		w.walk(root, nil)
	}
	return w.places, w.all || len(w.places) > protocol.MaxPage
}

// within gathers places.
type within struct {
	op, class string
	depth     int
	places    []*protocol.Location
	all       bool
}

func (w *within) allows(n *node) bool {
	return n != nil && (n.rights[w.op].allow != nil || n.rights[w.class].allow != nil)
}

func (w *within) walk(n *node, path [][]byte) {
	if w.all || !w.allows(n) || len(w.places) > protocol.MaxPage {
		return
	}
	bound := len(path) == w.depth || w.allows(n.any) || w.allows(n.head) || w.allows(n.versions)
	for i := range n.globs {
		bound = bound || w.allows(n.globs[i].to)
	}
	for _, to := range n.numbers {
		bound = bound || w.allows(to)
	}
	if bound {
		if w.all = len(path) == 0; !w.all {
			w.places = append(w.places, placeOf(path))
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.literals)) {
		w.walk(n.literals[name], append(path[:len(path):len(path)], []byte(name)))
	}
}

func placeOf(path [][]byte) *protocol.Location {
	l := &protocol.Location{Client: path[0]}
	if len(path) > 1 {
		l.Vault = path[1]
	}
	if len(path) > 2 {
		l.Record = path[2]
	}
	return l
}
