package vault

import "maps"

// ahead is what edits that are not committed put where, the last of them at each
// place. So it costs the same to look something up, however many are staged.
type ahead struct {
	records map[[3]ID]*Record
	items   map[itemAt]*Item
	next    map[[2]ID]uint64 // numbers of the next counter records, where an edit has moved them
	keep    map[[2]ID]*Edit  // the last edits that say how many versions are kept
	vaults  map[[2]ID]*Edit  // the last edits in each vault
	there   map[ID]*Edit     // clients, by the last edit
	purged  map[ID]*Edit     // clients that were purged: what was there before does not count
	stores  map[ID]storeSize // by how much edits change them
	live    int              // records that are more
	tombs   int              // tombstones that are
	clients int              // clients that are
}

// itemAt is where an item lies.
type itemAt struct {
	client ID
	key    string
}

func (a *ahead) add(e *Edit) {
	if a.records == nil {
		*a = ahead{records: map[[3]ID]*Record{}, items: map[itemAt]*Item{}, next: map[[2]ID]uint64{}, keep: map[[2]ID]*Edit{}, vaults: map[[2]ID]*Edit{},
			there: map[ID]*Edit{}, purged: map[ID]*Edit{}, stores: map[ID]storeSize{}}
	}
	a.clients += e.clients
	if e.Purge {
		maps.DeleteFunc(a.records, func(at [3]ID, _ *Record) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.items, func(at itemAt, _ *Item) bool { return at.client == e.Client })
		maps.DeleteFunc(a.next, func(at [2]ID, _ uint64) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.keep, func(at [2]ID, _ *Edit) bool { return at[0] == e.Client })
		maps.DeleteFunc(a.vaults, func(at [2]ID, _ *Edit) bool { return at[0] == e.Client })
		delete(a.there, e.Client)
		delete(a.stores, e.Client)
		a.purged[e.Client] = e
		return
	}
	a.there[e.Client] = e
	a.live += e.adds
	a.tombs += e.tombs
	if it := e.Item; it != nil {
		a.items[itemAt{e.Client, string(it.Key)}] = it
		a.stores[e.Client] = a.stores[e.Client].plus(e.grows)
	}
	if r := e.Record; r != nil {
		a.records[[3]ID{e.Client, e.Vault, r.ID}] = r
		if at := [2]ID{e.Client, e.Vault}; r.Counter && r.Number >= a.next[at] {
			a.next[at] = r.Number + 1
		}
	}
	at := [2]ID{e.Client, e.Vault}
	if e.Keep != nil {
		a.keep[at] = e
	}
	if e.Keep != nil || e.Record != nil {
		a.vaults[at] = e
	}
}

// remove forgets an edit that was committed, unless a later one is in its place.
func (a *ahead) remove(e *Edit) {
	a.live -= e.adds
	a.tombs -= e.tombs
	a.clients -= e.clients
	if a.there[e.Client] == e {
		delete(a.there, e.Client)
	}
	if a.purged[e.Client] == e {
		delete(a.purged, e.Client)
	}
	if it := e.Item; it != nil {
		if at := (itemAt{e.Client, string(it.Key)}); a.items[at] == it {
			delete(a.items, at)
		}
		switch left := a.stores[e.Client].plus(e.grows.negative()); {
		case a.purged[e.Client] != nil: // by a later edit: it was not counted any more
		case left == storeSize{}:
			delete(a.stores, e.Client)
		default:
			a.stores[e.Client] = left
		}
	}
	if r := e.Record; r != nil {
		if at := [3]ID{e.Client, e.Vault, r.ID}; a.records[at] == r {
			delete(a.records, at)
		}
		if at := [2]ID{e.Client, e.Vault}; r.Counter && a.next[at] == r.Number+1 {
			delete(a.next, at)
		}
	}
	at := [2]ID{e.Client, e.Vault}
	if a.keep[at] == e {
		delete(a.keep, at)
	}
	if a.vaults[at] == e {
		delete(a.vaults, at)
	}
}
