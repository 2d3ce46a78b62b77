package vault

import (
	"bytes"
	"runtime"
	"slices"
)

// ItemQuery says what a listing of a client's store is about.
type ItemQuery struct {
	Prefix []byte    // keys that begin so
	Within []Segment // and that meet one of these; nil: any
	Except []Segment // and none of these
	After  []byte    // keys after this one
	Limit  int       // of the page
}

// ItemPage is a part of a listing of a client's store.
type ItemPage struct {
	Items []*Item
	Next  []byte // what the next page comes after, if there is more
	More  bool   // there may be more: the page is full, or enough was looked at
	Left  int    // of [MaxLooks]
}

// Items returns items of a client's store, in the order of their keys, and looks at so many
// for one page as [DB.List] does at records. A client that does not exist is [ErrNotFound].
func (db *DB) Items(clientID ID, q *ItemQuery) (*ItemPage, error) {
	page := &ItemPage{Left: MaxLooks, Next: q.After}
	for _, in := range q.spans() {
		for {
			end, err := db.items(clientID, q, in, page)
			if err != nil || page.More {
				return page, err
			}
			if end {
				break
			}
			runtime.Gosched()
		}
	}
	if len(page.Items) > 0 {
		return page, nil
	}
	db.mu.RLock() // if there was nothing to look for, too
	defer db.mu.RUnlock()
	if _, ok := get(db.clients, clientID); !ok {
		return page, db.absent(clientID)
	}
	return page, nil
}

// span is a part of a store: one key, or all that begin so.
type span struct {
	from []byte
	one  bool
}

func (s span) has(key []byte) bool {
	return bytes.HasPrefix(key, s.from) && (!s.one || len(key) == len(s.from))
}

// spans are the parts of the store where items can be, in their order. None is in another.
func (q *ItemQuery) spans() []span {
	if q.Within == nil {
		return []span{{from: q.Prefix}}
	}
	var all []span
	for _, s := range q.Within {
		in := span{from: s.Path, one: s.Path != nil}
		if s.Pieces != nil {
			in.from = s.Pieces[0]
		}
		switch {
		case s.Versions || s.Version != nil: // of records
		case bytes.HasPrefix(in.from, q.Prefix):
			all = append(all, in)
		case !in.one && bytes.HasPrefix(q.Prefix, in.from):
			all = append(all, span{from: q.Prefix})
		}
	}
	slices.SortFunc(all, func(a, b span) int {
		if c := bytes.Compare(a.from, b.from); c != 0 || a.one == b.one {
			return c
		}
		if a.one {
			return 1
		}
		return -1
	})
	apart := all[:0]
	for _, s := range all { // what is in another follows it, with nothing but such in between
		if n := len(apart); n == 0 || !apart[n-1].has(s.from) {
			apart = append(apart, s)
		}
	}
	return apart
}

// items goes on in a span for a stride, and says whether it came to its end.
func (db *DB) items(clientID ID, q *ItemQuery, in span, page *ItemPage) (end bool, err error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	c, ok := get(db.clients, clientID)
	if !ok {
		return true, db.absent(clientID)
	}
	now, looks := db.Now().UnixMilli(), stride
	from := in.from
	if bytes.Compare(page.Next, from) > 0 {
		from = page.Next
	}
	end = true
	meets := func(rules []Segment, key []byte) bool {
		return slices.ContainsFunc(rules, func(s Segment) bool { return s.Meets(key) })
	}
	visit := func(it *Item) bool {
		switch {
		case !in.has(it.Key):
			return false
		case page.Next != nil && bytes.Compare(it.Key, page.Next) <= 0:
			return true
		}
		shown := !it.expired(now) && (q.Within == nil || meets(q.Within, it.Key)) && !meets(q.Except, it.Key)
		switch {
		case shown && len(page.Items) == q.Limit:
			page.More, end = true, false // it is the first of the next page
			return false
		case shown:
			page.Items = append(page.Items, it)
		default:
			page.Left--
		}
		page.Next = it.Key
		if looks--; page.Left <= 0 {
			page.More = true
		}
		end = looks > 0 && !page.More
		return end
	}
	page.Left--
	if !in.one {
		c.store.Ascend(&Item{Key: from}, visit)
	} else if it, ok := c.store.Get(&Item{Key: in.from}); ok {
		visit(it)
	}
	return end, nil
}
