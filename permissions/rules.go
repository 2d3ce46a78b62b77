package permissions

import (
	"maps"
	"slices"
	"sync"

	"github.com/stronghold-go/stronghold/protocol"
)

// Rules is a policy whose names have become peer ids. What it says never changes,
// and it is safe for concurrent use.
type Rules struct {
	policy *Policy // nil: no policy is in force
	peers  map[string]*peer
	all    *subject // what is said of "*"
	names  map[string]string
	tests  []resolvedTest

	reachMu sync.Mutex
	reaches map[[2]string]*Reach // by peer and operation, those that were asked for
}

// peer is someone the rules can be asked about.
type peer struct {
	known    bool       // "*" allows him something
	subjects []*subject // himself and his groups
}

// subject is what one entry of a rule's peers may do: a peer, a group, or "*".
// A group is indexed once, not once for each member.
type subject struct {
	records, store *node
}

// Resolve turns names into peer ids. Names maps each name to an id; known are
// ids of further known peers, whom "*" includes. An id written in the policy
// stands for itself, and what [names] in the policy says of a name goes before
// names. A name that nobody has is an error.
//
// [Rules.Names] tells what the names of this policy meant. Keep it with the
// policy, and pass it, with the ids of all peers known by then, when resolving
// again: then renaming a peer, or giving his old name to another, moves no right.
func (p *Policy) Resolve(names map[string]string, known ...string) (*Rules, error) {
	r := &Rules{policy: p, peers: make(map[string]*peer), all: newSubject(), names: make(map[string]string)}
	for _, id := range slices.AppendSeq(slices.Clone(known), maps.Values(names)) {
		r.peer(id).known = true
	}
	delete(r.peers, "") // nobody

	lookup := func(b *block, name string) (string, error) {
		id, ok := names[name]
		if pinned := p.names[name]; pinned != "" {
			id, ok = pinned, true
		}
		switch {
		case looksLikeID(name) && ok && id != name:
			return "", b.errorf("peer %s: the name of one peer looks like the id of another", show(name))
		case looksLikeID(name):
			return name, nil
		case !ok:
			return "", b.errorf("unknown peer %s", show(name))
		case id == "":
			return "", b.errorf("peer %s has no id", show(name))
		}
		r.names[name] = id
		return id, nil
	}
	lists := map[string]*subject{everyone: r.all} // "*" and the groups
	single := make(map[string]*subject)           // by id
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		g := p.groups[name]
		if _, ok := names[name]; ok {
			return nil, g.errorf("a peer has the same name")
		}
		s := newSubject()
		lists[name] = s
		for _, member := range g.members {
			id, err := lookup(&g.block, member)
			if err != nil {
				return nil, err
			}
			if who := r.peer(id); !slices.Contains(who.subjects, s) {
				who.subjects = append(who.subjects, s)
			}
		}
	}
	for _, rule := range p.rules {
		for _, name := range rule.peers {
			s := lists[name]
			if s == nil {
				id, err := lookup(&rule.block, name)
				if err != nil {
					return nil, err
				}
				if s = single[id]; s == nil {
					s = newSubject()
					single[id] = s
					who := r.peer(id)
					who.subjects = append(who.subjects, s)
				}
			}
			s.add(rule)
		}
	}
	for _, t := range p.tests {
		id, err := lookup(&t.block, t.peer)
		if err != nil {
			return nil, err
		}
		r.tests = append(r.tests, resolvedTest{t, id})
	}
	return r, nil
}

func (r *Rules) peer(id string) *peer {
	p := r.peers[id]
	if p == nil {
		p = new(peer)
		r.peers[id] = p
	}
	return p
}

// Names are the names that the policy uses and the ids they stood for. Ids
// that it uses are not among them.
func (r *Rules) Names() map[string]string { return maps.Clone(r.names) }

// Check decides about a request of the peer with this id: accesses are what
// op.Accesses gives for it. Every one of them must be allowed. An operation
// that needs none is for the local door, and is denied.
func (r *Rules) Check(peer string, op *protocol.Operation, accesses []protocol.Access) Decision {
	if op == nil || op.Door != protocol.DoorPeer {
		return Decision{Reason: "not an operation for peers"}
	}
	needs := 0
	for i := range op.In {
		if op.In[i].Needs != "" || op.In[i].Name == "steps" {
			needs++
		}
	}
	if needs == 0 || len(accesses) < needs {
		return Decision{Reason: "no rule can allow what names no location"}
	}
	who := r.peers[peer]
	if who == nil {
		return Decision{Reason: "not a known peer"}
	}
	var first Decision
	for i := range accesses {
		name := op.Name
		if step := accesses[i].Step; step != "" { // each step takes what it would take alone
			name = step
			if s, ok := protocol.Lookup(step); !ok || s.Door != protocol.DoorPeer || !s.InPipeline() {
				return Decision{Reason: "not a step for peers"}
			}
		}
		d := r.check(who, name, &accesses[i])
		if !d.Allowed {
			return d
		}
		if i == 0 {
			first = d
		}
	}
	return first
}

// Can decides about op as if every location in the request were loc: for the
// operator who asks, and for tests.
func (r *Rules) Can(peer string, op *protocol.Operation, loc *protocol.Location) Decision {
	if op == nil {
		return r.Check(peer, nil, nil)
	}
	return r.Check(peer, op, op.Accesses(&protocol.Request{Location: loc, Target: loc}))
}

// MayList says whether a listing for the peer may show the record at loc, or
// the store's key. That he may list what lies around it ([Rules.Check]) does
// not say so.
func (r *Rules) MayList(peer string, loc *protocol.Location) bool {
	who := r.peers[peer]
	if who == nil {
		return false
	}
	if loc.Depth() == storeDepth {
		return r.check(who, "store.list", &protocol.Access{Class: protocol.StoreRead, Location: loc}).Allowed
	}
	return r.check(who, "record.list", &protocol.Access{Class: protocol.List, Location: loc}).Allowed
}

func (r *Rules) check(who *peer, op string, a *protocol.Access) Decision {
	q := query{op: op, class: string(a.Class), depth: depthOf(a.Class)}
	if reason := q.locate(a); reason != "" {
		return Decision{Reason: reason}
	}
	q.ask(r.all)
	if !who.known {
		q.allow = nil
	}
	for _, s := range who.subjects {
		q.ask(s)
	}
	switch {
	case q.deny != nil:
		return Decision{Reason: q.deny.reason}
	case q.allow != nil:
		return Decision{Allowed: true, Reason: q.allow.reason}
	}
	return Decision{Reason: "no rule matches"}
}
