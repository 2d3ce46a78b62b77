package vault

import (
	"bytes"
	"runtime"
	"slices"
)

// walk goes through clients, their vaults and the records of these, in the order of their
// ids, and holds the lock for one step at a time. What is added or removed meanwhile it
// finds or does not; what is there all the while it finds once.
type walk struct {
	db   *DB
	q    *Query
	page *Page
	at   Cursor // all up to this was looked at
	err  error

	record Record // that is looked at
}

// last is behind every id that there can be.
var last = ID(bytes.Repeat([]byte{0xff}, len(ID{})))

// ended says whether enough was looked at, or the page is full and there is more.
func (w *walk) ended() bool {
	if w.page.Left <= 0 {
		w.page.More = true
	}
	return w.page.More || w.err != nil
}

// level is a client or a vault that the walk is in.
type level struct {
	place Place // as deep as it is
	kind  Kind  // of its sealed name
	name  []byte
	known bool // no need to open it
}

// open is its name, which is opened when that is wanted.
func (w *walk) open(l *level, sealed []byte) []byte {
	if !l.known {
		l.known = true
		if sealed != nil {
			w.page.Left -= opening
		}
		var err error
		if l.name, err = w.db.openName(l.place, l.kind, sealed); err != nil {
			w.err = err
		}
	}
	return l.name
}

// enter narrows the rules down to those that are about what lies in l. It reports false if that
// is hidden.
func (w *walk) enter(l *level, sealed []byte, depth int, id ID, within, except []rule) (in, out []rule, ok bool) {
	for i := range within {
		if len(within[i].Reach) > depth && within[i].Reach[depth].Path != nil && within[i].ids[depth] == id {
			l.name, l.known = within[i].Reach[depth].Path, true
		}
	}
	name := func() []byte { return w.open(l, sealed) }
	out, whole := below(except, depth, id, name)
	if whole {
		return nil, nil, false
	}
	in, _ = below(within, depth, id, name)
	return in, out, w.q.Within == nil || len(in) > 0
}

// only are the ids to look up; all says that there is no such bound.
func (w *walk) only(rules []rule, depth int, asked *ID) (ids []ID, all bool) {
	if w.q.Within == nil {
		all = true
	} else {
		ids, all = named(rules, depth)
	}
	switch {
	case asked == nil:
	case all || slices.Contains(ids, *asked):
		return []ID{*asked}, false
	default:
		return nil, false
	}
	return ids, all
}

// next finds the first of a tree from an id on: of these, or of all.
func next[T any](w *walk, t *tree[T], from ID, only []ID, all bool) (id ID, v T, ok bool) {
	if all {
		w.page.Left--
		t.Ascend(item[T]{id: from}, func(it item[T]) bool {
			id, v, ok = it.id, it.v, true
			return false
		})
		return id, v, ok
	}
	for _, id := range only {
		if id.less(from) {
			continue
		}
		w.page.Left--
		if v, ok := get(t, id); ok {
			return id, v, true
		}
	}
	return id, v, false
}

func (w *walk) clients(within, except []rule) {
	only, all := w.only(within, 0, w.q.Client)
	for !w.ended() {
		w.db.mu.RLock()
		id, c, ok := next(w, w.db.clients, w.at[0], only, all)
		var sealed []byte
		if ok {
			sealed = c.name
		}
		w.db.mu.RUnlock()
		if !ok {
			return
		}
		if id != w.at[0] {
			w.at = Cursor{id}
		}
		l := level{place: Place{Client: id}, kind: clientName}
		if in, out, ok := w.enter(&l, sealed, 0, id, within, except); ok {
			if w.vaults(&l, sealed, in, out); w.ended() {
				return
			}
		}
		if id == last {
			return
		}
		w.at = Cursor{after(id)}
	}
}

// after is the id behind another.
func after(id ID) ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func (w *walk) vaults(client *level, sealed []byte, within, except []rule) {
	only, all := w.only(within, 1, w.q.Vault)
	for !w.ended() {
		w.db.mu.RLock()
		var id ID
		var v *vault
		var ok bool
		if c, there := get(w.db.clients, client.place.Client); there {
			id, v, ok = next(w, c.vaults, w.at[1], only, all)
		}
		var name []byte
		if ok {
			name = v.name
		}
		w.db.mu.RUnlock()
		if !ok {
			return
		}
		if id != w.at[1] {
			w.at[1], w.at[2] = id, ID{}
		}
		l := level{place: Place{Client: client.place.Client, Vault: id}, kind: vaultName}
		if in, out, ok := w.enter(&l, name, 1, id, within, except); ok {
			w.records(&room{client: client, vault: &l, clientSealed: sealed, vaultSealed: name, within: in, except: out})
			if w.ended() {
				return
			}
		}
		if id == last {
			return
		}
		w.at[1], w.at[2] = after(id), ID{}
	}
}

// room is a vault that the walk is in, and the rules that are about what lies there.
type room struct {
	client, vault             *level
	clientSealed, vaultSealed []byte // their names
	within, except            []rule
	named                     map[ID][]byte // records that rules of within name by their paths
	hidden                    map[ID]bool   // that those of except do
	ids                       []ID          // to look up,
	all                       bool          // if these are not all
}

// records goes through a vault. It comes to another record however little may still be looked
// at, so that each page goes on.
func (w *walk) records(r *room) {
	w.prepare(r)
	for {
		some, to, end := w.gather(r)
		for _, p := range some {
			l, ok := w.look(r, p)
			switch {
			case w.err != nil:
				return
			case ok && len(w.page.Records) == w.q.Limit:
				w.page.More = true // it is the first of the next page
				return
			case ok:
				w.page.Records = append(w.page.Records, l)
				w.page.Left = min(MaxLooks, w.page.Left+3*opening) // what is shown is not counted
			}
			w.at[2] = p.id()
		}
		if w.at[2] = to; end || w.ended() {
			return
		}
		runtime.Gosched()
	}
}

// prepare works out which records of a vault the rules name.
func (w *walk) prepare(r *room) {
	in := r.vault.place.Vault
	for i := range r.except {
		if s := &r.except[i].Reach[2]; s.Path != nil {
			w.page.Left--
			if r.hidden == nil {
				r.hidden = map[ID]bool{}
			}
			r.hidden[RecordID(in, s.Path)] = true
		}
	}
	r.all = w.q.Within == nil
	for i := range r.within {
		if len(r.within[i].Reach) < 3 {
			r.all = true
			continue
		}
		switch s := &r.within[i].Reach[2]; {
		case s.Path != nil:
			w.page.Left--
			if r.named == nil {
				r.named = map[ID][]byte{}
			}
			id := RecordID(in, s.Path)
			r.named[id] = s.Path
			r.ids = append(r.ids, id)
		case s.Version != nil: // its id is made of the vault's path
			w.page.Left--
			if path := w.open(r.vault, r.vaultSealed); path != nil {
				r.ids = append(r.ids, CounterID(path, *s.Version))
			}
		default:
			r.all = true
		}
	}
	r.ids = sortedIDs(r.ids)
}

// gather finds the next records of a vault that may have to be shown, and opens nothing. It came to
// an id, and to the end or not.
func (w *walk) gather(r *room) (some []packed, to ID, end bool) {
	w.db.mu.RLock()
	defer w.db.mu.RUnlock()
	from := w.at[2]
	to = from
	c, ok := get(w.db.clients, r.client.place.Client)
	if !ok {
		return nil, to, true
	}
	v, ok := get(c.vaults, r.vault.place.Vault)
	if !ok {
		return nil, to, true
	}
	looks, most := min(w.page.Left, stride), min(batch, w.q.Limit+1-len(w.page.Records))
	take := func(id ID, p packed) (goOn bool) {
		looks--
		w.page.Left--
		to = id
		if !p.revoked() && !r.hidden[id] && (w.q.Hint == nil || bytes.Equal(w.q.Hint, p.hint())) {
			some = append(some, p)
		}
		return looks > 0 && len(some) < most
	}
	end = true
	if r.all {
		v.records.from(from, func(p packed) bool {
			id := p.id()
			end = id == from || take(id, p)
			return end
		})
		return some, to, end
	}
	for _, id := range r.ids {
		if !from.less(id) {
			continue
		}
		if s, ok := v.records.tree.Get(spotAt(id)); !ok {
			w.page.Left--
		} else if !take(id, s.packed) {
			return some, to, false
		}
	}
	return some, to, true
}

// look says whether a record is to be shown, and what of it.
func (w *walk) look(r *room, p packed) (l Listed, ok bool) {
	at := Place{Client: r.client.place.Client, Vault: r.vault.place.Vault, Record: p.id()}
	opened := false
	name := func() []byte {
		if !opened {
			opened = true
			w.page.Left -= opening
			var err error
			p.into(&w.record)
			if at.RecordName, err = w.db.name(&w.record, at); err != nil {
				w.err = err
			}
		}
		return at.RecordName
	}
	if at.Number, at.Counter = p.number(); at.Counter {
		opened = true // it has none
	} else if path := r.named[at.Record]; path != nil {
		at.RecordName, opened = path, true
	}
	meets := func(s *Segment) bool {
		switch {
		case at.Counter:
			return s.meetsVersion(at.Number)
		case s.Path != nil:
			return false // it would be among what is named
		case s.Pieces != nil:
			return s.Meets(name())
		}
		return s.Meets(nil)
	}
	of := func(rules []rule) bool {
		return slices.ContainsFunc(rules, func(r rule) bool { return len(r.Reach) < 3 || meets(&r.Reach[2]) })
	}
	if of(r.except) || w.q.Within != nil && r.named[at.Record] == nil && !of(r.within) {
		return l, false
	}
	name()
	at.ClientName, at.VaultName = w.open(r.client, r.clientSealed), w.open(r.vault, r.vaultSealed)
	l.Place, l.Record = at, p.record()
	return l, w.err == nil
}
