package vault

import (
	"bytes"
	"runtime"
)

// maxRename bounds the records and values of a client that is given another path, in
// bytes: they are sealed anew for it, as one change.
const maxRename = 32 << 20

// Rename gives a client another path: all it holds is at to, and from is no more. Flags,
// stamps, versions and tombstones stay as they are. Errors are [ErrNotFound],
// [ErrNotLoaded], [ErrSame], [ErrExists] if there is a client at to, [ErrTooLarge] and [*LimitError].
func (tx *Tx) Rename(from, to Place) error {
	if err := tx.reach(from.Client); err != nil {
		return err
	}
	switch {
	case !tx.HasClient(from.Client):
		return ErrNotFound
	case from.Client == to.Client:
		return ErrSame
	}
	if err := tx.CreateClient(to); err != nil {
		return err
	}
	vaults := tx.contents(from.Client)
	values := tx.values(from.Client)
	size := 0
	for _, v := range vaults {
		for _, r := range v.records {
			size += len(r.Sealed) + recordCost
		}
	}
	for _, it := range values {
		size += it.size().bytes + recordCost
	}
	if size > maxRename {
		return &LimitError{What: "bytes of a client that is renamed", Limit: maxRename}
	}
	for i := range vaults {
		if err := tx.rehome(&vaults[i], from, to); err != nil {
			return err
		}
	}
	for _, it := range values {
		tx.edits = append(tx.edits, Edit{Client: to.Client, Item: it, grows: it.size()})
	}
	return tx.PurgeClient(from.Client)
}

// recordCost is about what a record takes beside its secret, in bytes.
const recordCost = 128

// content is a vault as a change sees it.
type content struct {
	id      ID
	name    []byte // sealed
	keep    uint64
	records []*Record
}

// contents are a client's vaults, with what is staged on top.
func (tx *Tx) contents(id ID) (out []content) {
	at := map[ID]int{}
	have := map[[2]ID]bool{}
	in := func(v ID) *content {
		i, ok := at[v]
		if !ok {
			i = len(out)
			at[v] = i
			out = append(out, content{id: v, keep: tx.keeps(Place{Client: id, Vault: v})})
		}
		return &out[i]
	}
	record := func(v, r ID) {
		if have[[2]ID{v, r}] {
			return
		}
		have[[2]ID{v, r}] = true
		if r := tx.latest(Place{Client: id, Vault: v, Record: r}); r != nil {
			into := in(v)
			into.records = append(into.records, r)
		}
	}
	if c, _ := tx.committed(Place{Client: id}); c != nil {
		c.vaults.Scan(func(v item[*vault]) bool {
			in(v.id).name = v.v.name
			v.v.records.from(ID{}, func(p packed) bool { record(v.id, p.id()); return true })
			return true
		})
	}
	for _, a := range []*ahead{&tx.db.ahead, tx.own()} {
		for at := range a.vaults {
			if at[0] == id {
				in(at[1])
			}
		}
		for at := range a.records {
			if at[0] == id {
				record(at[1], at[2])
			}
		}
	}
	name := func(edits []Edit) {
		for _, e := range edits {
			if i, ok := at[e.Vault]; ok && e.Client == id && e.VaultName != nil {
				out[i].name = e.VaultName
			}
		}
	}
	for _, c := range tx.db.staged {
		name(c.Edits)
	}
	name(tx.edits)
	return out
}

// values are those of a client's store, with what is staged on top.
func (tx *Tx) values(id ID) (out []*Item) {
	have := map[string]bool{}
	value := func(key []byte) {
		if have[string(key)] {
			return
		}
		have[string(key)] = true
		if it, err := tx.Item(id, key); err == nil {
			out = append(out, it)
		}
	}
	if c, _ := tx.committed(Place{Client: id}); c != nil {
		c.store.Scan(func(it *Item) bool { value(it.Key); return true })
	}
	for _, a := range []*ahead{&tx.db.ahead, tx.own()} {
		for at, it := range a.items {
			if at.client == id {
				value(it.Key)
			}
		}
	}
	return out
}

// rehome puts a vault of one client under another.
func (tx *Tx) rehome(v *content, from, to Place) (err error) {
	from.Vault, to.Vault = v.id, v.id
	var edits []Edit
	tx.aside(func() {
		var name []byte
		if v.name != nil {
			if name, err = tx.db.openName(Place{Client: from.Client, Vault: v.id}, vaultName, v.name); err != nil {
				return
			}
			if err = tx.db.fits(to.ClientName, name); err != nil {
				return
			}
			if name, err = tx.db.sealName(Place{Client: to.Client, Vault: v.id}, vaultName, name); err != nil {
				return
			}
		}
		edits = append(edits, Edit{Client: to.Client, Vault: v.id, VaultName: name, Keep: &v.keep})
		for i, r := range v.records {
			if i%256 == 255 {
				runtime.Gosched() // a client may have very many: others have the processor meanwhile
			}
			moved := *r
			moved.Hint, moved.rest = bytes.Clone(r.Hint), packed{}
			from.Record, to.Record = r.ID, r.ID
			if !r.Revoked {
				err = tx.db.open(r, from, func(name, secret []byte) (err error) {
					moved.Sealed, err = tx.db.seal(to, r.Kind, name, secret)
					return err
				})
				if err != nil {
					return
				}
			}
			edits = append(edits, Edit{Client: to.Client, Vault: v.id, Record: &moved})
		}
	})
	tx.edits = append(tx.edits, edits...)
	return err
}
