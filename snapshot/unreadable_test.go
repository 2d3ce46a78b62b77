package snapshot

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// What a reader takes for damage is not sealed, and what is sealed before and behind it
// is read.
func TestUnreadableChanges(t *testing.T) {
	k, h := newKeys(t)
	client, in := vault.ClientID([]byte("c")), vault.VaultID([]byte("v"))
	record := func(change func(*vault.Record)) vault.Edit {
		r := &vault.Record{ID: vault.ID{1}, Sealed: make([]byte, minSealed)}
		change(r)
		return vault.Edit{Client: client, Vault: in, Record: r}
	}
	item := func(key, value int) vault.Edit {
		return vault.Edit{Client: client, Item: &vault.Item{Key: make([]byte, key), Value: make([]byte, value)}}
	}
	for what, tt := range map[string]struct {
		good, bad []vault.Edit
	}{
		"no edits":                {nil, []vault.Edit{}},
		"a hint":                  {[]vault.Edit{record(func(r *vault.Record) { r.Hint = make([]byte, maxHint) })}, []vault.Edit{record(func(r *vault.Record) { r.Hint = make([]byte, maxHint+1) })}},
		"nothing sealed":          {nil, []vault.Edit{record(func(r *vault.Record) { r.Sealed = nil })}},
		"too little sealed":       {nil, []vault.Edit{record(func(r *vault.Record) { r.Sealed = r.Sealed[1:] })}},
		"what is sealed":          {[]vault.Edit{record(func(r *vault.Record) { r.Sealed = make([]byte, maxSealed) })}, []vault.Edit{record(func(r *vault.Record) { r.Sealed = make([]byte, maxSealed+1) })}},
		"a key":                   {[]vault.Edit{item(maxName, 0)}, []vault.Edit{item(maxName+1, 0)}},
		"a value":                 {[]vault.Edit{item(1, vault.MaxValue)}, []vault.Edit{item(1, vault.MaxValue+1)}},
		"a key of 64 KiB":         {nil, []vault.Edit{item(1<<16, 0)}},
		"a client's name":         {[]vault.Edit{{Client: client, ClientName: make([]byte, maxName+nameExtra)}}, []vault.Edit{{Client: client, ClientName: make([]byte, maxName+nameExtra+1)}}},
		"a short name":            {[]vault.Edit{{Client: client, ClientName: make([]byte, minSealed)}}, []vault.Edit{{Client: client, ClientName: make([]byte, minSealed-1)}}},
		"a vault's name":          {[]vault.Edit{{Client: client, Vault: in, VaultName: make([]byte, maxName+nameExtra), Keep: new(uint64)}}, []vault.Edit{{Client: client, Vault: in, VaultName: make([]byte, maxName+nameExtra+1), Keep: new(uint64)}}},
		"in the second client":    {nil, []vault.Edit{{Client: client}, {Client: vault.ID{0xFF}, Item: &vault.Item{Key: make([]byte, maxName+1)}}}},
		"behind what is readable": {nil, []vault.Edit{item(1, 1), record(func(r *vault.Record) { r.Sealed = nil })}},
	} {
		for first := range 2 { // also as what a session begins with
			db := newDB(t, k)
			file, j := write(t, k, h, db)
			put := func(key string) []byte { // readable, and somebody's
				c := &vault.Change{Sequence: db.Sequence() + 1, Edits: []vault.Edit{{Client: client, Item: &vault.Item{Key: []byte(key)}}}}
				if err := db.Apply(c); err != nil {
					t.Fatal(err)
				}
				return sealed(t, j, c)
			}
			var entries []byte
			if first == 0 {
				entries = append(entries, put("before")...)
			}
			next := &vault.Change{Sequence: db.Sequence() + 1, Edits: []vault.Edit{{Client: client, Item: &vault.Item{Key: []byte("beside")}}}}
			got, err := j.Seal(next, &vault.Change{Sequence: next.Sequence + 1, Edits: tt.bad}, &vault.Change{Sequence: next.Sequence + 2, Edits: next.Edits})
			if !errors.Is(err, errUnreadable) || len(got) != 1 {
				t.Fatalf("%s: %d entries, %v", what, len(got), err)
			}
			if err := db.Apply(next); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, got[0]...)
			if tt.good != nil {
				c := &vault.Change{Sequence: db.Sequence() + 1, Edits: tt.good}
				if err := db.Apply(c); err != nil {
					t.Fatal(err)
				}
				entries = append(entries, sealed(t, j, c)...)
			}
			entries = append(entries, put("behind")...)
			s, err := readBelow(t, k, append(file, batch(entries)...))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, key := range []string{"beside", "behind"} {
				if _, err := s.DB.Get(client, []byte(key)); err != nil {
					t.Errorf("%s: what is %s it: %v", what, key, err)
				}
			}
			s.Close()
			j.Close()
		}
	}
}

// Nor does a file come to be of a state that no reader would take.
func TestUnreadableFiles(t *testing.T) {
	k, h := newKeys(t)
	c := vault.ClientView{ID: vault.ID{1}}
	v := vault.VaultView{ID: vault.ID{2}, Next: 7, Keep: 2}
	sealed := make([]byte, minSealed)
	for what, tt := range map[string]struct {
		fill func(db *vault.DB)
		fits bool
	}{
		"what it should be": {func(db *vault.DB) {
			add := db.Load(c, v)
			add(&vault.Record{ID: vault.ID{3}, Sealed: sealed})
			add(&vault.Record{ID: vault.ID{4}, Sealed: sealed, Counter: true, Number: 5})
			db.LoadItem(c, &vault.Item{Key: make([]byte, maxName)})
		}, true},
		"a version below those that are kept": {func(db *vault.DB) {
			db.Load(c, v)(&vault.Record{ID: vault.ID{3}, Sealed: sealed, Counter: true, Number: 4})
		}, false},
		"a version that is to come": {func(db *vault.DB) {
			db.Load(c, v)(&vault.Record{ID: vault.ID{3}, Sealed: sealed, Counter: true, Number: 7})
		}, false},
		"a record with nothing sealed": {func(db *vault.DB) { db.Load(c, v)(&vault.Record{ID: vault.ID{3}}) }, false},
		"a long hint": {func(db *vault.DB) {
			db.Load(c, v)(&vault.Record{ID: vault.ID{3}, Sealed: sealed, Hint: make([]byte, maxHint+1)})
		}, false},
		"a long key":    {func(db *vault.DB) { db.LoadItem(c, &vault.Item{Key: make([]byte, maxName+1)}) }, false},
		"a large value": {func(db *vault.DB) { db.LoadItem(c, &vault.Item{Value: make([]byte, vault.MaxValue+1)}) }, false},
		"a client's long name": {func(db *vault.DB) {
			db.LoadClient(vault.ClientView{ID: c.ID, Name: make([]byte, maxName+nameExtra+1)})
		}, false},
		"a vault's long name": {func(db *vault.DB) {
			db.Load(c, vault.VaultView{ID: v.ID, Name: make([]byte, maxName+nameExtra+1)})
		}, false},
	} {
		db := newDB(t, k)
		tt.fill(db)
		var file bytes.Buffer
		j, err := Write(&file, k, h, db.Freeze(), nil)
		if tt.fits {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			j.Close()
			s, err := readBelow(t, k, file.Bytes())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			s.Close()
		} else if !errors.Is(err, errUnreadable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Write(io.Discard, k, new(Header), newDB(t, k).Freeze(), nil); !errors.Is(err, errUnreadable) {
		t.Errorf("a file without a slot: %v", err)
	}
}
